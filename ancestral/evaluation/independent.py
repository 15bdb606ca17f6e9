"""The ruler's zero: every dimension on its own, as if nothing hung together. Log-likelihoods in nats, in data space."""

import math

import torch
from jaxtyping import Float, Num
from torch import Tensor

from ancestral.interface import Event, InputError

#: Rows counted at once: bounds the memory of one-hot comparisons.
_ROWS = 4096


def independent_histogram(
    train: Num[Tensor, "rows *event"], test: Num[Tensor, "batch *event"], event: Event
) -> Float[Tensor, " batch"]:
    """Every dimension on its own: its histogram in the training data, each value counted once more (Laplace's rule)."""
    if event.values is None:
        raise InputError(f"a histogram needs discrete data, got {event.support}; use independent_gaussian")
    flat = train.reshape(len(train), -1)
    cells = torch.arange(flat.shape[1]) * event.values
    counts = torch.zeros(flat.shape[1] * event.values, dtype=torch.float64)
    for rows in flat.split(_ROWS):
        counts += torch.bincount((rows.long() + cells).flatten(), minlength=len(counts))
    log_prob = ((counts + 1) / (len(flat) + event.values)).log()
    return log_prob[test.reshape(len(test), -1).long() + cells].sum(1).float()


def independent_gaussian(
    train: Num[Tensor, "rows *event"], test: Num[Tensor, "batch *event"]
) -> Float[Tensor, " batch"]:
    """Every dimension on its own: a Gaussian of the training data's mean and variance."""
    flat = train.reshape(len(train), -1).double()
    mean, variance = flat.mean(0), flat.var(0, correction=0)
    # What does not vary, but for rounding, has a deviation of 1, whatever its unit.
    variance = torch.where(variance.sqrt() <= 1e-12 * mean.abs(), 1.0, variance)
    squares = (test.reshape(len(test), -1).double() - mean).square() / variance
    return (-0.5 * (squares + variance.log() + math.log(2 * math.pi))).sum(1).float()


def independent(
    train: Num[Tensor, "rows *event"], test: Num[Tensor, "batch *event"], event: Event
) -> tuple[str, Float[Tensor, " batch"]]:
    """The independent baseline for `event`: its name and the test rows' log-likelihoods."""
    if event.values is not None:
        return "independent histogram", independent_histogram(train, test, event)
    return "independent Gaussian", independent_gaussian(train, test)
