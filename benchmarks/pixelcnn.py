"""Cached sampling of PixelCNN and of Gated PixelCNN on 28x28 binary images, batch 16, in units of forward passes.

Run: python -m benchmarks.pixelcnn. A naive sample costs 784 forward passes of the model, and the aim is at most 6 of
them. The floor of sampling is its useful operations at the machine's rate of matrix products: masked weights, which
both passes leave out or multiply by zero, do not count. `benchmarks.gated_pixelcnn` holds Gated PixelCNN against a
bare network.
"""

import argparse

import torch
from torch import Tensor, nn

from ancestral.interface import Binary, Event
from ancestral.layers.masked import MaskedConv2d
from ancestral.layers.raster_model import RasterModel
from ancestral.models.autoregressive.gated_pixelcnn import GatedPixelCNN
from ancestral.models.autoregressive.pixelcnn import PixelCNN
from benchmarks.timing import gemm_rate, interleave, machine

BATCH = 16
EVENT = Event((1, 28, 28), Binary())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=7)
    arguments = parser.parse_args()
    rate = gemm_rate()
    print(f"{machine()}, {rate / 1e9:.0f} GFLOP/s in matrix products")
    torch.manual_seed(0)
    sampling("PixelCNN, 7 blocks of 32", PixelCNN(EVENT, channels=32, blocks=7), rate, arguments.repetitions)
    sampling("PixelCNN, 15 blocks of 128", PixelCNN(EVENT, channels=128, blocks=15), rate, arguments.repetitions)
    sampling("Gated PixelCNN, 5 blocks of 32", GatedPixelCNN(EVENT, channels=32), rate, arguments.repetitions)


def sampling(name: str, model: RasterModel, rate: float, repetitions: int) -> None:
    """Prints the cost of cached sampling in forward passes of the model itself."""
    model.eval()
    x = (torch.rand(BATCH, *EVENT.shape) < 0.2).float()

    @torch.inference_mode()
    def forward() -> Tensor:
        return model._conditionals(x, None, 0)

    seconds = interleave({"forward": forward, "sample": lambda: model.sample(BATCH)}, repetitions)
    sample, passed, floor = seconds["sample"], seconds["forward"], operations(model) * BATCH / rate
    print(
        f"{name}: sampling {sample * 1e3:.0f} ms, a forward pass {passed * 1e3:.1f} ms: {sample / passed:.2f} passes"
        f" (at most 6); floor {floor * 1e3:.1f} ms, {sample / floor:.1f} times it"
    )


def operations(model: nn.Module) -> int:
    """Useful floating-point operations of one image: two for each weight that is not masked, at each pixel."""
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    weights = sum(int(m.mask.sum()) if isinstance(m, MaskedConv2d) else m.weight.numel() for m in layers)
    return 2 * weights * EVENT.size


if __name__ == "__main__":
    main()
