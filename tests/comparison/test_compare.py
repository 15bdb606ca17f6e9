"""The main job as a library call, on a small scale: the table, the page, and what a notebook shows."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ancestral import registry
from ancestral.comparison import Comparison, Entry, Trial, compare, quick_training, run
from ancestral.comparison.report import _pictures
from ancestral.data import Data, Split, load_data
from ancestral.evaluation import Score
from ancestral.interface import Classifier, Event, InputError, Levels, Losses, Model, Phase, Real, Sampler
from ancestral.models.linear.gaussian_mixture import GaussianMixture
from ancestral.registry import list_models, quick_settings, representatives


@pytest.fixture(scope="module")
def result() -> Comparison:
    return compare("digits", ["ppca", "made", "dcgan", "kmeans"], minutes=0.1, progress=False)


def test_the_table_has_a_row_for_each_model_best_first(result: Comparison) -> None:
    table = result.table
    assert set(table.index) == {"ppca", "made", "dcgan", "kmeans", "independent histogram"}
    scored = table["test_nats"].dropna()
    assert scored.is_monotonic_decreasing
    assert list(table.index[: len(scored)]) == list(scored.index)
    # The ruler's zero: 64 pixels of 17 levels.
    assert table.loc["independent histogram", "bits_per_dim"] == pytest.approx(2.428, abs=0.01)
    assert table.loc["made", "kind"] == "exact"
    assert table.loc["ppca", "kind"] == "lower bound"
    # Densities or not, what draws is held against the same real rows in the same features.
    judged = table.loc[["dcgan", "made", "ppca"]]
    assert (judged["frechet"] > judged["frechet_of_real"]).all()
    assert judged["frechet_of_real"].nunique() == 1
    assert (judged["samples"] == 718).all()
    assert table.loc[["kmeans", "independent histogram"], "frechet"].isna().all()
    assert table["failure"].isna().all()


def test_the_page_needs_no_other_file_and_says_how_it_was_made(result: Comparison, tmp_path: Path) -> None:
    page = result.save_report(tmp_path / "out" / "report.html").read_text()
    assert not re.search(r"""(?:src|href)=["'](?!data:)|https?://|@import""", page)
    assert page.count("data:image/png;base64,") >= 5  # real data, three models, curves
    command = "an.compare(&#x27;digits&#x27;, [&#x27;ppca&#x27;, &#x27;made&#x27;"
    features = "718 samples from as many rows of digits (train), in 64 features of a classifier of 10 classes"
    for words in (command, "lower bound", "torch 2", "split by seed 0", "independent histogram", features):
        assert words in page
    assert "$" not in re.sub(r"base64,[^\"]*", "", page)
    assert [path.name for path in tmp_path.rglob("*.*")] == ["report.html"]
    with pytest.raises(InputError, match="must end in .html"):
        result.save_report(tmp_path / "report.txt")


def test_the_page_is_read_on_a_phone_and_in_the_dark(result: Comparison, tmp_path: Path) -> None:
    page = result.save_report(tmp_path / "report.html").read_text()
    # The learning curves have axes, of either ink; an image has none, and one version.
    dark = re.findall(r'<source media="\(prefers-color-scheme: dark\)" srcset="data:image/png;base64,([^"]*)"', page)
    light = re.findall(r'<img alt="[^"]*"\s+style="[^"]*" src="data:image/png;base64,([^"]*)"', page)
    curves = len(dark)
    assert 0 < curves < len(light)
    assert not set(dark) & set(light)
    # No column of the page is wider than a small screen.
    columns = re.findall(r"minmax\(([^;]*?), 1fr\)", page)
    assert len(columns) == 3
    assert all(least == "0" or "100%" in least for least in columns)
    assert page.count("<table>") == page.count('<div class="scroll"><table>')


def test_each_kind_of_data_has_its_picture(tmp_path: Path) -> None:
    """Of a table pairs of columns with the real rows behind; of a text the text itself."""
    moons = compare("two-moons", ["ppca"], minutes=0.05, progress=False)
    real, model = (figure for *_, figure, _ in _pictures(moons))
    assert not real.legends
    assert [text.get_text() for text in model.legends[0].get_texts()] == ["real", "samples"]
    assert model.axes[0].get_xlim() == real.axes[0].get_xlim()
    lines = [f"the {animal} sat" for animal in ("cat", "dog", "rat")] * 20
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    text = compare(load_data(tmp_path / "lines.txt"), ["made"], minutes=0.02, progress=False)
    (_, _, real, _), (_, _, model, _) = _pictures(text)
    assert {line.get_text() for line in real.texts} <= set(lines)
    assert len(model.texts) >= 6


