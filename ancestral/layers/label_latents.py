"""A label and a Gaussian latent behind an observation: the part that semi-supervised models share.

Kingma, Rezende, Mohamed & Welling 2014, "Semi-supervised learning with deep generative models" (arXiv:1406.5298):

    p(y) p(z) p(x | y, z)  with p(y) uniform and p(z) = N(0, I)             (equation 2)
    q(y | x) q(z | x, y)   with q(y | x) categorical and q(z | x, y) Gaussian    (equation 4)
    -L(x, y) = E_q(z|x,y)[ln p(x | y, z) + ln p(y)] - KL(q(z | x, y) || p(z))     (equation 6)
    -U(x)    = sum_y q(y | x) (-L(x, y)) + H(q(y | x))                           (equation 7)
    J        = sum over labelled rows of L + sum over unlabelled ones of U       (equation 8)
             + alpha times the mean over labelled rows of -ln q(y | x)           (equation 9)

y is one-hot, and is summed out over all classes at once: x passes the encoder's widest layer once, whatever their
number. Where x is only a latent of another model, as the features of M1 are, these are bounds of its density.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.distributions import DiagonalGaussian, LabelledGaussian, Observation
from ancestral.interface import (
    BoundedDensity,
    Classifier,
    Encoder,
    Event,
    Features,
    InputError,
    JointDensity,
    LabelledMix,
    Losses,
    MeanDecoder,
    Real,
    Sampler,
    log_standard_normal,
    repeated,
)
from ancestral.layers.latent_variable import LatentVariableModel
from ancestral.layers.observation_networks import NetworkSettings, ObservationDecoder, ObservationEncoder


class LabelLatents(nn.Module):
    """p(y) p(z) p(x | y, z) with the recognition model q(y | x) q(z | x, y); `x` as a model's cores see it."""

    def __init__(
        self, event: Event, classes: int, latent_dim: int, observation: Observation, networks: NetworkSettings
    ) -> None:
        super().__init__()
        networks.check(event)
        if latent_dim < 1:
            raise InputError(f"latent_dim must be at least 1, got {latent_dim}")
        self.event, self.classes, self.latent_dim = event, check_classes(classes), latent_dim
        self.observation = observation
        label = Event((classes,), Real())  # one-hot, or shares of several classes
        self.classifier = ObservationEncoder(event, None, classes, networks)
        self.encoder = ObservationEncoder(event, label, 2 * latent_dim, networks)
        self.decoder = ObservationDecoder(event, label, latent_dim, observation, networks)

    @property
    def like(self) -> Tensor:
        """A tensor of the dtype and on the device that all is computed in."""
        return next(self.parameters())

    def one_hot(self, y: Int64[Tensor, " batch"]) -> Float[Tensor, "batch classes"]:
        return F.one_hot(y, self.classes).to(self.like)

    # -- The recognition model -----------------------------------------------------------------------------------------

    def class_log_probs(self, x: Tensor) -> Float[Tensor, "batch classes"]:
        """ln q(y | x)."""
        return self.classifier(x, None).to(self.like).log_softmax(1)

    def given_label(self, x: Tensor, y: Float[Tensor, "batch classes"]) -> DiagonalGaussian:
        """q(z | x, y) of each row."""
        return DiagonalGaussian(self.encoder(x, y), like=self.like)

    def given_every_label(self, x: Tensor) -> DiagonalGaussian:
        """q(z | x, y) of each row for every y: rows (classes * batch), class by class."""
        every = torch.eye(self.classes, dtype=self.like.dtype, device=self.like.device)
        return DiagonalGaussian(self.encoder.of_each(x, every), like=self.like)

    def posterior(self, x: Tensor) -> LabelledGaussian:
        """q(y | x) q(z | x, y)."""
        return LabelledGaussian(self.class_log_probs(x), self.given_every_label(x))

    # -- The model -----------------------------------------------------------------------------------------------------

    def parameters_of(self, y: Tensor, z: Tensor) -> Float[Tensor, "rows size *event"]:
        """The parameters of p(x | y, z)."""
        return self.decoder(z, y)

    def log_likelihoods(self, x: Tensor, y: Tensor, z: Tensor) -> Float[Tensor, "samples batch"]:
        """ln p(x | y, z) for several y and z of each x, (samples, batch, classes) and (samples, batch, n)."""
        parameters = self.parameters_of(y.flatten(0, 1), z.flatten(0, 1))
        return self.observation.log_likelihood(parameters.unflatten(0, z.shape[:2]), x)

    def log_prior(self, z: Float[Tensor, "... n"]) -> Float[Tensor, "..."]:
        """ln p(y) + ln p(z), the first of which is the same for all y."""
        return log_standard_normal(z) - math.log(self.classes)

    # -- The bounds ----------------------------------------------------------------------------------------------------

    def labelled_bound(self, x: Tensor, y: Int64[Tensor, " batch"], samples: int) -> Float[Tensor, " batch"]:
        """-L(x, y), a bound of ln p(x, y): equation 6."""
        one_hot = self.one_hot(y)
        posterior = self.given_label(x, one_hot)
        z, _ = posterior.rsample(samples)
        log_likelihood = self.log_likelihoods(x, one_hot.expand(samples, -1, -1), z).mean(0)
        return log_likelihood - posterior.kl_by_dimension().sum(1) - math.log(self.classes)

    def unlabelled_bound(self, x: Tensor, samples: int) -> Float[Tensor, " batch"]:
        """-U(x), a bound of ln p(x): equation 7."""
        posterior, log_q = self.given_every_label(x), self.class_log_probs(x)
        z, _ = posterior.rsample(samples)
        log_likelihood = self._of_every_label(x, z).mean(0)
        kl = posterior.kl_by_dimension().sum(1).view(self.classes, -1)
        of_label = (log_likelihood - kl).T - math.log(self.classes)
        return (log_q.exp() * (of_label - log_q)).sum(1)

    def log_weights(self, x: Tensor, samples: int) -> Float[Tensor, "samples batch"]:
        """ln sum_y p(y) p(z_y) p(x | y, z_y) / q(z_y | x, y) with z_y ~ q(z | x, y): unbiased weights of p(x), and
        surer than those of one y each, for no label is drawn."""
        z, log_posterior = self.given_every_label(x).rsample(samples)
        of_label = (self.log_prior(z) - log_posterior).unflatten(1, (self.classes, len(x)))
        return (self._of_every_label(x, z) + of_label).logsumexp(1)

    def _of_every_label(self, x: Tensor, z: Tensor) -> Float[Tensor, "samples classes batch"]:
        """ln p(x | y, z) of z (samples, classes * batch, n), class by class."""
        samples = len(z)
        every = torch.eye(self.classes, dtype=z.dtype, device=z.device).repeat_interleave(len(x), 0)
        z = z.unflatten(1, (self.classes, len(x))).flatten(0, 1)
        y = repeated(every, samples).view(*z.shape[:2], self.classes)
        return self.log_likelihoods(x, y, z).view(samples, self.classes, len(x))

    # -- The objective -------------------------------------------------------------------------------------------------

    def losses(self, x: Tensor, y: Tensor | None, classification_weight: float, labelled_share: float | None) -> Losses:
        """The objective J of equation 9 for each row of the data, by its two weights of `LabelLatentModel`."""
        labelled = _has_label(x, y)
        known = x[labelled], torch.empty(0) if y is None else y[labelled]
        parts: dict[str, Tensor] = {}
        if bool(labelled.any()):
            parts["labelled"] = -self.labelled_bound(*known, 1).mean()
            log_probs = self.class_log_probs(known[0])
            parts["classification"] = F.nll_loss(log_probs, known[1])
        if not bool(labelled.all()):
            parts["unlabelled"] = -self.unlabelled_bound(x[~labelled], 1).mean()
        share = float(labelled.double().mean()) if labelled_share is None else labelled_share
        weights = {"labelled": share, "unlabelled": 1 - share, "classification": classification_weight}
        return Losses(torch.stack([weights[name] * part for name, part in parts.items()]).sum(), parts)


