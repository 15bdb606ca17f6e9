"""A table of mixed columns with a known density, in the manner of the census income table (Kohavi 1996)."""

import math

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional as F

from ancestral.data.catalogue import builtin
from ancestral.data.dataset import Data
from ancestral.data.files import Store
from ancestral.data.schema import Column, Schema
from ancestral.data.split import Split
from ancestral.interface import Binary, Categories, Columns, Event, InputError, Levels, Real

#: Ages from 17 and hours from 1 on.
_AGES, _HOURS = 74, 99
_EDUCATIONS = ("none", "school", "college", "bachelor", "master", "doctorate")
_OCCUPATIONS = ("clerical", "craft", "executive", "farming", "sales", "service", "specialist", "transport")
_NAMES = ("sex", "age", "education", "occupation", "hours", "married", "log_income", "log_savings", "above")


class MixedTable:
    """Nine columns, each drawn given those before it. Everything is computed in float64."""

    event = Event(
        (9,),
        Columns(
            (
                Binary(),
                Levels(_AGES),
                Categories(len(_EDUCATIONS)),
                Categories(len(_OCCUPATIONS)),
                Levels(_HOURS),
                Binary(),
                Real(),
                Real(),
                Binary(),
            )
        ),
    )

    def __init__(self) -> None:
        ages, hours = torch.arange(_AGES).double(), torch.arange(_HOURS).double() + 1
        #: Young and middle-aged people.
        self.age = (0.55 * _bell(ages, 8.0, 9.0) + 0.45 * _bell(ages, 30.0, 13.0)).log()
        #: Half of the people work 40 hours, (sex, hours).
        forty = F.one_hot(torch.tensor(39), _HOURS).double()
        self.hours = torch.stack(
            [0.45 * forty + 0.55 * _bell(hours, 35.0, 12.0), 0.55 * forty + 0.45 * _bell(hours, 44.0, 12.0)]
        ).log()
        #: Which occupations people of an education have, (education, occupation).
        places = torch.tensor([2.5, 1.0, 4.0, 0.5, 2.5, 1.0, 4.5, 0.8])
        self.occupation = -0.6 * (torch.arange(len(_EDUCATIONS))[:, None] - places).square().double()

    def draw(self, n: int, generator: Generator) -> Float[Tensor, "n 9"]:
        """`n` rows."""

        def chosen(log_probs: Tensor) -> Tensor:
            return torch.multinomial(log_probs.exp(), 1, generator=generator)[:, 0]

        def true(logit: Tensor) -> Tensor:
            return (torch.rand(n, generator=generator, dtype=torch.float64) < logit.sigmoid()).long()

        def normal() -> Tensor:
            return torch.randn(n, generator=generator, dtype=torch.float64)

        sex = true(torch.full((n,), 0.7))
        age = chosen(self.age.expand(n, -1))
        education = chosen(self._education(age))
        occupation = chosen(self._occupation(education, sex))
        hours = chosen(self.hours[sex])
        married = true(self._married(age))
        income = self._income(sex, age, education, hours, married) + 0.5 * normal()
        saves = true(self._saves(income))
        savings = torch.where(saves == 1, 0.9 * income + 0.4 * normal(), 3 + normal())
        above = true(self._above(income))
        return torch.stack([sex, age, education, occupation, hours, married, income, savings, above], 1).double()

    def __call__(self, x: Float[Tensor, "n 9"]) -> Float[Tensor, " n"]:
        """ln p(x) in nats: a probability for the discrete columns, a density for the two real ones."""
        sex, age, education, occupation, hours, married = x[:, :6].long().T
        income, savings, above = x[:, 6:].double().T
        saving = self._saves(income)
        total = torch.stack(
            [
                _log_true(torch.full_like(income, 0.7), sex),
                self.age[age],
                self._education(age).gather(1, education[:, None])[:, 0],
                self._occupation(education, sex).gather(1, occupation[:, None])[:, 0],
                self.hours[sex, hours],
                _log_true(self._married(age), married),
                _log_normal(income, self._income(sex, age, education, hours, married), 0.5),
                torch.logaddexp(
                    F.logsigmoid(saving) + _log_normal(savings, 0.9 * income, 0.4),
                    F.logsigmoid(-saving) + _log_normal(savings, torch.full_like(income, 3.0), 1.0),
                ),
                _log_true(self._above(income), above.long()),
            ]
        ).sum(0)
        return total.to(x.dtype)

    # -- The conditionals: log-probabilities over values, logits, means ------------------------------------------------

    def _education(self, age: Tensor) -> Tensor:
        rank = torch.arange(len(_EDUCATIONS)).double()
        reached = 1.2 + 1.6 * (1 - torch.exp(-age.double() / 12))
        return (-0.5 * (rank - reached[:, None]).square() / 1.1).log_softmax(1)

    def _occupation(self, education: Tensor, sex: Tensor) -> Tensor:
        leaning = torch.tensor([-0.8, 1.2, 0.2, 0.8, 0.0, -0.6, 0.0, 1.0]).double()
        return (self.occupation[education] + sex[:, None] * leaning).log_softmax(1)

    def _married(self, age: Tensor) -> Tensor:
        return 2.2 * torch.tanh((age.double() - 12) / 10) - 0.8

    def _income(self, sex: Tensor, age: Tensor, education: Tensor, hours: Tensor, married: Tensor) -> Tensor:
        peak = -0.0006 * (age.double() - 33).square()
        return 9.9 + peak + 0.22 * education + 0.02 * (hours - 39) + 0.15 * sex + 0.25 * married

    def _saves(self, income: Tensor) -> Tensor:
        return 1.5 * (income - 10)

    def _above(self, income: Tensor) -> Tensor:
        return 4 * (income - 10.8)


@builtin("adult-like", "(9,), a table of 2 real and 7 discrete columns")
def adult_like(store: Store, seed: int, n: int = 30_000) -> Data:
    """People by sex, age, education, occupation, hours, income and savings, from a known density."""
    if n < 10:
        raise InputError(f"n must be at least 10, to be split 80/10/10, got {n}")
    source = MixedTable()
    x = source.draw(n, torch.Generator().manual_seed(seed)).float()
    held_out = n // 10
    train, valid, test = (
        Split(rows, source.event, name=f"adult-like ({part})")
        for part, rows in zip(("train", "valid", "test"), x.split([n - 2 * held_out, held_out, held_out]))
    )
    note = f"drawn by seed {seed}"
    return Data("adult-like", source.event, train, valid, test, density=source, schema=_schema(source.event), note=note)


def _schema(event: Event) -> Schema:
    """The names of the columns, the words of their categories, and where their ages and hours begin."""
    words = {"education": _EDUCATIONS, "occupation": _OCCUPATIONS}
    begins = {"age": 17, "hours": 1}
    return Schema(
        tuple(
            Column(
                name,
                support,
                words.get(name),
                begins.get(name, 0),
                "text" if name in words else "real" if support == Real() else "integer",
            )
            for name, support in zip(_NAMES, event.supports, strict=True)
        )
    )


def _bell(values: Tensor, centre: float, deviation: float) -> Tensor:
    """Probabilities of `values` in the shape of a Gaussian."""
    return (-0.5 * ((values - centre) / deviation).square()).softmax(0)


def _log_true(logit: Tensor, value: Tensor) -> Tensor:
    return F.logsigmoid(torch.where(value == 1, logit, -logit))


def _log_normal(x: Tensor, mean: Tensor, deviation: float) -> Tensor:
    return -0.5 * ((x - mean) / deviation).square() - math.log(deviation) - 0.5 * math.log(2 * math.pi)
