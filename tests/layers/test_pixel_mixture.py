"""The mixture over whole pixels: the paper's equations in loops, and the product of its conditionals."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from ancestral.distributions import DiscretizedLogistic, Mixture
from ancestral.interface import Binary, Levels, Support
from ancestral.layers.pixel_mixture import PixelConditionals, PixelMixture


def every_pixel(values: int, colours: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(values), repeat=colours))).double()


def mass(x: int, mean: float, log_scale: float, levels: int) -> float:
    """Equation 2 of Salimans et al. 2017, on [-1, 1]."""
    half, centre, scale = 1 / (levels - 1), 2 * x / (levels - 1) - 1, math.exp(max(log_scale, -7))
    above = 1.0 if x == levels - 1 else 1 / (1 + math.exp(-(centre + half - mean) / scale))
    below = 0.0 if x == 0 else 1 / (1 + math.exp(-(centre - half - mean) / scale))
    return above - below


@pytest.mark.parametrize("components", [1, 2])
def test_a_pixel_has_the_mixture_of_the_paper(components: int) -> None:
    """sum over k of pi_k p_k(r) p_k(g | r) p_k(b | r, g), with means linear in the earlier colours (equation 3)."""
    levels = 3
    mixture = PixelMixture(Levels(levels), 3, components)
    outputs = 2 * torch.randn(1, mixture.outputs, dtype=torch.float64)
    weights = outputs[0, : components if components > 1 else 0].softmax(0).tolist() or [1.0]
    rest = outputs[0, components if components > 1 else 0 :]
    own, linear = rest[: 6 * components].view(components, 3, 2), rest[6 * components :].view(components, 3).tanh()
    pixels = every_pixel(levels, 3)
    expected = []
    for r, g, b in pixels.long().tolist():
        y_r, y_g = r - 1, g - 1  # levels 0, 1, 2 on [-1, 1]
        total = 0.0
        for k in range(components):
            (mu_r, s_r), (mu_g, s_g), (mu_b, s_b) = own[k].tolist()
            alpha, beta, gamma = linear[k].tolist()
            p_r = mass(r, mu_r, s_r, levels)
            p_g = mass(g, mu_g + alpha * y_r, s_g, levels)
            p_b = mass(b, mu_b + beta * y_r + gamma * y_g, s_b, levels)
            total += weights[k] * p_r * p_g * p_b
        expected.append(total)
    found = mixture.log_prob(outputs.expand(len(pixels), -1), pixels).exp()
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    assert sum(expected) == pytest.approx(1)


@pytest.mark.parametrize(
    ("support", "colours", "components"),
    [(Levels(4), 3, 3), (Levels(5), 1, 2), (Levels(2), 4, 2), (Levels(3), 2, 1), (Binary(), 3, 2), (Binary(), 1, 1)],
)
def test_the_product_of_the_conditionals_is_the_mixture(support: Support, colours: int, components: int) -> None:
    mixture = PixelMixture(support, colours, components)
    assert support.values is not None
    pixels = every_pixel(support.values, colours)
    outputs = 2 * torch.randn(1, mixture.outputs, dtype=torch.float64).expand(len(pixels), -1)
    whole, parameters = mixture.log_prob(outputs, pixels), mixture.conditionals(outputs, pixels)
    assert parameters.shape == (len(pixels), mixture.observation.size, colours)
    torch.testing.assert_close(mixture.observation.log_prob(parameters, pixels).sum(1), whole)
    torch.testing.assert_close(whole.logsumexp(0), torch.zeros((), dtype=torch.float64))
    # Each conditional is that of the enumerated joint distribution.
    for colour in range(colours):
        earlier = (pixels[:, None, :colour] == pixels[None, :, :colour]).all(2)
        upto = earlier & (pixels[:, None, colour] == pixels[None, :, colour])
        joint, marginal = (torch.where(same, whole.exp(), 0.0).sum(1).log() for same in (upto, earlier))
        own = mixture.observation.log_prob(parameters[:, :, [colour]], pixels[:, [colour]])[:, 0]
        torch.testing.assert_close(own, joint - marginal)


@pytest.mark.parametrize("support", [Levels(3), Binary()])
def test_of_four_colours_each_mean_is_linear_in_all_earlier_ones(support: Support) -> None:
    """Coefficients fill a triangle row by row; colours are on [-1, 1], bits too."""
    mixture = PixelMixture(support, 4, 2)
    assert support.values is not None
    outputs, x = torch.randn(5, mixture.outputs, dtype=torch.float64), torch.randint(support.values, (5, 4))
    size = mixture.component.size
    own, triangle = outputs[:, 2 : 2 + 8 * size].view(5, 2, 4, size), torch.zeros(5, 2, 4, 4, dtype=torch.float64)
    triangle[:, :, *torch.tril_indices(4, 4, -1)] = outputs[:, 2 + 8 * size :].tanh().view(5, 2, 6)
    expected = own[..., 0] + torch.einsum("nkce,ne->nkc", triangle, 2 * x.double() / (support.values - 1) - 1)
    found = mixture.conditionals(outputs, x)[:, 2:].view(5, 2, size, 4)[:, :, 0]
    torch.testing.assert_close(found, expected)


def test_pixels_stand_alone_and_come_one_colour_at_a_time() -> None:
    mixture = PixelMixture(Levels(7), 3, 2)
    outputs, x = torch.randn(4, mixture.outputs, 2, 5), torch.randint(7, (4, 3, 2, 5)).float()
    whole, parameters = mixture.log_prob(outputs, x), mixture.conditionals(outputs, x)
    assert whole.shape == (4, 2, 5)
    place = (slice(None), slice(None), 1, 3)
    torch.testing.assert_close(mixture.log_prob(outputs[place], x[place]), whole[:, 1, 3])
    walk = PixelConditionals(mixture, outputs[place])
    for colour in range(3):
        torch.testing.assert_close(walk.parameters, parameters[:, :, colour, 1, 3])
        walk.write(x[:, colour, 1, 3])


def test_the_first_colour_has_the_mixture_as_it_is() -> None:
    mixture = PixelMixture(Levels(9), 2, 4)
    outputs = torch.randn(3, mixture.outputs)
    own = outputs[:, 4:20].view(3, 4, 2, 2)[:, :, 0]
    expected = torch.cat((outputs[:, :4], own.flatten(1)), dim=1)
    assert isinstance(mixture.observation, Mixture)
    assert isinstance(mixture.observation.component, DiscretizedLogistic)
    assert torch.equal(PixelConditionals(mixture, outputs).parameters, expected)


def test_far_from_every_component_the_density_and_its_gradient_are_finite() -> None:
    mixture = PixelMixture(Levels(256), 3, 3)
    outputs = (30 * torch.randn(64, mixture.outputs)).requires_grad_()
    x = torch.randint(256, (64, 3)).float()
    log_prob = mixture.log_prob(outputs, x)
    product = mixture.observation.log_prob(mixture.conditionals(outputs, x), x).sum(1)
    torch.testing.assert_close(log_prob, product, rtol=1e-4, atol=1e-2)
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
