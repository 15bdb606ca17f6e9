"""What the measures of samples say of good and bad samplers, and of samplers that copy."""

import pytest
import torch
from torch import Tensor

from ancestral.data import Data, Split, load_data
from ancestral.evaluation import SampleJudge, SampleQuality, evaluate_samples
from ancestral.evaluation.sample_quality import _warn_of_few
from ancestral.interface import Categories, Columns, Event, InputError, Levels, Model, Phase, Real, Sampler

#: Which a right sampler gives cause for in half of the cases.
pytestmark = pytest.mark.filterwarnings("ignore:the Fréchet distance .* is no larger than")


class Gaussian(Sampler):
    def __init__(self, event: Event, shift: float | Tensor) -> None:
        super().__init__(event)
        self.shift = shift

    def phases(self) -> list[Phase]:
        return []

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return torch.randn(n, *self.event.shape) + self.shift


def test_a_right_sampler_scores_as_real_data_do_and_a_shifted_one_worse() -> None:
    event = Event((4,), Real())
    data = Split(torch.randn(4000, 4), event=event)
    right, wrong = (evaluate_samples(Gaussian(event, shift), data, seed=1) for shift in (0.01, 1.0))
    assert right.frechet < 3 * right.reference < 0.1
    assert wrong.frechet == pytest.approx(4, rel=0.2)
    assert right == evaluate_samples(Gaussian(event, 0.01), data, seed=1)
    assert right.kernel is not None
    assert wrong.kernel is not None
    assert right.kernel.value < 4 * right.kernel.stderr
    assert wrong.kernel.value > 4 * wrong.kernel.stderr
    assert right.manifolds is not None
    assert wrong.manifolds is not None
    assert right.manifolds.precision > wrong.manifolds.precision + 0.05
    assert right.two_sample_test is not None
    assert wrong.two_sample_test is not None
    assert right.two_sample_test.p > 1e-3 > wrong.two_sample_test.p
    # Of one split it is not known what was learned from.
    assert right.copying is None
    assert f"{right.features}, sha256 {(right.digest or '')[:8]}, n = 1,000 against 1,000" in str(right)
    assert len(str(right).splitlines()) == 4


class Echo(Sampler):
    """Draws rows that it has seen."""

    def __init__(self, rows: Tensor, event: Event) -> None:
        super().__init__(event)
        self.seen = rows

    def phases(self) -> list[Phase]:
        return []

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return self.seen[torch.randint(len(self.seen), (n,))]


def test_real_rows_are_test_rows_and_the_others_validation_rows() -> None:
    """Ten thousand samples can be held against all of ten thousand test rows."""
    event = Event((2,), Real())
    marks = {name: torch.full((1200, 2), float(mark)) for mark, name in enumerate(("train", "valid", "test"))}
    rows = {name: Split(mark + 0.1 * torch.randn(1200, 2), event) for name, mark in marks.items()}
    data = Data("marked", event, rows["train"], rows["valid"], rows["test"])
    judge = SampleJudge(data, samples=1200, features=lambda x: x)
    assert judge.n == 1200
    assert judge.real.mean() == pytest.approx(2, abs=0.01)
    assert judge.others.mean() == pytest.approx(1, abs=0.01)
    assert judge.reference == pytest.approx(2, rel=0.05)
    # Where the test rows are enough for both, they are both, and never twice the same.
    half = SampleJudge(data, samples=600, features=lambda x: x)
    assert half.others.mean() == pytest.approx(2, abs=0.02)
    assert len(torch.cat([half.real, half.others]).unique(dim=0)) == 1200
    assert SampleJudge(data, split="valid", features=lambda x: x).n == 600
    # Few test rows: the training rows judge.
    few = Data("few", event, rows["train"], rows["valid"], rows["test"].take(range(100)))
    assert SampleJudge(few, features=lambda x: x).real.mean() == pytest.approx(0, abs=0.02)


def test_copies_of_training_rows_are_found_out_and_fresh_rows_are_not() -> None:
    event = Event((3,), Real())
    splits = [Split(torch.randn(1000, 3), event) for _ in range(3)]
    data = Data("normal", event, *splits)
    copies, fresh = (
        evaluate_samples(model, data, seed=2) for model in (Echo(splits[0].x, event), Gaussian(event, 0.02))
    )
    assert copies.copying is not None
    assert fresh.copying is not None
    assert (copies.copying.share, copies.copying.chance, copies.copying.n) == (1, 0.5, 1000)
    assert copies.copying.p < 1e-12
    assert fresh.copying.p > 1e-3
    assert "nearest real row is a training row: 100.0%, without copies 50.0%" in str(copies)


def test_a_conditional_model_draws_at_the_contexts_of_the_real_rows() -> None:
    digits = load_data("digits", context="labels")

    class Named(Sampler):
        """Draws an image of the level that is its label."""

        def phases(self) -> list[Phase]:
            return []

        def _sample(self, n: int, context: Tensor | None) -> Tensor:
            assert context is not None
            return context.float()[:, None, None, None].expand(n, 1, 8, 8)

    judge = SampleJudge(digits, features=lambda x: x[:, 0, :1, 0].float())
    drawn = judge.draw(Named(digits.event, context_event=digits.context_event), batch_size=100)
    assert torch.equal(drawn[:, 0, 0, 0].long(), judge.rows.y)


