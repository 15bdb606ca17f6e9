"""Fabric's devices and processes, as the engine uses them."""

import atexit
import logging
import os
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor, nn

from ancestral.interface import InputError
from ancestral.training.settings import Settings

# It tells of each process that begins.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


class Devices:
    """The device of this process, and what the processes do together; alone, all of that costs nothing."""

    def __init__(self, settings: Settings) -> None:
        if settings.devices > 1:
            # Parameters of frozen phases get no gradient, and DDP must look for them. It warns where it finds none.
            warnings.filterwarnings("ignore", message="find_unused_parameters=True was specified in DDP constructor")
        self._check(settings)
        try:
            self.fabric = Fabric(
                accelerator=settings.accelerator,
                devices=settings.devices,
                precision=cast(Literal["32-true", "bf16-mixed"], settings.precision),
                strategy=DDPStrategy(find_unused_parameters=True) if settings.devices > 1 else "auto",
            )
            self.fabric.launch()
        except (RuntimeError, ValueError) as error:
            wanted = f"{settings.devices} of accelerator {settings.accelerator!r}"
            raise InputError(f"the devices asked for, {wanted}, are not there: {error}") from error
        if settings.devices > 1:
            atexit.register(_leave)
        self.device: torch.device = self.fabric.device
        self.world: int = self.fabric.world_size
        self.rank: int = self.fabric.global_rank

    @staticmethod
    def _check(settings: Settings) -> None:
        """Raise `InputError` unless there are the devices that are asked for."""
        cuda = torch.cuda.device_count()
        there = {"cuda": cuda, "gpu": cuda, "mps": int(torch.backends.mps.is_available())}
        there["gpu"] = there["gpu"] or there["mps"]
        # On a CPU a device is a process, of which more than there are cores only wait for each other.
        there["cpu"] = max(2, os.cpu_count() or 1)
        there["auto"] = there["gpu"] or there["cpu"]
        if settings.devices > (most := there[settings.accelerator]):
            kinds = [kind for kind in ("cpu", "cuda", "mps") if there[kind]]
            raise InputError(
                f"devices is {settings.devices}, but on this machine there are {most} for the accelerator"
                f" {settings.accelerator!r}; its accelerators are {', '.join(kinds)}"
            )

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and shows."""
        return self.rank == 0

    def place(self, module: nn.Module) -> None:
        self.fabric.to_device(module)

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over the processes; alone, Fabric's wrapper would only take time."""
        return self.fabric.setup_module(module) if self.world > 1 else module

    def autocast(self) -> AbstractContextManager[Any]:
        return self.fabric.autocast()

    def backward(self, loss: Tensor) -> None:
        self.fabric.backward(loss)

    def without_averaging(self, wrapped: nn.Module) -> AbstractContextManager[Any]:
        """Gradients of a backward pass inside stay with this process, to be averaged with those of a later one."""
        return nullcontext() if self.world == 1 else self.fabric.no_backward_sync(cast(Any, wrapped))

    def barrier(self) -> None:
        self.fabric.barrier()

    def reduced(self, values: Tensor, operation: Literal["sum", "mean", "max"]) -> Tensor:
        """The values combined over all processes, on the CPU."""
        return values if self.world == 1 else cast(Tensor, self.fabric.all_reduce(values, reduce_op=operation)).cpu()

    def mean(self, values: Mapping[str, float]) -> dict[str, float]:
        if self.world == 1:
            return dict(values)
        together = self.reduced(torch.tensor(list(values.values()), dtype=torch.float64), "mean")
        return dict(zip(values, together.tolist(), strict=True))

    def any(self, truth: bool) -> bool:
        """Whether it is true of some process."""
        return truth if self.world == 1 else bool(self.reduced(torch.tensor([float(truth)]), "max") > 0)

    def generator_states(self) -> list[dict[str, Tensor]]:
        """The states of the global generators that training draws from, by process."""
        own = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            own["cuda"] = torch.cuda.get_rng_state(self.device)
        if self.world == 1:
            return [own]
        everyone = {name: self._gathered(state) for name, state in own.items()}
        return [{name: states[rank] for name, states in everyone.items()} for rank in range(self.world)]

    def _gathered(self, state: Tensor) -> Tensor:
        # A sum in which each process fills its own row: Fabric's all_gather calls what torch has deprecated.
        rows = torch.zeros(self.world, len(state), dtype=torch.int32)
        rows[self.rank] = state
        return self.reduced(rows, "sum").to(torch.uint8)

    def set_generator_states(self, states: list[dict[str, Tensor]]) -> None:
        own = states[self.rank]
        torch.set_rng_state(own["cpu"])
        if self.device.type == "cuda" and "cuda" in own:
            torch.cuda.set_rng_state(own["cuda"], self.device)


def _leave() -> None:
    """Leave the group of processes, so that no thread of it runs while Python ends, which can abort the process.

    Fabric does so for NCCL alone.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
