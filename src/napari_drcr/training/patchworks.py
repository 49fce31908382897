"""Patchworks: training patches that are composed of measured reflectances."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from napari_drcr.cubes.colorimetry import LUMINANCE, srgb_response
from napari_drcr.cubes.cube import WAVELENGTHS
from napari_drcr.training.reflectances import Reflectances

FEWEST, MOST = 2, 12
"""Materials of a patchwork."""
SCALES = (0.3, 1.1)
"""Range of the factors on reflectances, drawn evenly."""
LARGEST_SCALED = 1.1
"""No material is brighter in any band after its exchange, unless the scene was."""
MIXED = 0.5
"""Share of materials that are a mixture of two reflectances."""
FILTER_NODES, FILTER_SPREAD = 5, 0.3
"""Of a random smooth filter: how many logarithms of its transmission are drawn, and their standard deviation."""
LARGEST_MATERIAL = 1.2
"""No filter makes a material brighter in any band."""
SOFT = 0.5
"""Share of patchworks with soft borders."""
BLUR = (0.5, 2.5)
"""Standard deviation of soft borders in pixels."""
DEEPEST_SHADE, DEEPEST_TEXTURE, DEEPEST_GRAIN = 0.6, 0.3, 0.05
"""Largest share of the light that shading, texture and grain take away. Half of the patchworks have no texture, half no grain."""
CLUSTERS = (2, 5)
"""Materials that a crop of a scene is divided into."""
CLUSTERED_PIXELS, CLUSTERING_STEPS = 256, 8
"""Pixels that find the centres of clusters, and steps of Lloyd's algorithm."""

Float32Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.intp]


def make_patchwork(
    reflectances: Reflectances,
    side: int,
    crop: Callable[[], Float32Array],
    random: np.random.Generator,
    filtered: float = 0.0,
) -> Float32Array:
    """Compose a patch of measured reflectances.

    Parameters
    ----------
    reflectances : Reflectances
        What it is made of.
    side : int
        Of the patch, in pixels.
    crop : callable
        Returns a crop (31, side, side) of a scene of reflectance; asked for where the layout follows a scene.
    random : numpy.random.Generator
        Where all draws come from: the same state gives the same patch.
    filtered : float
        See `draw_materials`.

    Returns
    -------
    ndarray, shape (31, side, side), float32
        With even chances: Voronoi cells, soft textures, simple shapes, the luminance steps of the crop, or the crop with exchanged
        materials (see `exchange_materials`). In the first four each pixel is a convex mixture of what `draw_materials` gives,
        times a factor of at most 1.1.
    """
    kind = int(random.integers(5))
    if kind == 4:
        return exchange_materials(crop(), reflectances, random, filtered)
    count = int(random.integers(FEWEST, MOST, endpoint=True))
    materials = draw_materials(reflectances, count, random, filtered) * random.uniform(*SCALES, (count, 1)).astype(np.float32)
    if kind == 0:
        weights = _borders(_cells(side, count, random), count, random)
    elif kind == 1:
        weights = _textures(side, count, random)
    elif kind == 2:
        weights = _borders(_shapes(side, count, random), count, random)
    else:
        weights = _borders(_steps(luminance(crop()), count, random), count, random)
    return np.tensordot(materials, weights, axes=(0, 0)) * _shading(side, random)


