"""Frozen: RealNVP on vectors as a bare PyTorch loop, the yardstick of `benchmarks.realnvp`. Imports nothing of ours.

Eight affine couplings of alternating halves, log-scale tanh(raw), conditioners that see their input clipped to
[-20, 20]. The two halves stay apart from the first coupling to the last: nothing is concatenated.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BareRealNVP(nn.Module):
    def __init__(self, features: int = 64, couplings: int = 8, hidden: int = 128) -> None:
        super().__init__()
        self.width = features // 2
        self.networks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(self.width, hidden),
                nn.ReLU(inplace=True),
                nn.Linear(hidden, hidden),
                nn.ReLU(inplace=True),
                nn.Linear(hidden, 2 * self.width),
            )
            for _ in range(couplings)
        )

    def loss(self, x: Tensor) -> Tensor:
        """The mean negative log-likelihood of x, (batch, features)."""
        kept, moved = x.split(self.width, dim=1)
        log_det: Tensor | float = 0.0
        for network in self.networks:
            shift, raw = network(F.hardtanh(kept, -20, 20)).split(self.width, dim=1)
            log_scale = raw.tanh()
            moved = torch.addcmul(shift, moved, log_scale.exp())
            log_det = log_det + log_scale.sum()
            kept, moved = moved, kept
        energy = 0.5 * (kept.square().sum() + moved.square().sum()) - log_det
        return energy / len(x) + self.width * math.log(2 * math.pi)


def make_step(x: Tensor) -> tuple[Callable[[], None], nn.Module]:
    """One training step on the batch x with fused Adam, and the network."""
    model = BareRealNVP(x.shape[1])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step() -> None:
        loss = model.loss(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step, model
