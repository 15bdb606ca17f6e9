"""The triangular transform of masked and inverse autoregressive flows.

    z_i = (x_i - mu_i(x_<i)) exp(-alpha_i(x_<i)),    ln |det dz/dx| = -sum_i alpha_i

Papamakarios, Pavlakou & Murray 2017 (arXiv:1705.07057), equations 4 and 5, with mu and alpha from one pass of a network
with the masks of MADE. It takes one pass from x to z, and from z to x a step for each dimension, in which a unit of the
network is computed as soon as what it sees is known: all steps together are the work of about one pass. The inverse
autoregressive flow of Kingma et al. 2016 (arXiv:1606.04934), equations 9 and 10, is the same map the other way round:
what is one pass is from noise to data.

The slow direction is differentiable, too. With T(x) = z solved, the implicit function theorem gives dx = J^-1 dz of the
triangular J = dT/dx, and the gradient g of x is that of z by J^T v = g: v <- (g - N^T v) / D, of the diagonal D and
what is below it, N, is exact after as many products as dimensions, and mostly settles after a few.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ancestral.bijections.affine import clipped, restored
from ancestral.bijections.bijection import Bijection
from ancestral.interface import InputError
from ancestral.layers.masked_network import MaskedNetwork, StepwiseMaskedNetwork


class MaskedAutoregressive(Bijection):
    """The transform of (batch, features), in the order of the features or, with `reverse`, from the last to the first.

    The context, of `context_size` numbers a row, enters mu and alpha of every feature. Before training it is the
    identity. `seed` is of the masks.
    """

    def __init__(
        self, features: int, hidden: Sequence[int], context_size: int = 0, *, reverse: bool = False, seed: int = 0
    ) -> None:
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise InputError(f"hidden needs widths of at least 1, got {list(hidden)}")
        self.network = MaskedNetwork(
            [1] * features, [2] * features, hidden, context=context_size, reverse=reverse, seed=seed
        )
        for layer in (self.network.output, self.network.context_output):
            if layer is not None:
                for parameter in layer.parameters():
                    nn.init.zeros_(parameter)

    def forward(
        self, x: Float[Tensor, "batch features"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, " batch"]]:
        return restored(x, *self._coefficients(x, context))

    def inverse(
        self, z: Float[Tensor, "batch features"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, " batch"]]:
        x, log_scale = self._solved(z, context)
        sources = [z, *self.parameters()] if context is None else [z, context, *self.parameters()]
        if not torch.is_grad_enabled() or not any(source.requires_grad for source in sources):
            return x, log_scale.sum(1)
        x.requires_grad_()
        shift, log_scale = self._coefficients(x, context)
        there, log_det = restored(x, shift, log_scale)
        slopes = torch.exp(-log_scale.detach())
        solution: tuple[Tensor, Tensor] = _Solution.apply(there - z, -log_det, x, slopes)
        return solution

    def _coefficients(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        shift, raw = self.network(clipped(x), context=context).unbind(1)
        return shift, raw.tanh()

    @torch.no_grad()
    def _solved(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """x, one feature after the other, and the log-scales there, both (batch, features)."""
        steps = StepwiseMaskedNetwork(
            self.network, len(z), context=context, encode=lambda _, values: clipped(values)[:, None]
        )
        x, log_scale = torch.empty_like(z), torch.empty_like(z)
        with steps.walked():
            for step, feature in enumerate(steps.path):
                shift, raw = steps.parameters(step).unbind(1)
                log_scale[:, feature] = bounded = raw.tanh()
                x[:, feature] = values = torch.addcmul(shift, z[:, feature], bounded.exp())
                steps.write(step, values)
        return x, log_scale


class _Solution(torch.autograd.Function):
    """x and ln |det dx/dz| of a solved T(x) - z = 0, whose gradients go to what T and z are made of.

    `residual` is T(x) - z and `log_det` that of x, as functions of the leaf x; `slopes` is the diagonal of dT/dx.
    """

    @staticmethod
    def forward(ctx: Any, residual: Tensor, log_det: Tensor, x: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(residual, log_det, x, slopes)
        return x.clone(), log_det.clone()

    @staticmethod
    def backward(ctx: Any, of_x: Tensor, of_log_det: Tensor) -> tuple[Tensor, Tensor, None, None]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "the slow direction of an autoregressive transform has first derivatives only, and was differentiated"
                " with create_graph=True; take the derivative of the fast one"
            )
        residual, log_det, x, slopes = ctx.saved_tensors
        solved, rounding = of_x / slopes, 4 * torch.finfo(x.dtype).eps
        for _ in range(x.shape[1]):
            # J^T v, less what x passes on to the log-determinant.
            (product,) = torch.autograd.grad((residual, log_det), x, (solved, -of_log_det), retain_graph=True)
            change = (of_x - product) / slopes
            solved = solved + change
            if bool((change.abs() <= rounding * solved.abs().amax(1, keepdim=True)).all()):
                break
        return -solved, of_log_det, None, None
