"""Translations between what they are translations of and what comes back."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ancestral.interface import Event
from ancestral.plots.samples import kind_of, samples_figure

#: Columns of pictures, of three images each, and of what is wider one.
_ACROSS = 4


def translations_figure(x: Tensor, there: Tensor, back: Tensor, event: Event, names: tuple[str, str]) -> Figure:
    """Observations (n, *event.shape) of the first of the domains `names`, their translations to the second, and these
    translated back, side by side."""
    across = min(_ACROSS, len(x)) if kind_of(event) == "images" else 1
    parts = [part.detach().cpu().double() for part in (x, there, back)]
    titles = [names[0], f"as {names[1]}", "back"] * across
    return samples_figure(torch.stack(parts, 1).flatten(0, 1), event, columns=3 * across, column_names=titles)
