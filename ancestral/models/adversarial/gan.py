"""Generative adversarial networks.

Goodfellow et al. 2014, "Generative adversarial nets" (arXiv:1406.2661). A generator G maps z ~ N(0, I) to data, a
discriminator D tells real from generated, and they play (equation 1)

    min_G max_D V(D, G) = E_data[ln D(x)] + E_z[ln(1 - D(G(z)))].

For a fixed G the best D is p_data / (p_data + p_G) (proposition 1), where V = -ln 4 + 2 JS(p_data, p_G) (theorem 1).
Each step is one step of D and one of G, on noise of its own. G descends E ln(1 - D(G(z))) ("minimax") or
-E ln D(G(z)) ("non_saturating", section 3), whose gradient does not vanish while D wins.

Departures: Gaussian noise; ReLU and leaky ReLU without maxout and dropout; Adam in place of momentum; one-sided label
smoothing (Salimans et al. 2016) where `real_label` is below 1, and R1 where `penalty` is above 0.
"""

from collections.abc import Iterable, Sequence
from functools import partial

from ancestral.interface import Binary, Categories, Event, Levels, Model, QuickSettings, Real
from ancestral.layers.mlp import check_widths
from ancestral.models.adversarial._networks import VectorDiscriminator, vector_generator
from ancestral.models.adversarial._two_players import GoodfellowModel, unsupported
from ancestral.registry import register


@register("gan")
class GAN(GoodfellowModel):
    """Generative adversarial network of two multilayer perceptrons (Goodfellow et al. 2014).

    Args:
        latent_dim: dimensions of the noise z.
        hidden: widths of the generator's hidden layers.
        discriminator_hidden: widths of the discriminator's.
        objective: the generator's, "non_saturating" or "minimax".
        real_label: what the discriminator is to answer for real data in training; 1, or slightly less to smooth it.
        penalty: weight gamma of half the discriminator's mean squared slope at real data (R1, Mescheder et al. 2018);
            0 as in the paper.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        latent_dim: int = 64,
        hidden: Sequence[int] = (256, 256),
        discriminator_hidden: Sequence[int] = (256, 256),
        objective: str = "non_saturating",
        real_label: float = 1.0,
        penalty: float = 0.0,
    ) -> None:
        super().__init__(event, context_event, latent_dim, objective, real_label, penalty)
        check_widths(discriminator_hidden, "discriminator_hidden")
        self.generator = vector_generator(event, latent_dim + self.condition.size, hidden)
        self.discriminator = VectorDiscriminator(event, context_event, discriminator_hidden)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        return unsupported(event)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        if len(event.shape) == 3:
            return QuickSettings()
        return QuickSettings({"latent_dim": 8, "hidden": [128, 128], "discriminator_hidden": [128, 128]})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, latent_dim=2, hidden=[8], discriminator_hidden=[8])
        yield tiny(Event((2,), Real()))
        yield tiny(Event((4,), Binary()), real_label=0.9, penalty=1.0)
        yield tiny(Event((1, 2, 2), Levels(4)), objective="minimax")
        yield tiny(Event((2,), Real()), context_event=Event((), Categories(3)))
