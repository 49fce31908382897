"""Imports of heavy packages."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import in the body without collecting garbage, which takes a fifth less time for Lightning.

    What an import makes stays, but the collector would look through all of it again and again. For a process that does nothing else
    meanwhile: the collector is switched off in all threads.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
