"""Small things that docks share."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from napari_drcr.widgets.viewer.controls import Chooser, StepsBar

pytestmark = pytest.mark.viewer


def test_a_bar_of_steps_is_not_painted_with_each_of_them(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("napari_drcr.widgets.viewer.controls.time.monotonic", lambda: now)
    bar = StepsBar()
    qtbot.addWidget(bar)
    bar.start()
    shown = []
    for done in range(1, 31):
        now += 0.03
        bar.take(done, 30)
        shown.append(bar.value())
    assert sorted(set(shown)) == [1, 5, 9, 13, 17, 21, 25, 29, 30]
    assert bar.maximum() == 30
    bar.start()
    assert (bar.value(), bar.maximum()) == (0, 1)


def test_a_chooser_tells_that_none_was_chosen() -> None:
    chooser = Chooser(choices=[("none", None), ("some", 1)], value=1)
    told: list[int | None] = []
    chooser.changed.connect(told.append)
    chooser.native.setCurrentIndex(0)
    assert chooser.value is None
    assert told == [None]
    assert chooser.choices == (None, 1)
