"""Small bijections of every kind, perturbed away from their start, and the checks that all of them pass."""

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from ancestral.bijections import (
    ActNorm,
    AffineCoupling,
    AlternatingCouplings,
    Bijection,
    Chain,
    CheckerboardCoupling,
    FactorOut,
    Flatten,
    Inverse,
    MaskedAutoregressive,
    Permutation,
    PlanarFlows,
    RadialFlows,
    Squeeze,
)
from ancestral.layers.coupling_networks import ConvConditioner, MLPConditioner

M = TypeVar("M", bound=nn.Module)


def vector_coupling(features: int, *, first: bool, context_size: int = 0) -> AffineCoupling:
    moved = features // 2 if first else features - features // 2
    return AffineCoupling(MLPConditioner(features - moved, 2 * moved, (8, 8), context_size), first=first)


def alternating(features: int, couplings: int) -> AlternatingCouplings:
    kept = [features // 2 if i % 2 == 0 else features - features // 2 for i in range(couplings)]
    networks = [MLPConditioner(size, 2 * (features - size), (8,)) for size in kept]
    return AlternatingCouplings(networks, [ActNorm(features - size) for size in kept])


def channel_coupling(channels: int, *, first: bool) -> AffineCoupling:
    return AffineCoupling(ConvConditioner(channels // 2, channels, 4, 1), first=first)


def checkerboard(channels: int, height: int, width: int, *, even: bool) -> CheckerboardCoupling:
    return CheckerboardCoupling(ConvConditioner(channels, 2 * channels, 4, 1), height, width, even=even)


def autoregressive() -> Bijection:
    one, other = MaskedAutoregressive(4, [16]), MaskedAutoregressive(4, [16], reverse=True)
    return Chain([one, ActNorm(4), Inverse(other), Permutation([2, 0, 3, 1])])


def multiscale() -> Bijection:
    rest = Chain([checkerboard(2, 2, 2, even=True), Flatten((2, 2, 2))])
    steps = [checkerboard(1, 4, 4, even=False), Squeeze(), ActNorm(4), channel_coupling(4, first=True)]
    return Chain([*steps, FactorOut(rest, (4, 2, 2))])


#: Name -> (constructor, event shape).
CASES: dict[str, tuple[Callable[[], Bijection], tuple[int, ...]]] = {
    "coupling of the second half": (lambda: vector_coupling(5, first=False), (5,)),
    "coupling of the first half": (lambda: vector_coupling(5, first=True), (5,)),
    "coupling of channels": (lambda: channel_coupling(4, first=True), (4, 2, 3)),
    "alternating couplings": (lambda: alternating(5, 3), (5,)),
    "checkerboard, odd": (lambda: checkerboard(2, 3, 4, even=False), (2, 3, 4)),
    "checkerboard, even": (lambda: checkerboard(1, 3, 3, even=True), (1, 3, 3)),
    "masked autoregressive": (lambda: MaskedAutoregressive(5, [16, 16]), (5,)),
    "masked autoregressive, of one feature": (lambda: MaskedAutoregressive(1, [4]), (1,)),
    "inverse autoregressive": (lambda: Inverse(MaskedAutoregressive(4, [16], reverse=True)), (4,)),
    "autoregressive of either kind": (autoregressive, (4,)),
    "planar maps": (lambda: PlanarFlows(3, 4), (3,)),
    "radial maps": (lambda: RadialFlows(3, 4), (3,)),
    "actnorm of vectors": (lambda: ActNorm(3), (3,)),
    "actnorm of images": (lambda: ActNorm(2), (2, 2, 3)),
    "permutation": (lambda: Permutation([2, 0, 1]), (3,)),
    "flip": (lambda: Permutation.flip(4), (4,)),
    "squeeze": (Squeeze, (2, 4, 6)),
    "flatten": (lambda: Flatten((2, 1, 3)), (2, 1, 3)),
    "chain": (lambda: Chain([vector_coupling(4, first=i % 2 == 1) for i in range(6)]), (4,)),
    "multi-scale": (multiscale, (1, 4, 4)),
}


def perturbed(module: M, size: float = 1.0) -> M:
    """The module with noise added to every parameter, a layer's by its number of inputs, in evaluation mode."""
    with torch.no_grad():
        for parameter in module.parameters():
            deviation = size / math.sqrt(parameter[0].numel()) if parameter.dim() > 1 else 0.3 * size
            parameter.add_(deviation * torch.randn_like(parameter))
    return module.eval()


def jacobians(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """d function(x) / dx of each row on its own, (batch, outputs, inputs), by autograd."""
    x = x.detach().requires_grad_()
    out = function(x).flatten(1)
    rows = [torch.autograd.grad(out[:, i].sum(), x, retain_graph=True)[0].flatten(1) for i in range(out.shape[1])]
    return torch.stack(rows, dim=1)


def relative_error(value: Tensor, expected: Tensor) -> float:
    """The largest error, relative to the largest entry of what was expected (at least 1)."""
    value, expected = value.detach(), expected.detach()
    return float((value - expected).abs().max() / expected.abs().max().clamp(min=1))
