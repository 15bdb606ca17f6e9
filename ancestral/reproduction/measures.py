"""What a recipe's `metric` names: how a trained model is measured, in which unit, and what stands beside the figure.

Every metric is such that lower is better.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import MultivariateNormal

from ancestral.data import Split, columns_in_figures, in_units, kept_by_words
from ancestral.evaluation import (
    ErrorRate,
    bits_per_dim,
    channel_histogram,
    entropy_bound,
    evaluate,
    evaluate_alignment,
    evaluate_classifier,
    evaluate_hole,
    evaluate_nearest_neighbour,
    evaluate_prediction,
    evaluate_reconstruction,
    identity_alignment,
    in_digits,
    independent,
    kl_of_latents,
    log_likelihoods,
    mean_in_hole,
    nearest_in_hole,
    nearest_neighbour_error,
    read_captions,
    spread_rows,
    stage_shares,
    standard_error,
    translated,
    true_pairs,
    vector_arithmetic,
    word_vectors,
)
from ancestral.evaluation.likelihood import DEFAULT_IMPORTANCE_SAMPLES, batches
from ancestral.interface import (
    BoundedDensity,
    ClosedFormFit,
    Completer,
    Decoder,
    Encoder,
    Event,
    ExactDensity,
    InputError,
    MeanDecoder,
    Model,
    Sampler,
    StagedDensity,
    Translator,
)
from ancestral.plots import (
    class_grid_figure,
    completions_figure,
    predictions_figure,
    samples_figure,
    sections_figure,
    translations_figure,
)
from ancestral.registry import build
from ancestral.reproduction.baselines import (
    gensim_word2vec,
    google_questions,
    markov_chain,
    png,
    sklearn_gaussian_mixture,
    sklearn_kmeans,
    sklearn_pca,
    sklearn_ppca,
)
from ancestral.reproduction.making import fitted, seeded_build
from ancestral.reproduction.measurement import Measure as Measure
from ancestral.reproduction.measurement import Measurement as Measurement
from ancestral.reproduction.measurement import Trained as Trained
from ancestral.reproduction.recipes import Recipe, list_recipes, load_recipe
from ancestral.reproduction.speed import milliseconds_a_sample
from ancestral.reproduction.transfer import linear_probe
from ancestral.suggestions import did_you_mean
from ancestral.training import fit, training_arguments

#: Rows in a picture of what is filled in, or drawn of captions.
_SHOWN = 8


def check_recipe(recipe: Recipe) -> None:
    """Raise if the recipe asks for a metric, a unit or a baseline that there is none of, or leaves out a setting that
    the metric needs: before any training."""
    if recipe.metric not in MEASURES:
        near = did_you_mean(recipe.metric, MEASURES)
        raise InputError(f"there is no metric {recipe.metric!r}{near}; there are {', '.join(MEASURES)}")
    measure = MEASURES[recipe.metric]
    if recipe.unit != measure.unit:
        raise InputError(
            f"unit of the recipe {recipe.name} must be {measure.unit!r} for {recipe.metric}, got {recipe.unit!r}"
        )
    if measure.package is not None and find_spec(measure.package) is None:
        raise InputError(
            f"{recipe.name} needs {measure.package}, which is not installed: `pip install -c constraints.txt"
            f" {measure.package}`"
        )
    for setting in measure.needs:
        if setting not in recipe.evaluation:
            raise InputError(f"{recipe.metric} needs a setting {setting!r} in evaluation, which {recipe.name} has not")
    for baseline in set(recipe.baselines) - set(rivals(recipe)):
        if baseline not in measure.baselines:
            near = did_you_mean(baseline, measure.baselines)
            there_are = ", ".join(measure.baselines) or "none"
            also = "" if measure.of_model is None else ", and every recipe by its name"
            raise InputError(f"{recipe.metric} has no baseline {baseline!r}{near}; there are {there_are}{also}")
    for name in rivals(recipe):
        other = load_recipe(name)
        if (other.data, _rows_of(other)) != (recipe.data, _rows_of(recipe)):
            raise InputError(
                f"{name} cannot be a baseline of {recipe.name}: it is of {_source(other)}, not of {_source(recipe)}"
            )


def rivals(recipe: Recipe) -> list[str]:
    """The recipes among the baselines: their models are measured beside the recipe's own."""
    measure = MEASURES[recipe.metric]
    if measure.of_model is None:
        return []
    shipped = list_recipes()
    return [name for name in recipe.baselines if name not in measure.baselines and name in shipped]


