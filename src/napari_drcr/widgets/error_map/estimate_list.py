"""A list of estimates with a mark at those that are wanted."""

from __future__ import annotations

from collections.abc import Sequence

from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QSizePolicy, QWidget

LAYER = Qt.ItemDataRole.UserRole


class EstimateList(QListWidget):
    """Lists cube layers; those of the truth's size can be marked, and the first `most` of them are as they come."""

    def __init__(self, most: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._most = most
        self._marks: dict[Image, bool] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        # What tells estimates apart, the model, stands at the end of their names.
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.itemChanged.connect(self._remember)

    @property
    def marked(self) -> list[Image]:
        """Those with a mark, in the order of the list."""
        return [item.data(LAYER) for item in self._items() if item.checkState() == Qt.CheckState.Checked]

    def mark(self, layer: Image, wanted: bool = True) -> None:
        """Put a mark at an estimate, or take it off."""
        for item in self._items():
            if item.data(LAYER) is layer:
                item.setCheckState(Qt.CheckState.Checked if wanted else Qt.CheckState.Unchecked)

    def show_layers(self, layers: Sequence[Image], fitting: Sequence[Image]) -> None:
        """List other layers, of which the fitting ones can be marked; marks that were put or taken off stay."""
        self._marks = {layer: mark for layer, mark in self._marks.items() if layer in layers}
        self.blockSignals(True)
        self.clear()
        for layer in layers:
            item = QListWidgetItem(layer.name)
            item.setData(LAYER, layer)
            fits = layer in fitting
            marked = fits and self._marks.get(layer, fitting.index(layer) < self._most)
            item.setCheckState(Qt.CheckState.Checked if marked else Qt.CheckState.Unchecked)
            item.setToolTip(layer.name if fits else f"{layer.name}: of another size than the true cube")
            if not fits:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
            self.addItem(item)
        self.blockSignals(False)
        rows = min(max(self.count(), 2), self._most)
        self.setFixedHeight(rows * (self.sizeHintForRow(0) if self.count() else 18) + 2 * self.frameWidth() + 2)

    def _items(self) -> list[QListWidgetItem]:
        return [self.item(row) for row in range(self.count())]

    def _remember(self, item: QListWidgetItem) -> None:
        self._marks[item.data(LAYER)] = item.checkState() == Qt.CheckState.Checked
