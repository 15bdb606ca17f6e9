"""WaveNet: the paper's equations as loops, its receptive field to the step, the cached sampler against the naive."""

import math

import pytest
import torch
from conditional_cases import (
    assert_cached_parameters_are_the_teacher_forced_ones,
    assert_cached_samples_are_the_naive_ones,
    assert_probabilities_sum_to_one,
    seed,
    some,
    stirred,
)
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from ancestral.interface import Batch, Binary, Categories, Columns, Event, InputError, Levels, Real, Support
from ancestral.models.autoregressive.wavenet import WaveNet

SOUND, TEXT = Event((24,), Levels(5)), Event((24,), Categories(4))
SPEAKER = Event((), Categories(3))


def build(
    event: Event,
    context_event: Event | None = None,
    *,
    channels: int = 5,
    layers: int = 3,
    blocks: int = 2,
    kernel_size: int = 2,
) -> WaveNet:
    """A small one in double precision whose conditionals differ much."""
    torch.manual_seed(0)
    shape = {"channels": channels, "layers": layers, "blocks": blocks, "kernel_size": kernel_size}
    model = WaveNet(event, context_event=context_event, head=9, **shape)
    return stirred(model)


@torch.no_grad()
def naively(model: WaveNet, x: Tensor, context: Tensor | None) -> Tensor:
    """The logits of one sequence (time,), (time, values), by equations 2 and 3 and figure 4, step by step."""
    time, taps = len(x), len(model.embedding.weight)
    zero = torch.zeros(model.embedding.weight.shape[2]).double()
    one_hot = F.one_hot(x, model.event.values).double()
    features = []
    for t in range(time):
        before = [one_hot[t - 1 - j] @ model.embedding.weight[j] for j in range(taps) if t - 1 - j >= 0]
        features.append(model.embedding.bias + sum(before, zero))
    skip = [model.skip.bias] * time
    for i, layer in enumerate(model.layers):
        filters, gates = layer.weight.chunk(2, dim=1)
        filters, added = filters / -2, layer.bias.clone()
        if context is not None:
            added += model.maps.weight.chunk(len(model.layers))[i] @ F.one_hot(context, 3).double()
        b_filter, b_gate = added.chunk(2)
        z = []
        for t in range(time):
            seen = [(j, features[t - j * layer.dilation]) for j in range(taps) if t - j * layer.dilation >= 0]
            filtered = sum((filters[j] @ h for j, h in seen), b_filter / -2)
            z.append(torch.tanh(filtered) * torch.sigmoid(sum((gates[j] @ h for j, h in seen), b_gate)))
        columns = slice(i * len(zero), (i + 1) * len(zero))
        skip = [total + model.skip.weight[:, columns] @ here for total, here in zip(skip, z, strict=True)]
        if layer.residual is not None:
            features = [h + layer.residual @ here for h, here in zip(features, z, strict=True)]
    return torch.stack([model.output(model.hidden(total.relu()).relu()) for total in skip])


