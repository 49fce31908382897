"""The measured network, and an image for it."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.errors import InputError
from napari_drcr.inference.pixels import SMALLEST_SIDE
from napari_drcr.models.architecture import NetworkSettings, architectures, find_architecture, find_preset
from napari_drcr.models.store import Card, Model, load_model

FULL_SIZE = "full-size"
"""Names a network of the paper's size with random weights, always the same ones."""
SEED = 0


def find_network(name: str) -> Model:
    """The model to measure.

    Parameters
    ----------
    name : str
        As `napari_drcr.models.store.load_model` takes it, `FULL_SIZE`, or a network and its preset as
        `napari_drcr.models.architecture.find_preset` takes them.

    Returns
    -------
    Model
        With a network.

    Raises
    ------
    InputError
        If there is no such model, or it is a per-pixel map.
    """
    if name == FULL_SIZE:
        model = full_size()
    elif name.partition(":")[0] in {architecture.id for architecture in architectures() if architecture.trainable}:
        model = untrained(find_preset(name), name)
    else:
        model = load_model(name)
    if model.architecture.per_pixel:
        raise InputError(
            f"{model.name} is a per-pixel map, a single product of matrices that is always computed in one way: there is nothing to "
            "compare; choose a network."
        )
    return model


def full_size(**sizes: int) -> Model:
    """DRCR Net of the paper's size; see `untrained`.

    Parameters
    ----------
    **sizes
        Settings other than the paper's, such as ``blocks``.

    Returns
    -------
    Model
        With random weights, always the same ones.
    """
    return untrained(architectures()[0].presets["published"].model_copy(update=sizes), FULL_SIZE)


def untrained(settings: NetworkSettings, name: str) -> Model:
    """A network that has learned nothing: its speed and memory are those of trained ones, its cubes mean nothing.

    Parameters
    ----------
    settings : NetworkSettings
        Of the network.
    name : str
        Of the model.

    Returns
    -------
    Model
        With random weights, always the same ones.
    """
    import torch

    architecture = find_architecture(settings.architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network = architecture.build(settings, len(WAVELENGTHS)).eval().requires_grad_(False)
    content = settings.model_dump(exclude={"architecture"})
    return Model(Card(name=name, architecture=architecture.id, settings=content), network)


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from what a user types.

    Parameters
    ----------
    text : str
        Such as "482x512".

    Returns
    -------
    tuple of int

    Raises
    ------
    InputError
        If the text is no size, or too small for the network.
    """
    found = re.fullmatch(r"(\d{1,6})[xX](\d{1,6})", text.strip())
    if found is None:
        raise InputError(f"a size is HEIGHTxWIDTH in pixels, such as 482x512, not {text!r}.")
    height, width = int(found[1]), int(found[2])
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(f"the image must be at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, not {height} x {width}.")
    return height, width


def make_image(height: int, width: int) -> npt.NDArray[np.uint8]:
    """The bundled synthetic photo, continued by reflection or cut.

    Parameters
    ----------
    height, width : int
        In pixels.

    Returns
    -------
    ndarray, shape (height, width, 3), uint8
        sRGB-encoded.
    """
    from napari_drcr.camera.sample import synthetic_pair

    rgb, _ = synthetic_pair()
    beyond = [(0, max(wanted - there, 0)) for wanted, there in zip((height, width), rgb.shape, strict=False)]
    return np.pad(rgb, (*beyond, (0, 0)), mode="symmetric")[:height, :width]
