"""Which layer went bad first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ancestral.interface import Losses

#: A loss that depends on random draws may be finite when it is computed again: try a few times.
_TRIES = 5


def find_fault(model: nn.Module, loss: Callable[[], Losses]) -> str:
    """What is not finite, in words: a parameter, the output of the first such layer, or a part of the loss itself."""
    if fault := find_spoiled_parameter(model):
        return fault
    for _ in range(_TRIES):
        if fault := _first_bad_output(model, loss):
            return fault
    return "computed again, with other random draws, the loss is finite"


def find_spoiled_parameter(model: nn.Module) -> str | None:
    bad = [name for name, parameter in model.named_parameters() if not bool(parameter.isfinite().all())]
    if not bad:
        return None
    # A gradient goes from the loss to the input: what it spoiled first is nearest to the loss.
    return f"an update has spoiled {len(bad)} parameters, first {bad[-1]!r}: its gradient was not finite"


def _first_bad_output(model: nn.Module, loss: Callable[[], Losses]) -> str | None:
    faults: list[str] = []
    handles: list[RemovableHandle] = []

    def watch(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not faults and any(not bool(tensor.isfinite().all()) for tensor in _tensors(output)):
                faults.append(f"the first layer whose output is not finite is {name!r} ({type(module).__name__})")

        return hook

    for name, module in model.named_modules():
        handles.append(module.register_forward_hook(watch(name)))
    try:
        with torch.enable_grad():  # a gradient penalty takes gradients itself
            losses = loss()
    finally:
        for handle in handles:
            handle.remove()
    if faults:
        return faults[0]
    if bool(losses.total.isfinite()):
        return None
    parts = [name for name, part in losses.parts.items() if not bool(part.isfinite().all())]
    return "the output of every layer is finite, the loss is not" + (f": see its part {parts[0]!r}" if parts else "")


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from _tensors(item)
