"""Response time of the docks Spectrum and Error map, in a real viewer, compared with plain baselines.

    python benchmarks/explore.py            # needs a screen, for instance xvfb-run -a -s "-screen 0 1280x800x24"

Two cubes of 31 x 482 x 512, a truth and an estimate, with ten picked pixels. Medians over the repetitions:

* from a mouse click on the canvas until the plot has painted the new curve, and from each move of the pointer until its preview is painted.
  Baseline: matplotlib drawing the whole figure;
* from a click on *Map errors* until each of its two layers is added, and the longest time that the window was blocked meanwhile. Baseline:
  the relative error in plain numpy.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

REPETITIONS = 15
MOVES = 200
SHAPE = (31, 482, 512)


def main() -> None:
    """Measure, and print a table."""
    import napari
    from qtpy.QtCore import Qt

    from napari_drcr.widgets.error_map import ErrorMap
    from napari_drcr.widgets.spectrum import Spectrum
    from napari_drcr.widgets.viewer.dock import show_dock

    viewer = napari.Viewer(show=False, show_welcome_screen=False)
    window = viewer.window._qt_window
    viewer.window.show()
    window.setGeometry(0, 0, 1280, 800)
    truth, estimate = add_cubes(viewer)
    spectrum = show_dock(Spectrum, viewer)
    window.resizeDocks([spectrum.parent()], [420], Qt.Orientation.Horizontal)
    viewer.reset_view()
    for number in range(10):
        spectrum.pick(truth, 30 * number + 20, 40 * number + 30)
    wait_until(lambda: len(spectrum.drawing.curves) == 20)
    pause(500)

    whole = median(timed(spectrum.plot.axes.figure.canvas.draw) for _ in range(REPETITIONS))
    clicks = [time_click(viewer, spectrum, truth, number) for number in range(REPETITIONS)]
    spectrum.preview_button.click()
    moves = [time_move(viewer, spectrum, truth, number) for number in range(MOVES)]
    spectrum.preview_button.click()
    report("click to painted curve", clicks, whole, "drawing the whole figure")
    report("move to painted preview", moves, whole, "drawing the whole figure")
    print(f"{'':28s} {1 / median(moves):7.0f} frames a second")

    spectrum.hide()
    errors = show_dock(ErrorMap, viewer)
    pause(500)
    plain = median(timed(lambda: relative_error(truth.data, estimate.data)) for _ in range(REPETITIONS))
    runs = [time_map(viewer, errors) for _ in range(REPETITIONS)]
    for number, what in enumerate(("click to map of each band", "click to mean map as well", "longest time blocked")):
        report(what, [run[number] for run in runs], plain, "relative error in numpy")
    viewer.close()


def add_cubes(viewer: Any) -> tuple[Any, Any]:
    """A truth, and an estimate of it, as layers."""
    from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
    from napari_drcr.widgets.viewer.layers import cube_to_layer_data

    random = np.random.default_rng(0)
    values = random.uniform(0.02, 1, SHAPE).astype(np.float32)
    for name, factor, facts in (("truth", 1.0, {}), ("estimate", 1.1, {"model": "none"})):
        cube = make_cube(values * np.float32(factor), WAVELENGTHS, quantity="reflectance", name=name, attrs=facts)
        data, properties, _ = cube_to_layer_data(cube)
        viewer.add_image(data, **properties)
    return viewer.layers["truth"], viewer.layers["estimate"]


def relative_error(truth: Any, estimate: Any) -> Any:
    """The values of the error map, without floor, layers, mean or scale."""
    return np.abs(estimate - truth) / truth


def time_click(viewer: Any, spectrum: Any, layer: Any, number: int) -> float:
    """Seconds from a click until its curve is painted; the pick is removed again."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    where = on_canvas(viewer, layer, 200 + 3 * number, 250 + 5 * number)
    shown = len(spectrum.drawing.curves)
    painted = Recorded(spectrum.plot.painted, lambda: len(spectrum.drawing.curves) > shown)
    start = time.perf_counter()
    QTest.mouseClick(viewer.window._qt_viewer.canvas.native, Qt.MouseButton.LeftButton, pos=where)
    wait_until(painted)
    seconds = painted.times[0] - start
    pause(100)
    spectrum.places.picks.remove(10)
    wait_until(lambda: len(spectrum.drawing.curves) == shown)
    pause(100)
    return seconds


