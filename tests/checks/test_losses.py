"""Gradients that are derivatives, losses that are what is monitored, training that raises it, games of two players."""

from collections.abc import Callable

import pytest
import torch
from gallery_rows import ConditionalVAE, InTurn, Labelled, OwnBackward, Penalised

from ancestral.checks import CheckFailure, check_model
from ancestral.checks.losses import gradients_are_derivatives
from ancestral.checks.subject import Subject
from ancestral.data import load_data
from ancestral.interface import Model
from ancestral.registry import build
from ancestral.training import fit

DERIVATIVE, VALUE = "a gradient is the derivative of its loss", "the loss is minus the monitored likelihood"
LIKELIHOOD, LABELS = "training raises the likelihood", "training raises the probability of the labels"
GAME, ROWS = "each player plays for itself", "a loss is a mean over rows"


def standardised() -> Model:
    model = OwnBackward()
    model.standardize(torch.tensor([3.0, -2.0]), torch.tensor([4.0, 0.1]))
    return model


RIGHT: dict[str, tuple[Callable[[], Model], set[str]]] = {
    "an elbo": (ConditionalVAE, {DERIVATIVE, VALUE, LIKELIHOOD}),
    "a bound of three samples": (
        lambda: ConditionalVAE(monitor="log_prob_lower_bound"),
        {DERIVATIVE, VALUE, LIKELIHOOD},
    ),
    "a gradient penalty": (Penalised, {DERIVATIVE, GAME, ROWS}),
    "a backward of its own": (OwnBackward, {DERIVATIVE, VALUE, LIKELIHOOD}),
    "standardised data": (standardised, {DERIVATIVE, VALUE, LIKELIHOOD}),
    "orders in turn": (InTurn, {DERIVATIVE, VALUE, LIKELIHOOD}),
    "labels": (Labelled, {DERIVATIVE, LABELS}),
}

# The fault, a model that has it, the property that it breaks, and words of the message that names it.
WRONG: list[tuple[str, Callable[[], Model], str, str]] = [
    ("a wrong backward", lambda: OwnBackward(factor=0.5), DERIVATIVE, "a backward of one's own is wrong"),
    ("latents detached", lambda: ConditionalVAE(loss="detached"), DERIVATIVE, "a part of the loss is detached"),
    ("an entropy forgotten", lambda: ConditionalVAE(loss="no entropy"), VALUE, "a KL is forgotten"),
    ("a mean over pixels", lambda: ConditionalVAE(loss="mean"), VALUE, "a mean stands where a sum belongs"),
    ("a sum over rows", lambda: OwnBackward(loss_is_summed=True), VALUE, "a sum over the batch where a mean belongs"),
    ("one of several orders", lambda: InTurn(only_the_first=True), VALUE, "only one of several orders"),
    (
        "a bound that is lowered",
        lambda: ConditionalVAE(loss="sign", monitor="log_prob_lower_bound"),
        LIKELIHOOD,
        "lowered its log_prob_lower_bound",
    ),
    ("a critic for the samples", lambda: Penalised(critic_sign=-1.0), GAME, "it must come to prefer the data"),
    ("a generator against itself", lambda: Penalised(generator_sign=-1.0), GAME, "the generator's loss has the wrong"),
    ("a penalty summed over rows", lambda: Penalised(loss="summed"), ROWS, "a sum over the batch"),
    ("a penalty of all rows", lambda: Penalised(loss="of all rows together"), ROWS, "joins the rows of its batch"),
    ("labels counted from 1", lambda: Labelled(label_shift=1), LABELS, "numbers them differently"),
]


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_model_passes(name: str) -> None:
    build, held = RIGHT[name]
    assert held <= set(check_model(build(), verbose=False).passed)


@pytest.mark.parametrize(("build", "property", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_model_is_caught(build: Callable[[], Model], property: str, words: str) -> None:
    with pytest.raises(CheckFailure) as caught:
        check_model(build(), verbose=False)
    assert caught.value.property == property, str(caught.value)
    assert words in caught.value.message


def test_a_loss_that_differs_by_design_says_so() -> None:
    model = ConditionalVAE(loss="mean")
    model.loss_differs = "pixels count a quarter"
    assert "pixels count a quarter" in check_model(model, verbose=False).skipped[VALUE]


@pytest.mark.parametrize("seed", range(3))
def test_a_large_trained_network_of_rectifiers_has_its_gradients(seed: int) -> None:
    """Along a long direction a step would cross thousands of kinks, and the slope would not be the derivative."""
    data = load_data("digits")
    torch.manual_seed(seed)
    model = build("realnvp", data)
    fit(model, data, epochs=2, progress=False)
    gradients_are_derivatives(Subject(model, 0))
