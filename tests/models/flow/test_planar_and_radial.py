"""Planar and radial flows bend a Gaussian towards data that are none, and sample what they have learned."""

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from ancestral.interface import Batch, Event, InputError, Real
from ancestral.models.flow.planar_and_radial_flow import PlanarFlow, RadialFlow


def two_clusters(n: int) -> Tensor:
    torch.manual_seed(0)
    side = torch.randint(2, (n, 1)) * 2.0 - 1
    return torch.cat([2.5 * side, side], 1) + 0.4 * torch.randn(n, 2)


@pytest.mark.parametrize("kind", [PlanarFlow, RadialFlow])
def test_it_fits_what_a_gaussian_cannot(kind: type[PlanarFlow] | type[RadialFlow]) -> None:
    train, test = two_clusters(1024).split(512)
    torch.manual_seed(1)
    model = kind(Event((2,), Real()), length=8)
    (phase,) = model.phases()
    optimizer = torch.optim.Adam(phase.parameters, lr=0.02)
    model.train()
    for _ in range(300):
        optimizer.zero_grad()
        phase.loss(Batch(train)).total.backward()
        optimizer.step()
    with torch.no_grad():
        reached = float(model.log_prob(test).mean())
        gaussian = float(MultivariateNormal(train.mean(0), train.T.cov()).log_prob(test).mean())
        assert reached > gaussian + 0.3
        # Between the clusters there is next to nothing, as among the data.
        drawn = model.sample(1000, generator=torch.Generator().manual_seed(0))
        assert float((drawn[:, 0].abs() < 0.8).float().mean()) < 0.1


@pytest.mark.parametrize("kind", [PlanarFlow, RadialFlow])
def test_a_flow_has_maps(kind: type[PlanarFlow] | type[RadialFlow]) -> None:
    with pytest.raises(InputError, match="a length of at least 1, got 0"):
        kind(Event((2,), Real()), length=0)
