"""Images as files, one each, and videos as an animation."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from ancestral.interface import Event, InputError
from ancestral.output import write_bytes, write_folder
from ancestral.plots.pixels import grid_pixels, unit_range
from ancestral.plots.samples import kind_of

#: The ground between videos, a grey that is neither the black nor the white of their frames, and how fast they run.
_GROUND, _MILLISECONDS = 0.5, 150


def save_images(x: Tensor, event: Event, folder: str | Path, names: Sequence[str] | None = None) -> None:
    """Write images (n, channels, height, width) as PNG files of their own size into a new folder, all or none.

    Of 256 levels every value is a value of the file; fewer levels are spread over 0 .. 255, real values from the least
    to the greatest of all. The files are called by `names`, without an ending, or by their numbers.
    """
    if len(event.shape) != 3 or event.shape[0] not in (1, 3):
        raise InputError(f"images have 1 or 3 channels, a height and a width; the event's shape is {event.shape}")
    levels = (255 * unit_range(x.detach().cpu().double(), event)).round().byte()
    files = []
    for image in levels.numpy():
        stream = io.BytesIO()
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(stream, format="png")
        files.append(stream.getvalue())
    write_folder(files, ".png", Path(folder), names)


def save_animation(x: Tensor, event: Event, path: str | Path, *, columns: int | None = None) -> None:
    """Write videos (n, *event.shape) as one GIF, side by side in a grid of `columns`, each frame of all at a time."""
    if kind_of(event) != "videos":
        raise InputError(f"a GIF is of videos, (frames, 1 or 3 channels, height, width); got the shape {event.shape}")
    frames = []
    for images in unit_range(x.detach().cpu().float(), event).unbind(1):
        grid = grid_pixels(images, columns)
        ink = np.where(grid[..., 3:] > 0, grid[..., :3], _GROUND)
        frames.append(Image.fromarray((255 * ink).round().astype(np.uint8)))
    stream = io.BytesIO()
    frames[0].save(stream, "gif", save_all=True, append_images=frames[1:], duration=_MILLISECONDS, loop=0)
    write_bytes(stream.getvalue(), Path(path))
