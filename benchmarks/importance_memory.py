"""The rise of peak memory while a VAE's bound is scored with 5,000 importance samples on 1,000 images of 28x28.

Run: python -m benchmarks.importance_memory. The aim is under 2 GB. The floor is what one chunk of decoded rows takes.
"""

import argparse
import resource
import time

import torch

import ancestral as an


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--importance-samples", type=int, default=5000)
    parser.add_argument("--images", type=int, default=1000)
    arguments = parser.parse_args()
    event = an.Event((1, 28, 28), an.Binary())
    model = an.build("vae", event, latent_dim=50, hidden=[200, 200])
    x = (torch.rand(arguments.images, *event.shape) < 0.2).float()
    an.evaluate(model, x[:10], importance_samples=2)
    before = _peak_bytes()
    start = time.perf_counter()
    score = an.evaluate(model, x, importance_samples=arguments.importance_samples, batch_size=250)
    seconds = time.perf_counter() - start
    rise = _peak_bytes() - before
    floor = an.BoundedDensity.rows_at_once * event.size * 4
    print(score)
    print(f"peak memory rose by {rise / 1e9:.3f} GB in {seconds:.1f} s (aim: under 2 GB)")
    print(f"floor: one chunk of logits is {floor / 1e9:.3f} GB; measured over floor {rise / floor:.1f}")


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
