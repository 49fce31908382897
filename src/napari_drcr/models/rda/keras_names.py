"""Names of RDA's parameters in the published Keras file, and ours."""

from __future__ import annotations

from collections.abc import Iterator

WEIGHTS = {"kernel": "weight", "bias": "bias"}
NORMALISATION = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def keras_names() -> dict[str, str]:
    """Names of all parameters.

    Returns
    -------
    dict of str to str
        From names in the file, layer and array, to ours.

    Notes
    -----
    Keras counted convolutions, normalisations and dense layers in the order in which they were made; it counted one attention block more,
    before the last, which is not part of the network.
    """
    return {
        f"{theirs}/{array}": f"{ours}.{name}"
        for theirs, ours, arrays in _layers()
        for array, name in arrays.items()
        if not (ours.endswith("pixel_gate.conv") and array == "bias")
    }


def _layers() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Of every layer its name in the file, ours, and the names of its arrays."""
    for number in range(1, 5):
        yield f"conv{number}", f"dense.conv{number}", WEIGHTS
    yield "K_x", "dense.last", WEIGHTS
    yield "K_x_1", "u_net.last", WEIGHTS
    yield "op0", "tail", WEIGHTS
    yield "conv2d_1", "u_net.down1.0", WEIGHTS
    yield "conv2d_10", "u_net.down2.1", WEIGHTS
    yield "conv2d_19", "u_net.down3.2", WEIGHTS
    yield "conv2d_transpose_1", "u_net.up2.0", WEIGHTS
    yield "conv2d_transpose_2", "u_net.up1.1", WEIGHTS
    blocks = (
        ("down1.1", 2, 1, 1),
        ("down1.2", 6, 6, 3),
        ("down2.2", 11, 11, 5),
        ("down2.3", 15, 16, 7),
        ("down3.3", 20, 21, 9),
        ("down3.4", 24, 26, 11),
        ("up2.1", 28, 31, 13),
        ("up2.2", 32, 36, 15),
        ("up1.2", 40, 46, 19),
    )
    for block, convolution, normalisation, dense in blocks:
        convolutions = ("shortcut.0", "features.2", "features.5", "pixel_gate.conv")
        for number, part in enumerate(convolutions, start=convolution):
            yield f"conv2d_{number}", f"u_net.{block}.{part}", WEIGHTS
        normalisations = ("shortcut.1", "features.0", "features.3", "features.6", "last.0")
        for number, part in enumerate(normalisations, start=normalisation):
            yield f"batch_normalization_{number}", f"u_net.{block}.{part}", NORMALISATION
        for number, part in enumerate(("squeeze", "excite"), start=dense):
            yield f"dense_{number}", f"u_net.{block}.channel_gate.{part}", WEIGHTS
