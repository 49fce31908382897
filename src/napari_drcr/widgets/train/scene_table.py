"""The table of scenes: what each is, whether it is held back, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection
from html import escape
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidgetItem

from napari_drcr.training.survey import SceneEntry
from napari_drcr.widgets.train.rows import MARK
from napari_drcr.widgets.viewer.lists import ReadOnlyTable

COLUMNS = {
    "Scene": "Name of the cube, without suffix.",
    "Held back": "For validation; the others are trained with.",
    "Remarks": "What stops training is red; the rest is only noted.",
    "Size": "Rows and columns.",
    "Bands": "How many, and from where to where.",
    "Image": "The RGB image of the same name.",
}
NAME, HELD_BACK, REMARKS, SIZE, BANDS, IMAGE = range(len(COLUMNS))
WIDTH_OF_REMARKS = 190
BOX = "QAbstractItemView::indicator:unchecked { border: 1px solid gray; border-radius: 2px; width: 12px; height: 12px; }"
"""On napari's dark theme, empty boxes of tables and lists are hardly seen."""
NOT_KNOWN = "\N{EN DASH}"
BY_FOLDER = "The folder itself holds this scene back."
UNNAMEABLE = "Its name holds a comma, or begins or ends with a blank; rename the file to hold it back."


class SceneTable(ReadOnlyTable):
    """One line per scene; `held_back` tells which scene (str) a user holds back, or no longer (bool)."""

    held_back = Signal(str, bool)

    def __init__(self) -> None:
        super().__init__(len(COLUMNS))
        self._rows: dict[Path, int] = {}
        for column, (title, about) in enumerate(COLUMNS.items()):
            heading = QTableWidgetItem(title)
            heading.setToolTip(about)
            self.setHorizontalHeaderItem(column, heading)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(REMARKS, QHeaderView.ResizeMode.Interactive)
        header.resizeSection(REMARKS, WIDTH_OF_REMARKS)
        # By what is seen: to go through all lines for each that is added takes minutes for a thousand.
        header.setResizeContentsPrecision(0)
        header.setStretchLastSection(True)
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.setStyleSheet(BOX)
        self.itemChanged.connect(self._tell)

    @property
    def remarks(self) -> str:
        """On the selected scene, in full."""
        items = {item.column(): item for item in self.selectedItems()}
        said = items[REMARKS].text() if REMARKS in items else ""
        return f"{items[NAME].text()}: {said}." if said else ""

    def clear_scenes(self) -> None:
        """Forget all scenes."""
        self._rows.clear()
        self.setRowCount(0)

    def show_scene(self, entry: SceneEntry, validation: Collection[str]) -> None:
        """Add a scene, or show it as it is by now; what the folder holds back besides `validation` cannot be changed here."""
        row = self._rows.setdefault(entry.cube, len(self._rows))
        if row == self.rowCount():
            self.insertRow(row)
        size = NOT_KNOWN if entry.size is None else f"{entry.size[0]} \N{MULTIPLICATION SIGN} {entry.size[1]}"
        bands = NOT_KNOWN
        if entry.nanometres is not None:
            bands = f"{entry.bands}, {entry.nanometres[0]:g}\N{EN DASH}{entry.nanometres[1]:g} nm"
        remarks = [problem.sentence for problem in sorted(entry.problems, key=lambda problem: not problem.stops)]
        texts = {
            NAME: entry.name,
            SIZE: size,
            BANDS: bands,
            IMAGE: NOT_KNOWN if entry.rgb is None else entry.rgb.name,
            REMARKS: "; ".join([*(["left out"] if entry.left_out else []), *remarks]),
        }
        self.blockSignals(True)
        for column, text in texts.items():
            item = QTableWidgetItem(text)
            if column == NAME:
                item.setToolTip(str(entry.cube))
            if column == REMARKS and remarks:
                # Qt breaks lines in what it takes for HTML only.
                item.setToolTip("".join(f"<p>{escape(remark)}</p>" for remark in remarks))
            if column in (NAME, REMARKS) and any(problem.stops for problem in entry.problems):
                item.setForeground(QColor(MARK))
            self.setItem(row, column, item)
        self.setItem(row, HELD_BACK, _check_box(entry, validation))
        self.blockSignals(False)

    def keep_scenes(self, entries: Collection[SceneEntry]) -> None:
        """Remove the lines of all other scenes."""
        kept = {entry.cube for entry in entries}
        for cube, row in sorted(self._rows.items(), key=lambda each: each[1], reverse=True):
            if cube not in kept:
                self.removeRow(row)
        self._rows = {cube: row for row, cube in enumerate(cube for cube in self._rows if cube in kept)}

    def _tell(self, item: QTableWidgetItem) -> None:
        if item.column() == HELD_BACK:
            self.held_back.emit(item.data(Qt.ItemDataRole.UserRole), item.checkState() == Qt.CheckState.Checked)


def can_be_held_back(name: str) -> bool:
    """Whether settings can name a scene: there, names stand between commas."""
    return "," not in name and name == name.strip()


def _check_box(entry: SceneEntry, validation: Collection[str]) -> QTableWidgetItem:
    item = QTableWidgetItem()
    if entry.left_out:
        item.setFlags(Qt.ItemFlag.ItemIsSelectable)
        return item
    item.setData(Qt.ItemDataRole.UserRole, entry.name)
    item.setCheckState(Qt.CheckState.Checked if entry.held_back else Qt.CheckState.Unchecked)
    by_folder = entry.held_back and entry.name not in validation
    if by_folder or not can_be_held_back(entry.name):
        item.setFlags(Qt.ItemFlag.ItemIsSelectable)
        item.setToolTip(BY_FOLDER if by_folder else UNNAMEABLE)
    return item
