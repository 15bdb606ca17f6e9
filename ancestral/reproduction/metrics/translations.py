"""Translations between domains whose true pairs were hidden."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from ancestral.data import Split
from ancestral.evaluation import (
    evaluate_alignment,
    identity_alignment,
    spread_rows,
    translated,
    true_pairs,
)
from ancestral.interface import InputError, Translator
from ancestral.plots import translations_figure
from ancestral.reproduction.measurement import Measure, Measurement, Trained


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


MEASURES: Mapping[str, Measure] = {
    "alignment error": Measure("%", _alignment, {"identity": _no_translation}),
}
