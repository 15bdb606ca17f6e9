"""What observations are conditioned on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import write_image_folder

from ancestral.data import Data, Split, load_data
from ancestral.interface import Categories, Columns, Event, InputError, Levels, Real
from ancestral.layers.conditioning import FlatContext

COLOURS = Event((3, 2, 2), Levels(256))


def test_labels() -> None:
    data = load_data("digits", context="labels")
    assert data.context_event == Event((), Categories(10))
    for part, rows in data.splits.items():
        assert torch.equal(rows.context, rows.y), part
        data.context_event.check(rows.__getitems__(range(5)).context)
    plain = load_data("digits")
    assert (plain.context_event, plain.train.context) == (None, None)
    assert torch.equal(plain.train.x, data.train.x)


def test_captions() -> None:
    data = load_data("shapes", n=50, context="captions")
    assert data.context_event == Event((10,), Categories(len(data.vocabulary)))
    words = data.text(data.test[3].context[0]).split()
    assert data.classes[int(data.test.y[3])] == words[3]


def test_factors() -> None:
    data = load_data("shapes", n=50, context="factors")
    assert data.context_event == Event((2,), Columns((Categories(5), Categories(8))))
    assert list(data.factor_names) == ["shape", "colour"]
    for part, rows in data.splits.items():
        assert torch.equal(rows.context, torch.stack([rows.factors["shape"], rows.factors["colour"]], 1)), part
    shape, colour = (names[int(i)] for names, i in zip(data.factor_names.values(), data.test.context[3], strict=True))
    caption = data.text(data.test.captions[3]).split()
    assert (shape in caption, colour in caption) == (True, True)
    assert data.meaning["factors"] == {name: list(values) for name, values in data.factor_names.items()}


def test_columns_enter_a_network_one_by_one() -> None:
    """Categories one-hot, levels on [-1, 1], all else as it is."""
    context = FlatContext(Event((4,), Columns((Categories(3), Levels(5), Real(), Categories(2)))))
    given = torch.tensor([[2.0, 4.0, -7.5, 0.0], [0.0, 1.0, 0.25, 1.0]])
    expected = torch.tensor([[0, 0, 1, 1, -7.5, 1, 0], [1, 0, 0, -0.5, 0.25, 0, 1]])
    assert context.size == 7
    assert torch.equal(context.vector(2, given, like=given), expected)
    assert torch.equal(context(given[:, :1], None), torch.cat([given[:, :1], torch.zeros(2, 7)], 1))


def test_a_grey_view() -> None:
    """The luma of ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B, in equal steps."""
    pure = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [9, 9, 9], [0, 0, 0]])
    split = Split(pure.to(torch.uint8)[:, :, None, None].expand(6, 3, 2, 2), COLOURS)
    data = Data("colours", COLOURS, split, split, split)
    grey, coarse = data.conditioned_on("grey"), data.conditioned_on("grey:16")
    assert grey.context_event == Event((1, 2, 2), Levels(256))
    assert coarse.context_event == Event((1, 2, 2), Levels(16))
    assert grey.test.context[:, 0, 1, 0].tolist() == [76, 150, 29, 255, 9, 0]
    assert torch.equal(coarse.test.context, grey.test.context // 16)
    assert data.conditioned_on("grey:2").train.context[:, 0, 0, 0].tolist() == [0, 1, 0, 1, 0, 0]


def test_a_grey_view_of_files(tmp_path: Path) -> None:
    write_image_folder(tmp_path / "set")
    data = load_data(tmp_path / "set", context="grey:16")
    assert data.contexts == ("labels", "grey")
    luma = (data.test.x * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    assert torch.equal(data.test.context, (luma.round() // 16).to(torch.uint8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: load_data("digits", context="grey"), "digits cannot be conditioned on 'grey'; it can be on labels"),
        (lambda: load_data("digits", context="label"), "cannot be conditioned on 'label'; it can be on labels"),
        (lambda: load_data("digits", context="captions"), "it has no captions: captions= names a table of them"),
        (lambda: load_data("digits", context="labels:3"), "cannot be conditioned on 'labels:3'"),
        (lambda: load_data("digits", context="labels", labels=100), "few labels are for models that learn"),
        (lambda: load_data("shapes", n=50, context="grey:x"), "it can be on labels, captions, factors, grey:L"),
        (lambda: load_data("shapes", n=50, context="grey:1"), "has 2 to 256 levels, got 1"),
        (lambda: load_data("shapes", n=50, context="grey:257"), "has 2 to 256 levels, got 257"),
        (lambda: load_data("shapes", n=50, context="grey", window=8), "drawn anew each time, so it has no grey view"),
    ],
)  # fmt: skip
def test_contexts_that_are_not_there(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_rows_without_labels_can_be_conditioned_on_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.linspace(0, 1, 60).reshape(20, 3))
    with pytest.raises(InputError, match=r"rows.npy cannot be conditioned on 'labels'; it can be on nothing"):
        load_data(tmp_path / "rows.npy", context="labels")
    np.savez(tmp_path / "some.npz", x=np.linspace(0, 1, 60).reshape(20, 3), y=np.arange(20) % 4 - 1)
    with pytest.raises(InputError, match="rows without a label"):
        load_data(tmp_path / "some.npz", context="labels")
