"""The table of runs: what each is doing, and how well."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from qtpy.QtCore import QItemSelection, QModelIndex, QPersistentModelIndex, QRect, Qt, Signal
from qtpy.QtGui import QPainter, QPalette
from qtpy.QtWidgets import QHeaderView, QSizePolicy, QStyledItemDelegate, QStyleOptionViewItem

from napari_drcr.training.jobs import RunState
from napari_drcr.training.jobs.folder import duration
from napari_drcr.widgets.viewer.lists import ReadOnlyTable

ROW, BAR = 40, 3
"""Heights of a row and of the bar in it, in pixels of the screen."""
MOST_ROWS = 5
"""Before the table scrolls."""
NAME, STEP, LEFT, SCORE = range(4)
SHARE = Qt.ItemDataRole.UserRole
"""Of the steps that are taken, in [0, 1]."""
DASH = "\N{EN DASH}"


class RunTable(ReadOnlyTable):
    """All runs; the selection stays with its run, and `chosen` gives the folder of one that the user has selected."""

    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__(4)
        self._folders: list[Path] = []
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.setItemDelegateForColumn(STEP, _ProgressDelegate(self))
        self.verticalHeader().setDefaultSectionSize(ROW)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_runs(self, runs: Sequence[RunState], stopping: set[Path], selected: Path | None) -> None:
        """Show these runs in place of the others; some were asked to stop, and one is selected (by their folders)."""
        metrics = {run.status.metric for run in runs if run.status.metric}
        common = metrics.pop() if len(metrics) == 1 else ""
        self.blockSignals(True)
        try:
            self.setHorizontalHeaderLabels(["Run", "Step", "Left", f"Best\n{common}".strip()])
            self.setRowCount(len(runs))
            for row, run in enumerate(runs):
                state = "stopping\N{HORIZONTAL ELLIPSIS}" if run.folder in stopping else run.state
                self._fill(row, run, state, named=not common)
            self._folders = [run.folder for run in runs]
            if selected not in self._folders:
                self.setCurrentCell(-1, -1)
            elif self.currentRow() != self._folders.index(selected):
                self.setCurrentCell(self._folders.index(selected), NAME)
        finally:
            self.blockSignals(False)
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + min(max(len(runs), 1), MOST_ROWS) * ROW + 4)

    def selectionChanged(self, selected: QItemSelection, deselected: QItemSelection) -> None:  # noqa: N802
        """Tell which run the user has selected."""
        super().selectionChanged(selected, deselected)
        rows = self.selectionModel().selectedRows()
        if rows and not self.signalsBlocked() and rows[0].row() < len(self._folders):
            self.chosen.emit(self._folders[rows[0].row()])

    def _fill(self, row: int, run: RunState, state: str, *, named: bool) -> None:
        status = run.status
        best = DASH if status.best is None else f"{status.best:.4f}" if status.best < 1000 else f"{status.best:.2g}"
        if named and status.best is not None:
            best += f"\n{status.metric}"
        running = run.state == "running" and status.seconds_left is not None
        texts = (
            f"{run.name}\n{state}" + (f", {status.device}" if status.device else ""),
            f"{status.step:,} of {status.steps:,}"
            + (f"\nepoch {status.epoch:,} of {status.epochs:,}" if status.epochs else ""),
            duration(status.seconds_left or 0) if running else DASH,
            best,
        )
        tooltip = f"<p>{escape(run.name)}: {escape(state)}. {escape(run.cause)}</p><p>{escape(str(run.folder))}</p>"
        for column, text in enumerate(texts):
            item = self.put(row, column, text, tooltip, right=column not in (NAME, STEP))
            item.setData(SHARE, min(max(status.step / status.steps, 0.0), 1.0) if status.steps > 0 else 0.0)


class _ProgressDelegate(QStyledItemDelegate):
    """Draws a bar under the text."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().paint(painter, option, index)
        share = index.data(SHARE) or 0.0
        room = option.rect.adjusted(4, 0, -4, -2)
        bar = QRect(room.left(), room.bottom() - BAR, room.width(), BAR)
        ink = option.palette.color(QPalette.ColorRole.Text)
        for width, alpha in ((bar.width(), 50), (round(share * bar.width()), 220)):
            ink.setAlpha(alpha)
            painter.fillRect(QRect(bar.left(), bar.top(), width, BAR), ink)
