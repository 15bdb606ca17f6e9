"""Analogies of words."""

from collections.abc import Mapping
from typing import Any

from ancestral.evaluation import word_vectors
from ancestral.plots import sections_figure
from ancestral.reproduction.baselines import gensim_word2vec, google_questions
from ancestral.reproduction.measurement import Measure, Measurement, Trained


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


MEASURES: Mapping[str, Measure] = {
    "analogy error": Measure("%", _analogy_error, {"gensim": _gensim}, package="gensim"),
}
