"""What is said to a user when something cannot be done, or was done on an assumption."""

from __future__ import annotations

import reprlib
import warnings
from typing import Any

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 200, 200


class InputError(ValueError):
    """Input that cannot be used, said in one sentence: what was wrong, which value, what to do.

    The command line prints the sentence and exits with code 2; the widgets show it as a notification.
    """


class ChangedFile(InputError):
    """A file is no longer what it was when it was opened, so that values still in it cannot be told from others."""


class Cancelled(Exception):
    """The caller asked for the work to stop; nothing was produced."""


class Notice(UserWarning):
    """Something was assumed or left out on the user's behalf, and they should know."""


def shown(value: Any) -> str:
    """Write a value into a sentence, shortened where it is long.

    Parameters
    ----------
    value : object
        What was given, or what a file holds.

    Returns
    -------
    str
        As `repr`, but at most 200 characters of a text, six entries of a list, and two levels of lists in lists.
    """
    return _SHORT.repr(value)


def notify(message: str) -> None:
    """Tell the caller, once per message and place, what was assumed.

    Parameters
    ----------
    message : str
        One sentence, shown as it is by the command line and by the widgets.
    """
    warnings.warn(message, Notice, stacklevel=3)
