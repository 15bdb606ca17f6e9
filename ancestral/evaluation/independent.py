"""The ruler's zero: every dimension on its own, as if nothing hung together. Log-likelihoods in nats, in data space."""

import math

import torch
from jaxtyping import Float, Num
from torch import Tensor

from ancestral.data.moments import moments_of
from ancestral.interface import Event, InputError, Support, by_kind

#: Rows counted at once: bounds the memory of one-hot comparisons.
_ROWS = 4096


def independent_histogram(
    train: Num[Tensor, "rows *event"], test: Num[Tensor, "batch *event"], event: Event
) -> Float[Tensor, " batch"]:
    """Every dimension on its own: its histogram in the training data, each value counted once more (Laplace's rule)."""
    if event.values is None:
        raise InputError(f"a histogram needs discrete data, got {event.support}; use independent_gaussian")
    return _histogram(event.values, train.reshape(len(train), -1), test.reshape(len(test), -1)).sum(1).float()


def channel_histogram(
    train: Num[Tensor, "rows channels height width"], test: Num[Tensor, "batch channels height width"], event: Event
) -> Float[Tensor, " batch"]:
    """Every value of an image on its own: a histogram for each channel, the same at all places, by Laplace's rule."""
    if event.values is None or len(event.shape) != 3:
        raise InputError(f"a histogram for each channel needs discrete images, got {event}")
    channels = event.shape[0]
    table = _log_frequencies(event.values, train.movedim(1, -1).reshape(-1, channels))
    cells = (torch.arange(channels) * event.values).view(-1, 1, 1)
    return torch.cat([table[rows.long() + cells].flatten(1).sum(1) for rows in test.split(256)]).float()


def independent_gaussian(
    train: Num[Tensor, "rows *event"], test: Num[Tensor, "batch *event"]
) -> Float[Tensor, " batch"]:
    """Every dimension on its own: a Gaussian of the training data's mean and variance."""
    return _gaussian(train.reshape(len(train), -1), test.reshape(len(test), -1)).sum(1).float()


def independent(
    train: Num[Tensor, "rows *event"], test: Num[Tensor, "batch *event"], event: Event
) -> tuple[str, Float[Tensor, " batch"]]:
    """The independent baseline for `event`: its name and the test rows' log-likelihoods. A histogram of each dimension
    that is discrete, a Gaussian of each that is continuous. Missing values (NaN) are left out on both sides."""

    def of_kind(kind: Support, train: Tensor, test: Tensor) -> Tensor:
        return _gaussian(train, test) if kind.values is None else _histogram(kind.values, train, test)

    log_prob = by_kind(event.support, of_kind, train.reshape(len(train), -1), test.reshape(len(test), -1))
    name = {0: "independent histogram", event.size: "independent Gaussian"}.get(event.densities, "independent columns")
    return name, log_prob.sum(1).float()


def _histogram(values: int, train: Tensor, test: Tensor) -> Tensor:
    """ln of the smoothed frequencies of the values that are there, (batch, dimensions), float64; 0 where one is not."""
    cells = torch.arange(train.shape[1]) * values
    return _log_frequencies(values, train)[test.nan_to_num().long() + cells].masked_fill(test.isnan(), 0.0)


def _log_frequencies(values: int, train: Tensor) -> Tensor:
    """ln of the smoothed frequencies of the values of each dimension, one after another, (dimensions * values,)."""
    cells = torch.arange(train.shape[1]) * values
    counts = torch.zeros(train.shape[1] * values, dtype=torch.float64)
    for rows in train.split(_ROWS):
        there = (~rows.isnan()).double()
        counts += torch.bincount((rows.nan_to_num().long() + cells).flatten(), there.flatten(), minlength=len(counts))
    counts = counts.view(-1, values) + 1
    return (counts / counts.sum(1, keepdim=True)).log().flatten()


def _gaussian(train: Tensor, test: Tensor) -> Tensor:
    """ln N(x; mean, variance) of the training data's moments, (batch, dimensions), float64; 0 where x is missing."""
    mean, deviation = moments_of([train])
    # What does not vary has a deviation of 1, whatever its unit.
    variance = torch.where(deviation == 0, 1.0, deviation.square())
    log_prob = -0.5 * ((test.double() - mean).square() / variance + variance.log() + math.log(2 * math.pi))
    return log_prob.masked_fill(test.isnan(), 0.0)
