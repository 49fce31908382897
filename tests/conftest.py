from __future__ import annotations

import gc
from collections.abc import Generator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as `viewer` what opens napari, so that it can be left out where there is no screen."""
    for item in items:
        if "make_napari_viewer" in getattr(item, "fixturenames", ()):
            item.add_marker("viewer")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Collect closed windows here: Qt crashes at the end if a thread of dask happens to do it."""
    yield
    if item.get_closest_marker("viewer"):
        gc.collect()
