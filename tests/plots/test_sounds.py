"""Spectrograms: a tone is a line at its frequency, at the place of its time."""

import math

import pytest
import torch

from ancestral.interface import Event, Levels, Real
from ancestral.mu_law import mu_law_encode
from ancestral.plots import class_grid_figure, figure_png, samples_figure
from ancestral.plots.sounds import spectrograms

RATE = 8000


def tone(frequency: float, seconds: float = 0.5) -> torch.Tensor:
    return torch.sin(2 * math.pi * frequency * torch.arange(int(seconds * RATE)) / RATE)


@pytest.mark.parametrize("frequency", [500, 1000, 3000])
def test_a_tone_is_a_line_at_its_frequency(frequency: int) -> None:
    [[picture]] = spectrograms(tone(frequency)[None], RATE)
    rows = len(picture)
    assert rows == 129  # spectra of 256 samples, from 0 to 4 kHz in steps of 31.25 Hz
    # The highest frequency is on top.
    assert picture[:, 5:-5].argmax(0).eq(rows - 1 - round(frequency / 31.25)).all()
    assert picture.max() == 0
    assert picture[:, 20].min() == -70


def test_time_runs_to_the_right_and_all_sounds_have_one_scale() -> None:
    late = torch.cat([torch.zeros(4000), tone(1000)])
    first, second = spectrograms(torch.stack([late, late / 10]), RATE)[:, 0]
    half = first.shape[1] // 2
    assert first[:, : half - 5].eq(-70).all()
    assert first[:, half + 5 :].amax(0).min() > -10
    assert (first - second)[96, half + 5 : -5] == pytest.approx(20, abs=0.01)  # a tenth is 20 decibels below


def test_sounds_are_pictures_whether_companded_or_not() -> None:
    waves = torch.stack([tone(500), tone(2000)])
    levels = mu_law_encode(waves)
    event = Event((4000,), Levels(256))
    figure = samples_figure(levels, event, sample_rate=RATE)
    assert "0.5 s each, 0 to 4 kHz" in [text.get_text() for text in figure.texts]
    companded, plain = (
        samples_figure(x, of, sample_rate=RATE).axes[0].images[0].get_array()
        for x, of in ((levels, event), (waves, Event((4000,), Real())))
    )
    assert companded.shape == plain.shape
    assert abs(companded - plain)[companded[..., 0] > 0.8].max() < 0.01
    assert figure_png(class_grid_figure(levels, event, ["low", "high"], sample_rate=RATE))


@pytest.mark.parametrize(("n", "time"), [(1, 9), (70, 100), (2, 100_000)])
def test_a_picture_is_readable_whatever_the_length(n: int, time: int) -> None:
    figure = samples_figure(torch.randint(0, 256, (n, time)), Event((time,), Levels(256)), sample_rate=RATE)
    assert 10 <= figure.bbox.width <= 1600
    assert figure_png(figure)
    assert any(text.get_text().startswith("64 of 70 sounds shown") for text in figure.texts) == (n == 70)


def test_a_short_sound_is_no_strip() -> None:
    [[picture]] = spectrograms(tone(1000, seconds=0.064)[None], RATE)
    assert picture.shape[1] >= picture.shape[0]