def _rows_of(recipe: Recipe) -> dict[str, Any]:
    """What says which rows the data are; a baseline may be told less of them than the recipe's own model."""
    return {key: value for key, value in recipe.data_options.items() if key != "context"}


def _source(recipe: Recipe) -> str:
    options = ", ".join(f"{key}={value!r}" for key, value in recipe.data_options.items())
    return f"{recipe.data} ({options})" if options else recipe.data


def in_words(value: float, stderr: float | None, unit: str) -> str:
    """A figure with its standard error, where it has one, and its unit."""
    shown = in_digits(value, 4) if stderr is None else f"{in_digits(value, 4)} ± {in_digits(stderr, 4)}"
    return f"{shown} {unit}"


def measured(trained: Trained, progress: bool) -> Measurement:
    """The figure that the recipe asks for; those of its baselines are not among its own yet."""
    recipe = trained.recipe
    return MEASURES[recipe.metric].take(trained, recipe.evaluation, progress)


def baselines(trained: Trained) -> dict[str, float]:
    """The figures of the baselines that the recipe names."""
    measure, others = MEASURES[trained.recipe.metric], trained.others
    figures = {}
    for name in trained.recipe.baselines:
        if name in others and measure.of_model is not None:
            figures[name] = measure.of_model(trained, others[name])
        else:
            figures[name] = measure.baselines[name](trained)
    return figures


# -- Likelihood --------------------------------------------------------------------------------------------------------


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
    return sklearn_ppca(*_as_fitted(trained), settings["latent_dim"]) - trained.model.log_volume.cpu()


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
        *_as_fitted(trained),
        dict(_start(trained).named_buffers()),
        covariance=settings["covariance"],
        variance_floor=settings["variance_floor"],
        iterations=trained.report.steps,
    )
    return found - trained.model.log_volume.cpu()


def _as_fitted(trained: Trained) -> tuple[Tensor, Tensor]:
    """The training and the test rows in the units that the model is fitted in."""
    standard = trained.model.standardization
    train, test = trained.data.train.x, trained.data.test.x
    if standard is None:
        return train, test
    return standard(train.to(standard.shift.device)).cpu(), standard(test.to(standard.shift.device)).cpu()


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


def _start(trained: Trained) -> ClosedFormFit:
    """The model where its own fit started."""
    recipe = trained.recipe
    start = build(recipe.model, trained.data, **recipe.model_settings)
    if not isinstance(start, ClosedFormFit):
        raise InputError(f"{recipe.model} is not fitted by EM, so scikit-learn cannot start where it starts")
    start.fit_start(trained.data.train.x, generator=torch.Generator().manual_seed(trained.seed))
    return start


# -- Prediction --------------------------------------------------------------------------------------------------------


