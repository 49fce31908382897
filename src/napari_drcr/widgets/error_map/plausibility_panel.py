"""The panel Plausibility: an estimate projected back through its camera, beside the image that it came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import napari
from napari.layers import Image
from qtpy.QtWidgets import QLabel

from napari_drcr.analysis.plausibility import MEANING, Plausibility, assess_plausibility
from napari_drcr.camera import CAMERAS
from napari_drcr.errors import InputError
from napari_drcr.widgets.error_map.image_panel import NO_CUBE, ImagePanel
from napari_drcr.widgets.viewer.background import sentence_of
from napari_drcr.widgets.viewer.choosers import FileChoice, explained
from napari_drcr.widgets.viewer.controls import add_rows
from napari_drcr.widgets.viewer.fitting import form_layout, stack
from napari_drcr.widgets.viewer.layers import (
    MAP_KEY,
    PROVENANCE_KEY,
    facts_of_layer,
    layer_to_cube,
    map_to_layer_data,
    show_alone,
    show_map,
)
from napari_drcr.widgets.viewer.placement import placement
from napari_drcr.widgets.viewer.rgb_images import profile_of_layer, rgb_from_layer, shown_slice

ASSUMED = "assumes CIE 1931"
RESIDUAL = "RGB residual"


class PlausibilityPanel(ImagePanel):
    """Say how far an estimate, seen through a camera, is from its image, and map it; no ground truth is needed.

    `estimate` returns the cube layer in question, or None. Call `refresh` when it would return another.

    Attributes
    ----------
    camera : FileChoice
        None for what the cube says, the name of a camera, or the path of a CSV file of responses.
    """

    def __init__(self, viewer: napari.viewer.Viewer, estimate: Callable[[], Image | None]) -> None:
        super().__init__(viewer, estimate, "Project back", "The projection")
        self._estimate = estimate
        self._about: tuple[Image | None, ...] | None = None
        title, kinds = "Choose a camera's responses", "Tables (*.csv);;All files (*)"
        self.camera = explained(
            FileChoice([None, *CAMERAS], "Choose file", kinds, title=title, nothing=ASSUMED),
            "Whose response and light the cube is seen through; a CSV file has the columns wavelength, r, g and b.",
        )
        self.button.setToolTip("Adds a map of the difference to the image, in linear light.")
        form = add_rows(form_layout(), self.image)
        form.addRow("Camera", self.camera)
        stack(self, form, self.button, self.status, QLabel(MEANING, wordWrap=True), margin=None).addStretch()
        self.button.clicked.connect(self.run)
        self.refresh()

    def run(self) -> None:
        """Project the estimate back, in a thread."""
        estimate, image = self._estimate(), self.image.value
        if estimate is None or image is None:
            self._say(NO_CUBE if estimate is None else self._missing)
            return
        try:
            index = shown_slice(self._viewer, image, estimate)
        except InputError as error:
            self._say(sentence_of(error))
            return
        self._about = estimate, image
        self._background.run(_assess, estimate, image, index, self.camera.value, done=partial(self._show, estimate, image))
        self._say("Projecting back\N{HORIZONTAL ELLIPSIS}")
        self._update()

    def _update(self) -> None:
        estimate, image = self._estimate(), self.image.value
        self.button.setDisabled(self.running or estimate is None or image is None)
        self.camera.box.setItemText(0, ASSUMED if estimate is None else _said_by(estimate))
        if self._about != (estimate, image):
            # What was said was about others.
            self._about = estimate, image
            self._background.cancel()
            self._say(NO_CUBE if estimate is None else self._missing)

    def _show(self, estimate: Image, image: Image, found: Plausibility) -> None:
        facts = {
            "estimate": estimate.name,
            "assumption": found.assumption,
            "exposure": found.exposure,
            "residual": found.residual,
            "clipped_share": found.clipped_share,
            "meaning": MEANING,
        }
        name = f"{image.name} ({facts_of_layer(estimate).get('model', estimate.name)} {RESIDUAL})"
        values, properties, _ = map_to_layer_data(found.residuals, image, name=name, facts=facts)
        layer = self._find_map(properties["metadata"][PROVENANCE_KEY])
        if layer is None:
            show_map(self._viewer, values, properties)
        else:
            layer.data = values
            for key in ("metadata", "contrast_limits", *placement(image)):
                setattr(layer, key, properties[key])
            show_alone(self._viewer, layer)
        exposure = "" if found.exposure == 1 else f" Exposure: times {found.exposure:.3g}."
        self._say(
            f"RMS residual {found.residual:.4f} of white, in linear light; {found.clipped_share:.1%} clipped and left out.{exposure}\n"
            f"{found.assumption[0].upper()}{found.assumption[1:]}."
        )

    def _find_map(self, facts: dict[str, Any]) -> Image | None:
        """The map of this estimate and image that is there already."""
        same = {key: facts[key] for key in (MAP_KEY, "estimate", "source_layer")}.items()
        return next((layer for layer in self._viewer.layers if same <= facts_of_layer(layer).items()), None)


def _said_by(estimate: Image) -> str:
    """What the projection goes by where no camera is chosen."""
    facts = facts_of_layer(estimate)
    if facts.get("camera"):
        return f"as the cube says: {facts['camera']}"
    return ASSUMED if facts.get("quantity") == "radiance" else f"{ASSUMED} under D65"


def _assess(estimate: Image, image: Image, index: Sequence[int], camera: str | None) -> Plausibility:
    """Run in a thread."""
    return assess_plausibility(layer_to_cube(estimate), rgb_from_layer(image, index), camera, profile=profile_of_layer(image))
