"""Fields of the form with their marks, and the sections that they are folded into."""

from __future__ import annotations

from html import escape

from qtpy.QtWidgets import QFormLayout, QFrame, QLabel, QPushButton, QWidget

from napari_drcr.widgets.train.choosers import CHOOSERS
from napari_drcr.widgets.train.editors import editor_of
from napari_drcr.widgets.train.fields import ConfigField
from napari_drcr.widgets.viewer.choosers import explained
from napari_drcr.widgets.viewer.fitting import form_layout, stack

MARK = "#e5484d"
"""A red that is seen on the dark and on the light theme."""


class Marked(QFrame):
    """A frame that turns red, with a sentence, around what is wrong; empty, it is there only when there is something to say."""

    def __init__(self, content: QWidget | None = None) -> None:
        super().__init__()
        self._empty = content is None
        if self._empty:
            self.hide()
        self.setObjectName("marked")
        self._said = QLabel(wordWrap=True)
        self._said.hide()
        stack(self, *([] if content is None else [content]), self._said, margin=2).setSpacing(2)
        self._frame("transparent")

    @property
    def error(self) -> str:
        """What is wrong, or nothing."""
        return self._said.text()

    def mark(self, sentence: str) -> None:
        """Mark it with a sentence on what is wrong, or take the mark away."""
        if sentence != self.error:
            self._said.setText(sentence)
            self._said.setVisible(bool(sentence))
            if self._empty:
                self.setVisible(bool(sentence))
            self._frame(MARK if sentence else "transparent")

    def _frame(self, colour: str) -> None:
        self.setStyleSheet(f"#marked {{ border: 1px solid {colour}; border-radius: 3px; }}")


class Row(Marked):
    """A field: its label, and its editor, marked where its value is wrong."""

    def __init__(self, field: ConfigField) -> None:
        self.field = field
        self.editor = CHOOSERS[field.path]() if field.path in CHOOSERS else editor_of(field.kind)
        super().__init__(self.editor)
        self.label = QLabel(field.label)
        self.explain(field.help)

    def explain(self, text: str) -> None:
        """Say in the tooltip what the field is about, or why it cannot be changed."""
        # Qt breaks lines in what it takes for HTML only.
        for widget in (self, self.label):
            widget.setToolTip(f"<p>{escape(text)}</p><p><code>{self.field.path}</code></p>")


class Fold(QWidget):
    """A heading, with a tooltip, that folds what is below it away.

    superqt's QCollapsible fixes the height of its content when it opens, and so cuts off sentences that come later.
    """

    def __init__(self, title: str, about: str) -> None:
        super().__init__()
        self._title, self._note, self._wrong = title, "", 0
        self.heading = explained(QPushButton(), about)
        self.heading.setCheckable(True)
        self.heading.setStyleSheet("text-align: left; border: none; background: transparent; padding: 3px; font-weight: bold;")
        self.content = QWidget()
        self.form = compact_form(self.content)
        self.content.hide()
        self.said = Marked(self.content)
        stack(self, self.heading, self.said).setSpacing(0)
        self.heading.toggled.connect(self._fold)
        self._fold(False)

    def open(self, shown: bool = True) -> None:
        """Show what is below the heading, or hide it."""
        self.heading.setChecked(shown)

    def count(self, wrong: int) -> None:
        """Say in the heading how many fields are wrong."""
        self._wrong = wrong
        self._fold(self.heading.isChecked())

    def note(self, note: str) -> None:
        """Say something, or nothing, in brackets behind the heading."""
        self._note = note
        self._fold(self.heading.isChecked())

    def _fold(self, shown: bool) -> None:
        arrow = "\N{BLACK DOWN-POINTING SMALL TRIANGLE}" if shown else "\N{BLACK RIGHT-POINTING SMALL TRIANGLE}"
        note = f" ({self._note})" if self._note else ""
        wrong = f" \N{EM DASH} {self._wrong} to correct" if self._wrong else ""
        self.heading.setText(f"{arrow} {self._title}{note}{wrong}")
        self.content.setVisible(shown)


def compact_form(parent: QWidget) -> QFormLayout:
    """Lay many rows out in little height."""
    form = form_layout(parent)
    form.setVerticalSpacing(2)
    return form
