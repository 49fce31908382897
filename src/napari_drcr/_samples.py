"""What `napari.yaml` names as sample data. Nothing is downloaded."""

from __future__ import annotations

from importlib.resources import as_file, files

import napari

from napari_drcr.camera.sample import synthetic_pair
from napari_drcr.io import read_rgb
from napari_drcr.widgets.viewer.layers import LayerData, cube_to_layer_data, show_wavelength
from napari_drcr.widgets.viewer.navigation import begin_at_green


def synthetic_scene() -> list[LayerData]:
    """The synthetic scene: its exact cube, and above it the photograph that a camera would make of it.

    Returns
    -------
    list of tuple
        Two image layers, as napari wants them from samples.
    """
    rgb, cube = synthetic_pair()
    values, properties, kind = cube_to_layer_data(cube)
    viewer = napari.current_viewer()
    show_wavelength(viewer)
    begin_at_green(viewer)
    return [
        (values, properties | {"name": "synthetic scene (true cube)"}, kind),
        (rgb, {"name": "synthetic scene", "rgb": True}, "image"),
    ]


def photo() -> list[LayerData]:
    """A photograph of a cup of coffee that comes with scikit-image (by Rachel Michetti, CC0).

    Returns
    -------
    list of tuple
        One RGB image layer.
    """
    # The file itself: skimage.data.coffee() would fetch it from the network should it ever be missing.
    with as_file(files("skimage") / "data" / "coffee.png") as path:
        return [(read_rgb(path), {"name": "coffee cup", "rgb": True}, "image")]
