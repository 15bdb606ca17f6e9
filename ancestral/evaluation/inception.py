"""The network behind the Fréchet inception distance: InceptionV3 up to its last pooling, with weights from a file.

Szegedy et al. 2016, "Rethinking the inception architecture for computer vision" (arXiv:1512.00567), in the variant
whose weights Heusel et al. 2017 took for the distance: average pooling leaves the padding out of its means, and the
last block has max pooling in its place. Parameters bear the names of torchvision and of pytorch-fid; what either has
beyond the last pooling (a classifier, an auxiliary one) is not needed. Weights of torchvision's own training fit too,
but are of a network that pools otherwise: their numbers are comparable among themselves alone.
"""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import InputError

#: The side of the images that the network was made for, and the number of its features.
SIDE, FEATURES = 299, 2048
#: Parts of published state dicts beyond the features.
_BEYOND = ("fc.", "AuxLogits.")
#: Entries that an error lists of each kind.
_LISTED = 3


class InceptionV3(nn.Module):
    """Images (batch, 3, 299, 299) on [-1, 1] -> 2,048 features, the means of the last maps."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Conv(32, 32, 3)
        self.Conv2d_2b_3x3 = _Conv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3)
        self.Mixed_5b = _BlockA(192, pooled=32)
        self.Mixed_5c = _BlockA(256, pooled=64)
        self.Mixed_5d = _BlockA(288, pooled=64)
        self.Mixed_6a = _BlockB(288)
        self.Mixed_6b = _BlockC(768, 128)
        self.Mixed_6c = _BlockC(768, 160)
        self.Mixed_6d = _BlockC(768, 160)
        self.Mixed_6e = _BlockC(768, 192)
        self.Mixed_7a = _BlockD(768)
        self.Mixed_7b = _BlockE(1280, _mean_pool)
        self.Mixed_7c = _BlockE(2048, _max_pool)

    def forward(self, x: Float[Tensor, "batch 3 299 299"]) -> Float[Tensor, "batch 2048"]:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        x = self.Mixed_6a(x)
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return x.mean((2, 3))


def inception_input(x: Float[Tensor, "batch colours height width"]) -> Float[Tensor, "batch 3 299 299"]:
    """Images on [0, 1], grey or of three colours, as the network takes them: interpolated, on [-1, 1]."""
    x = F.interpolate(x.float(), size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    return 2 * x.expand(-1, 3, -1, -1) - 1


def load_inception(path: str | Path) -> InceptionV3:
    """The network with the weights of a `.safetensors` or an `.npz` file, in evaluation mode.

    Raises `InputError` that lists what is missing, unexpected or of another shape, where they do not fit.
    """
    found = {name: value for name, value in _read(Path(path)).items() if not name.startswith(_BEYOND)}
    network = InceptionV3()
    needed = {name: tensor for name, tensor in network.state_dict().items() if "num_batches" not in name}
    found = {name: value for name, value in found.items() if "num_batches" not in name}
    wrong = {
        "missing": [name for name in needed if name not in found],
        "unexpected": [name for name in found if name not in needed],
        "of another shape": [
            f"{name} {tuple(found[name].shape)}, not {tuple(tensor.shape)}"
            for name, tensor in needed.items()
            if name in found and found[name].shape != tensor.shape
        ],
    }
    if any(wrong.values()):
        said = "; ".join(f"{len(names)} {what} ({_some(names)})" for what, names in wrong.items() if names)
        raise InputError(
            f"{path} does not hold the weights of InceptionV3 under torchvision's or pytorch-fid's names: {said}"
        )
    if broken := [name for name, value in found.items() if not bool(value.isfinite().all())]:
        raise InputError(f"weights in {path} are not finite: {_some(broken)}")
    network.load_state_dict(found, strict=False)
    return network.eval()


def _some(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")


def _read(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a file by name; nothing is unpickled."""
    if path.suffix not in (".safetensors", ".npz"):
        raise InputError(
            f"weights of Inception are read from .safetensors or .npz, got {str(path)!r}; of a pickled state dict,"
            " safetensors.torch.save_file(state_dict, path) makes one"
        )
    if not path.is_file():
        raise InputError(f"there is no file {str(path)!r} with weights of Inception")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, TypeError, zipfile.BadZipFile, safetensors.SafetensorError) as error:
        raise InputError(f"{path} cannot be read as weights: {' '.join(str(error).split())}") from error


