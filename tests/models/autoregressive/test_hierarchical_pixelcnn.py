"""PixelCNN with auxiliary variables: its views, its bound against the likelihood summed over all views, its draws."""

import itertools

import pytest
import torch
from conditional_cases import seed, some
from torch import Tensor, nn

from ancestral.interface import Batch, Binary, Event, InputError, Levels, Real
from ancestral.models.autoregressive.hierarchical_pixelcnn import HierarchicalPixelCNN
from ancestral.models.autoregressive.pixelcnn_pp import PixelCNNPlusPlus
from ancestral.views import grey_view, half_view

COLOUR, BITS = Event((3, 2, 2), Levels(2)), Event((1, 3, 3), Binary())


def build(event: Event, context_event: Event | None = None, **settings: object) -> HierarchicalPixelCNN:
    """A small one in double precision whose conditionals differ much."""
    small = {"channels": 4, "blocks": 1, "view_scales": 1, "dilations": [1, 2], "components": 2}
    model = HierarchicalPixelCNN(event, context_event=context_event, **{**small, **settings})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.double().eval()


def states(event: Event) -> Tensor:
    return torch.tensor(list(itertools.product(range(event.values or 0), repeat=event.size))).view(-1, *event.shape)


# -- Views -------------------------------------------------------------------------------------------------------------


def test_the_grey_view_is_that_of_the_data() -> None:
    model = build(Event((3, 4, 5), Levels(256)))
    x = some(model.event, 6)
    grey, event = grey_view(x, model.event, 16)
    assert model.events == [event, model.event]
    assert model.stages == ("grey", "details")
    assert torch.equal(model.encode(x).mean, grey.flatten(1).double())


def test_a_lower_resolution_is_the_rounded_mean_of_blocks_and_of_what_there_is_at_the_border() -> None:
    x = torch.tensor([[0, 1, 7], [2, 3, 8], [5, 6, 9]])[None, None]
    view, event = half_view(x, Event((1, 3, 3), Levels(10)))
    assert event == Event((1, 2, 2), Levels(10))
    assert view[0, 0].tolist() == [[2, 8], [6, 9]]  # 1.5, 7.5, 5.5 and 9
    assert half_view(torch.eye(2)[None, None], Event((1, 2, 2), Binary()))[0].item() == 1


def test_a_pyramid_goes_from_the_coarsest_view_to_the_image() -> None:
    model = build(Event((3, 8, 7), Levels(4)), view="pyramid", scales=2)
    x = some(model.event, 3)
    half, _ = half_view(x, model.event)
    quarter, _ = half_view(half, model.event)
    assert model.latent_shapes == {"2x2": (3, 2, 2), "4x4": (3, 4, 4)}
    assert model.stages == ("2x2", "4x4", "details")
    found = model.split_latents(model.encode(x).mean)
    assert torch.equal(found["2x2"].long(), quarter)
    assert torch.equal(found["4x4"].long(), half)


def test_usual_views() -> None:
    assert HierarchicalPixelCNN(Event((3, 32, 32), Levels(256)), channels=4).stages == ("grey", "details")
    grey = HierarchicalPixelCNN(Event((1, 28, 28), Levels(256)), channels=4)
    assert grey.stages == ("7x7", "14x14", "details")


