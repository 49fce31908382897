"""Many files, one after the other: the next is read and the one before written while one is computed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from itertools import chain
from typing import TypeVar

from napari_drcr.errors import InputError

Item = TypeVar("Item")
Read = TypeVar("Read")
Made = TypeVar("Made")
Done = TypeVar("Done")

FAILURES = (InputError, OSError, MemoryError)
"""Errors of one file, after which the others are still processed."""


def overlapped(
    items: Sequence[Item],
    read: Callable[[Item], Read],
    compute: Callable[[Item, Read], Made],
    write: Callable[[Item, Made], Done],
) -> Generator[Done | Exception, None, None]:
    """Do three things with each item, and overlap them with those of its neighbours.

    While an item is computed, the next one is read in a thread and the one before is written in another. At most one item that is
    read waits to be computed, and at most one that is computed waits to be written: with the one that is written, no more than two results
    are in memory, and never while a third is computed.

    Parameters
    ----------
    items : sequence
        Such as paths.
    read : callable
        From an item to what is computed with; in a thread of its own.
    compute : callable
        From an item and what was read to a result; in the caller's thread, so that it may report progress.
    write : callable
        From an item and its result to what is yielded, such as its score; in a thread of its own.

    Yields
    ------
    object
        In the order of the items: what `write` returned; or one of `FAILURES` that any of the three raised, after which the next item follows.
        Any other exception, such as `napari_drcr.Cancelled`, ends the work, and so does closing the generator: what is being read
        or written is completed, so that files are whole, and nothing else is started.

    Examples
    --------
    >>> list(overlapped([1, 2, 3], read=lambda n: 10 * n, compute=lambda n, tens: tens + n, write=lambda n, sum: f"{n}: {sum}"))
    ['1: 11', '2: 22', '3: 33']
    """
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:

        def compute_next(item: Item, reading: Future[Read]) -> Future[Done]:
            try:
                # Without names for what was read and made, which would keep them while the next item is computed.
                return writer.submit(copy_context().run, write, item, compute(item, reading.result()))
            except FAILURES as error:
                failed: Future[Done] = Future()
                failed.set_exception(error.with_traceback(None))
                return failed

        try:
            readings = _one_behind(reader.submit(copy_context().run, read, item) for item in items)
            for writing in _one_behind(map(compute_next, items, readings)):
                try:
                    yield writing.result()
                except FAILURES as error:
                    # Without the traceback, which would keep its frames' arrays in memory.
                    yield error.with_traceback(None)
        finally:
            for thread in (reader, writer):
                thread.shutdown(wait=False, cancel_futures=True)


def _one_behind(futures: Iterable[Future[Made]]) -> Iterator[Future[Made]]:
    """Each future once the one after it has been requested."""
    previous = None
    for future in chain(futures, (None,)):
        if previous is not None:
            yield previous
        previous = future
