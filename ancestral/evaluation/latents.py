"""Codes, and the observations that they decode to: walks between them, and what of an observation each latent holds."""

from fractions import Fraction
from typing import Literal, TypeAlias, get_args

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch.nn.functional import normalize

from ancestral.interface import Decoder, InputError, MeanDecoder

#: How a walk leads from one code to another.
Path: TypeAlias = Literal["linear", "spherical"]

#: Codes that are decoded at once: bounds the memory.
_ROWS = 512
#: In radians: codes that are nearer to opposite have no direction of turning of their own.
_STRAIGHT = 1e-4


@torch.no_grad()
def decoded(
    model: Decoder,
    z: Float[Tensor, "batch n"],
    context: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Num[Tensor, "batch *event"]:
    """What codes look like, in data units: the expected observations of a `MeanDecoder`, of another decoder draws.

    `context` is (batch, *context_event.shape).
    """
    parts = []
    for start in range(0, len(z), _ROWS):
        rows = slice(start, start + _ROWS)
        given = None if context is None else context[rows]
        if isinstance(model, MeanDecoder):
            parts.append(model.decode_mean(z[rows], context=given).cpu())
        else:
            parts.append(model.decode(z[rows], context=given, generator=generator).cpu())
    return torch.cat(parts)


def walks(
    first: Float[Tensor, "n latent"], second: Float[Tensor, "n latent"], steps: int, path: Path = "linear"
) -> Float[Tensor, "_ latent"]:
    """Codes on the way from the codes `first` to `second`, (n * steps, latent), walk after walk.

    A "linear" path is the straight line. A "spherical" one turns about the origin at an even pace in the plane of both
    codes (Shoemake 1985), while its length goes evenly from the one to the other. A straight line between two draws of
    N(0, I) in many dimensions leads through lengths that hardly any draw has; a turn does not (White 2016, section 2).
    Codes in one direction, zero among them, are joined by the straight line; opposite ones, through which many such
    planes go, in one that also holds the axis on which they have least.
    """
    if path not in get_args(Path):
        raise InputError(f"path must be one of {', '.join(get_args(Path))}, got {path!r}")
    weight = torch.linspace(0, 1, steps, dtype=first.dtype, device=first.device)[:, None, None]
    way = torch.lerp(first, second, weight) if path == "linear" else _turn(first, second, weight)
    return way.transpose(0, 1).flatten(0, 1)


def _turn(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Spherical paths, (steps, n, latent), as the turn of a unit vector u towards a v that is orthogonal to it: unlike
    Shoemake's quotients of sines, it divides by nothing that vanishes where the codes are parallel or opposite."""
    start, end = first.norm(dim=1, keepdim=True), second.norm(dim=1, keepdim=True)
    u, target = normalize(first, dim=1), normalize(second, dim=1)
    # From zero all directions are alike; a walk to zero keeps its own.
    u = torch.where(start > 0, u, target)
    cosine = (u * target).sum(1, keepdim=True)
    across = target - cosine * u
    angle = torch.atan2(across.norm(dim=1, keepdim=True), cosine)
    free = torch.zeros_like(u).scatter(1, u.abs().argmin(1, keepdim=True), 1.0)
    free = free - (free * u).sum(1, keepdim=True) * u
    v = normalize(torch.where(angle < torch.pi - _STRAIGHT, across, free), dim=1)
    return torch.lerp(start, end, weight) * (torch.cos(weight * angle) * u + torch.sin(weight * angle) * v)


@torch.no_grad()
def resampled(
    model: Decoder,
    z: Float[Tensor, "batch latent"],
    context: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[list[Fraction], Num[Tensor, "_ *event"]]:
    """What of an observation each latent holds (after Dinh et al. 2017, appendix on latent semantics).

    The shares of z that are kept, from all but the last latent to the first alone, and for each code the observation
    itself and those with the later latents drawn anew given the ones that are kept,
    (batch * (1 + shares), *event.shape).
    """
    latents = list(model.split_latents(z).items())
    codes, shares = [z], []
    for kept in range(len(latents) - 1, 0, -1):
        given = dict(latents[:kept])
        codes.append(model.sample_latents(len(z), given=given, context=context, generator=generator))
        shares.append(Fraction(sum(latent[0].numel() for latent in given.values()), model.latent_size))
    if context is not None:
        context = context.repeat_interleave(len(codes), 0)
    return shares, decoded(model, torch.stack(codes, dim=1).flatten(0, 1), context, generator)
