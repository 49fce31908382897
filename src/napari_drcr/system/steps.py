"""Work in steps: generators that yield progress and return a result."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar

Step = TypeVar("Step")
Other = TypeVar("Other")
Result = TypeVar("Result")


def run_to_end(steps: Generator[Step, Any, Result], on_step: Callable[[Step], object] | None = None) -> Result:
    """Take all steps of a generator.

    Parameters
    ----------
    steps : generator
        Closed if `on_step` raises.
    on_step : callable, optional
        Called with what the generator yields, after each step. What it raises ends the work.

    Returns
    -------
    object
        What the generator returned.

    Examples
    --------
    >>> def halve(number):
    ...     while number > 1:
    ...         number //= 2
    ...         yield number
    ...     return "done"
    >>> seen = []
    >>> run_to_end(halve(8), seen.append), seen
    ('done', [4, 2, 1])
    """
    following = mapped(steps, on_step or (lambda step: step))
    try:
        while True:
            next(following)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    finally:
        steps.close()


def mapped(steps: Generator[Step, Any, Result], change: Callable[[Step], Other]) -> Generator[Other, None, Result]:
    """The steps of a generator in another form, for ``yield from``.

    Parameters
    ----------
    steps : generator
        Closed when this one is.
    change : callable
        Makes a step of this generator of one of `steps`.

    Yields
    ------
    object
        What `change` returned.

    Returns
    -------
    object
        What `steps` returned.
    """
    try:
        while True:
            try:
                step = next(steps)
            except StopIteration as stop:
                result: Result = stop.value
                return result
            yield change(step)
    finally:
        steps.close()