# -- Blocks ------------------------------------------------------------------------------------------------------------


class _Conv(nn.Module):
    """A convolution without a bias, batch norm and ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def _mean_pool(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _max_pool(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=1, padding=1)


class _BlockA(nn.Module):
    """Maps of 35x35."""

    def __init__(self, inputs: int, pooled: int) -> None:
        super().__init__()
        self.branch1x1 = _Conv(inputs, 64, 1)
        self.branch5x5_1 = _Conv(inputs, 48, 1)
        self.branch5x5_2 = _Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = _Conv(inputs, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, padding=1)
        self.branch_pool = _Conv(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = [
            self.branch1x1(x),
            self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            self.branch_pool(_mean_pool(x)),
        ]
        return torch.cat(parts, 1)


class _BlockB(nn.Module):
    """From 35x35 to 17x17."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = _Conv(inputs, 384, 3, stride=2)
        self.branch3x3dbl_1 = _Conv(inputs, 64, 1)
        self.branch3x3dbl_2 = _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        parts = [
            self.branch3x3(x),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            F.max_pool2d(x, 3, stride=2),
        ]
        return torch.cat(parts, 1)


class _BlockC(nn.Module):
    """Maps of 17x17; kernels of 7x7 as products of 1x7 and 7x1."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        across, down = ((1, 7), (0, 3)), ((7, 1), (3, 0))

        def conv(ins: int, outs: int, kind: tuple[tuple[int, int], tuple[int, int]]) -> _Conv:
            return _Conv(ins, outs, kind[0], padding=kind[1])

        self.branch1x1 = _Conv(inputs, 192, 1)
        self.branch7x7_1 = _Conv(inputs, channels, 1)
        self.branch7x7_2 = conv(channels, channels, across)
        self.branch7x7_3 = conv(channels, 192, down)
        self.branch7x7dbl_1 = _Conv(inputs, channels, 1)
        self.branch7x7dbl_2 = conv(channels, channels, down)
        self.branch7x7dbl_3 = conv(channels, channels, across)
        self.branch7x7dbl_4 = conv(channels, channels, down)
        self.branch7x7dbl_5 = conv(channels, 192, across)
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        parts = [
            self.branch1x1(x),
            self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x))),
            self.branch7x7dbl_5(self.branch7x7dbl_4(double)),
            self.branch_pool(_mean_pool(x)),
        ]
        return torch.cat(parts, 1)


class _BlockD(nn.Module):
    """From 17x17 to 8x8."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3_1 = _Conv(inputs, 192, 1)
        self.branch3x3_2 = _Conv(192, 320, 3, stride=2)
        self.branch7x7x3_1 = _Conv(inputs, 192, 1)
        self.branch7x7x3_2 = _Conv(192, 192, (1, 7), padding=(0, 3))
        self.branch7x7x3_3 = _Conv(192, 192, (7, 1), padding=(3, 0))
        self.branch7x7x3_4 = _Conv(192, 192, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        parts = [
            self.branch3x3_2(self.branch3x3_1(x)),
            self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))),
            F.max_pool2d(x, 3, stride=2),
        ]
        return torch.cat(parts, 1)


class _BlockE(nn.Module):
    """Maps of 8x8; kernels of 3x3 as sums of 1x3 and 3x1."""

    def __init__(self, inputs: int, pool: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = _Conv(inputs, 320, 1)
        self.branch3x3_1 = _Conv(inputs, 384, 1)
        self.branch3x3_2a = _Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3_2b = _Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch3x3dbl_1 = _Conv(inputs, 448, 1)
        self.branch3x3dbl_2 = _Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a = _Conv(384, 384, (1, 3), padding=(0, 1))
        self.branch3x3dbl_3b = _Conv(384, 384, (3, 1), padding=(1, 0))
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        parts = [
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(self.pool(x)),
        ]
        return torch.cat(parts, 1)