def mean_over_data(
    values: Float[Tensor, " batch"], y: Int64[Tensor, " batch"] | None, labelled_share: float | None
) -> Float[Tensor, ""]:
    """The mean over the data of a value of each row of a batch, in which labelled rows have another share."""
    labelled = _has_label(values, y)
    if labelled_share is None or bool(labelled.all()) or not bool(labelled.any()):
        return values.mean()
    return labelled_share * values[labelled].mean() + (1 - labelled_share) * values[~labelled].mean()


def _has_label(x: Tensor, y: Int64[Tensor, " batch"] | None) -> Bool[Tensor, " batch"]:
    """Which rows of a batch have a label; its y may be none at all."""
    return torch.zeros(len(x), dtype=torch.bool, device=x.device) if y is None else y >= 0


def check_classes(classes: int) -> int:
    """`classes`, if there are two of them."""
    if classes < 2:
        raise InputError(f"classes must be at least 2, got {classes}; build(name, data) takes their number from labels")
    return classes


def labelled_mix(labelled_ratio: float, labelled_share: float | None) -> LabelledMix:
    """Batches of which labelled rows are so large a part; their share of the data is checked, too."""
    if not 0 < labelled_ratio < 1:
        raise InputError(f"labelled_ratio must be a share of a batch, above 0 and below 1, got {labelled_ratio}")
    if labelled_share is not None and not 0 < labelled_share <= 1:
        raise InputError(f"labelled_share must be a share of the data, above 0 and at most 1, got {labelled_share}")
    return LabelledMix(labelled_ratio)


class LabelLatentModel(Sampler, BoundedDensity, Encoder, MeanDecoder, JointDensity, Classifier, Features):
    """A model with a label among its latents. Set `label_latents`, and write how it stands to the observation.

    Args:
        classification_weight: of the mean of -ln q(y | x) over labelled rows, in nats: alpha / N of equation 9.
        labelled_ratio: share of labelled rows in a batch.
        labelled_share: share of labelled rows in the data, by which L and U count as in a sum over the data; where None
            they count as in a batch.
    """

    monitor = "accuracy"
    loss_differs = "it learns from labels, too"
    sums_out = "y"
    label_latents: LabelLatents

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None,
        classification_weight: float,
        labelled_ratio: float,
        labelled_share: float | None,
    ) -> None:
        super().__init__(event, context_event=context_event)
        self.batching = labelled_mix(labelled_ratio, labelled_share)
        if classification_weight <= 0:
            raise InputError(f"classification_weight must be above 0, got {classification_weight}")
        self.classification_weight, self.labelled_share = classification_weight, labelled_share

    @property
    def classes(self) -> int:
        return self.label_latents.classes

    def _sample_latent(self, name: str, parents: Mapping[str, Tensor], n: int, context: Tensor | None) -> Tensor:
        if name == "y":
            return self.label_latents.one_hot(torch.randint(self.classes, (n,), device=self.device))
        return super()._sample_latent(name, parents, n, context)

    def _draw_latents(self, n: int) -> dict[str, Tensor]:
        """`n` draws of every latent from its prior."""
        latents: dict[str, Tensor] = {}
        for name in self.latent_shapes:
            latents[name] = self._sample_latent(name, latents, n, None)
        return latents

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if context_event is not None:
            return "it infers its label, and is conditioned on nothing else"
        return LatentVariableModel.supports(event)
