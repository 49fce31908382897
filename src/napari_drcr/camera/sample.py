"""The synthetic RGB and cube pair that the demo, napari's samples and the tests share.

A still life, ray-traced over published reflectances, so that the exact spectrum of every pixel is known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from napari_drcr.camera import CAMERAS
from napari_drcr.cubes.cube import WAVELENGTHS, make_cube
from napari_drcr.errors import InputError

Array = npt.NDArray[np.floating]

CHART = "ColorChecker N Ohta"
SMALLEST = 16
"""Least height and width of a scene in pixels."""


def _vector(*values: float) -> Array:
    return np.array(values, dtype=np.float32)


def _unit(*values: float) -> Array:
    return _vector(*values) / np.float32(np.linalg.norm(values))


# World axes: x to the right, y up, z towards the viewer. The table is y = 0, the wall z = WALL_Z, and the board leans on it.
RIGHT = _vector(1, 0, 0)
EYE = _vector(0, 3.1, 7)
FORWARD = _unit(0, -2.4, -7)
UPWARD = np.cross(RIGHT, FORWARD)
FOCAL_LENGTH = 7.4
LIGHT = _unit(-0.52, 0.66, 0.55)
AMBIENT, DIRECT, PENUMBRA = 0.32, 0.78, 0.13
WALL_Z = -1.55
BOARD_CORNER, BOARD_WIDTH, BOARD_HEIGHT = _vector(-1.72, 0, -0.85), 2.16, 1.47
BOARD_UP = _unit(0, 0.97, -0.24)
BOARD_NORMAL = np.cross(RIGHT, BOARD_UP)
ROWS, COLUMNS = 4, 6
CLOTH_MIDDLE, CLOTH_SIDE, CLOTH_ALONG, CLOTH_CHECK = _vector(-0.8, 0, 0.72), 1.36, _unit(0.97, 0, 0.22), 0.136


@dataclass(frozen=True)
class _Solid:
    """An upright capsule on the table (a sphere where `height` is 0), painted with a pattern of two patches of the chart."""

    name: str
    x: float
    z: float
    radius: float
    height: float
    pattern: str
    paints: tuple[str, str]
    gloss: float = 0.3

    @property
    def foot(self) -> Array:
        """Lower end of the axis."""
        return _vector(self.x, self.radius, self.z)


SOLIDS = (
    _Solid("large sphere", 1.02, 0.1, 0.5, 0, "gradient", ("blue", "magenta")),
    _Solid("tall capsule", 1.6, -0.75, 0.24, 1.25, "bands", ("purple", "bluish green")),
    _Solid("short capsule", 0.72, -0.85, 0.2, 0.75, "gradient", ("red", "orange yellow")),
    _Solid("orange sphere", 0.28, 0.75, 0.27, 0, "marble", ("orange", "yellow")),
    _Solid("green sphere", -1.32, 0.5, 0.3, 0, "marble", ("green", "yellow green")),
    _Solid("red sphere", -0.72, 0.95, 0.24, 0, "gradient", ("red", "moderate red")),
    _Solid("white sphere", -0.32, 0.28, 0.19, 0, "gradient", ("light skin", "white 9.5 (.05 D)")),
    _Solid("dark sphere", 1.56, 0.7, 0.2, 0, "marble", ("black 2 (1.5 D)", "purplish blue"), 0.45),
    _Solid("cyan capsule", 0.98, 1.2, 0.12, 0.22, "bands", ("cyan", "blue flower")),
)


def synthetic_scene(height: int = 240, width: int = 320, *, seed: int = 0) -> xr.DataArray:
    """A still life of known reflectances: a colour chart, spheres, capsules and a cloth on a table, with shading and texture.

    Parameters
    ----------
    height, width : int
        Size in pixels, at least 16. The layout fits any; 3 : 4 frames it best.
    seed : int
        Of the textures: grain, marbling and plaster.

    Returns
    -------
    xarray.DataArray, shape (31, height, width), float32
        Reflectance times shading, in (0.005, 1), at 400-700 nm in steps of 10 nm.

    Raises
    ------
    InputError
        If the size is too small to show anything.

    Notes
    -----
    All colours are mixed from the 24 ColorChecker reflectances of N. Ohta, "The basis of color reproduction engineering"
    (1997), as tabulated by colour-science, which is imported on the first call. Similar charts are in the training data of
    most models: this is a sample to look at and no benchmark.
    """
    if min(height, width) < SMALLEST:
        raise InputError(f"the synthetic scene takes at least {SMALLEST} x {SMALLEST} pixels, not {height} x {width}.")
    textures = np.random.default_rng(seed).random((3, 64, 64), dtype=np.float32)
    patches = _chart()
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    scale = _pixels_per_unit(height, width)
    values = np.zeros((height * width, len(WAVELENGTHS)), np.float32)
    # Four rays a pixel, averaged, for smooth edges.
    for dy, dx in [(0.125, 0.625), (0.375, 0.125), (0.625, 0.875), (0.875, 0.375)]:
        across, up = (columns + dx - width / 2) / scale, (height / 2 - rows - dy) / scale
        rays = FOCAL_LENGTH * FORWARD + across[..., None] * RIGHT + up[..., None] * UPWARD
        values += _trace(rays.reshape(-1, 3), textures, patches) / 4
    cube = values.T.reshape(-1, height, width)
    return make_cube(cube, WAVELENGTHS, quantity="reflectance", illuminant="D65", name="synthetic still life")


def synthetic_pair(height: int = 240, width: int = 320, *, seed: int = 0) -> tuple[npt.NDArray[np.uint8], xr.DataArray]:
    """The scene as the camera "photo" takes it, and its exact cube.

    Parameters
    ----------
    height, width, seed
        As for `synthetic_scene`.

    Returns
    -------
    rgb : ndarray, shape (height, width, 3), uint8
        sRGB-encoded.
    cube : xarray.DataArray, shape (31, height, width), float32
        See `synthetic_scene`.

    Raises
    ------
    InputError
        As for `synthetic_scene`.
    """
    cube = synthetic_scene(height, width, seed=seed)
    return CAMERAS["photo"].render(cube), cube


def marked_pixels(height: int = 240, width: int = 320) -> dict[str, tuple[int, int]]:
    """Representative pixels of a scene of that size.

    Parameters
    ----------
    height, width : int
        Size of the scene in pixels.

    Returns
    -------
    dict of str to (int, int)
        Names and positions (y, x).
    """
    spots = {}
    for name in ("yellow", "cyan"):
        row, column = divmod(list(_chart()).index(name), COLUMNS)
        across, up = (column + 0.5) / COLUMNS * BOARD_WIDTH, (1 - (row + 0.5) / ROWS) * BOARD_HEIGHT
        spots[f"{name} patch"] = BOARD_CORNER + across * RIGHT + up * BOARD_UP
    for solid in SOLIDS[:2]:
        middle = solid.foot + _vector(0, solid.height / 2, 0)
        spots[solid.name] = middle + solid.radius * _unit(*(EYE - middle))
    spots["table"] = _vector(-0.02, 0, 1.5)
    return {name: _project(spot, height, width) for name, spot in spots.items()}


def _pixels_per_unit(height: int, width: int) -> float:
    return min(height / 3, width / 4)


def _project(spot: Array, height: int, width: int) -> tuple[int, int]:
    scale = _pixels_per_unit(height, width) * FOCAL_LENGTH / float((spot - EYE) @ FORWARD)
    x = width / 2 + float((spot - EYE) @ RIGHT) * scale
    y = height / 2 - float((spot - EYE) @ UPWARD) * scale
    return int(y), int(x)


def _chart() -> dict[str, Array]:
    import colour

    return {
        name: np.interp(WAVELENGTHS, spectrum.wavelengths, spectrum.values).astype(np.float32)
        for name, spectrum in colour.SDS_COLOURCHECKERS[CHART].items()
    }


def _trace(rays: Array, textures: Array, patches: dict[str, Array]) -> Array:
    """Spectra seen along rays from the eye: (n, 3) to (n, bands)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        wall, table = (WALL_Z - EYE[2]) / rays[:, 2], -EYE[1] / rays[:, 1]
        surfaces = np.stack([wall, table, _meet_board(rays), *(_meet_solid(rays, solid) for solid in SOLIDS)])
    surfaces[~(surfaces > 0)] = np.inf
    nearest = np.argmin(surfaces, axis=0)
    points = EYE + surfaces.min(axis=0)[:, None] * rays
    spectra = np.empty((len(rays), len(WAVELENGTHS)), np.float32)
    flat = [(_vector(0, 0, 1), _paint_wall), (_vector(0, 1, 0), _paint_table), (BOARD_NORMAL, _paint_board)]
    for index, (normal, paint) in enumerate(flat):
        here = nearest == index
        spectra[here] = paint(points[here], textures, patches) * _shade(points[here], normal)[:, None]
    for index, solid in enumerate(SOLIDS, start=len(flat)):
        here = nearest == index
        normal = _offset(points[here], solid) / solid.radius
        matt = _paint_solid(points[here], solid, textures, patches) * _shade(points[here], normal, solid)[:, None]
        mirrored = rays[here] - 2 * _dot(rays[here], normal)[:, None] * normal
        # What the varnish reflects never reaches the paint, so nothing exceeds 1.
        glint = solid.gloss * np.clip(mirrored @ LIGHT / _length(mirrored), 0, 1)[:, None] ** 60
        spectra[here] = glint + (1 - glint) * matt
    return spectra


