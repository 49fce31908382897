"""The form of a run's configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QWidget

from napari_drcr.errors import InputError, shown
from napari_drcr.models.architecture import find_architecture
from napari_drcr.training.config import check_config, make_config, network_of, presets, read_content, write_config
from napari_drcr.training.sections import TrainingConfig
from napari_drcr.widgets.train.editors import NumberEditor
from napari_drcr.widgets.train.fields import NETWORK, config_fields, config_sections, flat, label_of, nested, without_defaults
from napari_drcr.widgets.train.network_choice import NetworkFacts, SizeChoice, settings_of
from napari_drcr.widgets.train.preset_choice import PresetChoice
from napari_drcr.widgets.train.rows import Fold, Marked, Row, compact_form
from napari_drcr.widgets.viewer.background import Background
from napari_drcr.widgets.viewer.choosers import explained
from napari_drcr.widgets.viewer.fitting import BreakingRow, scrolling, stack

ESSENTIALS = ("data.folder", "data.quantity", "camera.name", "learning.start_from", "learning.steps", "device")
"""What most users change, in this order."""
START = "learning.start_from"
RATE = "learning.learning_rate"
DELAY = 300
"""Milliseconds without a change until the values are checked."""
KINDS = "YAML (*.yaml *.yml)"


class ConfigForm(QWidget):
    """All fields of a run's configuration, made of its pydantic models; what is wrong is marked where it is.

    Values are checked in a thread, shortly after the last change: what a run starts from must be loaded for that.

    Attributes
    ----------
    changed : Signal
        A value is another one.
    checked : Signal
        `errors` are those of the present values.
    preset : PresetChoice
        The presets, and which of them the form shows.
    rows : dict of str to Row
        The fields, by their path, such as ``learning.steps``.
    folds : dict of str to Fold
        The sections; that of the fields without one is "".
    network_size : SizeChoice
        The presets of the chosen network, and which of them its settings are.
    network_facts : NetworkFacts
        Where the network comes from, and what it costs.
    head : Marked
        Says what is wrong with no field in particular, or with a file.
    """

    changed = Signal()
    checked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._errors: dict[str, str] = {}
        self._refusal = ""
        self._filling = False
        self._own_network: dict[str, Any] | None = None
        self._timer = QTimer(self, interval=DELAY, singleShot=True)
        self._timer.timeout.connect(self._check)
        self._background = Background(self, self._fail, lambda _: None, task="The check of the settings")
        self.preset = PresetChoice()
        self.open_button = explained(QPushButton("Open\N{HORIZONTAL ELLIPSIS}"), "Take all settings from a YAML file.")
        about = "Write all settings to a YAML file, which napari-drcr train runs too."
        self.save_button = explained(QPushButton("Save\N{HORIZONTAL ELLIPSIS}"), about)
        self.rows = {path: Row(field) for path, field in config_fields().items()}
        self.folds = {"": Fold("Run", "Its name, and where and how often it runs.")}
        self.folds |= {name: Fold(label_of(name), about) for name, about in config_sections().items()}
        self.head = Marked()
        self.network_size, self.network_facts = SizeChoice(), NetworkFacts()
        self._lay_out()
        self.network_size.chosen.connect(self._resize_network)
        self.preset.chosen.connect(self.load)
        self.open_button.clicked.connect(lambda: self._ask(QFileDialog.getOpenFileName, "Open settings", "", self.open_yaml))
        self.save_button.clicked.connect(
            lambda: self._ask(QFileDialog.getSaveFileName, "Save settings", "training.yaml", self.save_yaml)
        )
        for row in self.rows.values():
            row.editor.edited.connect(self._edited)
        self._network = self.rows[NETWORK].editor.value
        self.set_content({})

    def _lay_out(self) -> None:
        essentials = QWidget()
        form = compact_form(essentials)
        for path in ESSENTIALS:
            form.addRow(self.rows[path].label, self.rows[path])
        for path, row in self.rows.items():
            if path not in ESSENTIALS:
                self.folds[row.field.section].form.addRow(row.label, row)
            if path == NETWORK:
                self.folds["network"].form.addRow("Size", Marked(self.network_size))
                self.folds["network"].form.addRow(self.network_facts)
        page = QWidget()
        column = stack(page, essentials, QLabel("More settings"), *self.folds.values())
        column.setContentsMargins(0, 0, 4, 0)
        column.addStretch()
        presets_row = BreakingRow(QLabel("Preset"), self.preset, self.open_button, self.save_button, stretched=1)
        stack(self, presets_row, self.head).addWidget(scrolling(page), 1)

    @property
    def content(self) -> dict[str, Any]:
        """Sections and values as in a YAML file, but those that are the defaults; right or wrong."""
        return nested(self._values())

    @property
    def config(self) -> TrainingConfig:
        """The configuration; an `InputError` names the field where there is none."""
        return make_config(self.content, source="the form")

    @property
    def errors(self) -> dict[str, str]:
        """What was wrong when the values were last checked: a sentence for each field."""
        return dict(self._errors)

    def set_content(self, content: dict[str, Any]) -> None:
        """Show sections and values, as in a YAML file, in place of all there are; for what they do not name, the defaults.

        Wrong values are marked. Where they name something to start from, their network is left out: that of the model is shown.

        Raises
        ------
        InputError
            If there is no such field, or a value that its field cannot show; the form stays as it was.
        """
        values = flat(content)
        before = {path: row.editor.value for path, row in self.rows.items()}
        try:
            self._fill(values)
        except InputError:
            self._fill(before)
            raise
        self._own_network = None
        self._edited()

    def load(self, name: str | Path) -> None:
        """Show a preset, which leaves alone what it cannot know (folder, device, ...), or what a file holds, as `open_yaml`."""
        if str(name) in presets():
            self.set_content(nested(self.preset.fill(str(name), self._values())))
        else:
            self.open_yaml(name)

    def open_yaml(self, path: str | Path) -> None:
        """Show what a YAML file holds; an `InputError` says why it cannot be shown."""
        content = read_content(path)
        try:
            self.set_content(content)
        except InputError as error:
            raise InputError(f"{Path(path).name} was not opened: {error}") from error

    def save_yaml(self, path: str | Path) -> None:
        """Write all values to a file, or over it; `napari_drcr.training.config.read_config` reads it.

        An `InputError` says which value is wrong, or why the file cannot be written.
        """
        write_config(Path(path), self.config)

    def detach(self) -> None:
        """Check nothing any more."""
        self._timer.stop()
        self._background.detach()
        self.network_facts.detach()
        for row in self.rows.values():
            row.editor.detach()

    def _values(self) -> dict[str, Any]:
        """By path, but the defaults, and a network that is another model's."""
        values = without_defaults({path: row.editor.value for path, row in self.rows.items()})
        return {path: value for path, value in values.items() if START not in values or not path.startswith("network.")}

    def _fill(self, values: dict[str, Any], within: str = "") -> None:
        """Show values by path, and defaults for the others whose path begins so."""
        self._filling = True
        try:
            self._show(NETWORK, values.get(NETWORK, config_fields()[NETWORK].default))
            self._show_fields_of_network()
            for path, row in self.rows.items():
                if path != NETWORK and path.startswith(within):
                    self._show(path, values.get(path, row.field.default))
        finally:
            self._filling = False

    def _show(self, path: str, value: Any) -> None:
        try:
            self.rows[path].editor.set_value(value)
        except ValueError as error:
            reason = check_config(nested({path: value})).get(path, f"{error}.")
            raise InputError(f"{path} is {shown(value)}: {reason}") from error

    def _edited(self) -> None:
        if self._filling:
            return
        self._refusal = ""
        self._show_fields_of_network()
        self._enable_network()
        self._describe_network()
        self.preset.compare(self._values())
        self._timer.start()
        self.changed.emit()

    def _enable_network(self) -> None:
        """Show the network of what the run starts from, or the user's own."""
        start = self.rows[START].editor.value
        if start and self._own_network is None:
            self._own_network = {path: row.editor.value for path, row in self._network_rows().items()}
        elif not start and self._own_network is not None:
            self._fill(self._own_network, within="network.")
            self._own_network = None
        name = Path(start).name if start else ""
        why = f"It is that of {name}, which the run starts from; start from nothing to choose another." if start else ""
        fold = self.folds["network"]
        fold.content.setDisabled(bool(start))
        fold.heading.setToolTip(why or config_sections()["network"])
        fold.note(f"that of {name}" if start else "")
        for row in self._network_rows().values():
            row.explain(why or row.field.help)

    def _network_rows(self) -> dict[str, Row]:
        """Those of the network that is shown."""
        return {path: row for path, row in self.rows.items() if row.field.section == "network"}

    def _describe_network(self) -> None:
        """Say what is chosen, whatever it was chosen by."""
        values = {path.rpartition(".")[2]: row.editor.value for path, row in self._network_rows().items()}
        settings = settings_of(values)
        self.network_size.compare(self._network, settings)
        self.network_facts.describe(self._network, settings)
        rate = self.rows[RATE].editor
        assert isinstance(rate, NumberEditor)
        rate.line.setPlaceholderText(f"{find_architecture(self._network).learning_rate:g}, that of the network")

    def _resize_network(self, preset: str) -> None:
        """Take the settings of a preset of the chosen network."""
        settings = find_architecture(self._network).presets[preset].model_dump(mode="json")
        self._fill({f"network.{name}": value for name, value in settings.items()}, within="network.")
        self._edited()

    def _show_fields_of_network(self) -> None:
        """Replace the fields of a network by those of the one that is chosen, with their defaults."""
        chosen = self.rows[NETWORK].editor.value
        if chosen == self._network:
            return
        self._network = chosen
        form = self.folds["network"].form
        for path in self._network_rows().keys() - {NETWORK}:
            row = self.rows.pop(path)
            row.editor.detach()
            form.removeRow(row)
        for path, field in config_fields(chosen).items():
            if path not in self.rows:
                row = self.rows[path] = Row(field)
                form.addRow(row.label, row)
                row.editor.set_value(field.default)
                row.editor.edited.connect(self._edited)

    def _check(self) -> None:
        self._background.run(_examine, self.content, done=self._mark)

    def _mark(self, found: tuple[dict[str, str], dict[str, Any] | None]) -> None:
        if self._timer.isActive():
            return  # There are newer values already.
        self._errors, network = found
        if self._own_network is not None:
            its_own = self._own_network if network is None else {f"network.{name}": value for name, value in network.items()}
            self._fill(its_own, within="network.")
            self._describe_network()
        for path, row in self.rows.items():
            row.mark(self._errors.get(path, ""))
        for name, fold in self.folds.items():
            fold.said.mark(self._errors.get(name, "") if name else "")
            inside = [path for path, row in self.rows.items() if row.field.section == name and path not in ESSENTIALS]
            fold.count(sum(path in self._errors for path in inside))
        self._mark_head()
        self.checked.emit()

    def _mark_head(self) -> None:
        elsewhere = [sentence for path, sentence in self._errors.items() if not path or path not in {**self.rows, **self.folds}]
        self.head.mark(" ".join([*([self._refusal] if self._refusal else []), *elsewhere]))

    def _fail(self, sentence: str) -> None:
        self._mark(({"": sentence}, None))

    def _ask(self, dialog: Callable[..., tuple[str, str]], title: str, name: str, work: Callable[[str], None]) -> None:
        path, _ = dialog(self, title, name, KINDS)
        if not path:
            return
        self._refusal = ""
        try:
            work(path)
        except InputError as error:
            self._refusal = str(error)
        self._mark_head()


def _examine(content: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any] | None]:
    """Run in a thread: what is wrong, and the network of what the run starts from."""
    errors = check_config(content)
    start = content.get("learning", {}).get("start_from")
    return errors, network_of(start).model_dump() if start and START not in errors else None