def test_samples_that_are_not_finite_and_a_judge_without_rows_are_refused() -> None:
    event = Event((2,), Real())
    data = Split(torch.randn(40, 2), event)
    with pytest.raises(InputError, match="20 of 20 samples are not finite: the model has diverged"):
        evaluate_samples(Gaussian(event, torch.nan), data)
    with pytest.raises(InputError, match="at least 4 whole real rows, the data has 3"):
        evaluate_samples(Gaussian(event, 0.0), data.take(range(3)))
    with pytest.raises(InputError, match="samples must be at least 2, got 1"):
        evaluate_samples(Gaussian(event, 0.0), data, samples=1)
    with pytest.raises(InputError, match="is one split: leave split='valid' out"):
        evaluate_samples(Gaussian(event, 0.0), data, split="valid")
    with pytest.raises(InputError, match="there is no split 'valdi'; there are train, valid, test"):
        evaluate_samples(Gaussian(event, 0.0), Data("some", event, data, data, data), split="valdi")


def test_rows_with_missing_values_judge_nothing() -> None:
    event = Event((2,), Real())
    x = torch.randn(2000, 2)
    x[::2, 0] = torch.nan
    judge = SampleJudge(Split(x, event, missing=True), samples=500)
    assert judge.n == 500
    assert bool(torch.cat([judge.real, judge.others]).isfinite().all())


def test_the_columns_of_a_table_count_alike_and_categories_as_names() -> None:
    event = Event((3,), Columns((Real(), Categories(3), Levels(50))))

    class Shuffled(Sampler):
        """Draws rows, with category 2 for category 0 and back."""

        def __init__(self, exchanged: bool) -> None:
            super().__init__(event)
            self.exchanged = exchanged

        def phases(self) -> list[Phase]:
            return []

        def _sample(self, n: int, context: Tensor | None) -> Tensor:
            x = rows(n)
            return torch.stack([x[:, 0], 2 - x[:, 1] if self.exchanged else x[:, 1], x[:, 2]], 1)

    def rows(n: int) -> Tensor:
        kinds = torch.multinomial(torch.tensor([0.7, 0.2, 0.1]), n, replacement=True)
        return torch.stack([1e4 * torch.randn(n), kinds, torch.randint(50, (n,))], 1)

    data = Split(rows(4000), event=event)
    right, wrong = (evaluate_samples(Shuffled(exchanged), data) for exchanged in (False, True))
    assert right.frechet < 3 * right.reference
    # Indicators of shares 0.7 and 0.1 exchanged: 0.6 apart in units of their deviations, 0.46 and 0.3.
    assert wrong.frechet > 0.6**2 * (1 / 0.46**2 + 1 / 0.3**2)


def test_a_deviation_counts_alike_in_whatever_unit_a_column_is() -> None:
    units = torch.tensor([1e4, 1.0, 1e-3])

    class Moved(Gaussian):
        def _sample(self, n: int, context: Tensor | None) -> Tensor:
            return super()._sample(n, context) * units

    event = Event((3,), Real())
    data = Split(torch.randn(4000, 3) * units, event=event)
    for shift in torch.eye(3):
        assert evaluate_samples(Moved(event, shift), data).frechet == pytest.approx(1, rel=0.25)


def test_of_many_dimensions_those_that_vary_most_are_compared() -> None:
    """The data lie along one direction, of which the samples know nothing."""
    event = Event((1, 9, 9), Real())
    along = torch.nn.functional.normalize(torch.randn(1, 1, 9, 9), dim=(2, 3))
    data = Split(9 * torch.randn(2000, 1, 1, 1) * along + torch.randn(2000, 1, 9, 9), event=event)
    found = evaluate_samples(Gaussian(event, 0.0), data)
    # In units of the mean deviation, about 1.4, a deviation of 9 is 8 from one of 1.
    assert found.frechet > 0.5 * (8 / 1.4) ** 2 > 5 * found.reference
    assert "64 principal components" in str(found)


def test_few_samples_are_warned_about_and_no_sampler_is_refused() -> None:
    event = Event((4,), Real())
    data = Split(torch.randn(12, 4), event=event)
    with pytest.warns(UserWarning, match="6 samples are few for 4 features: the distance is biased upwards"):
        evaluate_samples(Gaussian(event, 3.0), data)
    with (
        pytest.warns(UserWarning, match="few for 4 features"),
        pytest.warns(UserWarning, match="6 samples are judged, not 50: there are no more rows"),
    ):
        evaluate_samples(Gaussian(event, 3.0), data, samples=50)
    with pytest.warns(UserWarning, match="6 samples are no more than the 6 features .* mostly up to chance"):
        evaluate_samples(Gaussian(event, 3.0), data, features=lambda x: torch.cat([x, x[:, :2].exp()], 1))
    with pytest.warns(UserWarning, match="1 of 100 samples is no larger than that of as many real rows, 2: only more"):
        _warn_of_few(SampleQuality(1.0, 2.0, "features", 100), 4)

    class Mute(Model):
        def phases(self) -> list[Phase]:
            return []

    with pytest.raises(InputError, match="Mute cannot be sampled"):
        evaluate_samples(Mute(event), data)
