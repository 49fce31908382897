"""Error maps as layers: found by what they are, replaced in place, on one colour scale, with one colour bar.

None is ever removed: napari can crash at a later draw after a layer with a colour bar was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components.overlays import TextOverlay
from napari.experimental import link_layers, unlink_layers
from napari.layers import Image, Layer
from napari.utils.events import disconnect_events
from qtpy.QtCore import QObject, QTimer, Signal

from napari_drcr.widgets.error_map.measure import Measure, map_facts, percent
from napari_drcr.widgets.viewer.layers import (
    PROVENANCE_KEY,
    WAVELENGTHS_KEY,
    layer_wavelengths,
    map_to_layer_data,
    show_alone,
    with_gray_gaps,
)
from napari_drcr.widgets.viewer.stacking import add_unselected, below_marks

if TYPE_CHECKING:
    import xarray as xr
    from napari.viewer import Viewer

COLORMAPS = {"difference": "coolwarm"}
"""Of metrics with a sign, by name; the others get `SEQUENTIAL`. All of them are even steps for the eye."""
SEQUENTIAL = "magma"
LINKED = ("contrast_limits", "gamma", "colormap")
GRAY = "napari_drcr_gray"
"""Name of the text on the canvas that says what gray is."""
PLACED_BY = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


class ErrorLayers(QObject):
    """The error maps of a viewer.

    Attributes
    ----------
    rescaled : Signal(float)
        The colour scale was changed with napari's own controls: its new upper end.
    """

    rescaled = Signal(float)

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._own_change = False
        # A bar takes as long to make as a layer, so it gets a turn of its own.
        self._bar_timer = QTimer(self, singleShot=True, interval=0)
        self._bar_timer.timeout.connect(self._show_bar)
        self._linked: list[Image] = []
        self._callbacks = {"visible": self.show_bar, "contrast_limits": self._tell_scale, "colormap": self._fill_gaps}
        self._names: dict[Layer, str] = {}
        self._with_bar: Image | None = None

    def all(self, estimate: Layer | None = None) -> list[Image]:
        """The maps, or only those of an estimate, the lowest first."""
        found = [(layer, map_facts(layer)) for layer in self._viewer.layers]
        return [
            layer for layer, facts in found if facts is not None and (estimate is None or facts["estimate"] == estimate.name)
        ]

    def put(
        self,
        values: xr.DataArray,
        estimate: Image,
        facts: Mapping[str, Any],
        limits: tuple[float, float],
        *,
        visible: bool,
        select: bool,
    ) -> Image:
        """Show a map (y, x) or (bands, y, x) over its estimate, in place of the one that this has already or as a new layer.

        `facts` are for its metadata, see `map_facts`; `limits` those of the colour scale, if there are no maps of the metric
        yet. A new layer is `visible`, and selected in the list, or not; one that is there stays as it is.
        """
        measure = Measure(facts["metric"], facts["floor"])
        name = _name(measure, values.ndim, estimate)
        old = next((layer for layer in self.all(estimate) if layer.ndim == values.ndim), None)
        data, properties, _ = map_to_layer_data(values, estimate, name=name, facts=facts)
        properties |= {"colormap": with_gray_gaps(COLORMAPS.get(measure.metric, SEQUENTIAL)), "contrast_limits": limits}
        if values.ndim == 3:
            properties = _on_the_axis_of(estimate, properties)
        if old is not None:
            former = map_facts(old) or {}
            changed = former["metric"] != measure.metric
            named_by_hand = old.name != _name(Measure(former["metric"], former["floor"]), values.ndim, estimate)
            if changed:
                self.unlink()
            moved = old.data.shape != data.shape or not _same_bands(old, properties)
            old.data = data
            for key in PLACED_BY if moved else ():
                setattr(old, key, properties[key])
            old.metadata = properties["metadata"]
            if changed:
                # Its callbacks are gone for the moment, so this is not taken for a change by hand.
                old.colormap = properties["colormap"]
                old.contrast_limits = limits
            if old.name != name and not named_by_hand:
                old.name = name
            layer = old
        else:
            beside = self.all(estimate)
            place = self._viewer.layers.index(beside[0]) if beside else below_marks(self._viewer)
            place += bool(beside) and values.ndim == 2
            # Made here, since napari gives plugins a proxy of what its own add_image makes, and not the layer itself.
            layer = Image(data, **properties, visible=visible)
            if select:
                self._viewer.layers.insert(place, layer)
            else:
                add_unselected(self._viewer, layer, place)
        self.link()
        return layer

    def show(self, estimate: Image, ndim: int) -> None:
        """Show the map of an estimate that has so many axes, else its other one, and hide all other maps.

        In the grid, where nothing covers another, such maps of all estimates are shown.
        """
        own = self.all(estimate)
        if not own:
            return
        shown = next((layer for layer in own if layer.ndim == ndim), own[0])
        if self._viewer.canvas.grid.enabled:
            for layer in self.all():
                layer.visible = layer.ndim == shown.ndim
        else:
            show_alone(self._viewer, shown)

    def link(self) -> None:
        """Link colours and limits of all maps of the same metric, and show one colour bar."""
        maps = self.all()
        if maps != self._linked:
            self.unlink()
        groups: dict[str, list[Image]] = {}
        for layer in maps:
            groups.setdefault(map_facts(layer)["metric"], []).append(layer)  # type: ignore[index]
        for group in groups.values():
            first = group[0]
            for layer in group[1:]:
                for attribute in LINKED:
                    if getattr(layer, attribute) != getattr(first, attribute):
                        setattr(layer, attribute, getattr(first, attribute))
            if len(group) > 1:
                link_layers(group, LINKED)
        for layer in maps if maps != self._linked else []:
            for name, callback in self._callbacks.items():
                getattr(layer.events, name).connect(callback)
        self._linked = maps
        self.show_bar()

    def detach(self) -> None:
        """Unlink all maps, so that each has its own colours and limits, and remove the text from the canvas."""
        self.unlink()
        self._name_gray(None)

    def unlink(self) -> None:
        """Unlink all maps, so that each has its own colours and limits."""
        self._bar_timer.stop()
        for layer in self._linked:
            unlink_layers([layer], LINKED)
            disconnect_events(layer.events, self)
        self._linked = []

    def show_bar(self, _event: Any = None) -> None:
        """Show the colour bar at the next turn of the event loop."""
        self._bar_timer.start()

    def _show_bar(self) -> None:
        """Show the colour bar of the uppermost visible map, and no other; one that was hidden by hand stays hidden."""
        seen = [layer for layer in self.all() if layer.visible]
        self._name_gray(seen[-1] if seen else None)
        if not seen or seen[-1] is self._with_bar:
            return
        wanted = self._with_bar is None or self._with_bar.colorbar.visible
        for layer in self.all():
            layer.colorbar.visible = wanted and layer is seen[-1]
        self._with_bar = seen[-1]

    def _name_gray(self, layer: Image | None) -> None:
        """Write beside the colour bar what gray means, and how much of the map it is."""
        share = 0.0 if layer is None else (map_facts(layer) or {}).get("gray_share", 0.0)
        overlays = self._viewer.canvas.overlays
        if share and GRAY not in overlays:
            # In the corner of the bar it would push that towards the middle.
            overlays[GRAY] = TextOverlay(position="top_left")
        if GRAY in overlays:
            overlays[GRAY].text = f"gray: {percent(share)} left out"
            overlays[GRAY].visible = bool(share)

    def set_limits(self, metric: str, limits: tuple[float, float]) -> None:
        """Set the colour scale of all maps of a metric; being linked, they all follow the first."""
        self._own_change = True
        for layer in self.all():
            if map_facts(layer)["metric"] == metric and tuple(layer.contrast_limits) != limits:  # type: ignore[index]
                layer.contrast_limits = limits
        self._own_change = False

    def follow_names(self) -> None:
        """Write a cube's new name where its maps name it."""
        present = {layer: layer.name for layer in self._viewer.layers}
        renamed = {self._names[layer]: name for layer, name in present.items() if self._names.get(layer, name) != name}
        self._names = present
        for layer in self.all() if renamed else []:
            facts = dict(map_facts(layer) or {})
            estimate = facts["estimate"]
            for key in ("estimate", "truth", "source_layer"):
                facts[key] = renamed.get(facts[key], facts[key])
            layer.metadata = {**layer.metadata, PROVENANCE_KEY: facts}
            if facts["estimate"] != estimate and layer.name.endswith(f": {estimate}"):
                layer.name = layer.name.removesuffix(estimate) + facts["estimate"]

    def _tell_scale(self, event: Any) -> None:
        if not self._own_change:
            self.rescaled.emit(float(event.source.contrast_limits[1]))

    def _fill_gaps(self, event: Any) -> None:
        """Keep what is left out gray, whichever colormap is chosen."""
        filled = with_gray_gaps(event.source.colormap)
        if filled is not event.source.colormap:
            event.source.colormap = filled


def _name(measure: Measure, ndim: int, estimate: Layer) -> str:
    return f"{measure.band_name if ndim == 3 else measure.mean_name}: {estimate.name}"


def _same_bands(layer: Image, properties: dict[str, Any]) -> bool:
    return bool(np.array_equal(layer.metadata.get(WAVELENGTHS_KEY), properties["metadata"].get(WAVELENGTHS_KEY)))


def _on_the_axis_of(estimate: Image, properties: dict[str, Any]) -> dict[str, Any]:
    """Where bands are numbered because they are uneven, give the common ones the numbers that they have in the estimate."""
    if properties["axis_labels"][0] == "wavelength":
        return properties
    common, all_bands = properties["metadata"][WAVELENGTHS_KEY], layer_wavelengths(estimate).tolist()
    first = all_bands.index(common[0]) if common[0] in all_bands else 0
    if all_bands[first : first + len(common)] != list(common):
        return properties
    return properties | {"translate": (first, *properties["translate"][1:])}