def time_move(viewer: Any, spectrum: Any, layer: Any, number: int) -> float:
    """Seconds from a move of the pointer until the preview is painted."""
    from qtpy.QtCore import QEvent, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    canvas = viewer.window._qt_viewer.canvas.native
    where = QPointF(on_canvas(viewer, layer, 30 + 2 * number, 40 + 2 * number))
    painted = Recorded(spectrum.plot.painted)
    none = Qt.MouseButton.NoButton
    event = QMouseEvent(
        QEvent.Type.MouseMove, where, QPointF(canvas.mapToGlobal(where)), none, none, Qt.KeyboardModifier.NoModifier
    )
    start = time.perf_counter()
    QApplication.sendEvent(canvas, event)
    wait_until(painted)
    return painted.times[0] - start


def time_map(viewer: Any, errors: Any) -> tuple[float, float, float]:
    """Seconds from a click on the button until the first and the second layer are added, and the longest gap in Qt's event loop."""
    from qtpy.QtCore import QTimer

    maps = [layer for layer in viewer.layers if "map" in layer.metadata.get("napari_drcr", {})]
    for layer in maps:
        viewer.layers.remove(layer)
    pause(300)
    ticks = [time.perf_counter()]
    timer = QTimer(interval=1)
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start()
    added = Recorded(viewer.layers.events.inserted)
    start = time.perf_counter()
    errors.panel.button.click()
    wait_until(lambda: len(added.times) >= 2)
    wait_until(lambda: not errors.running)
    pause(100)
    timer.stop()
    first, second = (moment - start for moment in added.times[:2])
    return first, second, max(np.diff(ticks))


class Recorded:
    """Records when a signal was emitted while a condition held."""

    def __init__(self, signal: Any, condition: Callable[[], bool] = lambda: True) -> None:
        self._condition = condition
        self.times: list[float] = []
        signal.connect(self._record)

    def __call__(self) -> bool:
        """True once it was emitted."""
        return bool(self.times)

    def _record(self, _event: Any = None) -> None:
        if self._condition():
            self.times.append(time.perf_counter())


def on_canvas(viewer: Any, layer: Any, row: int, column: int) -> Any:
    """Position of a pixel on the canvas."""
    from qtpy.QtCore import QPoint

    canvas = viewer.window._qt_viewer.canvas.native
    offset = np.asarray(layer.data_to_world((0, row, column)))[-2:] - np.asarray(viewer.scene.camera.center[-2:])
    y, x = np.array([canvas.height(), canvas.width()]) / 2 + offset * viewer.scene.camera.zoom
    return QPoint(round(x), round(y))


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Run Qt's event loop until a condition holds, sleeping between events so that threads can work."""
    from qtpy.QtCore import QEventLoop, QTimer
    from qtpy.QtWidgets import QApplication

    timer = QTimer(interval=2)
    timer.start()
    end = time.perf_counter() + seconds
    while not condition():
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
        if time.perf_counter() > end:
            raise TimeoutError("the viewer did not respond")


def pause(milliseconds: int) -> None:
    """Run Qt's event loop for a while."""
    end = time.perf_counter() + milliseconds / 1000
    wait_until(lambda: time.perf_counter() > end)


def timed(function: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def report(what: str, seconds: list[float], baseline: float, plain: str) -> None:
    """Print one line."""
    print(
        f"{what:28s} {1000 * median(seconds):7.1f} ms   {median(seconds) / baseline:6.2f} x {plain} ({1000 * baseline:.1f} ms)"
    )


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        # Keep the user's settings out of the measurement, and this window out of the user's settings.
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        main()
