"""What napari can crash of, done in a process of its own: drawing when a layer of shapes, or one with a colour bar, was removed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.viewer

PRELUDE = """
import faulthandler
import gc
import napari
import numpy as np
from qtpy.QtTest import QTest
from napari_drcr.widgets.viewer.dock import show_dock
from napari_drcr.widgets.error_map import ErrorMap
from napari_drcr.widgets.reconstruct import Reconstruct

def wait(done):
    QTest.qWait(100)
    while not done():
        QTest.qWait(20)
    QTest.qWait(200)

faulthandler.enable()
"""
WHITE_PATCH = """
viewer = napari.Viewer()
viewer.add_image(np.full((40, 60, 3), 200, np.uint8), rgb=True)
dock = show_dock(Reconstruct, viewer)
dock.model.value = "linear"
QTest.qWait(200)
dock.white_patch.take((20, 30))
QTest.qWait(200)
dock.white_patch.clear_button.click()
QTest.qWait(200)
dock.button.click()
wait(lambda: not dock.running)
assert len(viewer.layers) == 3
viewer.close()
"""
OTHER_MAPS = """
viewer = napari.Viewer()
nm = list(range(400, 710, 10))
estimate = {"napari_drcr": {"model": "photo"}, "wavelengths": nm}
cubes = [viewer.add_image(np.random.rand(31, 40, 60), metadata=facts) for facts in ({"wavelengths": nm}, estimate)]
dock = show_dock(ErrorMap, viewer)
dock.choice.choose(cubes[1], cubes[0])
dock.panel.button.click()
wait(lambda: not dock.running)
for layer in viewer.layers:
    layer.visible = layer is cubes[1]
QTest.qWait(200)
dock.panel.metric_choice.value = "sam"
wait(lambda: dock.panel.facts.text().startswith("Compared") and not dock._later.isActive() and not dock.running)
gc.collect()
QTest.qWait(200)
for size in ((1200, 900), (1000, 700)):
    viewer.window.resize(*size)
    QTest.qWait(200)
viewer.close()
print("ended")
"""


def test_napari_goes_on_drawing(tmp_path: Path) -> None:
    script = tmp_path / "steps.py"
    script.write_text(f"{PRELUDE}{WHITE_PATCH}{OTHER_MAPS}")
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[-1] == "ended"
