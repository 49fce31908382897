"""What users do with a network, for tests of several: train, stop, resume, reconstruct in napari."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from pytestqt.qtbot import QtBot

import napari_drcr as nd
from napari_drcr.models.store import Model
from napari_drcr.training.run import resume_run, start_run
from napari_drcr.training.sections import TrainingConfig


class _Enough(Exception):
    pass


def train_straight_and_resumed(config: TrainingConfig, folder: Path) -> tuple[Path, Path]:
    """The best models of a run without interruption, and of the same run interrupted after three quarters of its steps."""
    steps = config.learning.steps * 3 // 4

    def interrupt(step: int, _steps: int, _text: str) -> None:
        if step >= steps:
            raise _Enough

    with pytest.warns(nd.Notice, match="converted once to half precision"):
        straight = start_run(config, folder / "straight")
    with pytest.raises(_Enough):
        start_run(config, folder / "resumed", progress=interrupt)
    return straight, resume_run(folder / "resumed")


def assert_same_network(one: Model, other: Model) -> None:
    """To the bit."""
    theirs = other.estimator.state_dict()
    for name, value in one.estimator.state_dict().items():
        assert torch.equal(value, theirs[name]), name


def reconstruct_through_dock(viewer: Any, qtbot: QtBot, model: Path, photo: npt.NDArray[np.uint8]) -> Any:
    """The layer that the dock *Reconstruct* makes of a photo with a model file."""
    from viewer_tools import open_widget, run

    viewer.add_image(photo, rgb=True, name="photo")
    widget = open_widget(viewer, "photo")
    widget.add_checkpoint(model)
    run(widget, qtbot)
    return viewer.layers[-1]