def _meet_board(rays: Array) -> Array:
    distance = ((BOARD_CORNER - EYE) @ BOARD_NORMAL) / (rays @ BOARD_NORMAL)
    across, up = _on_board(EYE + distance[:, None] * rays)
    return np.where((np.abs(across - 0.5) < 0.52) & (np.abs(up - 0.5) < 0.53), distance, np.inf)


def _on_board(points: Array) -> tuple[Array, Array]:
    """Position on the board as shares of its width and height."""
    return (points - BOARD_CORNER) @ RIGHT / BOARD_WIDTH, (points - BOARD_CORNER) @ BOARD_UP / BOARD_HEIGHT


def _meet_solid(rays: Array, solid: _Solid) -> Array:
    start = EYE - solid.foot
    flat = rays * _vector(1, 0, 1)
    side = _first_root(flat, start * _vector(1, 0, 1), solid.radius)
    height = start[1] + side * rays[:, 1]
    side = np.where((height >= 0) & (height <= solid.height), side, np.inf)
    ends = [_first_root(rays, start - _vector(0, end, 0), solid.radius) for end in (0, solid.height)]
    return np.minimum(side, np.minimum(*ends))


def _first_root(rays: Array, start: Array, radius: float) -> Array:
    """Where ``|start + t * ray|`` first equals the radius; infinite where it never does."""
    square, half = _dot(rays, rays), rays @ start
    root = half * half - square * (start @ start - radius * radius)
    return np.where(root >= 0, (-half - np.sqrt(root)) / square, np.inf)


