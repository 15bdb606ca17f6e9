"""Tables on the command line: by name, in whole, with their own words, and given back as they came."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from ancestral import registry
from ancestral.interface import (
    Adam,
    Columns,
    Encoder,
    Event,
    ExactDensity,
    InputError,
    Levels,
    Model,
    Phase,
    Real,
    Sampler,
    maximum_likelihood,
)
from ancestral.persistence import read_config

pytestmark = pytest.mark.filterwarnings("ignore:.*training rows", "ignore:.*samples may lie between")
KINDS = ["mixed.csv", "mixed.tsv", "mixed.parquet"]


class EachColumn(ExactDensity, Sampler, Encoder):
    """Every column on its own: a Gaussian of real ones, a softmax of all others. Its code is its observation."""

    def __init__(self, event: Event, *, context_event: Event | None = None) -> None:
        super().__init__(event, context_event=context_event)
        support = event.support
        self.kinds = support.supports if isinstance(support, Columns) else (support,) * event.size
        sizes = [Event((), kind).values or 2 for kind in self.kinds]
        classes = 1 if context_event is None else context_event.values or 1
        self.tables = nn.ParameterList([nn.Parameter(torch.zeros(classes, size)) for size in sizes])

    @classmethod
    def examples(cls) -> Iterable[Model]:
        yield cls(Event((2,), Columns((Real(), Levels(3)))))

    def phases(self) -> Sequence[Phase]:
        return maximum_likelihood(self, Adam(0.3))

    def _of(self, table: Tensor, kind: object, context: Tensor | None) -> torch.distributions.Distribution:
        row = table[torch.zeros(1, dtype=torch.int64) if context is None else context]
        if isinstance(kind, Real):
            return torch.distributions.Normal(row[:, 0], row[:, 1].exp())
        return torch.distributions.Categorical(logits=row)

    def _log_prob(self, x: Tensor, context: Tensor | None) -> Tensor:
        parts = [self._of(*column, context).log_prob(x[:, i]) for i, column in enumerate(zip(self.tables, self.kinds))]
        return torch.stack(parts).sum(0)

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        parts = [self._of(*column, context).sample((n,) if context is None else ()).reshape(n)
                 for column in zip(self.tables, self.kinds)]  # fmt: skip
        return torch.stack([part.to(self.dtype) for part in parts], 1)

    @property
    def code_size(self) -> int:
        return self.event.size

    def _encode(self, x: Tensor, context: Tensor | None) -> torch.distributions.Distribution:
        return torch.distributions.Normal(x, torch.ones_like(x))


@pytest.fixture(autouse=True)
def each_column(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.list_models()  # found before the copy, not into it
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    registry.register("each_column")(EachColumn)


def mixed(n: int = 60) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": generator.integers(18, 60, n),
            "height": generator.normal(1.7, 0.1, n),
            "land": ["EU"] * n,
            "colour": generator.choice(["red", "green", "blue"], n),
            "member": generator.random(n) < 0.5,
            "kind": generator.choice(["ape", "bee"], n),
        }
    )


def write(frame: pd.DataFrame, name: str) -> str:
    if name.endswith("parquet"):
        frame.to_parquet(name)
    else:
        frame.to_csv(name, index=False, sep="\t" if name.endswith("tsv") else ",")
    return name


def nats(file: str = "scores.csv") -> list[float]:
    return pd.read_csv(file)["log_likelihood_nats"].tolist()


QUICK = ("--epochs", 3, "--run-dir", "r")
left_out = pytest.mark.filterwarnings(
    "always:.*left out", "always:.*ignored", "always:.*of its own", "always:.*a label"
)


@left_out
@pytest.mark.parametrize("name", KINDS)
def test_columns_are_taken_by_name_and_given_back(cli, name: str) -> None:
    frame = mixed()
    fitted = cli("fit", "each-column", write(frame, name), "--data.label", "kind", *QUICK)
    assert fitted.code == 0, fitted.err
    assert fitted.err.count("warning") == 1
    assert "left out: land" in fitted.err
    schema = read_config("r")["recipe"]["schema"]
    assert [column["name"] for column in schema["columns"]] == ["age", "height", "colour", "member"]

    assert cli("score", "r", name).code == 0
    first = nats()
    assert len(first) == len(frame)
    assert cli("score", "r", name, "--limit", 7, "--keep", "age").code == 0
    assert nats() == pytest.approx(first[:7])
    # Other order, no constant, no label, and a column that the model does not know.
    other = frame[["member", "colour", "height", "age"]].assign(weight=3)
    scored = cli("score", "r", write(other, f"other-{name}"))
    assert nats() == pytest.approx(first, rel=1e-6)
    assert "ignored, since the model does not know them: weight" in scored.err
    # One row alone, with words that come first in no alphabet.
    cli("score", "r", write(other[-1:].drop(columns="weight"), f"one-{name}"))
    assert nats() == pytest.approx(first[-1:], rel=1e-6)

    refused = cli("score", "r", write(other.drop(columns="age"), f"less-{name}"))
    assert (refused.code, "has no column age" in refused.err) == (1, True)
    refused = cli("evaluate", "r", write(frame.assign(colour="pink"), f"pink-{name}"))
    assert "has 'pink' as colour in row 0; known are blue, green, red" in refused.err

    for output in ("s.csv", "s.parquet"):
        assert cli("sample", "r", "-n", 300, "-o", output).code == 0
        drawn = pd.read_csv(output) if output == "s.csv" else pd.read_parquet(output)
        assert list(drawn) == ["age", "height", "land", "colour", "member"]
        assert [drawn[column].dtype.kind for column in ("age", "height", "member")] == ["i", "f", "b"]
        assert set(drawn["colour"]) == {"red", "green", "blue"}
        assert set(drawn["land"]) == {"EU"}
        assert 18 <= drawn["age"].min() <= drawn["age"].max() < 60
    assert cli("score", "r", "s.csv").code == 0
    assert cli("sample", "r", "-n", 9, "-o", "s.png").code == 0


@left_out
def test_encode_evaluate_and_keep(cli) -> None:
    frame = mixed().assign(id=[f"row {i}" for i in range(60)])
    write(frame, "rows.csv")
    options = ("--data.label", "kind", "--data.drop", "id,land")
    assert cli("fit", "each-column", "rows.csv", *options, *QUICK).code == 0
    write(frame[::-1], "backwards.csv")
    done = cli("score", "r", "backwards.csv", "--keep", "id,colour", "-o", "k.csv")
    assert (done.code, done.err) == (0, "")
    kept = pd.read_csv("k.csv")
    assert kept["id"].tolist() == frame["id"].tolist()[::-1]
    assert kept["colour"].tolist() == frame["colour"].tolist()[::-1]
    assert re.search(r"at row \d+, id row \d+, colour", done.out)
    cli("encode", "r", "backwards.csv", "--keep", "id")
    codes = np.load("codes.npz")
    assert codes["id"].tolist() == kept["id"].tolist()
    assert codes["y"].tolist() == [["ape", "bee"].index(kind) for kind in frame["kind"][::-1]]
    assert codes["z"][:, 0].tolist() == (frame["age"][::-1] - frame["age"].min()).tolist()
    assert "n = 60" in cli("evaluate", "r", "backwards.csv").out
    assert "no column 'idd' (did you mean 'id'?)" in cli("score", "r", "backwards.csv", "--keep", "idd").err
    # Of the training's own data the splits; of another file there are none.
    assert "n = 6" in cli("evaluate", "r").out
    assert "n = 6" in cli("evaluate", "r", "rows.csv", "--split", "valid").out
    assert (
        "has no splits of its own; leave --split out" in cli("evaluate", "r", "backwards.csv", "--split", "valid").err
    )


@left_out
def test_classes_are_matched_by_name(cli) -> None:
    frame = mixed(200)
    frame["age"] = np.where(frame["kind"] == "bee", 20, 50) + np.arange(200) % 2
    write(frame, "rows.csv")
    options = ("--data.label", "kind", "--context", "labels", "--epochs", 40, "--run-dir", "r")
    assert cli("fit", "each-column", "rows.csv", *options).code == 0
    cli("score", "r", "rows.csv")
    first = nats()
    bees = frame[frame["kind"] == "bee"]
    assert cli("score", "r", write(bees, "bees.csv")).code == 0
    assert nats() == pytest.approx([first[i] for i in bees.index], rel=1e-5)
    unknown = cli("score", "r", write(bees.assign(kind="cow"), "cows.csv"))
    assert (unknown.code, "rows without a label" in unknown.err) == (1, True)

    assert cli("sample", "r", "--class", "bee", "-n", 50, "-o", "b.csv").code == 0
    drawn = pd.read_csv("b.csv")
    assert set(drawn["kind"]) == {"bee"}
    assert (drawn["age"] < 30).mean() > 0.9
    cli("sample", "r", "--class", "1", "-n", 50, "-o", "c.csv")
    assert Path("b.csv").read_text() == Path("c.csv").read_text()
    drawn = cli("sample", "r", "--class", "all", "-o", "a.csv")
    assert drawn.out == "16 samples of each_column of the classes ape, bee in turn in a.csv\n"
    assert pd.read_csv("a.csv")["kind"].value_counts().tolist() == [8, 8]
    assert (
        "--class must be one of ape, bee, got bees (did you mean 'bee'?)" in cli("sample", "r", "--class", "bees").err
    )
    assert "is conditional on a class, ape, bee; say which with --class" in cli("sample", "r").err


@pytest.mark.filterwarnings("always:.*its nats reward spikes")
def test_options_of_the_data_are_remembered_wherever_the_run_lies(cli, tmp_path: Path, monkeypatch) -> None:
    """By a relative path, by an absolute one, below the data root; and from another folder."""
    text = "a;b;c\n" + "".join(f"{i % 7},5;{i % 5};{'x' if i % 3 else ''}\n" for i in range(60))
    Path("deep").mkdir()
    Path("deep/rows.txt").write_text(text.replace(";", ":"))
    Path("deep/rows.txt").rename("deep/rows.csv")
    how = ("--data.separator", ":", "--data.drop", "c", "--support", "real", "--epochs", 2)
    for run, name, more in [("r1", "deep/rows.csv", ()), ("r2", tmp_path / "deep" / "rows.csv", ()),
                            ("r3", "rows.csv", ("--data-root", "deep"))]:  # fmt: skip
        fitted = cli("fit", "each-column", name, *how, *more, "--run-dir", run)
        assert fitted.code == 0, fitted.err
    Path("elsewhere").mkdir()
    Path("r1").rename("elsewhere/r1")
    monkeypatch.chdir(tmp_path / "elsewhere")
    scores = []
    for run in ("r1", "../r2", "../r3"):
        told = re.search(r"\S+ ± ", cli("evaluate", run).out)
        assert told is not None
        scores.append(told[0])
        assert cli("score", run, "../deep/rows.csv").code == 0
        assert len(nats()) == 60
    assert len(set(scores)) == 1


def test_missing_cells_of_another_table(cli) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 3))
    rows[::5, 1] = np.nan
    write(pd.DataFrame(rows, columns=list("abc")), "rows.csv")
    refused = cli("fit", "ppca", "rows.csv")
    assert "12 empty cells, in the columns b (12)" in refused.err
    assert "pass --data.missing true for a model" in refused.err
    assert "missing=True" not in refused.err
    done = cli("fit", "ppca", "rows.csv", "--data.missing", "true", "--model.latent_dim", 1, "--run-dir", "r")
    assert done.code == 0, done.err
    assert read_config("r")["recipe"]["data"]["missing"] is True
    # The run remembers it, and scores what is known of a row.
    write(pd.DataFrame({"c": [0.1, np.nan], "a": [np.nan, 0.2], "b": [0.3, 0.4]}), "two.csv")
    assert cli("score", "r", "two.csv").code == 0
    assert np.isfinite(nats()).all()
    assert "2 empty cells" in cli("score", "r", "two.csv", "--data.missing", "false").err
    # A column without an empty cell stays as it was, whatever kind the model takes it as.
    Path("three.csv").write_text("b,a,c\n1,0.5,\n2,,0.25\n")
    assert cli("complete", "r", "three.csv", "-o", "full.csv").code == 0
    assert [line[:2] for line in Path("full.csv").read_text().splitlines()] == ["b,", "1,", "2,"]
    # Levels are dequantized, where there are any.
    Path("levels.csv").write_text("a,b\n" + "3,5\n4,\n9,1\n" * 20)
    how = ("--data.missing", "true", "--model.latent_dim", 1, "--run-dir", "levels")
    assert cli("fit", "ppca", "levels.csv", *how).code == 0
    assert cli("score", "levels", "levels.csv").code == 0
    assert np.isfinite(nats()).all()
    assert "realnvp needs them all" in cli("fit", "realnvp", "levels.csv", *how[:2], "--run-dir", "x").err


def test_anomalies_are_rows_below_a_quantile_of_the_validation_rows(cli) -> None:
    rows = np.random.default_rng(0).normal(size=(1000, 2))
    write(pd.DataFrame(rows, columns=["a", "b"]), "rows.csv")
    assert cli("fit", "gaussian-mixture", "rows.csv", "--model.components", 1, "--run-dir", "r").code == 0
    write(pd.DataFrame({"b": [0.0, 9.0], "a": [0.0, -9.0]}), "two.csv")
    done = cli("score", "r", "two.csv", "--quantile", 0.01)
    assert pd.read_csv("scores.csv")["anomaly"].tolist() == [0, 1]
    assert "1 anomalies: below -" in done.out
    assert "the 0.01 quantile of 100 validation rows of the run's own data" in done.out
    cli("score", "r", "--split", "valid", "--quantile", 0.1)
    assert pd.read_csv("scores.csv")["anomaly"].sum() == 10
    assert "--quantile must lie between 0 and 1, got 1.0" in cli("score", "r", "--quantile", 1).err


@left_out
def test_a_table_may_not_fit_where_its_rows_are_arrays(cli) -> None:
    """The arrays of `sample -o x.npz` are the numbers of the columns, which are taken as they are."""
    write(mixed(), "rows.csv")
    assert cli("fit", "each-column", "rows.csv", "--data.label", "kind", *QUICK).code == 0
    cli("sample", "r", "-n", 9, "-o", "x.npz")
    cli("sample", "r", "-n", 9, "-o", "x.csv")
    cli("score", "r", "x.npz")
    first = nats()
    cli("score", "r", "x.csv")
    assert nats() == pytest.approx(first, rel=1e-4)
    np.save("bad.npy", np.full((3, 4), 0.5))
    assert "must lie in" in cli("score", "r", "bad.npy").err


def test_the_schema_in_a_run_that_is_no_schema_is_refused(cli) -> None:
    from ancestral.data import Schema

    with pytest.raises(InputError, match="no schema of a table"):
        Schema.from_json(json.loads('{"columns": 3}'))


@left_out
@pytest.mark.parametrize("fill", ["draw", "mean"])
def test_empty_cells_are_filled_in_and_all_else_stays_as_it_was(cli, fill: str) -> None:
    frame = mixed()
    options = ("--data.drop", "kind,land", "--model.hidden", "[8]", "--steps", 3, "--run-dir", "r")
    assert cli("fit", "made", write(frame, "rows.csv"), *options).code == 0
    modelled = ["member", "colour", "height", "age"]
    holes = frame[["land", *modelled]].assign(note="kept").astype(object)
    for place, name in enumerate(modelled):
        holes.loc[place::7, name] = None
    write(holes, "holes.csv")
    done = cli("complete", "r", "holes.csv", "--fill", fill, "--draws", 10, "-o", "full.csv")
    assert done.code == 0, done.err
    assert f"{int(holes[modelled].isna().sum().sum())} empty cells" in done.out
    full, before = pd.read_csv("full.csv"), pd.read_csv("holes.csv")
    assert list(full) == list(before)
    assert not full.isna().any().any()
    for name in before:
        there = before[name].notna()
        assert full[name][there].tolist() == before[name][there].tolist()
    assert set(full["colour"]) <= {"red", "green", "blue"}
    assert [full[name].dtype.kind for name in ("age", "height", "member")] == ["i", "f", "b"]
    assert "nothing to fill in" in cli("complete", "r", "full.csv").err


@pytest.mark.parametrize("command", ["score", "encode", "complete", "sample"])
def test_what_is_read_or_was_learned_from_is_never_written_over(cli, command: str) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 3))
    write(pd.DataFrame(rows, columns=list("abc")), "rows.csv")
    assert cli("fit", "ppca", "rows.csv", "--model.latent_dim", 1, "--run-dir", "r").code == 0
    rows[:, 1] = np.nan
    write(pd.DataFrame(rows, columns=list("abc")), "new.csv")
    for file in ("rows.csv", "new.csv"):
        if command == "sample" and file == "new.csv":
            continue
        before = Path(file).read_bytes()
        words = (command, "r") if command == "sample" else (command, "r", "new.csv", "--data.missing", "true")
        refused = cli(*words, "-o", file)
        assert (refused.code, "write to another file" in refused.err) == (1, True), refused.err
        assert Path(file).read_bytes() == before


@pytest.mark.filterwarnings("always:.*do not tell")
def test_other_formats_for_rows_and_a_quantile_that_few_rows_do_not_tell(cli) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    write(pd.DataFrame(rows, columns=list("ab")), "rows.csv")
    assert "no file or folder" in cli("fit", "ppca", "rows.cvs").err
    assert cli("fit", "ppca", "rows.csv", "--model.latent_dim", 1, "--run-dir", "r").code == 0
    scored = cli("score", "r", "rows.csv", "--quantile", 0.01, "-o", "s.parquet")
    assert (scored.code, "6 validation rows do not tell their 0.01 quantile" in scored.err) == (0, True), scored.err
    assert list(pd.read_parquet("s.parquet")) == ["row", "log_likelihood_nats", "bits_per_dim", "anomaly"]
    assert cli("encode", "r", "rows.csv", "-o", "z.parquet").code == 0


@pytest.mark.filterwarnings("always:.*of no probability")
def test_what_the_columns_cannot_have_scores_minus_infinity(cli) -> None:
    frame = mixed()
    options = ("--data.drop", "kind,land", "--model.hidden", "[8]", "--steps", 3, "--run-dir", "r")
    assert cli("fit", "made", write(frame, "rows.csv"), *options).code == 0
    assert cli("score", "r", "rows.csv").code == 0
    usual = nats()
    strange = frame.copy()
    strange.loc[3, "colour"] = "pink"
    strange.loc[5, "age"] = 300
    scored = cli("score", "r", write(strange, "strange.csv"), "--quantile", 0.2)
    assert "2 rows (first 3) with words or numbers" in scored.err
    assert [i for i, value in enumerate(nats()) if value == -np.inf] == [3, 5]
    others = [i for i in range(len(frame)) if i not in (3, 5)]
    assert [nats()[i] for i in others] == pytest.approx([usual[i] for i in others])
    assert pd.read_csv("scores.csv")["anomaly"][[3, 5]].tolist() == [1, 1]
    # An average over rows is of what the model can say something of.
    assert "has 300 as age in row 5" in cli("evaluate", "r", "strange.csv").err


def test_reconstructions_are_judged_column_by_column(cli) -> None:
    options = ("--data.drop", "kind,land", "--model.hidden", "[8]", "--model.latent_dim", 2, "--steps", 3)
    assert cli("fit", "vae", write(mixed(), "rows.csv"), *options, "--run-dir", "r").code == 0
    said = cli("reconstruct", "r", "rows.csv").out
    assert re.search(r"errors: age [\d.]+, height [\d.]+, colour \d+% right, member [\d.]+$", said.strip()), said
