"""The columns of a table, each by an observation model of its own."""

from collections.abc import Callable

from torch import Tensor

from ancestral.distributions.observation import Observation
from ancestral.interface import Categories, Columns, Support, by_kind


class ColumnObservations(Observation):
    """The observation model of each kind of columns. Parameters: as many as the largest needs; others use the first.

    Categories have no mean: `mean` gives the likeliest of them.
    """

    def __init__(self, columns: Columns, choose: Callable[[Support], Observation]) -> None:
        self.columns = columns
        self.each: dict[Support, Observation] = {kind: choose(kind) for kind in columns.kinds}
        self.size = max(observation.size for observation in self.each.values())

    def log_prob(self, parameters: Tensor, x: Tensor) -> Tensor:
        return self._by_kind(lambda kind, own, values: self.each[kind].log_prob(own, values), parameters, x)

    def mean(self, parameters: Tensor) -> Tensor:
        def mean(kind: Support, own: Tensor) -> Tensor:
            return own.argmax(1).to(own) if isinstance(kind, Categories) else self.each[kind].mean(own)

        return self._by_kind(mean, parameters)

    def from_uniform(self, parameters: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        return self._by_kind(
            lambda kind, own, uniforms: self.each[kind].from_uniform(own, uniforms, temperature), parameters, u
        )

    def sizes(self, dimensions: int) -> list[int]:
        return [self.at(dimension).size for dimension in range(dimensions)]

    def at(self, dimension: int) -> Observation:
        return self.each[self.columns.supports[dimension]]

    def _by_kind(self, work: Callable[..., Tensor], parameters: Tensor, *values: Tensor) -> Tensor:
        """`work(kind, parameters, *values)` of the columns of each kind, put back in their places."""

        def own(kind: Support, padded: Tensor, *rest: Tensor) -> Tensor:
            return work(kind, padded[:, : self.each[kind].size], *rest)

        return by_kind(self.columns, own, parameters, *values)
