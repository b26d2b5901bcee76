"""A tape: a traced computation bound to fixed memory, to be run again and again as plain calls.

Every tensor of the computation gets its place before the first run: views are taken once and cost nothing afterwards, what
depends on no input is computed once, and a place whose tensor is no longer needed is given to a later one. What is left
is a list of calls that write into memory they know.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import fx

from ravine.torch.lanewise.cleaning import RANDOM, mutates

ALIGNED = 64  # bytes
IN_PLACE = torch.Tag.pointwise
aten = torch.ops.aten
MADE_LIKE = (aten.zeros_like, aten.ones_like, aten.full_like, aten.new_zeros, aten.new_ones, aten.new_full)


class Tape:
    """Hold the calls of a traced computation.

    Args:
        graph: traced by make_fx; its placeholders are tensors.
        inputs: the memory of its inputs, which whoever runs the tape fills.
        outputs: the memory of its outputs.
    """

    def __init__(self, graph: fx.GraphModule, inputs: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor]) -> None:
        plan = _Plan(graph, inputs)
        plan.aim(outputs)
        plan.place()
        self.calls: list[Callable[[], object]] = plan.bind(outputs)
        self.bytes = plan.bytes

    def __call__(self) -> None:
        """Compute the outputs."""
        for call in self.calls:
            call()


class _Plan:
    """Hold what is known of a computation after it has been run once: whose memory each value lies in, and until when."""

    def __init__(self, graph: fx.GraphModule, inputs: Sequence[torch.Tensor]) -> None:
        self.nodes = [node for node in graph.graph.nodes if node.op in ("call_function", "get_attr", "placeholder")]
        self.output = next(node for node in graph.graph.nodes if node.op == "output")
        self.results: tuple[Any, ...] = tuple(fx.node.map_arg(self.output.args[0], lambda n: n))
        self.value: dict[Any, Any] = {}
        self.root: dict[Any, Any] = {}  # by node the root whose memory it shares
        self.emitted: set[Any] = set()
        self.moving: set[Any] = set()  # roots that differ from run to run
        self.home: dict[Any, torch.Tensor] = {}  # by root the memory of an output that it fills
        self.places: dict[Any, int] = {}  # by root the offset of its memory in the arena
        self._walk(graph, inputs)
        self._live()
        self.bytes = 0
        self._free: list[tuple[int, int]] = []

    def _walk(self, graph: fx.GraphModule, inputs: Sequence[torch.Tensor]) -> None:
        """Run the computation once, and see which values are views, which are constant, which are changed in place."""
        rest = iter(inputs)
        owner: dict[int, Any] = {}
        for node in self.nodes:
            if node.op == "placeholder":
                made = next(rest)
                self.moving.add(node)
            elif node.op == "get_attr":
                made = getattr(graph, node.target)
            else:
                args, kwargs = self._given(node, self.value)
                made = node.target(*args, **kwargs)
            self.value[node] = made
            parts = list(_tensors(made))
            shared = [owner[_memory(part)] for part in parts if _memory(part) in owner]
            self.root[node] = shared[0] if shared else node
            for part in parts:
                owner.setdefault(_memory(part), node)
        written = {self.root[node.args[0]] for node in self.nodes if mutates(node)}
        for node in self.nodes:
            if node.op != "call_function":
                continue
            made_like = node.target._overloadpacket in MADE_LIKE if hasattr(node.target, "_overloadpacket") else False
            depends = not made_like and any(self.root[n] in self.moving for n in node.all_input_nodes)
            fresh = self.root[node] is node
            if mutates(node) or (fresh and (depends or node in written or RANDOM in getattr(node.target, "tags", ()))):
                self.emitted.add(node)
                self.moving.add(self.root[node])

    def _live(self) -> None:
        """Find the last call that needs each root."""
        self.last: dict[Any, int] = {}
        for index, node in enumerate(self.nodes):
            for used in (node, *node.all_input_nodes):
                self.last[self.root[used]] = index
        for node in self.results:
            self.last[self.root[node]] = len(self.nodes)

    def aim(self, outputs: Sequence[torch.Tensor]) -> None:
        """Have outputs computed where they are wanted, if whole tensors of that size are."""
        for node, wanted in zip(self.results, outputs, strict=True):
            root, value = self.root[node], self.value[node]
            made = self.value[root]
            if root not in self.emitted or root in self.home or not torch.is_tensor(made):
                continue
            straight = value.is_contiguous() and made.is_contiguous() and wanted.is_contiguous()
            if straight and made.numel() == value.numel() == wanted.numel() and made.dtype == wanted.dtype:
                self.home[root] = wanted.view(made.shape)

    def place(self) -> None:
        """Give every result a place in the arena; one whose tensor is no longer needed is given to a later one."""
        sizes: dict[Any, int] = {}  # of the places that are taken
        for index, node in enumerate(self.nodes):
            mine = node in self.emitted and self.root[node] is node and node not in self.home
            if mine and torch.is_tensor(self.value[node]):
                dying = self._dying(node, index, sizes)
                if dying is not None:
                    self.places[node], sizes[node] = self.places[dying], sizes.pop(dying)
                else:
                    sizes[node] = _room(self.value[node])
                    self.places[node] = self._take(sizes[node])
            for used in {self.root[n] for n in (node, *node.all_input_nodes)}:
                if self.last[used] == index and used in sizes:
                    self._give(self.places[used], sizes.pop(used))

    def bind(self, outputs: Sequence[torch.Tensor]) -> list[Callable[[], object]]:
        """Make the tensors, and list the calls that fill them."""
        self.arena = torch.empty(self.bytes + ALIGNED, dtype=torch.uint8, device=outputs[0].device)
        bound: dict[Any, Any] = {}
        calls: list[Callable[[], object]] = []
        for node in self.nodes:
            args, kwargs = self._given(node, bound)
            if node in self.emitted:
                bound[node] = args[0] if mutates(node) else self._memory(node)
                calls.append(self._call(node, args, kwargs, bound[node]))
            elif node.op == "call_function" and self.root[node] in self.moving:  # a view
                bound[node] = node.target(*args, **kwargs)
            else:
                bound[node] = self.value[node]
        for node, wanted in zip(self.results, outputs, strict=True):
            if self.root[node] not in self.home or bound[node].data_ptr() != wanted.data_ptr():
                calls.append(partial(wanted.copy_, bound[node]))
        return calls

    def _memory(self, node: Any) -> Any:
        """Return the tensors that a call fills."""
        made = self.value[node]
        if node in self.home:
            return self.home[node]
        if torch.is_tensor(made):
            return _placed(self.arena, self.places[node], made)
        return tuple(torch.empty_like(part) if torch.is_tensor(part) else part for part in made)

    def _call(self, node: Any, args: Any, kwargs: Any, bound: Any) -> Callable[[], object]:
        """Return the call of a node on what is bound."""
        if mutates(node):
            return partial(node.target, *args, **kwargs)
        if not torch.is_tensor(bound):
            return partial(_copied, node.target, args, kwargs, bound)
        form = _writing(node.target, *self._given(node, self.value), self.value[node])
        if form is None:
            return partial(_copied, node.target, args, kwargs, (bound,))
        return form(*args, **kwargs, out=bound)

    def _given(self, node: Any, values: dict[Any, Any]) -> tuple[Any, Any]:
        return (
            fx.node.map_arg(node.args, lambda n: values[n]),
            fx.node.map_arg(node.kwargs, lambda n: values[n]),
        )

    def _dying(self, node: Any, index: int, sizes: dict[Any, int]) -> Any:
        """Return an input in whose memory a pointwise operation may write its result."""
        if IN_PLACE not in getattr(node.target, "tags", ()):
            return None
        made, roots = self.value[node], [self.root[used] for used in node.all_input_nodes]
        for used, root in zip(node.all_input_nodes, roots, strict=True):
            value = self.value[used]
            if roots.count(root) > 1:  # it is also read in another order
                continue
            same = torch.is_tensor(value) and value.shape == made.shape and value.stride() == made.stride()
            whole = same and value.dtype == made.dtype and root in sizes and sizes[root] == _room(made)
            if whole and self.last[root] == index and value.storage_offset() == 0:
                return root
        return None

    def _take(self, size: int) -> int:
        """Return the offset of a free place, the smallest that is large enough."""
        fits = [(room, at) for at, room in self._free if room >= size]
        if fits:
            room, at = min(fits)
            self._free.remove((at, room))
            if room > size:
                self._free.append((at + size, room - size))
            return at
        at, self.bytes = self.bytes, self.bytes + size
        return at

    def _give(self, at: int, size: int) -> None:
        """Take a place back, and join it to its free neighbours."""
        for other in list(self._free):
            if other[0] + other[1] == at or at + size == other[0]:
                self._free.remove(other)
                at, size = min(at, other[0]), size + other[1]
        self._free.append((at, size))


def _tensors(made: Any) -> Iterator[torch.Tensor]:
    if torch.is_tensor(made):
        yield made
    elif isinstance(made, tuple | list):
        yield from (part for part in made if torch.is_tensor(part))


def _memory(part: torch.Tensor) -> int:
    return part.untyped_storage().data_ptr() or id(part)


def _room(made: torch.Tensor) -> int:
    """Return the bytes that a tensor's memory takes, its strides kept."""
    spans = (stride * (n - 1) for stride, n in zip(made.stride(), made.shape, strict=True))
    size = (sum(spans) + 1) * made.element_size() if made.numel() else 0
    return max(-(-size // ALIGNED), 1) * ALIGNED


def _placed(arena: torch.Tensor, at: int, like: torch.Tensor) -> torch.Tensor:
    """Return a tensor at an offset of the arena, of the shape and strides of another."""
    at += -arena.data_ptr() % ALIGNED
    flat = arena[at : at + _room(like)].view(like.dtype)
    return flat.as_strided(like.shape, like.stride())


def _writing(op: Any, args: Any, kwargs: Any, made: torch.Tensor) -> Callable[..., Callable[[], object]] | None:
    """Return the form of an operation that writes into a given tensor, if torch has one that makes the same."""
    for other, out in _forms(op):
        probe = made.new_empty(0)  # torch 2.13's stack takes some strange shape
        try:
            other(*args, **kwargs, **{out: probe})
        except (TypeError, RuntimeError):  # the short form of another signature
            continue
        if probe.shape == made.shape and torch.allclose(probe, made, rtol=0, atol=0, equal_nan=True):
            return partial(_bound, other, out)
    return None


def _bound(other: Any, name: str, /, *args: Any, out: torch.Tensor, **kwargs: Any) -> Callable[[], object]:
    return partial(other, *args, **kwargs, **{name: out})


def _forms(op: Any) -> Iterator[tuple[Any, str]]:
    """Yield forms of an operation that write into a given tensor, and the name of that tensor, the fastest first."""
    packet = getattr(op, "_overloadpacket", None)
    short = getattr(torch, getattr(packet, "__name__", ""), None)
    if short is not None:
        yield short, "out"
    for name in packet.overloads() if packet is not None else ():
        other = getattr(packet, name)
        outs = [a.name for a in other._schema.arguments if a.is_out]
        rest = [(a.name, str(a.type)) for a in other._schema.arguments if not a.is_out]
        if len(outs) == 1 and rest == [(a.name, str(a.type)) for a in op._schema.arguments]:
            yield other, outs[0]


def _copied(op: Any, args: Any, kwargs: Any, outs: tuple[Any, ...]) -> None:
    """Call an operation, and copy what it returns."""
    made = op(*args, **kwargs)
    for out, part in zip(outs, (made,) if torch.is_tensor(made) else made, strict=True):
        if torch.is_tensor(part):
            out.copy_(part)
