"""Spectra of images whose power is known."""

import math

import pytest
import torch
from torch.nn import functional as F

from ancestral.evaluation import power_spectrum
from ancestral.interface import InputError


def test_white_noise_has_its_variance_at_every_frequency() -> None:
    found = power_spectrum(3 * torch.randn(2000, 2, 8, 12))
    assert torch.allclose(found.power, torch.full_like(found.power, 9.0), rtol=0.1)
    assert float(found.high.mean()) == pytest.approx(9, rel=0.03)
    assert bool((found.frequencies[1:] > found.frequencies[:-1]).all())
    assert float(found.frequencies[-1]) <= 0.5


def test_a_cosine_has_all_its_power_at_its_frequency() -> None:
    places = torch.arange(16).double() + 0.5
    wave = torch.cos(2 * math.pi * (10 / 32) * places).expand(3, 1, 16, 16)  # 10 half-waves on 16 pixels
    found = power_spectrum(wave)
    assert float(found.frequencies[found.power.argmax()]) == pytest.approx(10 / 32, abs=0.01)
    high = power_spectrum(wave, high=10 / 32).high
    assert torch.allclose(high, high[:1])
    # The transform is orthonormal: all power is that of the pixels.
    assert power_spectrum(wave, high=11 / 32).high.max() < 1e-20
    many = torch.rand(5, 3, 6, 9).double()
    spectrum = power_spectrum(many, high=1e-9)  # all but the mean
    expected = (many - many.mean((2, 3), keepdim=True)).square().mean((1, 2, 3)) * 54 / 53
    torch.testing.assert_close(spectrum.high, expected)


def test_a_blur_takes_the_square_of_its_response() -> None:
    """By [1/4, 1/2, 1/4] along an axis, cos^2(pi f); borders that are mirrored add nothing."""
    x = torch.randn(300, 1, 24, 24).double().cumsum(3)  # opposite borders differ
    kernel = torch.tensor([0.25, 0.5, 0.25]).double().view(1, 1, 1, 3)
    mirrored = torch.cat([x[..., :1], x, x[..., -1:]], 3)
    blurred = F.conv2d(mirrored, kernel)
    flat, real = (
        power_spectrum(blurred.mean(2, keepdim=True).expand_as(x)),
        power_spectrum(x.mean(2, keepdim=True).expand_as(x)),
    )
    f = torch.arange(24).double() / 48
    ratio = (flat.power / real.power)[1:]
    assert torch.allclose(ratio, torch.cos(math.pi * f[1:]).pow(4)[: len(ratio)], rtol=1e-6)
    share, error = flat.relative_to(real)
    assert 0 < share < 0.3
    assert 0 < error < 0.2 * share
    assert real.relative_to(real)[0] == 1


@pytest.mark.parametrize(("shape", "high"), [((2, 1, 3, 8), 0.25), ((0, 1, 8, 8), 0.25), ((2, 1, 8, 8), 0.6)])
def test_what_has_no_spectrum_is_refused(shape: tuple[int, ...], high: float) -> None:
    with pytest.raises(InputError, match="at least 4 x 4 pixels"):
        power_spectrum(torch.zeros(shape), high=high)
    flat = power_spectrum(torch.zeros(2, 1, 8, 8))
    with pytest.raises(InputError, match="no power at high frequencies"):
        flat.relative_to(flat)
