"""Networks that look at whole images through statistics, piece by piece, with the whole image's answer.

One pass after another goes over the image in tiles. Each keeps the maps that later passes need and adds up the statistics that the next
one needs (`napari_drcr.models.graph`), so that nothing is computed twice but the surroundings of tiles. A new map overwrites one that is
needed for the last time, some rows behind the tiles that still read it. In float32 the cube differs from the whole image's by
rounding only. Once the statistics are known, any window can be computed by itself.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor, nn

from napari_drcr.models.execution import Answer, Execution, Steps, best_side, ieee_arithmetic, put, to_network
from napari_drcr.models.extent import Gathered
from napari_drcr.models.feature_map import FeatureMap, memory_for_maps
from napari_drcr.models.graph import Graph, Node, Pass
from napari_drcr.models.regions import Box, Region, tile_regions

Known = dict[str, Tensor]
"""Statistics, what follows from them, and whole maps, by the names of their nodes."""


class PiecewisePasses(Execution):
    """A network over an image of any size, in as many passes as it has statistics one after another.

    Parameters
    ----------
    network : torch.nn.Module
        In float32; stays what it is.
    device : str
        torch's name of it.
    kind : torch.dtype
        Of the layers. Statistics are gathered in float32 and added up in float64.
    multiple : int
        What the sides of an image must be multiples of.

    Raises
    ------
    NotLocal
        If the network does something that is not known to be local.
    """

    title = "tiles"

    def __init__(self, network: nn.Module, device: str, kind: torch.dtype, *, multiple: int) -> None:
        self.device = device
        self._network = put(network, device, kind)
        self._multiple = multiple
        self._graph = Graph(self._network)
        if len(self._graph.passes) > 1:
            self.title = f"tiles in {len(self._graph.passes)} passes"

    def piece_side(self, height: int, width: int) -> int:
        """See `Execution.piece_side`: by the memory that a pixel takes."""
        return best_side(self._network, self.device, self._multiple)

    @torch.inference_mode()
    def run(self, rgb: Tensor, *, side: int | None, size: tuple[int, int]) -> Generator[Steps, None, Answer]:
        """See `Execution.run`."""
        work = self._work(rgb, side)
        yield from work.go(self._graph.passes, size)
        assert work.cube is not None
        return Answer(work.cube, work.gathered())

    @torch.inference_mode()
    def gather(self, rgb: Tensor, *, side: int | None) -> Generator[Steps, None, Known]:
        """See `Execution.gather`: all passes but the last."""
        work = self._work(rgb, side)
        yield from work.go(self._graph.passes[:-1], None)
        return work.gathered()

    @torch.inference_mode()
    def window(self, rgb: Tensor, gathered: Known, box: Box) -> Tensor:
        """See `Execution.window`."""
        graph, region = self._graph, Region(*box)
        seen = region.grown(graph.reach, *rgb.shape[-2:]).aligned(graph.grid)
        values: dict[Node, Any] = {graph.image: to_network(rgb[None, :, seen.y, seen.x], self._network)}
        for each in graph.passes:
            for node in (*each.statistics, *each.numbers):
                values[node] = gathered[node.name].to(values[graph.image])
            for node in each.whole:
                part = seen.over(graph.scales[node])
                values[node] = gathered[node.name][..., part.y, part.x].to(values[graph.image])
        with ieee_arithmetic():
            graph.compute([node for each in graph.passes for node in each.maps], values, keep=[graph.cube])
        return values[graph.cube][0, :, *region.inside(seen)].float().cpu()  # type: ignore[no-any-return]

    def _work(self, rgb: Tensor, side: int | None) -> _Work:
        height, width = rgb.shape[-2:]
        tiles = tile_regions(height, width, side or self.piece_side(height, width), self._graph.grid)
        return _Work(self._network, self._graph, rgb, tiles)


class _Work:
    """An image on its way through the passes."""

    def __init__(self, network: nn.Module, graph: Graph, rgb: Tensor, tiles: list[Region]) -> None:
        self._network, self._graph, self._tiles = network, graph, tiles
        self._like = next(network.parameters())
        self._rgb = rgb[None]
        self._height, self._width = rgb.shape[-2:]
        self._stored: dict[Node, FeatureMap] = {}
        self._outgoing: list[Node] = []  # stored maps that the pass needs for the last time
        self._waiting: list[tuple[Node, Region, Tensor]] = []  # to be stored
        self._memory = memory_for_maps()
        self._numbers: dict[Node, Tensor] = {}
        self._whole: dict[Node, Tensor] = {}
        self.cube: Tensor | None = None

    def gathered(self) -> Known:
        """What windows need."""
        return {node.name: value.float().cpu() for node, value in (*self._numbers.items(), *self._whole.items())}

    def go(self, passes: list[Pass], size: tuple[int, int] | None) -> Generator[Steps, None, None]:
        """Take the image through passes; `size` is the cube's, where the last pass is among them."""
        done, total = 0, len(passes) * len(self._tiles)
        for number, each in enumerate(passes):
            later = {used for other in passes[number + 1 :] for used in other.inputs()}
            kept_on = {*later, *(used for node in each.whole for used in node.all_input_nodes)}
            self._outgoing = [node for node in self._stored if node not in kept_on]
            gathered: dict[Node, Gathered] = {}
            for tile in self._tiles:
                self._write(before=tile.grown(each.reach, self._height, self._width).aligned(self._graph.grid).top)
                with ieee_arithmetic():
                    self._compute(each, tile, gathered, size)
                done += 1
                yield done, total
            self._write(before=self._height)
            self._settle(each, gathered)
            for _ in self._complete(each):
                yield done, total
            self._stored = {node: stored for node, stored in self._stored.items() if node in later}

    def _compute(self, each: Pass, tile: Region, gathered: dict[Node, Gathered], size: tuple[int, int] | None) -> None:
        graph = self._graph
        seen = tile.grown(each.reach, self._height, self._width).aligned(graph.grid)
        values: dict[Node, Any] = dict(self._numbers)
        for node in each.needed:
            values[node] = self._cut(node, seen)
        taken = {used for node in each.statistics for used in node.all_input_nodes}
        graph.compute(each.maps, values, keep=[*each.kept, *taken])
        for node in {*taken, *each.kept} - self._numbers.keys():
            scale = graph.scales[node]
            values[node] = values[node][..., *tile.over(scale).inside(seen.over(scale))]
        for node in each.statistics:
            layer = graph.layer(node)
            part = tuple(value.cpu().double() for value in layer.gather(*graph.arguments(node, values)))
            gathered[node] = layer.merge(gathered[node], part) if node in gathered else part
        for node in each.kept:
            if node is graph.cube:
                assert size is not None
                self._deliver(values[node][0], tile, size)
            else:
                self._keep(node, values[node], tile)

    def _cut(self, node: Node, seen: Region) -> Tensor:
        part = seen.over(self._graph.scales[node])
        if node is self._graph.image:
            values = self._rgb[..., part.y, part.x]
        elif node in self._whole:
            values = self._whole[node][..., part.y, part.x]
        else:
            values = self._stored[node].rows[..., part.y, part.x]
        return to_network(values, self._network)

    def _keep(self, node: Node, values: Tensor, tile: Region) -> None:
        scale = self._graph.scales[node]
        if node not in self._stored:
            self._stored[node] = self._storage(values.shape[1], scale)
        self._waiting.append((node, tile, values.clone()))

    def _storage(self, channels: int, scale: int) -> FeatureMap:
        """The storage of an outgoing map of the same shape, else new storage."""
        shape = (1, channels, self._height // scale, self._width // scale)
        for node in self._outgoing:
            if self._stored[node].rows.shape == shape:
                self._outgoing.remove(node)
                return self._stored[node]
        held = {id(each): each.size for each in self._stored.values() if not each.on_disk}
        return FeatureMap(*shape[1:], self._like, in_memory=self._memory - sum(held.values()))

    def _write(self, *, before: int) -> None:
        """Store the values above a row: no further tile of the pass reads what is there."""
        waiting, self._waiting = self._waiting, []
        for node, tile, values in waiting:
            if tile.bottom > before:
                self._waiting.append((node, tile, values))
                continue
            part, stored = tile.over(self._graph.scales[node]), self._stored[node]
            stored.rows[..., part.y, part.x] = values
            stored.release()

    def _deliver(self, values: Tensor, tile: Region, size: tuple[int, int]) -> None:
        if self.cube is None:
            self.cube = torch.empty((len(values), *size))
        target = self.cube[:, tile.y, tile.x]
        target.copy_(values[:, : target.shape[1], : target.shape[2]])
        if not target.isfinite().all():
            raise FloatingPointError("a value of the cube is not finite")

    def _settle(self, each: Pass, gathered: dict[Node, Gathered]) -> None:
        """Statistics of the whole image, and what follows from them."""
        graph = self._graph
        for node in each.statistics:
            (scale,) = {graph.scales[used] for used in node.all_input_nodes if used in graph.scales}
            value = graph.layer(node).settle(gathered[node], self._height * self._width // scale**2)
            if not value.isfinite().all():
                raise FloatingPointError("a statistic of the image is not finite")
            self._numbers[node] = value.to(self._like)
        graph.compute(each.numbers, self._numbers, keep=[*self._numbers, *each.numbers])

    def _complete(self, each: Pass) -> Generator[None, None, None]:
        """Maps that follow from whole maps, some pixels at a time."""
        for node in each.whole:
            maps = tuple(self._cut(used, Region(0, 0, self._height, self._width)) for used in node.all_input_nodes)
            parts = []
            for where, values in self._graph.layer(node).parts(*maps):
                parts.append((where, values))
                yield
            height, width = maps[0].shape[-2:]
            self._whole[node] = torch.empty((1, parts[0][1].shape[1], height, width)).to(self._like)
            for (rows, columns), values in parts:
                self._whole[node][..., rows, columns] = values
