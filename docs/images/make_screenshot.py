"""Make napari-reconstruct.png: napari after Open Sample and Reconstruct.

Run it with a screen of 1280 x 800, for instance a virtual one:

    xvfb-run -a -s "-screen 0 1280x800x24" python docs/images/make_screenshot.py [MODEL]

MODEL is a shipped model or a checkpoint file; the default model without it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

TARGET = Path(__file__).with_name("napari-reconstruct.png")
WIDTH, HEIGHT, DOCK_WIDTH = 1280, 800, 300


def main(model: str | None = None) -> None:
    """Drive napari as a user would, and save what is on the screen.

    Parameters
    ----------
    model : str, optional
        A shipped model's name or a checkpoint file.
    """
    import napari
    from qtpy.QtCore import Qt

    from napari_drcr.widgets.reconstruct import reconstruct_active_layer

    viewer = napari.Viewer(show=False, show_welcome_screen=False)
    window = viewer.window._qt_window
    window.setGeometry(0, 0, WIDTH, HEIGHT)
    viewer.window.show()
    window.setGeometry(0, 0, WIDTH, HEIGHT)
    viewer.open_sample("napari-drcr", "synthetic")
    reconstruct_active_layer()
    widget = viewer.window.dock_widgets["Reconstruct (DRCR)"]
    window.resizeDocks([widget.parent()], [DOCK_WIDTH], Qt.Orientation.Horizontal)
    while len(widget.device.choices) == 1:  # the hardware is not known yet
        wait(100)
    if model is not None:
        if model in widget.model.choices:
            widget.model.value = model
        else:
            widget.add_checkpoint(model)
    widget.run()
    while widget.running:
        wait(100)
    viewer.reset_view()
    wait(1000)
    viewer.window.screenshot(TARGET, canvas_only=False, flash=False)
    viewer.close()


def wait(milliseconds: int) -> None:
    """Let napari run.

    Parameters
    ----------
    milliseconds : int
        How long.
    """
    from qtpy.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        # Neither the user's settings in the picture, nor this window in the user's settings.
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        main(*sys.argv[1:])
