"""RealNVP.

Dinh, Sohl-Dickstein & Bengio 2017, "Density estimation using Real NVP" (arXiv:1605.08803). An invertible f maps data
to noise, and ln p(x) = ln N(f(x); 0, I) + ln |det df/dx| (equation 3), with f a chain of affine couplings whose
Jacobians are triangular (equations 4 to 8).

Vectors: couplings of alternating halves. Images: the multi-scale architecture of section 3.6. At each scale three
couplings with alternating checkerboards, a squeeze, three with alternating halves of the channels, and half of the
variables leave for the latent; at the last scale four checkerboard couplings.

Faithful: couplings, masks, squeeze, factoring out, residual conditioners. Left out on purpose: batch norm and weight
norm, whose place actnorm takes (a batch's statistics would leak between examples), and the skip connections of the
paper's residual networks. The log-scale is bounded, see `bijections/coupling.py`. Levels are dequantized, with the
paper's logit, by `build`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from ancestral.bijections import (
    ActNorm,
    AffineCoupling,
    AlternatingCouplings,
    Bijection,
    Chain,
    CheckerboardCoupling,
    FactorOut,
    Flatten,
    Squeeze,
)
from ancestral.interface import Event, InputError, Levels, Model, QuickSettings, Real
from ancestral.layers.coupling_networks import ConvConditioner, MLPConditioner
from ancestral.models.flow._flow import NormalizingFlow
from ancestral.registry import register

Shape = tuple[int, int, int]


@register("realnvp")
class RealNVP(NormalizingFlow):
    """RealNVP: affine couplings, multi-scale on images.

    The latents of an image lie from coarse to fine: "z0" is what the last scale outputs, the last one what the first
    scale factored out. The leading 1/2, 1/4, ... of a flat z is therefore what a picture's composition depends on, and
    to keep only that and draw the rest anew gives the paper's figure of re-sampled latents (appendix D).
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        blocks: int | None = None,
        hidden: Sequence[int] = (128, 128),
        channels: int = 32,
        scales: int | None = None,
        normalization: Literal["actnorm", "none"] = "actnorm",
        dropout: float = 0.0,
    ) -> None:
        """
        Args:
            event: (d,) with d >= 2, or (c, h, w) with at least two pixels; `Real`.
            context_event: what each conditioner is told besides.
            blocks: couplings of a vector's flow (8), or residual blocks of each conditioner of an image's (2).
            hidden: widths of the perceptrons (vectors).
            channels: width of the residual conditioners (images).
            scales: number of scales (images); by default halved for as long as the sides stay even, down to 4.
            normalization: "actnorm" at the start and between couplings, or "none": then standardise the data.
            dropout: probability of dropping an activation in the residual conditioners (images).
        """
        super().__init__(event, context_event=context_event)
        if blocks is not None and blocks < 1:
            raise InputError(f"blocks must be at least 1, got {blocks}")
        if channels < 1:
            raise InputError(f"channels must be at least 1, got {channels}")
        if normalization not in ("actnorm", "none"):
            raise InputError(f"normalization must be 'actnorm' or 'none', got {normalization!r}")
        if not 0 <= dropout < 1:
            raise InputError(f"dropout must be in [0, 1), got {dropout}")
        self._normalized = normalization == "actnorm"
        if len(event.shape) == 1:
            self.flow = self._vector_flow(event.size, 8 if blocks is None else blocks, hidden)
            self._shapes: list[tuple[int, ...]] = [event.shape]
        else:
            channels_in, height, width = event.shape
            shape = (channels_in, height, width)
            network = (channels, 2 if blocks is None else blocks, self.flat_context.size, dropout)
            scales = _default_scales(height, width) if scales is None else _checked_scales(scales, height, width)
            self._shapes = _latent_shapes(shape, scales)
            self.flow = self._image_flow(shape, scales, network)

    def _vector_flow(self, size: int, couplings: int, hidden: Sequence[int]) -> Bijection:
        networks, norms = [], []
        for i in range(couplings):
            kept = size // 2 if i % 2 == 0 else size - size // 2
            networks.append(MLPConditioner(kept, 2 * (size - kept), hidden, self.flat_context.size))
            norms += self._norm(size - kept)
        return Chain([*self._norm(size), AlternatingCouplings(networks, norms)])

    def _image_flow(self, shape: Shape, scales: int, network: tuple[int, int, int, float]) -> Bijection:
        channels, height, width = shape
        steps: list[Bijection] = []
        for i in range(4 if scales == 1 else 3):
            conditioner = ConvConditioner(channels, 2 * channels, *network)
            steps += [*self._norm(channels), CheckerboardCoupling(conditioner, height, width, even=i % 2 == 1)]
        if scales == 1:
            return Chain([*steps, Flatten(shape)])
        steps.append(Squeeze())
        squeezed = (4 * channels, height // 2, width // 2)
        for i in range(3):
            conditioner = ConvConditioner(2 * channels, 4 * channels, *network)
            steps += [*self._norm(4 * channels), AffineCoupling(conditioner, first=i % 2 == 1)]
        rest = self._image_flow((2 * channels, *squeezed[1:]), scales - 1, network)
        return Chain([*steps, FactorOut(rest, squeezed)])

    def _norm(self, features: int) -> list[Bijection]:
        return [ActNorm(features)] if self._normalized else []

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if reason := super().supports(event, context_event):
            return reason
        if len(event.shape) not in (1, 3):
            return "the shape must be (features,) or (channels, height, width)"
        if event.size < 2:
            return "a coupling needs at least 2 dimensions"
        if len(event.shape) == 3 and math.prod(event.shape[1:]) < 2:
            return "an image needs at least 2 pixels; reshape it to a vector"
        return None

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        if len(event.shape) < 3:
            return QuickSettings({"hidden": [64, 64]})
        if event.size <= 256:
            return QuickSettings({"channels": 32, "blocks": 1, "dropout": 0.1}, {"lr": 2e-3, "clip_gradient": 50.0})
        return QuickSettings({"channels": 24, "blocks": 1}, {"clip_gradient": 100.0})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        yield cls(Event((2,), Real()), blocks=4, hidden=(16,))
        yield cls(
            Event((5,), Real()), context_event=Event((), Levels(3)), blocks=2, hidden=(8, 8), normalization="none"
        )
        yield cls(Event((1, 4, 4), Real()), channels=4, blocks=1, scales=2)
        yield cls(Event((2, 3, 4), Real()), context_event=Event((2,), Real()), channels=4, blocks=1)

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {f"z{i}": shape for i, shape in enumerate(self._shapes)}


def _latent_shapes(shape: Shape, scales: int) -> list[tuple[int, ...]]:
    """The latents of an image, from coarse to fine."""
    if scales == 1:
        return [shape]
    channels, height, width = shape
    half = (2 * channels, height // 2, width // 2)
    return [*_latent_shapes(half, scales - 1), half]


def _default_scales(height: int, width: int) -> int:
    halvable = height % 2 == width % 2 == 0 and min(height, width) >= 8
    return 1 + _default_scales(height // 2, width // 2) if halvable else 1


def _checked_scales(scales: int, height: int, width: int) -> int:
    if scales < 1:
        raise InputError(f"scales must be at least 1, got {scales}")
    sides = 2 ** (scales - 1)
    if height % sides or width % sides:
        raise InputError(
            f"with scales={scales} the sides must divide by {sides}, got {height} x {width}; use fewer scales"
        )
    if height * width == sides**2:
        raise InputError(f"with scales={scales} a {height} x {width} image shrinks to one pixel; use fewer scales")
    return scales
