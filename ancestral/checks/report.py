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


class Skipped(Exception):
    """Raised inside a property that cannot be decided for this model: why."""


@dataclass(frozen=True)
class Property:
    """One mathematical property: `unless` gives the reason why a model need not have it, or None."""

    name: str
    unless: Callable[[Subject], str | None]
    check: Callable[[Subject], None]


@dataclass
class CheckReport:
    """The properties that hold, and those that were not checked with the reason."""

    model: str
    passed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.model}: {len(self.passed)} properties hold, {len(self.skipped)} skipped"]
        lines += [f"  holds    {name}" for name in self.passed]
        lines += [f"  skipped  {name}: {reason}" for name, reason in self.skipped.items()]
        return "\n".join(lines)


def require(condition: bool, message: str) -> None:
    """Fail the property with `message` unless `condition` holds."""
    if not condition:
        raise Broken(message)


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
