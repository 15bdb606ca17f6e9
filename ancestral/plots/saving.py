"""Images as files, one each."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from ancestral.interface import Event, InputError
from ancestral.output import write_folder
from ancestral.plots.pixels import unit_range


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
