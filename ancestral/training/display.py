"""A run on the terminal: a bar that is redrawn a few times a second, or a line now and then in a log file."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from ancestral.evaluation.likelihood import bits_per_dim
from ancestral.interface import Event

_REDRAW_SECONDS = 0.25
_LINE_SECONDS = 5.0


class Display(ABC):
    """What the engine tells about a run. `due` is the time on `time.perf_counter` of the next update that shows."""

    due: float = float("inf")

    @abstractmethod
    def update(self, progress: float, text: str) -> None:
        """Show how much of the budget is used, in [0, 1], and what is going on."""

    @abstractmethod
    def epoch(self, text: str) -> None:
        """Show that an epoch has ended."""

    @abstractmethod
    def close(self) -> None: ...


class Silent(Display):
    def update(self, progress: float, text: str) -> None:
        return

    def epoch(self, text: str) -> None:
        return

    def close(self) -> None:
        return


class Bar(Display):
    def __init__(self, console: Console) -> None:
        columns = (BarColumn(bar_width=24), TextColumn("{task.percentage:>3.0f}%"), TextColumn("{task.description}"))
        # Without its own refreshing thread, which would take the interpreter from the loop.
        self._bar = Progress(*columns, console=console, auto_refresh=False, transient=True)
        self._task = self._bar.add_task("", total=1.0)
        self._start, self._console = time.perf_counter(), console
        self.due = self._start
        self._first: tuple[float, float] | None = None
        self._bar.start()

    def update(self, progress: float, text: str) -> None:
        now = time.perf_counter()
        self.due = now + _REDRAW_SECONDS
        if self._first is None:
            self._first = (now, progress)
        since, done = now - self._first[0], progress - self._first[1]
        left = f", {_duration(since * (1 - progress) / done)} left" if done > 0 and since > 1 else ""
        self._bar.update(self._task, completed=min(progress, 1.0), description=text + left)
        self._bar.refresh()

    def epoch(self, text: str) -> None:
        return

    def close(self) -> None:
        self._bar.stop()


class Lines(Display):
    """One line after an epoch, at most every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0

    def update(self, progress: float, text: str) -> None:
        return

    def epoch(self, text: str) -> None:
        now = time.perf_counter()
        if now >= self._next:
            self._next = now + _LINE_SECONDS
            self._console.print(text, highlight=False, soft_wrap=True)

    def close(self) -> None:
        return


def open_display(show: bool) -> Display:
    console = Console(stderr=True)
    if not show:
        return Silent()
    return Bar(console) if console.is_terminal else Lines(console)


def monitor_text(monitor: str, value: float, event: Event) -> str:
    """A validation value in the units that people read: nats and bits/dim for a likelihood, per cent for accuracy."""
    match monitor:
        case "loss":
            return f"validation loss {value:.4g}"
        case "accuracy":
            return f"accuracy {100 * value:.2f} %"
    return f"{monitor} {value:.2f} nats ({bits_per_dim(value, event):.3f} bits/dim)"


def losses_text(losses: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in losses.items() if "/" not in name)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
