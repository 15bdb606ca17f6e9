"""Observation models: normalised, sampled by their own distribution function, stable far out, with the stated mean."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import MixtureSameFamily, Normal

from ancestral.distributions import (
    Bernoulli,
    Categorical,
    Delta,
    DiscretizedLogistic,
    Gaussian,
    Mixture,
    Observation,
    conditional_for,
    observation_for,
)
from ancestral.interface import Binary, Categories, Columns, InputError, Levels, Real, Support

DISCRETE: dict[str, tuple[Observation, int]] = {
    "bernoulli": (Bernoulli(), 2),
    "categorical": (Categorical(5), 5),
    "discretized logistic, 2 levels": (DiscretizedLogistic(2), 2),
    "discretized logistic, 17 levels": (DiscretizedLogistic(17), 17),
    "discretized logistic, 256 levels": (DiscretizedLogistic(256), 256),
    "mixture of discretized logistics": (Mixture(DiscretizedLogistic(17), 3), 17),
    "mixture of bernoullis": (Mixture(Bernoulli(), 2), 2),
}


def table(observation: Observation, parameters: Tensor, levels: int) -> Tensor:
    """ln p of every level for parameters (batch, size, n), (batch, levels, n)."""
    batch, _, n = parameters.shape
    values = torch.arange(levels, dtype=parameters.dtype)
    return torch.stack([observation.log_prob(parameters, v.expand(batch, n)) for v in values], 1)


@pytest.mark.parametrize("name", DISCRETE)
@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 1e-5)])
def test_probabilities_sum_to_one(name: str, scale: float, dtype: torch.dtype, tolerance: float) -> None:
    observation, levels = DISCRETE[name]
    parameters = scale * torch.randn(64, observation.size, 3, dtype=dtype)
    log_probs = table(observation, parameters, levels)
    assert torch.isfinite(log_probs).all()
    assert log_probs.max() <= 1e-6
    torch.testing.assert_close(log_probs.logsumexp(1), torch.zeros(64, 3, dtype=dtype), rtol=0, atol=tolerance)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
@pytest.mark.parametrize("name", DISCRETE)
def test_from_uniform_inverts_the_distribution_function_at_its_temperature(name: str, temperature: float) -> None:
    observation, levels = DISCRETE[name]
    parameters = torch.randn(1, observation.size, 1, dtype=torch.float64)
    cumulative = (table(observation, parameters, levels) / temperature).softmax(1).cumsum(1).flatten()
    # Bernoulli draws 1 for small u, the others rise with u: either way a level's share of u is its probability.
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    x = observation.from_uniform(parameters.expand(len(u), -1, -1), u[:, None], temperature).flatten()
    shares = torch.bincount(x.long(), minlength=levels) / len(u)
    torch.testing.assert_close(shares.double().cumsum(0), cumulative, rtol=0, atol=2e-4)


@pytest.mark.parametrize("name", DISCRETE)
def test_the_table_has_every_value_of_every_dimension(name: str) -> None:
    observation, levels = DISCRETE[name]
    parameters = torch.randn(2, observation.size, 3, dtype=torch.float64)
    assert observation.values == levels
    torch.testing.assert_close(observation.table(parameters), table(observation, parameters, levels))
    with pytest.raises(InputError, match="finitely many"):
        Gaussian().table(torch.zeros(1, 2, 3))


@pytest.mark.parametrize("name", DISCRETE)
def test_mean_is_the_expectation(name: str) -> None:
    observation, levels = DISCRETE[name]
    parameters = torch.randn(8, observation.size, 3, dtype=torch.float64)
    values = torch.arange(levels, dtype=torch.float64)[:, None]
    expected = (table(observation, parameters, levels).exp() * values).sum(1)
    torch.testing.assert_close(observation.mean(parameters), expected)


@pytest.mark.parametrize("name", DISCRETE)
@pytest.mark.parametrize("u", [0.0, 1 - 2**-24])
def test_extreme_uniforms_stay_in_the_support(name: str, u: float) -> None:
    observation, levels = DISCRETE[name]
    parameters = 10 * torch.randn(256, observation.size, 2)
    x = observation.from_uniform(parameters, torch.full((256, 2), u))
    assert ((x >= 0) & (x <= levels - 1) & (x == x.round())).all()


def test_discretized_logistic_far_from_its_mean_is_exact_in_float32() -> None:
    """Far out the mass of a cell is that of an exponential tail, and its logarithm falls linearly, never to -inf."""
    observation = DiscretizedLogistic(256)
    parameters = torch.tensor([[[1.0], [-7.0]]]).expand(256, 2, 1)
    x = torch.arange(256.0)[:, None]
    single = observation.log_prob(parameters, x)
    double = observation.log_prob(parameters.double(), x.double())
    assert torch.isfinite(single).all()
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-4)
    slopes = double.flatten().diff()[1:-2]
    torch.testing.assert_close(slopes, torch.full_like(slopes, 2 / 255 * math.exp(7)), rtol=1e-6, atol=0)


def test_discretized_logistic_log_scale_is_limited_below_alone() -> None:
    mean, x = torch.zeros(1), torch.tensor([[200.0]])
    found = [
        DiscretizedLogistic(256).log_prob(torch.stack((mean, mean + log_scale))[None], x).item()
        for log_scale in (-30.0, -7.5, -7.0, -6.5, 7.0, 8.0)
    ]
    assert found[0] == found[1] == found[2] < found[3]
    assert found[4] - found[5] == pytest.approx(1, abs=1e-3)


def test_discretized_logistic_has_finite_gradients_everywhere() -> None:
    parameters = (20 * torch.randn(512, 2, 3)).requires_grad_()
    x = torch.randint(256, (512, 3)).float()
    DiscretizedLogistic(256).log_prob(parameters, x).sum().backward()
    assert parameters.grad is not None
    assert torch.isfinite(parameters.grad).all()


def test_gaussian_is_torch_normal_and_samples_it() -> None:
    parameters = torch.randn(6, 2, 3, dtype=torch.float64)
    mean, log_variance = parameters.unbind(1)
    reference = Normal(mean, (0.5 * log_variance).exp())
    x = torch.randn(6, 3, dtype=torch.float64)
    torch.testing.assert_close(Gaussian().log_prob(parameters, x), reference.log_prob(x))
    torch.testing.assert_close(Gaussian().mean(parameters), mean)
    u = torch.rand(6, 3, dtype=torch.float64)
    torch.testing.assert_close(Gaussian().from_uniform(parameters, u), reference.icdf(u))
    # p^(1/T) of N(m, s^2) is N(m, T s^2): at T = 4 draws lie twice as far from the mean.
    torch.testing.assert_close(Gaussian().from_uniform(parameters, u, 4.0), 2 * reference.icdf(u) - mean)


@pytest.mark.parametrize("u", [0.0, 1 - 2**-24])
def test_gaussian_samples_are_finite_at_the_ends(u: float) -> None:
    assert torch.isfinite(Gaussian().from_uniform(torch.zeros(1, 2, 1), torch.full((1, 1), u))).all()


def test_gaussian_log_variance_is_limited() -> None:
    parameters = torch.tensor([[[0.0], [-1e4]]])
    assert Gaussian().log_prob(parameters, torch.zeros(1, 1)).item() == pytest.approx(7 - 0.5 * math.log(2 * math.pi))


def test_every_observation_has_a_gradient_in_each_parameter() -> None:
    for observation, levels in [*DISCRETE.values(), (Gaussian(), 3)]:
        parameters = torch.randn(32, observation.size, 2, requires_grad=True)
        observation.log_prob(parameters, torch.randint(levels, (32, 2)).float()).sum().backward()
        assert parameters.grad is not None
        assert (parameters.grad.abs().sum((0, 2)) > 0).all()


def test_the_gradient_of_a_softmax_is_that_of_its_composed_form() -> None:
    logits = (3 * torch.randn(2, 5, 3, dtype=torch.float64)).requires_grad_()
    x = torch.tensor([[0, 4, 2], [1, 1, 3.0]])
    found = Categorical(5).log_prob(logits, x)
    composed = logits.log_softmax(1).gather(1, x.long()[:, None])[:, 0]
    torch.testing.assert_close(found, composed)
    weights = torch.randn_like(found)
    gradients = [torch.autograd.grad(value, logits, weights)[0] for value in (found, composed)]
    torch.testing.assert_close(*gradients)
    with torch.no_grad():
        assert torch.equal(Categorical(5).log_prob(logits, x), found)


def test_sample_draws_each_dimension_on_its_own() -> None:
    x = Bernoulli().sample(torch.zeros(1, 1, 4096))
    assert abs(float(x.mean()) - 0.5) < 0.05


def test_delta_has_all_mass_at_its_value() -> None:
    value = torch.randn(3, 2)
    delta = Delta(value)
    assert delta.batch_shape == (3,)
    assert delta.event_shape == (2,)
    torch.testing.assert_close(delta.log_prob(value), torch.zeros(3))
    assert delta.log_prob(value + torch.tensor([1.0, 0.0])).tolist() == [-math.inf] * 3
    assert torch.equal(delta.sample(torch.Size([5])), value.expand(5, 3, 2))
    assert torch.equal(delta.mean, value)
    assert torch.equal(delta.mode, value)
    assert torch.equal(delta.variance, torch.zeros(3, 2))
    weight = value.clone().requires_grad_()
    Delta(weight).rsample().sum().backward()
    assert weight.grad is not None


@pytest.mark.parametrize("name", DISCRETE)
def test_the_likelihood_of_an_observation_is_the_sum_over_its_dimensions(name: str) -> None:
    observation, levels = DISCRETE[name]
    parameters = torch.randn(3, 4, observation.size, 2, 5, dtype=torch.float64)
    x = torch.randint(levels, (4, 2, 5)).double()
    expected = torch.stack([observation.log_prob(one, x).sum((1, 2)) for one in parameters])
    torch.testing.assert_close(observation.log_likelihood(parameters, x), expected)


def test_a_mixture_of_gaussians_is_torchs_and_is_sampled_share_by_share() -> None:
    observation = Mixture(Gaussian(), 3)
    parameters = torch.randn(1, observation.size, 2, dtype=torch.float64)
    logits, each = parameters[0, :3], parameters[0, 3:].view(3, 2, 2)
    reference = MixtureSameFamily(TorchCategorical(logits=logits.T), Normal(each[:, 0].T, (0.5 * each[:, 1]).exp().T))
    x = torch.randn(50, 2, dtype=torch.float64)
    torch.testing.assert_close(observation.log_prob(parameters.expand(50, -1, -1), x), reference.log_prob(x))
    torch.testing.assert_close(observation.mean(parameters)[0], reference.mean)
    n = 20_000
    u = ((torch.arange(n, dtype=torch.float64) + 0.5) / n)[:, None].expand(n, 2)
    drawn = observation.from_uniform(parameters.expand(n, -1, -1), u)
    # Within a share they rise with u.
    shares = torch.bucketize(u[:, 0], logits[:, 0].softmax(0).cumsum(0)[:-1])
    assert (drawn[:, 0].diff()[shares.diff() == 0] > 0).all()
    draws = drawn.sort(0).values
    # The draws of evenly spaced numbers are evenly spaced in probability.
    torch.testing.assert_close(reference.cdf(draws), u, rtol=0, atol=3 / n)
    with pytest.raises(InputError, match="no closed form"):
        observation.from_uniform(parameters, u[:1], 0.5)


def test_draws_of_a_mixture_are_finite_at_the_ends_of_shares() -> None:
    observation = Mixture(Gaussian(), 2)
    logits = torch.cat((torch.randn(4096, 2), torch.tensor([[-1e4, 0.0], [0.0, -1e4]])))
    parameters = torch.cat((logits, torch.zeros(len(logits), 4)), dim=1)[:, :, None]
    ends = logits.double().softmax(1)[:, :1].float()
    for u in (ends, ends.nextafter(torch.zeros(1)), torch.zeros_like(ends), torch.full_like(ends, 1 - 2**-24)):
        assert observation.from_uniform(parameters, u.clamp(0, 1 - 2**-24)).isfinite().all()


def test_draws_from_a_small_share_of_a_mixture_are_exact_in_float32() -> None:
    observation = Mixture(Gaussian(), 2)
    u = 1 - torch.arange(1.0, 100)[:, None] * 2**-24
    parameters = torch.tensor([12.0, 0.0, 0.0, 0.0, 5.0, 0.0])[:, None].expand(len(u), 6, 1)
    double = observation.from_uniform(parameters.double(), u.double())
    assert (double > 1).any()
    torch.testing.assert_close(observation.from_uniform(parameters, u).double(), double, rtol=0, atol=1e-4)


def test_the_columns_of_a_table_are_observed_each_by_its_own() -> None:
    columns = Columns((Categories(3), Real(), Levels(300), Real(), Binary()))
    observation = conditional_for(columns, 2)
    sizes = observation.sizes(5)
    assert sizes == [3, 6, 6, 6, 1]
    parameters = torch.randn(4, observation.size, 5, dtype=torch.float64)
    u = torch.rand(4, 5, dtype=torch.float64)
    x = observation.from_uniform(parameters, u)
    assert columns.contains(x).all()
    log_prob, mean = observation.log_prob(parameters, x), observation.mean(parameters)
    for column, size in enumerate(sizes):
        alone, own = observation.at(column), parameters[:, :size, column : column + 1]
        assert torch.equal(x[:, [column]], alone.from_uniform(own, u[:, [column]]))
        torch.testing.assert_close(log_prob[:, [column]], alone.log_prob(own, x[:, [column]]))
        # Categories have no mean: the likeliest of them stands for it.
        expected = own.argmax(1).double() if column == 0 else alone.mean(own)
        torch.testing.assert_close(mean[:, [column]], expected)
    # Sharpened by a temperature, too, where none is a mixture.
    observation = conditional_for(columns)
    sharp = observation.from_uniform(parameters, u, 0.3)
    for column, size in enumerate(observation.sizes(5)):
        own = parameters[:, :size, column : column + 1]
        assert torch.equal(sharp[:, [column]], observation.at(column).from_uniform(own, u[:, [column]], 0.3))
    with pytest.raises(InputError, match="must be auto, got 'gaussian'"):
        observation_for(columns, "gaussian")


@pytest.mark.parametrize("support", [Binary(), Levels(2), Levels(7), Levels(256), Levels(300), Categories(7)])
def test_an_observation_is_of_all_values_of_its_support(support: Support) -> None:
    assert support.values is not None
    for observation in (observation_for(support), conditional_for(support), conditional_for(support, 2)):
        log_probs = table(observation, torch.randn(4, observation.size, 2, dtype=torch.float64), support.values)
        torch.testing.assert_close(log_probs.logsumexp(1), torch.zeros(4, 2, dtype=torch.float64))
