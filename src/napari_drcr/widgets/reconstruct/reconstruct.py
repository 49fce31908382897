"""The dock widget Reconstruct: an RGB layer becomes a cube layer."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
from magicgui.widgets import CheckBox, ComboBox
from napari.layers import Image
from napari.utils.notifications import show_info
from qtpy.QtWidgets import QLabel, QPushButton

from napari_drcr.cubes.cube import FLIP_DISAGREEMENT
from napari_drcr.errors import InputError
from napari_drcr.inference.colours import COLOUR_MEANING
from napari_drcr.inference.ensemble import FLIP_MEANING
from napari_drcr.inference.pixels import WHITE_LEVELS
from napari_drcr.inference.reconstruction import ESTIMATE, iter_reconstruct
from napari_drcr.models.store import shipped_models
from napari_drcr.widgets.reconstruct.familiarity_note import FamiliarityNote
from napari_drcr.widgets.reconstruct.white_patch import WhitePatch
from napari_drcr.widgets.viewer.background import Background, sentence_of
from napari_drcr.widgets.viewer.choosers import FileChoice, explained
from napari_drcr.widgets.viewer.controls import HardwareChoice, Message, StepsBar, add_rows, offer
from napari_drcr.widgets.viewer.dock import Dock, show_dock
from napari_drcr.widgets.viewer.fitting import form_layout, stack
from napari_drcr.widgets.viewer.layers import SLICE_KEY, cube_to_layer_data, flip_disagreement_to_layer_data, show_wavelength
from napari_drcr.widgets.viewer.navigation import current_wavelength, go_to_green
from napari_drcr.widgets.viewer.passes import remember_pass
from napari_drcr.widgets.viewer.rgb_images import no_image, profile_of_layer, rgb_from_layer, rgb_layers, shown_slice
from napari_drcr.widgets.viewer.stacking import add_below_marks

if TYPE_CHECKING:
    import xarray as xr

    from napari_drcr.inference.passes import Pass

OPEN_ONE = "Open one, or choose File > Open Sample > DRCR."


class Reconstruct(Dock):
    """Estimate a spectral cube from an RGB layer.

    The work is done in a thread: model and torch are loaded there, its steps move the progress bar, and the result is added
    as a layer. Closing the widget cancels it.

    Attributes
    ----------
    layer, device, precision, encoding, white_level : magicgui.widgets.ComboBox
        The choices; `device` and `precision` offer only "auto" until the hardware is known.
    model : FileChoice
        A shipped model, or a checkpoint.
    white_patch : WhitePatch
        Picks something white in the image.
    ensemble : magicgui.widgets.CheckBox
        Whether flips and turns are averaged, and their disagreement shown.
    colour_exact : magicgui.widgets.CheckBox
        Whether the estimate is given the exact colours of the photo.
    button : QPushButton
        Starts, and while running cancels.
    progress : StepsBar
        Steps done, of those there are.
    status : Message
        The last result, or why there is none.
    familiarity : FamiliarityNote
        Whether the image was unlike those the model learned from.
    """

    TITLE = "Reconstruct"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        remedy = "try a smaller image, or another device or precision"
        self.status = Message()
        self._say, self._refuse = self.status.say, self.status.fail
        self._background = Background(self, self._refuse, show_info, task="The reconstruction", remedy=remedy)
        self._background.finished.connect(self._finish)
        self.layer = ComboBox(
            choices=[],
            label="Image",
            tooltip="RGB image layers of this viewer. Of a series the image is taken that the sliders show.",
        )
        kinds = "Checkpoints (*.safetensors *.pth);;All files (*)"
        model = FileChoice(shipped_models(), "Choose file", kinds, title="Choose a checkpoint")
        self.model = explained(model, "A shipped model, or a .safetensors or .pth checkpoint.")
        self._hardware = HardwareChoice(self)
        self.device, self.precision = self._hardware.device, self._hardware.precision
        self.encoding = ComboBox(
            choices=[("sRGB (ordinary photos)", "srgb"), ("linear", "linear")],
            label="Encoding",
            tooltip="How the image's values are encoded. linear takes them, and leaves the colour profile, as they are.",
        )
        self.white_level = ComboBox(
            choices=[("auto", None), *((f"{level} ({bits} bits)", level) for bits, level in WHITE_LEVELS.items())],
            label="White level",
            tooltip="The value that means white. auto takes the largest that the image's type can hold.",
        )
        self.white_patch = WhitePatch(viewer, self.layer, self.encoding, self.white_level)
        self.ensemble = CheckBox(
            text="average flips and turns",
            tooltip=f"Takes 8 times as long, and adds a layer, flip disagreement. {FLIP_MEANING}",
        )
        self.colour_exact = CheckBox(text="as in the photo, exactly", tooltip=COLOUR_MEANING)
        self.button = QPushButton("Reconstruct")
        self.progress = StepsBar()
        self.familiarity = FamiliarityNote(viewer)
        self._lay_out()
        self.button.clicked.connect(self._toggle)
        self.follow_layers(self._refresh_layers)
        self.choose_active_layer()

    def _lay_out(self) -> None:
        form = add_rows(form_layout(), self.layer)
        form.addRow("Model", self.model)
        add_rows(form, self.device, self.precision, self.encoding, self.white_level)
        form.addRow("White patch", self.white_patch)
        form.addRow("Flip consistency", self.ensemble.native)
        form.addRow("Colours", self.colour_exact.native)
        self.progress.hide()
        about = QLabel(ESTIMATE, wordWrap=True)
        stack(self.content, form, self.button, self.progress, self.status, self.familiarity, about, margin=None).addStretch()

    def choose_active_layer(self) -> None:
        """Take the layer that is selected in the viewer, if it is an RGB image."""
        self._refresh_layers()
        active = self._viewer.layers.selection.active
        if active in self.layer.choices:
            self.layer.value = active

    def add_checkpoint(self, path: str | Path) -> None:
        """Offer a file for `napari_drcr.load_model` among the models, and choose it; it is read when the run starts."""
        self.model.value = str(path)

    def run(self) -> None:
        """Start with the present choices; a notification says so where they cannot be used."""
        if self.running:
            return
        layer, model = self.layer.value, str(self.model.value)
        if layer is None:
            self._refuse(no_image(self._viewer.layers, OPEN_ONE))
            return
        try:
            index = shown_slice(self._viewer, layer)
        except InputError as error:
            self._refuse(sentence_of(error))
            return
        names = ("device", "precision", "encoding", "white_level", "ensemble", "colour_exact")
        settings = {name: getattr(self, name).value for name in names} | {"white": self.white_patch.box}
        self.progress.start()
        self.familiarity.clear()
        self.button.setText("Cancel")
        self.white_patch.setEnabled(False)
        self._say(f"Loading {Path(model).name}\N{HORIZONTAL ELLIPSIS}")
        self._background.run(
            partial(_estimate, layer, index, model, **settings),
            done=partial(self._add_cube, layer),
            progress=self._show_progress,
        )

    def cancel(self) -> None:
        """Ask the run to stop; it does after its present step, and adds nothing."""
        if self.running:
            self._background.cancel()
            self.button.setEnabled(False)
            self._say("Cancelling\N{HORIZONTAL ELLIPSIS}")

    @property
    def running(self) -> bool:
        """Whether a run has begun and not yet ended."""
        return self._background.running

    def detach(self) -> None:
        """Cancel a run, and disconnect all callbacks."""
        self._background.detach()
        self._hardware.stop()
        self.white_patch.detach()
        super().detach()

    def _toggle(self) -> None:
        (self.cancel if self.running else self.run)()

    def _refresh_layers(self, _event: Any = None) -> None:
        offer(self.layer, rgb_layers(self._viewer.layers))
        self._update_button()

    def _update_button(self) -> None:
        if self.running:
            return
        missing = "" if self.layer.choices else no_image(self._viewer.layers, OPEN_ONE)
        self.button.setDisabled(bool(missing))
        self.button.setToolTip(missing)
        self.status.say_missing(missing)

    def _show_progress(self, done: int, total: int) -> None:
        self.progress.take(done, total)
        if self.button.isEnabled():
            self._say("Reconstructing\N{HORIZONTAL ELLIPSIS}")

    def _add_cube(self, source: Image, made: tuple[xr.DataArray, Pass | None]) -> None:
        cube, its_pass = made
        had_bands = self._viewer.dims.ndim > 2
        values, properties, _ = cube_to_layer_data(cube, source=source)
        layer = Image(values, **properties)
        add_below_marks(self._viewer, layer)
        if its_pass is not None and its_pass.precision != "fp32":
            remember_pass(layer, its_pass)
        if FLIP_DISAGREEMENT in cube.coords:
            disagreement, its_properties, _ = flip_disagreement_to_layer_data(cube, source)
            add_below_marks(self._viewer, Image(disagreement, **its_properties))
        self.familiarity.take(cube, source)
        show_wavelength(self._viewer)
        if not had_bands or current_wavelength(self._viewer, layer) is None:
            go_to_green(self._viewer, layer)
        facts = cube.attrs
        exact = ", exact" * facts["colour_exact"]
        colours = f"colours {facts['input_profile']}{exact}, {facts['clipped_share']:.1%} clipped"
        if facts["ensemble"]:
            colours += f"; flip disagreement {facts['flip_disagreement_mean']:.1%} on average"
        self._say(f"{facts['model']} on {facts['device_name']}, {facts['precision']}: {facts['seconds']:.1f} s; {colours}")

    def _finish(self) -> None:
        self.progress.hide()
        self.button.setText("Reconstruct")
        self.white_patch.setEnabled(True)
        if self._background.cancelled:
            self._say("Cancelled; nothing was added.")
        self._update_button()


def _estimate(
    layer: Image, index: tuple[int, ...], model: str, **settings: Any
) -> Generator[tuple[int, int], None, tuple[xr.DataArray, Pass | None]]:
    """Run in a thread, since loading torch and a model takes time; the cube, and its pass where there is one."""
    passes: list[Pass] = []
    settings |= {"profile": profile_of_layer(layer), "remember": passes.append}
    cube = yield from iter_reconstruct(rgb_from_layer(layer, index), model, **settings)
    if index:
        cube.attrs[SLICE_KEY] = list(index)
    return cube, next(iter(passes), None)


def reconstruct_active_layer() -> None:
    """Show the widget Reconstruct, the selected layer chosen in it: what napari's menu Layers runs."""
    show_dock(Reconstruct).choose_active_layer()
