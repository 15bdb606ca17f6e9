"""Planar flows: Rezende & Mohamed 2015, "Variational inference with normalizing flows" (arXiv:1505.05770), section 4.1.

    f(z) = z + u tanh(w . z + b),    ln |det df/dz| = ln |1 + (1 - tanh^2(w . z + b)) w . u|        (equations 10 to 12)

is invertible where w . u >= -1, which u^ = u + (m(w . u) - w . u) w / |w|^2 ensures (appendix A.1) with any m(x) > -1.
The paper's m(x) = -1 + ln(1 + e^x) is not 0 at 0, so that u^ grows without bound as w vanishes; here it is moved until
it is, m(x) = -1 + ln(1 + (e - 1) e^x). With t for the tanh the determinant is t^2 + (1 - t^2) (1 + m), a sum of what
is above 0: the form with w . u^ is not, in float32, where a map has learnt to close a gap between the data.

Each map moves z along its u alone, so that of a chain only the tanh t_k must be found in turn,

    t_k = tanh(w_k . z_0 + b_k + sum_{j<k} (w_k . u_j) t_j),

and z, the determinants and, by a triangular system, all derivatives follow for all maps at once: dozens of maps of a
few numbers otherwise cost what calling them costs.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.bijections.bijection import Bijection
from ancestral.interface import InputError

#: Halvings after which a bracket is as narrow as float64 tells apart.
_HALVINGS = 60
#: With it m(0) = 0.
_SHIFT = math.log(math.e - 1)
#: The least 1 + w . u^: the logarithm of a determinant is finite wherever a point lies.
_LEAST = 1e-6


class PlanarFlows(Bijection):
    """`length` planar maps one after the other, as one bijection of (batch, features).

    With a `context_size` the parameters of all maps are a linear function of the context, each row's own.
    """

    def __init__(self, features: int, length: int, context_size: int = 0) -> None:
        super().__init__()
        if length < 1:
            raise InputError(f"a flow needs a length of at least 1, got {length}")
        self.features, self.length = features, length
        #: w, u and b of every map, or what is added to a linear map of the context.
        self.w = nn.Parameter(0.1 * torch.randn(length, features))
        self.u = nn.Parameter(0.1 * torch.randn(length, features))
        self.b = nn.Parameter(0.1 * torch.randn(length))
        self.amortized = nn.ModuleList()
        for own in (self.w, self.u, self.b) if context_size else ():
            linear = nn.Linear(context_size, own.numel(), bias=False)
            nn.init.normal_(linear.weight, std=0.1 / math.sqrt(context_size))
            self.amortized.append(linear)

    def forward(
        self, x: Float[Tensor, "batch features"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, " batch"]]:
        w, u, b, centre = self._maps(context)
        products = w @ u.mT  # of w_k and u_j, (rows or 1, length, length)
        arguments = (w @ x[:, :, None])[:, :, 0] + b
        tanh = _InTurn.apply(arguments, products.expand(len(x), -1, -1))
        z = x + (tanh[:, None] @ u)[:, 0]
        return z, _determinant(tanh, centre).log().sum(1)

    def inverse(
        self, z: Float[Tensor, "batch features"], context: Float[Tensor, "batch n"] | None = None
    ) -> tuple[Float[Tensor, "batch features"], Float[Tensor, " batch"]]:
        """x by bisection: w . x + b is the root of a function of one variable that rises."""
        w, u, b, centre = self._maps(context)
        total = z.new_zeros(len(z))
        for k in reversed(range(self.length)):
            tanh = _root(centre[:, k].expand(len(z)), (z * w[:, k]).sum(1) + b[:, k]).tanh()
            z = z - u[:, k] * tanh[:, None]
            total = total - _determinant(tanh, centre[:, k]).log()
        return z, total

    def _maps(self, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """w and u^ of every map, (rows or 1, length, features), then b and 1 + w . u^, (rows or 1, length)."""
        w, u, b = self.w[None], self.u[None], self.b[None]
        if context is not None and self.amortized:
            w, u, b = (own + to(context).view(-1, *own.shape[1:]) for own, to in zip((w, u, b), self.amortized))
        inner = (w * u).sum(2, keepdim=True)
        centre = F.softplus(inner + _SHIFT).clamp(min=_LEAST)
        excess = (centre - 1 - inner) / w.square().sum(2, keepdim=True).clamp(min=1e-12)
        return w, torch.addcmul(u, excess, w), b, centre[:, :, 0]


class _InTurn(torch.autograd.Function):
    """t_k = tanh(a_k + sum_{j<k} L_kj t_j) in turn, (rows, maps) and (rows, maps, maps) -> (rows, maps).

    Of L only what lies below the diagonal counts. Since dt = s (da + L dt + dL t) with s = 1 - t^2, a gradient v of t
    is (I - s L)^-T v before the tanh.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(arguments: Tensor, lower: Tensor) -> Tensor:
        # Later entries of what is left of the arguments still change; what is added to earlier ones is never read.
        left, tanh = arguments.clone(), torch.empty_like(arguments)
        for k, column in enumerate(lower.unbind(2)):
            t = torch.tanh(left[:, k])
            tanh[:, k] = t
            left.addcmul_(column, t[:, None])
        return tanh

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output, inputs[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        tanh, lower = ctx.saved_tensors
        slopes = 1 - tanh.square()
        system = (-slopes[:, :, None] * lower).mT  # of which the part above the diagonal is read
        solved = torch.linalg.solve_triangular(system, gradient[:, :, None], upper=True, unitriangular=True)[:, :, 0]
        of_arguments = slopes * solved
        return of_arguments, (of_arguments[:, :, None] * tanh[:, None]).tril_(-1)


def _determinant(tanh: Tensor, centre: Tensor) -> Tensor:
    """df/dz across the hyperplane, from `centre`, 1 + w . u^, on it, where the tanh is 0, to 1 far from it."""
    square = tanh.square()
    return square + (1 - square) * centre


def _root(centre: Tensor, value: Tensor) -> Tensor:
    """The a with a + (centre - 1) tanh(a) = value, elementwise; with its first and second derivatives."""
    with torch.no_grad():
        slope, v = centre.double() - 1, value.double()
        low, high = v - slope.abs(), v + slope.abs()
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            below = middle + slope * middle.tanh() < v
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        root = ((low + high) / 2).to(value)
    # A step of Newton's method from the root has its derivatives, each further one those of a higher order.
    for _ in range(2):
        tanh = root.tanh()
        step = (value - root - (centre - 1) * tanh) / _determinant(tanh, centre)
        root = root + (step - step.detach())
    return root
