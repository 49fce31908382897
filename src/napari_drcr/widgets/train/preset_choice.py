"""The presets, and which of them the form shows."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox

from napari_drcr.training.config import describe_preset, presets, read_content
from napari_drcr.widgets.train.fields import flat, without_defaults
from napari_drcr.widgets.viewer.choosers import narrow

STAYS = {
    "data.folder",
    "data.validation",
    "data.quantity",
    "device",
    "devices",
    "nodes",
    "card.data",
    "card.limits",
    "card.licence",
}
"""What a preset cannot know, and leaves as it is."""
OWN = "your own settings"


class PresetChoice(QComboBox):
    """A chooser of presets that also says which of them the values are; `chosen` names the one that a user has chosen."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        narrow(self)
        self._presets = {name: without_defaults(flat(read_content(name))) for name in presets()}
        self.addItem(OWN, None)
        items = self.model()
        assert isinstance(items, QStandardItemModel)
        items.item(0).setEnabled(False)
        for row, name in enumerate(self._presets, 1):
            title, sentence = describe_preset(name)
            self.addItem(title, name)
            self.setItemData(row, f"<p>{sentence}</p>", Qt.ItemDataRole.ToolTipRole)
        self.activated.connect(lambda row: self.chosen.emit(self.itemData(row)))

    def fill(self, name: str, values: dict[str, Any]) -> dict[str, Any]:
        """What a preset makes of the values there are, those that are no defaults by path: its own, and what it cannot know."""
        return self._presets[name] | {path: value for path, value in values.items() if path in STAYS}

    def compare(self, values: dict[str, Any]) -> None:
        """Show which preset the values, those that are no defaults by path, are, if any."""
        name = next((name for name in self._presets if self.fill(name, values) == values), None)
        self.setCurrentIndex(0 if name is None else self.findData(name))
        self.setToolTip(self.currentData(Qt.ItemDataRole.ToolTipRole) or "Fills the form with settings that are known to work.")
