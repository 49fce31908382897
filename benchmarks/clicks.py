"""Response time of the dock Reconstruct, in a real viewer, compared with a plain baseline.

    python benchmarks/clicks.py [CANCEL_SIZE]      # needs a screen, for instance xvfb-run -a

With the model `photo`; medians over the repetitions:

* the first click of a session, on the bundled sample, until its cube is a layer: including imports and loading the model, with napari and the
  dock open. Each in a new napari process. Baseline: a Python process that only imports torch;
* further clicks, on an image of 482 x 512. Baseline: the network called on the whole image, as in the released code;
* from a click on *Cancel* until the run has ended, at many moments of a run on an image of CANCEL_SIZE (3072x4096): the maximum.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from explore import pause, report, timed, wait_until

SESSIONS = 5
REPETITIONS = 15
SIZE = (482, 512)
MOMENTS = (0.02, 0.1, 0.3, 0.6, 1, 1.5, 2, 3, 4, 6, 10, 15)
"""Seconds after which a run is cancelled."""


def main(size: str = "3072x4096") -> None:
    """Measure, and print a table."""
    sessions, imports = [], []
    for _ in range(SESSIONS):
        found = subprocess.run([sys.executable, __file__, "first"], check=True, capture_output=True, text=True)
        sessions.append(float(found.stdout.split()[-1]))
        imports.append(timed(lambda: subprocess.run([sys.executable, "-c", "import torch"], check=True)))
    report("first click to layer", sessions, median(imports), "a Python process that imports torch")

    dock, viewer = open_dock()
    add_photo(viewer, *SIZE)
    dock.choose_active_layer()
    click(dock)
    clicks = [click(dock) for _ in range(REPETITIONS)]
    report("further click to layer", clicks, median(plain_pass() for _ in range(5)), "whole image, fp32")
    viewer.layers.clear()

    height, width = map(int, size.split("x"))
    add_photo(viewer, height, width)
    dock.choose_active_layer()
    waits = {moment: cancel_after(dock, moment) for moment in MOMENTS}
    print("cancelled after: " + ", ".join(f"{moment:g} s: {1000 * wait:.0f} ms" for moment, wait in waits.items()))
    print(f"{f'cancel, {size}':28s} {1000 * max(waits.values()):7.1f} ms at most")
    viewer.close()


def first() -> None:
    """One session: open the sample and the dock, click, and print the seconds."""
    dock, viewer = open_dock(sample=True)
    print(click(dock))
    viewer.close()


def open_dock(*, sample: bool = False) -> tuple[Any, Any]:
    """The dock Reconstruct in a new viewer."""
    import napari

    from napari_drcr.widgets.reconstruct import Reconstruct
    from napari_drcr.widgets.viewer.dock import show_dock

    viewer = napari.Viewer(show=False, show_welcome_screen=False)
    viewer.window.show()
    if sample:
        viewer.open_sample("napari-drcr", "synthetic")
    return show_dock(Reconstruct, viewer), viewer


def add_photo(viewer: Any, height: int, width: int) -> None:
    """A photo-like image: coloured blocks with noise."""
    random = np.random.default_rng(0)
    blocks = random.integers(20, 230, (-(-height // 32), -(-width // 32), 3), dtype=np.uint8).repeat(32, 0).repeat(32, 1)
    noise = random.integers(0, 20, (height, width, 3), dtype=np.uint8)
    viewer.add_image(blocks[:height, :width] + noise, rgb=True)


def click(dock: Any) -> float:
    """Seconds from a click on the button until the cube is a layer."""
    layers = dock._viewer.layers
    before = len(layers)
    start = time.perf_counter()
    dock.button.click()
    wait_until(lambda: len(layers) > before or not dock.running, 60)
    seconds = time.perf_counter() - start
    wait_until(lambda: not dock.running)
    if len(layers) == before:
        raise RuntimeError(dock.status.text())
    pause(200)
    layers.pop()
    return seconds


def cancel_after(dock: Any, seconds: float) -> float:
    """Seconds from a click on *Cancel*, that many `seconds` after the start of a run, until the run has ended."""
    dock.button.click()
    pause(round(1000 * seconds))
    start = time.perf_counter()
    dock.button.click()
    wait_until(lambda: not dock.running, 60)
    return time.perf_counter() - start


def plain_pass() -> float:
    """Seconds of the network over a whole image, in float32 and the default memory format."""
    import torch

    from napari_drcr.models.store import load_model

    network: Any = load_model("photo-drcr").estimator
    rgb = torch.rand(1, 3, SIZE[0] + -SIZE[0] % 4, SIZE[1] + -SIZE[1] % 4)
    with torch.inference_mode():
        return timed(lambda: network(rgb))


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        # Keep the user's settings out of the measurement, and this window out of the user's settings.
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        first() if sys.argv[1:] == ["first"] else main(*sys.argv[1:])
