"""Recipe files: what they hold, and what is wrong with a wrong one."""

from pathlib import Path

import pytest

from ancestral.interface import SGD, Adam, InputError
from ancestral.reproduction import list_recipes, load_recipe
from ancestral.training import Cosine, Step, training_arguments

WHOLE = """
name: toy
model: vae
model_settings: {latent_dim: 50, hidden: [200, 200]}
data: digits
training:
  epochs: 100
  lr: 1e-3
  ema: 0.999
  optimizer: {name: adam, lr: 2e-4, betas: [0.5, 0.999]}
  schedule: {name: cosine, warmup_steps: 500}
evaluation: {importance_samples: 5000}
budget: cpu
metric: negative log-likelihood
unit: nats
published: {value: 86.76, source: "Burda et al. 2016, table 1"}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "toy.yaml"
    path.write_text(text)
    return path


def test_a_whole_recipe(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, WHOLE))
    assert (recipe.name, recipe.model, recipe.data, recipe.budget) == ("toy", "vae", "digits", "cpu")
    assert recipe.model_settings == {"latent_dim": 50, "hidden": [200, 200]}
    assert recipe.published is not None
    assert recipe.published.value == 86.76
    assert training_arguments(recipe.training) == {
        "epochs": 100,
        "lr": 1e-3,
        "ema": 0.999,
        "optimizer": Adam(2e-4, betas=(0.5, 0.999)),
        "schedule": Cosine(warmup_steps=500),
    }
    other = {"optimizer": {"name": "sgd", "momentum": 0.9}, "schedule": {"name": "step", "every": 3}}
    assert training_arguments(other) == {"optimizer": SGD(momentum=0.9), "schedule": Step(3)}


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("model: vae", "modle: vae", "no setting 'modle' .did you mean 'model'"),
        ("model: vae", "", "lacks model"),
        ("budget: cpu", "budget: tpu", "budget of the recipe .* must be one of cpu, cpu-long, gpu"),
        ("epochs: 100", "epoch: 100", "training settings has no setting 'epoch' .did you mean 'epochs'"),
        ("name: adam", "name: adan", "no optimizer 'adan' .did you mean 'adam'"),
        ("warmup_steps", "warmup", "the schedule 'cosine' has no setting 'warmup'"),
        ("warmup_steps: 500", "warmup_steps: -1", "Cosine needs warmup_steps >= 0"),
        ("value: 86.76", "value: good", "published of the recipe"),
        ("data: digits", "data: [digits]", "data of the recipe .* must be text"),
        ("evaluation: {importance_samples: 5000}", "evaluation: 5000", "evaluation of the recipe .* must be a mapping"),
        ("name: toy", "name: {toy", "is not valid YAML"),
    ],
)
def test_a_wrong_recipe(tmp_path: Path, old: str, new: str, match: str) -> None:
    with pytest.raises(InputError, match=match) as caught:
        load_recipe(write(tmp_path, WHOLE.replace(old, new)))
    assert "\n" not in str(caught.value)


def test_names_and_paths(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no recipe 'nonesuch'"):
        load_recipe("nonesuch")
    with pytest.raises(InputError, match="cannot be read"):
        load_recipe(tmp_path / "nonesuch.yaml")
    with pytest.raises(InputError, match="must be a mapping"):
        load_recipe(write(tmp_path, "[1, 2]"))


def test_every_recipe_of_the_package_is_whole() -> None:
    for name in list_recipes():
        recipe = load_recipe(name)
        assert recipe.name == name
        training_arguments(recipe.training)
