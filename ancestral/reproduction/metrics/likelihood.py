"""How likely test rows are, and what stands beside it."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from ancestral.data import Split
from ancestral.evaluation import (
    bits_per_dim,
    channel_histogram,
    evaluate,
    independent,
    kl_of_latents,
    log_likelihoods,
    stage_shares,
    standard_error,
)
from ancestral.evaluation.likelihood import DEFAULT_IMPORTANCE_SAMPLES, batches
from ancestral.interface import (
    BoundedDensity,
    Decoder,
    Event,
    ExactDensity,
    InputError,
    Model,
    StagedDensity,
)
from ancestral.registry import build
from ancestral.reproduction.baselines import markov_chain, png, sklearn_gaussian_mixture, sklearn_ppca
from ancestral.reproduction.measurement import Measure, Measurement, Trained, as_fitted, fitting_start
from ancestral.training import fit


def _independent(trained: Trained) -> Tensor:
    data = trained.data
    return independent(data.train.x, data.test.x, data.event)[1]


def _histogram(trained: Trained) -> Tensor:
    """Of an image one for each channel, of a sequence one for all its values."""
    data = trained.data
    if len(data.event.shape) == 1:
        return _markov_chain(trained, order=0)
    return channel_histogram(data.train.x, data.test.x, data.event)


def _png(trained: Trained) -> Tensor:
    return png(trained.data.test.x, trained.data.event)


def _gaussian(trained: Trained) -> Tensor:
    """One Gaussian with all covariances, by maximum likelihood."""
    data = trained.data
    if data.event.densities < data.event.size:
        raise InputError(f"the baseline gaussian is of real data, {data.name} is of {data.event.support}")
    train = data.train.x.flatten(1).double()
    normal = MultivariateNormal(train.mean(0), torch.cov(train.T, correction=0))
    return normal.log_prob(data.test.x.flatten(1).double())


def _sklearn_ppca(trained: Trained) -> Tensor:
    settings = trained.model.settings or {}
    return sklearn_ppca(*as_fitted(trained), settings["latent_dim"]) - trained.model.log_volume.cpu()


def _markov_chain(trained: Trained, order: int) -> Tensor:
    data, values = trained.data, trained.data.event.values
    if len(data.event.shape) != 1 or values is None:
        raise InputError(f"a histogram or a bigram is of discrete sequences, {data.name} is of {data.event}")
    return markov_chain(data.train.sequences, data.test.x, values, order)


def _elbo(trained: Trained, split: Split | None = None, samples: int = 100) -> Tensor:
    """The model's own evidence lower bound, which its importance samples improve on."""
    model = trained.model
    if not isinstance(model, BoundedDensity):
        raise InputError(f"{trained.recipe.model} has no ELBO: it is no BoundedDensity")
    generator, parts = torch.Generator().manual_seed(trained.seed), []
    with torch.no_grad():
        for batch in batches(split or trained.data.test, 64, trained.recipe.evaluation.get("limit")):
            x, context = batch.x.to(model.device), None if batch.context is None else batch.context.to(model.device)
            parts.append(model.elbo(x, samples=samples, context=context, generator=generator).double().cpu())
    return torch.cat(parts)


def _kl(trained: Trained) -> Tensor:
    """Minus the nats that the latents hold: a part of minus the ELBO."""
    limit = trained.recipe.evaluation.get("limit")
    return -kl_of_latents(trained.model, trained.data.test, limit=limit, seed=trained.seed)


def _sklearn_gaussian_mixture(trained: Trained) -> Tensor:
    settings = trained.model.settings or {}
    found = sklearn_gaussian_mixture(
        *as_fitted(trained),
        dict(fitting_start(trained).named_buffers()),
        covariance=settings["covariance"],
        variance_floor=settings["variance_floor"],
        iterations=trained.report.steps,
    )
    return found - trained.model.log_volume.cpu()


