"""Work in a thread: one run at a time, the latest wins, and nothing reaches a deleted widget."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import suppress
from functools import cache, partial
from typing import Any

from qtpy.QtCore import QCoreApplication, QObject, QThreadPool, Signal
from superqt.utils import WorkerBase

from napari_drcr.errors import Cancelled, InputError, notices_to

logger = logging.getLogger(__name__)
THREADS = 16
"""More than there are docks and their controls, each of which has one run at a time: none waits for another."""


def _ignore(*_: object) -> None:
    """Receives what is not needed."""


class Background(QObject):
    """Runs functions in a thread, and delivers their results in that of the GUI.

    A run that is started while another is under way takes its place: the other is asked to stop and reports nothing more, and
    the new one begins when its thread is free. So the threads of a busy control do not pile up.

    `failed` takes the sentence that says why a run failed: that of an `InputError`, or one made of `task`, the error, which is
    logged, and `remedy`, what to do. `told` takes that of each `Notice`. With `parent` its runs end.

    Attributes
    ----------
    finished : Signal
        The latest run has ended, one way or another, after all else was delivered.
    """

    finished = Signal()

    def __init__(
        self,
        parent: QObject,
        failed: Callable[[str], object],
        told: Callable[[str], object],
        *,
        task: str = "The computation",
        remedy: str = "the log says more",
    ) -> None:
        super().__init__(parent)
        self._failed, self._told = failed, told
        self._task, self._remedy = task, remedy
        self._worker: _Worker | None = None
        self._waiting: _Worker | None = None
        self._cancelled = False

    @property
    def running(self) -> bool:
        """Whether a run has begun, or waits for its turn, and has not yet ended."""
        return self._worker is not None

    @property
    def cancelled(self) -> bool:
        """Whether the latest run was asked to stop."""
        return self._cancelled

    def run(
        self,
        function: Callable[..., Any],
        *args: Any,
        done: Callable[..., object] = _ignore,
        progress: Callable[..., object] = _ignore,
    ) -> None:
        """Start a run, in place of one that is under way.

        `function` works in the thread, and touches no widget or layer list; `done` takes what it returns. If it is a generator
        function, it can be cancelled after each step, and `progress` takes the tuples that it yields, such as (done, total),
        unpacked.
        """
        worker = _Worker(partial(function, *args), done, progress, self._told, self._fail)
        self._cancelled = False
        if self._worker is None:
            self._start(worker)
        else:
            self._worker.quit()
            self._waiting = worker

    def cancel(self) -> None:
        """Ask the run to stop: it does after its present step, and delivers nothing but that it has finished."""
        if self._worker is not None:
            self._cancelled = True
            self._waiting = None
            self._worker.quit()

    def detach(self) -> None:
        """Cancel, and deliver nothing more, not even that."""
        self.cancel()
        self._worker = None

    def _start(self, worker: _Worker) -> None:
        self._worker = worker
        self.destroyed.connect(worker.quit)
        worker.news.posted.connect(self._deliver)
        worker.news.ended.connect(self._end)
        worker.start()

    def _deliver(self, worker: _Worker, callback: Callable[..., object], values: tuple[Any, ...]) -> None:
        if worker is self._worker and not worker.abort_requested:
            callback(*values)

    def _end(self, worker: _Worker) -> None:
        self.destroyed.disconnect(worker.quit)
        if worker is not self._worker:
            return
        self._worker = None
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self._start(waiting)
        else:
            self.finished.emit()

    def _fail(self, error: Exception) -> None:
        if isinstance(error, InputError):
            self._failed(sentence_of(error))
        elif not isinstance(error, Cancelled):
            logger.error("%s failed", self._task, exc_info=error)
            reason = str(error).partition("\n")[0] or type(error).__name__
            self._failed(f"{self._task} failed ({reason}); {self._remedy}.")


def sentence_of(error: InputError) -> str:
    """What an error says, with a capital letter unless it begins with the name of a file."""
    sentence = str(error)
    return sentence[:1].upper() + sentence[1:] if sentence.partition(" ")[0].isalpha() else sentence


class _News(QObject):
    """What a worker says to the thread of the GUI; the first value is the worker."""

    posted = Signal(object, object, tuple)
    ended = Signal(object)


@cache
def threads() -> QThreadPool:
    """The docks' own pool: it does not share the few threads of the application's, so long runs hold up no short ones."""
    pool = QThreadPool()
    pool.setMaxThreadCount(THREADS)
    application = QCoreApplication.instance()
    assert application is not None
    application.aboutToQuit.connect(pool.waitForDone)
    return pool


class _Worker(WorkerBase[Any]):
    """One run, which napari waits for when it quits.

    superqt's own way of running takes a RuntimeError, such as torch raises, for the sign of a deleted worker, and swaps the
    warnings of the whole process: where two of its runs overlap, one leaves its swap behind for good.
    """

    def __init__(
        self,
        function: Callable[[], Any],
        done: Callable[[Any], object],
        progress: Callable[..., object],
        told: Callable[[str], object],
        failed: Callable[[Exception], object],
    ) -> None:
        super().__init__()
        self.news = _News()
        self._function = function
        self._done, self._progress, self._told, self._failed = done, progress, told, failed

    def start(self) -> None:
        """Begin as soon as one of the docks' threads is free."""
        WorkerBase._worker_set.add(self)
        self._finished.connect(WorkerBase._set_discard)
        threads().start(self)

    def run(self) -> None:
        """Called by Qt, in a thread."""
        try:
            with notices_to(lambda notice: self._post(self._told, str(notice))):
                self._post(self._done, self.work())
        except Exception as error:
            self._post(self._failed, error)
        with suppress(RuntimeError):  # see _post
            self.news.ended.emit(self)
        with suppress(RuntimeError):
            self._finished.emit(self)

    def work(self) -> Any:
        """Run the function, step by step if it has steps."""
        result = None if self.abort_requested else self._function()
        if not isinstance(result, Generator):
            return result
        try:
            while not self.abort_requested:
                self._post(self._progress, *next(result))
        except StopIteration as end:
            return end.value
        result.close()
        return None

    def _post(self, callback: Callable[..., object], *values: Any) -> None:
        # Where napari was closed in the middle of a run, Qt has deleted what the signals belong to, and there is no receiver.
        with suppress(RuntimeError):
            self.news.posted.emit(self, callback, values)
