"""Cubes to napari layers and back: the only place that knows what a cube layer looks like."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image
from napari.utils import Colormap
from napari.utils.color import ColorValue
from napari.utils.colormaps import ensure_colormap

from napari_drcr.analysis.figures import NO_ERROR
from napari_drcr.cubes.cube import CLIPPED, FLIP_DISAGREEMENT, UNFAMILIARITY, make_cube
from napari_drcr.cubes.lazy import places, to_be_shown, unread
from napari_drcr.errors import InputError
from napari_drcr.inference.ensemble import FLIP_MEANING
from napari_drcr.io import read_cube
from napari_drcr.models.familiarity import MEANING as UNFAMILIARITY_MEANING
from napari_drcr.widgets.viewer.placement import band_axis, band_placement, placement
from napari_drcr.widgets.viewer.stacking import add_below_marks

if TYPE_CHECKING:
    import xarray as xr
    from napari import Viewer
    from napari.layers import Layer

LayerData = tuple[Any, dict[str, Any], str]
"""Values, properties and kind of a layer: what napari takes from readers and samples."""

PROVENANCE_KEY = "napari_drcr"
WAVELENGTHS_KEY = "wavelengths"
SLICE_KEY = "source_slice"
"""Entry of ``metadata["napari_drcr"]`` of an estimate from a series of images: which of them, one index for each axis."""
IN_MEMORY = 256 * 2**20
"""Cubes of up to so many bytes as float32 are read whole: in memory they are faster, and safe from changes of their files."""
PIXEL_FACTS = (CLIPPED, FLIP_DISAGREEMENT, UNFAMILIARITY)
"""Coordinates (y, x) of a cube that its layer keeps in its metadata."""
MAP_KEY = "map"
"""Entry of ``metadata["napari_drcr"]`` of layers that are maps of something: they look like cubes and are none."""
NANOMETRES_IN = {"nanometer": 1.0, "micrometer": 1000.0}

OTHER_GRAY = "#808080"
"""What is left out of maps, where `NO_ERROR` is like a colour of theirs."""
ALIKE = 0.1
"""How far apart, of red, green and blue in 0 to 1, two colours are at most that are taken for one another."""

SAMPLED = 8
"""By how many bands of how many pieces, or a few more, the contrast of a cube is chosen that is not in memory."""


def open_cube(path: str | Path) -> xr.DataArray:
    """Read a cube that is to be looked at, as `napari_drcr.io.read_cube` does; the values of a large one stay in its file."""
    cube = read_cube(path, lazy=True)
    return cube.compute() if cube.nbytes <= IN_MEMORY else cube


def cube_to_layer_data(cube: xr.DataArray, *, source: Image | None = None) -> LayerData:
    """Describe a cube as an image layer whose first axis reads in nm.

    Parameters
    ----------
    cube : xarray.DataArray, shape (bands, y, x)
        The cube. Its attributes become the layer's ``metadata["napari_drcr"]``.
    source : napari.layers.Image, optional
        The two-dimensional layer that the cube was estimated from, and over which the new one is placed.

    Returns
    -------
    tuple of ndarray, dict, str
        For ``Layer.create``, ``viewer.add_image`` (the first two), readers and samples. Values that are not in memory stay
        where they are (`napari_drcr.cubes.lazy.to_be_shown`). ``metadata["wavelengths"]`` holds the band centres in nm,
        ``metadata["clipped"]``, ``metadata["flip_disagreement"]`` and ``metadata["unfamiliarity"]`` the coordinates of these names, if
        the cube has them.
        Evenly spaced bands make an axis in nm; others an axis of band numbers.
    """
    nm = cube["wavelength"].values
    start, step, unit, label = band_axis(nm)
    provenance = dict(cube.attrs)
    name = cube.name or "cube"
    if source is not None:
        provenance["source_layer"] = source.name
        which = "".join(f" [{place}]" for place in provenance.get(SLICE_KEY, ()))
        name = f"{source.name}{which} ({provenance.get('model', 'spectral')} estimate)"
    metadata = {WAVELENGTHS_KEY: [float(band) for band in nm], PROVENANCE_KEY: provenance}
    metadata |= {key: cube[key].values for key in PIXEL_FACTS if key in cube.coords}
    properties = {
        "name": str(name),
        "rgb": False,
        "axis_labels": (label, "y", "x"),
        "colormap": "gray",
        "contrast_limits": _contrast_limits(to_be_shown(cube)),
        "metadata": metadata,
        "scale": (step, 1.0, 1.0),
        "translate": (start, 0.0, 0.0),
        "units": (unit, "pixel", "pixel"),
    }
    if source is not None:
        properties |= band_placement(source, nm)
    return to_be_shown(cube), properties, "image"


def flip_disagreement_to_layer_data(cube: xr.DataArray, source: Image) -> LayerData:
    """Describe the flip disagreement (y, x) of a cube estimated with ``ensemble=True`` as a layer over its source image.

    ``metadata["napari_drcr"]["meaning"]`` says what it is and is not.
    """
    name = f"{source.name} ({cube.attrs['model']} flip disagreement)"
    facts = {**cube.attrs, "meaning": FLIP_MEANING}
    return map_to_layer_data(cube[FLIP_DISAGREEMENT].rename("flip disagreement"), source, name=name, facts=facts)


def unfamiliarity_to_layer_data(cube: xr.DataArray, source: Image) -> LayerData:
    """Describe the unfamiliarity (y, x) of the image of a cube, from 0 to 1, as a layer over that image."""
    name = f"{source.name} ({cube.attrs['model']} {UNFAMILIARITY})"
    facts = {**cube.attrs, "meaning": UNFAMILIARITY_MEANING}
    values, properties, kind = map_to_layer_data(cube[UNFAMILIARITY], source, name=name, facts=facts)
    return values, properties | {"contrast_limits": (0.0, 1.0)}, kind


def map_to_layer_data(values: xr.DataArray, source: Image, *, name: str, facts: Mapping[str, Any]) -> LayerData:
    """Describe a map (y, x) of something, or one for each band, as an image layer exactly over another.

    The name of the map says of what. `facts` say what made it: they become ``metadata["napari_drcr"]``, with the name of the
    source layer and of what is mapped.
    """
    metadata: dict[str, Any] = {PROVENANCE_KEY: {**facts, "source_layer": source.name, MAP_KEY: str(values.name)}}
    properties = {
        "name": name,
        "rgb": False,
        "colormap": with_gray_gaps("inferno"),
        "contrast_limits": _contrast_limits(values.values),
    }
    if values.ndim == 2:
        properties |= {"axis_labels": ("y", "x"), **placement(source)}
    else:
        nm = values["wavelength"].values
        metadata[WAVELENGTHS_KEY] = [float(band) for band in nm]
        properties |= {"axis_labels": (band_axis(nm)[3], "y", "x"), **band_placement(source, nm)}
    return values.values, properties | {"metadata": metadata}, "image"


def with_gray_gaps(colormap: str | Colormap) -> Colormap:
    """A colormap (of napari's, or its name) that paints NaN gray, as the printed figure does.

    napari leaves NaN transparent, which may pass for a low value. The gray is darker where the colormap has light gray itself.
    """
    known = ensure_colormap(colormap)
    light, dark = ColorValue(NO_ERROR), ColorValue(OTHER_GRAY)
    taken = np.linalg.norm(known.colors[:, :3] - light[:3], axis=1).min() < ALIKE
    if any(np.array_equal(known.nan_color, gray) for gray in (light, dark)):
        return known
    settings = known.model_dump() | {"name": f"{known.name}, gaps gray", "nan_color": dark if taken else light}
    return Colormap(**settings)


def _contrast_limits(values: Any) -> tuple[float, float]:
    """From 0 to what all but the brightest highlights reach, the same for every band so that bands can be compared."""
    stride = max(1, max(values.shape[-2:]) // 128)
    if isinstance(values, np.ndarray) and not isinstance(values, np.memmap):
        sample = values[..., ::stride, ::stride]
    else:
        sample = _few_values(values, stride)
    finite = sample[np.isfinite(sample)]
    high = float(np.quantile(finite, 0.998)) if finite.size else 0.0
    return 0.0, high if high > 0 else 1.0


def _few_values(values: Any, stride: int) -> npt.NDArray[Any]:
    """Some bands of every `stride`-th pixel in some of the pieces that are read at once."""
    pieces = places(values)
    apart, bands = max(1, len(pieces) // SAMPLED), max(1, len(values) // SAMPLED)
    steps = (bands, stride, stride)
    chosen = [
        tuple(slice(part.start, part.stop, step) for part, step in zip(piece, steps, strict=True))
        for piece in pieces[apart // 2 :: apart]
    ]
    return np.concatenate([np.ravel(np.asarray(values[piece])) for piece in chosen])


def is_cube_layer(layer: Layer) -> bool:
    """Whether a layer is a cube that `layer_to_cube` takes, and no map; quick, since docks ask it of every layer."""
    if not isinstance(layer, Image) or layer.rgb or layer.multiscale or layer.ndim != 3 or MAP_KEY in facts_of_layer(layer):
        return False
    try:
        nm = np.asarray(layer_wavelengths(layer), dtype=np.float64)
    except (InputError, TypeError, ValueError):
        return False
    return bool(np.isfinite(nm).all() and nm[0] > 0 and (np.diff(nm) > 0).all())


def layer_to_cube(layer: Layer) -> xr.DataArray:
    """The cube (bands, y, x) that an image layer of three axes (band, y, x) shows.

    Its bands are those of `layer_wavelengths`. It has the quantity, scale and illuminant, and all else, that
    ``metadata["napari_drcr"]`` tells, and the coordinates `clipped`, `flip_disagreement` and `unfamiliarity` where the metadata of
    these names still fit the layer. No values are read or copied: floats are those of the layer, all else becomes a lazy array
    (`napari_drcr.cubes.lazy.unread`).

    Raises
    ------
    InputError
        If the layer is no cube, or says nothing about its wavelengths.
    """
    _check_image(layer, "a cube")
    if layer.rgb or layer.ndim != 3:
        found = "an RGB image" if layer.rgb else f"an image of {layer.ndim} axes"
        raise InputError(f"the layer {layer.name!r} is {found}, not a cube of three axes (band, y, x); choose a cube layer.")
    provenance = layer.metadata.get(PROVENANCE_KEY, {})
    if not isinstance(provenance, Mapping):
        raise InputError(
            f"the layer {layer.name!r} has metadata[{PROVENANCE_KEY!r}] that are no dictionary; remove or correct them."
        )
    provenance = {key: value for key, value in provenance.items() if key != "name"}
    labels = {key: provenance.pop(key) for key in ("quantity", "scale", "illuminant") if key in provenance}
    cube = make_cube(unread(layer.data), layer_wavelengths(layer), name=layer.name, attrs=provenance, **labels)
    facts = {key: np.asarray(layer.metadata.get(key)) for key in PIXEL_FACTS}
    return cube.assign_coords({key: (("y", "x"), fact) for key, fact in facts.items() if fact.shape == cube.shape[1:]})


def facts_of_layer(layer: Layer) -> Mapping[str, Any]:
    """What made a layer: its ``metadata["napari_drcr"]``, empty if there is none."""
    facts = layer.metadata.get(PROVENANCE_KEY)
    return facts if isinstance(facts, Mapping) else {}


def model_of_layer(layer: Layer) -> str | None:
    """Name of the model that estimated a cube layer; None for a cube that names none, and is taken as measured."""
    model = facts_of_layer(layer).get("model")
    return None if model is None else str(model)


def layer_wavelengths(layer: Image) -> npt.NDArray[np.float64]:
    """Band centres of a cube layer in nm, shape (bands,).

    They are ``metadata["wavelengths"]``, else the first axis where that is in nm or µm.

    Raises
    ------
    InputError
        If it says nothing about its wavelengths, or names another number of them.
    """
    bands = layer.data.shape[0]
    stated = layer.metadata.get(WAVELENGTHS_KEY)
    if stated is not None:
        if np.shape(stated) != (bands,):
            raise InputError(
                f"the layer {layer.name!r} has {bands} bands, but its metadata names {np.size(stated)} wavelengths; correct these."
            )
        return np.asarray(stated)
    if (factor := NANOMETRES_IN.get(str(layer.units[0]))) is not None:
        return np.asarray(factor * (layer.translate[0] + layer.scale[0] * np.arange(bands)), dtype=np.float64)
    raise InputError(
        f"the layer {layer.name!r} does not say which wavelengths its {bands} bands have; "
        f"put them, in nm, into layer.metadata[{WAVELENGTHS_KEY!r}]."
    )


def _check_image(layer: Layer, wanted: str) -> None:
    if not isinstance(layer, Image):
        raise InputError(
            f"the layer {layer.name!r} is of the kind {type(layer).__name__}, not {wanted}; choose an image layer."
        )
    if layer.multiscale:
        raise InputError(
            f"the layer {layer.name!r} is multiscale; add its full resolution, layer.data[0], as a layer of its own."
        )


def show_map(viewer: Viewer, values: npt.NDArray[Any], properties: Mapping[str, Any]) -> None:
    """Add a map, described by `map_to_layer_data`, with its colour bar, and hide other maps, whose bars do not explain it."""
    layer = Image(values, **properties)
    add_below_marks(viewer, layer)
    show_alone(viewer, layer)
    layer.colorbar.visible = True


def show_alone(viewer: Viewer, layer: Layer) -> None:
    """Show a map, and hide other maps, with their colour bars."""
    for other in viewer.layers:
        if MAP_KEY in facts_of_layer(other):
            other.visible = other is layer


def show_wavelength(viewer: Viewer | None) -> None:
    """Show the current wavelength on the canvas, since the slider's own box counts bands."""
    if viewer is not None:
        viewer.canvas.overlays.current_slice.visible = True
