"""Sampling of images in raster order: rows, then columns, then colours.

Both samplers turn the same uniform numbers into the same image. `sample_in_raster_order` is exact and computes each
feature once: it drives a `RasterNetwork`, which keeps the features of pixels that are done. `sample_naively` evaluates
the whole network anew for every value, and is the oracle of the first.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ancestral.distributions import Observation

#: Multiply-adds of one product from which a second thread gains more than waking it costs; on a busy machine, waiting
#: for it costs a thousand times more than the product.
_WORTH_THREADS = 2**20


class RasterNetwork(ABC):
    """The conditionals of n images, one value at a time, from cached features.

    A subclass is told every value right after it was drawn. What depends on the rows above alone is for `begin_row`,
    at once for all columns.
    """

    #: Multiply-adds of the largest matrix product for one value of all images.
    work: int

    @abstractmethod
    def begin_row(self, row: int) -> None:
        """All values of the rows before `row` are written."""

    @abstractmethod
    def parameters(self, column: int, colour: int) -> Tensor:
        """The observation's parameters of the next value, (n, size)."""

    @abstractmethod
    def write(self, column: int, colour: int, values: Tensor) -> None:
        """The value at this place of each image in data space, (n,)."""


@torch.no_grad()
def sample_in_raster_order(
    network: RasterNetwork,
    observation: Observation,
    uniforms: Float[Tensor, "n colours height width"],
    *,
    given: Float[Tensor, "n colours height width"] | None = None,
    known: Bool[Tensor, "n colours height width"] | None = None,
) -> Float[Tensor, "n colours height width"]:
    """Images by the inverse of each conditional's distribution function at `uniforms`.

    Where `known`, the value is `given` instead of drawn; the draws then follow it, and do not look ahead to it.
    """
    colours, height, width = uniforms.shape[1:]
    with torch.inference_mode(), _restored_threads() as threads:
        u = _sequence(uniforms)
        fixed = None if given is None or known is None else list(zip(_sequence(known), _sequence(given)))
        values: list[Tensor] = []
        for row in range(height):
            torch.set_num_threads(threads)
            network.begin_row(row)
            if network.work < _WORTH_THREADS:
                torch.set_num_threads(1)
            for column in range(width):
                for colour in range(colours):
                    value = observation.from_uniform(network.parameters(column, colour), u[len(values)])
                    if fixed is not None:
                        value = torch.where(fixed[len(values)][0], fixed[len(values)][1], value)
                    network.write(column, colour, value)
                    values.append(value)
        images = torch.stack(values, dim=1).view(-1, height, width, colours).permute(0, 3, 1, 2)
    # A tensor made in inference mode could not be trained on; its copy can.
    return images.clone(memory_format=torch.contiguous_format)


@torch.no_grad()
def sample_naively(
    parameters: Callable[[Tensor], Tensor],
    observation: Observation,
    uniforms: Float[Tensor, "n colours height width"],
    *,
    given: Float[Tensor, "n colours height width"] | None = None,
    known: Bool[Tensor, "n colours height width"] | None = None,
) -> Float[Tensor, "n colours height width"]:
    """The same, by one evaluation of all conditionals (n, size, colours, height, width) for every value."""
    x = torch.zeros_like(uniforms) if given is None or known is None else torch.where(known, given, 0.0)
    free = torch.ones_like(uniforms, dtype=torch.bool) if known is None else ~known
    colours, height, width = uniforms.shape[1:]
    for row in range(height):
        for column in range(width):
            for colour in range(colours):
                at = (slice(None), colour, row, column)
                value = observation.from_uniform(parameters(x)[:, :, colour, row, column], uniforms[at])
                x[at] = torch.where(free[at], value, x[at])
    return x


@contextmanager
def _restored_threads() -> Iterator[int]:
    threads = torch.get_num_threads()
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def _sequence(x: Tensor) -> list[Tensor]:
    """The values of each place in raster order, (n,) each."""
    return list(x.permute(2, 3, 1, 0).reshape(-1, len(x)).unbind())
