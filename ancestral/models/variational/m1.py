"""M1: a classifier of few labels on the features of a variational autoencoder.

Kingma, Rezende, Mohamed & Welling 2014, "Semi-supervised learning with deep generative models" (arXiv:1406.5298),
section 2.1. In a first stage a VAE is trained on all rows, with a label or without (equations 1 and 5); in the second
one a classifier learns from the features of the labelled ones. The features are the means of q(z | x), where the paper
has samples of it. The paper's best classifier is a transductive support vector machine, which learns from where the
unlabelled features are, too; `layers.margin_classifier` has it, and logistic regression beside it.

The density, the bounds, samples, codes and completions are the VAE's: the classifier has no part in them.

Departures: ReLU or tanh and Adam in place of softplus and RMSProp; convolutions for images; the machine is trained in
the primal with a Gaussian kernel by random features, where the paper does not say which it has.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor

from ancestral.distributions import DiagonalGaussian, Posterior
from ancestral.interface import (
    Adam,
    Batch,
    Binary,
    Classifier,
    Event,
    InputError,
    Levels,
    Losses,
    Model,
    Phase,
    Real,
)
from ancestral.layers.label_latents import check_classes, labelled_mix, mean_over_data
from ancestral.layers.latent_variable import LatentVariableModel
from ancestral.layers.margin_classifier import FeatureClassifier, LogisticRegression, TransductiveSVM
from ancestral.layers.observation_networks import NetworkSettings
from ancestral.registry import register

Kind = Literal["linear", "tsvm"]


@register("m1")
class M1(LatentVariableModel, Classifier):
    """VAE whose features are classified, in stages (Kingma et al. 2014, M1 and M1+TSVM).

    Args:
        classes: the number of labels; taken from the data by `build(name, data)`.
        classifier: "tsvm", a transductive support vector machine, or "linear", logistic regression.
        latent_dim: dimensions of z.
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse order.
        network: "mlp", or "conv" for images.
        channels: of the first stage of the convolutions.
        activation: of the perceptrons: "tanh", "relu" or "leaky_relu" (slope 0.2).
        observation: p(x | z), as a VAE's; "auto" is the first that fits the event's support.
        feature_stage: share of the training budget, at its beginning, in which the features are learned.
        kernel_features: random features of the machine's Gaussian kernel, an even number; 0 for a linear machine.
        bandwidth: of that kernel; a dimension of z that carries something has a deviation of nearly 1.
        unlabelled_weight: of the unlabelled rows against the labelled ones, at the end.
        annealing_steps: steps of the second stage in which it rises to that, from 0.
        labelled_ratio: share of labelled rows in a batch.
        labelled_share: share of labelled rows in the data, by which the VAE's loss is that of the data; taken from them
            by `build(name, data)`, and where None rows count as in a batch.
    """

    monitor = "accuracy"
    loss_differs = "it weighs labelled rows as the data have them, and learns from labels in its second stage"

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        classes: int = 10,
        classifier: Kind = "tsvm",
        latent_dim: int = 50,
        hidden: Sequence[int] = (600, 600),
        network: str = "mlp",
        channels: int = 32,
        activation: str = "tanh",
        observation: str = "auto",
        feature_stage: float = 0.8,
        kernel_features: int = 1000,
        bandwidth: float = 4.0,
        unlabelled_weight: float = 1.0,
        annealing_steps: int = 1000,
        labelled_ratio: float = 0.2,
        labelled_share: float | None = None,
    ) -> None:
        networks = NetworkSettings(network, hidden, channels, activation)
        super().__init__(
            event,
            context_event=context_event,
            latent_dim=latent_dim,
            layers=1,
            observation=observation,
            networks=networks,
        )
        if classifier not in get_args(Kind):
            raise InputError(f"classifier must be {' or '.join(map(repr, get_args(Kind)))}, got {classifier!r}")
        if not 0 < feature_stage < 1:
            raise InputError(f"feature_stage must be a share in (0, 1), got {feature_stage}")
        self.batching, self.labelled_share = labelled_mix(labelled_ratio, labelled_share), labelled_share
        self.feature_stage, self._classes = feature_stage, check_classes(classes)
        self.classifier: FeatureClassifier
        if classifier == "linear":
            self.classifier = LogisticRegression(latent_dim, classes)
        else:
            self.classifier = TransductiveSVM(
                latent_dim,
                classes,
                kernel_features=kernel_features,
                bandwidth=bandwidth,
                unlabelled_weight=unlabelled_weight,
                annealing_steps=annealing_steps,
            )

    def _posterior(self, x: Tensor, context: Tensor | None) -> Posterior:
        return DiagonalGaussian(self.encoder(x, context), like=self._reference)

    # -- Training in stages --------------------------------------------------------------------------------------------

    def phases(self) -> Sequence[Phase]:
        features, classifier = [*self.encoder.parameters(), *self.decoder.parameters()], self.classifier
        split = self.feature_stage
        return [
            Phase("features", features, self._feature_loss, optimizer=Adam(1e-3), ends=split),
            Phase("classifier", list(classifier.parameters()), self._class_loss, optimizer=Adam(2e-2), starts=split),
        ]

    def training_state(self) -> Mapping[str, Tensor]:
        classifier = self.classifier
        return {"steps": classifier.steps} if isinstance(classifier, TransductiveSVM) else {}

    def _feature_loss(self, batch: Batch) -> Losses:
        log_likelihood, kl_parts = self._bound_parts(batch.x, batch.context, 1)
        reconstruction = mean_over_data(-log_likelihood, batch.y, self.labelled_share)
        kl = mean_over_data(kl_parts.sum(1), batch.y, self.labelled_share)
        return Losses(reconstruction + kl, {"reconstruction": reconstruction, "kl": kl})

    def _class_loss(self, batch: Batch) -> Losses:
        with torch.no_grad():
            features = self._features(batch.x)
        y = batch.y if batch.y is not None else torch.full((len(features),), -1, device=features.device)
        return self.classifier.losses(features, y)

    # -- Classes -------------------------------------------------------------------------------------------------------

    @property
    def classes(self) -> int:
        return self._classes

    def _class_log_probs(self, x: Tensor) -> Tensor:
        return self.classifier.class_log_probs(self._features(x))

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if context_event is not None:
            return "it infers labels of rows alone, without a context"
        return super().supports(event)

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, classes=3, latent_dim=2, hidden=[8], labelled_ratio=0.5, kernel_features=8)
        yield tiny(Event((4,), Binary()))
        yield tiny(Event((4,), Binary()), classifier="linear", labelled_share=0.2)
        yield tiny(Event((1, 2, 2), Levels(3)), kernel_features=0)
        yield tiny(Event((2,), Real()), bandwidth=1.0)
