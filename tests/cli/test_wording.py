"""What the library says, in the words of the command line."""

from pathlib import Path

import pytest

from ancestral.cli.sources import option_loaders, option_names
from ancestral.cli.wording import in_flags
from ancestral.training import fit


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("pass missing=True for a model", "pass --data.missing true for a model"),
        ("the column of labels with label=", "the column of labels with --data.label LABEL"),
        ("pass size= to resize, grey=True for grey", "pass --data.size SIZE to resize, --data.grey true for grey"),
        ("pass support=real, or support=levels:40 if", "pass --support real, or --support levels:40 if"),
        ("continue with resume=True, or choose", "continue with --resume, or choose"),
        ("labels=5 is 1 of each; context=labels needs", "--data.labels 5 is 1 of each; --context labels needs"),
        ("drop=income leaves it out", "--data.drop income leaves it out"),
        ("pass decimal=',' for decimals", "pass --data.decimal ',' for decimals"),
        ("with batch_size=4", "with --batch-size 4"),
        ("x must lie in Levels(levels=17), Binary() or Real()", "x must lie in levels:17, binary or real"),
        ("batch_size must be at least 1", "--batch-size must be at least 1"),
        ("got Levels(levels=9) of the shape (1, 8)", "got levels:9 of the shape (1, 8)"),
        ("epochs must be a whole number", "--epochs must be a whole number"),
        ("a.csv: columns must be a mapping", "a.csv: --data.columns must be a mapping"),
        ("run_dir runs/a_b is not empty", "--run-dir runs/a_b is not empty"),
        # What only looks so.
        ("the rows and columns must be alike", "the rows and columns must be alike"),
        ("latent_dim must be at least 1", "latent_dim must be at least 1"),
        ("the columns must be named; batch_size.csv", "the columns must be named; batch_size.csv"),
        ("there is no file 'runs/label=3.csv'", "there is no file 'runs/label=3.csv'"),
        ("/data/size=3/a.csv has 3 fields", "/data/size=3/a.csv has 3 fields"),
        ("if event.support == an.Binary", "if event.support == an.Binary"),
        ("a column called colour=red", "a column called colour=red"),
    ],
)
def test_keywords_are_flags(said: str, shown: str) -> None:
    assert fit
    assert in_flags(said) == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("latent_dim must be at least 1", "--model.latent_dim must be at least 1"),
        ("latent_dim and samples must be", "--model.latent_dim and --model.samples must be"),
        ("beta and free_bits must not be", "--model.beta and --model.free_bits must not be"),
        ("observation on real must be", "--model.observation on real must be"),
        ("hidden needs widths of at least 1", "--model.hidden needs widths of at least 1"),
        ("activation must be one of relu, tanh", "--model.activation must be one of relu, tanh"),
        ("at least 0, got samples=0", "at least 0, got --model.samples 0"),
        ("seed must be a whole number", "--model.seed must be a whole number"),
        ("levels must be at most those of Levels(levels=9)", "--model.levels must be at most those of levels:9"),
        ("the samples of hidden=[4], and beta", "the samples of --model.hidden [4], and beta"),
    ],
)
def test_settings_of_a_model_are_flags(said: str, shown: str) -> None:
    settings = ("latent_dim", "hidden", "observation", "samples", "beta", "free_bits", "activation", "seed", "levels")
    assert in_flags(said, settings) == shown
    assert in_flags(shown) == shown


def test_a_wrong_setting_of_a_model_is_said_in_flags(cli) -> None:
    for settings, said in [
        (("--model.latent_dim", 0), "--model.latent_dim and --model.layers must be at least 1, got 0 and 1"),
        (("--model.activation", "elu"), "--model.activation must be one of relu, tanh, leaky_relu, got 'elu'"),
        (("--model.hidden", "[0]"), "--model.hidden must be a list of widths of at least 1, got [0]"),
    ]:
        assert cli("fit", "vae", "wine", *settings) == (1, "", f"ancestral: error: {said}\n")


def test_every_command_with_data_lists_the_options_of_all_kinds(cli) -> None:
    options = [f"--data.{name}" for load in option_loaders().values() for name in option_names(load)]
    assert {"--data.separator", "--data.columns", "--data.size", "--data.mu_law", "--data.tokens"} <= {*options}
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert [option for option in options if f"`{option.removeprefix('--data.')}`" not in readme] == []
    for command in ("fit", "evaluate", "score", "encode", "reconstruct", "interpolate", "compare"):
        shown = cli(command, "--help").out
        assert [option for option in options if option not in shown] == [], command
        assert "{age: real, income: categories, zip: drop}" in " ".join(shown.split())
        assert "schema" not in shown
