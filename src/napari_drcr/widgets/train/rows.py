"""Fields of the form with their marks, and the sections that they are folded into."""

from __future__ import annotations

from html import escape

from qtpy.QtWidgets import QFormLayout, QFrame, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_drcr.widgets.train.choosers import CHOOSERS
from napari_drcr.widgets.train.editors import editor_of
from napari_drcr.widgets.train.fields import ConfigField
from napari_drcr.widgets.viewer.controls import wrapped_label
from napari_drcr.widgets.viewer.fitting import form_layout

MARK = "#e5484d"
"""A red that is seen on the dark and on the light theme."""


class Marked(QFrame):
    """A frame that turns red, with a sentence, around what is wrong.

    Parameters
    ----------
    content : QWidget, optional
        What is in it; without, it is there only when there is something to say.
    """

    def __init__(self, content: QWidget | None = None) -> None:
        super().__init__()
        self._empty = content is None
        if self._empty:
            self.hide()
        self.setObjectName("marked")
        self._said = wrapped_label("")
        self._said.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.setSpacing(2)
        if content is not None:
            layout.addWidget(content)
        layout.addWidget(self._said)
        self._frame("transparent")

    @property
    def error(self) -> str:
        """What is wrong, or nothing."""
        return self._said.text()

    def mark(self, sentence: str) -> None:
        """Mark it, or take the mark away.

        Parameters
        ----------
        sentence : str
            What is wrong, or nothing.
        """
        if sentence != self.error:
            self._said.setText(sentence)
            self._said.setVisible(bool(sentence))
            if self._empty:
                self.setVisible(bool(sentence))
            self._frame(MARK if sentence else "transparent")

    def _frame(self, colour: str) -> None:
        self.setStyleSheet(f"#marked {{ border: 1px solid {colour}; border-radius: 3px; }}")


class Row(Marked):
    """A field: its editor, marked where its value is wrong.

    Parameters
    ----------
    field : ConfigField
        Which.

    Attributes
    ----------
    field : ConfigField
        The same.
    label : QLabel
        What it is called.
    editor : Editor
        Shows its value and changes it.
    """

    def __init__(self, field: ConfigField) -> None:
        self.field = field
        self.editor = CHOOSERS[field.path]() if field.path in CHOOSERS else editor_of(field.kind)
        super().__init__(self.editor)
        self.label = QLabel(field.label)
        self.explain(field.help)

    def explain(self, text: str) -> None:
        """Say in the tooltip what the field is about, or why it cannot be changed.

        Parameters
        ----------
        text : str
            A sentence or more.
        """
        # Qt breaks lines in what it takes for HTML only.
        for widget in (self, self.label):
            widget.setToolTip(f"<p>{escape(text)}</p><p><code>{self.field.path}</code></p>")


class Fold(QWidget):
    """A heading that folds what is below it away.

    superqt's QCollapsible fixes the height of its content when it opens, and so cuts off sentences that come later.

    Parameters
    ----------
    title : str
        The heading.
    about : str
        Its tooltip.
    """

    def __init__(self, title: str, about: str) -> None:
        super().__init__()
        self._title, self._note, self._wrong = title, "", 0
        self.heading = QPushButton()
        self.heading.setCheckable(True)
        self.heading.setToolTip(about)
        self.heading.setStyleSheet("text-align: left; border: none; background: transparent; padding: 3px; font-weight: bold;")
        self.content = QWidget()
        self.form = compact_form(self.content)
        self.content.hide()
        self.said = Marked(self.content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.heading)
        layout.addWidget(self.said)
        self.heading.toggled.connect(self._fold)
        self._fold(False)

    def open(self, shown: bool = True) -> None:
        """Show what is below the heading, or hide it.

        Parameters
        ----------
        shown : bool
            Which of them.
        """
        self.heading.setChecked(shown)

    def count(self, wrong: int) -> None:
        """Say in the heading how many fields are wrong.

        Parameters
        ----------
        wrong : int
            How many.
        """
        self._wrong = wrong
        self._fold(self.heading.isChecked())

    def note(self, note: str) -> None:
        """Say something in brackets behind the heading.

        Parameters
        ----------
        note : str
            What, or nothing.
        """
        self._note = note
        self._fold(self.heading.isChecked())

    def _fold(self, shown: bool) -> None:
        arrow = "\N{BLACK DOWN-POINTING SMALL TRIANGLE}" if shown else "\N{BLACK RIGHT-POINTING SMALL TRIANGLE}"
        note = f" ({self._note})" if self._note else ""
        wrong = f" \N{EM DASH} {self._wrong} to correct" if self._wrong else ""
        self.heading.setText(f"{arrow} {self._title}{note}{wrong}")
        self.content.setVisible(shown)


def compact_form(parent: QWidget) -> QFormLayout:
    """Lay many rows out in little height.

    Parameters
    ----------
    parent : QWidget
        What the rows are in.

    Returns
    -------
    QFormLayout
    """
    form = form_layout(parent)
    form.setContentsMargins(0, 0, 0, 0)
    form.setVerticalSpacing(2)
    return form
