"""What the pages share that need the RGB image that belongs to a cube."""

from __future__ import annotations

from collections.abc import Callable

import napari
from magicgui.widgets import ComboBox
from napari.layers import Image
from napari.utils.notifications import show_info
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QPushButton, QWidget

from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.controls import Message, offer
from napari_drcr.widgets.viewer.layers import facts_of_layer
from napari_drcr.widgets.viewer.navigation import image_size
from napari_drcr.widgets.viewer.rgb_images import no_image, rgb_layers

NO_CUBE = "There is no cube yet. Reconstruct an image, or open one."
OPEN_ITS_IMAGE = "Open the one that the cube belongs to."


class ImagePanel(QWidget):
    """A page that works in a thread on cubes and the RGB image of one of them, which `cube` returns.

    Its image is preselected until another is chosen. Call `refresh` when the cube or the list of layers is another.

    Attributes
    ----------
    image : magicgui.widgets.ComboBox
        The RGB images of the viewer.
    button, status : QPushButton, Message
        Starts; the last result, or why there is none.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, cube: Callable[[], Image | None], button: str, task: str, **remedy: str
    ) -> None:
        super().__init__()
        self._viewer, self._cube = viewer, cube
        self._suggested_for: Image | None = None
        self._chosen = False
        self.status = Message()
        self._say = self.status.say
        self._background = Background(self, self._say, show_info, task=task, **remedy)
        self._background.finished.connect(self._update)
        self.image = ComboBox(choices=[], label="Image", tooltip="RGB image layers of this viewer.")
        self.image.changed.connect(self._choose)
        self.button = QPushButton(button)

    @property
    def running(self) -> bool:
        """Whether work is under way."""
        return self._background.running

    def refresh(self) -> None:
        """Offer the images that there are now, and the one that belongs to the present cube first."""
        choices = rgb_layers(self._viewer.layers)
        images = [layer for _, layer in choices]
        with self.image.changed.blocked():
            offer(self.image, choices)
            cube = self._cube()
            if cube is not self._suggested_for or self.image.value is None:
                self._suggested_for, self._chosen = cube, False
            if images and cube is not None and not self._chosen:
                # The newest of the likeliest.
                self.image.value = max(reversed(images), key=lambda image: _likelihood(image, cube))
        self._update()

    @property
    def _missing(self) -> str:
        """Why there is no image to choose; empty if there is one."""
        return "" if self.image.choices else no_image(self._viewer.layers, OPEN_ITS_IMAGE)

    def _choose(self, _image: Image | None) -> None:
        self._chosen = True
        self._update()

    def detach(self) -> None:
        """Say nothing more; files that are being written are finished, and maps stay."""
        self._background.detach()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Look again which layers there are."""
        self.refresh()
        super().showEvent(event)

    def _update(self) -> None:
        """Show what the layers, or the end of the work, have changed."""
        raise NotImplementedError


def _likelihood(image: Image, cube: Image) -> tuple[bool, bool, bool, bool]:
    """Of the cube's size, its source by name, shown in colour, and no rendering of a cube itself."""
    same_size = image_size(image) == cube.data.shape[1:]
    return same_size, image.name == facts_of_layer(cube).get("source_layer"), image.rgb, not facts_of_layer(image)
