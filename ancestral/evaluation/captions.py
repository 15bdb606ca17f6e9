"""What images drawn of captions show of them: their words, read back by a classifier of real images."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from ancestral.data import Data
from ancestral.evaluation.factor_classifier import train_word_classifier
from ancestral.evaluation.rows import spread_rows
from ancestral.interface import InputError, Sampler


@dataclass(frozen=True)
class CaptionReading:
    """The share of words that are read off images otherwise than their captions have them."""

    #: Of images that the model draws of captions of test rows, with its standard error over these.
    error: float
    stderr: float
    #: By each place of a caption where words vary.
    by_place: Mapping[str, float]
    #: Of the test images themselves: what the classifier misses.
    classifier_error: float
    #: Of the commonest word at every place.
    guessing_error: float
    #: Of images that the model draws of other captions: what it shows of none.
    of_other_captions: float
    n: int
    #: Captions, an image drawn of each, (n, *event.shape), and the real one.
    captions: Int64[Tensor, "n tokens"]
    drawn: Tensor
    real: Tensor


@torch.no_grad()
def read_captions(
    model: Sampler, data: Data, *, n: int = 256, batch_size: int = 128, seed: int = 0, temperature: float | None = None
) -> CaptionReading:
    """Draw an image of each of `n` captions of test rows, and read the captions back.

    A classifier is trained on `data.train` to tell which word stands at each place of a caption where words vary. Of
    places that say the same in other words (", rotated" stands at two) the first is taken.
    """
    captions = data.test.captions
    if captions is None or data.train.captions is None:
        raise InputError(f"{data.name} has no captions to read back (the built-in data set shapes has)")
    if model.context_event is None or model.context_event.shape != tuple(captions.shape[1:]):
        raise InputError(f"{model.display_name} draws of no captions: fit it with `--context captions`")
    words = _varying(data.train.captions)
    named = {f"word {place + 1}": (place, values) for place, values in words.items()}

    def said(tokens: Tensor) -> dict[str, Tensor]:
        return {name: _numbers(tokens[:, place], values) for name, (place, values) in named.items()}

    with torch.enable_grad():
        judge = train_word_classifier(data.train, said(data.train.captions), seed=seed)
    rows = spread_rows(n, len(captions))
    asked, generator = captions[rows], torch.Generator().manual_seed(seed)
    how = {} if temperature is None else {"temperature": temperature}
    drawn = torch.cat(
        [
            model.sample(len(part), context=part.to(model.device), generator=generator, **how).cpu()
            for part in asked.split(batch_size)
        ]
    )
    read, real = judge.read(drawn), judge.read(data.test.x)
    wrong, truth = _wrong(read, said(asked)), said(captions)
    per_image = wrong.double().mean(1)
    commonest = torch.stack([target.bincount().max() / len(captions) for target in truth.values()])
    return CaptionReading(
        error=float(per_image.mean()),
        stderr=float(per_image.std()) / math.sqrt(len(per_image)),
        by_place={name: float(share) for name, share in zip(named, wrong.double().mean(0), strict=True)},
        classifier_error=float(_wrong(real, truth).double().mean()),
        guessing_error=1 - float(commonest.mean()),
        of_other_captions=float(_wrong(read, said(asked.roll(1, 0))).double().mean()),
        n=len(asked),
        captions=asked,
        drawn=drawn,
        real=data.test.x[rows],
    )


def _varying(captions: Int64[Tensor, "n tokens"]) -> dict[int, Tensor]:
    """The places of captions where words vary, each with the tokens that stand there; not those that follow from a
    place before them word by word."""
    found: dict[int, Tensor] = {}
    for place in range(captions.shape[1]):
        values, numbers = captions[:, place].unique(return_inverse=True)
        alike = any(torch.equal(numbers, _numbers(captions[:, other], theirs)) for other, theirs in found.items())
        if len(values) > 1 and not alike:
            found[place] = values
    if not found:
        raise InputError("all captions are alike: there is nothing to read back")
    return found


def _numbers(tokens: Int64[Tensor, " n"], values: Int64[Tensor, " values"]) -> Int64[Tensor, " n"]:
    """The numbers of tokens among sorted values."""
    return torch.searchsorted(values, tokens.contiguous()).clamp(max=len(values) - 1)


def _wrong(read: Mapping[str, Tensor], said: Mapping[str, Tensor]) -> Bool[Tensor, "n places"]:
    return torch.stack([log_probs.argmax(1) != said[name] for name, log_probs in read.items()], dim=1)
