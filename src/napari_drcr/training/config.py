"""Configuration of a run, as YAML on disk: presets, reading, checking, writing."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.errors import InputError, shown
from napari_drcr.models.architecture import NetworkSettings
from napari_drcr.system.files import atomic_path
from napari_drcr.training.sections import TrainingConfig
from napari_drcr.training.yaml_file import read_yaml


def presets() -> dict[str, Path]:
    """The configurations that ship with the package.

    Returns
    -------
    dict of str to Path
        Names and files: `fine-tune` adapts the shipped photo model, `small` trains a small network from the start, `paper` is DRCR Net
        as its paper trains it.
    """
    folder = Path(str(resources.files("napari_drcr.training") / "presets"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def describe_preset(name: str) -> tuple[str, str]:
    """What a preset is, from its first line.

    Parameters
    ----------
    name : str
        One of `presets`.

    Returns
    -------
    title, sentence : str
        What choosers call it, and what it is.
    """
    first = presets()[name].read_text(encoding="utf-8").splitlines()[0]
    title, _, sentence = first.removeprefix("# ").partition(": ")
    return title, sentence


def read_config(path: str | Path, **overrides: Any) -> TrainingConfig:
    """Read a run's configuration.

    Parameters
    ----------
    path : str or Path
        A YAML file, or the name of one of `presets`.
    **overrides
        Values that replace those of the file, named ``section__field``: ``data__folder=...``, ``learning__steps=...``.

    Returns
    -------
    TrainingConfig

    Raises
    ------
    InputError
        Naming the field that is wrong, its value and what it needs.
    """
    content = read_content(path)
    return make_config(content, source=Path(path).name, **overrides)


def read_content(path: str | Path) -> dict[str, Any]:
    """Read sections and values of a configuration, right or wrong.

    Parameters
    ----------
    path : str or Path
        A YAML file, or the name of one of `presets`.

    Returns
    -------
    dict
        For `make_config` and `check_config`.

    Raises
    ------
    InputError
        If there is no such file, it cannot be read (see `read_yaml`), or it holds no sections.
    """
    path = presets().get(str(path), Path(path))
    if not path.is_file():
        raise InputError(f"there is no configuration file {path}, nor a preset of that name; there is {', '.join(presets())}.")
    content = read_yaml(path) or {}
    if not isinstance(content, dict):
        raise InputError(f"{path.name} holds {type(content).__name__}, not the sections of a configuration.")
    return content


def make_config(content: dict[str, Any], *, source: str = "the configuration", **overrides: Any) -> TrainingConfig:
    """Check the values of a configuration.

    Parameters
    ----------
    content : dict
        Sections and values as in the YAML file; left as it is.
    source : str
        What errors call it.
    **overrides
        As for `read_config`.

    Returns
    -------
    TrainingConfig

    Raises
    ------
    InputError
        Naming the field that is wrong, its value and what it needs; `check_config` names all of them.
    """
    for key, value in overrides.items():
        section, _, field = key.rpartition("__")
        if value is None:
            continue
        if not section:
            content = content | {field: value}
        elif isinstance(content.get(section) or {}, dict):
            content = content | {section: (content.get(section) or {}) | {field: value}}
    config, reasons = _check(content)
    for field, (value, reason) in reasons.items():
        raise InputError(
            f"{source}: {reason}." if reason.startswith(field) else f"{source}: {field} is {shown(value)}: {reason}."
        )
    return config


def check_config(content: dict[str, Any]) -> dict[str, str]:
    """Everything that is wrong with the values of a configuration.

    Parameters
    ----------
    content : dict
        Sections and values as in the YAML file.

    Returns
    -------
    dict of str to str
        For each wrong field, such as ``learning.steps``, a sentence that says what it needs; empty where `make_config` takes it.
        An error of several fields together is listed under the one that the sentence begins with, or under "".
    """
    return {
        field: f"{reason}." if reason.startswith(field) else f"{reason[0].upper()}{reason[1:]}."
        for field, (_, reason) in _check(content)[1].items()
    }


def network_of(model: str) -> NetworkSettings:
    """The network of a model that a run can start from.

    Parameters
    ----------
    model : str
        A shipped model or a file.

    Returns
    -------
    NetworkSettings

    Raises
    ------
    InputError
        If there is no such model, it does not learn by steps, or has other bands than those of training.
    """
    from napari_drcr.models.store import load_model

    start = load_model(model)
    if not start.architecture.trainable:
        raise InputError(f"model {model} is a {start.architecture.title}, which does not learn by steps; start from a network.")
    if start.bands != len(WAVELENGTHS):
        raise InputError(
            f"model {model} has {start.bands} bands, but training takes {len(WAVELENGTHS)}; start from another model."
        )
    return start.settings


def _check(content: dict[str, Any]) -> tuple[TrainingConfig, dict[str, tuple[Any, str]]]:
    """The configuration, valid only without errors, and by field the value and the reason of each error."""
    config = TrainingConfig()
    reasons: dict[str, tuple[Any, str]] = {}
    try:
        config = TrainingConfig.model_validate({key: value for key, value in content.items() if value is not None})
    except ValidationError as error:
        for each in error.errors():
            field = ".".join(str(part) for part in each["loc"] if not isinstance(part, int))
            own_message = each.get("ctx", {}).get("error")
            if not field and own_message is not None:
                field = str(own_message).partition(" ")[0]
            reasons.setdefault(field, (each["input"], str(own_message or each["msg"]).rstrip(".")))
    learning = content.get("learning")
    start = learning.get("start_from") if isinstance(learning, dict) else None
    if isinstance(start, str):
        try:
            its_own = network_of(start)
        except InputError as error:
            reasons["learning.start_from"] = (start, str(error).rstrip("."))
        else:
            if not reasons and content.get("network") is not None and config.network != its_own:
                reason = f"it differs from that of learning.start_from ({shown(start)}: {its_own}); leave the network out"
                reasons["network"] = (content["network"], reason)
            config = config.model_copy(update={"network": its_own})
    if not reasons:
        for teacher in config.learning.teachers:
            try:
                _check_teacher(teacher, config)
            except InputError as error:
                reasons["learning.teachers"] = (teacher, str(error).rstrip("."))
    return config, reasons


def _check_teacher(name: str, config: TrainingConfig) -> None:
    """Refuse what cannot estimate the cubes of a run from its images."""
    from napari_drcr.models.store import load_model

    teacher = load_model(name)
    if not teacher.architecture.trainable:
        raise InputError(f"model {name} is a {teacher.architecture.title}; name a trained network.")
    if teacher.bands != len(WAVELENGTHS):
        raise InputError(f"model {name} has {teacher.bands} bands, but training takes {len(WAVELENGTHS)}; name another model.")
    if config.data.rgb == "simulated" and (teacher.card.camera, teacher.card.normalisation) != (config.camera.name, "white"):
        raise InputError(
            f"model {name} takes images of camera {teacher.card.camera or 'unknown'} with normalisation {teacher.card.normalisation}, and "
            f"the run makes those of camera {config.camera.name} with normalisation white; name another model."
        )
    if config.data.patch % teacher.architecture.multiple:
        raise InputError(f"model {name} takes multiples of {teacher.architecture.multiple} pixels; choose another data.patch.")


def write_config(path: Path, config: TrainingConfig) -> None:
    """Write a configuration as YAML, atomically.

    Parameters
    ----------
    path : Path
        The file, replaced if it is there.
    config : TrainingConfig
        What `read_config` gives back.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    with atomic_path(path) as temporary:
        content = config.model_dump(mode="json")
        temporary.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
