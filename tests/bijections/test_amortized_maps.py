"""What planar and radial maps promise a model that trains through them, by parameters of their own or a context's."""

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from ancestral.bijections import PlanarFlows, RadialFlows
from tests.bijections.bijection_cases import perturbed

FLOWS = [PlanarFlows, RadialFlows]


@pytest.mark.parametrize("context_size", [0, 2])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("kind", FLOWS)
def test_both_directions_have_first_and_second_derivatives_in_everything(
    kind: type[PlanarFlows] | type[RadialFlows], direction: str, context_size: int
) -> None:
    flow = perturbed(kind(2, 2, context_size)).double()
    names = dict(flow.named_parameters())

    def call(x: Tensor, context: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        given = {f"flow.{name}": weight for name, weight in zip(names, weights, strict=True)}
        return functional_call(_Direction(flow, direction), given, (x, context if context_size else None))

    x = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    context = torch.randn(2, 2, dtype=torch.float64, requires_grad=bool(context_size))
    inputs = (x, context, *names.values())
    assert torch.autograd.gradcheck(call, inputs)
    assert torch.autograd.gradgradcheck(call, inputs)


class _Direction(torch.nn.Module):
    def __init__(self, flow: PlanarFlows | RadialFlows, direction: str) -> None:
        super().__init__()
        self.flow, self.direction = flow, direction

    def forward(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.flow.inverse(x, context) if self.direction == "inverse" else self.flow(x, context)


@pytest.mark.parametrize("kind", FLOWS)
def test_an_amortized_flow_is_for_each_row_the_flow_of_its_context(
    kind: type[PlanarFlows] | type[RadialFlows],
) -> None:
    flow = perturbed(kind(3, 4, context_size=2)).double()
    x, context = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)
    for direction in (flow.forward, flow.inverse):
        value, log_det = direction(x, context)
        for row in range(5):
            alone, its_log_det = direction(x[row : row + 1], context[row : row + 1])
            torch.testing.assert_close(value[row], alone[0])
            torch.testing.assert_close(log_det[row], its_log_det[0])
        moved, _ = direction(x, context + 1)
        assert bool((moved != value).any(1).all())
