"""Deterministic views of images: their grey in a few levels, and their halves."""

import torch
from jaxtyping import Num
from torch import Tensor
from torch.nn import functional as F

from ancestral.interface import Event, InputError, Levels

# Of red, green and blue, in thousandths: the luma of ITU-R BT.601, section 2.5.1.
_LUMA = (299, 587, 114)


def grey_view(x: Num[Tensor, "n colours height width"], event: Event, levels: int) -> tuple[Tensor, Event]:
    """The luma of each pixel of red, green and blue, rounded to a level of the image, in `levels` steps of equal width;
    and its event. A grey image is its own luma.

    With 16 levels it is the grey view of Kolesnikov & Lampert (2017, "PixelCNN models with auxiliary variables").
    """
    assert isinstance(event.support, Levels)
    have = event.support.levels
    if not 2 <= levels <= have:
        raise InputError(f"a grey view of images of {have} levels has 2 to {have} levels, got {levels}")
    shares = _LUMA if event.shape[0] == 3 else (1000,)
    weights = torch.tensor(shares, dtype=torch.int32, device=x.device).view(-1, 1, 1)
    dtype = torch.uint8 if levels <= 256 else torch.int64
    parts = [
        (((part * weights).sum(1, keepdim=True) + 500) // 1000 * levels // have).to(dtype) for part in x.split(2048)
    ]
    return torch.cat(parts), Event((1, *event.shape[1:]), Levels(levels))


def half_view(x: Num[Tensor, "n colours height width"], event: Event) -> tuple[Tensor, Event]:
    """The mean of each 2x2 block of pixels, rounded to a value of the image's own (a half up); and its event.

    A side is rounded up: at its end the mean is over the pixels that there are.
    """
    # Means of one, two or four integers are exact in floats.
    means = F.avg_pool2d(x.to(torch.get_default_dtype()), 2, ceil_mode=True, count_include_pad=False)
    view = (means + 0.5).floor().to(x.dtype)
    return view, Event(tuple(view.shape[1:]), event.support)