def test_pictures_of_a_table_carry_its_names_its_words_and_its_units(tmp_path: Path) -> None:
    rows = [f"{2000 + i % 4},{i / 7},{('ape', 'bee', 'cow')[i % 3]}" for i in range(100)]
    (tmp_path / "a.csv").write_text("\n".join(["year,height,kind", *rows]))
    result = compare(tmp_path / "a.csv", ["made"], minutes=0.02, progress=False)
    for _, _, figure, _ in _pictures(result):
        labels = [axes.get_xlabel() for axes in figure.axes if axes.get_xlabel()]
        assert labels == ["year", "height", "kind"]
        assert 1999 < min(figure.axes[0].get_xlim()) < max(figure.axes[0].get_xlim()) < 2004
        figure.draw_without_rendering()
        assert {"ape", "bee", "cow"} <= {label.get_text() for label in figure.axes[-1].get_xticklabels()}


def test_a_notebook_and_a_prompt_show_the_tables(result: Comparison) -> None:
    shown = result._repr_html_()
    assert shown.count("<table>") == 2
    assert "<style>" not in shown
    assert all(name in repr(result) for name in result.table.index)


def test_a_model_that_fails_becomes_an_entry_that_says_why() -> None:
    moons = load_data("two-moons")
    started: list[tuple[str, int]] = []
    result = compare(
        moons,
        ["dcgan", "gaussian-mixture"],
        minutes=0.1,
        seeds=2,
        progress=False,
        on_start=lambda entry, seed: started.append((entry.name, seed)),
    )
    assert started == [("dcgan", 0), ("gaussian_mixture", 0), ("gaussian_mixture", 1)]
    assert [entry.name for entry in result.failed] == ["dcgan"]
    assert "does not support" in result.table.loc["dcgan", "failure"]
    first, second = (trial.score.nats for trial in result.entries[1].trials)
    assert result.table.loc["gaussian_mixture", "error"] == pytest.approx(abs(first - second) / 2**0.5)
    assert "Not measured" in result._repr_html_()


def entry(name: str, *seeds: Tensor) -> Entry:
    event = Event((1,), Real())
    trials = [Trial(seed, 1, 0.0, Score.of(rows, event), rows) for seed, rows in enumerate(seeds)]
    return Entry(name, "family", {}, {}, trials)


def test_models_are_told_apart_by_the_error_of_their_paired_difference() -> None:
    hard = 10 * torch.randn(400, dtype=torch.float64)  # what the rows are like for every model
    noise = torch.randn(3, 400, dtype=torch.float64)
    noise -= noise.mean(1, keepdim=True)
    first, near, far = hard, hard - 0.01 + 0.1 * noise[0], hard - 0.2 + 0.1 * noise[1]
    moons = load_data("two-moons", n=100)
    entries = [entry("far", far), entry("near", near), entry("first", first)]
    result = Comparison(moons, entries, entry("ruler", hard - 5), 1.0, 1, 1.0, moons.test, moons.test)
    table = result.table
    assert list(table["behind_best"]) == pytest.approx([0.0, 0.01, 0.2, 5.0])
    expected = float((first - far).std()) / 20
    assert table.loc["far", "behind_best_error"] == pytest.approx(expected)
    # Twenty times their difference, the models' own errors would tell nothing apart.
    assert table.loc["far", "error"] > 0.4
    assert [other.name for other in result.level] == ["near"]
    assert "first describes two-moons best" in repr(result)
    assert "within the error not told apart from near\n" in repr(result)
    assert f"0.2000 ± {expected:.4f}" in result._repr_html_()
    # Over seeds it is the seeds that vary.
    seeds = [entry("a", hard, hard + 2), entry("b", hard - 1, hard - 0.9)]
    result = Comparison(moons, seeds, entry("ruler", hard - 99), 1.0, 2, 1.0, moons.test, moons.test)
    assert result.behind(seeds[1]) == pytest.approx((1.95, (2.0 + 0.005) ** 0.5))
    assert result.level == [seeds[1]]


