"""The table of properties, and the run through them."""

import re
from types import TracebackType

import torch

from ancestral.checks import (
    autoregressive,
    density,
    fitting,
    joint,
    latents,
    learned,
    losses,
    rows,
    stored,
    structure,
    training,
)
from ancestral.checks.report import Broken, CheckFailure, CheckReport, Property, Undecided
from ancestral.checks.statistics import redraw
from ancestral.checks.subject import Subject
from ancestral.interface import InputError, Model
from ancestral.output import describe

#: In the order in which they run: the fault that explains the others comes first.
PROPERTIES: tuple[Property, ...] = (
    *structure.PROPERTIES,
    *rows.PROPERTIES,
    *training.PHASES,
    *autoregressive.PROPERTIES,
    *latents.PROPERTIES,
    *density.LIKELIHOODS,
    *rows.WEIGHTS,
    *density.SAMPLING,
    *joint.PROPERTIES,
    *training.LEARNING,
    *fitting.PROPERTIES,
    *structure.TRANSLATORS,
    *learned.PROPERTIES,
    *stored.PROPERTIES,
    *autoregressive.LENGTHS,
    *training.RESUMPTION,
    *density.STAGES,
    *losses.ROWS,
)


def check_model(model: Model, *, seed: int = 0, verbose: bool = True) -> CheckReport:
    """Test the mathematics of a model from outside, on a copy of it with perturbed weights.

    Which properties are tested follows from the abilities that the model declares. Those that cannot be decided, as a
    sum over all images, are counted apart from those that hold, with the reason. `model` and the global random state
    are left as they were.

    Raises:
        CheckFailure: at the first property that does not hold, with what is wrong and what usually causes it.
    """
    if not isinstance(model, Model):
        raise InputError(f"check_model takes a Model, got {type(model).__name__}; inherit from ancestral.Model")
    report = CheckReport(f"{model.display_name} on {describe(model.event)}")
    subject = Subject(model, seed)
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        for index, one in enumerate(PROPERTIES):
            torch.manual_seed(seed * len(PROPERTIES) + index)
            with _Named(one.name):
                line = _run(one, subject, report)
            if verbose:
                print(line)
    if verbose:
        print(report.summary)
    return report


def _run(one: Property, subject: Subject, report: CheckReport) -> str:
    try:
        if reason := one.unless(subject):
            report.skipped[one.name] = reason
            return f"  skipped  {one.name}: {reason}"
        _decide(one, subject)
    except Broken as fault:
        raise CheckFailure(one.name, f"{subject.name}: {fault}") from fault
    except InputError as error:
        raise CheckFailure(one.name, f"{subject.name} refuses what it must accept: {error}") from error
    except (RuntimeError, ValueError) as error:
        if not _OF_DTYPES.search(str(error)):
            raise
        cause = "mixes dtypes (it is run in its own and in float64; make constants and samples in that of their input)"
        raise CheckFailure(one.name, f"{subject.name} {cause}: {error}") from error
    except Undecided as undecided:
        report.undecided[one.name] = str(undecided)
        return f"  UNDECIDED  {one.name}: {undecided}"
    report.passed.append(one.name)
    return f"  holds    {one.name}"


def _decide(one: Property, subject: Subject) -> None:
    try:
        one.check(subject)
    except Broken:
        if not one.by_chance:
            raise
        redraw(subject)
        one.check(subject)


#: What torch says of operands whose dtypes differ.
_OF_DTYPES = re.compile("dtype|datatype|scalar type|bias type|(Float|Double) did not match (Float|Double)")


class _Named:
    """Notes on any other error which property was being tested."""

    def __init__(self, property: str) -> None:
        self.property = property

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, CheckFailure):
            error.add_note(f"raised while checking that {self.property}")
