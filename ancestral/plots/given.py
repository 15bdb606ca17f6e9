"""Draws beside what they are drawn given, and beside what really was there."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ancestral.interface import Event, InputError
from ancestral.plots.pixels import brightness_grid, unit_range
from ancestral.plots.samples import kind_of


def given_figure(
    given: Tensor | None, drawn: Tensor, real: Tensor | None, event: Event, context_event: Event, *, title: str = ""
) -> Figure:
    """A row for each of n images: what is given of it, where that is an image of as many pixels, the images drawn given
    that, (n, draws, *event.shape), and the real one, of (n, *event.shape), where it is known."""
    if kind_of(event) != "images":
        raise InputError(f"there is no picture of draws beside real rows of the shape {event.shape}; choose .npz")
    parts, names = [drawn], [str(i + 1) for i in range(drawn.shape[1])]
    if real is not None:
        parts, names = [drawn, real[:, None]], [*names, "real"]
    bright = unit_range(torch.cat([part.detach().cpu().float() for part in parts], 1), event)
    images = bright.expand(-1, -1, 3, -1, -1)
    if given is not None and is_image_of(context_event, event):
        view = unit_range(given.detach().cpu().float(), context_event)[:, None].expand(-1, -1, 3, -1, -1)
        images, names = torch.cat([view, images], 1), ["given", *names]
    return brightness_grid(images.flatten(0, 1), len(names), column_names=names, title=title)


def is_image_of(context_event: Event | None, event: Event) -> bool:
    """Whether what is given is an image, grey or in colours, of the height and width of the observation."""
    if context_event is None or len(event.shape) != 3 or len(context_event.shape) != 3:
        return False
    return context_event.shape[0] in (1, 3) and context_event.shape[1:] == event.shape[1:]