def draw_materials(reflectances: Reflectances, count: int, random: np.random.Generator, filtered: float = 0.0) -> Float32Array:
    """Draw measured reflectances and mixtures of two, some of them seen through random smooth filters.

    Parameters
    ----------
    reflectances : Reflectances
        What is drawn from.
    count : int
        How many.
    random : numpy.random.Generator
        Where the draws come from.
    filtered : float
        Share of them that are seen through a random smooth filter, which makes spectra that no collection holds: a network learns
        what materials have in common rather than the few that were measured.

    Returns
    -------
    ndarray, shape (count, 31), float32
        Half of them, on average, are convex mixtures. No filter makes one brighter than 1.2.
    """
    one, other = reflectances.draw(count, random), reflectances.draw(count, random)
    shares = random.random((count, 1)) * (random.random((count, 1)) < MIXED)
    drawn = one + shares.astype(np.float32) * (other - one)
    if not filtered:
        return drawn
    spread = FILTER_SPREAD * (random.random((count, 1)) < filtered)
    curves = random.normal(size=(count, FILTER_NODES)) * spread @ _between(FILTER_NODES, drawn.shape[1]).T
    seen: Float32Array = np.minimum(drawn * np.exp(curves).astype(np.float32), np.maximum(drawn, np.float32(LARGEST_MATERIAL)))
    return seen


def exchange_materials(
    crop: Float32Array, reflectances: Reflectances, random: np.random.Generator, filtered: float = 0.0
) -> Float32Array:
    """Give materials of a scene measured reflectances, and keep its luminance and edges.

    Parameters
    ----------
    crop : ndarray, shape (31, y, x), float32
        Of a scene of reflectance.
    reflectances : Reflectances
        What materials are replaced by.
    random : numpy.random.Generator
        Where the draws come from.
    filtered : float
        See `draw_materials`.

    Returns
    -------
    ndarray, shape (31, y, x), float32
        The crop is divided into 2 to 5 clusters of like chromaticity, at least one of which is replaced: each of its pixels by one
        material, scaled to the luminance of the pixel under D65. Where that exceeds 1.1 in a band, the whole cluster is darkened.
    """
    count = int(random.integers(*CLUSTERS, endpoint=True))
    light = np.maximum(luminance(crop), 0)
    labels = _cluster(_chromaticity(crop), count, random)
    exchanged = random.permutation(count)[: int(random.integers(1, count, endpoint=True))]
    made = crop.copy()
    for label, material in zip(exchanged, draw_materials(reflectances, len(exchanged), random, filtered), strict=True):
        inside = labels == label
        scale = light[inside] / luminance(material)
        brightest = float(scale.max(initial=0) * material.max())
        made[:, inside] = material[:, None] * scale * np.float32(min(1, LARGEST_SCALED / max(brightest, LARGEST_SCALED)))
    return made


def luminance(spectra: Float32Array) -> Float32Array:
    """Luminance of reflectances under D65, that of white being 1.

    Parameters
    ----------
    spectra : ndarray, shape (31, ...)
        At 400-700 nm.

    Returns
    -------
    ndarray, shape (...), float32
    """
    weights = (srgb_response(WAVELENGTHS, illuminant="D65") @ np.array(LUMINANCE)).astype(np.float32)
    return np.tensordot(weights, spectra, axes=(0, 0)).astype(np.float32)


def _chromaticity(crop: Float32Array) -> Float32Array:
    """Shares of linear sRGB, (3, y, x); a third each where a pixel is black."""
    response = srgb_response(WAVELENGTHS, illuminant="D65").astype(np.float32)
    rgb = np.maximum(np.tensordot(response, crop, axes=(0, 0)), 0) + np.float32(1e-4)
    shares: Float32Array = rgb / rgb.sum(axis=0)
    return shares


def _cluster(colours: Float32Array, count: int, random: np.random.Generator) -> Labels:
    """Clusters of pixels (channels, y, x) by Lloyd's algorithm: labels (y, x) below `count`."""
    pixels = colours.reshape(len(colours), -1).T
    sample = pixels[random.integers(len(pixels), size=CLUSTERED_PIXELS)]
    centres = sample[:count].copy()
    for _ in range(CLUSTERING_STEPS):
        nearest = _nearest(sample, centres)
        for label in np.unique(nearest):
            centres[label] = sample[nearest == label].mean(axis=0)
    return _nearest(pixels, centres).reshape(colours.shape[1:])


