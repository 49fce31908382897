"""Where spectra are taken: the points of one layer, and the shapes of another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import napari
from magicgui.widgets import ComboBox
from napari.layers import Shapes
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QWidget

from napari_drcr.analysis.regions import Statistic
from napari_drcr.widgets.spectrum.picks import Picks
from napari_drcr.widgets.spectrum.reader import Place
from napari_drcr.widgets.viewer.choosers import explained
from napari_drcr.widgets.viewer.controls import Chooser, add_rows, offer_layers
from napari_drcr.widgets.viewer.fitting import form_layout
from napari_drcr.widgets.viewer.placement import tool_placement
from napari_drcr.widgets.viewer.shape_regions import RegionWatch, region_layers, regions_of, tell_apart
from napari_drcr.widgets.viewer.stacking import bring_up
from napari_drcr.widgets.viewer.tools import PAN_ZOOM, ToolWatch, tool_of

if TYPE_CHECKING:
    from napari.layers import Image, Points

BY_CLICK = "made by the first click"


class PlaceChoice(QWidget):
    """Choose a Points layer for pixels and a Shapes layer for regions of a cube, which `host` returns.

    Attributes
    ----------
    picks : Picks
        The picked pixels.
    points, shapes : magicgui.widgets.ComboBox
        The layers.
    statistic : magicgui.widgets.ComboBox
        Mean or median of a region.
    draw_button : QPushButton
        Down while regions are drawn: a tool that adds shapes is in use on the chosen layer.
    tools : ToolWatch
        Which tool is in use.
    changed : Signal
        A place came, went, moved, or changed colour; or another statistic was chosen.
    """

    changed = Signal()

    def __init__(self, viewer: napari.viewer.Viewer, host: Callable[[], Image | None]) -> None:
        super().__init__()
        self._viewer, self._host = viewer, host
        self._watch = RegionWatch(self)
        self.tools = ToolWatch(viewer, self)
        self.picks = Picks(viewer, self)
        self.points = Chooser(
            choices=[(BY_CLICK, None)],
            label="Pixels",
            tooltip="The points whose spectra are drawn. Saved as CSV and opened again, they are chosen here.",
        )
        self.shapes = Chooser(
            choices=[("none", None)], label="Regions", tooltip="Rectangles, ellipses and polygons whose spectra are drawn."
        )
        self.statistic = ComboBox(
            choices=[("mean \N{PLUS-MINUS SIGN} standard deviation", "mean"), ("median and quartiles", "median")],
            label="Of a region",
        )
        self.draw_button = explained(
            QPushButton("Draw a region"),
            "While this is down, clicks on the canvas draw polygons in a Shapes layer over the cube. Press Escape to end one, and this "
            "or Pick to end drawing.",
        )
        self.draw_button.setCheckable(True)
        form = add_rows(form_layout(self), self.points, self.shapes, self.statistic)
        form.addRow("", self.draw_button)
        self.points.changed.connect(self._use_points)
        self.shapes.changed.connect(self._use_shapes)
        self.statistic.changed.connect(lambda _: self.changed.emit())
        self.draw_button.clicked.connect(self._draw_or_end)
        self.tools.changed.connect(self._show_tool)
        self.picks.changed.connect(self._picks_changed)
        self._watch.changed.connect(self._regions_changed)
        self.refresh()
        if (found := Picks.find(viewer)) is not None:
            self.points.value = found

    @property
    def places(self) -> list[Place]:
        """The pixels, then the regions, inside the image or not."""
        places = [Place(pick.name, pick.colour, pick.y, pick.x) for pick in self.picks.all()]
        host, shapes = self._host(), self.shapes.value
        if shapes is not None and host is not None:
            places += [Place(region.name, region.colour, corners=region.corners) for region in regions_of(shapes, host)]
        return places

    @property
    def spread(self) -> Statistic:
        """What is drawn of a region."""
        return self.statistic.value

    def draw_region(self) -> None:
        """Make the Shapes layer that is chosen, or a new one, ready to draw polygons in."""
        host, shapes = self._host(), self.shapes.value
        if shapes is None:
            if host is None:
                return
            shapes = Shapes(name="regions", ndim=2, edge_width=1, face_color="transparent", **tool_placement(host))
            self._viewer.add_layer(shapes)
            self.shapes.value = shapes
        bring_up(self._viewer, shapes)
        self._viewer.layers.selection.active = shapes
        shapes.mode = "add_polygon"

    def end_drawing(self) -> None:
        """End the tool that draws regions."""
        if self._drawing:
            self.shapes.value.mode = PAN_ZOOM

    def refresh(self, _event: object = None) -> None:
        """Look again which layers there are."""
        offer_layers(self.points, Picks.candidates(self._viewer), BY_CLICK)
        offer_layers(self.shapes, region_layers(self._viewer), "none")

    def detach(self) -> None:
        """End drawing, and disconnect all callbacks from the layers, which stay."""
        self.end_drawing()
        self.tools.detach()
        self.picks.detach()
        self._watch.detach()

    @property
    def _drawing(self) -> bool:
        shapes, tool = self.shapes.value, tool_of(self._viewer)
        active = self._viewer.layers.selection.active
        return shapes is not None and shapes == active and tool is not None and tool.startswith("add")

    def _draw_or_end(self, pressed: bool) -> None:
        (self.draw_region if pressed else self.end_drawing)()
        self._show_tool()

    def _show_tool(self) -> None:
        self.draw_button.setChecked(self._drawing)

    def _use_points(self, layer: Points | None) -> None:
        if layer is not self.picks.layer:
            self.picks.use(layer, self._host())

    def _use_shapes(self, layer: Shapes | None) -> None:
        self._watch.watch(layer)
        self._show_tool()
        self._regions_changed()

    def _picks_changed(self) -> None:
        if self.picks.layer is not self.points.value:
            self.refresh()
            self.points.value = self.picks.layer
        self.changed.emit()

    def _regions_changed(self) -> None:
        if self.shapes.value is not None:
            tell_apart(self.shapes.value)
        self.changed.emit()
