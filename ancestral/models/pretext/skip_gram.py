"""Skip-gram with negative sampling: vectors of words that predict the words around them.

Mikolov, Chen, Corrado & Dean 2013 (arXiv:1301.3781) and Mikolov, Sutskever, Chen, Corrado & Dean 2013
(arXiv:1310.4546). Each word w has a vector v_w, which is kept, and one as a context, v'_w. Every word of a text
predicts those up to r places before and after it, r drawn from 1 .. `window` for each (the first paper, section 3.2). A
pair of a word I and a context O costs, by equation 4 of the second paper,

    -ln σ(v'_O · v_I) - Σ_(n=1..k) E_(w_n ~ P) ln σ(-v'_(w_n) · v_I),    P(w) in proportion to U(w)^(3/4),

where U is the unigram distribution of the training text. Before any distance is counted, a word is left out at random
(section 2.3): it stays with probability min(1, sqrt(t / U(w)) + t / U(w)), as in the authors' program, after which all
others are made, and not with that of equation 5, sqrt(t / U(w)).

The negatives of a pair are k draws of P. Here 16 words that follow each other share 16 draws, each of which counts
k c / 16 times for a word with c contexts. The expectation over the draws is that of equation 4, and all are products of
matrices. A step costs what its words do, however large the vocabulary: the gradients are sparse.

The authors' program moves by one pair after another, at a rate that falls linearly from 0.025. A step here adds up the
moves of the pairs of many tokens, but for the words that come often in it: their sum would diverge, and they move by 8
times the mean (`SparseSGD`). The loss is the mean of rows, so that `lr` is the rate of a pair times the rows of a step.

Faithful: equation 4 in expectation, v uniform in ±1/(2d) and v' = 0 at first, both as in the program. There a negative
that is the context itself is left out; here, as in equation 4, it is not. Phrases (section 4 of the second paper) and
the hierarchical softmax are left out.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import pad, softplus

from ancestral.interface import (
    Batch,
    Categories,
    Event,
    Features,
    InputError,
    Losses,
    Model,
    Phase,
    QuickSettings,
    SparseSGD,
)
from ancestral.registry import register

#: Words that follow each other and share as many negatives.
_BLOCK = 16
#: Tokens of a step, and the rate of a pair in it.
_TOKENS, _RATE = 1024, 0.025


class Pairs(NamedTuple):
    """The words of a batch in blocks, and what each predicts: some of the words about its block, and not the noise."""

    words: Int64[Tensor, "blocks block"]
    #: First the words from `window` before the block to `window` after it, then the negatives.
    others: Int64[Tensor, "blocks others"]
    #: 1 where that one of the words about the block is a context of the word.
    contexts: Float[Tensor, "blocks block about"]
    #: How often each of the others counts for the word: its contexts once, the negatives k c / 16 times.
    weights: Float[Tensor, "blocks block others"]


class NegativeSampling(torch.autograd.Function):
    """The cost of all pairs together, with its gradient: σ(s) times the weight, less 1 for a context."""

    @staticmethod
    def forward(ctx: Any, words: Tensor, others: Tensor, contexts: Tensor, weights: Tensor) -> Tensor:
        products = torch.bmm(words, others.transpose(1, 2)).to(weights)  # in bf16-mixed they come in bf16
        ctx.save_for_backward(words, others, contexts, weights, products)
        # -ln σ(-s) = softplus(s), and -ln σ(s) = softplus(s) - s.
        costs = torch.dot(softplus(products).flatten(), weights.flatten())
        return costs - (products[:, :, : contexts.shape[2]] * contexts).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        words, others, contexts, weights, products = ctx.saved_tensors
        slopes = products.sigmoid().mul_(weights)
        slopes[:, :, : contexts.shape[2]].sub_(contexts)
        slopes.mul_(gradients[0])
        return torch.bmm(slopes, others), torch.bmm(slopes.transpose(1, 2), words), None, None


@register("skip_gram")
class SkipGram(Features):
    """Skip-gram: word vectors that predict the words around them, by negative sampling.

    Its features of a text are the mean vector of its words, so those of one word, padded, are that word's vector.

    Args:
        dimensions: of a vector.
        window: words before and words after one that it predicts, at most.
        negatives: drawn for each pair of a word and a context.
        subsampling: the share t of the text above which a word is often left out; 0 leaves none out.
        frequencies: how often each token occurs in the training text; of data, those of its training split. Without
            them all words are taken to be equally frequent, and none is left out.
        special: the tokens below this one are no words: padding and unknown words, which are skipped.
    """

    keep: Tensor
    noise: Tensor

    made_for = {"tokens": "words"}

    def __init__(
        self,
        event: Event,
        *,
        dimensions: int = 100,
        window: int = 5,
        negatives: int = 5,
        subsampling: float = 1e-3,
        frequencies: Sequence[int] | None = None,
        special: int = 2,
    ) -> None:
        super().__init__(event)
        for name, value, least in (("dimensions", dimensions, 1), ("window", window, 1), ("negatives", negatives, 1)):
            if value < least:
                raise InputError(f"{name} must be at least {least}, got {value}")
        if not 0 <= subsampling < 1:
            raise InputError(f"subsampling must be in [0, 1), such as 1e-3, got {subsampling}")
        tokens = event.values or 0
        if not 0 <= special <= tokens - 2:
            raise InputError(f"special must leave at least 2 words of {tokens} tokens, got {special}")
        counts = _counts(frequencies, tokens, special)
        self.window, self.negatives, self.special = window, negatives, special
        shares = counts / counts.sum()
        rarity = subsampling / shares  # inf of words that do not occur
        kept = (rarity.sqrt() + rarity).clamp(max=1.0)
        if not subsampling or frequencies is None:
            kept = torch.ones_like(shares)
        kept[:special] = 0.0
        noise = shares.pow(0.75).cumsum(0)
        self.register_buffer("keep", kept.float(), persistent=False)
        self.register_buffer("noise", noise / noise[-1], persistent=False)
        self.words = nn.Embedding(tokens, dimensions, sparse=True)
        self.contexts = nn.Embedding(tokens, dimensions, sparse=True)
        nn.init.uniform_(self.words.weight, -0.5 / dimensions, 0.5 / dimensions)
        nn.init.zeros_(self.contexts.weight)

    @classmethod
    def supports(cls, event: Event, context_event: Event | None = None) -> str | None:
        if context_event is not None:
            return "it has no use for a context; leave it out"
        if not isinstance(event.support, Categories) or len(event.shape) != 1:
            return "it learns from text, token ids (length,) of Categories"
        return None

    @classmethod
    def examples(cls) -> Iterable[Model]:
        event = Event((9,), Categories(8))
        yield cls(event, dimensions=4, window=2, negatives=3)
        yield cls(event, dimensions=3, subsampling=0.1, frequencies=[9, 4, 40, 20, 10, 8, 1, 0])
        yield cls(Event((40,), Categories(6)), dimensions=5, window=3, special=0)

    @classmethod
    def quick_settings(cls, event: Event) -> QuickSettings:
        rows = _rows(event)
        training = {"batch_size": rows, "lr": _RATE * rows, "schedule": {"name": "linear", "final": 0.004}}
        return QuickSettings(training=training)

    def phases(self) -> Sequence[Phase]:
        return [Phase("model", list(self.parameters()), self._loss, optimizer=SparseSGD(_RATE * 128), sparse=True)]

    def _loss(self, batch: Batch) -> Losses:
        """Equation 4 summed over the pairs of a row, on average over the rows; and a pair's share of it."""
        pairs = self._pairs(batch.x)
        words, others = self.words(pairs.words), self.contexts(pairs.others)
        cost = NegativeSampling.apply(words, others, pairs.contexts, pairs.weights)
        return Losses(cost / len(batch.x), {"pair": cost.detach() / pairs.contexts.sum().clamp(min=1)})

    def _pairs(self, x: Int64[Tensor, "batch length"]) -> Pairs:
        stays = torch.rand(x.shape, dtype=self.keep.dtype, device=x.device) < self.keep[x]
        words, rows = x[stays], stays.nonzero()[:, 0].int()
        # One row after another, in whole blocks; what fills the last one, and both ends, is of no row.
        reach, blocks = self.window, -(-len(words) // _BLOCK)
        ends = (reach, reach + blocks * _BLOCK - len(words))
        words, rows = pad(words, ends), pad(rows, ends, value=-1)
        size = _BLOCK + 2 * reach
        about, rows_about = (
            values.unfold(0, size, _BLOCK) if blocks else values.new_empty(0, size) for values in (words, rows)
        )
        own, place = slice(reach, reach + _BLOCK), torch.arange(size, dtype=torch.int16, device=x.device)
        away = place - place[own, None]
        # A word is no context of itself, however far its contexts reach.
        distance = away.abs().masked_fill_(away == 0, reach + 1)
        drawn = torch.randint(1, reach + 1, (blocks, _BLOCK, 1), dtype=torch.int16, device=x.device)
        # What fills a block is told apart from what surrounds it, too.
        rows_own = rows_about[:, own, None].masked_fill(rows_about[:, own, None] < 0, -2)
        weights = torch.empty(blocks, _BLOCK, size + _BLOCK, dtype=self.dtype, device=x.device)
        contexts = weights[:, :, :size].copy_((distance <= drawn) & (rows_own == rows_about[:, None]))
        weights[:, :, size:] = contexts.sum(2, keepdim=True) * (self.negatives / _BLOCK)
        # The token at which the noise's cumulative distribution first exceeds a uniform number.
        uniform = torch.rand(blocks, _BLOCK, dtype=self.noise.dtype, device=x.device)
        negatives = torch.searchsorted(self.noise, uniform, right=True)
        return Pairs(about[:, own], torch.cat([about, negatives], dim=1), contexts, weights)

    def _features(self, x: Tensor) -> Tensor:
        is_word = (x >= self.special).to(self.dtype)[:, :, None]
        return (self.words(x) * is_word).sum(1) / is_word.sum(1).clamp(min=1)


def _rows(event: Event) -> int:
    """The rows of a step, of so many tokens each."""
    return max(1, _TOKENS // event.size)


def _counts(frequencies: Sequence[int] | None, tokens: int, special: int) -> Float[Tensor, " tokens"]:
    """How often each word occurs; 0 of what is no word."""
    counts = torch.ones(tokens, dtype=torch.float64)
    if frequencies is not None:
        counts = torch.tensor(frequencies, dtype=torch.float64)
        if len(counts) != tokens or bool((counts < 0).any()):
            raise InputError(f"frequencies must be a number of at least 0 for each of {tokens} tokens")
    counts[:special] = 0
    if not bool(counts.any()):
        raise InputError(f"frequencies must say that some word occurs, of the tokens from {special} on")
    return counts
