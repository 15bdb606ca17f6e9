"""Flags from signatures: their values, their help, and how a recipe's nested settings are spelled."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest

from ancestral.cli.parsing import UsageError, add_signature, keywords, make_parser, merged, parse, split_dotted
from ancestral.interface import InputError, OptimizerSpec
from ancestral.training import fit


def train(
    data: str,
    *,
    batch_size: int = 128,
    rate: float | Mapping[str, float] | None = None,
    hidden: Sequence[int] = (200, 200),
    order: Literal["natural", "random"] = "natural",
    deep: bool = False,
    extra: Mapping[str, Any] | None = None,
    optimizer: OptimizerSpec | None = None,
) -> None:
    """Train.

    Args:
        data: not a flag.
        batch_size: observations in a batch,
            at most 100 % of them.
        order: in which dimensions come: first to last.

    Raises:
        nothing: at all.
    """


PARSER_SETTINGS = {"skip": ("data",)}


def given(*arguments: str, nested: str | None = None) -> dict[str, Any]:
    parser = make_parser("train", "train", "ancestral train")
    parser.add_argument("run")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--show", type=bool, default=True)
    add_signature(parser, train, "training", **PARSER_SETTINGS, nested=nested)
    return keywords(parser, ("here", *arguments), train, **PARSER_SETTINGS, nested=nested)


def test_what_stands_on_the_command_line_is_given_and_nothing_else() -> None:
    assert given() == {}
    assert given("--seed", "3", "--batch-size", "128") == {"batch_size": 128}
    assert given("--batch_size=64", "--rate=1e-3", "--deep", "true") == {"batch_size": 64, "rate": 1e-3, "deep": True}
    assert given("--hidden", "[3, 4]", "--order", "random") == {"hidden": [3, 4], "order": "random"}
    assert given("--rate", "{a: 1, b: 1e-2}") == {"rate": {"a": 1.0, "b": 1e-2}}
    assert given("--rate", "null", "--extra", "{deep: [1, a]}") == {"rate": None, "extra": {"deep": [1, "a"]}}
    # What is no JSON value is spelled as in a recipe.
    assert given("--optimizer", "adam") == {"optimizer": "adam"}
    assert given("--optimizer", "{name: adam, lr: 1e-4}") == {"optimizer": {"name": "adam", "lr": 1e-4}}
    assert given("--model.batch-size", "3", "--model.hidden=[1]", nested="model") == {"batch_size": 3, "hidden": [1]}


def test_defaults_come_from_the_signature() -> None:
    parser = make_parser("train", "train", "ancestral train")
    add_signature(parser, train, "training", **PARSER_SETTINGS)
    args = parse(parser, ())
    assert (args.batch_size, args.hidden, args.order, args.deep, args.rate) == (128, (200, 200), "natural", False, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--batch-size", "many"), "--batch-size: expected a whole number, got 'many'"),
        (("--seed", "1.5"), "--seed: expected a whole number, got '1.5'"),
        (("--show", "perhaps"), "--show: expected true or false, got 'perhaps'"),
        (("--rate", "fast"), "--rate: expected a number or a mapping, got 'fast'"),
        (("--hidden", "[a]"), "--hidden: expected a list of whole numbers, got '[a]'"),
        (("--order", "reversed"), "--order: expected one of natural, random, got 'reversed'"),
        (("--batch", "3"), "unknown argument --batch (did you mean '--batch-size'?)"),
        (("--model.hidden", "3"), "unknown argument --model.hidden"),
        (("there",), "unknown argument there"),
        (("--rate",), "--rate: expected one argument"),
    ],
)
def test_a_wrong_one_is_said_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        given(*arguments)
    assert str(caught.value).startswith(said)
    assert str(caught.value).endswith("; see `ancestral train --help`")


def test_help_describes_each_flag_with_its_values_and_its_default() -> None:
    parser = make_parser("train", "train", "ancestral train")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    add_signature(parser, train, "settings", **PARSER_SETTINGS, nested="model")
    text = " ".join(parser.format_help().split())
    for part in (
        "--seed SEED of the noise (default: 0)",
        "settings: --model.batch_size BATCH_SIZE observations in a batch, at most 100 % of them. (default: 128)",
        "--model.order {natural,random} in which dimensions come: first to last. (default: natural)",
        "--model.hidden [ITEM,...] default: (200, 200)",
        "--model.deep {true,false} --model.extra",
    ):
        assert part in text
    assert "nothing" not in text


def test_every_setting_of_a_fit_is_a_flag_with_a_help() -> None:
    parser = make_parser("fit", "fit", "ancestral fit")
    add_signature(parser, fit, "training", skip=("model", "data"))
    entries = re.split(r"^  (?=--)", parser.format_help().split("training:")[1], flags=re.MULTILINE)[1:]
    names = [name for name in inspect.signature(fit).parameters if name not in ("model", "data")]
    assert [entry.split()[0] for entry in entries] == [f"--{name.replace('_', '-')}" for name in names]
    assert all(len(entry.split()) > 4 for entry in entries)


def test_dotted_flags_are_nested_settings() -> None:
    words = [
        "vae",
        "digits",
        "--optimizer.lr",
        "1e-4",
        "--lr",
        "3",
        "--data.labels=100",
        "--optimizer.generator.lr",
        "-1",
        "--epochs",
        "2",
    ]
    rest, options = split_dotted(words, ("optimizer", "data", "lr"))
    assert rest == ["vae", "digits", "--lr", "3", "--epochs", "2"]
    assert options == {"optimizer": {"lr": 1e-4, "generator": {"lr": -1}}, "data": {"labels": 100}}
    for arguments in (["--data.noise"], ["--data.noise", "--epochs", "3"]):
        with pytest.raises(UsageError, match="--data.noise needs a value"):
            split_dotted(arguments, ("data",))
    with pytest.raises(UsageError, match="needs a name"):
        split_dotted(["--data.", "3"], ("data",))


def test_nested_settings_change_what_they_name_and_nothing_else() -> None:
    recipe = {"epochs": 5, "optimizer": {"name": "adam", "lr": 1e-3}, "lr": 0.1}
    changed = merged(recipe, {"optimizer": {"lr": 1e-4}})
    assert changed == {"epochs": 5, "optimizer": {"name": "adam", "lr": 1e-4}, "lr": 0.1}
    assert merged({"schedule": "cosine"}, {"schedule": {"final": 0.1}}) == {
        "schedule": {"name": "cosine", "final": 0.1}
    }
    assert recipe["optimizer"] == {"name": "adam", "lr": 1e-3}
    # In whichever order they stand.
    for words in ("--o.critic.lr 2 --o.critic adam", "--o.critic adam --o.critic.lr 2"):
        assert split_dotted(words.split(), ("o",))[1] == {"o": {"critic": {"name": "adam", "lr": 2}}}
    with pytest.raises(InputError, match="lr is 0.1 altogether, so there is no generator of it to set"):
        merged(recipe, {"lr": {"generator": 1.0}})
