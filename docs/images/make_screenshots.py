"""Make the pictures of napari in the documentation: the sample, its estimates, their spectra, and their errors.

Run it with a screen of 1280 x 800, for instance a virtual one:

    xvfb-run -a -s "-screen 0 1280x800x24" python docs/images/make_screenshots.py
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import napari

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1280, 800
TRAINING = {
    "name": "leaves",
    "network": {"channels": 16, "blocks": 2},
    "learning": {"steps": 300, "warmup_steps": 20, "validate_every": 50, "learning_rate": 3e-3, "ema_decay": 0.9},
}
PICKS = {"orange": (148, 262), "ball": (190, 130), "foil": (40, 60)}
"""Pixels (y, x) of the synthetic scene."""


def main() -> None:
    """Drive napari as a user would, and save what is on the screen."""
    import napari
    from PIL import Image

    from napari_drcr.widgets.error_map import ErrorMap
    from napari_drcr.widgets.reconstruct import Reconstruct
    from napari_drcr.widgets.spectrum import Spectrum
    from napari_drcr.widgets.viewer.dock import show_dock

    viewer = napari.Viewer(show=False, show_welcome_screen=False)
    viewer.window.show()
    viewer.window._qt_window.setGeometry(0, 0, WIDTH, HEIGHT)
    viewer.open_sample("napari-drcr", "synthetic")
    rgb, truth = viewer.layers["synthetic scene"], viewer.layers["synthetic scene (true cube)"]

    widget = show_dock(Reconstruct, viewer)
    widen(viewer, widget, 300)
    wait_until(lambda: len(widget.device.choices) > 1)
    estimate(widget, "photo")
    save(viewer, "napari-reconstruct.png")
    estimate(widget, "linear")
    hide(widget)

    spectrum = show_dock(Spectrum, viewer)
    widen(viewer, spectrum, 420)
    for layer in viewer.layers:
        layer.visible = layer is rgb
    for y, x in PICKS.values():
        spectrum.pick(truth, y, x)
    wait_until(lambda: len(spectrum.drawing.curves) == 3 * len(PICKS))
    spectrum.table.selectRow(0)
    save(viewer, "napari-spectrum.png")
    hide(spectrum)
    spectrum.places.picks.layer.visible = False

    errors = show_dock(ErrorMap, viewer)
    widen(viewer, errors, 420)
    for layer in (viewer.layers["synthetic scene (linear estimate)"], viewer.layers["synthetic scene (photo estimate)"]):
        errors.choice.choose(layer)
        errors.run()
        wait_until(lambda: not errors.running)
    save(viewer, "napari-error-map.png")
    with TemporaryDirectory() as folder:
        errors.figure.write(Path(folder) / "comparison.png")
        wait_until(lambda: not errors.figure.running)
        picture = Image.open(Path(folder) / "comparison.png").convert("RGB")
        picture.thumbnail((1200, 1200))
        picture.save(HERE / "comparison.jpg", quality=88)
    hide(errors)
    viewer.layers.clear()
    train(viewer)
    viewer.close()


def train(viewer: napari.Viewer) -> None:
    """Train on five synthetic scenes for a minute, and picture the run."""
    from napari_drcr import write_cube
    from napari_drcr.camera.sample import synthetic_scene
    from napari_drcr.training.jobs import read_run, stop
    from napari_drcr.widgets.train import Train
    from napari_drcr.widgets.viewer.dock import show_dock

    with TemporaryDirectory() as folder:
        for seed, name in enumerate(("bark", "clover", "ivy", "moss", "oak leaf")):
            write_cube(Path(folder) / f"{name}.nc", synthetic_scene(160, 208, seed=seed))
        widget = show_dock(Train, viewer)
        widen(viewer, widget, 420)
        widget.form.set_content(TRAINING)
        widget.data.choose(folder)
        wait_until(lambda: not widget.data.looking)
        widget.data.split()
        widget.data.preview()
        wait_until(lambda: len(viewer.layers) == 2)
        widget.launch.start()
        wait_until(lambda: widget.runs.selected is not None and (widget.runs.selected.status.step or 0) > 230)
        save(viewer, "napari-train.png")
        stop(widget.runs.selected.folder)
        wait_until(lambda: not read_run(widget.runs.selected.folder).alive)


def estimate(widget: Any, model: str) -> None:
    """Reconstruct with a model."""
    widget.model.value = model
    widget.run()
    wait_until(lambda: not widget.running)


def widen(viewer: napari.Viewer, widget: Any, width: int) -> None:
    """Give a dock its width in pixels."""
    from qtpy.QtCore import Qt

    viewer.window._qt_window.resizeDocks([widget.parent()], [width], Qt.Orientation.Horizontal)


def hide(widget: Any) -> None:
    """Put a dock away."""
    widget.parent().hide()


def save(viewer: napari.Viewer, name: str) -> None:
    """Save the window as it is on the screen, once all has found its place."""
    wait(500)
    viewer.reset_view()
    wait(1000)
    viewer.window.screenshot(HERE / name, canvas_only=False, flash=False)


def wait_until(condition: Callable[[], bool]) -> None:
    """Let napari run until something is so."""
    while not condition():
        wait(50)


def wait(milliseconds: int) -> None:
    """Let napari run for a while."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        # Neither the user's settings in the pictures, nor this window in the user's settings.
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        os.environ["XDG_DATA_HOME"] = folder  # where runs are kept on Linux
        main()
