"""A control to pick something white in an image by a click on the canvas."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import napari
from magicgui.widgets import ComboBox
from napari.layers import Image, Shapes
from qtpy.QtCore import QTimer
from qtpy.QtGui import QHideEvent
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_drcr.errors import InputError, Notice
from napari_drcr.preparation import measure_white
from napari_drcr.white import Box
from napari_drcr.widgets.canvas import Click, ClickListener
from napari_drcr.widgets.controls import wrapped_label
from napari_drcr.widgets.navigation import image_size, pixel_at
from napari_drcr.widgets.placement import placement
from napari_drcr.widgets.rgb_images import profile_of_layer, rgb_from_layer, shown_slice

SIDE = 9
"""Of the box around a click, in pixels of the image."""
HINT = "Click something white in the image."


class WhitePatch(QWidget):
    """Pick a white patch of the chosen image, and see what it gives.

    While the button is down, a click on the canvas takes the box around it; a drag still moves the view. The box is outlined
    by a Shapes layer, and removing that layer clears the patch, as choosing another image does.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose canvas is clicked.
    layer, encoding, white_level : magicgui.widgets.ComboBox
        The image that the patch belongs to, and how its values are to be understood.

    Attributes
    ----------
    button : QPushButton
        Down while a click is waited for.
    clear_button : QPushButton
        Forgets the patch.
    """

    def __init__(self, viewer: napari.viewer.Viewer, layer: ComboBox, encoding: ComboBox, white_level: ComboBox) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer, self._encoding, self._white_level = layer, encoding, white_level
        self._box: Box | None = None
        self._outline: Shapes | None = None
        self._clicks = ClickListener(viewer, self._click)
        self.button = QPushButton("Pick")
        self.button.setCheckable(True)
        self.button.setToolTip(
            "Press, then click something white or neutral gray-white in the image: it is brought to white, which takes out a "
            "colour cast and the exposure. For models of photographs."
        )
        self.clear_button = QPushButton("Clear")
        self.clear_button.setEnabled(False)
        self._label = wrapped_label("")
        self._label.hide()
        buttons = QHBoxLayout()
        buttons.addWidget(self.button)
        buttons.addWidget(self.clear_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(buttons)
        layout.addWidget(self._label)
        self.button.toggled.connect(self._listen)
        self.clear_button.clicked.connect(self.clear)
        layer.changed.connect(self._change_layer)
        for chooser in (encoding, white_level):
            chooser.changed.connect(self._measure)
        viewer.layers.events.removed.connect(self._forget_outline)

    @property
    def box(self) -> Box | None:
        """Top, left, bottom and right of the patch in pixels, the last two excluded."""
        return self._box

    @property
    def said(self) -> str:
        """What the control says: the box and its gains, or why there are none."""
        return self._label.text()

    def take(self, position: tuple[float, ...]) -> None:
        """Take the box around a point of the canvas, or say why not.

        Parameters
        ----------
        position : tuple of float
            World coordinates, the last two of them y and x.
        """
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
        self._box = (
            max(row - half, 0),
            max(column - half, 0),
            min(row + half + 1, height),
            min(column + half + 1, width),
        )
        self._measure()
        if self._box is not None:
            self._draw(layer, self._box)
            self.clear_button.setEnabled(True)
            self.button.setChecked(False)

    def clear(self) -> None:
        """Forget the patch, and take its outline away."""
        self._erase(self._forget())

    def let_go(self) -> None:
        """Leave nothing behind in the viewer: neither callbacks nor the outline."""
        self.button.setChecked(False)
        self._viewer.layers.events.removed.disconnect(self._forget_outline)
        self.clear()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Stop waiting for a click where nobody would see that it is waited for."""
        self.button.setChecked(False)
        super().hideEvent(event)

    def _forget(self) -> Shapes | None:
        """Forget the patch; its outline, if it has one, is left to the caller."""
        outline, self._outline, self._box = self._outline, None, None
        self.clear_button.setEnabled(False)
        self._say(HINT if self.button.isChecked() else "")
        return outline

    def _erase(self, outline: Shapes | None) -> None:
        if outline is not None and outline in self._viewer.layers:
            self._viewer.layers.remove(outline)

    def _change_layer(self) -> None:
        # The choice changes, too, while napari removes the chosen image, and it can only remove one layer at a time.
        QTimer.singleShot(0, partial(self._erase, self._forget()))

    def _listen(self, pressed: bool) -> None:
        if pressed:
            self._clicks.start()
        else:
            self._clicks.stop()
        if self._box is None:
            self._say(HINT if pressed else "")

    def _click(self, click: Click) -> None:
        if click.flat:
            self.take(click.position)
        else:
            self._say("A patch can only be picked in the flat view; switch the canvas back from 3-D.")

    def _measure(self) -> None:
        """Measure the present box anew, and drop it if it cannot be used."""
        if self._box is None:
            return
        box, layer = self._box, self._layer.value
        top, left, bottom, right = box
        # Of an image that is not in memory, no more is read than it takes; a box at the border is too small for an image.
        above, before = max(top - SIDE, 0), max(left - SIDE, 0)
        height, width = image_size(layer)
        around = above, before, min(bottom + SIDE, height), min(right + SIDE, width)
        try:
            # What is assumed about the image is told when it is reconstructed.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Notice)
                gains = measure_white(
                    rgb_from_layer(layer, shown_slice(self._viewer, layer), around),
                    (top - above, left - before, bottom - above, right - before),
                    encoding=self._encoding.value,
                    profile=profile_of_layer(layer),
                    white_level=self._white_level.value,
                )
        except InputError as error:
            self.clear()
            self._say(str(error))
            return
        red, green, blue = gains
        self._say(
            f"Rows {top}-{bottom - 1}, columns {left}-{right - 1}; gains {red:.2f} red, {green:.2f} green, {blue:.2f} blue."
        )

    def _draw(self, layer: Image, box: Box) -> None:
        selected = set(self._viewer.layers.selection)
        top, left, bottom, right = (edge - 0.5 for edge in box)
        # Made here, since napari hands plugins a stand-in of what its own add_shapes makes, and that is not the layer itself.
        self._outline = Shapes(
            [[(top, left), (top, right), (bottom, right), (bottom, left)]],
            shape_type="rectangle",
            name=f"{layer.name} (white patch)",
            face_color="transparent",
            edge_color="magenta",
            edge_width=1,
            **placement(layer),
        )
        self._viewer.add_layer(self._outline)
        self._viewer.layers.selection = selected

    def _forget_outline(self, event: Any) -> None:
        if event.value is self._outline:
            self.clear()

    def _say(self, sentence: str) -> None:
        self._label.setText(sentence)
        self._label.setVisible(bool(sentence))
