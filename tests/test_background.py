"""Work in a thread, and what a widget hears of it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Generator
from threading import Event, current_thread, main_thread

import pytest
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication, QWidget

from napari_drcr.errors import InputError, notify
from napari_drcr.widgets.viewer.background import Background, threads

PATIENCE = 10.0


class Listener(QWidget):
    """A widget that writes down what it is told, and by which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, object]] = []
        self.background = Background(self, self.note("failed"), self.note("told"), task="The test", remedy="try another")
        self.background.finished.connect(self.note("finished"))

    def note(self, kind: str):
        def write(*values: object) -> None:
            assert current_thread() is main_thread()
            self.heard.append((kind, *values))

        return write

    def run(self, function, *args: object) -> None:
        self.background.run(function, *args, done=self.note("done"), progress=self.note("progress"))


@pytest.fixture
def listener(qtbot: QtBot) -> Listener:
    listener = Listener()
    qtbot.addWidget(listener)
    return listener


def wait(listener: Listener, qtbot: QtBot) -> list[tuple[object, ...]]:
    qtbot.waitUntil(lambda: not listener.background.running)
    return listener.heard


def when(event: Event, answer: str = "late") -> str:
    assert event.wait(PATIENCE)
    return answer


def steps(event: Event) -> Generator[tuple[int, int], None, str]:
    yield 1, 3
    yield 2, 3
    assert event.wait(PATIENCE)
    yield 3, 3
    return "all"


def test_the_result_is_handed_over_in_the_thread_of_the_gui(listener: Listener, qtbot: QtBot) -> None:
    listener.run(lambda *values: (*values, current_thread() is main_thread()), 1, 2)
    assert listener.background.running
    assert wait(listener, qtbot) == [("done", (1, 2, False)), ("finished",)]


def test_steps_of_a_generator_are_progress(listener: Listener, qtbot: QtBot) -> None:
    go = Event()
    go.set()
    listener.run(steps, go)
    assert wait(listener, qtbot) == [*(("progress", done, 3) for done in (1, 2, 3)), ("done", "all"), ("finished",)]


def test_unfit_input_is_its_sentence(listener: Listener, qtbot: QtBot) -> None:
    def refuse() -> None:
        raise InputError("no bands.")

    listener.run(refuse)
    assert wait(listener, qtbot) == [("failed", "No bands."), ("finished",)]


@pytest.mark.parametrize("kind", [RuntimeError, KeyError, StopIteration, MemoryError])
def test_other_errors_are_a_sentence_and_logged(
    listener: Listener, qtbot: QtBot, caplog: pytest.LogCaptureFixture, kind: type[Exception]
) -> None:
    def fail() -> None:
        raise kind(7)

    with caplog.at_level(logging.ERROR, logger="napari_drcr"):
        listener.run(fail)
        assert wait(listener, qtbot) == [("failed", "The test failed (7); try another."), ("finished",)]
    assert caplog.records[0].exc_info is not None


def test_notices_are_told_each_time(listener: Listener, qtbot: QtBot) -> None:
    for _ in range(2):
        listener.run(notify, "Assumed.")
        wait(listener, qtbot)
    assert listener.heard == [("told", "Assumed."), ("done", None), ("finished",)] * 2


def test_a_new_run_takes_the_place_of_the_old_ones(listener: Listener, qtbot: QtBot) -> None:
    go, started = Event(), Event()

    def old() -> str:
        started.set()
        notify("Of no interest any more.")
        return when(go)

    listener.run(old)
    qtbot.waitUntil(started.is_set)
    listener.run(when, go, "never begun")
    listener.run(when, go, "new")
    go.set()
    assert [kind for kind, *_ in wait(listener, qtbot)][-2:] == ["done", "finished"]
    assert ("done", "new") in listener.heard
    assert len([None for kind, *_ in listener.heard if kind in ("done", "finished")]) == 2


def test_a_cancelled_run_stops_after_its_step_and_only_finishes(listener: Listener, qtbot: QtBot) -> None:
    go = Event()
    listener.run(steps, go)
    qtbot.waitUntil(lambda: ("progress", 2, 3) in listener.heard)
    listener.background.cancel()
    assert listener.background.running
    go.set()
    assert wait(listener, qtbot) == [("progress", 1, 3), ("progress", 2, 3), ("finished",)]
    assert listener.background.cancelled


def test_who_lets_go_hears_nothing_any_more(listener: Listener, qtbot: QtBot) -> None:
    go = Event()
    listener.run(when, go)
    listener.background.detach()
    assert not listener.background.running
    go.set()
    listener.run(lambda: "next")
    assert wait(listener, qtbot) == [("done", "next"), ("finished",)]


def test_a_deleted_widget_ends_its_run_and_gets_no_call(qtbot: QtBot) -> None:
    go, listener = Event(), Listener()
    heard = listener.heard
    listener.run(steps, go)
    qtbot.waitUntil(lambda: ("progress", 2, 3) in heard)
    with qtbot.waitSignal(listener.destroyed):
        listener.deleteLater()
    go.set()
    assert threads().waitForDone(int(1000 * PATIENCE))
    QApplication.processEvents()
    assert heard == [("progress", 1, 3), ("progress", 2, 3)]


def test_a_run_whose_signals_are_gone_ends_in_silence(
    listener: Listener, qtbot: QtBot, capfd: pytest.CaptureFixture[str]
) -> None:
    """As they are when napari is closed in the middle of it."""
    go = Event()
    listener.run(steps, go)
    qtbot.waitUntil(lambda: ("progress", 2, 3) in listener.heard)
    news = listener.background._worker.news
    with qtbot.waitSignal(news.destroyed):
        news.deleteLater()
    go.set()
    assert threads().waitForDone(int(1000 * PATIENCE))
    assert capfd.readouterr().err == ""


def test_overlapping_runs_hear_their_own_notices_and_leave_the_warnings_as_they_were(listener: Listener, qtbot: QtBot) -> None:
    before = warnings.showwarning, list(warnings.filters)
    other = Listener()
    qtbot.addWidget(other)
    begun, first, second = Event(), Event(), Event()

    def assume(sentence: str, go: Event) -> None:
        begun.set()
        when(go)
        notify(sentence)

    listener.run(assume, "First.", first)
    qtbot.waitUntil(begun.is_set)
    begun.clear()
    other.run(assume, "Second.", second)
    qtbot.waitUntil(begun.is_set)
    first.set()
    assert wait(listener, qtbot)[0] == ("told", "First.")
    second.set()
    assert wait(other, qtbot)[0] == ("told", "Second.")
    assert (warnings.showwarning, list(warnings.filters)) == before


def test_long_runs_hold_up_no_short_one(qtbot: QtBot) -> None:
    release = Event()
    slow, also_slow, quick = (Listener() for _ in range(3))
    for widget in (slow, also_slow, quick):
        qtbot.addWidget(widget)
    for widget in (slow, also_slow):
        widget.run(release.wait, 30)
    quick.run(lambda: "here")
    qtbot.waitUntil(lambda: ("done", "here") in quick.heard, timeout=10_000)
    assert not slow.heard
    assert not also_slow.heard
    release.set()
    qtbot.waitUntil(lambda: ("done", True) in slow.heard and ("done", True) in also_slow.heard, timeout=10_000)
