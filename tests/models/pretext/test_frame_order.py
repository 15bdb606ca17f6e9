"""Frame order: what clips are asked about, what the encoder sees of them, and that the task is learned."""

import pytest
import torch

from ancestral.interface import Batch, Event, InputError, Real
from ancestral.models.pretext.frame_order import FrameOrder

FRAMES = 8


def model(**settings: object) -> FrameOrder:
    arguments = {"clips": 4, "length": 4, "channels": 4, "features": 8, "hidden": [16], **settings}
    return FrameOrder(Event((FRAMES, 1, 6, 6), Real()), **arguments).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("sampling", ["random", "consecutive"])
def test_one_clip_is_out_of_order_and_nothing_else(sampling: str) -> None:
    places, odd = model(sampling=sampling).draw_places(4000)
    steps = places.diff(dim=2)
    is_odd = torch.arange(4) == odd[:, None]
    assert bool(((steps > 0).all(2) == ~is_odd).all())
    wrong = steps[is_odd]
    assert not bool((wrong > 0).all(1).any() or (wrong < 0).all(1).any())  # nor is it the reverse
    assert bool((odd.bincount(minlength=4) > 900).all())
    # The odd clip has other frames than its neighbours no more often than these have among themselves.
    frames = places.sort(2).values
    apart = frames.diff(dim=2)
    assert bool((apart > 0).all())
    assert bool((apart == 1).all()) == (sampling == "consecutive")
    counts = torch.stack([frames[mask].flatten().bincount(minlength=FRAMES) for mask in (is_odd, ~is_odd)]).double()
    shares = counts / counts.sum(1, keepdim=True)
    torch.testing.assert_close(shares[0], shares[1], atol=0.015, rtol=0)
    # Every clip's frames are its own: any four, or from any of the five starts, as often.
    assert not torch.equal(frames[:, 0], frames[:, 1])
    sets = (frames[:, 0] @ torch.tensor([512, 64, 8, 1])).unique(return_counts=True)[1]
    assert len(sets) == (5 if sampling == "consecutive" else 70)
    assert bool((sets > 0.5 * 4000 / len(sets)).all())
    # Of the 24 orders of four frames 22 are asked about, each as often.
    orders = places[is_odd].argsort(1) @ torch.tensor([64, 16, 4, 1])
    found = orders.unique(return_counts=True)[1]
    assert len(found) == 22
    assert bool((found > 0.6 * 4000 / 22).all())


def test_what_stands_still_is_not_seen() -> None:
    task, x = model(), torch.randn(3, FRAMES, 1, 6, 6)
    torch.testing.assert_close(task.features(x + torch.randn(3, 1, 1, 6, 6)), task.features(x), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(task.features(x.flip(1)), task.features(x))


def test_a_clip_is_seen_as_the_stack_of_its_differences() -> None:
    task, clips = model(), torch.randn(3, 4, 1, 6, 6)
    stack = torch.cat([clips[:, place + 1] - clips[:, place] for place in range(3)], dim=1)
    expected = task.vector(task.convolutions(stack, None)).clamp(min=0)
    torch.testing.assert_close(task._vectors(clips), expected)


def test_the_representation_is_the_mean_over_starts_of_clips_as_far_apart_as_fit() -> None:
    task, x = model(), torch.randn(3, FRAMES, 1, 6, 6)
    # Four of eight frames two apart: 0, 2, 4, 6 and 1, 3, 5, 7.
    expected = (task._vectors(x[:, 0:7:2]) + task._vectors(x[:, 1:8:2])) / 2
    torch.testing.assert_close(task.features(x), expected)


def test_every_clip_goes_through_the_same_encoder() -> None:
    task, clips = model(), torch.randn(2, 4, 4, 1, 6, 6)
    seen: list[torch.Tensor] = []
    task.answer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    task.logits(clips)
    task.logits(clips.flip(1))
    torch.testing.assert_close(seen[0].view(2, 4, 8).flip(1), seen[1].view(2, 4, 8))


def test_the_task_is_learned_where_something_moves() -> None:
    """Pictures that grow brighter, or darker, each at a rate of its own: the odd clip does not go one way."""
    torch.manual_seed(0)
    task = model(clips=3).train()
    (phase,) = task.phases()
    optimizer = torch.optim.Adam(phase.parameters, lr=5e-3)
    for _ in range(200):
        rate = (0.5 + torch.rand(32, 1)) * (2 * torch.randint(2, (32, 1)) - 1)
        x = (rate * torch.arange(FRAMES))[:, :, None, None, None].expand(-1, -1, 1, 6, 6) + torch.randn(32, 1, 1, 6, 6)
        losses = phase.loss(Batch(x))
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    assert losses.parts["accuracy"].item() > 0.8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 8}, "fewer than the 8 of a video"),
        ({"length": 2}, "at least 3 frames"),
        ({"clips": 1}, "clips must be at least 2"),
        ({"sampling": "backwards"}, "random, consecutive"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model(**settings)


def test_what_is_no_video_is_refused_by_what_is_missing() -> None:
    assert "at least 4 frames" in (FrameOrder.supports(Event((3, 1, 6, 6), Real())) or "")
    assert "at least 4 pixels" in (FrameOrder.supports(Event((6, 1, 3, 6), Real())) or "")
    assert "shape (frames" in (FrameOrder.supports(Event((1, 6, 6), Real())) or "")
