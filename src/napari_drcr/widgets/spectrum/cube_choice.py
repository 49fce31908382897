"""Which cubes are drawn together, which of them is the truth, and by what line each is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import napari
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_drcr.widgets.plot import LineStyle
from napari_drcr.widgets.viewer.choosers import explained
from napari_drcr.widgets.viewer.controls import Chooser, Message, add_rows, offer_layers
from napari_drcr.widgets.viewer.fitting import form_layout, stack
from napari_drcr.widgets.viewer.layers import is_cube_layer, model_of_layer
from napari_drcr.widgets.viewer.lists import CheckList, Entry

if TYPE_CHECKING:
    from napari.layers import Image

TRUTH_STYLE: LineStyle = "--"
STYLES: tuple[LineStyle, ...] = ("-", ":", "-.", (0, (6, 1.5, 1, 1.5, 1, 1.5)), (0, (1, 4)))
"""Of the cubes that are not the truth, in the order of the list."""


class CubeChoice(QWidget):
    """A list of the viewer's cubes with a mark at those that are drawn, and the choice of a truth.

    Cubes of the truth's size are marked as they come; the first measured one is the truth until another is chosen.

    Attributes
    ----------
    truth : magicgui.widgets.ComboBox
        What the others are compared with; None for nothing.
    status : Message
        Which cubes cannot be drawn, and why.
    changed : Signal
        Another choice was made, or a cube came, went or was renamed.
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._asked = False
        self._cubes: list[Image] = []
        self._shown: list[tuple[Image, str]] | None = None
        self.truth = Chooser(
            choices=[("nothing", None)], label="Truth", tooltip="What the other cubes are compared with; drawn dashed."
        )
        self._list = explained(CheckList(rows=6), "Marked cubes are drawn, each in a line style of its own.")
        self.status = Message()
        stack(self, add_rows(form_layout(), self.truth), self._list, self.status)
        self.truth.changed.connect(self._choose_truth)
        self._list.toggled.connect(self._show)
        self.refresh()

    @property
    def layers(self) -> list[Image]:
        """The cubes that are drawn: the truth first, if there is one, the others as in the list."""
        truth = self.truth.value
        others = [
            layer for layer in self._cubes if layer is not truth and layer not in self._list.unmarked and self._fits(layer)
        ]
        return [*([] if truth is None else [truth]), *others]

    @property
    def styles(self) -> dict[Image, LineStyle]:
        """The line style of each of `layers`."""
        truth = self.truth.value
        others = cycle(STYLES)
        return {layer: TRUTH_STYLE if layer is truth else next(others) for layer in self.layers}

    @property
    def names(self) -> dict[Image, str]:
        """What each of `layers` is called where there is little room: an estimate by its model, if no other has the same."""
        models = {layer: model_of_layer(layer) for layer in self.layers}
        often = Counter(models.values())
        return {layer: layer.name if model is None or often[model] > 1 else model for layer, model in models.items()}

    @property
    def host(self) -> Image | None:
        """The cube in whose pixels a place on the canvas is understood: the first one drawn that is visible in the viewer."""
        return next((layer for layer in self.layers if layer.visible), next(iter(self.layers), None))

    def mark(self, layer: Image, drawn: bool) -> None:
        """Draw a cube, or draw it no longer."""
        self._list.mark(layer, drawn)

    def refresh(self, _event: object = None) -> None:
        """Look again which cubes there are."""
        cubes = [layer for layer in self._viewer.layers if is_cube_layer(layer)]
        shown = [(layer, layer.name) for layer in cubes]
        if shown == self._shown:
            return
        self._cubes, self._shown = cubes, shown
        chosen = self.truth.value
        with self.truth.changed.blocked():
            offer_layers(self.truth, cubes, "nothing")
            if not (self._asked and chosen in (None, *cubes)):
                self._asked = False
                self.truth.value = next((layer for layer in cubes if model_of_layer(layer) is None), None)
        self._show()

    def _size(self) -> Sequence[int] | None:
        """Rows and columns that all cubes must have."""
        first = self.truth.value or next((layer for layer in self._cubes if layer not in self._list.unmarked), None)
        return None if first is None else first.data.shape[1:]

    def _fits(self, layer: Image) -> bool:
        return layer.data.shape[1:] == self._size()

    def _show(self) -> None:
        styles = self.styles
        truth = self.truth.value
        self._list.show_entries(
            [
                Entry(layer.name, layer, layer in styles, _about(layer), enabled=layer is not truth and self._fits(layer))
                for layer in self._cubes
            ]
        )
        self._explain()
        self.changed.emit()

    def _explain(self) -> None:
        size = self._size()
        unfit = [layer for layer in self._cubes if not self._fits(layer)]
        sentence = ""
        if unfit and size is not None:
            names = ", ".join(f"{layer.name!r} ({layer.data.shape[1]} x {layer.data.shape[2]})" for layer in unfit)
            sentence = (
                f"Cubes of another size than {size[0]} x {size[1]} pixels cannot be drawn with these: {names}; "
                "crop them to the same pixels, or choose another truth."
            )
        self.status.say(sentence)

    def _choose_truth(self, _layer: Image | None) -> None:
        self._asked = True
        self._show()


def _about(layer: Image) -> str:
    model = model_of_layer(layer)
    bands, rows, columns = layer.data.shape
    made = "measured, as far as it says" if model is None else f"estimate by {model}"
    return f"{layer.name}: {made}; {bands} bands, {rows} x {columns} pixels"
