"""Latent dimensions moved one by one, or two by two: how far, which ones, and the codes on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ancestral.interface import Decoder, InputError

#: Draws of the prior by which it is known.
_DRAWS = 4096


@dataclass(frozen=True)
class LatentSpread:
    """Where the latents of a model lie: the mean and the deviation of each flat dimension, (latent,), and the latents
    that are one-hot, with the places of their dimensions."""

    mean: Float[Tensor, " latent"]
    std: Float[Tensor, " latent"]
    one_hot: Mapping[str, range]

    @property
    def continuous(self) -> list[int]:
        """The flat dimensions that can be moved little by little: all but those of one-hot latents."""
        chosen = {place for places in self.one_hot.values() for place in places}
        return [place for place in range(len(self.mean)) if place not in chosen]

    def hardened(self, z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch latent"]:
        """Codes whose one-hot latents, in a posterior mean probabilities, are the likeliest value."""
        z = z.clone()
        for places in self.one_hot.values():
            part = z[:, places.start : places.stop]
            z[:, places.start : places.stop] = torch.zeros_like(part).scatter(1, part.argmax(1, keepdim=True), 1.0)
        return z


@torch.no_grad()
def latent_spread(
    model: Decoder,
    codes: Float[Tensor, "batch latent"] | None = None,
    context: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> LatentSpread:
    """The spread of the prior given `context`, (1, *context_event.shape); without a prior that of the `codes`.

    That of a prior is taken from draws; where these cannot be told from a standard Gaussian's it is 0 and 1.
    """
    if model.has_prior:
        given = None if context is None else context.expand(_DRAWS, *context.shape[1:])
        z = model.sample_latents(_DRAWS, context=given, generator=generator)
    elif codes is None:
        raise InputError(f"{model.display_name} has no prior of its latents: encode observations instead")
    else:
        z = codes
    mean, std = z.mean(0), z.std(0, correction=0)
    if model.has_prior:
        # Six standard errors of a mean, and of a standard deviation.
        standard = (mean.abs() < 6 / _DRAWS**0.5) & ((std - 1).abs() < 6 / (2 * _DRAWS) ** 0.5)
        mean, std = torch.where(standard, 0.0, mean), torch.where(standard, 1.0, std)
    one_hot, start = {}, 0
    for name, part in model.split_latents(z).items():
        part = part.reshape(len(part), -1)
        places, start = range(start, start + part.shape[1]), start + part.shape[1]
        if len(places) > 1 and bool(((part == 0) | (part == 1)).all() & (part.sum(1) == 1).all()):
            one_hot[name] = places
    return LatentSpread(mean, std, one_hot)


def activity(means: Float[Tensor, "batch latent"], spread: LatentSpread) -> Float[Tensor, " latent"]:
    """How much the posterior uses each latent dimension: the variance over observations of its posterior mean (Burda
    et al. 2016, section 5.2, whose units are active above 0.01) in units of the prior's variance."""
    return means.var(0, correction=0) / spread.std.square().clamp(min=1e-12)


def traversals(
    z: Float[Tensor, " latent"], axes: Sequence[int], offsets: Float[Tensor, " steps"], spread: LatentSpread
) -> Float[Tensor, "_ latent"]:
    """The code z with one dimension after another at `offsets` deviations from its mean and the others as they are,
    (axes * steps, latent), axis after axis."""
    way = z.repeat(len(axes), len(offsets), 1)
    for row, axis in enumerate(axes):
        way[row, :, axis] = spread.mean[axis] + spread.std[axis] * offsets.to(z)
    return way.flatten(0, 1)


def quantiles(side: int) -> Float[Tensor, " side"]:
    """Quantiles of the unit Gaussian at the middles of `side` equal shares of its mass, in ascending order."""
    return torch.special.ndtri((torch.arange(side, dtype=torch.float64) + 0.5) / side)


def latent_plane(
    z: Float[Tensor, " latent"], axes: tuple[int, int], offsets: Float[Tensor, " side"], spread: LatentSpread
) -> Float[Tensor, "_ latent"]:
    """The code z with two dimensions at every pair of `offsets` deviations from their means, (side * side, latent).

    Row after row from the top: the first dimension rises to the right, the second one upwards. With `quantiles` as
    offsets, and the two latents that a model has, its decoded means are the manifold of Kingma & Welling 2014,
    figure 4.
    """
    first, second = (spread.mean[axis] + spread.std[axis] * offsets.to(z) for axis in axes)
    plane = z.repeat(len(offsets), len(offsets), 1)
    plane[:, :, axes[0]] = first
    plane[:, :, axes[1]] = second.flip(0)[:, None]
    return plane.flatten(0, 1)
