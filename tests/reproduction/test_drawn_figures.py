"""Figures go where recipes go: the same names, the same ledger, the same command."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from matplotlib.figure import Figure

from ancestral.interface import InputError
from ancestral.reproduction import figure as mechanism
from ancestral.reproduction import list_figures, list_recipes, load_result, markdown_table, read_ledger, reproduce
from ancestral.reproduction.figure import Drawn, FigureRecipe, figure
from ancestral.reproduction.measurement import Measurement


@pytest.fixture
def falling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A figure that needs no training: its number is 1 for the first seed, 1/2 for the second, and so on."""

    @figure(model="made", data="digits", metric="depth", unit="m", split="train", source="nobody, 2000", notes="a test")
    def falling_leaf(seed: int, data_root: str | None, progress: bool, *, wind: float = 0.5) -> Drawn:
        """How deep it falls."""
        return Drawn(Figure(), Measurement(1 / (1 + seed), None, "exact", baselines={"wind": wind}))

    monkeypatch.setattr(mechanism, "list_figures", lambda: ["falling-leaf"])
    monkeypatch.setitem(sys.modules, "ancestral.reproduction.figures.falling_leaf", ModuleType("falling_leaf"))
    yield
    del mechanism._FIGURES["falling-leaf"]


def test_every_figure_of_the_package_is_whole_and_named_after_its_file() -> None:
    assert list_figures()
    assert not set(list_figures()) & set(list_recipes())
    for name in list_figures():
        result = load_result(name)
        assert isinstance(result, FigureRecipe)
        assert result.name == name
        assert result.draw.__doc__
        json.dumps(result.settings, allow_nan=False)


def test_an_entry_is_the_mean_over_seeds(falling: None, tmp_path: Path) -> None:
    entry = reproduce("falling-leaf", results_dir=tmp_path, seeds=(0, 1, 1), progress=False)
    assert (entry,) == tuple(read_ledger(tmp_path))
    assert (entry.value, entry.stderr) == (0.75, pytest.approx(0.25))
    assert (entry.seeds, entry.split, entry.metric, entry.unit) == ([0, 1], "train", "depth", "m")
    assert (entry.settings, entry.baselines, entry.source) == ({"wind": 0.5}, {"wind": 0.5}, "nobody, 2000")
    assert (entry.epochs, entry.parameters, entry.selected_on) == (None, None, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["falling-leaf.json", "falling-leaf.png"]


def test_what_a_figure_does_not_take_is_refused(falling: None, tmp_path: Path) -> None:
    for how in ({"minutes": 1.0}, {"resume": True}):
        with pytest.raises(InputError, match="falling-leaf is a figure, made in one go"):
            reproduce("falling-leaf", results_dir=tmp_path, progress=False, **how)
    with pytest.raises(InputError, match="no recipe or figure 'faling-leaf' .did you mean 'falling-leaf'"):
        reproduce("faling-leaf", results_dir=tmp_path)
    with pytest.raises(InputError, match="no recipe or figure 'made-dnaa' .did you mean 'made-dna'"):
        reproduce("made-dnaa", results_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_bar_in_a_metric_does_not_end_its_cell(falling: None, tmp_path: Path) -> None:
    entry = reproduce("falling-leaf", results_dir=tmp_path, progress=False)
    lines = markdown_table([replace(entry, metric="KL(q || p(z | x))")]).splitlines()
    assert "(KL(q \\|\\| p(z \\| x)))" in lines[2]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines[:3]}) == 1


# -- The figures of the package, each by what must hold of it ---------------------------------------------------------


def drawn(name: str, seed: int = 0, **settings) -> Measurement:
    result = load_result(name)
    assert isinstance(result, FigureRecipe)
    return result.draw(seed=seed, data_root=None, progress=False, **settings).measurement


@pytest.mark.parametrize("seed", [0, 1])
def test_em_touches_the_likelihood_after_each_e_step_and_never_falls(seed: int) -> None:
    found = drawn("em-elbo", seed, iterations=12)
    assert 0 <= found.value < 1e-12
    fall, *gaps = found.baselines.values()
    assert 0 <= fall < 1e-12
    assert min(gaps) > 1e-3


def test_the_amortization_gap_is_drawn_from_few_rows_and_steps() -> None:
    found = drawn("amortization-gap", epochs=1, e_steps=1, rows=4, steps=1, samples=2)
    named = found.baselines
    assert found.value == pytest.approx(named["-ELBO by the encoder"] - named["-ELBO by a q for each example"])


def test_the_true_posterior_is_drawn_for_few_rows() -> None:
    found = drawn("true-posterior", hidden=[8], epochs=1, rows=2, side=40, importance_samples=3)
    assert found.stderr is not None
    assert found.value > 0
    assert 0 < found.baselines["of the IWAE's q_IW"] < found.baselines["of the IWAE's q"]


def test_resampled_latents_are_drawn_after_two_steps() -> None:
    small = {"map_latents": 1, "channels": 4, "prior_channels": 4, "stage_channels": 4}
    found = drawn("resampled-latents", model=small, training={"steps": 2, "batch_size": 8}, pairs=8, columns=2)
    assert min(found.value, *found.baselines.values()) > 0


def test_only_pixelcnn_has_a_blind_spot() -> None:
    found = drawn("receptive-fields", size=11, channels=8, images=8)
    assert found.value == 0
    # Of 5 rows above and 5 pixels to the left, it misses 2 pixels to the right in the first row above, 1 in the second.
    assert found.baselines["PixelCNN"] == pytest.approx(100 * 3 / (5 * 11 + 5))


def test_the_detail_of_samples_is_drawn_after_two_steps(data_root: str) -> None:
    result = load_result("vae-blur-gan-detail")
    assert isinstance(result, FigureRecipe)
    found = result.draw(seed=0, data_root=data_root, progress=False, images=30, steps=2).measurement
    shares = [share for name, share in found.baselines.items() if "share of the power" in name]
    means, draws, gan = shares
    # Before it has learned anything, a VAE is all but flat.
    assert 0 <= max(means, draws) < 20
    assert found.value == pytest.approx(abs(gan - 100))


@pytest.mark.slow
def test_an_encoder_loses_on_its_own_decoder_and_more_on_one_trained_without_it() -> None:
    """The order of Cremer et al. 2018: a decoder that learned beside its encoder is easier for one to invert."""
    found = drawn("amortization-gap", epochs=25, rows=60, steps=150, samples=100)
    named = found.baselines
    assert found.stderr is not None
    assert found.value > 4 * found.stderr > 0
    assert named["-ELBO by a q for each example"] > named["-ln p(x)"]
    assert named["variational EM: gap"] > found.value
    # Of its own q's the second decoder's bound is as good as the first one's of its: both have learned.
    for name in ("-ELBO by a q for each example", "-ln p(x)"):
        assert named[f"variational EM: {name}"] < named["-ELBO by the encoder"] < 115
