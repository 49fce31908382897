"""The whole way with a network of each family: train, stop, resume, reconstruct in napari."""

from __future__ import annotations

from math import lcm
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

import napari_drcr as nd
from journey import assert_same_network, reconstruct_through_dock, train_straight_and_resumed
from napari_drcr.camera.sample import synthetic_pair
from napari_drcr.models.architecture import Architecture, architectures
from napari_drcr.training.config import make_config
from napari_drcr.training.sections import TrainingConfig

FIRST = {architecture.family: architecture for architecture in reversed(architectures()) if architecture.trainable}
"""Of each family, the network that was registered first."""


@pytest.mark.parametrize("architecture", FIRST.values(), ids=FIRST)
def test_it_is_trained_resumed_to_the_bit_and_used(
    architecture: Architecture,
    config: TrainingConfig,
    tmp_path: Path,
    own_folders: None,
    make_napari_viewer: Any,
    qtbot: QtBot,
) -> None:
    content = config.model_dump(mode="json") | {"network": architecture.presets["small"].model_dump()}
    patch = lcm(16, architecture.multiple)
    straight, resumed = train_straight_and_resumed(make_config(content, learning__steps=4, data__patch=patch), tmp_path)
    model = nd.load_model(straight)
    assert model.architecture is architecture
    assert_same_network(model, nd.load_model(resumed))
    photo = synthetic_pair()[0][:40, :56]
    layer = reconstruct_through_dock(make_napari_viewer(), qtbot, resumed, photo)
    expected = nd.reconstruct(photo, resumed)
    np.testing.assert_allclose(layer.data, expected, atol=1e-5 * float(np.abs(expected).max()))
