"""What a pixel's conditional sees of the pixels before it: the blind spot of PixelCNN, and models that have none.

A PixelCNN's kernels see the rows above no farther to the right than they reach, so that depth widens what is seen to
the right above by no more than their slope; what lies beyond the wedge stays unseen at any depth (van den Oord et al.
2016, "Conditional Image Generation with PixelCNN Decoders", section 2.2 and figure 1). The two stacks of Gated PixelCNN
see it; so does a recurrent network whose state comes from there.

The gradient of the central pixel's log-conditional with respect to every earlier pixel says which are seen, and how
much they weigh at the initial weights. The networks of convolutions are as deep as it takes for every earlier pixel to
be in reach: what is not seen is then the blind spot alone.
"""

import math
from collections.abc import Mapping

import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from ancestral.interface import Autoregressive, Binary, Event, InputError
from ancestral.registry import build, model_names
from ancestral.reproduction.figure import Drawn, Root, figure
from ancestral.reproduction.measurement import Measurement

#: By registered name: what to call the model, and whether each layer lengthens its reach. Those that exist are shown.
_MODELS = {
    "pixelcnn": ("PixelCNN", True),
    "row_lstm": ("Row LSTM", False),
    "diagonal_bilstm": ("Diagonal BiLSTM", False),
    "gated_pixelcnn": ("Gated PixelCNN", True),
}
_SHOWN = [name for name in _MODELS if name in model_names()]
#: Layers of a recurrent network.
_RECURRENT = 2
#: Weaker gradients, relative to the strongest one, are drawn as this.
_FAINTEST = 1e-4
_BLIND, _LATER, _ITSELF = "#d62728", "#e6e6e6", "black"
#: Rows below the pixel that are drawn, none of which it sees.
_BELOW = 3


@figure(
    model=", ".join(_SHOWN),
    data="random binary images",
    split="none",
    metric="share of the earlier pixels that Gated PixelCNN's conditional of the central pixel does not see",
    unit="%",
    source="van den Oord et al. 2016 (arXiv:1606.05328), figure 1",
    notes="by the gradient at initial weights, in float64; the convolutions reach every earlier pixel of the image",
)
def receptive_fields(
    seed: int, data_root: Root, progress: bool, *, size: int = 31, channels: int = 16, images: int = 16
) -> Drawn:
    """Which earlier pixels the conditional of the central one sees: PixelCNN's blind spot, and its absence."""
    if size < 9 or size % 2 == 0:
        raise InputError(f"size must be odd and at least 9, got {size}")
    event = Event((1, size, size), Binary())
    gradients = {}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        x = torch.randint(2, (images, *event.shape)).double()
        for name in _SHOWN:
            # The first convolution, 7x7, reaches 3 pixels on, and each layer 1.
            blocks = size // 2 - 3 if _MODELS[name][1] else _RECURRENT
            model = build(name, event, channels=channels, blocks=blocks).double()
            assert isinstance(model, Autoregressive)
            gradients[name] = central_gradient(model, x)
    blind = {name: 100 * float((gradient == 0).double().mean()) for name, gradient in gradients.items()}
    others = {_MODELS[name][0]: share for name, share in blind.items() if name != "gated_pixelcnn"}
    measurement = Measurement(blind["gated_pixelcnn"], None, "exact", None, others)
    return Drawn(_picture(gradients, blind, size), measurement)


def central_gradient(model: Autoregressive, x: Tensor) -> Tensor:
    """The gradient of the central pixel's log-conditional by each earlier pixel in raster order, (earlier,): its
    absolute value, the mean over images (images, 1, height, width)."""
    x = x.clone().requires_grad_()
    height, width = x.shape[2:]
    conditionals = model.conditional_log_probs(x)[0, :, 0, height // 2, width // 2]
    (gradient,) = torch.autograd.grad(conditionals.sum(), x)
    return gradient.abs().mean(0).flatten()[: height // 2 * width + width // 2]


def _picture(gradients: Mapping[str, Tensor], blind: Mapping[str, float], size: int) -> Figure:
    rows = math.ceil(len(gradients) / 2)
    whole = Figure(figsize=(10.2, 3.6 * rows + 0.6), dpi=120, layout="constrained")
    # Faint or not, what is seen is blue.
    shades = ScalarMappable(LogNorm(_FAINTEST, 1, clip=True), ListedColormap(colormaps["Blues"](range(50, 256))))
    panels = whole.subplots(rows, 2, squeeze=False).flatten()
    for axes in panels[len(gradients) :]:
        axes.set_axis_off()
    for axes, (name, gradient) in zip(panels, gradients.items(), strict=False):
        _field(axes, gradient, size, shades)
        axes.set_title(f"{_MODELS[name][0]}\nblind to {blind[name]:.2g} % of the earlier pixels")
    bar = whole.colorbar(shades, ax=panels, shrink=0.85, pad=0.01, extend="min")
    bar.set_label("gradient, relative to the strongest")
    words = [
        Patch(color=_ITSELF, label="the pixel whose conditional it is"),
        Patch(color=shades.get_cmap()(0.6), label="earlier, and seen"),
        Patch(color=_BLIND, label="earlier, and not seen"),
        Patch(color=_LATER, label="later in raster order"),
    ]
    whole.legend(handles=words, loc="outside lower center", ncols=len(words), frameon=False)
    return whole


def _field(axes: Axes, gradient: Tensor, size: int, shades: ScalarMappable) -> None:
    """The image down to some rows below the pixel: what it sees, by the strength of the gradient, and what not."""
    rows, earlier = size // 2 + 1 + _BELOW, len(gradient)
    colours = torch.tensor(to_rgb(_LATER)).repeat(rows * size, 1)
    colours[earlier] = torch.tensor(to_rgb(_ITSELF))
    seen = torch.as_tensor(shades.to_rgba((gradient / gradient.max()).numpy()))[:, :3]
    colours[:earlier] = seen.float().where(gradient[:, None] != 0, torch.tensor(to_rgb(_BLIND)))
    axes.imshow(colours.view(rows, size, 3).numpy())
    axes.set_xticks(torch.arange(-0.5, size).tolist(), minor=True)
    axes.set_yticks(torch.arange(-0.5, rows).tolist(), minor=True)
    axes.grid(which="minor", color="white", linewidth=0.4)
    axes.tick_params(which="both", length=0, labelbottom=False, labelleft=False)
