"""The likelihood of later frames: what the chain rule leaves of the whole, and what it cannot go below."""

import itertools

import pytest
import torch

from ancestral.data import Split
from ancestral.evaluation import entropy_bound, evaluate, evaluate_prediction
from ancestral.interface import Binary, Event, InputError, Real
from ancestral.models.autoregressive.made import MADE
from ancestral.models.autoregressive.video_pixel_network import VideoPixelNetwork
from ancestral.models.linear.gaussian_mixture import GaussianMixture

EVENT = Event((3, 1, 1, 2), Binary())


def model() -> VideoPixelNetwork:
    found = VideoPixelNetwork(EVENT, channels=4, dilations=[1], blocks=1)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return found.double().eval()


def every() -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(2), repeat=EVENT.size))).view(-1, *EVENT.shape)


def test_it_is_the_likelihood_of_the_video_less_that_of_the_frames_given() -> None:
    network, x = model(), every()
    p = network.log_prob(x).exp()
    for given in (0, 1, 2):
        # p(the first frames) is the sum over all that may follow.
        first = x[:, :given].flatten(1)
        same = (first[:, None] == first).all(2).double()
        expected = -(p.log() - (same @ p).log()) / (3 - given)
        found = evaluate_prediction(network, Split(x, EVENT), given=given, batch_size=7)
        assert found.nats_per_frame == pytest.approx(expected.mean().item())
        assert found.stderr == pytest.approx(expected.std().item() / 8)
        assert (found.given, found.n) == (given, 64)
    whole = evaluate(network, Split(x, EVENT)).nats
    assert evaluate_prediction(network, Split(x, EVENT), given=0).nats_per_frame * 3 == pytest.approx(-whole)
    assert evaluate_prediction(network, Split(x, EVENT), given=1, limit=5).n == 5


def test_no_model_is_better_than_the_entropy_given_the_grey_values() -> None:
    """Not even the source itself: two grey clips, each as likely, and the exact conditionals of their mixture."""
    grey = torch.tensor([[30, 220, 100, 160, 255, 10], [250, 20, 90, 200, 5, 240]], dtype=torch.uint8)
    p, x = grey.double() / 255, every().flatten(1).double()
    of_each = (x[:, None] * p + (1 - x[:, None]) * (1 - p)).cumprod(2)  # (64, 2, 6): p(x_<=d, clip) over d
    mixture = of_each.mean(1)
    for given in (1, 2):
        conditional = (mixture[:, -1] / mixture[:, 2 * given - 1]).log()
        best = -(mixture[:, -1] * conditional).sum() / (3 - given)
        bound = entropy_bound(grey.view(2, *EVENT.shape), given).mean()
        assert 0 < bound < best


def test_models_and_numbers_that_cannot_be() -> None:
    data = Split(every(), EVENT)
    with pytest.raises(InputError, match="given must be 0 to 2"):
        evaluate_prediction(model(), data, given=3)
    with pytest.raises(InputError, match="frame after frame"):
        evaluate_prediction(MADE(EVENT, order="random", seed=1), data, given=1)
    with pytest.raises(InputError, match="gaussian_mixture does not"):
        evaluate_prediction(GaussianMixture(Event((2,), Real())), data, given=1)
    assert evaluate_prediction(MADE(EVENT), data, given=1).nats_per_frame > 0
