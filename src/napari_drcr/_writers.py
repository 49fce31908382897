"""What `napari.yaml` names to save layers: the cube behind a layer goes to a file."""

from __future__ import annotations

from typing import Any

from napari.layers import Image

from napari_drcr.errors import InputError
from napari_drcr.io import write_cube
from napari_drcr.widgets.viewer.layers import layer_to_cube


def write_layer(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Save one image layer as a cube.

    Parameters
    ----------
    path : str
        Where to; its suffix chooses the format.
    data : array_like, shape (bands, y, x)
        The layer's values.
    attributes : dict
        The layer's other properties, as napari hands them to writers.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    RuntimeError
        With the sentence of an `InputError`, if the layer is no cube or the file cannot be written.
    """
    try:
        write_cube(path, layer_to_cube(Image(data, **attributes)))
    except InputError as error:
        # napari takes a ValueError, which InputError is, for a plugin without a writer, and would say that instead.
        raise RuntimeError(str(error)) from error
    return [path]
