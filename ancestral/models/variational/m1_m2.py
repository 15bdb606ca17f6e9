"""M1+M2: M2 on the features of M1, in stages, read as one deep generative model.

Kingma, Rezende, Mohamed & Welling 2014, "Semi-supervised learning with deep generative models" (arXiv:1406.5298),
section 2.1 and appendix: first M1, a VAE with features z1 ~ q(z1 | x), is trained on all rows (equations 1 and 5); then
M2 on samples of q(z1 | x) in place of x (equations 6 to 9; `layers.label_latents`). The two stages together are

    p(x, y, z1, z2) = p(y) p(z2) p(z1 | y, z2) p(x | z1),    q = q(z1 | x) q(y | z1) q(z2 | z1, y),

in which M2 has taken the place of the N(0, I) that the first stage has for a prior of z1. All bounds, samples and codes
are those of this whole model; -U(z1) is a bound of ln p(z1), so

    ELBO = E_q(z1|x)[ln p(x | z1) - U(z1) - ln q(z1 | x)].

A label is inferred from the mean of z1. As in the paper the stages are not trained jointly.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from ancestral.distributions import DiagonalGaussian, observation_for
from ancestral.interface import (
    Adam,
    Batch,
    Binary,
    Event,
    InputError,
    Levels,
    Losses,
    Model,
    Phase,
    QuickSettings,
    Real,
    seeded,
)
from ancestral.layers.label_latents import LabelLatentModel, LabelLatents, mean_over_data
from ancestral.layers.observation_networks import (
    NetworkSettings,
    ObservationDecoder,
    ObservationEncoder,
    rows_within_memory,
)
from ancestral.registry import register


@register("m1_m2")
class M1M2(LabelLatentModel):
    """Semi-supervised VAE of two stages: features, then labels of them (Kingma et al. 2014, M1+M2).

    The latents are `y`, one-hot, `z2`, the style, and `z1`, the features, which alone the observation depends on.

    Args:
        classes: the number of labels; taken from the data by `build(name, data)`.
        feature_dim: dimensions of z1.
        latent_dim: dimensions of z2.
        hidden: widths of the hidden layers of q(z1 | x); p(x | z1) has them in reverse order.
        label_hidden: those of q(y | z1) and q(z2 | z1, y); p(z1 | y, z2) has them in reverse order.
        network: "mlp", or "conv" for images: of the first stage.
        channels: of the first stage of the convolutions.
        activation: of the perceptrons: "tanh", "relu" or "leaky_relu" (slope 0.2).
        observation: p(x | z1), as a VAE's; "auto" is the first that fits the event's support.
        feature_stage: share of the training budget, at its beginning, in which the features are learned.
        classification_weight: of the mean of -ln q(y | x) over labelled rows, in nats: alpha / N of equation 9.
        labelled_ratio: share of labelled rows in a batch.
        labelled_share: share of labelled rows in the data, by which a mean over a batch is weighed as one over the
            data; taken from them by `build(name, data)`, and where None rows count as in a batch.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        classes: int = 10,
        feature_dim: int = 50,
        latent_dim: int = 50,
        hidden: Sequence[int] = (600, 600),
        label_hidden: Sequence[int] = (500,),
        network: str = "mlp",
        channels: int = 32,
        activation: str = "relu",
        observation: str = "auto",
        feature_stage: float = 0.5,
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
        if feature_dim < 1 or not 0 < feature_stage < 1:
            raise InputError(
                f"feature_dim must be at least 1 and feature_stage a share in (0, 1), got {feature_dim} and"
                f" {feature_stage}"
            )
        self.feature_stage = feature_stage
        networks = NetworkSettings(network, hidden, channels, activation)
        self.observation = observation_for(event.support, observation)
        self.encoder = ObservationEncoder(event, None, 2 * feature_dim, networks)
        self.decoder = ObservationDecoder(event, None, feature_dim, self.observation, networks)
        features = Event((feature_dim,), Real())
        self.label_latents = LabelLatents(
            features, classes, latent_dim, observation_for(Real()), NetworkSettings("mlp", label_hidden, 1, activation)
        )
        most = max(self.decoder.largest, classes * self.label_latents.decoder.largest)
        self.rows_at_once = rows_within_memory(most)

    # -- Training in stages --------------------------------------------------------------------------------------------

    def phases(self) -> Sequence[Phase]:
        features = [*self.encoder.parameters(), *self.decoder.parameters()]
        labels, split = list(self.label_latents.parameters()), self.feature_stage
        return [
            Phase("features", features, self._feature_loss, optimizer=Adam(1e-3), ends=split),
            Phase("labels", labels, self._label_loss, optimizer=Adam(1e-3), starts=split),
        ]

    def _feature_loss(self, batch: Batch) -> Losses:
        """M1's: minus the ELBO under p(z1) = N(0, I)."""
        posterior = self._feature_posterior(batch.x)
        z, _ = posterior.rsample(1)
        reconstruction = mean_over_data(-self._log_likelihoods(batch.x, z)[0], batch.y, self.labelled_share)
        kl = mean_over_data(posterior.kl_by_dimension().sum(1), batch.y, self.labelled_share)
        return Losses(reconstruction + kl, {"reconstruction": reconstruction, "kl": kl})

    def _label_loss(self, batch: Batch) -> Losses:
        with torch.no_grad():
            features = self._feature_posterior(batch.x).rsample(1)[0][0]
        return self.label_latents.losses(features, batch.y, self.classification_weight, self.labelled_share)

    # -- The bounds ----------------------------------------------------------------------------------------------------

    def _feature_posterior(self, x: Tensor) -> DiagonalGaussian:
        return DiagonalGaussian(self.encoder(x, None), like=self._reference)

    def _log_likelihoods(self, x: Tensor, features: Tensor) -> Tensor:
        """ln p(x | z1) for several z1 of each x, (samples, batch, n) -> (samples, batch)."""
        parameters = self.decoder(features.flatten(0, 1), None)
        return self.observation.log_likelihood(parameters.unflatten(0, features.shape[:2]), x)

    def _elbo(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        features, log_posterior = self._feature_posterior(x).rsample(samples)
        log_prior = self.label_latents.unlabelled_bound(features.flatten(0, 1), 1).view_as(log_posterior)
        return (self._log_likelihoods(x, features) + log_prior - log_posterior).mean(0)

    def _log_weights(self, x: Tensor, context: Tensor | None, samples: int) -> Tensor:
        features, log_posterior = self._feature_posterior(x).rsample(samples)
        log_prior = self.label_latents.log_weights(features.flatten(0, 1), 1).view_as(log_posterior)
        return self._log_likelihoods(x, features) + log_prior - log_posterior

    # -- Latents, samples, codes, classes ------------------------------------------------------------------------------

    @property
    def latent_shapes(self) -> Mapping[str, tuple[int, ...]]:
        sizes = {"y": self.classes, "z2": self.label_latents.latent_dim, "z1": self.label_latents.event.size}
        return {name: (size,) for name, size in sizes.items()}

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        if name != "z1":
            return super()._sample_latent(name, parents, n, context)
        return self.label_latents.observation.sample(self.label_latents.parameters_of(parents["y"], parents["z2"]))

    def _log_prior(self, z: Tensor, context: Tensor | None) -> Tensor:
        y, z2, z1 = self.split_latents(z).values()
        return self.label_latents.log_prior(z2) + self.label_latents.log_likelihoods(z1, y[None], z2[None])[0]

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self.observation.sample(self.decoder(self._draw_latents(n)["z1"], None))

    def _decode_mean(self, z: Tensor, context: Tensor | None) -> Tensor:
        return self.observation.mean(self.decoder(self.split_latents(z)["z1"], None))

    def _log_likelihood(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        return self._log_likelihoods(x, self.split_latents(z)["z1"][None])[0]

    def _encode(self, x: Tensor, context: Tensor | None) -> Distribution:
        return _Stages(self._feature_posterior(x), self.label_latents)

    def _class_log_probs(self, x: Tensor) -> Tensor:
        return self.label_latents.class_log_probs(self._features(x))

    def _features(self, x: Tensor) -> Tensor:
        """The mean of z1."""
        return self._feature_posterior(x).mean

    # -- What it can be built for --------------------------------------------------------------------------------------

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        if event.size <= 256:
            sizes = {"feature_dim": 16, "latent_dim": 8, "hidden": [256], "label_hidden": [128]}
        else:
            sizes = {"feature_dim": 32, "latent_dim": 16, "hidden": [400, 200], "label_hidden": [200]}
        return QuickSettings(sizes | {"classification_weight": 10.0}, {"lr": 3e-3})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(
            cls,
            classes=3,
            feature_dim=2,
            latent_dim=2,
            hidden=[8],
            label_hidden=[8],
            labelled_ratio=0.5,
            classification_weight=2.0,
        )
        yield tiny(Event((4,), Binary()))
        yield tiny(Event((1, 2, 2), Levels(3)), labelled_share=0.2)
        yield tiny(Event((2,), Real()), activation="tanh")


class _Stages(Distribution):
    """q(z1 | x) q(y | z1) q(z2 | z1, y) of flat latents, (y, z2, z1)."""

    arg_constraints = {}
    support = constraints.real_vector

    def __init__(self, features: DiagonalGaussian, label_latents: LabelLatents) -> None:
        self.features, self.label_latents = features, label_latents
        size = label_latents.classes + label_latents.latent_dim + features.size
        super().__init__(torch.Size([features.batch]), torch.Size([size]), validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The mean of z1 is exact; those of y and z2 are estimates, over 64 draws of z1 from a fixed seed."""
        samples, like = 64, self.features.like
        with seeded(torch.Generator().manual_seed(0), like.device):
            noise = torch.randn(samples, 1, self.features.size, dtype=like.dtype, device=like.device)
        z1, _ = self.features.from_noise(noise.expand(-1, self.features.batch, -1))
        given = self.label_latents.posterior(z1.flatten(0, 1)).mean
        return torch.cat([given.unflatten(0, z1.shape[:2]).mean(0), self.features.mean], dim=1)

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        shape = torch.Size(sample_shape)
        with torch.no_grad():
            z1 = self.features.rsample(shape.numel())[0].flatten(0, 1)
            z = torch.cat([self.label_latents.posterior(z1).sample(), z1], dim=1)
        return z.view(*shape, *self.batch_shape, *self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        value = value.expand(torch.broadcast_shapes(value.shape, self.batch_shape + self.event_shape))
        rows = value.reshape(-1, *self.batch_shape, *self.event_shape)
        given, z1 = rows.split([rows.shape[2] - self.features.size, self.features.size], dim=2)
        of_labels = self.label_latents.posterior(z1.flatten(0, 1)).log_prob(given.flatten(0, 1))
        return (self.features.log_prob(z1) + of_labels.view(z1.shape[:2])).view(value.shape[:-1])
