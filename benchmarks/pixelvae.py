"""PixelVAE on 28x28 binary images, batch 16: a training step against a bare network, and sampling in forward passes.

Run: python -m benchmarks.pixelvae. Aims: a training step at most 1.1 times the bare network's; cached sampling, z and
decoder included, in at most 6 bare forward passes of p(x | z).
"""

import argparse
from unittest.mock import patch

import torch
from torch import Tensor

from ancestral.interface import Batch, Binary, Event
from ancestral.models.hybrid.pixelvae import PixelVAE
from benchmarks.bare_pixelvae import BarePixelVAE
from benchmarks.gated_pixelcnn import training_step
from benchmarks.timing import interleave, machine

BATCH = 16
EVENT = Event((1, 28, 28), Binary())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7)
    repetitions = parser.parse_args().repetitions
    print(machine())
    for channels, blocks in ((32, 2), (32, 5)):
        compared(channels, blocks, repetitions)


def compared(channels: int, blocks: int, repetitions: int) -> None:
    """Prints the cost of a training step against the bare network's, and of sampling in its forward passes."""
    model, bare = pair(latent_dim=32, channels=channels, blocks=blocks, stage_channels=32)
    x = images()
    steps = {
        "ours": training_step(model, lambda: model.phases()[0].loss(Batch(x)).total),
        "bare": training_step(bare, lambda: bare.negative_elbo(x, torch.randn(BATCH, 32))),
    }
    seconds = interleave(steps, 3 * repetitions)
    print(
        f"{blocks} blocks of {channels}: training step {seconds['ours'] * 1e3:.1f} ms, bare"
        f" {seconds['bare'] * 1e3:.1f} ms: {seconds['ours'] / seconds['bare']:.2f} times (at most 1.1)"
    )

    @torch.inference_mode()
    def forward() -> Tensor:
        return bare.logits(x, torch.randn(BATCH, 32))

    seconds = interleave({"forward": forward, "sample": lambda: model.sample(BATCH)}, repetitions)
    print(
        f"  sampling {seconds['sample'] * 1e3:.0f} ms, a bare forward pass {seconds['forward'] * 1e3:.1f} ms:"
        f" {seconds['sample'] / seconds['forward']:.2f} passes (at most 6)"
    )


def images() -> Tensor:
    return (torch.rand(BATCH, *EVENT.shape) < 0.2).float()


def pair(latent_dim: int, channels: int, blocks: int, stage_channels: int) -> tuple[PixelVAE, BarePixelVAE]:
    """Our model and the bare network with the same weights, which are one function."""
    torch.manual_seed(0)
    model = PixelVAE(EVENT, latent_dim=latent_dim, channels=channels, blocks=blocks, stage_channels=stage_channels)
    bare = BarePixelVAE(latent_dim, channels, blocks, stage_channels)
    ours, theirs = list(model.parameters()), list(bare.parameters())
    if [p.shape for p in ours] != [p.shape for p in theirs]:
        raise SystemExit("the networks differ in their parameters")
    with torch.no_grad():
        for mine, other in zip(ours, theirs, strict=True):
            other.copy_(mine)
        x, noise = images(), torch.randn(BATCH, latent_dim)
        with patch("torch.randn", lambda *_, **__: noise[None]):
            found = model._loss(Batch(x)).total
        if not torch.allclose(found, bare.negative_elbo(x, noise), rtol=1e-4):
            raise SystemExit(f"the networks differ: {found} and {bare.negative_elbo(x, noise)} nats")
    return model, bare


if __name__ == "__main__":
    main()
