"""Frame time of napari while a run trains in the background, compared with no run.

    python benchmarks/frames.py CONFIG.yaml     # needs a screen, for instance xvfb-run -a

CONFIG is a configuration for `napari-drcr train`, including its data. A cube of 31 x 482 x 512 is shown band by band: each frame is timed from the
move of the slider until the canvas has drawn it. The run is started as by the dock Train, and stopped at the end; its folder is temporary.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from explore import wait_until

FRAMES = 400
SHAPE = (31, 482, 512)


def main(config: str, folder: Path) -> None:
    """Measure, and print a table."""
    import napari

    from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
    from napari_drcr.training import jobs
    from napari_drcr.training.config import read_config
    from napari_drcr.widgets.viewer.layers import cube_to_layer_data

    viewer = napari.Viewer(show=False, show_welcome_screen=False)
    viewer.window.show()
    cube = make_cube(np.random.default_rng(0).random(SHAPE, dtype=np.float32), WAVELENGTHS, quantity="reflectance")
    values, properties, _ = cube_to_layer_data(cube)
    viewer.add_image(values, **properties)
    frames(viewer, 10)
    alone = frames(viewer, FRAMES)
    run = folder / "run"
    jobs.prepare(read_config(config), run)
    jobs.start(run)
    try:
        wait_until(lambda: (jobs.read_run(run).status.step or 0) > 5, 300)
        during = frames(viewer, FRAMES)
        print(f"the run was {jobs.read_run(run).state}, at step {jobs.read_run(run).status.step}")
    finally:
        jobs.stop(run)
        wait_until(lambda: not jobs.read_run(run).alive, 120)
    viewer.close()
    for what, times in (("without a run", alone), ("while a run trains", during)):
        middle, late = 1000 * np.quantile(times, [0.5, 0.95])
        print(
            f"{what:20s} median {middle:6.1f} ms, 95th percentile {late:6.1f} ms   {middle / (1000 * np.median(alone)):.2f} x"
        )


def frames(viewer: Any, count: int) -> list[float]:
    """Seconds from a step of the slider until the canvas has drawn it."""
    drawn: list[float] = []
    canvas = viewer.window._qt_viewer.canvas._scene_canvas
    canvas.events.draw.connect(lambda _: drawn.append(time.perf_counter()), position="last")
    times = []
    for number in range(count):
        drawn.clear()
        start = time.perf_counter()
        viewer.dims.set_current_step(0, number % SHAPE[0])
        wait_until(lambda: bool(drawn), 20)
        times.append(drawn[-1] - start)
    return times


if __name__ == "__main__":
    with TemporaryDirectory() as scratch:
        os.environ["NAPARI_CONFIG"] = str(Path(scratch) / "settings.yaml")
        main(sys.argv[1], Path(scratch))
