"""What every observation model has: a factorial p(x | parameters) whose parameters a network outputs."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from ancestral.interface import InputError


class Observation(ABC):
    """A distribution of each dimension of x on its own, given `size` unconstrained numbers for each.

    Parameters have shape (batch, size, *event): the extra axis stands right behind the batch.
    """

    #: Numbers per dimension that the network must output.
    size: int
    #: How many of them, the last ones, are no outputs but learned once for all dimensions: a variance.
    shared: int = 0
    #: How many values a discrete one has, 0 .. values - 1; None where it is continuous or of columns of several kinds.
    values: int | None = None

    @abstractmethod
    def log_prob(
        self, parameters: Float[Tensor, "batch size *event"], x: Float[Tensor, "batch *event"]
    ) -> Float[Tensor, "batch *event"]:
        """ln p of each dimension on its own, in nats; sum over the event for the likelihood."""

    def log_likelihood(
        self, parameters: Float[Tensor, "samples batch size *event"], x: Float[Tensor, "batch *event"]
    ) -> Float[Tensor, "samples batch"]:
        """ln p of each whole observation in nats, under each of several parameters for it."""
        samples, batch = parameters.shape[:2]
        rows = x.expand(samples, *x.shape).flatten(0, 1)
        return self.log_prob(parameters.flatten(0, 1), rows).flatten(1).sum(1).view(samples, batch)

    @abstractmethod
    def mean(self, parameters: Float[Tensor, "batch size *event"]) -> Float[Tensor, "batch *event"]:
        """The expected value of each dimension, in data units."""

    @abstractmethod
    def from_uniform(
        self,
        parameters: Float[Tensor, "batch size *event"],
        u: Float[Tensor, "batch *event"],
        temperature: float = 1.0,
    ) -> Float[Tensor, "batch *event"]:
        """A function of u in [0, 1) that is a sample where u is uniform.

        It is the inverse of the distribution function; of a mixture that of the component in whose share u lies.

        At another `temperature` T than 1 the distribution is p^(1/T), normalised; `InputError` where that is not known.
        """

    def table(self, parameters: Float[Tensor, "batch size *event"]) -> Float[Tensor, "batch values *event"]:
        """ln p of every value of a discrete one."""
        if self.values is None:
            raise InputError(f"a table has finitely many values, and those of {type(self).__name__} are not")
        batch, _, *event = parameters.shape
        values = torch.arange(self.values, dtype=parameters.dtype, device=parameters.device)
        x = values.view(-1, *[1] * len(event)).expand(batch, self.values, *event)
        # The values are one more axis of the event, on which the parameters are the same.
        return self.log_prob(parameters.unsqueeze(2).expand(-1, -1, *x.shape[1:]), x)

    def sizes(self, dimensions: int) -> list[int]:
        """How many of the `size` numbers each of the flattened dimensions uses: its first ones."""
        return [self.size] * dimensions

    def at(self, dimension: int) -> "Observation":
        """The observation model of one dimension of the flattened event, whose `size` may be smaller."""
        return self

    def sample(self, parameters: Float[Tensor, "batch size *event"]) -> Float[Tensor, "batch *event"]:
        """One draw of each dimension, in data space."""
        return self.from_uniform(parameters, torch.rand_like(parameters[:, 0]))