def _prediction(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """Of test videos, the negative log-likelihood of a frame after the first `given`, of which the picture shows
    draws."""
    model, test = trained.model, trained.data.test
    found = evaluate_prediction(model, test, **{"progress": progress, **settings})
    assert isinstance(model, Completer)
    rows = test.__getitems__(spread_rows(4, len(test)))
    x, context = rows.x.to(model.device), None if rows.context is None else rows.context.to(model.device)
    known = torch.zeros(model.event.shape, dtype=torch.bool, device=x.device)
    known[: found.given] = True
    drawn = model.complete(x, known, context=context, generator=torch.Generator().manual_seed(trained.seed))
    shown = predictions_figure(rows.x, drawn.cpu().to(rows.x), model.event, found.given)
    panels = {f"test videos, and what it draws after frame {found.given}": shown}
    return Measurement(found.nats_per_frame, found.stderr, "exact", panels=panels)


def _independent_pixels(trained: Trained) -> float:
    data, given = trained.data, trained.recipe.evaluation["given"]
    train, test = data.train.x[:, given:], data.test.x[:, given:]
    event = Event(test.shape[1:], data.event.support)
    return -independent(train, test, event)[1].double().mean().item() / test.shape[1]


def _entropy_bound(trained: Trained) -> float:
    intensity = trained.data.test.factors.get("intensity")
    if intensity is None:
        raise InputError(
            f"{trained.data.name} does not know the grey values that its pixels are drawn from: no entropy bound"
        )
    return entropy_bound(intensity, trained.recipe.evaluation["given"]).mean().item()


# -- Reconstruction ----------------------------------------------------------------------------------------------------


def _reconstruction(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """The squared distance of a row to what its code decodes to, in the units that the model is fitted in; of k-means
    the inertia."""
    model, test, schema = trained.model, trained.data.test, trained.data.schema
    found = evaluate_reconstruction(model, test, **{"progress": progress, **settings})
    assert isinstance(model, Encoder)
    assert isinstance(model, MeanDecoder)
    rows = test.__getitems__(spread_rows(64, len(test)))
    context = None if rows.context is None else rows.context.to(model.device)
    with torch.no_grad():
        back = model.decode_mean(model.encode(rows.x.to(model.device), context=context).mean, context=context).cpu()
    shown = samples_figure(in_units(back, schema), model.event, **columns_in_figures(schema))
    return Measurement(found.error, found.stderr, "exact", panels={"reconstructions of the real data": shown})


def _sklearn_kmeans(trained: Trained) -> float:
    start = dict(_start(trained).named_buffers())["centres"]
    return sklearn_kmeans(*_as_fitted(trained), start, iterations=trained.report.steps)


def _pca(trained: Trained) -> float:
    if not isinstance(trained.model, Decoder):
        raise InputError(f"{trained.recipe.model} has no code, whose size PCA could have: it is no Decoder")
    return sklearn_pca(*_as_fitted(trained), trained.model.latent_size)


# -- Classes -----------------------------------------------------------------------------------------------------------


def _classification_error(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """The share of test rows whose likeliest class is not their label; beside it the likelihood of the same rows."""
    found = evaluate_classifier(trained.model, trained.data.test, progress=progress)
    beside: dict[str, float] = {}
    if isinstance(trained.model, ExactDensity | BoundedDensity):
        score = evaluate(trained.model, trained.data.test, **{"progress": progress, **settings})
        beside["negative log-likelihood, nats"] = -score.nats
    return Measurement(100 * found.error, 100 * found.stderr, f"n = {found.n:,}", baselines=beside)


# -- Features ----------------------------------------------------------------------------------------------------------


def _nearest_neighbour(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """The share of test rows whose nearest training row, by the features, has another label."""
    found = _told_by_features(trained, trained.model, **{"progress": progress, **settings})
    return Measurement(100 * found.error, 100 * found.stderr, f"n = {found.n:,}")


def _told_by_features(trained: Trained, model: Model, **settings: Any) -> ErrorRate:
    return evaluate_nearest_neighbour(model, trained.data.train, trained.data.test, **settings)


def _raw_pixels(trained: Trained) -> float:
    """The values of a row themselves, in the units that the model is fitted in."""
    known, labels = trained.data.train.y, trained.data.test.y
    if known is None or labels is None:
        raise InputError(f"{trained.data.name} has no labels, which nearest neighbours are to tell")
    train, test = (x.flatten(1).float() for x in _as_fitted(trained))
    return 100 * nearest_neighbour_error(train, known, test, labels).error


def _untrained(trained: Trained) -> float:
    """The features of the model as it was before its training."""
    recipe = trained.recipe
    model = seeded_build(recipe.model, trained.data, trained.seed, recipe.model_settings)
    return 100 * _told_by_features(trained, model).error


def _codes(trained: Trained) -> float:
    """The codes of the model in place of its features."""
    return 100 * _told_by_features(trained, trained.model, of="codes").error


def _rival(name: str, taken: Mapping[str, str], **settings: Any) -> Callable[[Trained], float]:
    """The features of another model after a training of as many epochs, in batches of the same size and at the same
    rate. Its settings are `taken` from those of the recipe's model, by their names there, where it has them."""

    def error(trained: Trained) -> float:
        ours, training = trained.model.settings or {}, trained.recipe.training
        same = {theirs: ours[mine] for theirs, mine in taken.items() if mine in ours}
        rival = seeded_build(name, trained.data, trained.seed, {**same, **settings})
        # A rate that is set phase by phase is of the phases of the recipe's own model.
        how: dict[str, Any] = {key: training[key] for key in ("batch_size", "lr", "schedule") if key in training}
        if isinstance(how.get("lr"), Mapping):
            del how["lr"]
        fitted(
            rival,
            trained.data,
            **training_arguments(how),
            epochs=trained.report.epochs,
            seed=trained.seed,
            progress=False,
        )
        return 100 * _told_by_features(trained, rival).error

    return error


_NETWORKS = {name: name for name in ("latent_dim", "hidden", "network", "channels")}
#: What stands beside the features of an encoder (Donahue et al. 2017, section 4.1).
_RIVALS: Mapping[str, Callable[[Trained], float]] = {
    "discriminator": _rival("gan", {"latent_dim": "latent_dim", "hidden": "hidden", "discriminator_hidden": "hidden"}),
    "latent_regressor": _rival("latent_regressor", _NETWORKS),
    "joint_latent_regressor": _rival("latent_regressor", _NETWORKS, joint=True),
    "autoencoder": _rival("autoencoder", _NETWORKS, activation="leaky_relu"),
    "codes": _codes,
    "raw_pixels": _raw_pixels,
    "untrained": _untrained,
}


# -- Words -----------------------------------------------------------------------------------------------------------


def _analogy_error(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """The share of Google's analogy questions, of those whose words are all known, that are not completed rightly."""
    found = word_vectors(trained.model, trained.data.vocabulary).error(google_questions())
    error = found.error
    kind = f"n = {found.n:,} of {found.n + found.skipped:,} questions"
    shares = {name: (1 - right / asked, asked) for name, (right, asked) in found.sections.items()}
    panels = {"error by section": sections_figure(shares)}
    return Measurement(100 * error, 100 * (error * (1 - error) / found.n) ** 0.5, kind, panels=panels)


def _gensim(trained: Trained) -> float:
    """gensim's skip-gram of the same text with the same settings, from the same seed."""
    settings, training, data = trained.model.settings or {}, trained.recipe.training, trained.data
    window = data.event.shape[0]
    text = data.train.sequences
    rows = text[0].split(window) if data.train.drawn else text.unbind()
    sentences = [[data.vocabulary[token] for token in row if token > 1] for row in (row.tolist() for row in rows)]
    vectors = gensim_word2vec(
        sentences,
        dimensions=settings["dimensions"],
        window=settings["window"],
        negatives=settings["negatives"],
        subsampling=settings["subsampling"],
        rate=training["lr"] / training["batch_size"],
        final=training["schedule"]["final"],
        epochs=trained.report.epochs,
        seed=trained.seed,
    )
    return 100 * vectors.error(google_questions()).error


# -- Translations ------------------------------------------------------------------------------------------------------


def _alignment(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """The share of translations whose true partner, hidden from training, is not the nearest of the candidates."""
    model, test = trained.model, trained.data.test
    if not isinstance(model, Translator):
        raise InputError(f"{trained.recipe.model} translates nothing: it is no Translator")
    found = evaluate_alignment(model, test, **settings)
    beside = {f"to {name}": 100 * error for name, error in found.error_to.items()}
    beside |= {"chance": 100 * found.chance, "there and back, % of the range": 100 * found.cycle_error}
    kind = f"nearest of {found.candidates:,}, n = {found.n:,}"
    return Measurement(100 * found.error, 100 * found.stderr, kind, baselines=beside, panels=ways_shown(model, test))


def ways_shown(model: Translator, split: Split, n: int = 32) -> dict[str, Figure]:
    """Pictures of translations of pairs, both ways, and of these back, by their titles."""
    pairs, panels = true_pairs(split), {}
    assert pairs is not None
    for rows, source, target in zip(pairs, model.domains, reversed(model.domains), strict=True):
        x = split.__getitems__(rows[spread_rows(n, len(rows))]).x
        shown = translated(model, x, target)
        figure = translations_figure(shown.x, shown.there, shown.back, model.event, (source, target))
        panels[f"{source} to {target}, and back"] = figure
    return panels


def _no_translation(trained: Trained) -> float:
    return 100 * identity_alignment(trained.data.test, **trained.recipe.evaluation).error


# -- Holes -------------------------------------------------------------------------------------------------------------


def _hole(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """Of what the model fills in where test images are hidden, all but what the words `keep` name."""
    model, test = trained.model, trained.data.test
    how = {key: value for key, value in settings.items() if key != "keep"}
    found = evaluate_hole(model, test, _kept(trained), **how)
    assert isinstance(model, Completer)
    rows = test.__getitems__(spread_rows(_SHOWN, len(test)))
    x, context = rows.x.to(model.device), None if rows.context is None else rows.context.to(model.device)
    filled = model.complete(x, _kept(trained).to(x.device), context=context, generator=torch.Generator().manual_seed(0))
    observed = _kept(trained).expand(rows.x.shape)
    shown = completions_figure(rows.x, observed, filled.cpu()[:, None], model.event, names=["filled in"])
    kind = "one prediction" if model.predicts else "one draw"
    return Measurement(found.error, found.stderr, f"{kind}, n = {found.n:,}", panels={"holes filled in": shown})


def _kept(trained: Trained) -> Tensor:
    return kept_by_words(trained.recipe.evaluation["keep"], trained.data.event)


def _without_the_model(errors: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[Trained], float]:
    def error(trained: Trained) -> float:
        test = trained.data.test.x[: trained.recipe.evaluation.get("limit")]
        return errors(trained.data.train.x, test, _kept(trained)).mean().item()

    return error


# -- Captions ----------------------------------------------------------------------------------------------------------


def _captions(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """The share of the words of captions that a classifier of real images reads otherwise off what is drawn of them."""
    if not isinstance(trained.model, Sampler):
        raise InputError(f"{trained.recipe.model} draws nothing: it is no Sampler")
    found = read_captions(trained.model, trained.data, **{"seed": trained.seed, **settings})
    beside = {f"of {name}": 100 * error for name, error in found.by_place.items()}
    beside |= {
        "classifier_on_real_images": 100 * found.classifier_error,
        "guessing": 100 * found.guessing_error,
        "read against other captions": 100 * found.of_other_captions,
    }
    some = spread_rows(_SHOWN, found.n)
    pairs = torch.stack([found.drawn[some], found.real[some].to(found.drawn)], 1).flatten(0, 1)
    said = [trained.data.text(tokens) for tokens in found.captions[some]]
    shown = class_grid_figure(pairs, trained.model.event, said)
    kind = f"words read off {found.n:,} images"
    return Measurement(100 * found.error, 100 * found.stderr, kind, baselines=beside, panels={"drawn, and real": shown})


# -- Samples -----------------------------------------------------------------------------------------------------------


def _frechet(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    judge = trained.judge
    return Measurement(_frechet_of(trained, trained.model), None, f"{judge.extractor}, n = {judge.n:,}")


def _frechet_of(trained: Trained, model: Model) -> float:
    if not isinstance(model, Sampler):
        raise InputError(f"{model.registered_name} draws no samples, which have a Fréchet distance")
    return trained.judge.frechet(trained.judge.draw(model)).frechet


def _real(trained: Trained) -> float:
    """Other real rows, as many: the floor."""
    return trained.judge.reference


def _vector_arithmetic(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    if not isinstance(trained.model, Decoder):
        raise InputError(f"{trained.recipe.model} has no latent space to calculate in: it is no Decoder")
    result = vector_arithmetic(trained.model, trained.data, **{"seed": trained.seed, **settings})
    kind = f"{result.sums} sums of {' and '.join(result.factors)}, {result.possible} of them of pairs that it draws"
    baselines = {
        "of_pairs_that_it_draws": 100 * result.error_of_possible,
        "in_pixel_space": 100 * result.pixel_error,
        "classifier_on_real_images": 100 * result.classifier_error,
        "guessing": 100 * result.guessing_error,
    }
    title = "a - b + c = d, averages of exemplars"
    panels = {title: samples_figure(result.examples, trained.model.event, columns=4)}
    return Measurement(100 * result.error, None, kind, baselines=baselines, panels=panels)


# -- Speed -------------------------------------------------------------------------------------------------------------


def _time_of_a_sample(trained: Trained, settings: Mapping[str, Any], progress: bool) -> Measurement:
    """Beside that of the `rival`, a model of the same size by its name, and what the speed costs in likelihood."""
    model, how = trained.model, {"seed": trained.seed, **settings}
    ours, beside = milliseconds_a_sample(model, **how)
    beside |= {f"{name}, times as long": value / ours for name, value in beside.items()}
    beside["negative log-likelihood, nats"] = -evaluate(model, trained.data.test, progress=progress).nats
    return Measurement(ours, None, "median", baselines=beside)


MEASURES: Mapping[str, Measure] = {
    "negative log-likelihood": _likelihood("nats"),
    "negative log-likelihood per dimension": _likelihood("bits/dim"),
    "divergence from the true density": Measure("nats", _divergence),
    "gap to exact PPCA": Measure("nats", _gap_to_ppca),
    "negative log-likelihood of later frames": Measure(
        "nats/frame", _prediction, {"independent": _independent_pixels, "entropy_bound": _entropy_bound}, ("given",)
    ),
    "squared reconstruction error": Measure(
        "squared distance", _reconstruction, {"sklearn_kmeans": _sklearn_kmeans, "pca": _pca}
    ),
    "classification error": Measure("%", _classification_error),
    "linear-probe error": Measure("%", linear_probe),
    "one-nearest-neighbour error": Measure("%", _nearest_neighbour, _RIVALS),
    "analogy error": Measure("%", _analogy_error, {"gensim": _gensim}, package="gensim"),
    "Fréchet distance": Measure("squared distance", _frechet, {"real": _real}, of_model=_frechet_of),
    "alignment error": Measure("%", _alignment, {"identity": _no_translation}),
    "vector arithmetic error": Measure("%", _vector_arithmetic),
    "caption reading error": Measure("%", _captions),
    "squared error in the hole": Measure(
        "per value",
        _hole,
        {
            "mean_image": _without_the_model(mean_in_hole),
            "nearest_neighbour": _without_the_model(nearest_in_hole),
        },
        ("keep",),
    ),
    "time of a sample": Measure("ms", _time_of_a_sample, needs=("rival", "rival_settings")),
}
