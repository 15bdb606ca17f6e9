"""Ctrl-C and SIGTERM as a request that the loop honours between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupt:
    """Whether the user, or the system, has asked the run to end."""

    def __init__(self) -> None:
        self.requested = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Catch the first SIGINT or SIGTERM; a second one acts as it always does. Handlers are put back at the end.

        Python delivers signals to the main thread alone: elsewhere this listens to nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        def note(number: int, frame: FrameType | None) -> None:
            self.requested = True
            restore()

        for number in before:
            signal.signal(number, note)
        try:
            yield
        finally:
            restore()
