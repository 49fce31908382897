"""What a run has written down, to read."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase, QTextCursor
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QPlainTextEdit, QWidget

from napari_drcr.widgets.viewer.fitting import stack

LINES = 2000
"""Of a log that are shown at most."""


class LogDialog(QDialog):
    """The last lines of the log of a run, to read; it ends with its parent."""

    def __init__(self, parent: QWidget, name: str, text: str) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(f"Log of {name}")
        self.resize(720, 420)
        self.text = QPlainTextEdit(text, readOnly=True)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.moveCursor(QTextCursor.MoveOperation.End)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.close)
        stack(self, self.text, buttons, margin=None)
