"""Choosing a network: by family, at one of its sizes, with what it costs and where it comes from."""

from __future__ import annotations

from collections.abc import Generator
from html import escape
from typing import Any

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QShowEvent, QStandardItemModel
from qtpy.QtWidgets import QComboBox, QLabel, QWidget

from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.errors import InputError, shown
from napari_drcr.models.architecture import (
    Architecture,
    NetworkSettings,
    architectures,
    find_architecture,
    read_settings,
    trainable_families,
)
from napari_drcr.models.cost import USUAL_SIZE, Cost, cost_of
from napari_drcr.widgets.train.preset_choice import OWN
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.choosers import Editor, narrow

SMALL = "small"


class NetworkEditor(Editor):
    """The id of a network, from a list by family; tooltips say what each costs as soon as that is known."""

    def __init__(self) -> None:
        self.box = narrow(QComboBox())
        super().__init__(self.box)
        self._background = Background(self, lambda _: None, lambda _: None, task="The cost of the networks")
        self._counted = False
        model = self.box.model()
        assert isinstance(model, QStandardItemModel)
        for family, found in trainable_families().items():
            self.box.addItem(family[0].upper() + family[1:])
            heading = model.item(self.box.count() - 1)
            heading.setEnabled(False)
            font = heading.font()
            font.setBold(True)
            heading.setFont(font)
            for architecture in found:
                self.box.addItem(architecture.title, architecture.id)
                self._explain(architecture.id, None)
        self.set_value(architectures()[0].id)
        self.box.currentIndexChanged.connect(self.edited)

    @property
    def value(self) -> str:
        """The id of the chosen one."""
        return str(self.box.currentData())

    def set_value(self, value: Any) -> None:
        """Choose by id."""
        row = self.box.findData(value) if isinstance(value, str) else -1
        if row < 0:
            there = ", ".join(architecture.id for architecture in architectures() if architecture.trainable)
            raise ValueError(f"{shown(value)} is none of {there}")
        self.box.setCurrentIndex(row)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Count, in a thread, what each network costs; torch is imported there."""
        super().showEvent(event)
        if not self._counted:
            self._counted = True
            self._background.run(_costs_of_all, progress=self._explain)

    def detach(self) -> None:
        """Count no more."""
        self._background.detach()

    def _explain(self, id: str, cost: Cost | None) -> None:
        text = about(find_architecture(id))
        if cost is not None:
            text = f"{text}<p>Small: {in_words(cost, reference_cost())}.</p>"
        self.box.setItemData(self.box.findData(id), text, Qt.ItemDataRole.ToolTipRole)


class SizeChoice(QComboBox):
    """A chooser of a network's presets that also says which of them its settings are; `chosen` gives the name of one."""

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        narrow(self)
        self._presets: dict[str, NetworkSettings] = {}
        self.setToolTip("Fills in the settings of the network: small ones for a laptop, or those of the publication.")
        self.activated.connect(lambda row: self.chosen.emit(self.itemText(row)))

    def compare(self, id: str, settings: NetworkSettings | None) -> None:
        """Offer the presets of a network, and show which of them the settings are, if any."""
        presets = dict(find_architecture(id).presets)
        if presets != self._presets or not self.count():
            self._presets = presets
            self.clear()
            self.addItem(OWN)
            items = self.model()
            assert isinstance(items, QStandardItemModel)
            items.item(0).setEnabled(False)
            for row, (name, preset) in enumerate(presets.items(), 1):
                self.addItem(name)
                self.setItemData(row, preset.summary(), Qt.ItemDataRole.ToolTipRole)
        names = [name for name, preset in presets.items() if preset == settings]
        self.setCurrentIndex(self.findText(names[0]) if names else 0)


class NetworkFacts(QLabel):
    """Where a network comes from, and what it costs with the present settings."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, wordWrap=True)
        self._background = Background(self, lambda _: None, lambda _: None, task="The cost of the network")
        self._shown: tuple[str, NetworkSettings | None] | None = None
        self._known: tuple[Cost, Cost] | None = None

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """As narrow as the form; a long word would widen it."""
        return QSize(0, super().minimumSizeHint().height())

    def describe(self, id: str, settings: NetworkSettings | None) -> None:
        """Show a network, without a cost where its settings are wrong."""
        if (id, settings) == self._shown:
            return
        self._shown, self._known = (id, settings), None
        self.setToolTip(about(find_architecture(id)))
        self._write()
        self._count()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Count what is not yet known."""
        super().showEvent(event)
        self._count()

    def detach(self) -> None:
        """Count no more."""
        self._background.detach()

    def _count(self) -> None:
        if self.isVisible() and self._known is None and self._shown is not None and self._shown[1] is not None:
            self._background.run(_cost_and_reference, self._shown[1], done=self._take)

    def _take(self, known: tuple[Cost, Cost]) -> None:
        self._known = known
        self._write()

    def _write(self) -> None:
        assert self._shown is not None
        architecture = find_architecture(self._shown[0])
        source = "; ".join(filter(None, (architecture.reference, architecture.rank)))
        cost = "" if self._known is None else f" {in_words(*self._known)}."
        self.setText(f"{source}.{cost}")


def settings_of(values: dict[str, Any]) -> NetworkSettings | None:
    """Settings of a network, by name; None where they are wrong."""
    try:
        return read_settings(values)
    except InputError:
        return None


def about(architecture: Architecture) -> str:
    """Paper, rank and assumptions of a network, as rich text for tooltips."""
    paragraphs = [architecture.paper, architecture.rank and f"{architecture.rank}."]
    if architecture.assumptions:
        paragraphs.append(f"Assumed, since no publication says it: {' '.join(architecture.assumptions)}")
    return "".join(f"<p>{escape(text)}</p>" for text in paragraphs if text)


def in_words(cost: Cost, reference: Cost) -> str:
    """Such as "0.55 million parameters; 29.8 GMAC for 482 x 512 pixels, 0.24 times as many as DRCR Net, small"."""
    height, width = USUAL_SIZE
    title = architectures()[0].title
    return (
        f"{cost.parameters / 1e6:.2g} million parameters; {cost.gmac:.3g} GMAC for {height} x {width} pixels, "
        f"{cost.gmac / reference.gmac:.2f} times as many as {title}, {SMALL}"
    )


def reference_cost() -> Cost:
    """That of the first network's small preset; takes time when it is first asked for."""
    first = architectures()[0]
    return cost_of(first, first.presets[SMALL], len(WAVELENGTHS))


def _cost_and_reference(settings: NetworkSettings) -> tuple[Cost, Cost]:
    return cost_of(find_architecture(settings.architecture), settings, len(WAVELENGTHS)), reference_cost()


def _costs_of_all() -> Generator[tuple[str, Cost], None, None]:
    reference_cost()
    for found in trainable_families().values():
        for architecture in found:
            if SMALL in architecture.presets:
                yield architecture.id, cost_of(architecture, architecture.presets[SMALL], len(WAVELENGTHS))
