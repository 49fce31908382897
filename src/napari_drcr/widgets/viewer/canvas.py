"""Clicks on the canvas, and where the pointer is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qtpy.QtCore import QTimer

from napari_drcr.widgets.viewer.tools import tool_of

if TYPE_CHECKING:
    from napari import Viewer

STILL = 4
"""How far, in pixels of the screen, the mouse may move between press and release of a click."""
PREVIEW_KEY = "Shift"
"""None of napari's tools uses it while the mouse moves with no button pressed."""
LEFT_BUTTON = 1


class Click(NamedTuple):
    """A click on the canvas: where in the world, in the layers' own units, and whether the view was flat and not in 3-D."""

    position: tuple[float, ...]
    flat: bool


class ClickListener:
    """Reports left clicks on the canvas that are no drags: `clicked` takes the `Click`.

    Where another tool of napari is in use on the active layer, the clicks belong to it, and are not reported.
    """

    def __init__(self, viewer: Viewer, clicked: Callable[[Click], None]) -> None:
        self._viewer = viewer
        self._clicked = clicked

    @property
    def listening(self) -> bool:
        """Whether clicks are told."""
        return self._press in self._viewer.mouse_drag_callbacks

    def start(self) -> None:
        """Report clicks from now on."""
        if not self.listening:
            self._viewer.mouse_drag_callbacks.append(self._press)

    def stop(self) -> None:
        """Report no more clicks, not even one whose button is still down."""
        if self.listening:
            self._viewer.mouse_drag_callbacks.remove(self._press)

    def _press(self, _viewer: Viewer, event: Any) -> Generator[None, None, None]:
        if event.button != LEFT_BUTTON or tool_of(self._viewer) is not None:
            return
        start, position = np.asarray(event.pos), tuple(event.position)
        flat = len(event.dims_displayed) == 2
        moved = 0.0
        yield
        # napari lets this go on at each move, and at last when the button is released; the event is always the newest.
        while event.type == "mouse_move":
            moved = max(moved, np.abs(np.asarray(event.pos) - start).max())
            yield
        if max(moved, np.abs(np.asarray(event.pos) - start).max()) <= STILL and self.listening:
            self._clicked(Click(position, flat))


class PointerListener:
    """Reports where the pointer is while it moves over the canvas with a key held down, or `always`.

    `moved` takes the world coordinates, and None, once, when there are none: the pointer has left the canvas, the view
    is in 3-D, or the key was released, which shows at the next move. However fast it moves, it is told once a turn of the event
    loop at most, and only the newest position: a slow listener never falls behind.
    """

    def __init__(self, viewer: Viewer, moved: Callable[[tuple[float, ...] | None], None], *, key: str = PREVIEW_KEY) -> None:
        self.always = False
        self._viewer = viewer
        self._moved = moved
        self._key = key
        self._newest: tuple[float, ...] | None = None
        self._told: tuple[float, ...] | None = None
        self._timer = QTimer(singleShot=True, interval=0)
        self._timer.timeout.connect(self._tell)

    @property
    def listening(self) -> bool:
        """Whether moves are told."""
        return self._move in self._viewer.mouse_move_callbacks

    def start(self) -> None:
        """Report moves from now on."""
        if not self.listening:
            self._viewer.mouse_move_callbacks.append(self._move)
            self._viewer.events.mouse_over_canvas.connect(self._enter_or_leave)

    def stop(self) -> None:
        """Report nothing more, not even what was pending."""
        if self.listening:
            self._viewer.mouse_move_callbacks.remove(self._move)
            self._viewer.events.mouse_over_canvas.disconnect(self._enter_or_leave)
        self._timer.stop()
        self._told = None

    def _move(self, _viewer: Viewer, event: Any) -> None:
        wanted = (self.always or self._key in event.modifiers) and len(event.dims_displayed) == 2
        self._tell_soon(tuple(event.position) if wanted else None)

    def _enter_or_leave(self, _event: Any) -> None:
        if not self._viewer.mouse_over_canvas:
            self._tell_soon(None)

    def _tell_soon(self, position: tuple[float, ...] | None) -> None:
        self._newest = position
        if not self._timer.isActive():
            self._timer.start()

    def _tell(self) -> None:
        if self._newest is None and self._told is None:
            return
        self._told = self._newest
        self._moved(self._newest)
