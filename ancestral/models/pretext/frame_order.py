"""Frame order by the odd one out: which of these clips of a video has its frames in a wrong order?

Fernando, Bilen, Gavves & Gould 2017, "Self-supervised video representation learning with odd-one-out networks"
(arXiv:1611.06646). From a video come N + 1 clips of W frames each. In N of them the frames are in their order in time,
in one, at a place of chance, they are not; the network says which. A clip is encoded by one network for all (shared
weights), the vectors are fused, and a softmax over the clips answers; the loss is its cross-entropy in nats per video.

* Sampling, "random" as in the paper's best: the frames of each clip are any W of the video, drawn without repetition
  and put in order, or, for the odd one, in another. "consecutive": W frames in a row, from a start of each clip's own.
* Encoding, the stack of differences: x_2 - x_1, x_3 - x_2, ... as the channels of one image, so that what stands still
  is not seen at all.
* Fusion: the vectors side by side.

The odd clip's order is drawn until it is neither the right one nor its reverse: many things move backwards as they move
forwards, as what bounces between walls does.

The representation of a video is the encoder's vector of W frames in their order, as far apart as fit in it, the mean
over all their starts.

Departures: strided convolutions in place of an AlexNet; neither the sum of differences nor dynamic images as encodings,
and no fusion by differences of vectors.
"""

from collections.abc import Iterable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ancestral.interface import (
    Adam,
    Batch,
    Binary,
    Event,
    Features,
    InputError,
    Levels,
    Losses,
    Model,
    Phase,
    QuickSettings,
    Real,
)
from ancestral.layers.conditioning import centred
from ancestral.layers.image_networks import ImageEncoder, unsupported_image
from ancestral.layers.mlp import mlp
from ancestral.registry import register

SAMPLINGS = ("random", "consecutive")
#: Frames of the shortest clip: two have but one other order, the reverse.
_LEAST = 3


@register("frame_order")
class FrameOrder(Features):
    """The odd one out of clips as a pretext task for videos (Fernando et al. 2017).

    Args:
        clips: of each video in a question, N + 1.
        length: frames of a clip, W; by default 6, or all but one of a video that has fewer.
        sampling: of a clip's frames, "random" or "consecutive".
        channels: of the first stage of the convolutions; each further one has twice as many, up to eight times.
        features: numbers that represent a clip.
        hidden: widths of the layers that see the vectors of all clips.
    """

    def __init__(
        self,
        event: Event,
        *,
        clips: int = 6,
        length: int | None = None,
        sampling: str = "random",
        channels: int = 32,
        features: int = 128,
        hidden: Sequence[int] = (128,),
    ) -> None:
        super().__init__(event)
        frames, colours, height, width = event.shape
        self.length = min(6, frames - 1) if length is None else length
        if not _LEAST <= self.length < frames:
            raise InputError(
                f"length must be at least {_LEAST} frames and fewer than the {frames} of a video, or all clips are one"
                f" and the same, got {self.length}"
            )
        if clips < 2 or min(channels, features) < 1:
            raise InputError(
                f"clips must be at least 2, channels and features at least 1, got {clips}, {channels}, {features}"
            )
        if sampling not in SAMPLINGS:
            raise InputError(f"sampling must be one of {', '.join(SAMPLINGS)}, got {sampling!r}")
        self.clips, self.sampling = clips, sampling
        differences = Event(((self.length - 1) * colours, height, width), Real())
        self.convolutions = ImageEncoder(differences, None, channels, "batch")
        self.vector = nn.Linear(self.convolutions.size, features)
        self.answer = mlp(clips * features, hidden, clips, "relu")

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=Adam(1e-3))]

    def _loss(self, batch: Batch) -> Losses:
        places, odd = self.draw_places(len(batch.x))
        videos = torch.arange(len(batch.x), device=self.device)[:, None, None]
        logits = self.logits(centred(batch.x, self.event.support, binary=True)[videos, places])
        accuracy = (logits.detach().argmax(1) == odd).to(logits.dtype).mean()
        return Losses(F.cross_entropy(logits, odd), {"accuracy": accuracy})

    def draw_places(self, n: int) -> tuple[Tensor, Tensor]:
        """For `n` videos the frames of every clip, (n, clips, length), and which clip is the odd one, (n,)."""
        frames, device = self.event.shape[0], self.device
        if self.sampling == "random":
            places = torch.rand(n, self.clips, frames, device=device).argsort(2)[..., : self.length].sort(2).values
        else:
            starts = torch.randint(frames - self.length + 1, (n, self.clips, 1), device=device)
            places = starts + torch.arange(self.length, device=device)
        odd = torch.randint(self.clips, (n,), device=device)
        wrong = self._wrong_orders(n)[:, None].expand_as(places)
        is_odd = (torch.arange(self.clips, device=device) == odd[:, None])[:, :, None]
        return torch.where(is_odd, places.gather(2, wrong), places), odd

    def _wrong_orders(self, n: int) -> Tensor:
        """Orders of a clip's frames that are neither the right one nor its reverse, uniformly, (n, length)."""
        right = torch.arange(self.length, device=self.device)
        orders = right.expand(n, -1)
        while True:
            refused = (orders == right).all(1) | (orders == right.flip(0)).all(1)
            if not bool(refused.any()):
                return orders
            drawn = torch.rand(n, self.length, device=self.device).argsort(1)
            orders = torch.where(refused[:, None], drawn, orders)

    def logits(self, clips: Tensor) -> Tensor:
        """Of each clip being the odd one, (n, clips, length, colours, height, width) -> (n, clips)."""
        return self.answer(self._vectors(clips.flatten(0, 1)).view(len(clips), -1))

    def _vectors(self, clips: Tensor) -> Tensor:
        """Of clips (n, length, colours, height, width), by the stack of their differences."""
        return F.relu(self.vector(self.convolutions(clips.diff(dim=1).flatten(1, 2), None)))

    def _features(self, x: Tensor) -> Tensor:
        apart = (self.event.shape[0] - 1) // (self.length - 1)
        reach = apart * (self.length - 1)
        videos = centred(x, self.event.support, binary=True)
        vectors = [
            self._vectors(videos[:, start : start + reach + 1 : apart]) for start in range(self.event.shape[0] - reach)
        ]
        return torch.stack(vectors).mean(0)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if context_event is not None:
            return "it takes no context"
        if not isinstance(event.support, Binary | Levels | Real):
            return f"it learns from videos of levels, bits or reals, not of {event.support}"
        if len(event.shape) != 4:
            return f"it learns from videos of shape (frames, colours, height, width), not {event.shape}"
        if event.shape[0] <= _LEAST:
            return (
                f"its videos have at least {_LEAST + 1} frames, of which clips of {_LEAST} differ; not {event.shape[0]}"
            )
        if unsupported_image(Event(event.shape[1:], Real())):
            return f"its frames are at least 4 pixels high and wide, not {event.shape[2:]}"
        return None

    @classmethod
    def examples(cls) -> Iterable[Model]:
        tiny = partial(cls, channels=2, features=4, hidden=[6], clips=3)
        yield tiny(Event((6, 1, 5, 4), Binary()), length=3)
        yield tiny(Event((5, 3, 4, 4), Levels(4)))
        yield tiny(Event((5, 1, 4, 4), Real()), sampling="consecutive", length=4)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        return QuickSettings({"channels": 16, "features": 64})
