"""Text to image: a Gated PixelCNN given what a recurrent network reads, in which every word and their order count."""

import pytest
import torch
from conditional_cases import assert_cached_samples_are_the_naive_ones, some, stirred
from torch import Tensor

from ancestral.interface import Batch, Binary, Categories, Event, InputError, Levels
from ancestral.models.autoregressive.text_to_image import TextToImage

IMAGE, CAPTION = Event((3, 4, 5), Levels(4)), Event((5,), Categories(6))


def build(event: Event = IMAGE, context_event: Event | None = CAPTION) -> TextToImage:
    return stirred(
        TextToImage(event, context_event=context_event, embedding=4, hidden=5, maps=3, channels=6, blocks=1, head=8)
    )


def test_every_word_counts_and_so_does_their_order() -> None:
    torch.manual_seed(0)
    model, x = build(), some(IMAGE, 1)
    caption = torch.tensor([[1, 2, 3, 4, 5]])

    def score(tokens: Tensor) -> float:
        return model.log_prob(x, context=tokens).item()

    for place in range(5):
        other = caption.clone()
        other[0, place] = 0
        assert score(other) != score(caption)
    for first, second in ((0, 1), (0, 4), (2, 3)):
        other = caption.clone()
        other[0, [first, second]] = caption[0, [second, first]]
        assert score(other) != score(caption)


def test_it_is_a_gated_pixelcnn_given_the_caption_laid_out() -> None:
    torch.manual_seed(0)
    model, x, captions = build(), some(IMAGE, 3), some(CAPTION, 3)
    assert model.caption is not None
    maps = model.caption(captions)
    assert maps.shape == (3, 3, 4, 5)
    assert (maps - maps[:, :, :1, :1]).abs().max() > 1e-3, "it says the same at every pixel"
    torch.testing.assert_close(model.log_prob(x, context=captions), model.pixels.log_prob(x, context=maps))


def test_a_caption_is_read_alike_from_both_ends_and_every_token_learns() -> None:
    """Read backwards, with the weights of the two directions exchanged, the halves of what is laid out are, too."""
    torch.manual_seed(0)
    model, captions = build(), some(CAPTION, 3)
    assert model.caption is not None
    recurrent, seen = model.caption.recurrent, list[Tensor]()
    model.caption.layout.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    model.caption(captions)
    for name, weight in list(recurrent.named_parameters()):
        if not name.endswith("_reverse"):
            other = getattr(recurrent, f"{name}_reverse")
            weight.data, other.data = other.data, weight.data
    model.caption(captions.flip(1))
    torch.testing.assert_close(seen[1].roll(5, 1), seen[0])
    model.phases()[0].loss(
        Batch(some(IMAGE, 6).double(), context=torch.arange(6)[:, None].expand(6, 5))
    ).total.backward()
    assert model.caption.embedding.weight.grad is not None
    assert bool((model.caption.embedding.weight.grad != 0).any(1).all())


def test_cached_samples_are_the_naive_ones() -> None:
    torch.manual_seed(0)
    assert_cached_samples_are_the_naive_ones(build())


def test_it_learns_what_a_caption_says_by_its_order() -> None:
    """Of the same two words 'a b' is a bar on the left and 'b a' one on the right."""
    torch.manual_seed(0)
    event = Event((1, 2, 4), Binary())
    model = TextToImage(
        event, context_event=Event((2,), Categories(3)), embedding=8, hidden=8, maps=4, channels=8, blocks=0, head=16
    ).train()
    captions = torch.tensor([[1, 2], [2, 1]]).repeat(8, 1)
    left = torch.tensor([1.0, 1, 0, 0]).expand(1, 2, 4)
    x = torch.stack([left, 1 - left]).repeat(8, 1, 1, 1)
    (phase,) = model.phases()
    optimizer = torch.optim.Adam(phase.parameters, 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        phase.loss(Batch(x, context=captions)).total.backward()
        optimizer.step()
    drawn = model.eval().sample(16, context=captions, generator=torch.Generator().manual_seed(0))
    assert (drawn == x).double().mean() > 0.95


def test_refusals_say_what_to_do() -> None:
    for context_event in (Event((), Categories(3)), Event((3,), Levels(3))):
        with pytest.raises(InputError, match=r"context='captions'"):
            TextToImage(IMAGE, context_event=context_event)
    with pytest.raises(InputError, match="must be at least 1"):
        TextToImage(IMAGE, context_event=CAPTION, hidden=0)
