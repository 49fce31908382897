"""What napari's menu Layers does with a cube's colours: as the eye sees it, or with three of its bands for red, green and blue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import napari
import numpy as np
import numpy.typing as npt
from napari.layers import Image, Layer
from napari.utils import progress
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QDoubleSpinBox, QFormLayout, QLabel

from napari_drcr.cubes.rendering import render_false_colour, render_srgb
from napari_drcr.errors import InputError
from napari_drcr.widgets.viewer.background import Background, sentence_of
from napari_drcr.widgets.viewer.fitting import stack
from napari_drcr.widgets.viewer.layers import PROVENANCE_KEY, is_cube_layer, layer_to_cube, layer_wavelengths
from napari_drcr.widgets.viewer.placement import placement
from napari_drcr.widgets.viewer.stacking import add_below_marks

if TYPE_CHECKING:
    import xarray as xr

NO_WINDOW = "There is no napari window to show a rendering in."
DEFAULTS = ((850.0, 650.0, 550.0), (700.0, 550.0, 450.0))
"""Wavelengths in nm for red, green and blue: vegetation's infrared where a cube reaches so far, else the visible."""

Rendered = tuple[npt.NDArray[np.float32], str, dict[str, Any]]
"""Values, what to call them, and how they were made."""


def render_srgb_layer() -> None:
    """Add the selected cube as the eye sees it: what napari's menu Layers runs."""
    _with_active_cube(lambda viewer, layer: _render(viewer, layer, _srgb))


def false_colour_layer() -> None:
    """Ask for three wavelengths of the selected cube and add their composite: what napari's menu Layers runs."""
    _with_active_cube(lambda viewer, layer: FalseColour(viewer, layer).show())


class FalseColour(QDialog):
    """Asks, without holding up the viewer, which bands to show as red, green and blue.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where the composite goes.
    layer : napari.layers.Image
        A cube layer.

    Attributes
    ----------
    wavelengths : list of QDoubleSpinBox
        For red, green and blue, in nm.
    """

    def __init__(self, viewer: napari.viewer.Viewer, layer: Image) -> None:
        super().__init__(viewer.window._qt_window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("False-colour composite")
        self._viewer, self._layer = viewer, layer
        nm = layer_wavelengths(layer)
        step = float(np.diff(nm).mean()) if nm.size > 1 else 1.0
        decimals = 0 if np.array_equal(nm, np.rint(nm)) else 1
        self.wavelengths = []
        for wanted in _defaults(nm):
            box = QDoubleSpinBox(minimum=float(nm[0]), maximum=float(nm[-1]), singleStep=step, decimals=decimals, suffix=" nm")
            box.setValue(wanted)
            self.wavelengths.append(box)
        form = QFormLayout()
        for colour, box in zip(("Red", "Green", "Blue"), self.wavelengths, strict=True):
            form.addRow(colour, box)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        about = QLabel(f"{layer.name}: {nm.size} bands, {nm[0]:g}-{nm[-1]:g} nm. The nearest bands are shown.", wordWrap=True)
        stack(self, about, form, buttons, margin=None)

    def accept(self) -> None:
        """Add the composite."""
        _render(self._viewer, self._layer, partial(_false_colour, wanted=[box.value() for box in self.wavelengths]))
        super().accept()


def _defaults(nm: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """The first defaults that the bands reach, else bands as far apart as they go."""
    for wanted in DEFAULTS:
        if nm[0] <= min(wanted) and max(wanted) <= nm[-1]:
            return wanted
    return tuple(float(nm[round(share * (nm.size - 1))]) for share in (0.9, 0.5, 0.1))


def _with_active_cube(act: Callable[[napari.viewer.Viewer, Image], None]) -> None:
    viewer = napari.current_viewer()
    if viewer is None:
        raise InputError(NO_WINDOW)
    layer = viewer.layers.selection.active
    try:
        _check_cube_layer(layer)
    except InputError as error:
        show_error(sentence_of(error))
        return
    act(viewer, layer)


def _check_cube_layer(layer: Layer | None) -> None:
    if layer is None:
        raise InputError("No layer is selected, or several are; select one cube layer first.")
    if not is_cube_layer(layer):
        # Says what else it is, unless it is a map.
        layer_to_cube(layer)
        raise InputError(f"the layer {layer.name!r} is a map, not a cube; select the cube itself.")


def _render(viewer: napari.viewer.Viewer, layer: Image, render: Callable[[xr.DataArray], Rendered]) -> None:
    """Render a cube in a thread, and add the picture exactly over it; the activity dock shows that it is under way."""
    background = Background(viewer.window._qt_window, show_error, show_info, task="The rendering", remedy="try a smaller cube")
    # It has no steps, so the bar goes to and fro.
    bar = progress(total=0, desc=f"Rendering {layer.name}")
    background.finished.connect(bar.close)
    background.finished.connect(background.deleteLater)
    background.run(_work, layer, render, done=partial(_add, viewer, layer))


def _work(layer: Image, render: Callable[[xr.DataArray], Rendered]) -> Rendered:
    return render(layer_to_cube(layer))


def _srgb(cube: xr.DataArray) -> Rendered:
    light = cube.attrs.get("illuminant") if cube.attrs.get("quantity") == "radiance" else "D65"
    return render_srgb(cube), "sRGB", {"rendering": "sRGB", "observer": "CIE 1931", "illuminant": light}


def _false_colour(cube: xr.DataArray, wanted: list[float]) -> Rendered:
    nm = cube["wavelength"].values
    bands = [float(nm[np.argmin(np.abs(nm - wavelength))]) for wavelength in wanted]
    name = f"false colour {', '.join(f'{band:g}' for band in bands)} nm"
    made = {"rendering": "false colour", "wavelengths": bands, "illuminant": cube.attrs.get("illuminant")}
    return render_false_colour(cube, *wanted), name, made


def _add(viewer: napari.viewer.Viewer, layer: Image, rendered: Rendered) -> None:
    values, what, made = rendered
    metadata: Mapping[str, Any] = {PROVENANCE_KEY: {**made, "source_layer": layer.name}}
    name = f"{layer.name} ({what})"
    picture = Image(values, rgb=True, name=name, metadata=metadata, axis_labels=("y", "x"), **placement(layer))
    add_below_marks(viewer, picture)