def _likelihood(unit: str) -> Measure:
    def in_unit(nats: float, event: Event) -> float:
        return -nats if unit == "nats" else bits_per_dim(nats, event)

    def take(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
        event = trained.data.event
        score = evaluate(trained.model, trained.data.test, **{"progress": progress, **settings})
        stderr = abs(in_unit(score.stderr, event))
        beside = {}
        if isinstance(trained.model, StagedDensity):
            how = {key: value for key, value in settings.items() if key in ("batch_size", "limit")}
            parts = stage_shares(trained.model, trained.data.test, progress=progress, **how).bits_per_dim
            to_unit = event.size * math.log(2) if unit == "nats" else 1.0
            beside = {f"of this in {stage}": bits * to_unit for stage, bits in parts.items()}
        return Measurement(in_unit(score.nats, event), stderr, score.kind, score.importance_samples, beside)

    def on_test_rows(of_rows: Callable[[Trained], Tensor]) -> Callable[[Trained], float]:
        def figure(trained: Trained) -> float:
            nats = of_rows(trained)[: trained.recipe.evaluation.get("limit")]
            return in_unit(nats.double().mean().item(), trained.data.event)

        return figure

    def of_model(trained: Trained, model: Model) -> float:
        """Of another recipe's model, as its own entry measures it but for the rows, which are the same here."""
        settings = dict(trained.recipe.evaluation)
        if isinstance(model, ExactDensity):
            settings.pop("importance_samples", None)
        test = trained.data.test if model.context_event is not None else trained.data.test.with_context(None)
        return in_unit(evaluate(model, test, **settings).nats, trained.data.event)

    simpler: dict[str, Callable[[Trained], Tensor]] = {
        "independent": _independent,
        "histogram": _histogram,
        "bigram": partial(_markov_chain, order=1),
        "png": _png,
        "gaussian": _gaussian,
        "elbo": _elbo,
        "kl": _kl,
        "sklearn_ppca": _sklearn_ppca,
        "sklearn_gaussian_mixture": _sklearn_gaussian_mixture,
    }
    return Measure(unit, take, {name: on_test_rows(rows) for name, rows in simpler.items()}, of_model=of_model)


def _divergence(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """KL(p || model) = E_p[ln p(x) - ln q(x)] over the test rows of a source whose density p is known, in nats."""
    data = trained.data
    if data.density is None:
        raise InputError(f"the density of {data.name} is not known, so there is no divergence from it")
    true = data.density(data.test.x.double())
    found = log_likelihoods(trained.model, data.test, **{"progress": progress, **settings})
    difference = true - found
    exact = isinstance(trained.model, ExactDensity)
    samples = None if exact else settings.get("importance_samples", DEFAULT_IMPORTANCE_SAMPLES)
    kind = "exact" if exact else "upper bound"
    known = {"entropy": -true.mean().item(), "independent": (true - _independent(trained)).mean().item()}
    return Measurement(difference.mean().item(), standard_error(difference), kind, samples, known)


def _gap_to_ppca(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """How far the ELBO of a linear model lies below the likelihood of probabilistic PCA with as many latents, whose
    maximum is known in closed form."""
    model, data = trained.model, trained.data
    if not isinstance(model, BoundedDensity) or not isinstance(model, Decoder):
        raise InputError(
            f"{trained.recipe.model} has no ELBO of latents to compare with probabilistic PCA's likelihood"
        )
    exact = build("ppca", data, latent_dim=model.latent_size)
    fit(exact, data.train.x, progress=False)

    of_test, of_train = (
        log_likelihoods(exact, split) - _elbo(trained, split, **settings) for split in (data.test, data.train)
    )
    # On the training rows no model of this family exceeds PPCA.
    known = {"on_training_rows": of_train.mean().item(), "ppca": -log_likelihoods(exact, data.test).mean().item()}
    return Measurement(of_test.mean().item(), standard_error(of_test), "upper bound", baselines=known)


MEASURES: Mapping[str, Measure] = {
    "negative log-likelihood": _likelihood("nats"),
    "negative log-likelihood per dimension": _likelihood("bits/dim"),
    "divergence from the true density": Measure("nats", _divergence),
    "gap to exact PPCA": Measure("nats", _gap_to_ppca),
}
