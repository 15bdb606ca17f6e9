"""Completions beside what they are completions of."""

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ancestral.interface import Binary, Categories, Event, InputError
from ancestral.plots.pixels import brightness_grid, strips_figure, unit_range
from ancestral.plots.samples import kind_of
from ancestral.plots.sequences import waveforms_figure

#: What is not observed of an image: no grey, so that it is neither black nor white.
_UNKNOWN = (0.45, 0.62, 0.85)


def completions_figure(
    original: Tensor,
    observed: Tensor,
    completions: Tensor,
    event: Event,
    *,
    names: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """Each observation (n, *event.shape), what of it is `observed`, and its completions (n, completions, *event.shape).

    A row an image or a waveform; a clip has a block of rows, with its frames side by side, and so has a strip of bits
    or categories. What is not observed, and NaN in the original, is blue, or left empty; originals of which no more is
    known than what is observed are left out. `names` are those of the completions, by default their numbers.
    """
    n, count = completions.shape[:2]
    more = bool((~observed.to(original.device) & ~original.isnan()).any())
    names = [*(["original"] if more else []), "observed", *(names or [str(i + 1) for i in range(count)])]
    x = torch.cat([*([original[:, None]] if more else []), original[:, None], completions], 1).detach().cpu().float()
    hidden = torch.zeros_like(x, dtype=torch.bool)
    hidden[:, int(more)] = ~observed.cpu()
    hidden |= x.isnan()
    shape = event.shape
    if kind_of(event) == "images" or (len(shape) == 4 and shape[1] in (1, 3)):
        known = x[:, 0][~x[:, 0].isnan()]
        bright = unit_range(x, event, like=known if len(known) else completions)
        images, unknown = (part.reshape(-1, *shape[-3:]).expand(-1, 3, -1, -1) for part in (bright, hidden))
        painted = torch.where(unknown, torch.tensor(_UNKNOWN).view(3, 1, 1), images)
        if len(shape) == 3:
            return brightness_grid(painted, len(names), column_names=names, title=title)
        return brightness_grid(painted, shape[0], row_names=names * n, title=title)
    if len(shape) != 1:
        raise InputError(f"there is no picture of completions of the shape {shape}; choose .npz")
    flat = x.masked_fill(hidden, torch.nan).flatten(0, 1)
    if isinstance(event.support, Binary | Categories):
        return strips_figure(flat, event, row_names=names * n, title=title)
    return waveforms_figure(flat, event, len(names), column_names=names, title=title)
