"""Right models pass, and each fault of the gallery is caught by the property that names it."""

import copy
from collections.abc import Callable

import pytest
import torch
from gallery import (
    GAN,
    VAE,
    AveragedLogits,
    Chain,
    Flow,
    Masked,
    Mixture,
    Normalised,
    Recent,
    Stateful,
    Tokens,
    UncheckedNormalised,
)

from ancestral import registry
from ancestral.checks import PROPERTIES, CheckFailure, check_model
from ancestral.interface import Binary, Event, Model, Real

VECTOR = Event((4,), Binary())
COLOURS = Event((3, 1, 2), Binary())
LABEL = Event((1,), Binary())

RIGHT: dict[str, Callable[[], Model]] = {
    "masked": lambda: Masked(VECTOR),
    "masked, three orders": lambda: Masked(VECTOR, orders=3),
    "masked, colours": lambda: Masked(COLOURS),
    "masked, conditional": lambda: Masked(VECTOR, context_event=LABEL),
    "averaged orders": AveragedLogits,
    "autoregressive, continuous": Chain,
    "autoregressive, of any length": Recent,
    "flow": Flow,
    "vae": VAE,
    "gan": GAN,
    "normalised": Normalised,
    "mixture": Mixture,
    "tokens": Tokens,
}

# The fault, a model that has it, the property that it breaks, and words of the message that names it.
WRONG: list[tuple[str, Callable[[], Model], str, str]] = [
    (
        "a mask off by one",
        lambda: Masked(VECTOR, mask_includes_itself=True),
        "each conditional is normalised",
        "a mask off by one",
    ),
    (
        "colour channels in the wrong order",
        lambda: Masked(COLOURS, reversed_colours=True),
        "a conditional sees earlier dimensions alone",
        "the colour channels are in the wrong order",
    ),
    (
        "a forgotten log-determinant",
        lambda: Flow(forgets="all"),
        "the log-determinant is that of the Jacobian",
        "the log-determinant is forgotten",
    ),
    (
        "a layer's log-determinant forgotten",
        lambda: Flow(forgets="coupling"),
        "the log-determinant is that of the Jacobian",
        "a layer's own may be forgotten",
    ),
    (
        "an inverse that is none",
        lambda: Flow(inverse_shift=0.9),
        "codes decode to the data",
        "decode is not the inverse of encode",
    ),
    (
        "an ELBO with a wrong sign",
        lambda: VAE(elbo_sign=-1.0),
        "probabilities are at most 1",
        "wrong sign",
    ),
    (
        "a KL of the wrong sign",
        lambda: VAE(kl_scale=-1.0),
        "elbo <= importance bound <= exact",
        "the KL has the wrong sign",
    ),
    (
        "an ELBO with a mean where a sum belongs",
        lambda: VAE(pixels=0.25),
        "elbo <= importance bound <= exact",
        "the reconstruction is a mean over dimensions where a sum belongs",
    ),
    (
        "a mean where a sum belongs in the weights too",
        lambda: VAE(pixels=0.25, weight_pixels=0.25),
        "the total probability is 1",
        "a mean where a sum belongs",
    ),
    ("a KL halved", lambda: VAE(kl_scale=0.5), "elbo <= importance bound <= exact", "the KL is halved"),
    ("a KL missing", lambda: VAE(kl_scale=0.0), "elbo <= importance bound <= exact", "the KL is missing"),
    (
        "a KL halved in the weights too",
        lambda: VAE(kl_scale=0.5, weight_kl_scale=0.5),
        "the total probability is 1",
        "a KL or an entropy scaled",
    ),
    (
        "an ELBO that grows with its samples",
        lambda: VAE(samples_are_summed=True),
        "elbo <= importance bound <= exact",
        "average over samples, do not sum",
    ),
    ("a bound above the exact value", lambda: VAE(lift=0.1), "the total probability is 1", "the importance weights"),
    (
        "a decoder's output outside of the support",
        lambda: VAE(decodes_logits=True),
        "latents have their shapes and decode into the support",
        "outside of the support",
    ),
    (
        "a sampler that ignores its seed",
        lambda: Normalised(draws="own"),
        "the seed decides, and nothing else moves",
        "sample ignores its seed",
    ),
    (
        "a sampler that counts its calls",
        lambda: Normalised(draws="state"),
        "the seed decides, and nothing else moves",
        "sample ignores its seed",
    ),
    (
        "a sampler that reseeds",
        lambda: Normalised(draws="reseeds"),
        "the seed decides, and nothing else moves",
        "sample ignores its seed",
    ),
    (
        "a sampler of another temperature",
        lambda: Masked(VECTOR, sampler="sharp"),
        "draws follow their conditionals",
        "another temperature",
    ),
    (
        "a sampler of another temperature, too large to enumerate",
        lambda: Masked(Event((30,), Binary()), sampler="sharp"),
        "draws follow their conditionals",
        "another temperature",
    ),
    (
        "a sampler of another temperature, continuous",
        lambda: Chain(sharp=True),
        "draws follow their conditionals",
        "another temperature",
    ),
    *(
        (
            f"a cache that is wrong: {cache}",
            lambda cache=cache: Masked(VECTOR, context_event=LABEL, orders=2, cache=cache),  # type: ignore[misc]
            "cached draws are the naive ones",
            "from cached features is not what the whole network gives",
        )
        for cache in ("stale", "misplaced", "sharp", "half the context")
    ),
    (
        "a cache of too few digits",
        lambda: Masked(VECTOR, cache="coarse"),
        "cached parameters are those of one pass",
        "rounding that grows",
    ),
    (
        "a sampler without a temperature",
        lambda: Masked(VECTOR, sampler="always at 1"),
        "cold draws are the likeliest values",
        "the temperature is not, or not rightly, used",
    ),
    *(
        (
            f"a sequence's conditionals by its {fault}",
            lambda fault=fault: Recent(fault=fault),  # type: ignore[misc]
            "conditionals do not hang on the length",
            words,
        )
        for fault, words in (("length", "differ with the length"), ("place", "hang on the place in the sequence"))
    ),
    (
        "a receptive field that is larger than it says",
        lambda: Recent(declared=1),
        "conditionals do not hang on the length",
        "of step 2 depends on step 0, but the receptive field is said to be 1",
    ),
    (
        "a completion of nothing",
        lambda: Masked(VECTOR, sampler="forgetful"),
        "a completion keeps what is known",
        "without regard to what is given",
    ),
    (
        "a sampler of one order only",
        lambda: Masked(VECTOR, orders=2, sampled_order=0),
        "draws follow their conditionals",
        "orders that are not drawn alike",
    ),
    (
        "a sampler of another width",
        lambda: Flow(sample_scale=0.9),
        "samples",
        "sample disagrees with the density",
    ),
    (
        "a phase that lists a foreign parameter",
        lambda: GAN(lists_both=True),
        "each parameter belongs to one phase",
        "touches a foreign parameter",
    ),
    (
        "a phase that changes a foreign parameter",
        lambda: GAN(clips_all=True),
        "a phase changes only its own parameters",
        "phase 'critic' touches foreign parameters: a step of it changed generator",
    ),
    ("a parameter never used", lambda: GAN(idle=True), "every parameter gets a gradient", "unused.weight"),
    (
        "batch norm leaking into a score",
        lambda: Normalised(batch_statistics=True),
        "a row's results depend on that row alone",
        "batch statistics, as of batch norm, leak into it",
    ),
    ("a random likelihood", lambda: Normalised(noisy=True), "the seed decides, and nothing else moves", "log_prob"),
    ("a fixed dtype", lambda: Normalised(single=True).double(), "outputs have their shapes, dtypes", "torch.float32"),
    ("a likelihood past the base's checks", UncheckedNormalised, "bad input is refused", "log_prob accepts"),
    (
        "probabilities that sum to 1.01",
        lambda: Masked(VECTOR, total=1.01),
        "orders average probabilities",
        "log_prob is not the logarithm of the mean over orders",
    ),
    (
        "logits averaged over MADE orders",
        lambda: AveragedLogits(averages_logits=True),
        "the total probability is 1",
        "logits averaged where probabilities belong",
    ),
    (
        "log-probabilities averaged over MADE orders",
        lambda: Masked(VECTOR, orders=3, averages_logs=True),
        "orders average probabilities",
        "averaged over orders where probabilities belong",
    ),
    (
        "a loss of the wrong sign",
        lambda: Masked(VECTOR, loss_sign=1.0),
        "the loss is minus the monitored likelihood",
        "the loss has the wrong sign",
    ),
    (
        "an input changed in place",
        lambda: Normalised(in_place=True),
        "outputs have their shapes",
        "log_prob changes x, which the caller still holds, in place",
    ),
    (
        "token ids in floats",
        lambda: Tokens(in_floats=True),
        "outputs have their shapes",
        "sample returned torch.float32 values for Categories(categories=3): categories are names, in int64",
    ),
    (
        "a context never used",
        lambda: Masked(VECTOR, context_event=LABEL, ignores_context=True),
        "the context is used",
        "the context is never used",
    ),
    (
        "EM with a wrong M step",
        lambda: Mixture(forgets_weights=True),
        "a fit's objective never falls",
        "objective",
    ),
    (
        "EM that overshoots",
        lambda: Mixture(step=3.0),
        "a fit's objective never falls",
        "objective",
    ),
    (
        "an objective of the wrong sign",
        lambda: Mixture(objective_sign=-1.0),
        "a fit's objective never falls",
        "outside of the mean log_prob before and after it",
    ),
]


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_model_passes(name: str) -> None:
    report = check_model(RIGHT[name](), verbose=False)
    assert len(report.passed) + len(report.undecided) + len(report.skipped) == len(PROPERTIES)


@pytest.mark.parametrize(("build", "property", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_model_is_caught(build: Callable[[], Model], property: str, words: str) -> None:
    with pytest.raises(CheckFailure) as caught:
        check_model(build(), verbose=False)
    assert caught.value.property.startswith(property), str(caught.value)
    assert words in caught.value.message


def test_state_that_is_not_saved_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    registered = registry.register("stateful")(Stateful)
    check_model(registered(Event((1,), Real())), verbose=False)
    with pytest.raises(CheckFailure, match="neither a parameter nor a buffer"):
        check_model(registered(Event((1,), Real()), hidden_state=True), verbose=False)


def test_the_model_and_the_global_generator_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    model = Masked(VECTOR).train()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    report = check_model(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert model.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    printed = capsys.readouterr().out
    assert printed.count("  holds    ") == len(report.passed)
    assert "  skipped  save and load give the same numbers: it is made by hand" in printed