def _nearest(points: Float32Array, centres: Float32Array) -> Labels:
    nearest: Labels = ((points[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    return nearest


def _cells(side: int, count: int, random: np.random.Generator) -> Labels:
    """Voronoi cells."""
    rows, columns = np.mgrid[:side, :side]
    seeds = random.uniform(0, side, (count, 2, 1, 1))
    nearest: Labels = ((rows - seeds[:, 0]) ** 2 + (columns - seeds[:, 1]) ** 2).argmin(axis=0)
    return nearest


def _shapes(side: int, count: int, random: np.random.Generator) -> Labels:
    """Turned ellipses, rectangles and stripes, each over those before it."""
    labels = np.zeros((side, side), np.intp)
    rows, columns = np.mgrid[:side, :side]
    for label in range(1, count):
        top, left = random.uniform(0, side, 2)
        angle, shape = random.uniform(0, np.pi), int(random.integers(3))
        height, width = random.uniform(0.05, 0.45, 2) * side
        along = np.abs((rows - top) * np.cos(angle) + (columns - left) * np.sin(angle)) / height
        across = np.abs((columns - left) * np.cos(angle) - (rows - top) * np.sin(angle)) / width
        inside = (along**2 + across**2 < 1, np.maximum(along, across) < 1, along < 0.5)[shape]
        labels[inside] = label
    return labels


def _steps(light: Float32Array, count: int, random: np.random.Generator) -> Labels:
    """Steps of luminance, which hold random shares of the pixels."""
    return np.searchsorted(np.quantile(light, np.sort(random.random(count - 1))), light)


def _textures(side: int, count: int, random: np.random.Generator) -> Float32Array:
    """Weights (count, y, x) of materials that run into one another."""
    nodes = int(random.integers(3, 9))
    fields = np.stack([_smooth(side, nodes, random) for _ in range(count)]) * random.uniform(5, 40)
    weights = np.exp(fields - fields.max(axis=0))
    shares: Float32Array = (weights / weights.sum(axis=0)).astype(np.float32)
    return shares


def _borders(labels: Labels, count: int, random: np.random.Generator) -> Float32Array:
    """Weights (count, y, x) of labelled materials, with hard or soft borders between them."""
    from scipy.ndimage import gaussian_filter

    weights: Float32Array = (labels == np.arange(count)[:, None, None]).astype(np.float32)
    if random.random() >= SOFT:
        return weights
    blur = random.uniform(*BLUR)
    blurred: Float32Array = gaussian_filter(weights, (0, blur, blur), mode="nearest")
    return blurred


def _shading(side: int, random: np.random.Generator) -> Float32Array:
    """Factors (y, x) in (0, 1]: smooth shading, and in some texture and grain, which change no spectrum's shape."""
    factors = 1 - random.uniform(0, DEEPEST_SHADE) * _smooth(side, int(random.integers(2, 5)), random)
    if random.random() < 0.5:
        octaves = (2 * _smooth(side, side // 8, random) + _smooth(side, side // 2, random)) / 3
        factors *= 1 - random.uniform(0, DEEPEST_TEXTURE) * octaves
    if random.random() < 0.5:
        factors *= 1 - random.uniform(0, DEEPEST_GRAIN) * random.random((side, side))
    return factors.astype(np.float32)


def _smooth(side: int, nodes: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Random values at a grid of nodes, with smooth transitions: (side, side) in [0, 1]."""
    nodes = max(nodes, 2)
    weights = _between(nodes, side)
    values: npt.NDArray[np.float64] = weights @ random.random((nodes, nodes)) @ weights.T
    return values


def _between(nodes: int, count: int) -> npt.NDArray[np.float64]:
    """Weights (count, nodes) of smooth transitions between nodes at equal distances."""
    place = np.linspace(0, nodes - 1, count)
    first = np.minimum(place.astype(int), nodes - 2)
    share = place - first
    share = share * share * (3 - 2 * share)
    weights = np.zeros((count, nodes))
    weights[np.arange(count), first] = 1 - share
    weights[np.arange(count), first + 1] = share
    return weights
