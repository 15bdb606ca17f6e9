"""Actnorm: Kingma & Dhariwal 2018, "Glow", section 3.1."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, distributed, nn

from ancestral.bijections.bijection import Bijection


class ActNorm(Bijection):
    """z = (x + shift) exp(log_scale), one shift and one scale for each entry of dimension 1.

    It is the identity until the first batch in training mode, whose statistics start the parameters so that z has mean
    0 and variance 1 in each entry; from then on they are trained as any other. The buffer `initialized` is saved with
    the weights, so a model that is loaded or resumed does not start anew. Processes of a distributed run start from the
    statistics of all their batches together.
    """

    initialized: Bool[Tensor, ""]
    #: An entry that hardly varies in the first batch is not scaled up beyond 1 over this.
    _SMALLEST_DEVIATION = 1e-5
    #: One that varies by no more than rounding, as a share of its mean, does not vary: it is not scaled at all.
    _ROUNDING = 1e-6

    def __init__(self, features: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(features))
        self.log_scale = nn.Parameter(torch.zeros(features))
        self.register_buffer("initialized", torch.tensor(False))

    def forward(
        self, x: Float[Tensor, "batch *event"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        if self.training and not self.initialized:
            self._start(x)
        shape = self._shape(x)
        return (x + self.shift.view(shape)) * self.log_scale.exp().view(shape), self._log_det(x)

    def inverse(
        self, z: Float[Tensor, "batch *event"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, " batch"]]:
        shape = self._shape(z)
        return z * torch.exp(-self.log_scale).view(shape) - self.shift.view(shape), -self._log_det(z)

    def _shape(self, x: Tensor) -> tuple[int, ...]:
        return (-1, *(1 for _ in x.shape[2:]))

    def _log_det(self, x: Tensor) -> Tensor:
        pixels = x[0, 0].numel() if len(x) else 0
        return (pixels * self.log_scale.sum()).expand(len(x))

    @torch.no_grad()
    def _start(self, x: Tensor) -> None:
        values = x.transpose(0, 1).flatten(1)
        count = _over_processes(values.new_tensor(values.shape[1]))
        if count < 2:
            return  # One value has no variance: wait for a larger batch.
        mean = _over_processes(values.sum(1)) / count
        variance = _over_processes((values - mean.unsqueeze(1)).square().sum(1)) / count
        self.shift.copy_(-mean)
        deviation = variance.sqrt().clamp(min=self._SMALLEST_DEVIATION)
        still = variance.sqrt() <= self._ROUNDING * mean.abs()
        self.log_scale.copy_(torch.where(still, 0.0, -deviation.log()))
        self.initialized.fill_(True)


def _over_processes(total: Tensor) -> Tensor:
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(total)
    return total