@pytest.mark.parametrize(("event", "context_event"), [(SOUND, None), (TEXT, None), (SOUND, SPEAKER)])
@pytest.mark.parametrize("kernel_size", [2, 3])
def test_the_equations_of_the_paper(event: Event, context_event: Event | None, kernel_size: int) -> None:
    model = build(event, context_event, kernel_size=kernel_size)
    x, context = some(event, 3), None if context_event is None else torch.tensor([2, 0, 1])
    rows = [naively(model, row, None if context is None else context[i]) for i, row in enumerate(x)]
    expected = torch.stack(rows).log_softmax(2).gather(2, x[:, :, None])[..., 0]
    torch.testing.assert_close(model.conditional_log_probs(x, context=context)[0], expected, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize(
    ("layers", "blocks", "kernel_size", "reach"), [(3, 2, 2, 16), (4, 1, 2, 17), (2, 2, 3, 15), (1, 1, 4, 7)]
)
def test_a_conditional_sees_its_receptive_field_whole_and_nothing_else(
    layers: int, blocks: int, kernel_size: int, reach: int
) -> None:
    """kernel_size + blocks (kernel_size - 1) (2^layers - 1) values back, by the Jacobian on the one-hot input."""
    model = build(SOUND, channels=24, layers=layers, blocks=blocks, kernel_size=kernel_size)
    weight = model.embedding.weight

    def outputs(one_hot: Tensor) -> Tensor:
        before = F.pad(one_hot.T, (kernel_size, -1))
        features = F.conv1d(before, weight.flip(0).permute(2, 1, 0), model.embedding.bias)
        return model._outputs(features, 1, None)[0].sum(0)

    # A rectifier that is off may hide at one point what is seen.
    seen = torch.zeros(24, 24, dtype=torch.bool)
    for x in some(SOUND, 4):
        one_hot = F.one_hot(x, 5).double()
        torch.testing.assert_close(outputs(one_hot), model._conditionals(x[None], None, 0)[0].sum(0))
        seen |= torch.autograd.functional.jacobian(outputs, one_hot).ne(0).any(2)
    back = torch.arange(24)[:, None] - torch.arange(24)
    assert model.receptive_field == reach
    assert torch.equal(seen, (back >= 1) & (back <= reach))


@pytest.mark.parametrize("event", [Event((7,), Levels(3)), Event((9,), Binary())])
def test_probabilities_sum_to_one(event: Event) -> None:
    assert_probabilities_sum_to_one(build(event))


@pytest.mark.parametrize(
    ("event", "context_event", "kernel_size"),
    [
        (SOUND, None, 2),
        (Event((40,), Levels(256)), None, 2),
        (Event((3,), Levels(5)), None, 3),  # shorter than a dilation
        (TEXT, SPEAKER, 3),
        (SOUND, Event((4,), Real()), 2),
        (SOUND, Event((2,), Columns((Categories(4), Categories(2)))), 4),
    ],
)
def test_cached_samples_are_the_naive_ones(event: Event, context_event: Event | None, kernel_size: int) -> None:
    assert_cached_samples_are_the_naive_ones(build(event, context_event, kernel_size=kernel_size))


def test_cached_parameters_are_the_teacher_forced_ones_in_single_precision() -> None:
    model = build(Event((300,), Levels(256)), channels=16, layers=6)
    assert_cached_parameters_are_the_teacher_forced_ones(model)


def test_sampling_multiplies_by_each_weight_once_a_step() -> None:
    """As often as one pass does for each step, whatever the length; values are no products but rows of a table."""
    model = build(Event((64,), Levels(5)))
    matrices = [p for name, p in model.named_parameters() if p.dim() > 1 and not name.startswith("embedding")]
    steps, x = model._stepwise(1, None, 0), some(model.event, 1)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        for step in range(64):
            steps.parameters(step)
            steps.write(step, x[:, step])
    assert counted.get_total_flops() == 64 * 2 * sum(matrix.numel() for matrix in matrices)


@pytest.mark.parametrize("context_event", [None, SPEAKER])
def test_gradients_are_those_of_finite_differences(context_event: Event | None) -> None:
    """The convolution has a backward pass of its own."""
    model, x = build(SOUND, context_event, kernel_size=3), some(SOUND, 3)
    batch = Batch(x, context=None if context_event is None else torch.tensor([0, 2, 2]))
    loss = model.phases()[0].loss
    loss(batch).total.backward()
    for parameter in model.parameters():
        direction, before = torch.randn_like(parameter), parameter.detach().clone()
        ends = []
        with torch.no_grad():
            for step in (1e-6, -1e-6):
                parameter.copy_(before + step * direction)
                ends.append(loss(batch).total.item())
            parameter.copy_(before)
        slope = (ends[0] - ends[1]) / 2e-6
        assert (parameter.grad * direction).sum().item() == pytest.approx(slope, rel=1e-5, abs=1e-6)


def test_mixed_precision() -> None:
    model, x = build(SOUND, SPEAKER).float(), some(SOUND, 8)
    [phase] = model.phases()
    batch = Batch(x, context=torch.arange(8) % 3)
    exact = phase.loss(batch).total.item()
    with torch.autocast("cpu", torch.bfloat16):
        loss = phase.loss(batch).total
    loss.backward()
    assert loss.item() == pytest.approx(exact, rel=0.05)
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in model.parameters())


