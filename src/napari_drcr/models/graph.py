"""A network taken apart into passes over an image, each of which can go piece by piece.

A pass computes what needs no statistic that is still to be gathered, keeps the maps that later passes need, and gathers the next
statistics. How far it looks around a pixel follows from the layers (`napari_drcr.models.locality`).
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil
from typing import Any

from torch import fx, nn
from torch.fx.node import map_arg

from napari_drcr.models.extent import Local, Statistic, WholeMap
from napari_drcr.models.locality import Extent, NotLocal, after, cuts_channels

Node = fx.Node


@dataclass
class Pass:
    """One way over an image.

    Attributes
    ----------
    maps : list of Node
        What is computed of every piece, in order.
    statistics : list of Node
        Gathered from every piece.
    numbers : list of Node
        Computed once, from statistics of this pass or earlier ones.
    whole : list of Node
        Maps that follow from whole maps; see `WholeMap`.
    needed, kept : list of Node
        Maps of earlier passes, or the image; and those that later passes need.
    reach : int
        How far around a piece the pass looks, in pixels of the image.
    """

    maps: list[Node] = field(default_factory=list)
    statistics: list[Node] = field(default_factory=list)
    numbers: list[Node] = field(default_factory=list)
    whole: list[Node] = field(default_factory=list)
    needed: list[Node] = field(default_factory=list)
    kept: list[Node] = field(default_factory=list)
    reach: int = 0

    def inputs(self) -> set[Node]:
        """Everything that something in it takes."""
        return {used for node in (*self.maps, *self.statistics, *self.whole) for used in node.all_input_nodes}


class Graph:
    """A network as a graph of layers, and the passes that it takes.

    Parameters
    ----------
    network : torch.nn.Module
        Takes (1, 3, y, x), gives (1, bands, y, x).

    Attributes
    ----------
    passes : list of Pass
        In their order.
    image, cube : Node
        What goes in and comes out.
    scales : dict of Node to int
        Of every map, the pixels of the image that one of its pixels stands for, in each direction.
    grid : int
        What the borders of pieces are multiples of, in pixels of the image.
    reach : int
        How far the network looks around a pixel once all statistics and whole maps are known.

    Raises
    ------
    NotLocal
        If the network does something that is not known to be local.
    """

    def __init__(self, network: nn.Module) -> None:
        name = type(network).__name__
        try:
            traced = _Tracer().trace(network)
        except Exception as error:  # Whatever a network does with what is not a tensor.
            raise NotLocal(f"{name} cannot be traced: {error}") from error
        self._layers = dict(network.named_modules(remove_duplicate=False))
        self._constants = {
            node: operator.attrgetter(str(node.target))(network) for node in traced.nodes if node.op == "get_attr"
        }
        self._nodes = [node for node in traced.nodes if node.op not in ("output", "get_attr")]
        for node in self._nodes:  # What follows from parameters alone.
            if node.all_input_nodes and self._constants.keys() >= set(node.all_input_nodes):
                values: dict[Node, Any] = {}
                self.compute([node], values)
                self._constants[node] = values[node]
        self._nodes = [node for node in self._nodes if node not in self._constants]
        (self.image,) = (node for node in self._nodes if node.op == "placeholder")
        (end,) = (node.args[0] for node in traced.nodes if node.op == "output")
        assert isinstance(end, Node)
        self.cube = end
        self._maps = {self.image}
        for node in self._nodes:
            if self._kind(node) != "statistics" and self._maps.intersection(node.all_input_nodes):
                self._maps.add(node)
        extents = self._extents(self._nodes, {self.image: Extent()})
        self.scales = {node: int(extent.scale) for node, extent in extents.items()}
        self.grid = max(self.scales.values())
        if any(extent.scale.denominator > 1 or self.grid % int(extent.scale) for extent in extents.values()):
            raise NotLocal(f"{name} has maps whose pixels do not lie on one grid.")
        if self.cube not in extents or extents[self.cube].scale != 1 or extents[self.cube].loss:
            raise NotLocal(f"{name} does not give a map of the image's size.")
        self.reach = ceil(extents[self.cube].reach)
        self.passes = self._schedule()

    def layer(self, node: Node) -> Any:
        """The layer that a node calls."""
        return self._layers[str(node.target)]

    def arguments(self, node: Node, values: Mapping[Node, Any]) -> tuple[Any, ...]:
        """What a node takes."""
        return map_arg(node.args, lambda each: self._constants[each] if each in self._constants else values[each])

    def compute(self, nodes: Sequence[Node], values: dict[Node, Any], keep: Iterable[Node] = ()) -> None:
        """Compute nodes in order; values that no later one of them needs are dropped.

        Parameters
        ----------
        nodes : sequence of Node
            Whose inputs are among `values`, or earlier nodes.
        values : dict of Node to Tensor
            Changed in place.
        keep : iterable of Node
            Whose values stay.
        """
        kept = set(keep)
        last = {used: node for node in nodes for used in node.all_input_nodes}
        for node in nodes:
            args = self.arguments(node, values)
            if node.op == "call_module":
                values[node] = self.layer(node)(*args, **node.kwargs)
            elif node.op == "call_method":
                values[node] = getattr(args[0], str(node.target))(*args[1:], **node.kwargs)
            else:
                values[node] = node.target(*args, **node.kwargs)  # type: ignore[operator]
            del args
            for used in node.all_input_nodes:
                if last[used] is node and used not in kept:
                    values.pop(used, None)

    def _kind(self, node: Node) -> str:
        """The list of a `Pass` that a node belongs to."""
        layer = self.layer(node) if node.op == "call_module" else None
        if isinstance(layer, Statistic):
            return "statistics"
        if isinstance(layer, WholeMap):
            return "whole"
        return "maps" if node in self._maps else "numbers"

    def _extents(self, nodes: Iterable[Node], given: Mapping[Node, Extent]) -> dict[Node, Extent]:
        """Where the values of maps come from, as far as the maps that are given and whole maps."""
        extents = dict(given)
        for node in nodes:
            sources = [extents[each] for each in node.all_input_nodes if each in extents]
            if node in extents or node not in self._maps:
                continue
            if len({(each.scale, each.loss) for each in sources}) > 1:
                raise NotLocal(f"{node} combines maps of different sizes.")
            joint = replace(sources[0], reach=max(each.reach for each in sources))
            layer = self.layer(node) if node.op == "call_module" else None
            extents[node] = Extent(joint.scale) if isinstance(layer, WholeMap) else after(node, layer, joint)
        return extents

    def _schedule(self) -> list[Pass]:
        """Every map is computed in the last pass that is early enough, so that little has to be kept."""
        kinds = {node: self._kind(node) for node in self._nodes if node is not self.image}
        number_of = self._numbers(kinds)
        passes = [Pass() for _ in range(1 + max(number_of.values()))]
        for node, kind in kinds.items():
            if node in number_of:
                getattr(passes[number_of[node]], kind).append(node)
        until = {used: number for number, each in enumerate(passes) for used in each.inputs()}
        until[self.cube] = len(passes)
        places = {node: place for place, node in enumerate(self._nodes)}
        for number, each in enumerate(passes):
            at_its_end = {used for node in each.whole for used in node.all_input_nodes}
            each.kept = [node for node in each.maps if until.get(node, 0) > number or node in at_its_end]
            each.needed = sorted((each.inputs() & self._maps).difference(each.maps), key=places.__getitem__)
            each.reach = self._reach(each)
        return passes

    def _numbers(self, kinds: Mapping[Node, str]) -> dict[Node, int]:
        """In, or at the end of, which pass a node is computed; nothing for those that nothing needs."""
        ends_a_pass = {node for node, kind in kinds.items() if kind in ("statistics", "whole")}
        known: dict[Node, int] = {}  # the pass from which on its value can be used
        for node in self._nodes:
            known[node] = max((known[each] for each in node.all_input_nodes if each in known), default=0) + (
                node in ends_a_pass
            )
        found: dict[Node, int] = {}
        for node in reversed(self._nodes):
            uses = [found[user] for user in node.users if user in found]
            if node is self.cube:
                found[node] = known[node]
            elif uses and node in kinds:
                later = kinds[node] == "maps"
                found[node] = min(uses) if later else known[node] - 1
        for node in self._nodes:  # Parts of a list are taken from it at once: lists are not kept.
            if node in found and node.target is operator.getitem and not cuts_channels(node) and kinds[node] == "maps":
                found[node] = found[node.all_input_nodes[0]]
        return found

    def _reach(self, found: Pass) -> int:
        """How far a pass looks around a pixel."""
        extents = self._extents(found.maps, {node: Extent(Fraction(self.scales[node])) for node in found.needed})
        ends = {*found.kept, *(used for node in found.statistics for used in node.all_input_nodes)} & extents.keys()
        if any(extents[node].loss for node in ends):
            raise NotLocal("a map that is smaller than the image would have to be kept.")
        return ceil(max((extents[node].reach for node in ends), default=Fraction(0)))


class _Tracer(fx.Tracer):
    """Goes into every module but those of torch and those that say how far they look."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Local | Statistic | WholeMap) or super().is_leaf_module(m, module_qualified_name)