def test_level_is_within_two_errors() -> None:
    spread = torch.tensor([-1.0, 1.0] * 200).double()
    error = float(spread.std()) / 20
    ahead, behind = torch.zeros(400).double(), [factor * error - spread for factor in (-1.9, -2.1)]
    moons = load_data("two-moons", n=100)
    entries = [entry("ahead", ahead), *(entry(name, rows) for name, rows in zip(("near", "far"), behind, strict=True))]
    result = Comparison(moons, entries, entry("ruler", ahead - 9), 1.0, 1, 1.0, moons.test, moons.test)
    assert [other.name for other in result.level] == ["near"]
    # The difference of a single row has no error: nothing is told apart by it.
    result = Comparison(
        moons, [entry("a", ahead[:1])], entry("ruler", ahead[:1] - 9), 1.0, 1, 1.0, moons.test, moons.test
    )
    assert [other.name for other in result.level] == ["ruler"]


def test_data_with_missing_values_are_for_the_models_that_accept_them(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(900, 1, generator=generator) + 0.3 * torch.randn(900, 4, generator=generator)
    x[torch.rand(900, 4, generator=generator) < 0.1] = torch.nan
    event = Event((4,), Real())
    data = Data("table", event, *(Split(part, event, missing=True) for part in x.split(300)))
    result = compare(data, minutes=0.02, progress=False)
    assert [entry.name for entry in result.ranked] == ["ppca", "independent Gaussian"]
    seen = ~x.isnan()
    mean = torch.stack([x[:300, i][seen[:300, i]].mean() for i in range(4)])
    deviation = torch.stack([x[:300, i][seen[:300, i]].std(correction=0) for i in range(4)])
    expected = torch.distributions.Normal(mean, deviation).log_prob(x[600:].nan_to_num())[seen[600:]].sum() / 300
    assert result.baseline.nats == pytest.approx(float(expected), rel=1e-5)
    assert "nan" not in re.sub(r"base64,[^\"]*", "", result.save_report(tmp_path / "report.html").read_text())
    with pytest.raises(InputError, match=r"table has missing values .NaN., which vae, realnvp cannot learn from"):
        compare(data, ["vae", "realnvp"], progress=False)
    mixed = compare(data, ["vae", "ppca"], minutes=0.02, progress=False)
    assert "missing values" in mixed.table.loc["vae", "failure"]


def test_conditional_models_are_trained_scored_and_drawn_given_the_contexts() -> None:
    digits = load_data("digits", context="labels")
    result = compare(digits, ["made", "gan", "kmeans"], minutes=0.1, progress=False)
    made, gan, kmeans = result.entries
    assert made.nats is not None
    assert gan.frechet is not None
    assert "does not support" in (kmeans.failure or "")
    assert made.trials[0].samples.shape[1:] == (1, 8, 8)
    assert representatives(digits.event, digits.context_event) == [
        "dcgan",
        "vae",
        "realnvp",
        "gated_pixelcnn",
        "pixelvae",
    ]


def test_samples_stand_beside_the_real_rows_whose_contexts_they_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_MODELS", dict(registry._discovered()))

    @registry.register("echo")
    class Echo(Sampler):
        """Draws its context."""

        def __init__(self, event: Event, *, context_event: Event | None = None) -> None:
            super().__init__(event, context_event=context_event)
            self.unused = torch.nn.Parameter(torch.zeros(()))

        @classmethod
        def examples(cls) -> Iterable[Model]:
            return ()

        def phases(self) -> Sequence[Phase]:
            return [Phase("model", [self.unused], lambda batch: Losses(self.unused.square()))]

        def _sample(self, n: int, context: Tensor | None) -> Tensor:
            assert context is not None
            return context

    moons = load_data("two-moons", n=500)
    data = replace(
        moons.with_splits({name: s.with_context(s.x) for name, s in moons.splits.items()}), context_event=moons.event
    )
    result = compare(data, ["echo"], minutes=0.01, progress=False)
    rows = len(result.shown)
    assert 0 < rows < 1000
    # Up to the standardisation of the model, which has taken the context for a standardised observation.
    pairs = torch.stack([result.entries[0].trials[0].samples[:rows, 0], result.shown.x[:, 0]])
    assert torch.corrcoef(pairs)[0, 1] > 0.9999


def test_a_classifier_stands_with_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_MODELS", dict(registry._discovered()))

    @registry.register("guess")
    class Guess(Classifier):
        """Takes every row for a 3."""

        classes = 10

        def __init__(self, event: Event, *, context_event: Event | None = None) -> None:
            super().__init__(event, context_event=context_event)
            self.unused = torch.nn.Parameter(torch.zeros(()))

        @classmethod
        def examples(cls) -> Iterable[Model]:
            return ()

        def phases(self) -> Sequence[Phase]:
            return [Phase("model", [self.unused], lambda batch: Losses(self.unused.square()))]

        def _class_log_probs(self, x: Tensor) -> Tensor:
            return torch.eye(10)[3].expand(len(x), 10).log_softmax(1)

    digits = load_data("digits")
    result = compare(digits, ["guess"], minutes=0.01, progress=False)
    wrong = float((digits.test.y != 3).double().mean())
    assert result.table.loc["guess", "error_rate"] == pytest.approx(wrong)
    assert f"{100 * wrong:.2f} ± " in result._repr_html_()


def test_real_data_come_in_any_unit() -> None:
    moons = load_data("two-moons", n=1000)
    unit, zero = torch.tensor([1e-4, 1e6]).double(), torch.tensor([5.0, -3e6]).double()
    turned = {
        name: Split(split.x.double() @ torch.tensor([[1.0, 0.9], [0.0, 0.1]]).double() * unit + zero, moons.event)
        for name, split in moons.splits.items()
    }
    result = compare(moons.with_splits(turned), ["realnvp"], minutes=0.2, progress=False)
    assert result.ranked[0].name == "realnvp", result


def test_a_slow_sampler_draws_what_it_can_and_one_that_draws_nan_keeps_its_likelihood(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moons = load_data("two-moons", n=5000)
    monkeypatch.setattr(run, "_SLOW_SAMPLER", 0.0)
    slow = compare(moons, ["gaussian_mixture"], minutes=0.01, progress=False)
    assert slow.table.loc["gaussian_mixture", "samples"] == 64
    words = slow._repr_html_()
    assert "where a model draws too slowly, of fewer" in words
    monkeypatch.setattr(GaussianMixture, "_sample", lambda self, n, context: torch.full((n, 2), torch.nan))
    with pytest.warns(UserWarning, match="gaussian_mixture: 64 of 64 samples are not finite"):
        broken = compare(moons, ["gaussian_mixture"], minutes=0.01, progress=False)
    assert broken.entries[0].nats is not None
    assert broken.entries[0].frechet is None


def test_the_random_state_of_the_caller_stays() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    compare("two-moons", ["ppca"], minutes=0.05, progress=False)
    torch.testing.assert_close(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"minutes": 0.0}, "minutes must be a finite number above 0"),
        ({"seeds": 0}, "seeds at least 1"),
        ({"models": []}, "no model to compare"),
        ({"models": ["vea"]}, "did you mean 'vae'"),
        ({"models": ["made", "gaussian-mixture", "gaussian_mixture"]}, "the model gaussian_mixture is named twice"),
    ],
)
def test_bad_input_is_refused_before_any_training(arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        compare("digits", **arguments, progress=False)


def test_each_family_has_a_model_for_images_and_for_vectors() -> None:
    families = {info.name: info.family for info in list_models()}
    digits, moons = (representatives(load_data(name).event) for name in ("digits", "two-moons"))
    # A pretext task has no samples and no density, and a hybrid is of images.
    assert {families[name] for name in digits} == set(families.values()) - {"pretext"}
    assert {families[name] for name in moons} == set(families.values()) - {"hybrid", "pretext"}


def test_a_quick_training_is_the_common_one_and_the_models_own() -> None:
    event = Event((1, 8, 8), Levels(17))
    common = {"batch_size": 64, "schedule": {"name": "cosine", "warmup_steps": 50}}
    assert quick_training("vae", event) == {**common, "patience": 60, "lr": 2e-3}
    assert quick_training("dcgan", event) == common
    mixture = Event((1, 28, 28), Real())
    assert quick_training("gaussian_mixture", mixture) == dict(quick_settings("gaussian_mixture", mixture).training)
