"""The dock widget Train: choose scenes, set a run up, start it, follow it, use its model."""

from __future__ import annotations

import napari
from qtpy.QtWidgets import QTabWidget, QVBoxLayout

from napari_drcr.widgets.dock import Dock
from napari_drcr.widgets.train.config_form import ConfigForm
from napari_drcr.widgets.train.data_panel import DataPanel
from napari_drcr.widgets.train.launch import Launch


class Train(Dock):
    """Train models in processes of their own. Closing the dock stops nothing but what it shows.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose cubes can be trained with.

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
    """

    TITLE = "Train"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.form = ConfigForm()
        self.data = DataPanel(viewer, self.form)
        self.launch = Launch(self.form, lambda: self.data.hindrance)
        self.tabs = QTabWidget()
        self.tabs.addTab(self.data, "Data")
        self.tabs.addTab(self.form, "Settings")
        layout = QVBoxLayout(self)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.launch)
        self.form.setContentsMargins(6, 6, 6, 6)
        self.data.changed.connect(self.launch.refresh)
        self.tabs.currentChanged.connect(self._turn)
        self._turn()
        self.follow_layers(self.data.open_cubes.refresh)

    def let_go(self) -> None:
        """Stop timers and threads; runs go on."""
        self.data.let_go()
        self.form.let_go()
        self.launch.let_go()
        super().let_go()

    def _turn(self, _page: int = 0) -> None:
        self.launch.stand_below(scenes=self.tabs.currentWidget() is self.data)
