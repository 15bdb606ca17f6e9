"""Planar and radial flows as densities.

Rezende & Mohamed 2015, "Variational inference with normalizing flows" (arXiv:1505.05770), section 4.1: a chain of maps
f(z) of `bijections/planar.py` or `bijections/radial.py`, each with a log-determinant in time linear in the dimensions.
The paper bends posteriors with them (`flow_vae`); as a density the learned direction is from data to noise,

    ln p(x) = ln N(f_K(... f_1(x)); 0, I) + sum_k ln |det df_k|        (equation 7),

so that likelihoods, and training, are exact and fast. A sample inverts every map: a planar one by bisection of one
number, a radial one by a quadratic equation.

Departures: an actnorm (Kingma & Dhariwal 2018) comes first, so that maps that start near the origin find the data; an
image is flattened; the parameters of all maps are a linear function of a context.
"""

from collections.abc import Callable, Iterable
from typing import ClassVar

from ancestral.bijections import ActNorm, Bijection, Chain, Flatten, PlanarFlows, RadialFlows
from ancestral.interface import Event, Levels, Model, QuickSettings, Real
from ancestral.models.flow._flow import NormalizingFlow
from ancestral.registry import register


class _ChainOfMaps(NormalizingFlow):
    """Maps of one kind behind an actnorm; a subclass names the kind."""

    #: The chain of so many maps: (features, length, context_size).
    maps: ClassVar[Callable[[int, int, int], Bijection]]

    def __init__(self, event: Event, *, context_event: Event | None = None, length: int = 16) -> None:
        super().__init__(event, context_event=context_event)
        first: list[Bijection] = [] if len(event.shape) == 1 else [Flatten(event.shape)]
        maps = type(self).maps(event.size, length, self.flat_context.size)
        self.flow = Chain([*first, ActNorm(event.size), maps])

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        return QuickSettings({"length": 32}, {"lr": 5e-3}) if event.size <= 16 else QuickSettings()

    @classmethod
    def _tiny(cls) -> Iterable[Model]:
        yield cls(Event((2,), Real()), length=4)
        yield cls(Event((3,), Real()), context_event=Event((), Levels(3)), length=2)
        yield cls(Event((1, 2, 2), Real()), length=2)


@register("planar_flow")
class PlanarFlow(_ChainOfMaps):
    """Planar flow as a density (Rezende & Mohamed 2015).

    Args:
        length: planar maps in the chain.
    """

    maps = PlanarFlows

    @classmethod
    def examples(cls) -> Iterable[Model]:
        return cls._tiny()


@register("radial_flow")
class RadialFlow(_ChainOfMaps):
    """Radial flow as a density (Rezende & Mohamed 2015).

    Args:
        length: radial maps in the chain.
    """

    maps = RadialFlows

    @classmethod
    def examples(cls) -> Iterable[Model]:
        return cls._tiny()
