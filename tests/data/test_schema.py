"""A table is taken by its names and words, and given back by them."""

import json
import re

import numpy as np
import pandas
import pytest
import torch

from ancestral.data import Schema, load_data
from ancestral.interface import InputError, Levels, Real

FRAME = pandas.DataFrame(
    {
        "n": [3, 5, -2, 4] * 5,
        "kind": ["b", "a", "c", "a"] * 5,
        "unit": ["cm"] * 20,
        "size": np.linspace(0, 1, 20),
        "is_new": [True, False, False, True] * 5,
        "bit": [0, 1, 1, 0] * 5,
    }
)


@pytest.fixture
def schema() -> Schema:
    with pytest.warns(UserWarning, match="left out: unit"):
        return Schema.from_frame(FRAME)


def test_rows_come_back_as_they_were(schema: Schema) -> None:
    x = schema.encode(FRAME)
    assert x[:4, :2].tolist() == [[5, 1], [7, 0], [0, 2], [6, 0]]
    back = schema.decode(x)
    pandas.testing.assert_frame_equal(back, FRAME, check_dtype=False)
    assert [back[name].dtype.kind for name in ("n", "is_new", "bit")] == ["i", "b", "i"]


def test_columns_are_taken_by_name(schema: Schema) -> None:
    reordered = FRAME[["size", "kind", "bit", "is_new", "n"]]
    assert torch.equal(schema.encode(reordered), schema.encode(FRAME))
    with pytest.warns(UserWarning, match="ignored, since the model does not know them: weight"):
        assert torch.equal(schema.encode(FRAME.assign(weight=1)), schema.encode(FRAME))
    schema.encode(FRAME.assign(weight=1), besides=["weight"])
    with pytest.raises(InputError, match="no column n; it has kind, unit"):
        schema.encode(FRAME.drop(columns="n"))
    with pytest.raises(InputError, match=r"no column size .did you mean 'sizes'"):
        schema.encode(FRAME.rename(columns={"size": "sizes"}))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("kind", "d", "has 'd' as kind in row 7; known are a, b, c"),
        ("n", 6, "has 6 as n in row 7 (1 such), but n is a whole number from -2 to 5"),
        ("n", 2.5, "has 2.5 as n in row 7"),
        ("bit", 2, "bit is 0 or 1"),
        ("n", np.nan, "1 empty cells, in the columns n (1)"),
        ("size", "wide", "the column size of the table holds text, 'wide' in row 7; expected numbers"),
    ],
)
def test_cells_that_the_schema_does_not_know(schema: Schema, column: str, value: object, message: str) -> None:
    frame = FRAME.astype({column: object})
    frame.loc[7, column] = value
    with pytest.raises(InputError, match=re.escape(message)):
        schema.encode(frame)


def test_a_schema_is_json(schema: Schema) -> None:
    stored = json.loads(json.dumps(schema.to_json(), allow_nan=False))
    assert Schema.from_json(stored) == schema
    with pytest.raises(InputError, match="no schema of a table"):
        Schema.from_json({"columns": [{"name": "a"}]})


def test_integers_as_words_and_as_reals_are_given_back_as_integers() -> None:
    frame = pandas.DataFrame({"zip": [10, 9, 200, 9] * 5, "age": [30, 40, 50, 31] * 5})
    schema = Schema.from_frame(frame, {"zip": "categories", "age": "real"})
    assert schema.columns[0].categories == ("9", "10", "200")
    pandas.testing.assert_frame_equal(schema.decode(schema.encode(frame)), frame, check_dtype=False)
    assert schema.decode(torch.tensor([[0.0, 33.4]]))["age"].tolist() == [33]
    # A gap makes floats of them; their words stay.
    gaps = frame.assign(zip=[10, 9, None, 9] * 5)
    assert Schema.from_frame(gaps, {"zip": "categories"}, missing=True).columns[0].categories == ("9", "10")
    assert torch.equal(schema.encode(gaps.iloc[:2]), schema.encode(frame.iloc[:2]))


def test_one_support_for_all_leaves_no_column_out() -> None:
    frame = pandas.DataFrame({"a": [0, 3, 1], "b": [2, 2, 2]})
    assert Schema.from_frame(frame, support=Levels(4)).event.shape == (2,)
    assert Schema.from_frame(frame, support=Real()).encode(frame).dtype == torch.float64


def test_values_that_are_missing_everywhere_are_restored_as_empty() -> None:
    frame = pandas.DataFrame({"a": [1.5, 2.5, 3.5], "note": [None, None, None]})
    with pytest.warns(UserWarning, match="left out: note"):
        schema = Schema.from_frame(frame)
    back = schema.decode(schema.encode(frame))
    assert back["note"].isna().all()
    json.dumps(schema.to_json(), allow_nan=False)


def test_built_in_tables_have_names_and_words() -> None:
    data = load_data("adult-like", n=100)
    assert data.schema.event == data.event
    frame = data.schema.decode(data.train.x)
    assert set(frame["education"]) <= {"none", "school", "college", "bachelor", "master", "doctorate"}
    assert 17 <= frame["age"].min() <= frame["age"].max() <= 90
    assert torch.equal(data.schema.encode(frame).float(), data.train.x)
    wine = load_data("wine")
    assert wine.schema.event == wine.event
    assert wine.schema.names[0] == "alcohol"
