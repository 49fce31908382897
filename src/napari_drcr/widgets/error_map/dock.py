"""The dock widget Error map: where, and in which bands, an estimate is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import napari
import numpy.typing as npt
import xarray as xr
from napari.layers import Image
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QTabWidget

from napari_drcr.widgets.error_map.figure_panel import FigurePanel
from napari_drcr.widgets.error_map.layers import ErrorLayers
from napari_drcr.widgets.error_map.likely_pairs import unfit
from napari_drcr.widgets.error_map.measure import Measure, map_facts
from napari_drcr.widgets.error_map.pairs import Pair, Pairs, Summary
from napari_drcr.widgets.error_map.panel import BANDS, MEAN, MapPanel
from napari_drcr.widgets.error_map.plausibility_panel import PlausibilityPanel
from napari_drcr.widgets.error_map.runs import ErrorRuns, News
from napari_drcr.widgets.error_map.tables import WorstPanel
from napari_drcr.widgets.error_map.truth_choice import PairChoice
from napari_drcr.widgets.spectrum import Spectrum
from napari_drcr.widgets.viewer.controls import offer_layers
from napari_drcr.widgets.viewer.dock import Dock
from napari_drcr.widgets.viewer.fitting import scrolling, stack
from napari_drcr.widgets.viewer.layers import is_cube_layer, model_of_layer
from napari_drcr.widgets.viewer.navigation import fly_to
from napari_drcr.widgets.viewer.shape_regions import Region, RegionWatch, region_layers, regions_of

CALM = 300
"""How long, in ms, nothing must have changed before existing maps are computed again."""


class ErrorMap(Dock):
    """Map how far estimates are from their truth, band by band, and list where they are furthest.

    Maps are made in a thread. Those that are there follow metric and floor, so that all maps always show the same; the maps of
    several estimates share one colour scale. Closing the dock leaves the maps, and reopening finds them again.

    Attributes
    ----------
    choice : PairChoice
        The estimate and its truth.
    panel : MapPanel
        The other controls, and what they show.
    worst : WorstTable
        The worst pixels of the chosen estimate.
    tabs : QTabWidget
        What is below the choosers.
    maps : ErrorLayers
        The layers.
    plausibility, figure : PlausibilityPanel, FigurePanel
        An estimate projected back to its photo; the comparison that papers print.
    pixel_chosen : Signal(object, int, int)
        The layer of the truth, and row and column of one of the worst pixels, whose spectrum is asked for.
    changed : Signal()
        Another pair is chosen, or the list of layers has changed.
    """

    TITLE = "Error map"
    pixel_chosen = Signal(object, int, int)
    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self._fresh: Pair | None = None
        self.maps = ErrorLayers(viewer)
        self._pairs = Pairs(self.maps, self._change_data)
        self.choice = PairChoice(viewer, self._pairs.truth_of)
        self.panel = MapPanel()
        self._say = self.panel.status.say
        self._worst_panel = WorstPanel()
        self.worst = self._worst_panel.table
        self.plausibility = PlausibilityPanel(viewer, lambda: self.estimate)
        self.figure = FigurePanel(viewer, lambda: self.truth, lambda: self.estimates, lambda: self.floor)
        self._later = QTimer(self, singleShot=True, interval=CALM)
        self._watch = RegionWatch(self)
        self._runs = ErrorRuns(
            self, lambda: (self.panel.measure, self.panel.score_floor), self._regions, self.panel.status.fail
        )
        self._lay_out()
        self._connect()
        self.link_plot(self.panel.plot, lambda: self.estimate)
        self._reopen()
        self._refresh()

    def _lay_out(self) -> None:
        self.tabs = QTabWidget()
        pages = {"Map": self.panel, "Worst pixels": self._worst_panel, "Plausibility": self.plausibility, "Figure": self.figure}
        for title, page in pages.items():
            self.tabs.addTab(scrolling(page), title)
        stack(self.content, self.choice, self.tabs, margin=None).setStretchFactor(self.tabs, 1)
        self._show_pairs()

    def _connect(self) -> None:
        panel = self.panel
        self.choice.changed.connect(self._change_pair)
        self.choice.said.connect(self._say)
        self.choice.failed.connect(panel.status.fail)
        panel.metric_choice.changed.connect(self._change_metric)
        panel.floor.valueChanged.connect(self._change_measure)
        panel.kind.changed.connect(self._show_maps)
        panel.scale.changed.connect(self._rescale)
        panel.regions.changed.connect(self._change_regions)
        panel.button.clicked.connect(self._toggle)
        self.maps.rescaled.connect(panel.scale.take)
        self.worst.chosen.connect(self._fly_to)
        self.pixel_chosen.connect(self._pick)
        self.changed.connect(self.plausibility.refresh)
        self.changed.connect(self.figure.refresh)
        self._later.timeout.connect(self._map_again)
        self._watch.changed.connect(self._score_again)
        self._runs.made.connect(self._take)
        self._runs.finished.connect(self._end)
        self.follow_layers(self._refresh)
        self.follow(self._viewer.canvas.grid.events.enabled, self._show_maps)

    @property
    def estimate(self) -> Image | None:
        """The chosen estimate."""
        return self.choice.estimate.value

    @property
    def truth(self) -> Image | None:
        """The chosen truth."""
        return self.choice.truth.value

    @property
    def estimates(self) -> list[Image]:
        """The cube layers that can be compared with the chosen truth: the chosen one, and those that a model made."""
        return [
            layer
            for layer in self._viewer.layers
            if is_cube_layer(layer)
            and (layer is self.estimate or model_of_layer(layer) is not None)
            and layer is not self.truth
        ]

    @property
    def floor(self) -> float:
        """Of relative errors; 0 for none."""
        return self.panel.floor.value()

    @property
    def running(self) -> bool:
        """Whether errors are being mapped or scored."""
        return self._runs.running

    def run(self) -> None:
        """Map the errors of the chosen pair."""
        estimate, truth = self.choice.pair
        if sentence := unfit(estimate, truth):
            self._say(sentence)
            return
        self._fresh = self._pairs.of(estimate, truth)
        self._start([self._fresh])

    def cancel(self) -> None:
        """End the work at its next band; what is shown already stays."""
        self._later.stop()
        self._runs.cancel()
        if self.running:
            self.panel.button.setEnabled(False)
            self._say("Cancelling\N{HORIZONTAL ELLIPSIS}")

    def detach(self) -> None:
        """Cancel the work, unlink the colours of the maps, and disconnect all callbacks."""
        self._later.stop()
        for part in (self._runs, self.choice, self.plausibility, self.figure, self._watch, self._pairs, self.maps):
            part.detach()
        super().detach()

    def _toggle(self) -> None:
        (self.cancel if self.running else self.run)()

    def _start(self, to_map: Iterable[Pair] = (), to_score: Iterable[Pair] = ()) -> None:
        self._runs.start(to_map, to_score)
        if self.running:
            self.panel.show_running(True)
            self._say("")

    def _take(self, pair: Pair, what: News) -> None:
        if pair not in self._pairs:
            return
        if isinstance(what, xr.DataArray):
            self._put(pair, what)
            return
        if isinstance(what, Summary):
            pair.summary = what
        else:
            pair.rows = what
        self._show_pairs()

    def _put(self, pair: Pair, values: xr.DataArray) -> None:
        measure, estimate, fresh = self.panel.measure, pair.estimate, pair is self._fresh
        before = self.maps.all(estimate)
        visible = values.ndim == self._kind and (fresh or any(layer.visible for layer in before))
        facts = pair.facts(measure, values.attrs["left_out_share"], values.attrs["gray_share"])
        limits = self.panel.scale.limits(self._values() or [values.values])
        self.maps.put(values, estimate, facts, limits, visible=visible, select=fresh and visible)
        if visible and (fresh or self.maps.all(estimate) != before):
            self.maps.show(estimate, self._kind)
        if values.ndim == BANDS or measure.metric == "sam":
            self._rescale()

    def _values(self) -> list[npt.NDArray[Any]]:
        """Of the maps of the present metric: those of each band, and where there are none, those over all."""
        maps = [layer for layer in self.maps.all() if (map_facts(layer) or {})["metric"] == self.panel.metric_choice.value]
        return [layer.data for layer in maps if layer.ndim == BANDS] or [layer.data for layer in maps]

    def _rescale(self) -> None:
        self.maps.set_limits(self.panel.metric_choice.value, self.panel.scale.limits(self._values()))

    @property
    def _kind(self) -> int:
        """Which map is seen, by its number of axes: of a spectral angle there is only one."""
        return MEAN if self.panel.metric_choice.value == "sam" else self.panel.kind.value

    def _show_maps(self, _event: Any = None) -> None:
        if self.estimate is not None:
            self.maps.show(self.estimate, self._kind)

    def _show_pairs(self) -> None:
        """Show what is known about the mapped pairs, and more about the chosen one."""
        pairs = [pair for pair in self._pairs if pair.summary is not None]
        chosen = self._pairs.get(self.estimate)
        self.panel.show_pairs(pairs, chosen)
        summary = None if chosen is None else chosen.summary
        if chosen is None or summary is None:
            self._worst_panel.show_pixels((), "error", "")
        else:
            self._worst_panel.show_pixels(summary.worst, summary.measure.mean_name, chosen.estimate.name)

    def _change_metric(self) -> None:
        self.panel.scale.set_metric(self.panel.metric_choice.value)
        if self.estimate is not None and any(layer.visible for layer in self.maps.all(self.estimate)):
            self._show_maps()
        self._change_measure()

    def _change_measure(self) -> None:
        self.panel.enable()
        if self.running:
            self._map_again()
        elif any(self._pairs):
            self._later.start()

    def _change_data(self, _event: Any) -> None:
        self._later.start()

    def _map_again(self) -> None:
        self._start(self._pairs)

    def _change_pair(self) -> None:
        estimate, truth = self.choice.pair
        known = self._pairs.truth_of(estimate)
        if known is not None and known is not truth and not unfit(estimate, truth):
            self._pairs.of(estimate, truth)
            self._later.start()
        self._show_maps()
        self._show_pairs()
        self.mark_wavelength()
        self._update_button()
        self.changed.emit()

    def _refresh(self, _event: Any = None) -> None:
        """Follow the list of layers."""
        layers = self._viewer.layers
        self.maps.follow_names()
        for pair in self._pairs.drop_gone(layers):
            self._runs.forget(pair)
        self.maps.link()
        offer_layers(self.panel.regions, region_layers(self._viewer), "none")
        self.choice.refresh()
        self._show_pairs()
        self.mark_wavelength()
        self._update_button()
        self.changed.emit()

    def _reopen(self) -> None:
        """Find the maps that are there, from before the dock was closed, and what they show."""
        maps = self.maps.all()
        if maps:
            shown = next((layer for layer in reversed(maps) if layer.visible), maps[-1])
            facts = map_facts(shown) or {}
            self.panel.restore(Measure(facts["metric"], facts["floor"]), shown.ndim, shown.contrast_limits[1])
            self._pairs.find(self._viewer.layers)
            self._start(self._pairs)

    def _change_regions(self) -> None:
        self._watch.watch(self.panel.regions.value)
        self._score_again()

    def _score_again(self) -> None:
        self._start(to_score=self._pairs)

    def _regions(self, pair: Pair) -> list[Region]:
        shapes = self.panel.regions.value
        return [] if shapes is None else regions_of(shapes, pair.estimate)

    def _fly_to(self, y: int, x: int) -> None:
        pair = self._pairs.get(self.estimate)
        if pair is not None:
            fly_to(self._viewer, pair.estimate, y, x)
            self.pixel_chosen.emit(pair.truth, y, x)

    def _pick(self, layer: Image, y: int, x: int) -> None:
        """Draw a spectrum where Spectrum is open; raised, it would cover the table."""
        for widget in self._viewer.window.dock_widgets.values():
            if isinstance(widget, Spectrum):
                widget.pick(layer, y, x)

    def _update_button(self) -> None:
        if self.running:
            return
        sentence = unfit(*self.choice.pair)
        self.panel.button.setDisabled(bool(sentence))
        self.panel.button.setToolTip(sentence)
        self.panel.status.say_missing(sentence)

    def _end(self) -> None:
        self.panel.show_running(False)
        self.panel.notice.say(" ".join(self._runs.notices))
        if self._runs.cancelled:
            self._say("Cancelled.")
        self._fresh = None
        self._pairs.drop_unmapped()
        self._update_button()
