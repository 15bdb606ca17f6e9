"""A fixed affine map between data in their own units and the values that a network sees."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from ancestral.interface.events import InputError


class Standardization(nn.Module):
    """y = (x - shift) / scale for each dimension of an event, taken from the training data and never trained.

    It is computed in float64, so that data which float32 cannot tell apart (a mean of 1e6 with a deviation of 1e-3)
    survive it, and its buffers stay float64 whatever dtype the model is cast to.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, shift: Num[Tensor, "*event"], scale: Num[Tensor, "*event"]) -> None:
        super().__init__()
        if shift.shape != scale.shape:
            raise InputError(f"shift and scale must have one shape, got {tuple(shift.shape)} and {tuple(scale.shape)}")
        if not bool((torch.isfinite(shift) & torch.isfinite(scale) & (scale > 0)).all()):
            raise InputError("a standardisation needs finite shifts and scales above 0")
        self.register_buffer("shift", shift.detach().double().clone())
        self.register_buffer("scale", scale.detach().double().clone())

    def forward(self, x: Num[Tensor, "batch *event"]) -> Float[Tensor, "batch *event"]:
        """Data in their own units as standardised values, in float64."""
        return (x.double() - self.shift) / self.scale

    def inverse(self, y: Float[Tensor, "batch *event"]) -> Float[Tensor, "batch *event"]:
        """Standardised values in data units, in the dtype of `y`, or in float64 where it could not tell them apart."""
        x = y.double() * self.scale + self.shift
        # A thousandth of the deviation must be larger than the rounding of the largest values.
        coarse = torch.finfo(y.dtype).eps * (self.shift.abs() + self.scale) > 1e-3 * self.scale
        return x if bool(coarse.any()) else x.to(y.dtype)

    @property
    def log_scale(self) -> Float[Tensor, "*event"]:
        """ln of the scale of each dimension: what a log-density of standardised values exceeds that of the data by."""
        return self.scale.log()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Standardization":
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = buffer.to(fn(buffer).device)
        return self
