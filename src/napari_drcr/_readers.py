"""What `napari.yaml` names to open files: cubes become layers on a wavelength axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import napari

from napari_drcr.io import looks_like_cube
from napari_drcr.widgets.viewer.layers import LayerData, cube_to_layer_data, open_cube, show_wavelength
from napari_drcr.widgets.viewer.navigation import begin_at_green


def get_reader(path: str | list[str]) -> Callable[[Any], list[LayerData]] | None:
    """Offer to open a file or folder if its header looks like a cube's.

    Parameters
    ----------
    path : str or list of str
        What is to be opened. Several files as one stack are declined: a cube is one file or one folder.

    Returns
    -------
    callable or None
        `read_layers`, or None to leave the path to other plugins.
    """
    if isinstance(path, list) or not looks_like_cube(path):
        return None
    return read_layers


def read_layers(path: str) -> list[LayerData]:
    """Open a cube as a layer.

    Parameters
    ----------
    path : str
        A file or folder that `napari_drcr.io.read_cube` reads.

    Returns
    -------
    list of tuple
        One image layer, as napari wants it from readers.

    Raises
    ------
    InputError
        If the file holds no cube.
    """
    layer_data, viewer = cube_to_layer_data(open_cube(path)), napari.current_viewer()
    show_wavelength(viewer)
    begin_at_green(viewer)
    return [layer_data]
