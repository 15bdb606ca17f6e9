"""The affine map of one entry given others, z = x exp(s) + t, which couplings and autoregressive transforms share.

Two choices keep float32 accurate far outside the data. The log-scale is s = tanh(raw), without a learned factor: a
variable shrinks at most e-fold in one map, so that a chain of them does not drown it in the rounding of what is added
to it. And a conditioner sees its input clipped to [-20, 20], far beyond standardised data: outside, the map is affine
with constant coefficients, so an error in one variable is not multiplied by the size of another.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

CLIP = 20.0


def clipped(x: Tensor) -> Tensor:
    """What a conditioner sees of x."""
    return F.hardtanh(x, -CLIP, CLIP)


def transformed(moved: Tensor, shift: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
    """moved * exp(log_scale) + shift, and the sum of the log-scales of each example, (batch,)."""
    return torch.addcmul(shift, moved, log_scale.exp()), log_scale.flatten(1).sum(1)


def restored(moved: Tensor, shift: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse of `transformed`, and ln |det| of its own Jacobian."""
    return (moved - shift) * torch.exp(-log_scale), -log_scale.flatten(1).sum(1)
