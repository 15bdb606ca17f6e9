"""Between the flattened event, whose dimensions may have supports of their own, and the vectors of a network."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ancestral.interface import Columns, Event, Support
from ancestral.layers.conditioning import laid_out, width_of


class FlatInputs(nn.Module):
    """Observations as what a network takes, (batch, dimensions) -> (batch, sum of widths).

    Categories enter one-hot, and so do levels of at most `one_hot` values; other levels on [-1, 1], all else as it is;
    of a table each column as its support says.
    """

    places: Tensor

    def __init__(self, event: Event, one_hot: int = 0) -> None:
        super().__init__()
        self.support, self.supports, self.one_hot = event.support, event.supports, one_hot
        #: The numbers that each dimension of the flattened event enters as.
        self.widths = [width_of(support, one_hot=one_hot) for support in event.supports]
        starts = torch.tensor([0, *self.widths]).cumsum(0).tolist()
        kinds = event.support.kinds.values() if isinstance(event.support, Columns) else [range(event.size)]
        columns = [column for kind in kinds for column in kind]
        laid = [place for column in columns for place in range(starts[column], starts[column + 1])]
        #: Where in the columns kind by kind each number is found.
        self.register_buffer("places", torch.tensor(laid).argsort(), persistent=False)

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        """The inputs in the dtype of `like`."""
        if not isinstance(self.support, Columns):
            return self._laid_out(x, self.support).to(like)
        kinds = self.support.kinds.items()
        return torch.cat([self._laid_out(x[:, columns], kind).to(like) for kind, columns in kinds], 1)[:, self.places]

    def of_dimension(self, dimension: int, x: Tensor, like: Tensor) -> Tensor:
        """What one dimension alone enters as, (batch,) -> (batch, width)."""
        return self._laid_out(x[:, None], self.supports[dimension]).to(like)

    def _laid_out(self, x: Tensor, support: Support) -> Tensor:
        return laid_out(x, support, one_hot=self.one_hot)


class FlatOutputs(nn.Module):
    """A network's outputs as an observation model's parameters, (batch, sum of sizes) -> (batch, size, dimensions).

    `sizes` are the numbers that each dimension uses, of at most `size`; what it does not use is filled with anything.
    The outputs are the first numbers of all dimensions, then the second ones of those that have them, and so on.
    """

    dimensions: Tensor
    places: Tensor

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        used = torch.arange(max(sizes))[:, None] < torch.tensor(sizes)
        self.shape, self.dense = used.shape, bool(used.all())
        #: The dimension that each output belongs to.
        self.register_buffer("dimensions", used.nonzero()[:, 1], persistent=False)
        self.register_buffer("places", used.flatten().cumsum(0) - 1, persistent=False)

    def __len__(self) -> int:
        return len(self.dimensions)

    def forward(self, outputs: Float[Tensor, "batch outputs"]) -> Float[Tensor, "batch size dimensions"]:
        return (outputs if self.dense else outputs[:, self.places]).unflatten(1, self.shape)
