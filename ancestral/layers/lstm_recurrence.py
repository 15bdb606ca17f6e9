"""The recurrence of a convolutional LSTM whose states are computed a step, a set of positions, at a time.

Its states are those of van den Oord et al. 2016 ("Pixel Recurrent Neural Networks", equation 3): from the input's part
of the gates, computed beforehand for all steps, and a convolution of the states of the step before,

    [o, f, i, g] = sigma(K_ss * h_before + K_is * x),    c = f c_before + i g,    h = o tanh(c).

The positions of a step are a run of columns, and each gate a block of rows: a step is one product of two matrices for
each tap of the convolution, and a few operations in place. Nothing is copied or multiplied beyond the borders of steps.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Tap(NamedTuple):
    """What of a step has a predecessor at one tap of the state-to-state convolution, and what of the step before it is.

    Slices are of columns, and None where they would be all of them.
    """

    number: int
    columns: slice | None
    before: slice | None


class Step(NamedTuple):
    """How many columns are computed at once, the taps that reach the step before, and the one that carries the cell."""

    size: int
    taps: Sequence[Tap]
    cell: Tap | None


@functools.lru_cache(maxsize=64)
def steps(ranges: tuple[tuple[int, int], ...], offsets: tuple[int, ...], batch: int) -> Sequence[Step]:
    """Steps that each cover a range of positions; a tap reads from a position at its offset in the step before.

    The cell is carried along offset 0. Each position has `batch` columns.
    """

    def part(first: int, last: int, low: int, high: int) -> slice | None:
        return None if (first, last) == (low, high) else slice(batch * (first - low), batch * (last - low))

    found: list[Step] = []
    before = 0, 0
    for low, high in ranges:
        taps = []
        for number, offset in enumerate(offsets):
            first, last = max(low, before[0] - offset), min(high, before[1] - offset)
            if first < last:
                taps.append(Tap(number, part(first, last, low, high), part(first + offset, last + offset, *before)))
        own = [tap for tap in taps if offsets[tap.number] == 0]
        found.append(Step(batch * (high - low), taps, own[0] if own else None))
        before = low, high
    return found


def recurrence(
    gates: Float[Tensor, "directions gates columns"],
    weight: Float[Tensor, "directions taps gates channels"],
    steps: Sequence[Step],
) -> Float[Tensor, "directions channels columns"]:
    """The states h of all steps, for each direction with a convolution of its own; overwrites `gates`.

    These are what the input adds to o, f, i and g, `channels` rows each, the columns in the order of the steps.
    """
    hidden: Tensor = _Recurrence.apply(gates, weight, steps)[0]
    return hidden


class _Recurrence(torch.autograd.Function):
    """Keeps what it needs and no more for its backward pass through time.

    The activations overwrite the gates, and are returned too, but no gradient may be asked for through these.
    """

    @staticmethod
    def forward(ctx: Any, gates: Tensor, weight: Tensor, steps: Sequence[Step]) -> tuple[Tensor, Tensor]:
        channels = weight.shape[3]
        hidden, cells, squashed = (torch.empty_like(gates[:, :channels]) for _ in range(3))
        kernel = weight.unbind(1)
        h_before = c_before = hidden[:, :, :0]
        for step, a, h, c, s in zip(steps, *_by_step(steps, gates, hidden, cells, squashed)):
            for tap in step.taps:
                _at(a, tap.columns).baddbmm_(kernel[tap.number], _at(h_before, tap.before))
            a[:, : 3 * channels].sigmoid_()
            a[:, 3 * channels :].tanh_()
            o, f, i, g = a.split(channels, dim=1)
            torch.mul(i, g, out=c)
            if tap := step.cell:
                _at(c, tap.columns).addcmul_(_at(f, tap.columns), _at(c_before, tap.before))
            torch.tanh(c, out=s)
            torch.mul(o, s, out=h)
            h_before, c_before = h, c
        ctx.mark_dirty(gates)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(gates, weight, hidden, cells, squashed)
        ctx.steps = steps
        return hidden, gates

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor, _: None) -> tuple[Tensor, Tensor, None]:
        gates, weight, hidden, cells, squashed = ctx.saved_tensors
        channels, steps = weight.shape[3], ctx.steps
        sigmoid_backward, tanh_backward = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward
        kernel = weight.transpose(2, 3).unbind(1)
        d_gates, d_weight = torch.empty_like(gates), torch.zeros_like(weight)
        d_kernel = d_weight.unbind(1)
        kept = _by_step(
            steps,
            gates,
            hidden,
            cells,
            squashed,
            d_gates,
            grad.clone(memory_format=torch.contiguous_format),
            torch.zeros_like(cells),
        )
        each = list(zip(steps, *kept))
        for t in range(len(steps) - 1, -1, -1):
            step, a, _, _, s, d_a, d_h, d_c = each[t]
            _, _, h_before, c_before, _, _, d_h_before, d_c_before = each[t - 1]  # the first step has no taps
            o, f, i, g = a.split(channels, dim=1)
            d_o, d_f, d_i, d_g = d_a.split(channels, dim=1)
            torch.mul(d_h, s, out=d_o)
            d_c += tanh_backward(d_h.mul_(o), s)
            torch.mul(d_c, g, out=d_i)
            torch.mul(d_c, i, out=d_g)
            if step.cell is None or step.cell.columns is not None:
                d_f.zero_()
            if tap := step.cell:
                d_here = _at(d_c, tap.columns)
                torch.mul(d_here, _at(c_before, tap.before), out=_at(d_f, tap.columns))
                torch.mul(d_here, _at(f, tap.columns), out=_at(d_c_before, tap.before))
            logistic = d_a[:, : 3 * channels]
            sigmoid_backward(logistic, a[:, : 3 * channels], grad_input=logistic)
            tanh_backward(d_g, g, grad_input=d_g)
            for tap in step.taps:
                d_here, seen = _at(d_a, tap.columns), _at(h_before, tap.before)
                _at(d_h_before, tap.before).baddbmm_(kernel[tap.number], d_here)
                d_kernel[tap.number].baddbmm_(d_here, seen.transpose(1, 2))
        return d_gates, d_weight, None


def _by_step(steps: Sequence[Step], *maps: Tensor) -> list[tuple[Tensor, ...]]:
    sizes = [step.size for step in steps]
    return [each.split(sizes, dim=2) for each in maps]


def _at(columns: Tensor, part: slice | None) -> Tensor:
    return columns if part is None else columns[:, :, part]