# -- The bound ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [COLOUR, BITS])
def test_the_bound_is_the_term_of_the_own_view_in_a_sum_over_all_views(event: Event) -> None:
    model = build(event, levels=2)
    (shape,) = model.latent_shapes.values()
    views = states(Event(shape, Levels(2))).double()
    x = states(event)
    x = x[:: max(1, len(x) // 128)]
    joint = torch.stack([model.log_joint(x, view.flatten().expand(len(x), -1)) for view in views], 1)
    own = model.encode(x).mean
    index = (own[:, None] == views.flatten(1)).all(2).nonzero()[:, 1]
    bound = model.elbo(x)
    torch.testing.assert_close(bound, joint.gather(1, index[:, None])[:, 0])
    torch.testing.assert_close(bound, model.log_prob_lower_bound(x, importance_samples=7))
    assert (joint.logsumexp(1) > bound).all()


def test_stages_are_the_view_and_the_image_given_it() -> None:
    model = build(Event((3, 4, 3), Levels(8)), levels=4)
    x = some(model.event, 5)
    z = model.encode(x).mean
    stages = model.stage_log_probs(x)
    torch.testing.assert_close(stages[0], model.log_prior(z))
    torch.testing.assert_close(stages[1], model.log_joint(x, z) - model.log_prior(z))
    assert type(model.first) is PixelCNNPlusPlus
    torch.testing.assert_close(stages[0], model.first.log_prob(z.view(5, 1, 4, 3)))
    torch.testing.assert_close(model.phases()[0].loss(model.prepare(Batch(x))).total, -stages.sum(0).mean())


def test_the_image_sees_all_of_its_view() -> None:
    """Below and to the right too, where the image itself is not known yet."""
    for model in (build(Event((3, 4, 4), Levels(4)), levels=3), build(Event((1, 6, 6), Binary()))):
        (shape,), (later,) = model.latent_shapes.values(), model.later
        view = torch.rand(3, *shape, dtype=torch.float64, requires_grad=True)
        first = later._conditionals(torch.zeros(3, *model.event.shape).double(), later.maps(view, None), 0)[..., 0, 0]
        (gradient,) = torch.autograd.grad(first.square().sum(), view)
        seen = gradient[:, :, :3, :3].ne(0).any(0)
        assert seen.all()
        assert later.embedding.event == model.events[0]  # laid on [-1, 1] by the levels of its own


def test_maps_of_a_view_enter_each_layer_of_a_short_pixelcnn_pp() -> None:
    model = build(Event((1, 5, 4), Levels(4)), Event((), Levels(3)), blocks=2)
    (later,), label = model.later, torch.eye(3, dtype=torch.float64)[:2]
    view, x = some(model.events[0], 2).double(), some(model.event, 2).double()
    maps = later.upsampled(later.embedding(view))
    assert maps.shape == (2, 4, 5, 4)
    maps = maps + (label @ later.added.weight.T)[:, :, None, None]
    streams = later.network(later.first(2 * x / 3 - 1), maps)
    mixtures = later.output(nn.functional.elu(streams.horizontal.value))
    found = later.log_prob(x, context=later.maps(view, label))
    torch.testing.assert_close(found, later.mixture.log_prob(mixtures, x).flatten(1).sum(1))


def test_dropout_is_in_every_stage() -> None:
    model = build(Event((3, 3, 3), Levels(4)), dropout=0.4)
    for network in (model.first, model.later[0].embedding, model.later[0].network):
        assert {layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)} == {0.4}


# -- Draws -------------------------------------------------------------------------------------------------------------


def test_draws_follow_the_sum_over_views_and_need_not_have_the_view_that_was_drawn() -> None:
    model = build(BITS)
    views, x = states(Event((1, 2, 2), Binary())).double(), states(BITS)
    joint = torch.stack([model.log_joint(x, view.flatten().expand(len(x), -1)) for view in views], 1)
    expected = joint.logsumexp(1).exp()
    torch.testing.assert_close(expected.sum().item(), 1.0)
    n = 10_000
    powers = 2 ** torch.arange(9)
    counts = torch.bincount((model.sample(n, generator=seed()).flatten(1).long() * powers).sum(1), minlength=512)
    found = counts[(x.flatten(1) * powers).sum(1)].double() / n
    stderr = (expected * (1 - expected) / n).sqrt()
    assert ((found - expected).abs() < 5 * stderr + 5 / n).all()
    z = model.sample_latents(200, generator=seed())
    assert not torch.equal(model.encode(model.decode(z, generator=seed())).mean, z)


def test_details_are_drawn_anew_for_a_given_view() -> None:
    model = build(Event((3, 6, 6), Levels(8)), view="pyramid", scales=2)
    given = model.split_latents(model.encode(some(model.event, 1)).mean)["2x2"]
    z = model.sample_latents(4, given={"2x2": given[0]}, generator=seed())
    parts = model.split_latents(z)
    assert torch.equal(parts["2x2"], given.expand(4, -1, -1, -1))
    assert len(parts["3x3"].unique(dim=0)) == 4


def test_a_label_changes_every_stage() -> None:
    model = build(Event((3, 3, 3), Levels(4)), Event((), Levels(3)), levels=4)
    x = some(model.event, 2)
    zero, one = (model.stage_log_probs(x, context=torch.full((2,), label)) for label in (0, 1))
    assert ((zero - one).abs() > 1e-6).all()


def test_events_and_settings_that_cannot_be() -> None:
    with pytest.raises(InputError, match="too small for a pyramid"):
        HierarchicalPixelCNN(Event((1, 1, 9), Binary()))
    with pytest.raises(InputError, match="take view='pyramid'"):
        HierarchicalPixelCNN(BITS, view="grey")
    with pytest.raises(InputError, match="view must be one of"):
        HierarchicalPixelCNN(BITS, view="gray")
    with pytest.raises(InputError, match="halved at most 2 times, got scales=3"):
        HierarchicalPixelCNN(BITS, scales=3)
    with pytest.raises(InputError, match="dilations must be at least 1"):
        HierarchicalPixelCNN(BITS, dilations=[0])
    with pytest.raises(InputError, match="2 to 256 levels"):
        HierarchicalPixelCNN(Event((3, 4, 4), Levels(256)), levels=1)
    with pytest.raises(InputError, match="discrete"):
        HierarchicalPixelCNN(Event((3, 4, 4), Real()))
