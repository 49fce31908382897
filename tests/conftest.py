"""What all tests share: folders of their own, a tiny training run, and memory cleared of closed windows."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Generator, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import napari_drcr as nd
from napari_drcr.camera.sample import synthetic_scene
from napari_drcr.training.config import make_config
from napari_drcr.training.sections import TrainingConfig

if TYPE_CHECKING:
    import napari


def pytest_configure() -> None:
    """Settings of this process and of those that it starts.

    Compute in one thread: for networks this small, several mostly wait for each other. Leave napari's settings of whoever runs
    the tests alone, and write none. Look for garbage less often: each viewer has its own collected, and there is little else.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["NAPARI_CONFIG"] = ""
    gc.set_threshold(10_000, 10, 10)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `viewer` what opens napari, so that it can be left out where there is no screen."""
    for item in items:
        if "make_napari_viewer" in getattr(item, "fixturenames", ()):
            item.add_marker("viewer")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Look at what is there already for the last time: each viewer has its garbage collected, among what it left itself only."""
    if item.get_closest_marker("viewer"):
        gc.collect()
        gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Collect closed windows here: Qt crashes at the end if a thread of dask happens to do it."""
    yield
    if item.get_closest_marker("viewer"):
        gc.collect()


@pytest.fixture(scope="session", autouse=True)
def manifests_read_once() -> Iterator[None]:
    """What is installed does not change between two viewers, each of which would read all manifests again."""
    from npe2 import PluginManager

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PluginManager, "discover", cache(PluginManager.discover))
        yield


@pytest.fixture
def shown_viewer(make_napari_viewer: Callable[..., napari.Viewer]) -> napari.Viewer:
    """A viewer on the screen whose canvas receives the events that tests send, and none of the screen's own pointer."""
    from qtpy.QtCore import Qt

    viewer = make_napari_viewer(show=False)
    viewer.window._qt_viewer.canvas.native.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    viewer.show()
    return viewer


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep caches and user data of the test, and of the processes that it starts, to itself."""
    for kind, variable in (("cache", "XDG_CACHE_HOME"), ("data", "XDG_DATA_HOME")):
        monkeypatch.setenv(variable, str(tmp_path / kind))
        monkeypatch.setattr(f"platformdirs.user_{kind}_dir", lambda name, kind=kind: str(tmp_path / kind / name))


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    """A tiny network, two small scenes, and so many steps that it trains until it is stopped."""
    for split, seed in (("Train_spectral", 1), ("Valid_spectral", 2)):
        (tmp_path / "scenes" / split).mkdir(parents=True)
        nd.write_cube(tmp_path / "scenes" / split / f"scene_{seed}.mat", synthetic_scene(32, 48, seed=seed))
    return make_config(
        {
            "name": "tiny",
            "device": "cpu",
            "network": {"channels": 8, "blocks": 1},
            "data": {"folder": str(tmp_path / "scenes"), "patch": 16},
            "learning": {"steps": 100_000, "batch": 1, "validate_every": 4, "precision": "fp32", "learning_rate": 0.003},
        }
    )