def test_another_length_is_the_same_model() -> None:
    model = build(SOUND, SPEAKER)
    longer, x, context = model.of_length(60), torch.randint(5, (3, 60)), torch.tensor([0, 1, 2])
    assert (longer.event, model.event) == (Event((60,), Levels(5)), SOUND)
    found = longer.conditional_log_probs(x, context=context)[0]
    torch.testing.assert_close(found[:, :24], model.conditional_log_probs(x[:, :24], context=context)[0])
    # Beyond the receptive field it does not matter where a sequence began.
    later = longer.of_length(50).conditional_log_probs(x[:, 10:], context=context)[0]
    reach = model.receptive_field
    torch.testing.assert_close(found[:, 10 + reach :], later[:, reach:])
    assert not torch.allclose(found[:, 10 + reach - 1], later[:, reach - 1])
    assert longer.sample(2, context=context[:2], generator=seed()).shape == (2, 60)
    # It shares the parameters.
    assert all(a is b for a, b in zip(model.parameters(), longer.parameters(), strict=True))
    with pytest.raises(InputError, match="length must be a whole number of at least 1, got 0"):
        model.of_length(0)


def test_it_learns_a_rule_that_reaches_as_far_as_it_does() -> None:
    """x_t = x_t-8 with probability 0.9, at the end of the receptive field: what is left is the noise's entropy."""
    torch.manual_seed(0)
    model = WaveNet(Event((64,), Binary()), channels=8, layers=3, blocks=1, head=16).train()
    assert model.receptive_field == 9
    [phase] = model.phases()
    optimizer = torch.optim.Adam(phase.parameters, lr=1e-2)

    def draw(n: int) -> Tensor:
        x = torch.randint(2, (n, 64))
        for t in range(8, 64):
            x[:, t] = torch.where(torch.rand(n) < 0.9, x[:, t - 8], 1 - x[:, t - 8])
        return x

    for _ in range(100):
        optimizer.zero_grad()
        phase.loss(Batch(draw(32).float())).total.backward()
        optimizer.step()
    found = model.conditional_log_probs(draw(400))[0, :, 8:].mean().item()
    assert -found == pytest.approx(-0.9 * math.log(0.9) - 0.1 * math.log(0.1), abs=0.03)


@pytest.mark.parametrize(
    ("event", "settings", "message"),
    [
        (Event((9,), Real()), {}, "softmax over all values"),
        (Event((1, 3, 3), Levels(4)), {}, "sequences, .time,., got the shape"),
        (Event((100_000,), Levels(256)), {}, "25,600,000 numbers an observation"),
        (SOUND, {"kernel_size": 1}, "kernel_size at least 2, got 32, 8, 2, 128 and 1"),
        (SOUND, {"layers": 0}, "layers, blocks and head must be at least 1"),
    ],
)
def test_events_and_settings_that_cannot_be(event: Event, settings: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        WaveNet(event, **settings)


def test_values_have_no_order() -> None:
    """Levels enter one-hot, as categories do: other names for the values are another order of the rows of weights."""
    names = torch.randperm(5, generator=seed())
    supports: tuple[Support, ...] = (Levels(5), Categories(5))
    ordered, named = (build(Event((24,), support)) for support in supports)
    with torch.no_grad():
        named.embedding.weight[:, names] = ordered.embedding.weight
        named.output.weight[names], named.output.bias[names] = ordered.output.weight, ordered.output.bias
    x = some(SOUND, 4)
    torch.testing.assert_close(named.log_prob(names[x]), ordered.log_prob(x))
