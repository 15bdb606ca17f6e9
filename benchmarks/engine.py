"""An epoch through the engine against a bare PyTorch loop, for a VAE and a GAN; the VAE against pythae's trainer, too.

    python -m benchmarks.engine

VAE 784-512-16-512-784 and GAN (generator 64-256-784, discriminator 784-256-1), batch 100, fused Adam, float32, the same
number of parameters in each. Our time is that of a whole call of `fit` with everything that it sets up, checks, logs
and copies; the bare loop is the floor. Aim: at most 1.1 times the bare loop, or 0.3 ms a phase, whichever is larger.
"""

import argparse
import contextlib
import logging
import math
import os
import tempfile
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ancestral.data import Split
from ancestral.interface import Binary, Event, Model, Real
from ancestral.registry import build
from ancestral.training import fit
from benchmarks import bare_gan, bare_vae
from benchmarks.timing import interleave, machine

PIXELS, BATCH = 784, 100
RATIO, SECONDS_PER_PHASE = 1.1, 0.3e-3
Epoch = Callable[[], object]


def engine_epoch(model: Model, data: Split) -> Epoch:
    return lambda: fit(model, data, epochs=1, batch_size=BATCH, accelerator="cpu", progress=False)


def pythae_epoch(x: Tensor) -> tuple[Epoch, nn.Module]:
    """One epoch of pythae's trainer on its own VAE of the same layers; its progress bar goes nowhere."""
    logging.disable(logging.INFO)
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    model = VAE(VAEConfig(input_dim=(PIXELS,), latent_dim=16, reconstruction_loss="bce"))
    config = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(),
        num_epochs=1,
        per_device_train_batch_size=BATCH,
        no_cuda=True,
        optimizer_cls="Adam",
        optimizer_params={"fused": True},
        learning_rate=1e-3,
    )
    trainer = BaseTrainer(model, BaseDataset(x, torch.zeros(len(x))), training_config=config)
    trainer.prepare_training()

    def epoch() -> None:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            trainer.train_step(1)
            trainer.callback_handler.on_epoch_end(training_config=config)

    return epoch, model


def compare(name: str, phases: int, contestants: dict[str, Epoch], rows: int, repetitions: int) -> None:
    seconds = interleave(contestants, repetitions)
    steps = math.ceil(rows / BATCH)
    ours, bare = seconds["ancestral"], seconds["bare loop"]
    print(f"{name}: an epoch of {steps} steps, median of {repetitions}")
    for contestant, value in seconds.items():
        print(f"  {contestant:<10} {1e3 * value:8.1f} ms   ours is {ours / value:5.3f} times this")
    overhead = (ours - bare) / (steps * phases)
    met = ours <= RATIO * bare or overhead <= SECONDS_PER_PHASE
    print(f"  overhead {1e3 * overhead:.3f} ms a phase; floor: the bare loop; {'met' if met else 'NOT MET'}")


def same_size(ours: nn.Module, theirs: nn.Module) -> None:
    sizes = [sum(parameter.numel() for parameter in model.parameters()) for model in (ours, theirs)]
    if sizes[0] != sizes[1]:
        raise AssertionError(f"ours has {sizes[0]} parameters, the other {sizes[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--repetitions", type=int, default=7)
    arguments = parser.parse_args()
    rows, repetitions = arguments.rows, arguments.repetitions
    torch.manual_seed(0)
    x = torch.rand(rows, PIXELS).round()
    print(machine())

    vae = build("vae", Event((PIXELS,), Binary()), hidden=[512], latent_dim=16, activation="relu")
    epoch, bare = bare_vae.make_epoch(x, BATCH)
    same_size(vae, bare)
    contestants = {"ancestral": engine_epoch(vae, Split(x, vae.event)), "bare loop": epoch}
    try:
        contestants["pythae"], theirs = pythae_epoch(x)
        same_size(vae, theirs)
    except ImportError as error:
        print(f"pythae is not installed ({error})")
    compare("VAE", 1, contestants, rows, repetitions)

    event = Event((PIXELS,), Real())
    gan = build("gan", event, hidden=[256], latent_dim=64, discriminator_hidden=[256])
    epoch, bare = bare_gan.make_epoch(x, BATCH)
    same_size(gan, bare)
    compare("GAN", 2, {"ancestral": engine_epoch(gan, Split(x, event)), "bare loop": epoch}, rows, repetitions)


if __name__ == "__main__":
    main()
