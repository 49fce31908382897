"""Layers and frames that networks of several families share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_drcr.models.extent import Local

PATCH = 64
"""Side in pixels of the patches of a `PatchNetwork`."""


class Interpolation(Local):
    """The image with as many channels as the cube, linear in the number of the channel: red is the first, blue the last.

    Parameters
    ----------
    bands : int
        Of the cube.
    """

    weight: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        distances = torch.linspace(0, 2, bands)[:, None] - torch.arange(3)
        self.register_buffer("weight", (1 - distances.abs()).clamp_min(0)[:, :, None, None], persistent=False)

    def forward(self, rgb: Tensor) -> Tensor:
        """(batch, 3, y, x) to (batch, bands, y, x)."""
        return F.conv2d(rgb, self.weight)


class BatchNorm(nn.Module):
    """Batch normalisation without torch's count of batches: with a fixed momentum nothing needs it, and it is no real number.

    Parameters
    ----------
    channels : int
        Of its maps.
    momentum : float
        Weight of a batch in the running statistics.
    epsilon : float
        Added to the variance.
    """

    def __init__(self, channels: int, momentum: float = 0.1, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """By the statistics of the batch in training, else by the running ones."""
        running = self.get_buffer("running_mean"), self.get_buffer("running_var")
        return F.batch_norm(x, *running, self.weight, self.bias, self.training, self.momentum, self.epsilon)


class PatchNetwork(nn.Module):
    """A network over independent patches of 64 x 64 pixels.

    Notes
    -----
    Input (batch, 3, y, x) of any size. An image is cut into patches from its top left corner; those at the bottom and on the right are
    filled up with zeros. In training an image of at most 64 x 64 pixels is a patch by itself.
    """

    def forward(self, rgb: Tensor) -> Tensor:
        """Estimate cubes from images, patch by patch: (batch, 3, y, x) to (batch, bands, y, x)."""
        height, width = rgb.shape[-2:]
        if self.training and max(height, width) <= PATCH:
            return self.estimate(rgb)
        batch, channels, rows, columns = *rgb.shape[:2], -(-height // PATCH), -(-width // PATCH)
        filled = F.pad(rgb, (0, columns * PATCH - width, 0, rows * PATCH - height))
        patches = filled.reshape(batch, channels, rows, PATCH, columns, PATCH).permute(0, 2, 4, 1, 3, 5).flatten(0, 2)
        cubes = self.estimate(patches).reshape(batch, rows, columns, -1, PATCH, PATCH).permute(0, 3, 1, 4, 2, 5)
        return cubes.reshape(batch, -1, rows * PATCH, columns * PATCH)[:, :, :height, :width]

    def estimate(self, patches: Tensor) -> Tensor:
        """The cubes of patches.

        Parameters
        ----------
        patches : Tensor, shape (batch, 3, y, x)

        Returns
        -------
        Tensor, shape (batch, bands, y, x)
        """
        raise NotImplementedError


def with_coordinates(patches: Tensor) -> Tensor:
    """Patches, and the row and the column of every pixel as further channels.

    Parameters
    ----------
    patches : Tensor, shape (batch, channels, y, x)

    Returns
    -------
    Tensor, shape (batch, channels + 2, y, x)
        Rows and columns go from -1 to 1 over the patch.
    """
    rows, columns = (torch.linspace(-1, 1, side, dtype=patches.dtype, device=patches.device) for side in patches.shape[-2:])
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
    return torch.cat([patches, grid.expand(len(patches), -1, -1, -1)], dim=1)
