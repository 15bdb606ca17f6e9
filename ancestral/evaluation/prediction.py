"""How well the later frames of a video are predicted from its first ones, and what no prediction can go below."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ancestral.data import Split
from ancestral.evaluation.likelihood import batches, standard_error
from ancestral.interface import Autoregressive, InputError, Model


@dataclass(frozen=True)
class Prediction:
    """The mean negative log-likelihood of a frame given all frames before it, in nats (0 is best), over the frames
    after the first `given`, with the standard error of the mean over `n` videos."""

    nats_per_frame: float
    stderr: float
    given: int
    n: int

    def __str__(self) -> str:
        what = f"nats/frame of a video after frame {self.given}"
        return f"{self.nats_per_frame:.3f} ± {self.stderr:.3f} {what}, n = {self.n:,}"


@torch.no_grad()
def evaluate_prediction(
    model: Model,
    data: Split,
    *,
    given: int,
    batch_size: int = 64,
    limit: int | None = None,
    progress: bool = False,
) -> Prediction:
    """The mean of -ln p(frame | all frames before it) over the frames after the first `given` of each video, exact.

    Raises `InputError` for a model that does not generate frame after frame, and for a number of frames that leaves
    none to predict.
    """
    if not isinstance(model, Autoregressive) or len(model.orders) > 1 or not _frame_by_frame(model):
        raise InputError(f"{model.display_name} does not generate videos frame after frame, so it predicts no frames")
    frames = model.event.shape[0]
    if not 0 <= given < frames:
        raise InputError(f"given must be 0 to {frames - 1} of the {frames} frames, got {given}")
    if batch_size < 1 or (limit is not None and limit < 1):
        raise InputError(f"batch_size and limit must be at least 1, got {batch_size} and {limit}")
    found = []
    for batch in batches(data, batch_size, limit, "predicting" if progress else None):
        x, context = batch.x.to(model.device), None if batch.context is None else batch.context.to(model.device)
        later = model.conditional_log_probs(x, context=context)[0, :, given:]
        found.append(-later.double().flatten(1).sum(1).cpu() / (frames - given))
    values = torch.cat(found)
    return Prediction(float(values.mean()), standard_error(values), given, len(values))


def entropy_bound(intensity: UInt8[Tensor, "n frames channels height width"], given: int) -> Float[Tensor, " n"]:
    """The entropy in nats of a frame after the first `given`, of pixels drawn with the probability intensity / 255.

    Pixels are independent given these, which a model does not know: whatever frames it has seen, its expected negative
    log-likelihood is at least the entropy of a frame given them, and so at least this (Kalchbrenner et al. 2017,
    section 5, whose targets are the grey values themselves, with the same cross-entropy).
    """
    p = intensity[:, given:].double() / 255
    entropy = torch.special.entr(p) + torch.special.entr(1 - p)
    return entropy.flatten(1).sum(1) / entropy.shape[1]


def _frame_by_frame(model: Autoregressive) -> bool:
    """Whether each frame is complete before the next one begins."""
    shape = model.event.shape
    if len(shape) != 4:
        return False
    frame = model.orders[0] // (model.event.size // shape[0])
    return bool((frame.diff() >= 0).all())
