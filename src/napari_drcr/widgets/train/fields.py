"""What the fields of a run's configuration are, as its pydantic models say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from napari_drcr.errors import InputError, shown
from napari_drcr.models.architecture import NetworkSettings, read_settings
from napari_drcr.training.sections import TrainingConfig

NETWORK = "network.architecture"
"""Path of the field that chooses the network, and with it the other fields of its section."""
CAPITALS = {"ema": "EMA", "jpeg": "JPEG", "npm": "NPM", "rgb": "RGB"}


class Kind(NamedTuple):
    """What a value may be: its type (tuple for several values), and whether there may be none.

    Minimum and maximum are themselves allowed, and None without a limit; the value is a multiple of the step. Choices are all
    there are, where there are few. Items are the kinds of the values of a tuple, a single one for any number of them.
    """

    type: type
    optional: bool = False
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    items: tuple[Kind, ...] = ()


class ConfigField(NamedTuple):
    """A field of the configuration: what a form calls it, what it says of it, and what its value may be.

    The path is its section and name, such as ``learning.steps``, or the name alone; the default is as YAML has it.
    """

    path: str
    label: str
    help: str
    kind: Kind
    default: Any

    @property
    def section(self) -> str:
        """The section, empty for fields outside of any."""
        return self.path.rpartition(".")[0]


@cache
def config_fields(network: str | None = None) -> dict[str, ConfigField]:
    """All fields of `TrainingConfig` and its sections, by their paths, in the order of the models.

    The section ``network`` is that of an architecture (its id), by default that of an empty configuration; an `InputError` says
    that there is none.
    """
    return {field.path: field for field in _fields(TrainingConfig(), network)}


@cache
def config_sections() -> dict[str, str]:
    """What the sections of `TrainingConfig` are about, by name."""
    config = TrainingConfig()
    return {
        name: _text(info) for name, info in TrainingConfig.model_fields.items() if isinstance(getattr(config, name), BaseModel)
    }


def network_in(content: Mapping[str, Any]) -> str | None:
    """Id of the architecture that a configuration, right or wrong, names; None where nothing is said."""
    network = content.get("network")
    return network.get("architecture") if isinstance(network, dict) else None


def label_of(name: str) -> str:
    """The name of a field or section as people write it: "JPEG quality" for ``jpeg_quality``."""
    words = [CAPITALS.get(word, word) for word in name.split("_")]
    return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])


def flat(content: dict[str, Any]) -> dict[str, Any]:
    """The values of a configuration by path; an `InputError` names a field that there is not.

    Empty sections, and empty values outside of any, count as not there.
    """
    values: dict[str, Any] = {}
    for name, value in content.items():
        if name not in config_sections():
            values |= {} if value is None else {str(name): value}
        elif isinstance(value, dict):
            values |= {f"{name}.{field}": each for field, each in value.items()}
        elif value is not None:
            raise InputError(f"{name} is {shown(value)}, but it is a section with fields of its own.")
    known = config_fields(network_in(content))
    for path in values:
        if path not in known:
            raise InputError(f"{path} is no field of a configuration; leave it out.")
    return values


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Put values, by path, back into their sections."""
    content: dict[str, Any] = {}
    for path, value in values.items():
        section, _, field = path.rpartition(".")
        (content.setdefault(section, {}) if section else content)[field] = value
    return content


def without_defaults(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out of values, by path, what is the default anyway."""
    fields = config_fields(values.get(NETWORK))
    first = config_fields()[NETWORK].default
    return {path: value for path, value in values.items() if value != (first if path == NETWORK else fields[path].default)}


def _fields(model: BaseModel, network: str | None, section: str = "") -> Iterable[ConfigField]:
    defaults = model.model_dump(mode="json")
    for name, info in type(model).model_fields.items():
        part = getattr(model, name)
        if isinstance(part, NetworkSettings) and network is not None:
            part = read_settings({"architecture": network})
        if isinstance(part, BaseModel):
            yield from _fields(part, network, name)
        else:
            path = f"{section}.{name}" if section else name
            # A section's own name says more than the word name.
            label = label_of(section if section and name in ("name", "architecture") else name)
            text = _text(info) or _text(NetworkSettings.model_fields[name])
            yield ConfigField(path, label, text, _kind(info.annotation, info.metadata), defaults[name])


def _text(info: FieldInfo) -> str:
    return " ".join((info.description or "").replace("`", "").split())


def _kind(annotation: Any, metadata: Iterable[Any]) -> Kind:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(arguments[0], [*metadata, *arguments[1:]])
    if origin in (Union, UnionType):
        (only,) = (argument for argument in arguments if argument is not type(None))
        return _kind(only, metadata)._replace(optional=True)
    if origin is Literal:
        return Kind(str, choices=arguments)
    if origin is tuple:
        return Kind(tuple, items=tuple(_kind(each, ()) for each in arguments if each is not Ellipsis))
    assert annotation in (bool, int, float, str, Path), f"the form knows no field of type {annotation}"
    limits = {}
    for each in metadata:
        for limit in each.metadata if isinstance(each, FieldInfo) else [each]:
            for ours, theirs in (("minimum", "ge"), ("maximum", "le"), ("step", "multiple_of")):
                if hasattr(limit, theirs):
                    limits[ours] = getattr(limit, theirs)
            if annotation is int and hasattr(limit, "gt"):
                limits["minimum"] = limit.gt + 1
            if annotation is int and hasattr(limit, "lt"):
                limits["maximum"] = limit.lt - 1
    return Kind(annotation, **limits)
