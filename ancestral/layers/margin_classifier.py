"""Classifiers of features that learn from few labels: logistic regression, and a transductive support vector machine.

The support vector machine maximises margins of labelled and unlabelled rows alike (Joachims 1999, "Transductive
inference for text classification using support vector machines"), so that its boundaries lie where data are sparse. It
is trained in the primal by gradients, as Chapelle & Zien 2005, "Semi-supervised classification by low density
separation", section 3: with f_k(z) the margin of class k against the rest and y_k = 1 or -1,

    sum_k  mean_labelled max(0, 1 - y_k f_k)^2  +  c(t) mean_unlabelled exp(-3 f_k^2)  +  lambda |w_k|^2
           + (mean_unlabelled f_k - mean_labelled y_k)^2,

whose last term keeps the share of each class as the labels have it: the paper's constraint of balance, of a batch. The
weight c(t) of the unlabelled rows rises from 0, so that the labels come first. The kernel is Gaussian, by random
Fourier features (Rahimi & Recht 2007, "Random features for large-scale kernel machines"): phi(z) = sqrt(2 / D)
(cos w.z, sin w.z) with w ~ N(0, 1 / bandwidth^2), so that phi(z).phi(z') is about exp(-|z - z'|^2 / (2 bandwidth^2)).
"""

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import InputError, Losses

#: exp(-s f^2), of Chapelle & Zien, equation 4.
_STEEPNESS = 3.0
#: Of the squared weights.
_DECAY = 1e-4
#: Margins of 1 and -1 are probabilities of 98 % against each of 9 other classes together by this slope.
_SLOPE = 3.0


class FeatureClassifier(nn.Module, ABC):
    """Classes of features (batch, n). Learns from labels y, -1 where there is none."""

    @abstractmethod
    def class_log_probs(self, features: Float[Tensor, "batch n"]) -> Float[Tensor, "batch classes"]:
        """ln p(y | features)."""

    @abstractmethod
    def losses(self, features: Float[Tensor, "batch n"], y: Int64[Tensor, " batch"]) -> Losses:
        """What a step of training minimises."""


class LogisticRegression(FeatureClassifier):
    """A softmax of linear functions, learned from the labelled rows alone."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, classes)

    def class_log_probs(self, features: Tensor) -> Tensor:
        return self.linear(features).to(features).log_softmax(1)

    def losses(self, features: Tensor, y: Tensor) -> Losses:
        labelled = y >= 0
        # Of no labelled row the sum is 0, and the mean would be NaN.
        total = F.nll_loss(self.class_log_probs(features[labelled]), y[labelled], reduction="sum")
        decay = _DECAY * self.linear.weight.square().sum()
        return Losses(total / max(1, int(labelled.sum())) + decay)


class TransductiveSVM(FeatureClassifier):
    """One machine for each class against the rest.

    Its class probabilities are a softmax of the margins: of their order, but not calibrated.

    Args:
        inputs: dimensions of a feature.
        classes: the number of labels.
        kernel_features: D, an even number; 0 for a linear machine.
        bandwidth: of the Gaussian kernel, in units of the features.
        unlabelled_weight: c at the end.
        annealing_steps: steps in which c rises to it, from 0 on a straight line.
    """

    frequencies: Tensor
    steps: Tensor

    def __init__(
        self,
        inputs: int,
        classes: int,
        *,
        kernel_features: int,
        bandwidth: float,
        unlabelled_weight: float,
        annealing_steps: int,
    ) -> None:
        super().__init__()
        if kernel_features < 0 or kernel_features % 2:
            raise InputError(f"kernel_features must be an even number, or 0 for none, got {kernel_features}")
        if bandwidth <= 0 or unlabelled_weight < 0 or annealing_steps < 1:
            raise InputError(
                "bandwidth must be above 0, unlabelled_weight not negative and annealing_steps at least 1, got"
                f" {bandwidth}, {unlabelled_weight} and {annealing_steps}"
            )
        self.unlabelled_weight, self.annealing_steps = unlabelled_weight, annealing_steps
        self.linear = nn.Linear(kernel_features or inputs, classes)
        self.register_buffer("frequencies", torch.randn(inputs, kernel_features // 2) / bandwidth)
        #: Steps of training so far.
        self.register_buffer("steps", torch.zeros(()), persistent=False)
        nn.init.zeros_(self.linear.weight)
        nn.init.constant_(self.linear.bias, 2 / classes - 1)

    def margins(self, features: Tensor) -> Float[Tensor, "batch classes"]:
        """f_k of every class."""
        if self.frequencies.numel():
            phases = features @ self.frequencies
            features = torch.cat([phases.cos(), phases.sin()], dim=1) * math.sqrt(1 / self.frequencies.shape[1])
        return self.linear(features).to(features)

    def class_log_probs(self, features: Tensor) -> Tensor:
        return (_SLOPE * self.margins(features)).log_softmax(1)

    def losses(self, features: Tensor, y: Tensor) -> Losses:
        if self.training:
            self.steps += 1
        weight = self.unlabelled_weight * (self.steps / self.annealing_steps).clamp(max=1.0)
        margins, labelled = self.margins(features), y >= 0
        parts: dict[str, Tensor] = {}
        total = _DECAY * self.linear.weight.square().sum()
        if bool(labelled.any()):
            signs = 2 * F.one_hot(y[labelled], margins.shape[1]).to(margins) - 1
            parts["labelled"] = (1 - signs * margins[labelled]).clamp(min=0).square().mean(0).sum()
            total = total + parts["labelled"]
        if not bool(labelled.all()):
            unlabelled = margins[~labelled]
            parts["unlabelled"] = torch.exp(-_STEEPNESS * unlabelled.square()).mean(0).sum()
            total = total + weight * parts["unlabelled"]
            if bool(labelled.any()):
                parts["balance"] = (unlabelled.mean(0) - signs.mean(0)).square().sum()
                total = total + parts["balance"]
        return Losses(total, parts)
