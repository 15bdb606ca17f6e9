"""Video Pixel Network (Kalchbrenner et al. 2017, "Video Pixel Networks", arXiv:1610.00527).

p(x) is the product over frames, at each frame over its pixels in raster order, and at each pixel over its colours in
turn (equation 1). Encoders that keep the resolution turn each frame into feature maps, a convolutional LSTM carries
these over time (section 3.1), and a PixelCNN decodes each frame given what the LSTM knows of those before it (section
3.2). Encoder and decoder are residual multiplicative blocks (sections 4.1 and 4.2, `ancestral.layers.multiplicative`),
the encoder's with dilations (section 4.3).

The paper's baseline keeps encoders and LSTM; its decoder, of as many blocks, sees no pixel of the frame that it
predicts, so that all values of a frame are independent given the past: `decoder="independent"`.

What a conditional sees. Of its own frame, with b blocks of kernels that reach r pixels on (1 for 3x3), as many as
R = r (1 + 2b) pixels to the left and rows up; in these rows as many columns to the left too, but dy rows up only
r min(1 + 2b, dy) to the right: PixelCNN's blind spot, which the past frames fill. Of the frame before, all within
r (2 + 2 sum of the dilations) of itself and of each pixel that the decoder's 2b masked convolutions with mask B reach;
of each frame further back, within r more.

Faithful: all of the above. Ours: the first frame is decoded from an LSTM's state of zeros, past and present meet by the
sum of a 1x1 convolution of the one and a masked convolution of the other, and a context enters before the gates of the
decoder's multiplicative units. Left out: actions and states of a robot (section 6), which change from frame to frame.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from ancestral.distributions import Bernoulli, Categorical, Observation
from ancestral.interface import (
    Binary,
    Event,
    InputError,
    Levels,
    Model,
    Phase,
    QuickSettings,
    maximum_likelihood,
)
from ancestral.layers.autoregressive import AutoregressiveModel, Stepwise, raster_order, threads, too_many_outputs
from ancestral.layers.conditioning import LayerContext, centred
from ancestral.layers.convolutional_lstm import ConvolutionalLSTM, State
from ancestral.layers.masked import RasterConv2d, channel_groups
from ancestral.layers.masked_sampler import CachedConv2d, CachedPointwise, Raster
from ancestral.layers.multiplicative import CachedMultiplicativeBlock, MultiplicativeBlock
from ancestral.registry import register

_DECODERS = ("pixelcnn", "independent")


@register("video_pixel_network")
class VideoPixelNetwork(AutoregressiveModel):
    """Video Pixel Network: encoders, a convolutional LSTM and a PixelCNN over frames, with an exact cached sampler.

    Args:
        channels: c, feature maps of the multiplicative units, at least as many as a frame has colours; between blocks
            and in the LSTM there are 2c.
        dilations: of the encoder's blocks, one block for each.
        blocks: of the decoder.
        kernel_size: the side of all convolutions beyond 1x1, odd.
        decoder: "pixelcnn", or "independent": the values of a frame do not depend on each other given the past.
    """

    def __init__(
        self,
        event: Event,
        *,
        context_event: Event | None = None,
        channels: int = 16,
        dilations: Sequence[int] = (1, 2, 4),
        blocks: int = 4,
        kernel_size: int = 3,
        decoder: str = "pixelcnn",
    ) -> None:
        super().__init__(event, context_event=context_event)
        colours = event.shape[1]
        if decoder not in _DECODERS:
            raise InputError(f"decoder must be one of {', '.join(_DECODERS)}, got {decoder!r}")
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise InputError(f"kernel_size must be odd and positive, got {kernel_size}")
        if channels < colours or min(blocks, *dilations, 1) < 1:
            raise InputError(
                f"channels must be at least the {colours} colours of a frame, blocks and dilations at least 1,"
                f" got channels={channels}, blocks={blocks}, dilations={list(dilations)}"
            )
        self._levels = event.support.levels if isinstance(event.support, Levels) else 2
        self.observation: Observation = Bernoulli() if isinstance(event.support, Binary) else Categorical(self._levels)
        width, masked = 2 * channels, decoder == "pixelcnn"
        self.enter = nn.Conv2d(colours, width, kernel_size, padding="same")
        self.encoder = nn.ModuleList(MultiplicativeBlock(channels, kernel_size, dilation=d) for d in dilations)
        self.memory = ConvolutionalLSTM(width, width, kernel_size)
        self.past = nn.Conv2d(width, width, 1)
        image, features, outputs = (
            channel_groups(maps, colours if masked else 1) for maps in (colours, width, colours * self.observation.size)
        )
        self.present = RasterConv2d(features, image, kernel_size, strict=True, bias=False) if masked else None
        self.decoder = nn.ModuleList(
            MultiplicativeBlock(channels, kernel_size, colours=colours if masked else None) for _ in range(blocks)
        )
        self.output = RasterConv2d(outputs, features, 1)
        sizes = [8 * channels] * blocks
        self.context = None if context_event is None else LayerContext(context_event, event, channels, sizes)

    def phases(self) -> Sequence[Phase]:
        return maximum_likelihood(self)

    @property
    def orders(self) -> Int64[Tensor, "orders size"]:
        """Frames, then rows, then columns, then colours."""
        return raster_order(self.event)

    def _conditionals(self, x: Tensor, context: Tensor | None, order: int) -> Tensor:
        batch, (frames, colours) = len(x), self.event.shape[:2]
        # One time after another, so that the LSTM's steps are slices of what is computed for all times at once.
        images = self._centred(x.transpose(0, 1).flatten(0, 1))
        added = [None if shift is None else shift.repeat(frames, 1, 1, 1) for shift in self._added(context)]
        known = self.memory(self._encoded(images[:-batch]), frames - 1)
        features = self.past(torch.cat((torch.zeros_like(known[:batch]), known)))
        if self.present is not None:
            features = features + self.present(images)
        out = self._decoded(features, added).unflatten(0, (frames, batch))
        return out.unflatten(2, (colours, self.observation.size)).permute(1, 3, 0, 2, 4, 5)

    def _centred(self, frames: Tensor) -> Tensor:
        # Binary data are laid on [-1, 1] too: zeros beyond the border then differ from both values.
        return centred(frames, self.event.support, binary=True).contiguous(memory_format=torch.channels_last)

    def _encoded(self, images: Tensor) -> Tensor:
        """What the LSTM is given of each frame, (n, 2 channels, height, width)."""
        features = self.enter(images)
        for block in self.encoder:
            features = block(features)
        return features

    def _decoded(self, features: Tensor, added: Sequence[Tensor | None]) -> Tensor:
        """The parameters of frames, (n, colours * size, height, width), from what is known of past and present."""
        for block, shift in zip(self.decoder, added, strict=True):
            features = block(features, shift)
        out: Tensor = self.output(features)
        return out

    def _added(self, context: Tensor | None) -> Sequence[Tensor | None]:
        """What the context adds before the gates of each block of the decoder."""
        if self.context is None or context is None:
            return [None] * len(self.decoder)
        return self.context(context)

    def _stepwise(self, n: int, context: Tensor | None, order: int) -> "_FrameByFrame":
        return _FrameByFrame(self, n, self._added(context))

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if len(event.shape) != 4:
            return (
                f"it models videos, (frames, channels, height, width), not {event.shape}; of a folder these are"
                " animated files, or with clips=True folders of frames"
            )
        if event.shape[0] < 2:
            return "a video has at least 2 frames; of a single one use an image model, as gated_pixelcnn"
        if not isinstance(event.support, Binary | Levels):
            return "its conditionals are discrete and its inputs numbers; use Binary or Levels data"
        return too_many_outputs(event.size * (event.values or 0))

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        settings = {"channels": max(12, event.shape[1]), "dilations": [1, 2], "blocks": 3}
        return QuickSettings(settings, {"lr": 3e-3, "clip_gradient": 100.0, "batch_size": 16})

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, channels=4, dilations=[1, 2], blocks=1)
        yield tiny(Event((3, 1, 2, 2), Binary()))
        yield tiny(Event((3, 2, 1, 2), Binary()))
        yield tiny(Event((3, 1, 1, 2), Levels(3)), context_event=Event((), Levels(3)))
        yield tiny(Event((3, 2, 1, 2), Binary()), decoder="independent")


class _FrameByFrame(Stepwise):
    """The encoder and the LSTM once for each complete frame, and the cached decoder within a frame."""

    def __init__(self, model: VideoPixelNetwork, n: int, added: Sequence[Tensor | None]) -> None:
        self.model, self.added, self.threads = model, added, torch.get_num_threads()
        self.frames, *shape = model.event.shape
        self.image = model._reference.new_zeros(n, *shape)
        self.order = raster_order(Event(tuple(shape), model.event.support))[0].tolist()
        self.state: State | None = None
        self.frame = self._begun()
        self.work = self.frame.work

    def parameters(self, step: int) -> Tensor:
        return self.frame.parameters(step % len(self.order))

    def write(self, step: int, values: Tensor) -> None:
        frame, place = divmod(step, len(self.order))
        self.frame.write(place, values)
        self.image.flatten(1)[:, self.order[place]] = values
        if place == len(self.order) - 1 and frame < self.frames - 1:
            # The products of a whole frame are worth all threads, those of a pixel may be not.
            with threads(self.threads):
                encoded = self.model._encoded(self.model._centred(self.image))
                self.state = self.model.memory.step(encoded, self.state)
                self.frame = self._begun()

    def _begun(self) -> Stepwise:
        """The conditionals of the next frame, given the state of the LSTM."""
        model, (n, _, height, width) = self.model, self.image.shape
        known = self.image.new_zeros(n, model.past.in_channels, height, width) if self.state is None else self.state[1]
        features = model.past(known)
        if model.present is None:
            out = model._decoded(features, self.added)
            return _Independent(out.unflatten(1, (-1, model.observation.size)), self.order)
        layers = [
            CachedConv2d(model.present, n, width, added=features),
            *(
                CachedMultiplicativeBlock(block, n, width, shift)
                for block, shift in zip(model.decoder, self.added, strict=True)
                if isinstance(block, MultiplicativeBlock)
            ),
            CachedPointwise(model.output, n),
        ]
        return Raster(layers, self.image.shape[1:], scale=2 / (model._levels - 1))


class _Independent(Stepwise):
    """Conditionals of a frame that depend on none of its values: `out` is (n, colours, size, height, width)."""

    work = 0

    def __init__(self, out: Tensor, order: Sequence[int]) -> None:
        self.parts = out.transpose(1, 2).flatten(2)[:, :, list(order)].unbind(2)

    def parameters(self, step: int) -> Tensor:
        return self.parts[step]

    def write(self, step: int, values: Tensor) -> None:
        return
