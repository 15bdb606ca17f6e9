"""The Fréchet distance against its closed form, and what it says of good and bad samplers."""

import pytest
import torch
from torch import Tensor

from ancestral.data import Split
from ancestral.evaluation import evaluate_samples
from ancestral.evaluation.sample_quality import frechet_distance
from ancestral.interface import Categories, Columns, Event, InputError, Levels, Model, Phase, Real, Sampler


class Gaussian(Sampler):
    def __init__(self, event: Event, shift: float | Tensor) -> None:
        super().__init__(event)
        self.shift = shift

    def phases(self) -> list[Phase]:
        return []

    def _sample(self, n: int, context: Tensor | None) -> Tensor:
        return torch.randn(n, *self.event.shape) + self.shift


def test_distance_of_gaussians_is_the_closed_form() -> None:
    x = torch.randn(1000, 3, dtype=torch.float64)
    x = (x - x.mean(0)) @ torch.linalg.cholesky(torch.linalg.inv(torch.cov(x.T)))
    # N(0, I) against N(m, diag(s^2)): |m|^2 + sum (1 - s)^2.
    mean, scale = torch.tensor([1.0, 0.0, -2.0]).double(), torch.tensor([1.0, 2.0, 0.5]).double()
    assert frechet_distance(x, x * scale + mean) == pytest.approx(5 + 1 + 0.25, rel=1e-8)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-8)
    # Of covariances that do not commute tr (A B)^(1/2) is that of the roots of the eigenvalues of A B.
    a, b = (torch.randn(50, 3).double() @ torch.randn(3, 3).double() for _ in range(2))
    product = torch.cov(a.T) @ torch.cov(b.T)
    expected = (a.mean(0) - b.mean(0)).square().sum() + a.var(0).sum() + b.var(0).sum()
    expected -= 2 * torch.linalg.eigvals(product).real.sqrt().sum()
    assert frechet_distance(a, b) == pytest.approx(expected.item(), rel=1e-8)


def test_a_right_sampler_scores_as_real_data_do_and_a_shifted_one_worse() -> None:
    event = Event((4,), Real())
    data = Split(torch.randn(4000, 4), event=event)
    right = evaluate_samples(Gaussian(event, 0.0), data)
    wrong = evaluate_samples(Gaussian(event, 1.0), data)
    assert right.frechet < 3 * right.reference < 0.1
    assert wrong.frechet == pytest.approx(4, rel=0.2)
    assert right == evaluate_samples(Gaussian(event, 0.0), data)
    assert "principal components" in str(right)


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
    with pytest.warns(UserWarning, match="biased upwards"):
        evaluate_samples(Gaussian(event, 0.0), data)

    class Mute(Model):
        def phases(self) -> list[Phase]:
            return []

    with pytest.raises(InputError, match="Mute cannot be sampled"):
        evaluate_samples(Mute(event), data)
