"""Errors and notices for the user: input that cannot be used, and assumptions that were made."""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 200, 200


def shown(value: Any) -> str:
    """Format a value for a message, shortened if it is long.

    Parameters
    ----------
    value : object
        As given by the user or read from a file.

    Returns
    -------
    str
        As `repr`, but at most 200 characters of a text, six entries of a list, and two levels of lists in lists.
    """
    return _SHORT.repr(value)


class InputError(ValueError):
    """Input that cannot be used, with a message of one sentence: what was wrong, which value, what to do.

    The command line prints the sentence and exits with code 2; the widgets show it as a notification.
    """


class ChangedFile(InputError):
    """A file was modified after it was opened, so its values can no longer be trusted."""


class Cancelled(Exception):
    """The caller asked for the work to stop; nothing was produced."""


class Notice(UserWarning):
    """Something that was assumed or left out for the user.

    Parameters
    ----------
    message : str
        One sentence.
    source : str, optional
        Name of the file or image that it is about; comes before the message where the notice is shown.

    Attributes
    ----------
    message, source : str
        The same; an empty source for none.
    """

    def __init__(self, message: str, source: str = "") -> None:
        super().__init__(f"{source}: {message}" if source else message)
        self.message, self.source = message, source


_handler: ContextVar[Callable[[Notice], object] | None] = ContextVar("handler of notices", default=None)


def notify(message: str, source: str = "") -> None:
    """Report an assumption to the caller.

    The `Notice` goes to the function that `notices_to` names in this context; without one, `warnings.warn` issues it.

    Parameters
    ----------
    message, source : str
        See `Notice`.
    """
    notice = Notice(message, source)
    handler = _handler.get()
    if handler is None:
        warnings.warn(notice, stacklevel=3)
    else:
        handler(notice)


@contextmanager
def notices_to(handler: Callable[[Notice], object]) -> Iterator[None]:
    """Pass the notices of this context to a function.

    Other threads are not affected: a new thread begins without a handler, unless it is started in a copy of this context
    (`contextvars.copy_context`). Not for the body of a generator, which runs in the context of whoever takes its next step.

    Parameters
    ----------
    handler : callable
        Takes each notice.

    Examples
    --------
    >>> heard = []
    >>> with notices_to(heard.append):
    ...     notify("the alpha channel is dropped.", "photo.png")
    >>> print(*heard)
    photo.png: the alpha channel is dropped.
    """
    token = _handler.set(handler)
    try:
        yield
    finally:
        _handler.reset(token)


def ignore_notice(_notice: Notice) -> None:
    """A handler for `notices_to` where notices would only be repeated."""
