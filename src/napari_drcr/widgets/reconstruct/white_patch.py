"""A control to pick something white in an image by a click on the canvas."""

from __future__ import annotations

from typing import Any

import napari
from magicgui.widgets import ComboBox
from napari.layers import Image, Shapes
from qtpy.QtGui import QHideEvent
from qtpy.QtWidgets import QPushButton, QWidget

from napari_drcr.errors import InputError, ignore_notice, notices_to
from napari_drcr.inference.preparation import measure_white
from napari_drcr.inference.white import Box
from napari_drcr.widgets.viewer.background import sentence_of
from napari_drcr.widgets.viewer.canvas import Click, ClickListener
from napari_drcr.widgets.viewer.choosers import explained
from napari_drcr.widgets.viewer.controls import Message
from napari_drcr.widgets.viewer.fitting import beside, stack
from napari_drcr.widgets.viewer.layers import PROVENANCE_KEY
from napari_drcr.widgets.viewer.navigation import image_size, pixel_at
from napari_drcr.widgets.viewer.placement import placement
from napari_drcr.widgets.viewer.rgb_images import profile_of_layer, rgb_from_layer, shown_slice
from napari_drcr.widgets.viewer.shape_regions import WHITE_PATCH_KEY, is_outline
from napari_drcr.widgets.viewer.stacking import add_unselected, bring_up
from napari_drcr.widgets.viewer.tools import end_tool

SIDE = 9
"""Of the box around a click, in pixels of the image."""
HINT = "Click something white in the image."


class WhitePatch(QWidget):
    """Pick a white patch of the chosen image, and see what it gives.

    While `button` is down, a click on the canvas takes the box around it; a drag still moves the view. The box is outlined by a
    Shapes layer, and removing that layer clears the patch, as `clear_button` and choosing another image do. A cleared patch
    leaves the layer hidden, for the next one: napari can crash at a later draw after a layer of shapes was removed.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose canvas is clicked.
    layer, encoding, white_level : magicgui.widgets.ComboBox
        The image that the patch belongs to, and how its values are to be understood.

    Attributes
    ----------
    box : tuple of int or None
        Top, left, bottom and right of the patch in pixels, the last two excluded.
    status : Message
        The box and its gains, or why there are none.
    """

    def __init__(self, viewer: napari.viewer.Viewer, layer: ComboBox, encoding: ComboBox, white_level: ComboBox) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer, self._encoding, self._white_level = layer, encoding, white_level
        self.box: Box | None = None
        self._outline: Shapes | None = None
        self._clicks = ClickListener(viewer, self._click)
        self.button = explained(
            QPushButton("Pick"),
            "Press, then click something white or neutral gray in the image: it is brought to white, which removes a colour cast and "
            "corrects the exposure. For models of photographs.",
        )
        self.button.setCheckable(True)
        self.clear_button = QPushButton("Clear")
        self.clear_button.setEnabled(False)
        self.status = Message()
        self._say = self.status.say
        stack(self, beside(self.button, self.clear_button), self.status)
        self.button.toggled.connect(self._listen)
        self.clear_button.clicked.connect(self.clear)
        layer.changed.connect(self.clear)
        for chooser in (encoding, white_level):
            chooser.changed.connect(self._measure)
        viewer.layers.events.removed.connect(self._forget_outline)

    def take(self, position: tuple[float, ...]) -> None:
        """Take the box around a point of the canvas, in world coordinates, or say why not."""
        layer: Image | None = self._layer.value
        if layer is None:
            self._say("There is no RGB image to pick from.")
            return
        pixel = pixel_at(self._viewer, layer, position)
        if pixel is None:
            self._say(f"That is outside the image {layer.name!r}; click inside it.")
            return
        row, column = pixel
        height, width = image_size(layer)
        half = SIDE // 2
        self.clear()
        self.box = max(row - half, 0), max(column - half, 0), min(row + half + 1, height), min(column + half + 1, width)
        self._measure()
        if self.box is not None:
            self._draw(layer, self.box)
            self.clear_button.setEnabled(True)
            self.button.setChecked(False)

    def clear(self) -> None:
        """Forget the patch, and hide its outline."""
        outline, self._outline, self.box = self._outline, None, None
        self.clear_button.setEnabled(False)
        self._say(HINT if self.button.isChecked() else "")
        if outline is not None and outline in self._viewer.layers:
            outline.visible = False

    def detach(self) -> None:
        """Disconnect all callbacks; of the outline, what stays is hidden."""
        self.button.setChecked(False)
        self._viewer.layers.events.removed.disconnect(self._forget_outline)
        self.clear()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Stop waiting for a click once the control is hidden."""
        self.button.setChecked(False)
        super().hideEvent(event)

    def _listen(self, pressed: bool) -> None:
        if pressed:
            end_tool(self._viewer)
            self._clicks.start()
        else:
            self._clicks.stop()
        if self.box is None:
            self._say(HINT if pressed else "")

    def _click(self, click: Click) -> None:
        if click.flat:
            self.take(click.position)
        else:
            self._say("A patch can only be picked in the flat view; switch the canvas back from 3-D.")

    def _measure(self) -> None:
        """Measure the present box, and drop it if it cannot be used."""
        if self.box is None:
            return
        box, layer = self.box, self._layer.value
        top, left, bottom, right = box
        # Of an image that is not in memory, no more is read than it takes; a box at the border is too small for an image.
        above, before = max(top - SIDE, 0), max(left - SIDE, 0)
        height, width = image_size(layer)
        around = above, before, min(bottom + SIDE, height), min(right + SIDE, width)
        try:
            # What is assumed about the image is told when it is reconstructed.
            with notices_to(ignore_notice):
                gains = measure_white(
                    rgb_from_layer(layer, shown_slice(self._viewer, layer), around),
                    (top - above, left - before, bottom - above, right - before),
                    encoding=self._encoding.value,
                    profile=profile_of_layer(layer),
                    white_level=self._white_level.value,
                )
        except InputError as error:
            self.clear()
            self._say(sentence_of(error))
            return
        red, green, blue = gains
        self._say(
            f"Rows {top}-{bottom - 1}, columns {left}-{right - 1}; gains {red:.2f} red, {green:.2f} green, {blue:.2f} blue."
        )

    def _draw(self, layer: Image, box: Box) -> None:
        top, left, bottom, right = (edge - 0.5 for edge in box)
        corners = [(top, left), (top, right), (bottom, right), (bottom, left)]
        outline = next(filter(is_outline, self._viewer.layers), None)
        if outline is None:
            # Made here, since napari gives plugins a proxy of what its own add_shapes makes, and not the layer itself.
            outline = Shapes(ndim=2, metadata={PROVENANCE_KEY: {WHITE_PATCH_KEY: True}})
            add_unselected(self._viewer, outline)
        for key, value in placement(layer).items():
            setattr(outline, key, value)
        outline.name = f"{layer.name} (white patch)"
        outline.data = []
        outline.add_rectangles([corners], edge_width=1, edge_color="magenta", face_color="transparent")
        outline.selected_data = set()
        bring_up(self._viewer, outline)
        self._outline = outline

    def _forget_outline(self, event: Any) -> None:
        if event.value is self._outline:
            self.clear()
