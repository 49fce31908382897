"""Reference spectra: a library to overlay, and which of its spectra are nearest to a curve."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_drcr.analysis.spectra import nearest
from napari_drcr.io import read_library
from napari_drcr.io.library import Library, colorchecker
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.choosers import FileChoice
from napari_drcr.widgets.viewer.controls import Message
from napari_drcr.widgets.viewer.fitting import form_layout, stack
from napari_drcr.widgets.viewer.lists import CheckList, Entry

if TYPE_CHECKING:
    import xarray as xr

COLORCHECKER = "ColorChecker (24 patches)"
COLOURS = ("#b07aa1", "#9c755f", "#7f9f3f", "#5f9ea0", "#d4a017", "#c06c84", "#8c8c8c", "#6b8fd6")
"""Of the spectra overlaid, by their place in the library; muted, so that picks are more conspicuous."""
PROMPT = "Mark spectra to overlay them. Selecting a curve in the table sorts them by spectral angle to it."


class Overlay(NamedTuple):
    """A reference spectrum that is to be drawn."""

    name: str
    colour: str
    spectrum: xr.DataArray


class ReferenceChoice(QWidget):
    """Choose a library and some of its spectra; sort them by their angle to a curve.

    Attributes
    ----------
    chooser : FileChoice
        Nothing, the ColorChecker, or a file that `napari_drcr.io.read_library` reads; it is read in a thread.
    list, status : CheckList, Message
        The spectra of the library, and what is to be known about them.
    changed : Signal
        Other spectra are to be drawn.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.library: Library | None = None
        self._curve: tuple[str, xr.DataArray] | None = None
        title, kinds = "Choose a library of reference spectra", "Spectral libraries (*.csv *.txt *.sli *.hdr);;All files (*)"
        self.chooser = FileChoice([None, COLORCHECKER], "Choose file", kinds, title=title, nothing="none")
        self.chooser.setToolTip("Reference spectra: the ColorChecker, or a CSV file or ENVI library (.sli) of your own.")
        self.list = CheckList()
        self.status = Message()
        self._say = self.status.say
        self._reading = Background(self, self._say, self._say, task="Reading the library")
        # Those that cannot be compared are missing in the list, which is seen.
        self._ranking = Background(self, self._say, lambda _: None, task="Looking up the nearest spectra")
        form = form_layout()
        form.addRow("Library", self.chooser)
        stack(self, form, self.list, self.status)
        self.chooser.edited.connect(self._load)
        self.list.toggled.connect(self.changed)

    @property
    def overlays(self) -> list[Overlay]:
        """The spectra that are marked."""
        if self.library is None:
            return []
        names, marked = zip(self.library.names, cycle(COLOURS)), self.list.marked
        return [Overlay(name, colour, self.library.spectrum(name)) for name, colour in names if name in marked]

    def mark(self, name: str, drawn: bool = True) -> None:
        """Overlay a spectrum of the library, by its name, or do so no longer."""
        self.list.mark(name, drawn)

    def rank(self, name: str, spectrum: xr.DataArray | None) -> None:
        """Sort the list by spectral angle to a curve of this name; None for the library's own order."""
        self._curve = None if spectrum is None else (name, spectrum)
        self._rank()

    def detach(self) -> None:
        """Stop what is running."""
        self._reading.detach()
        self._ranking.detach()

    def _load(self) -> None:
        self._take(None)
        if self.chooser.value is not None:
            self._say("Reading\N{HORIZONTAL ELLIPSIS}")
            self._reading.run(_read, self.chooser.value, done=self._take)

    def _take(self, library: Library | None) -> None:
        self._ranking.cancel()
        self.library = library
        self._fill([])
        self._fill([] if library is None else [(name, None) for name in library.names])
        self._say("" if library is None else PROMPT)
        self.changed.emit()
        self._rank()

    def _rank(self) -> None:
        if self.library is None:
            return
        if self._curve is None:
            self._ranking.cancel()
            self._fill([(name, None) for name in self.library.names])
            self._say(PROMPT)
        else:
            self._ranking.run(_nearest, self.library, *self._curve, done=self._show_ranks)

    def _show_ranks(self, ranks: tuple[str, list[tuple[str, float]]]) -> None:
        name, found = ranks
        self._fill(list(found))
        self._say(f"Nearest to {name} by spectral angle, over the range of both; brightness makes no difference.")

    def _fill(self, names: list[tuple[str, float | None]]) -> None:
        colours = {} if self.library is None else dict(zip(self.library.names, cycle(COLOURS)))
        angles = ("" if angle is None else f"  {angle:.1f}\N{DEGREE SIGN}" for _, angle in names)
        each = zip(names, angles, strict=True)
        self.list.show_entries([Entry(name + angle, name, False, colour=colours[name]) for (name, _), angle in each])


def _read(choice: str) -> Library:
    return colorchecker() if choice == COLORCHECKER else read_library(choice)


def _nearest(library: Library, name: str, spectrum: xr.DataArray) -> tuple[str, list[tuple[str, float]]]:
    return name, nearest(library, spectrum, count=len(library.names))
