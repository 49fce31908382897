"""Running the work of the dock Error map in a thread, one run at a time, what was asked for meanwhile after it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Sequence
from threading import Event
from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]
from superqt.utils import GeneratorWorker, create_worker

from napari_drcr.errors import Notice
from napari_drcr.widgets.error_layers import Measure
from napari_drcr.widgets.error_work import Made, Pair, work
from napari_drcr.widgets.shape_regions import Region

logger = logging.getLogger(__name__)


class ErrorRuns(QObject):
    """Maps and scores pairs, with the settings of the moment when a run begins.

    Parameters
    ----------
    measure : callable
        Gives what is to be mapped, and the floor of the scores.
    regions : callable
        Gives the regions of a pair.

    Attributes
    ----------
    began : Signal()
        A run has begun.
    made : Signal(object)
        A `Made`, unless its run was ended before.
    failed : Signal(object)
        The exception that ended a run.
    ended : Signal(bool)
        There is nothing more to do; whether that is because the last run was cancelled.
    """

    began = Signal()
    made = Signal(object)
    failed = Signal(object)
    ended = Signal(bool)

    def __init__(
        self,
        parent: QObject,
        measure: Callable[[], tuple[Measure, float | None]],
        regions: Callable[[Pair], Sequence[Region]],
    ) -> None:
        super().__init__(parent)
        self._measure, self._regions = measure, regions
        self._worker: GeneratorWorker[Any, Any, Any] | None = None
        self._stop = Event()
        self._to_map: list[Pair] = []
        self._to_score: list[Pair] = []
        self.notices: list[str] = []
        """What the last run assumed, each sentence once."""

    @property
    def running(self) -> bool:
        """Whether a run has begun and not yet ended."""
        return self._worker is not None

    def start(self, to_map: Iterable[Pair] = (), to_score: Iterable[Pair] = (), *, anew: bool = False) -> None:
        """Map and score some pairs, and only score others, after the present run if there is one.

        Parameters
        ----------
        to_map, to_score : iterable of Pair
            Which; maps are scored in any case.
        anew : bool
            Whether the present run is of no use any more, and should end.
        """
        to_map = list(to_map)
        self._to_map += [pair for pair in to_map if pair not in self._to_map]
        self._to_score += [pair for pair in (*to_map, *to_score) if pair not in self._to_score]
        if self.running:
            if anew:
                self._stop.set()
            return
        if not self._to_score:
            return
        mapped, scored = self._to_map, self._to_score
        self._to_map, self._to_score, self.notices = [], [], []
        self._stop = Event()
        measure, floor = self._measure()
        self._worker = create_worker(
            work,
            mapped,
            [(pair, self._regions(pair)) for pair in scored],
            measure,
            floor,
            self._stop,
            _start_thread=False,
            _ignore_errors=True,
            _connect={"yielded": self._pass_on, "errored": self.failed.emit, "warned": self._note, "finished": self._finish},
        )
        self.destroyed.connect(self._stop.set)
        self.began.emit()
        self._worker.start()

    def forget(self, pair: Pair) -> None:
        """Do nothing for a pair any more.

        Parameters
        ----------
        pair : Pair
            One that may be waiting.
        """
        for waiting in (self._to_map, self._to_score):
            if pair in waiting:
                waiting.remove(pair)

    def cancel(self) -> None:
        """End the present run at its next band, and forget what waits."""
        self._to_map, self._to_score = [], []
        self._stop.set()

    def _pass_on(self, made: Made) -> None:
        if not self._stop.is_set():
            self.made.emit(made)

    def _note(self, warning: tuple[Any, ...]) -> None:
        message, category, filename, line = warning[:4]
        if not issubclass(category, Notice):
            logger.warning(warnings.formatwarning(message, category, filename, line))
        elif str(message) not in self.notices:
            self.notices.append(str(message))

    def _finish(self) -> None:
        if self._worker is None:
            return
        self.destroyed.disconnect(self._stop.set)
        self._worker = None
        if self._to_score:
            self.start()
        else:
            self.ended.emit(self._stop.is_set())
