"""Totals, bounds, latents, fits, translations, codes: right models pass, each fault is caught by its property."""

import re
from collections.abc import Callable

import pytest
import torch
from gallery import Masked
from gallery_latents import (
    Autoencoder,
    Blob,
    Clusters,
    DrawingDecoder,
    Ellipse,
    HalfBound,
    Hierarchy,
    Incomplete,
    Latents,
    Quantizer,
    Shifts,
)

from ancestral.checks import PROPERTIES, CheckFailure, check_model
from ancestral.checks.check import _decide, _run
from ancestral.checks.joint import encoding_agrees_with_the_density
from ancestral.checks.report import Broken, CheckReport, Property, always, require
from ancestral.checks.subject import Subject
from ancestral.interface import Binary, Event, Model
from ancestral.models.autoregressive.hierarchical_pixelcnn import HierarchicalPixelCNN

# The right model, and properties that must have been decided for it.
RIGHT: dict[str, tuple[Callable[[], Model], tuple[str, ...]]] = {
    "blob": (Blob, ("the total probability is 1",)),
    "latents": (
        Latents,
        (
            "the total probability is 1",
            "the encoding is that of the density",
            "given its latents an observation has total probability 1",
            "the decoded prior averages to the samples",
            "latents follow their prior",
        ),
    ),
    "a bound of half the probability": (HalfBound, ("the total probability is 1",)),
    "hierarchy": (Hierarchy, ("latents follow their prior", "the decoded prior follows the samples")),
    "a decoder that draws": (DrawingDecoder, ("the decoded prior follows the samples",)),
    "clusters": (
        Clusters,
        ("the encoding is that of the density", "classes are Bayes' rule", "a fit is a maximum"),
    ),
    "incomplete rows": (Incomplete, ("a fit is a maximum", "a fit with missing values is a maximum")),
    "ellipse": (Ellipse, ("completions follow the density",)),
    "quantizer": (Quantizer, ("a code is the nearest", "centres are the means of their clusters")),
    "shifts": (Shifts, ("a translator knows two domains", "a translation reaches its domain")),
    "autoencoder": (Autoencoder, ("an autoencoder reconstructs",)),
}

# The fault, a model that has it, the property that it breaks, and words of the message that names it.
WRONG: list[tuple[str, Callable[[], Model], str, str]] = [
    ("a density that integrates to 3", lambda: Blob(total=3.0), "the total probability is 1", "over all x, not 1"),
    ("a density that integrates to 1000", lambda: Blob(total=1000.0), "the total probability is 1", "integrates to"),
    ("a density that integrates to 0.9", lambda: Blob(total=0.9), "the total probability is 1", "over all x, not 1"),
    (
        "a density of 3 that its samples do not cover",
        lambda: Blob(total=3.0, sample_scale=0.02),
        "the total probability is 1",
        "integrates to",
    ),
    (
        "a normaliser counted twice",
        lambda: Blob(double_constant=True),
        "the total probability is 1",
        "1/2 ln(2 pi) for each dimension is counted twice",
    ),
    (
        "a wrong number of importance samples",
        lambda: Latents(bound="normaliser"),
        "the total probability is 1",
        "a wrong normaliser",
    ),
    (
        "a mean of logarithms over chunks of samples",
        lambda: Latents(bound="logs"),
        "the total probability is 1",
        "a mean of logarithms",
    ),
    ("a bound that covers too much", lambda: HalfBound(share=1.2), "the total probability is 1", "not at most 1"),
    (
        "an encoder of another width",
        lambda: Latents(encoded_scale=0.8),
        "the encoding is that of the density",
        "encode is not the q of the bound",
    ),
    (
        "a joint with half of the likelihood",
        lambda: Latents(joint_pixels=0.5),
        "the encoding is that of the density",
        "log_joint is not its p(x, z)",
    ),
    (
        "a joint with a constant too much",
        lambda: Latents(joint_lift=0.05),
        "given its latents an observation has total probability 1",
        "a normaliser is wrong",
    ),
    (
        "prior draws of another width",
        lambda: Latents(prior_scale=1.2),
        "latents follow their prior",
        "sample_latents does not follow log_prior",
    ),
    (
        "a decoder that decodes the latents' mirror image",
        lambda: Latents(decoded_sign=-1.0),
        "given its latents an observation has total probability 1",
        "the two decode differently",
    ),
    (
        "a decoder that ignores its context",
        lambda: Latents(decoder_ignores_context=True),
        "given its latents an observation has total probability 1",
        "the two decode differently",
    ),
    (
        "a sampler with a shift",
        lambda: Latents(sampler_shift=0.5),
        "samples follow the density",
        "the sampler is likelier to be wrong",
    ),
    (
        "constants of a fixed dtype",
        lambda: Latents(fixed_dtype=True),
        "outputs have their shapes, dtypes",
        "mixes dtypes",
    ),
    (
        "children that ignore their parents",
        lambda: Hierarchy(orphans=True),
        "latents follow their prior",
        "sample_latents, given 'parent', does not follow log_prior",
    ),
    (
        "a prior that is not normalised",
        lambda: Hierarchy(prior_lift=0.2),
        "latents follow their prior",
        "log_prior is not normalised",
    ),
    (
        "a decoder that scales its latents",
        lambda: Hierarchy(decoded_scale=0.8),
        "the decoded prior follows the samples",
        "does not follow the law of sample",
    ),
    (
        "a decoder of another temperature",
        lambda: DrawingDecoder(temperature=0.3),
        "the decoded prior follows the samples",
        "does not follow the law of sample",
    ),
    (
        "responsibilities without weights",
        lambda: Clusters(flat_prior=True),
        "the encoding is that of the density",
        "encode is not its posterior",
    ),
    (
        "classes in another order",
        lambda: Clusters(classes_reversed=True),
        "classes are Bayes' rule",
        "class_log_probs is not Bayes' rule",
    ),
    (
        "centres in another order",
        lambda: Clusters(swapped_means=True),
        "given its latents an observation has total probability 1",
        "the two decode differently",
    ),
    ("an M step with a wrong divisor", lambda: Clusters(spread=1.02), "a fit is a maximum", "with the data scaled"),
    (
        "an M step that leaves the weights",
        lambda: Clusters(equal_weights=True),
        "a fit is a maximum",
        "the M step sets the weights wrongly",
    ),
    (
        "missing values replaced by the mean",
        lambda: Incomplete(imputes_the_mean=True),
        "a fit with missing values is a maximum",
        "the fit ends beside the maximum",
    ),
    (
        "missing values taken as known",
        lambda: Incomplete(forgets_what_is_unknown=True),
        "a fit with missing values is a maximum",
        "the fit ends beside the maximum",
    ),
    (
        "rows with missing values scored by nothing",
        lambda: Incomplete(scores_the_whole_alone=True),
        "a fit with missing values is a maximum",
        "of rows with missing values (NaN) log_prob has the mean",
    ),
    (
        "codes numbered backwards",
        lambda: Quantizer(numbered_backwards=True),
        "a code is the nearest",
        "the decoded codes themselves among them",
    ),
    (
        "centres that are medians",
        lambda: Quantizer(median=True),
        "centres are the means of their clusters",
        "the inertia is least at the mean",
    ),
    (
        "a translation to the wrong domain",
        lambda: Shifts(wrong_domain=True),
        "a translation reaches its domain",
        "does not come near 'winter'",
    ),
    (
        "a translation that changes nothing",
        lambda: Shifts(idle=True),
        "a translator knows two domains",
        "`to` is not looked at",
    ),
    (
        "two domains of one name",
        lambda: Shifts(one_name=True),
        "a translator knows two domains",
        "must be two different names",
    ),
    (
        "a pool that a resumed run forgets",
        lambda: Shifts(forgets=True),
        "what training moves survives a resumption",
        "moves the buffer latest",
    ),
    (
        "a pool that is saved with the model",
        lambda: Shifts(saves=True),
        "what training moves survives a resumption",
        "register it with persistent=False",
    ),
    (
        "a completion that predicts the mean",
        lambda: Ellipse(noise=0.0),
        "completions follow the density",
        "do not follow the law of sample",
    ),
    (
        "a completion that does not look at what is known",
        lambda: Ellipse(gain=0.0),
        "completions follow the density",
        "do not follow the law of sample",
    ),
    (
        "a decoder that ignores the code",
        lambda: Autoencoder(ignores_code=True),
        "an autoencoder reconstructs",
        "the decoder ignores the code",
    ),
    (
        "an encoder that is not the one that was trained",
        lambda: Autoencoder(scrambled=True),
        "an autoencoder reconstructs",
        "the squared error of decode(encode(x).mean)",
    ),
]


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_model_passes(name: str) -> None:
    build, decided = RIGHT[name]
    report = check_model(build(), verbose=False)
    assert len(report.passed) + len(report.undecided) + len(report.skipped) == len(PROPERTIES)
    assert set(decided) <= set(report.passed)


