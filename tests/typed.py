"""Commands as typed, in one interpreter to be quick."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import pytest


def run_main(main: Callable[[], object], *words: object, code: int = 0) -> tuple[str, str]:
    """Call what a process of its own would; what it printed on stdout and on stderr."""
    out, err = StringIO(), StringIO()
    ended: str | int | None = None
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(), redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["typed", *map(str, words)])
        warnings.showwarning = lambda message, category, *_: print(f"{category.__name__}: {message}", file=err)
        try:
            main()
        except SystemExit as end:
            ended = end.code
    if isinstance(ended, str):  # as the interpreter does with a sentence
        ended, said = 1, f"{err.getvalue()}{ended}\n"
    else:
        ended, said = ended or 0, err.getvalue()
    assert ended == code, said
    return out.getvalue(), said
