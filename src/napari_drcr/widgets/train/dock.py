"""The dock widget Train: choose scenes, set a run up, start it, follow it, use its model."""

from __future__ import annotations

from pathlib import Path

import napari
from napari.utils.notifications import show_error
from qtpy.QtWidgets import QTabWidget

from napari_drcr.errors import InputError
from napari_drcr.widgets.reconstruct import Reconstruct
from napari_drcr.widgets.train.config_form import ConfigForm
from napari_drcr.widgets.train.data_panel import DataPanel
from napari_drcr.widgets.train.launch import Launch
from napari_drcr.widgets.train.runs_panel import RunsPanel
from napari_drcr.widgets.viewer.dock import Dock, show_dock
from napari_drcr.widgets.viewer.fitting import scrolling, stack


class Train(Dock):
    """Train models in processes of their own. Closing the dock stops nothing but what it shows.

    Attributes
    ----------
    tabs : QTabWidget
        The three parts.
    data : DataPanel
        The scenes.
    form : ConfigForm
        The configuration, that of the scenes included.
    launch : Launch
        Starts the run.
    runs : RunsPanel
        The runs, of this napari and of earlier ones.
    """

    TITLE = "Train"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.form = ConfigForm()
        self.data = DataPanel(viewer, self.form)
        self.launch = Launch(self.form, lambda: self.data.hindrance)
        self.runs = RunsPanel(viewer)
        self.tabs = QTabWidget()
        self._data_page, self._runs_page = scrolling(self.data), scrolling(self.runs)
        self.tabs.addTab(self._data_page, "Data")
        self.tabs.addTab(self.form, "Settings")
        self.tabs.addTab(self._runs_page, "Runs")
        stack(self.content, self.tabs, self.launch, margin=None).setStretchFactor(self.tabs, 1)
        self.form.setContentsMargins(6, 6, 6, 6)
        self.data.changed.connect(self.launch.refresh)
        self.launch.started.connect(self._show_run)
        self.runs.use_requested.connect(self._use)
        self.runs.settings_requested.connect(self._take_settings)
        self.tabs.currentChanged.connect(self._turn)
        self._turn()
        self.follow_layers(self.data.open_cubes.refresh)

    def detach(self) -> None:
        """Stop timers and threads; runs go on."""
        for part in (self.data, self.form, self.launch, self.runs):
            part.detach()
        super().detach()

    def _turn(self, _page: int = 0) -> None:
        self.launch.setVisible(self.tabs.currentWidget() is not self._runs_page)
        self.launch.stand_below(scenes=self.tabs.currentWidget() is self._data_page)

    def _show_run(self, folder: Path) -> None:
        self.tabs.setCurrentWidget(self._runs_page)
        self.runs.choose(folder)

    def _use(self, model: Path) -> None:
        show_dock(Reconstruct, self._viewer).add_checkpoint(model)

    def _take_settings(self, path: Path) -> None:
        try:
            self.form.open_yaml(path)
        except InputError as error:
            show_error(str(error))
        else:
            self.tabs.setCurrentWidget(self.form)