@pytest.mark.parametrize(("build", "property", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_wrong_model_is_caught(build: Callable[[], Model], property: str, words: str) -> None:
    with pytest.raises(CheckFailure) as caught:
        check_model(build(), verbose=False)
    assert caught.value.property.startswith(property), str(caught.value)
    assert words in caught.value.message


def test_what_cannot_be_decided_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    report = check_model(Masked(Event((30,), Binary())))
    assert "too many to enumerate" in report.undecided["the total probability is 1"]
    assert "the total probability is 1" not in report.passed + list(report.skipped)
    last = capsys.readouterr().out.splitlines()[-1]
    assert "2 UNDECIDED (the total probability is 1; samples follow the density)" in last


@pytest.mark.parametrize(("failures", "broken"), [(0, False), (1, False), (2, True)])
def test_what_may_fail_by_chance_is_broken_only_if_it_fails_again(failures: int, broken: bool) -> None:
    draws: list[float] = []

    def unlucky(subject: Subject) -> None:
        draws.append(float(torch.rand((), generator=subject.generator())))
        require(len(draws) > failures, "unlucky")

    subject = Subject(Blob(), 0)
    by_chance = Property("luck", always, unlucky, by_chance=True)
    if broken:
        with pytest.raises(Broken, match=re.escape("unlucky")):
            _decide(by_chance, subject)
    else:
        _decide(by_chance, subject)
    assert len(set(draws)) == len(draws) == min(failures, 1) + 1


def test_mixed_dtypes_are_a_diagnosis() -> None:
    mixed = Property("products exist", always, lambda subject: torch.zeros(2, 2) @ torch.zeros(2, 2).double())
    with pytest.raises(CheckFailure, match="products exist: Blob mixes dtypes"):
        _run(mixed, Subject(Blob(), 0), CheckReport("blob"))


def test_a_model_that_follows_one_view_is_held_against_its_own_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    model = HierarchicalPixelCNN(Event((1, 2, 2), Binary()), channels=4, blocks=1, view_scales=1, dilations=[])
    encoding_agrees_with_the_density(Subject(model, 0))
    prior = HierarchicalPixelCNN._log_prior
    monkeypatch.setattr(HierarchicalPixelCNN, "_log_prior", lambda *given: 2 * prior(*given))
    with pytest.raises(Broken, match="log_joint is not its p"):
        encoding_agrees_with_the_density(Subject(model, 0))
