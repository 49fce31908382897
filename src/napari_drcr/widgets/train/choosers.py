"""Editors of values whose choices are known elsewhere: cameras, models, devices and lights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, Qt
from qtpy.QtWidgets import QCompleter, QWidget

from napari_drcr.camera import CAMERAS
from napari_drcr.cubes.colorimetry import illuminant_names
from napari_drcr.errors import shown
from napari_drcr.models.architecture import find_architecture
from napari_drcr.models.store import read_card, shipped_models
from napari_drcr.widgets.train.editors import FilesEditor, NamesEditor
from napari_drcr.widgets.train.fields import NETWORK
from napari_drcr.widgets.train.network_choice import NetworkEditor
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.choosers import Editor, FileChoice, narrow
from napari_drcr.widgets.viewer.controls import HardwareChoice, offer


class DeviceEditor(Editor):
    """A device of this computer, or that of another one, which a configuration came from."""

    def __init__(self) -> None:
        super().__init__()
        self._hardware = HardwareChoice(self)
        self._box = self._hardware.device
        self._value = "auto"
        narrow(self._box.native)
        self._layout.addWidget(self._box.native)
        self._box.changed.connect(self._take)

    @property
    def value(self) -> str:
        """Its name."""
        return self._value

    def set_value(self, value: Any) -> None:
        """Choose a device, which need not be here."""
        if not isinstance(value, str) or not value:
            raise ValueError(f"{shown(value)} is no device")
        self._value = value
        self._show()

    def detach(self) -> None:
        """Wait for the hardware no longer."""
        self._hardware.stop()

    def _show(self) -> None:
        box = self._box.native
        if self._value not in self._box.choices:
            known = [(box.itemText(row), box.itemData(row)) for row in range(box.count())]
            offer(self._box, [*known, (self._value, self._value)])
        self._box.value = self._value

    def _take(self, value: str) -> None:
        if self._value not in self._box.choices:
            # The hardware has just been found, and it is not there.
            self._show()
        elif value != self._value:
            self._value = value
            self.edited.emit()


class LightsEditor(NamesEditor):
    """Names of lights between commas, completed as they are typed."""

    def __init__(self) -> None:
        super().__init__()
        self._background = Background(self, lambda _: None, lambda _: None)
        self._asked = False
        self.line.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Find the names when they are first needed: colour-science takes its time to be imported."""
        if event.type() == QEvent.Type.FocusIn and not self._asked:
            self._asked = True
            self._background.run(illuminant_names, done=self._complete)
        return super().eventFilter(watched, event)

    def detach(self) -> None:
        """Complete nothing any more."""
        self._background.detach()

    def _complete(self, names: list[str]) -> None:
        self.line.setCompleter(_LastName(names, self.line))


class _LastName(QCompleter):
    """Completes what stands behind the last comma."""

    def __init__(self, names: list[str], parent: QWidget) -> None:
        super().__init__(names, parent)
        self.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self._line = parent

    def splitPath(self, path: str) -> list[str]:  # noqa: N802
        return [path.rpartition(",")[2].strip()]

    def pathFromIndex(self, index: QModelIndex | QPersistentModelIndex) -> str:  # noqa: N802
        before = self._line.text().rpartition(",")[0]  # type: ignore[attr-defined]
        return f"{before}, {index.data()}" if before else str(index.data())


def _cameras() -> Editor:
    return FileChoice(CAMERAS, "Choose CSV", "Responses (*.csv)")


def _starts() -> Editor:
    networks = [name for name in shipped_models() if find_architecture(read_card(name).architecture).trainable]
    return FileChoice([None, *networks], "Choose file", "Models (*.safetensors *.pth);;All files (*)")


def _libraries() -> Editor:
    return FilesEditor("Add spectral libraries", "Spectral libraries (*.sli *.hdr *.csv *.txt *.npz);;All files (*)")


CHOOSERS: dict[str, Callable[[], Editor]] = {
    NETWORK: NetworkEditor,
    "camera.name": _cameras,
    "learning.start_from": _starts,
    "device": DeviceEditor,
    "data.lights": LightsEditor,
    "reflectances.files": _libraries,
}
"""By the field that each is for."""
