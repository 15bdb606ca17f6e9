"""How types and shapes in signatures are enforced while tests run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from beartype import beartype
from jaxtyping import config


def enforced(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its signature enforced, unless it is made anew within another one at each call of that."""
    return function if "<locals>" in function.__qualname__ else beartype(function)


@contextmanager
def enforcement(on: bool) -> Iterator[None]:
    """Whether signatures are enforced within the block."""
    config.update("jaxtyping_disable", not on)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)
