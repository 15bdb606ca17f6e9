"""Context encoders erase what their paper erases, weigh errors as it does, and fill in what the surroundings tell."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ancestral.data import kept_by_words
from ancestral.interface import Batch, Event, InputError, Levels
from ancestral.models.pretext.context_encoder import ChannelwiseLinear, ContextEncoder

EVENT = Event((3, 16, 12), Levels(256))


class Zeros(nn.Module):
    """Predicts the middle of the range everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x)


def images(n: int, event: Event = EVENT) -> Tensor:
    return torch.randint(event.values or 2, (n, *event.shape), generator=torch.Generator().manual_seed(0))


def test_the_centre_is_what_keeping_the_outside_hides() -> None:
    for sides in ((16, 12), (9, 14), (5, 7)):
        event = Event((3, *sides), Levels(256))
        model = ContextEncoder(event, channels=4, region="centre", adversarial=0.0)
        assert torch.equal(~model._holes(2)[1].expand(event.shape), kept_by_words("outside", event))


def test_blocks_cover_at_most_a_quarter_and_reach_every_pixel() -> None:
    torch.manual_seed(0)
    holes = ContextEncoder(EVENT, channels=4)._holes(4000)
    share = holes.flatten(1).double().mean(1)
    assert share.min() > 0
    assert share.max() <= 0.25
    often = holes.double().mean((0, 1))
    assert often.min() > 0.01, "a pixel is never erased"
    # Intervals of any length are as likely at every place: the map of frequencies has the image's symmetries.
    for mirrored in (often.flip(0), often.flip(1)):
        assert (often - mirrored).abs().max() < 0.05
    assert not torch.equal(holes[0], holes[1])
    intervals = ContextEncoder(EVENT, channels=4)._intervals(4000, 16).sum(2).flatten()
    assert bool((intervals.bincount()[2:] > 0.9 * 16_000 / 3).all())
    assert intervals.unique().tolist() == [2, 3, 4]


def test_errors_count_in_the_hole_and_tenfold_in_its_overlap() -> None:
    model = ContextEncoder(EVENT, channels=4, region="centre", overlap=2, adversarial=0.0)
    model.inpainter = Zeros()  # type: ignore[assignment]
    x = images(5)
    (phase,) = model.phases()
    found = float(phase.loss(Batch(x.float())).total.detach())
    total, values = 0.0, 0
    squares = (x.double() / 127.5 - 1).square()
    for row in range(16):
        for column in range(12):
            inside = 4 <= row < 12 and 3 <= column < 9
            near = 2 <= row < 14 and 1 <= column < 11
            if near:
                values += 5 * 3
                total += float((1 if inside else 10) * squares[:, :, row, column].sum())
    assert found == pytest.approx(total / values, rel=1e-5)


def test_each_image_s_error_is_the_mean_in_a_hole_of_its_own_which_is_not_seen() -> None:
    """Of a network that gives back what it sees: right in the overlap, and zeros in the hole."""
    model = ContextEncoder(EVENT, channels=4, overlap=1, adversarial=0.0)
    model.inpainter = nn.Identity()  # type: ignore[assignment]
    x, state = images(5), torch.get_rng_state()
    found = model.phases()[0].loss(Batch(x.float())).total.item()
    torch.set_rng_state(state)
    holes = model._holes(5)
    squares = (holes * (x.double() / 127.5 - 1).square()).flatten(1).sum(1)
    errors = squares / (3 * model._widened(holes).flatten(1).sum(1))
    assert found == pytest.approx(errors.mean().item(), rel=1e-5)


def test_the_joint_loss_weighs_its_parts() -> None:
    torch.manual_seed(0)
    model = ContextEncoder(EVENT, channels=4, adversarial=0.3)
    found = model.phases()[0].loss(Batch(images(4).float()))
    error, deceived = (float(found.parts[name].detach()) for name in ("squared error", "adversarial"))
    assert float(found.total.detach()) == pytest.approx(0.7 * error + 0.3 * deceived)
    assert [phase.name for phase in ContextEncoder(EVENT, channels=4, adversarial=0.0).phases()] == ["inpainter"]


