"""An epoch of DCGAN and of WGAN-GP (double backward included) through the engine against bare PyTorch loops.

    python -m benchmarks.adversarial

28x28 images of 256 levels, batch 64, the same networks (asserted by their parameters), float32. Our time is that of a
whole call of `fit`; the bare loop is the floor. Aim: at most 1.1 times the bare loop.
"""

import argparse

import torch

from ancestral.data import Split
from ancestral.interface import Event, Levels
from ancestral.registry import build
from ancestral.training import fit
from benchmarks import bare_image_gan
from benchmarks.engine import same_size
from benchmarks.timing import interleave, machine

BATCH, CHANNELS, LATENT, RATIO = 64, 32, 100, 1.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=3840)
    parser.add_argument("--repetitions", type=int, default=7)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    event = Event((1, 28, 28), Levels(256))
    x = torch.randint(256, (arguments.rows, *event.shape), dtype=torch.uint8)
    print(machine())
    common = {"latent_dim": LATENT, "channels": CHANNELS}
    for name, settings, make_epoch in (
        ("dcgan", common, bare_image_gan.make_dcgan_epoch),
        ("wgan_gp", {**common, "network": "conv"}, bare_image_gan.make_wgan_gp_epoch),
    ):
        model = build(name, event, **settings)
        bare, theirs = make_epoch(x, BATCH, CHANNELS, LATENT)
        same_size(model, theirs)
        split = Split(x, event)
        seconds = interleave(
            {
                "ours": lambda model=model, split=split: fit(
                    model, split, epochs=1, batch_size=BATCH, accelerator="cpu", progress=False
                ),
                "bare": bare,
            },
            arguments.repetitions,
        )
        ratio = seconds["ours"] / seconds["bare"]
        print(
            f"{name}: an epoch of {arguments.rows} rows {1e3 * seconds['ours']:.0f} ms, the bare loop"
            f" {1e3 * seconds['bare']:.0f} ms: {ratio:.3f} times; {'met' if ratio <= RATIO else 'NOT MET'}"
        )


if __name__ == "__main__":
    main()
