"""Masked and inverse autoregressive flows: one triangular transform, `bijections/autoregressive.py`, two directions.

Masked autoregressive flow: Papamakarios, Pavlakou & Murray 2017, "Masked autoregressive flow for density estimation"
(arXiv:1705.07057). Each transform is a MADE whose conditionals are Gaussian, and gives the noise of the next,

    u_i = (x_i - mu_i(x_<i)) exp(-alpha_i(x_<i)),    |det du/dx| = exp(-sum_i alpha_i)      (equations 4 and 5)

so that a density takes one pass of each network, and a sample a step for each dimension.

Inverse autoregressive flow: Kingma et al. 2016, "Improving variational inference with inverse autoregressive flow"
(arXiv:1606.04934), section 3. The same map from noise to data (section 3.2 of the former compares them): a sample takes
one pass, and the density of data that it did not make a step for each dimension. There it bends posteriors, as in
`flow_vae`; here it is a density in its own right, learned through the solved direction.

Faithful: the masks, alternating orders, a context in every mu and alpha (section 3.4). Departures: actnorm in the place
of batch norm, as in `realnvp`; the log-scale is bounded (`bijections/affine.py`); all transforms start as the identity.
Left out: MAF MoG, the mixture as base density, and Kingma's gated form of the transform. An image is flattened.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Literal

from ancestral.bijections import ActNorm, Bijection, Chain, Flatten, Inverse, MaskedAutoregressive
from ancestral.interface import Event, InputError, Levels, Model, QuickSettings, Real
from ancestral.models.flow._flow import NormalizingFlow
from ancestral.registry import register


class AutoregressiveFlow(NormalizingFlow):
    """A chain of triangular transforms in alternating orders; a subclass says which of their directions is to noise."""

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        blocks: int = 5,
        hidden: Sequence[int] = (128, 128),
        normalization: Literal["actnorm", "none"] = "actnorm",
    ) -> None:
        super().__init__(event, context_event=context_event)
        if blocks < 1:
            raise InputError(f"a flow needs at least 1 transform, got blocks={blocks}")
        if normalization not in ("actnorm", "none"):
            raise InputError(f"normalization must be 'actnorm' or 'none', got {normalization!r}")
        steps: list[Bijection] = [] if len(event.shape) == 1 else [Flatten(event.shape)]
        for i in range(blocks):
            if normalization == "actnorm":
                steps.append(ActNorm(event.size))
            transform = MaskedAutoregressive(event.size, hidden, self.flat_context.size, reverse=i % 2 == 1, seed=i)
            steps.append(self._to_noise(transform))
        self.flow = Chain(steps)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        return QuickSettings({"hidden": [64, 64]} if len(event.shape) < 3 else {})

    @staticmethod
    @abstractmethod
    def _to_noise(transform: MaskedAutoregressive) -> Bijection:
        """The transform, or its inverse, as a map from data towards noise."""

    @classmethod
    def _tiny(cls) -> Iterable[Model]:
        yield cls(Event((2,), Real()), blocks=2, hidden=(16,))
        yield cls(
            Event((3,), Real()), context_event=Event((), Levels(3)), blocks=2, hidden=(8, 8), normalization="none"
        )
        yield cls(Event((1, 2, 2), Real()), context_event=Event((2,), Real()), blocks=2, hidden=(8,))


@register("maf")
class MaskedAutoregressiveFlow(AutoregressiveFlow):
    """Masked autoregressive flow: densities in one pass, samples dimension by dimension (Papamakarios et al. 2017).

    Args:
        blocks: transforms, in alternating orders of the flattened event.
        hidden: widths of the hidden layers of each transform's network.
        normalization: "actnorm" before each transform, or "none": then standardise the data.
    """

    @staticmethod
    def _to_noise(transform: MaskedAutoregressive) -> Bijection:
        return transform

    @classmethod
    def examples(cls) -> Iterable[Model]:
        return cls._tiny()


@register("iaf")
class InverseAutoregressiveFlow(AutoregressiveFlow):
    """Inverse autoregressive flow: samples in one pass, densities dimension by dimension (Kingma et al. 2016).

    Args:
        blocks: transforms, in alternating orders of the flattened event.
        hidden: widths of the hidden layers of each transform's network.
        normalization: "actnorm" before each transform, or "none": then standardise the data.
    """

    @staticmethod
    def _to_noise(transform: MaskedAutoregressive) -> Bijection:
        return Inverse(transform)

    @classmethod
    def examples(cls) -> Iterable[Model]:
        return cls._tiny()