def test_what_is_erased_is_not_seen() -> None:
    model = ContextEncoder(EVENT, channels=4, region="centre").eval()
    x, known = images(3), kept_by_words("outside", EVENT)
    other = torch.where(known, x, 255 - x)
    found = model.complete(x, known)
    assert torch.equal(found[:, ~known], model.complete(other, known)[:, ~known])
    # It is F of the image with the middle of the range in the hole.
    erased = (x / 127.5 - 1) * known
    predicted = 127.5 * (model.inpainter(erased) + 1)
    torch.testing.assert_close(found[:, ~known], predicted[:, ~known].round(), atol=1.0, rtol=0)


def test_the_discriminator_tells_images_from_whole_predictions() -> None:
    """Not from images with a hole that is filled in, whose seam would tell."""
    model, x = ContextEncoder(EVENT, channels=4), images(4).float()
    state = torch.get_rng_state()
    found = model.phases()[1].loss(Batch(x)).total.item()
    torch.set_rng_state(state)
    assert model.discriminator is not None
    real, predicted = x / 127.5 - 1, model._predicted(x / 127.5 - 1, model._holes(4))
    of_real, of_predicted = model.discriminator(real), model.discriminator(predicted)
    expected = (softplus(-of_real).mean() + softplus(of_predicted).mean()).item()
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_discriminator_sees_no_surroundings() -> None:
    """Of a hole in the centre it judges that region and its overlap: what is further out moves none of its losses."""
    model = ContextEncoder(EVENT, channels=4, region="centre", overlap=1)
    x = images(4).float()
    judged = model._widened(model._holes(1))[0].expand(EVENT.shape)
    assert torch.equal(model._judged(x).flatten(1), x[:, judged])
    assert ContextEncoder(EVENT, channels=4)._judged(x).shape == x.shape


def test_each_map_mixes_its_own_places() -> None:
    torch.manual_seed(0)
    layer = ChannelwiseLinear(3, 6)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 3 * 6 * 6 + 3 * 6
    x = torch.randn(1, 3, 2, 3)
    jacobian = torch.autograd.functional.jacobian(layer, x).reshape(3, 6, 3, 6)
    for out in range(3):
        for source in range(3):
            expected = layer.weight[out].T if out == source else torch.zeros(6, 6)
            torch.testing.assert_close(jacobian[out, :, source], expected)


def test_it_learns_what_the_surroundings_tell() -> None:
    """Images of one grey value each: the value of a hole is that of what surrounds it."""
    torch.manual_seed(0)
    event = Event((1, 8, 8), Levels(256))
    model = ContextEncoder(event, channels=4, overlap=1).train()
    steps = [(phase, torch.optim.Adam(phase.parameters, 1e-2)) for phase in model.phases()]
    for _ in range(60):
        x = torch.randint(256, (16, 1, 1, 1)).expand(-1, 1, 8, 8).float()
        for phase, optimizer in steps:
            optimizer.zero_grad()
            phase.loss(Batch(x)).total.backward()
            optimizer.step()
    model.eval()
    x, known = torch.arange(20, 236, 8)[:, None, None, None].expand(-1, 1, 8, 8), kept_by_words("outside", event)
    error = (model.complete(x, known) - x).abs().double()[:, ~known].mean()
    assert error < 27  # half of that of the mean over all images


def test_settings_are_checked() -> None:
    for settings, words in (
        ({"region": "middle"}, "region must be one of centre, blocks"),
        ({"overlap": -1}, "overlap at least 0"),
        ({"adversarial": 1.5}, "adversarial must be in"),
    ):
        with pytest.raises(InputError, match=words):
            ContextEncoder(EVENT, channels=4, **settings)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="too few for a discriminator"):
        ContextEncoder(Event((1, 4, 4), Levels(4)), channels=4, region="centre", overlap=0)
