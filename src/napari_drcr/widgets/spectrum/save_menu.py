"""A button with what can be taken away: the spectra as a table, the plot as a file or on the clipboard."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QMenu, QPushButton

from napari_drcr.analysis.figures import save_figure
from napari_drcr.analysis.spectra import write_spectra_csv
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.choosers import file_to_save

if TYPE_CHECKING:
    import xarray as xr

    from napari_drcr.widgets.plot.widget import SpectrumPlot


class SaveMenu(QPushButton):
    """Save the spectra that are drawn, or the plot.

    `spectra` returns names and spectra, in the values of the cubes; `failed` and `said` take sentences.
    """

    def __init__(
        self,
        plot: SpectrumPlot,
        spectra: Callable[[], Iterable[tuple[str, xr.DataArray]]],
        failed: Callable[[str], object],
        said: Callable[[str], object],
    ) -> None:
        super().__init__("Save")
        self._plot, self._spectra, self._said = plot, spectra, said
        self._saving = Background(self, failed, said, task="Saving", remedy="try another folder")
        self.setToolTip("The table holds the values of the cubes, whatever the plot divides them by.")
        menu = QMenu(self)
        csv = ("Save the spectra", "spectra.csv", "Table (*.csv)", self.save_spectra)
        menu.addAction("Spectra as CSV\N{HORIZONTAL ELLIPSIS}", partial(self._ask, *csv))
        picture = ("Save the plot", "spectra.pdf", "PDF (*.pdf);;SVG (*.svg);;PNG (*.png)", self.save_plot)
        menu.addAction("Plot as PDF, SVG or PNG\N{HORIZONTAL ELLIPSIS}", partial(self._ask, *picture))
        menu.addAction("Copy the plot", self._copy)
        self.setMenu(menu)

    def save_spectra(self, path: str | Path) -> None:
        """Write what is drawn as a table, as `napari_drcr.analysis.spectra.write_spectra_csv` does."""
        self._save(write_spectra_csv, path, list(self._spectra()))

    def save_plot(self, path: str | Path) -> None:
        """Write the plot to a ``.pdf``, ``.svg`` or ``.png``."""
        self._save(save_figure, path, self._plot.on_paper())

    def _ask(self, title: str, name: str, kinds: str, save: Callable[[Path], None]) -> None:
        if path := file_to_save(self, title, name, kinds, self._said):
            save(path)

    def _copy(self) -> None:
        self._plot.copy()
        self._said("The plot is on the clipboard.")

    def detach(self) -> None:
        """Report nothing more."""
        self._saving.detach()

    def _save(self, write: Callable[[str | Path, Any], None], path: str | Path, what: Any) -> None:
        self._saving.run(write, path, what, done=lambda _: self._said(f"Saved {Path(path).name}."))
