"""M2: a generative model of the observation and its label, trained on few labels.

Kingma, Rezende, Mohamed & Welling 2014, "Semi-supervised learning with deep generative models" (arXiv:1406.5298).
p(y) is uniform, p(z) = N(0, I), and both are decoded into p(x | y, z) (equation 2); the recognition model is
q(y | x) q(z | x, y) (equation 4). A labelled row costs L(x, y) (equation 6), an unlabelled one U(x), in which the label
is summed out (equation 7), and q(y | x) is the classifier, which also learns from the labels themselves (equation 9):
`layers.label_latents` has the equations.

The objective is that of the data for each of their N rows, J / N: a batch has far more labelled rows than the data, so
the means of L over the labelled and of U over the unlabelled rows of a batch are weighed by their shares of the data.
The paper's alpha = 0.1 N is a `classification_weight` of 0.1.

Departures: any support that the VAE has; ReLU and Adam in place of softplus and RMSProp; convolutions for images;
any number of labelled rows in a batch. Left out: classes of unequal probability.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from torch import Tensor
from torch.distributions import Distribution

from ancestral.distributions import observation_for
from ancestral.interface import (
    Adam,
    Batch,
    Binary,
    Categories,
    Columns,
    Event,
    Levels,
    Losses,
    Model,
    Phase,
    QuickSettings,
    Real,
)
from ancestral.layers.label_latents import LabelLatentModel, LabelLatents
from ancestral.layers.observation_networks import NetworkSettings, rows_within_memory
from ancestral.registry import register


@register("m2")
class M2(LabelLatentModel):
    """Semi-supervised VAE with the label as a latent (Kingma et al. 2014, M2).

    The latents are `y`, one-hot, and `z`: `sample_latents(n, given={"y": ...})` draws observations of one class, and
    another y beside the same z gives the same style in another class. With a label for each row it is supervised.

    Args:
        classes: the number of labels; taken from the data by `build(name, data)`.
        latent_dim: dimensions of z.
        hidden: widths of the hidden layers of q(y | x) and of q(z | x, y); the decoder has them in reverse order.
        network: "mlp", or "conv" for images.
        channels: of the first stage of the convolutions.
        activation: of the perceptrons: "tanh", "relu" or "leaky_relu" (slope 0.2).
        observation: p(x | y, z), as a VAE's; "auto" is the first that fits the event's support.
        classification_weight: of the mean of -ln q(y | x) over labelled rows, in nats: alpha / N of equation 9.
        labelled_ratio: share of labelled rows in a batch.
        labelled_share: share of labelled rows in the data, which weighs L against U as in a sum over the data; taken
            from them by `build(name, data)`, and where None the share in the batch.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        classes: int = 10,
        latent_dim: int = 50,
        hidden: Sequence[int] = (500,),
        network: str = "mlp",
        channels: int = 32,
        activation: str = "relu",
        observation: str = "auto",
        classification_weight: float = 0.1,
        labelled_ratio: float = 0.1,
        labelled_share: float | None = None,
    ) -> None:
        super().__init__(
            event,
            context_event=context_event,
            classification_weight=classification_weight,
            labelled_ratio=labelled_ratio,
            labelled_share=labelled_share,
        )
        networks = NetworkSettings(network, hidden, channels, activation)
        self.label_latents = LabelLatents(
            event, classes, latent_dim, observation_for(event.support, observation), networks
        )
        self.rows_at_once = rows_within_memory(classes * self.label_latents.decoder.largest)

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-3))]

    def _loss(self, batch: Batch) -> Losses:
        return self.label_latents.losses(batch.x, batch.y, self.classification_weight, self.labelled_share)

    # -- The bounds ---------------------------------------------------------------------------------------------------

    def _elbo(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        return self.label_latents.unlabelled_bound(x, samples)

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        return self.label_latents.log_weights(x, samples)

    # -- Latents, samples, codes, classes ------------------------------------------------------------------------------

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        return {"y": (self.classes,), "z": (self.label_latents.latent_dim,)}

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.label_latents.log_prior(z[:, self.classes :])

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        latents = self._draw_latents(n)
        return self.label_latents.observation.sample(self.label_latents.parameters_of(latents["y"], latents["z"]))

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        latents = self.split_latents(z)
        return self.label_latents.observation.mean(self.label_latents.parameters_of(latents["y"], latents["z"]))

    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        latents = self.split_latents(z)
        return self.label_latents.log_likelihoods(x, latents["y"][None], latents["z"][None])[0]

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return self.label_latents.posterior(x)

    def _class_log_probs(self, x: Tensor) -> Tensor:
        return self.label_latents.class_log_probs(x)

    def _features(self, x: Tensor) -> Tensor:
        """The mean code: q(y | x), and that of z."""
        return self._encode(x, None).mean

    # -- What it can be built for --------------------------------------------------------------------------------------

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        # In few epochs the paper's weight of the labels leaves the classes to chance: on the digits 43 % error, not 11.
        if event.size <= 256:
            return QuickSettings({"latent_dim": 8, "hidden": [128], "classification_weight": 10.0})
        return QuickSettings({"latent_dim": 32, "hidden": [300], "classification_weight": 10.0})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, classes=3, latent_dim=2, hidden=[8], labelled_ratio=0.5, classification_weight=2.0)
        yield tiny(Event((4,), Binary()))
        yield tiny(Event((1, 2, 2), Levels(3)), labelled_share=0.2)
        yield tiny(Event((2,), Real()))
        yield tiny(Event((1, 4, 4), Binary()), network="conv", channels=2)
        yield tiny(Event((4,), Columns((Binary(), Real(), Levels(3), Categories(3)))))
