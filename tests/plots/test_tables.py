"""Tables as pictures: every column is named, in its own units, and real rows stand beside the samples."""

import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from ancestral.interface import Binary, Categories, Columns, Event, InputError, Levels, Real
from ancestral.plots import class_grid_figure, samples_figure, table_figure

NAMES = ["income", "year", "occupation", "married"]
WORDS = [None, None, ["clerk", "farmer", "teacher"], ["no", "yes"]]
EVENT = Event((4,), Columns((Real(), Levels(2100), Categories(3), Binary())))


def rows(n: int, seed: int = 0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.stack(
        [
            3e4 + 1e4 * torch.randn(n, generator=g).double(),
            torch.randint(1950, 2020, (n,), generator=g).double(),
            torch.randint(0, 3, (n,), generator=g).double(),
            torch.randint(0, 2, (n,), generator=g).double(),
        ],
        1,
    )


def visible(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_visible()]


def drawn(figure: Figure) -> Figure:
    FigureCanvasAgg(figure).draw()
    return figure


def test_every_pair_of_columns_and_every_marginal_is_drawn_with_names_and_words() -> None:
    figure = drawn(table_figure(rows(300), EVENT, real=rows(200, 1), names=NAMES, categories=WORDS))
    assert len(visible(figure)) == 4 + 6
    assert {axes.get_xlabel() for axes in visible(figure)} - {""} == set(NAMES)
    # The first column's own axis of values is below: its marginal counts rows.
    assert {axes.get_ylabel() for axes in visible(figure)} - {""} == set(NAMES[1:])
    written = {label.get_text() for axes in visible(figure) for label in axes.get_xticklabels()}
    assert {"clerk", "farmer", "teacher", "no", "yes"} <= written
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["real", "samples"]
    # Every pair shows all rows of both.
    assert {len(axes.collections[0].get_offsets()) for axes in visible(figure) if axes.collections} == {500}


def test_the_bars_of_a_discrete_column_are_the_shares_of_its_values() -> None:
    event = Event((1,), Categories(3))
    real, samples = torch.tensor([0, 0, 1, 2])[:, None], torch.tensor([2, 2, 2, 2, 1])[:, None]
    (axes,) = visible(table_figure(samples, event, real=real))
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([0.5, 0.25, 0.25, 0, 0.2, 0.8])
    colours = {bar.get_facecolor() for bar in axes.patches}
    assert len(colours) == 2


def test_columns_without_room_are_counted() -> None:
    figure = samples_figure(torch.randn(50, 40), Event((40,), Real()))
    assert len(visible(figure)) == 8
    assert figure.get_supxlabel() == "8 of 40 columns shown"
    assert [axes.get_xlabel() for axes in visible(figure)] == [f"column {i}" for i in range(8)]


def test_axes_span_the_data_and_no_column_is_a_thin_band() -> None:
    year, sales = 2000 + 10 * torch.rand(300), 3e6 * torch.rand(300)
    (axes,) = visible(drawn(samples_figure(torch.stack([year, sales], 1), Event((2,), Real()))))
    assert 1999 < axes.get_xlim()[0] < 2001 < 2009 < axes.get_xlim()[1] < 2011
    box = axes.get_window_extent()
    assert box.width == pytest.approx(box.height, rel=0.02)


def test_two_columns_in_one_unit_are_drawn_on_one_scale() -> None:
    (axes,) = visible(drawn(samples_figure(torch.rand(300, 2) * torch.tensor([2.0, 1.0]), Event((2,), Real()))))
    assert axes.get_xlim()[1] - axes.get_xlim()[0] == pytest.approx(axes.get_ylim()[1] - axes.get_ylim()[0])


def test_real_rows_set_the_axes_and_what_lies_outside_is_said() -> None:
    real, samples = torch.randn(400, 2), torch.randn(400, 2)
    samples[:20] = 1e6
    figure = table_figure(samples, Event((2,), Real()), real=real)
    assert max(figure.axes[0].get_xlim()) < 10
    assert figure.get_supxlabel().endswith("% of samples outside the axes")
    assert float(figure.get_supxlabel().split("%")[0]) >= 5.0
    # One wild value among the real rows does not squash the others either.
    real[0] = 1e6
    assert max(table_figure(samples, Event((2,), Real()), real=real).axes[0].get_xlim()) < 20


def test_missing_and_constant_values_are_no_obstacle() -> None:
    x = torch.randn(30, 3)
    x[::3, 0], x[:, 1], x[:, 2] = torch.nan, 5.0, torch.nan
    drawn(table_figure(x, Event((3,), Real()), real=x))


def test_a_class_has_a_colour() -> None:
    figure = class_grid_figure(rows(30), EVENT, ["low", "middle", "high"], names=NAMES)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["low", "middle", "high"]
    pair = next(axes for axes in visible(figure) if axes.collections)
    assert len({tuple(colour) for colour in pair.collections[0].get_facecolors().tolist()}) == 3
    with pytest.raises(InputError, match="equally many rows for each of 4 classes, got 30"):
        class_grid_figure(rows(30), EVENT, list("abcd"))


def test_names_are_of_all_columns() -> None:
    with pytest.raises(InputError, match="names must be given for each of the 4 columns, got 2"):
        table_figure(rows(5), EVENT, names=["a", "b"])
    with pytest.raises(InputError, match="categories must be given for each"):
        table_figure(rows(5), EVENT, categories=[None])
