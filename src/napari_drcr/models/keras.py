"""Weights of Keras networks, from HDF5 files of Keras 2. Nothing in such a file is run: its graph is not even read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_drcr.errors import InputError
from napari_drcr.io._reading import one_sentence
from napari_drcr.system.files import naming

if TYPE_CHECKING:
    import h5py
    from torch import Tensor

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""How HDF5 files begin."""
WEIGHTS = "model_weights"
"""The group of the layers in the file of a whole model; files of weights alone have the layers at their root."""


def read_keras(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """The arrays of all layers.

    Attributes, which hold the graph, are not read: they are where HDF5 itself can be crashed. Neither are arrays that Keras does
    not write: compressed ones, or those whose values are elsewhere or nowhere.

    Parameters
    ----------
    path : Path
        An HDF5 file.

    Returns
    -------
    state : dict of str to Tensor
        By names of layer and array, such as ``conv2d_1/kernel``; as stored. `to_torch` makes parameters of them.
    beside : list of str
        What else is in the file, such as "optimizer_weights".

    Raises
    ------
    InputError
        If the file is damaged, or its arrays are not those of a Keras network.
    """
    import h5py

    state: dict[str, Tensor] = {}
    with naming(path), one_sentence(), h5py.File(path, "r") as file:
        whole = isinstance(file.get(WEIGHTS, getlink=True), h5py.HardLink)
        layers = file[WEIGHTS] if whole else file
        found: list[tuple[str, h5py.Dataset]] = []

        def take(name: str, item: h5py.Group | h5py.Dataset) -> None:  # Links to other files are not followed.
            if isinstance(item, h5py.Dataset):
                found.append((name, item))

        layers.visititems(take)
        for place, array in found:
            parts = place.removesuffix(":0").split("/")
            name = f"{parts[0]}/{parts[-1]}"
            if len(parts) < 2 or name in state:
                raise InputError(f"{place!r} is not an array of a Keras layer, or one of two of that name.")
            state[name] = _read(place, array, path.stat().st_size)
        if not state:
            raise InputError("it is an HDF5 file without the layers of a Keras network.")
        beside = [name for name in file if name != WEIGHTS] if whole else []
    return state, beside


def _read(name: str, array: h5py.Dataset, largest: int) -> Tensor:
    """An array that lies in the file as Keras writes it, and is no larger than the file."""
    import h5py
    import torch

    if array.dtype.kind != "f":
        raise InputError(f"{name} holds values of the kind {array.dtype}, not floating-point numbers.")
    size = array.size * array.dtype.itemsize
    plain = array.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS and array.external is None
    if not plain or array.id.get_storage_size() != size or size > largest:
        raise InputError(f"{name} does not hold all of its values as Keras stores them; save the weights with Keras.")
    return torch.from_numpy(np.asarray(array[()], dtype=np.float64 if array.dtype.itemsize > 4 else np.float32))


def to_torch(array: Tensor) -> Tensor:
    """An array of a convolution, transposed convolution, linear or normalising layer, with its axes in torch's order.

    Parameters
    ----------
    array : Tensor
        Kernels of Keras are (y, x, inputs, outputs), those of transposed convolutions (y, x, outputs, inputs), those of linear
        layers (inputs, outputs).

    Returns
    -------
    Tensor
        (outputs, inputs, y, x), (inputs, outputs, y, x), (outputs, inputs); others as they are.
    """
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim)
    return array if axes is None else array.permute(axes).contiguous()
