"""What of the work of the dock Error map is still to be done, and its run in a thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Event

from qtpy.QtCore import QObject, Signal

from napari_drcr.widgets.error_map.measure import Measure
from napari_drcr.widgets.error_map.pairs import Pair, Summary
from napari_drcr.widgets.error_map.work import News, work
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.shape_regions import Region


class ErrorRuns(QObject):
    """Maps and scores pairs, with the settings of the moment.

    Whatever is asked for while there is work makes it begin anew, with what was not done yet.

    Parameters
    ----------
    parent : QObject
        Whose work it is.
    measure, regions : callable
        Return what is to be mapped, and the floor of the scores; the regions of a pair.
    failed : callable
        Takes the sentence that says why a run failed.

    Attributes
    ----------
    made : Signal(object, object)
        A pair and what was found out about it: a map, a `Summary` or a list of `ScoreRow`.
    ended : Signal()
        There is nothing more to do.
    """

    made = Signal(object, object)
    ended = Signal()

    def __init__(
        self,
        parent: QObject,
        measure: Callable[[], tuple[Measure, float | None]],
        regions: Callable[[Pair], Sequence[Region]],
        failed: Callable[[str], object],
    ) -> None:
        super().__init__(parent)
        self._measure, self._regions = measure, regions
        self._background = Background(self, failed, self._note, task="The error map")
        self._background.finished.connect(self._end)
        self._stop = Event()
        self.destroyed.connect(self._stop.set)
        self._to_map: list[Pair] = []
        self._to_score: list[Pair] = []
        self.notices: list[str] = []
        """What the last run assumed, each sentence once."""

    @property
    def running(self) -> bool:
        """Whether there is something to do."""
        return self._background.running

    @property
    def cancelled(self) -> bool:
        """Whether the last run was cancelled."""
        return self._background.cancelled

    def start(self, to_map: Iterable[Pair] = (), to_score: Iterable[Pair] = ()) -> None:
        """Map and score some pairs, and only score others."""
        to_map = list(to_map)
        self._to_map += [pair for pair in to_map if pair not in self._to_map]
        self._to_score += [pair for pair in (*to_map, *to_score) if pair not in self._to_score]
        if not self._to_score:
            return
        self.destroyed.disconnect(self._stop.set)
        self._stop.set()
        self._stop, self.notices = Event(), []
        self.destroyed.connect(self._stop.set)
        self._background.run(
            work,
            list(self._to_map),
            [(pair, self._regions(pair)) for pair in self._to_score],
            *self._measure(),
            self._stop,
            done=lambda _: None,
            progress=self._take,
        )

    def forget(self, pair: Pair) -> None:
        """Do nothing for a pair any more."""
        for waiting in (self._to_map, self._to_score):
            if pair in waiting:
                waiting.remove(pair)

    def cancel(self) -> None:
        """End the work at its next band."""
        self._to_map, self._to_score = [], []
        self._stop.set()
        self._background.cancel()

    def detach(self) -> None:
        """End the work, and tell nothing any more."""
        self.cancel()
        self._background.detach()

    def _take(self, pair: Pair, news: News) -> None:
        for waiting, last in ((self._to_map, Summary), (self._to_score, list)):
            if isinstance(news, last) and pair in waiting:
                waiting.remove(pair)
        self.made.emit(pair, news)

    def _note(self, notice: str) -> None:
        if notice not in self.notices:
            self.notices.append(notice)

    def _end(self) -> None:
        self._to_map, self._to_score = [], []
        self.ended.emit()
