"""A history of generated images, on which a discriminator learns beside the latest (Shrivastava et al. 2017, section
2.3; Zhu et al. 2017, section 4)."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ancestral.interface import InputError


class ImagePool(nn.Module):
    """The `size` images that came first, until each is replaced: then every image that comes is returned itself, or by
    a chance of one half takes the place of one of them, any alike, which is returned instead. None of 0 `size`.

    The images of one call take different places. The state is in buffers that are saved with no model; draws are from
    the global generator, and nothing waits for the device.
    """

    images: Float[Tensor, "places *event"]
    filled: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        if size < 0:
            raise InputError(f"pool must be at least 0, got {size}")
        self.size = size
        # One place more than the pool has, to which is written what is not kept.
        self.register_buffer("images", torch.zeros(size + 1, *shape), persistent=False)
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64), persistent=False)

    @property
    def state(self) -> Mapping[str, Tensor]:
        return {"images": self.images, "filled": self.filled}

    @torch.no_grad()
    def exchange(self, fresh: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *event"]:
        """As many images as come, each itself or one of the pool, in whose place it then is."""
        if self.size == 0:
            return fresh.detach()
        return torch.cat([self._exchange(part) for part in fresh.detach().split(self.size)])

    def _exchange(self, fresh: Tensor) -> Tensor:
        n, device, nowhere = len(fresh), fresh.device, self.size
        fresh = fresh.to(self.images.dtype)
        number = self.filled + torch.arange(n, device=device)
        first = number < self.size
        self.images[torch.where(first, number, nowhere)] = fresh
        self.filled.add_(n).clamp_(max=self.size)
        taken = ~first & (torch.rand(n, device=device) < 0.5)
        place = torch.randperm(self.size, device=device)[:n]
        held = self.images[place]
        self.images[torch.where(taken, place, nowhere)] = fresh
        return torch.where(taken.view(-1, *[1] * (fresh.dim() - 1)), held, fresh)
