"""What a check is, and what it reports."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ancestral.checks.subject import Subject


class CheckFailure(Exception):
    """A model breaks `property`; `message` names the fault and what usually causes it."""

    def __init__(self, property: str, message: str) -> None:
        super().__init__(f"{property}: {message}")
        self.property = property
        self.message = message


class Broken(Exception):
    """Raised inside a property by `require`: what does not hold."""


class Undecided(Exception):
    """Raised inside a property that this model must have, but that cannot be decided for it: why."""


@dataclass(frozen=True)
class Property:
    """One mathematical property: `unless` gives the reason why a model need not have it, or None.

    A property `by_chance` is a statistical test, which may fail by accident: it is broken only if it fails twice, the
    second time on fresh draws.
    """

    name: str
    unless: Callable[[Subject], str | None]
    check: Callable[[Subject], None]
    by_chance: bool = False


@dataclass
class CheckReport:
    """The properties that hold, those that the model must have but that could not be decided for it, and those that it
    need not have, the last two with the reason."""

    model: str
    passed: list[str] = field(default_factory=list)
    undecided: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """One line: how many hold, and every one that is undecided by its name."""
        undecided = f"{len(self.undecided)} UNDECIDED ({'; '.join(self.undecided)}), " if self.undecided else ""
        return f"{self.model}: {len(self.passed)} properties hold, {undecided}{len(self.skipped)} skipped"

    def __str__(self) -> str:
        lines = [self.summary, *(f"  holds    {name}" for name in self.passed)]
        lines += [f"  UNDECIDED  {name}: {reason}" for name, reason in self.undecided.items()]
        lines += [f"  skipped  {name}: {reason}" for name, reason in self.skipped.items()]
        return "\n".join(lines)


def require(condition: bool, message: str | Callable[[], str]) -> None:
    """Fail the property with `message` unless `condition` holds; a diagnosis that costs something is a function."""
    if not condition:
        raise Broken(message if isinstance(message, str) else message())


def always(subject: Subject) -> str | None:
    """For properties of every model."""
    return None


def needs(*abilities: type) -> Callable[[Subject], str | None]:
    """For properties of models that have all of `abilities`."""

    def unless(subject: Subject) -> str | None:
        missing = [ability.__name__ for ability in abilities if not isinstance(subject.original, ability)]
        return f"it is no {' and no '.join(missing)}" if missing else None

    return unless


def needs_any(*abilities: type) -> Callable[[Subject], str | None]:
    """For properties of models that have at least one of `abilities`."""

    def unless(subject: Subject) -> str | None:
        if isinstance(subject.original, abilities):
            return None
        return f"it is neither {' nor '.join(ability.__name__ for ability in abilities)}"

    return unless
