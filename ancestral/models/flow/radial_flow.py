"""Radial flow: Rezende & Mohamed 2015, "Variational inference with normalizing flows"
(arXiv:1505.05770), section 4.1.

A chain of radial maps f(z) of `bijections/radial.py`, each with a log-determinant in time linear in the dimensions. The
paper bends posteriors with them (`flow_vae`); as a density the learned direction is from data to noise,

    ln p(x) = ln N(f_K(... f_1(x)); 0, I) + sum_k ln |det df_k|        (equation 7),

so that likelihoods, and training, are exact and fast, and a sample inverts it by a quadratic equation a map.

Departures: an actnorm (Kingma & Dhariwal 2018) comes first, so that maps that start near the origin find the data; an
image is flattened; the parameters of all maps are a linear function of a context.
"""

from collections.abc import Iterable

from ancestral.bijections import ActNorm, Bijection, Chain, Flatten, RadialFlows
from ancestral.interface import Event, Levels, Model, QuickSettings, Real
from ancestral.models.flow._flow import NormalizingFlow
from ancestral.registry import register


@register("radial_flow")
class RadialFlow(NormalizingFlow):
    """Radial flow as a density (Rezende & Mohamed 2015).

    Args:
        length: radial maps in the chain.
    """

    def __init__(self, event: Event, *, context_event: Event | None = None, length: int = 16) -> None:
        super().__init__(event, context_event=context_event)
        first: list[Bijection] = [] if len(event.shape) == 1 else [Flatten(event.shape)]
        maps = RadialFlows(event.size, length, self.flat_context.size)
        self.flow = Chain([*first, ActNorm(event.size), maps])

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        return QuickSettings({"length": 32}, {"lr": 5e-3}) if event.size <= 16 else QuickSettings()

    @classmethod
    def examples(cls) -> Iterable[Model]:
        yield cls(Event((2,), Real()), length=4)
        yield cls(Event((3,), Real()), context_event=Event((), Levels(3)), length=2)
        yield cls(Event((1, 2, 2), Real()), length=2)
