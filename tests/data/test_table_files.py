"""Tables as text: separators, decimals, names, lines; and which columns of them are taken."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch

from ancestral.data import Data, load_data
from ancestral.data.tables import read_table
from ancestral.interface import Binary, Categories, Columns, Event, InputError, Levels, Real

ROWS = [(1.5, "a b", 3), (2.25, "c", -4), (-0.5, 'd"d', 7)] * 4


def all_rows(data: Data) -> torch.Tensor:
    return torch.cat([rows.x for rows in data.splits.values()])


def written(separator: str, decimal: str, end: str = "\n", names: bool = True) -> str:
    """The rows as text, their middle column quoted."""
    lines = [
        separator.join([str(a).replace(".", decimal), '"{}"'.format(b.replace('"', '""')), str(c)]) for a, b, c in ROWS
    ]
    return end.join([*([separator.join(("size", "kind", "n"))] if names else []), *lines, ""])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", ","), (";", "."), ("\t", ","), ("|", ".")])
def test_separator_and_decimal_are_found(tmp_path: Path, separator: str, decimal: str, mark: str, end: str) -> None:
    for suffix in (".csv", ".tsv"):
        path = tmp_path / f"rows{suffix}"
        path.write_text(mark + written(separator, decimal, end), encoding="utf-8", newline="")
        data = load_data(path, whole=True)
        assert data.schema.names == ("size", "kind", "n")
        assert data.event == Event((3,), Columns((Real(), Categories(3), Levels(12))))
        back = data.schema.decode(data.test.x)
        assert list(back.itertuples(index=False, name=None)) == ROWS


def test_separator_and_decimal_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("a:b\n" + "1,234:5\n2,345:7\n" * 5)
    data = load_data(tmp_path / "odd.csv", separator=":", decimal=",", whole=True)
    assert data.schema.decode(data.test.x)["a"].tolist()[:2] == pytest.approx([1.234, 2.345])
    with pytest.raises(InputError, match="separator must be one character"):
        load_data(tmp_path / "odd.csv", separator="::")


def test_quoted_decimal_commas_between_commas(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n"1,5","2,25"\n"0,5",7\n' * 1)
    assert load_data(tmp_path / "a.csv", whole=True).test.x.tolist() == [[1.5, 2.25], [0.5, 7]]


def test_a_separator_inside_text_is_no_separator(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,n\n" + "x;y,1\nz;w,2\n" * 5)
    data = load_data(tmp_path / "a.csv")
    assert [column.categories for column in data.schema.columns] == [("x;y", "z;w"), None]


def test_a_table_without_names_is_named_by_numbers(tmp_path: Path) -> None:
    (tmp_path / "headless.csv").write_text("3;1,5\n0;2,5\n" * 10)
    data = load_data(tmp_path / "headless.csv")
    assert len(all_rows(data)) == 20
    assert data.schema.names == ("0", "1")
    assert load_data(tmp_path / "headless.csv", drop=1).schema.names == ("0",)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_labels_beside_columns_of_every_kind(tmp_path: Path, kind: str) -> None:
    frame = pandas.DataFrame(
        {
            "a": np.linspace(0, 1, 30),
            "kind": ["x", "y", None] * 10,
            "b": np.arange(30) // 2 - 3,
            "c": np.arange(30) % 2 == 0,
            "colour": ["red", "blue", "blue"] * 10,
        }
    )
    path = tmp_path / f"rows.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    data = load_data(path, label="kind")
    assert data.event == Event((4,), Columns((Real(), Levels(15), Binary(), Categories(2))))
    assert data.train.x.dtype == torch.float32
    assert data.classes == ("x", "y")
    assert sorted(all_rows(data)[:, 1].tolist()) == (np.arange(30) // 2).tolist()
    for rows in data.splits.values():
        row = (rows.x[:, 0] * 29).round().long()
        assert torch.equal(rows.y, torch.tensor([0, 1, -1])[row % 3])
        assert torch.equal(rows.x[:, 2], (row % 2 == 0).float())
        assert torch.equal(rows.x[:, 3], (row % 3 == 0).float())
    back = load_data(path, label="kind", whole=True)
    pandas.testing.assert_frame_equal(
        back.schema.decode(back.test.x), frame.drop(columns="kind"), check_dtype=False, rtol=1e-6
    )


@pytest.mark.parametrize(
    ("text", "event", "dtype"),
    [
        ("a,b\n" + "3,1\n0,2\n" * 10, Columns((Levels(4), Levels(2))), torch.uint8),
        ("a,b\n" + "900,1\n0,2\n" * 10, Columns((Levels(901), Levels(2))), torch.int16),
        ("a,b\n" + "1,2\n5,6\n" * 10, Levels(5), torch.uint8),
        ("a,b\n" + "True,False\nFalse,True\n" * 10, Binary(), torch.uint8),
        ("a,b\n" + "0,1\n1,0\n" * 10, Binary(), torch.uint8),
        ("a,b\n" + "A,T\nC,G\nG,A\nT,C\n" * 10, Categories(4), torch.uint8),
        ("a,b\n" + "1.5,2\n2.5,9.5\n" * 4, Real(), torch.float32),
        ("a,b\n" + "1.0,2.0\n2.0,5.0\n" * 4, Columns((Levels(2), Levels(4))), torch.uint8),
        ("a,b\n" + "1,2\n70000,3\n" * 4, Columns((Real(), Levels(2))), torch.float32),
    ],
)
def test_each_column_is_of_its_own_kind(tmp_path: Path, text: str, event: object, dtype: torch.dtype) -> None:
    (tmp_path / "a.csv").write_text(text)
    data = load_data(tmp_path / "a.csv")
    assert data.event == Event((2,), event)
    assert data.train.x.dtype == dtype


def test_columns_are_dropped_kept_and_taken_as_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("age,zip,income,sex\n" + "30,5,1,m\n40,7,2,f\n35,5,4,f\n" * 5)
    of = {name: load_data(path, **how).schema for name, how in {
        "drop": {"drop": "zip, sex"}, "keep": {"keep": ["zip", "age"]},
        "columns": {"columns": {"age": "real", "zip": "categories", "sex": "drop"}}}.items()}  # fmt: skip
    assert [column.name for column in of["drop"].columns] == ["age", "income"]
    assert [column.name for column in of["keep"].columns] == ["age", "zip"]
    assert [column.support for column in of["columns"].columns] == [Real(), Categories(2), Levels(4)]
    assert load_data(path, support="real", drop="sex").event == Event((3,), Real())
    for how, message in [
        ({"drop": "zap"}, "no column 'zap' .did you mean 'zip'"),
        ({"columns": {"sexe": "real"}}, "no column 'sexe' .did you mean 'sex'"),
        ({"columns": {"age": "reals"}}, "can be real, levels, binary, categories, drop, got 'reals'"),
        ({"columns": {"sex": "levels"}}, "holds text, which is no levels"),
        ({"columns": {"age": "binary"}}, "is to be binary, but holds values from 30 to 40"),
        ({"drop": "age,zip,income,sex"}, "no column is left"),
        ({"support": "real"}, "the columns sex are not numeric"),
    ]:
        with pytest.raises(InputError, match=message):
            load_data(path, **how)


def test_empty_cells_are_kept_only_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("height,n,kind\n" + "1.5,,x\n,2,\n2.5,1,y\n" * 5)
    with pytest.raises(InputError, match=r"15 empty cells, in the columns height \(5\), n \(5\), kind \(5\)"):
        load_data(tmp_path / "a.csv")
    data = load_data(tmp_path / "a.csv", missing=True, whole=True)
    assert data.event == Event((3,), Columns((Real(), Levels(2), Categories(2))))
    x = data.test.x[:3]
    assert x.isnan().tolist() == [[False, True, False], [True, False, True], [False, False, False]]
    back = data.schema.decode(x)
    assert back.to_csv(index=False).splitlines() == ["height,n,kind", "1.5,,x", ",2,", "2.5,1,y"]


def test_what_is_no_dimension_of_the_data_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    lines = [f"{row},n{row},EU,{row % 7 / 3 if row % 5 else 0.0},{row % 3}" for row in range(40)]
    path.write_text("\n".join(["id,name,land,rain,n", *lines]))
    with pytest.warns(UserWarning, match=".") as said:
        data = load_data(path)
    messages = [str(warning.message) for warning in said]
    assert all("\n" not in message for message in messages)
    for words in ("never vary, and are left out: land", "has a id of its own", "has a name of its own",
                  "of the rows have 0 as rain"):  # fmt: skip
        assert sum(words in message for message in messages) == 1, words
    assert [column.name for column in data.schema.columns] == ["id", "name", "rain", "n"]
    assert data.schema.decode(data.train.x[:2])["land"].tolist() == ["EU", "EU"]


@pytest.mark.parametrize(
    ("name", "values", "is_identifier"),
    [
        ("row", lambda n, chance: np.arange(n) + 7, True),
        ("row", lambda n, chance: chance.permutation(3 * n)[:n], True),
        ("time", lambda n, chance: np.sort(chance.integers(10**9, 2 * 10**9, n))[::-1], True),
        ("customer_id", lambda n, chance: chance.integers(10**8, 10**9, n), True),
        ("userId", lambda n, chance: chance.integers(10**8, 10**9, n), True),
        ("income", lambda n, chance: chance.lognormal(10, 1, n).round().astype(int) * 100, False),
        ("paid", lambda n, chance: chance.integers(10_000, 100_000, n), False),
    ],
)
def test_amounts_are_no_identifiers(
    tmp_path: Path, name: str, values: Callable[..., np.ndarray], is_identifier: bool
) -> None:
    chance = np.random.default_rng(0)
    frame = pandas.DataFrame({name: values(400, chance), "x": chance.normal(size=400)})
    assert frame[name].nunique() > 380
    frame.to_csv(tmp_path / "a.csv", index=False)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        load_data(tmp_path / "a.csv")
    assert ["of its own" in str(warning.message) for warning in said] == [True] * is_identifier


def test_columns_of_arrays_that_never_vary_or_have_an_atom_are_said(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(50, 3))
    x[:, 0], x[::10, 1] = 2.5, 0
    np.save(tmp_path / "a.npy", x)
    with pytest.warns(UserWarning, match=".") as said:
        load_data(tmp_path / "a.npy")
    assert ["columns 0 never vary" in str(said[0].message), "10% of the rows have 0 as column 1" in
            str(said[1].message), len(said)] == [True, True, 2]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum;share\n2.980,96;12,5\n1.200;13,5\n980,5;1,25\n", [[2980.96, 12.5], [1200.0, 13.5], [980.5, 1.25]]),
        ("0,1\n0.5,7\n0.25,8\n", [[0.5, 7.0], [0.25, 8.0]]),  # the names that pandas gives
        (" a ,b\n1,2\n3,5\n", [[1.0, 2.0], [3.0, 5.0]]),
    ],
)
def test_numbers_and_names_as_other_programs_write_them(tmp_path: Path, text: str, expected: list[list[float]]) -> None:
    (tmp_path / "t.csv").write_text(text)
    frame = read_table(tmp_path / "t.csv")
    assert frame.to_numpy(dtype=float).tolist() == expected
    assert all(name == name.strip() for name in frame.columns)


@pytest.mark.parametrize("cell", ["{}.5%", "${},000", "1.{}00,50 €", "{} kg"])
def test_amounts_with_marks_are_no_categories(tmp_path: Path, cell: str) -> None:
    rows = "\n".join(f"{cell.format(i)!r};{i}".replace("'", "") for i in range(10, 60))
    (tmp_path / "t.csv").write_text(f"amount;other\n{rows}\n")
    with pytest.raises(InputError, match=r"numbers with marks, such as .*plain numbers"):
        load_data(tmp_path / "t.csv")


def test_whole_numbers_that_name_classes_need_not_begin_at_zero(tmp_path: Path) -> None:
    rows = "\n".join(f"{i / 7:.3f},{1 + i % 3}" for i in range(60))
    (tmp_path / "t.csv").write_text(f"x,kind\n{rows}\n")
    data = load_data(tmp_path / "t.csv", label="kind")
    assert data.classes == ("1", "2", "3")
    assert data.train.y is not None
    assert sorted(data.train.y.unique().tolist()) == [0, 1, 2]


def test_minus_one_among_words_is_no_label(tmp_path: Path) -> None:
    kinds = ["ape", "-1", "bee", "-1", "", "ape", "bee", "-1", "ape", "bee"] * 3
    (tmp_path / "a.csv").write_text("x,kind\n" + "".join(f"{i / 7:.3f},{kind}\n" for i, kind in enumerate(kinds)))
    data = load_data(tmp_path / "a.csv", label="kind")
    assert data.classes == ("ape", "bee")
    y = torch.cat([split.y for split in data.splits.values()])
    assert [int((y == label).sum()) for label in (-1, 0, 1)] == [12, 9, 9]


def test_a_dataframe_is_taken_as_its_file_would_be(tmp_path: Path) -> None:
    frame = pandas.DataFrame(
        {"zip": [f"0{i % 7}123" for i in range(40)], "x": [i / 7 for i in range(40)], 3: range(40)}
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    own, read = load_data(frame, drop=3), load_data(tmp_path / "t.csv", drop=3)
    assert own.schema == read.schema
    assert own.schema is not None
    # Numbers that begin with 0 are names.
    assert own.schema.columns[0].categories == tuple(f"0{i}123" for i in range(7))
    assert torch.equal(own.train.x, read.train.x)
    with pytest.raises(InputError, match="a name, a path or a DataFrame, got ndarray"):
        load_data(np.zeros((3, 2)))
    with pytest.raises(InputError, match="no column 'kind' with the labels"):
        load_data(frame[["zip", "x"]], label="kind", context="labels", schema=own.schema)


def test_few_integers_far_apart_may_be_names(tmp_path: Path) -> None:
    rows = "\n".join(f"{10 ** (i % 3 + 1)},{i / 7:.3f}" for i in range(60))
    (tmp_path / "t.csv").write_text(f"dose,x\n{rows}\n")
    with pytest.warns(UserWarning, match="dose has only 3 different values from 10 to 1000"):
        load_data(tmp_path / "t.csv")
