"""Sequences as pictures: of a readable size whatever their length."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ancestral.interface import Binary, Categories, Event, InputError, Levels, Real, Support
from ancestral.plots import class_grid_figure, figure_png, samples_figure, text_figure


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize("support", [Levels(256), Real(), Categories(30), Binary()])
@pytest.mark.parametrize("length", [70, 700, 20_000])
@pytest.mark.parametrize("n", [1, 64, 300])
def test_a_picture_is_readable_whatever_the_length(support: Support, length: int, n: int) -> None:
    x = torch.rand(1, length) if support == Real() else torch.randint(0, 2, (1, length))
    height, width, _ = _pixels(figure_png(samples_figure(x.expand(n, -1), Event((length,), support)))).shape
    assert 200 <= width <= 1400
    assert 12 <= height <= 1600


@pytest.mark.parametrize(("event", "x"), [(Event((100,), Levels(256)), 255.0), (Event((100,), Real()), 3.0)])
def test_a_waveform_is_a_line_through_its_values_and_all_have_one_scale(event: Event, x: float) -> None:
    ramp = torch.linspace(0, x, 100)
    figure = samples_figure(torch.stack([ramp, ramp / 2, ramp.flip(0), 0 * ramp]), event, columns=2)
    lines = [line.get_xydata() for line in figure.axes[0].get_lines()]
    slopes = [line[-1, 1] - line[0, 1] for line in lines]
    assert slopes == pytest.approx([0.9, 0.45, -0.9, 0], abs=0.01)
    # In reading order: to the right, then below.
    assert lines[1][:, 0].min() > lines[0][:, 0].max()
    assert lines[2][:, 1].max() < lines[0][:, 1].min()
    assert "100 steps each" in figure.get_supxlabel()


def test_waveforms_without_room_are_counted_and_gaps_are_left_out() -> None:
    x = torch.randn(150, 80)
    x[:, :10] = torch.nan
    assert samples_figure(x, Event((80,), Real())).get_supxlabel().startswith("100 of 150 sequences shown")


def test_in_strips_two_cells_have_one_colour_where_they_are_one_category() -> None:
    x = torch.randint(0, 25, (3, 60), generator=torch.Generator().manual_seed(0))
    pixels = _pixels(figure_png(samples_figure(x, Event((60,), Categories(25)))))
    cell, block = pixels.shape[1] // 60, pixels.shape[0] // 3
    colours = [tuple(pixels[i * block + 5, j * cell + cell // 2]) for i in range(3) for j in range(60)]
    assert len(set(colours)) == len(set(x.flatten().tolist()))
    assert len(set(zip(colours, x.flatten().tolist(), strict=True))) == len(set(colours))


def test_bits_are_dark_where_they_are_1_and_probabilities_lie_between() -> None:
    x = torch.tensor([[0.0, 0.5, 1.0]]).repeat(1, 10)
    pixels = _pixels(figure_png(samples_figure(x, Event((30,), Binary()))))
    cell = pixels.shape[1] // 30
    low, half, high = (int(pixels[5, j * cell + cell // 2, 0]) for j in range(3))
    assert low > half > high
    assert half == pytest.approx((low + high) / 2, abs=2)


def test_a_text_is_printed_as_it_is() -> None:
    figure = text_figure(["costs $5 and $6", "two\nlines", "long " * 40, "漢\tx"], width=60)
    lines = [text.get_text() for text in figure.texts]
    assert lines[0] == "costs $5 and $6"
    assert lines[1:4] == ["two", "lines", ""]
    assert "".join(lines).count("long") == 40
    assert lines[-1].split() == ["\N{REPLACEMENT CHARACTER}", "x"]
    figure_png(figure)  # without a warning of a missing glyph
    many = text_figure([f"text {i}" for i in range(500)])
    assert many.texts[-1].get_text() == "60 of 500 texts shown"
    assert figure_png(many)


@pytest.mark.parametrize(
    "event",
    [Event((1, 8, 8), Levels(17)), Event((90,), Real()), Event((90,), Levels(256)), Event((90,), Categories(5))],
)
def test_a_class_is_a_row_with_its_name(event: Event) -> None:
    x = torch.arange(3.0).repeat_interleave(4).view(-1, *[1] * len(event.shape)).expand(12, *event.shape)
    figure = class_grid_figure(x, event, ["zero", "one", "two"])
    figure_png(figure)
    texts = [*figure.texts, *figure.axes[0].get_yticklabels()]
    places = {text.get_text(): text.get_window_extent().y0 for text in texts}
    assert places["zero"] > places["one"] > places["two"]
    with pytest.raises(InputError, match="equally many rows for each of 5 classes, got 12"):
        class_grid_figure(x, event, list("abcde"))