def _offset(points: Array, solid: _Solid) -> Array:
    """From the nearest point of the solid's axis: (n, 3)."""
    offset = points - solid.foot
    offset[:, 1] -= np.clip(offset[:, 1], 0, solid.height)
    return offset


def _shade(points: Array, normal: Array, own: _Solid | None = None) -> Array:
    """Light that reaches the points, at most AMBIENT + DIRECT: (n,)."""
    ambient, direct = np.full(len(points), AMBIENT, np.float32), DIRECT * _lit_past_board(points)
    for solid in SOLIDS:
        if solid is own:
            continue
        offset = _offset(points, solid)
        distance = _length(offset)
        facing = np.clip(-_dot(offset, normal) / distance, 0, 1)
        ambient *= 1 - 0.6 * facing * np.minimum(solid.radius / distance, 1) ** 2
        direct *= _lit_past(points - solid.foot, solid)
    fading = 1 - 0.05 * _length(points - _vector(-0.3, 0.5, 0)) ** 2
    return np.asarray((ambient + direct * np.clip(normal @ LIGHT, 0, 1)) * np.clip(fading, 0.4, 1))


def _lit_past(start: Array, solid: _Solid) -> Array:
    """Share of the light that passes the solid, 0-1: how far the way to the light stays from its axis, against the penumbra."""
    along, up = start @ LIGHT, start[:, 1]
    on_axis = np.clip((up - LIGHT[1] * along) / (1 - LIGHT[1] ** 2), 0, solid.height)
    travelled = np.maximum(on_axis * LIGHT[1] - along, 1e-3)
    closest = start + travelled[:, None] * LIGHT
    closest[:, 1] -= on_axis
    return _smooth_step((_length(closest) - solid.radius) / (PENUMBRA * travelled))


def _lit_past_board(points: Array) -> Array:
    travelled = (BOARD_CORNER - points) @ BOARD_NORMAL / (LIGHT @ BOARD_NORMAL)
    across, up = _on_board(points + travelled[:, None] * LIGHT)
    beyond = np.maximum((np.abs(across - 0.5) - 0.52) * BOARD_WIDTH, (np.abs(up - 0.5) - 0.53) * BOARD_HEIGHT)
    # Points on the board are on its surface only up to rounding.
    return np.where(travelled > 1e-3, _smooth_step(beyond / (PENUMBRA * np.maximum(travelled, 1e-3))), 1)


def _dot(first: Array, second: Array) -> Array:
    product: Array = np.einsum("...i,...i->...", first, second)
    return product


def _length(vectors: Array) -> Array:
    return np.asarray(np.sqrt(_dot(vectors, vectors)))


def _smooth_step(value: Array) -> Array:
    """From 0 at -1 to 1 at 1, level at both ends."""
    share = np.clip((value + 1) / 2, 0, 1)
    return share * share * (3 - 2 * share)


def _mix(patches: dict[str, Array], first: str, second: str, share: Array) -> Array:
    return patches[first] + share[:, None] * (patches[second] - patches[first])


def _noise(texture: Array, u: Array, v: Array) -> Array:
    """Smooth noise in [0, 1] with features of about one unit."""
    from scipy.ndimage import map_coordinates

    return np.asarray(map_coordinates(texture, [u, v], order=3, mode="grid-wrap")).clip(0, 1)


def _paint_wall(points: Array, textures: Array, patches: dict[str, Array]) -> Array:
    x, y = points[:, 0], points[:, 1]
    share = 0.6 * _noise(textures[0], 0.9 * x, 0.9 * y) + 0.4 * _noise(textures[1], 6 * x, 6 * y)
    weave = 1 + 0.04 * np.sin(45 * x) * np.sin(45 * y)
    return _mix(patches, "neutral 6.5 (.44 D)", "blue sky", share) * weave[:, None]


def _paint_table(points: Array, textures: Array, patches: dict[str, Array]) -> Array:
    x, z = points[:, 0], points[:, 2]
    bend = 0.5 * _noise(textures[0], 0.7 * x, 1.5 * z)
    share = 0.7 * _noise(textures[1], 0.8 * x, 11 * (z + bend)) + 0.3 * _noise(textures[2], 3 * x, 40 * z)
    wood = _mix(patches, "dark skin", "orange", 0.5 * share)
    along = (points - CLOTH_MIDDLE) @ CLOTH_ALONG
    across = (points - CLOTH_MIDDLE) @ np.cross(CLOTH_ALONG, _vector(0, 1, 0))
    checks = 0.5 * (np.floor(along / CLOTH_CHECK) % 2 + np.floor(across / CLOTH_CHECK) % 2)
    thread = 1 + 0.08 * np.sin(80 * along) * np.sin(80 * across)
    cloth = _mix(patches, "white 9.5 (.05 D)", "blue", checks) * thread[:, None]
    return np.where((np.maximum(np.abs(along), np.abs(across)) < CLOTH_SIDE / 2)[:, None], cloth, wood)


def _paint_board(points: Array, _: Array, patches: dict[str, Array]) -> Array:
    across, up = _on_board(points)
    column, row = COLUMNS * across, ROWS * (1 - up)
    inside = (np.minimum(column, row) > 0) & (column < COLUMNS) & (row < ROWS)
    inside &= np.maximum(np.abs(column % 1 - 0.5), np.abs(row % 1 - 0.5)) < 0.43
    number = (np.floor(row) * COLUMNS + np.floor(column)) * inside
    paint = np.stack(list(patches.values()))[number.astype(int)]
    return np.where(inside[:, None], paint, patches["black 2 (1.5 D)"])


def _paint_solid(points: Array, solid: _Solid, textures: Array, patches: dict[str, Array]) -> Array:
    offset = points - solid.foot
    height = (offset[:, 1] + solid.radius) / (solid.height + 2 * solid.radius)
    if solid.pattern == "gradient":
        share = _smooth_step(2.4 * height - 1.2)
    elif solid.pattern == "bands":
        share = _smooth_step(2.5 * np.sin(9 * offset[:, 1] / (0.4 + solid.height) * 2))
    else:
        u, v = 3 * offset[:, 0] / solid.radius, 3 * offset[:, 1] / solid.radius
        share = _smooth_step(np.sin(2.2 * v + u + 5 * _noise(textures[2], 0.6 * u + 20 * solid.x, 0.6 * v)))
    return _mix(patches, *solid.paints, share)
