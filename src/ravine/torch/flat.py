"""Parameters of one kind in one piece of memory, their gradients in another, their buffers in a third.

An update is then one pass over three arrays, however many tensors there are. Parameters, gradients and buffers stay
what they were, tensors of their own shapes, but as views; what somebody replaces is found and gathered again.
"""

from collections.abc import Iterable, Iterator, MutableMapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ravine.torch.loops import dense, update
from ravine.torch.numbers import PLAIN, Plan

ALIGNED = 64  # bytes, a cache line
LOOKED = 16  # buffers that a step looks for; a replaced one of more than these is found within some steps

State = MutableMapping[Tensor, dict[str, Any]]


def movable(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Return those that can be moved: plain dense tensors that share their memory with nobody else, and are trained."""
    plain = [p for p in parameters if type(p) in PLAIN and p.layout == torch.strided]
    plain = [p for p in plain if p.requires_grad or p.grad is not None]
    sharing: dict[int, list[Tensor]] = {}
    for p in plain:
        if p.numel() and dense(p):
            sharing.setdefault(p.untyped_storage().data_ptr(), []).append(p)
    alone = {id(p) for those in sharing.values() if _all_of_it(those) for p in those}
    return [p for p in plain if id(p) in alone]


def _all_of_it(sharing: list[Tensor]) -> bool:
    """Say whether these are all there is in their memory and none overlaps another, as in a copy of what was flat."""
    end: Any = 0
    for p in sorted(sharing, key=Tensor.storage_offset):
        if p.storage_offset() < end:
            return False
        end = p.storage_offset() + p.numel()
    used = sum(p.numel() * p.element_size() for p in sharing)
    margin = 0 if len(sharing) == 1 else ALIGNED * len(sharing)
    return len({p.dtype for p in sharing}) == 1 and used + margin >= sharing[0].untyped_storage().nbytes()


class Tensors:
    """Hold tensors, or dictionaries of them, to say later whether a list is still of the same ones.

    Python compares lists by identity first, which for thousands takes microseconds. Only where another one is equal, as
    it can be if it is a single number, each has to be asked whether it is the same one.
    """

    def __init__(self, those: Iterable[Any]) -> None:
        self.those = list(those)
        self.single = [(i, t) for i, t in enumerate(self.those) if isinstance(t, Tensor) and t.numel() == 1]

    def same(self, now: Iterable[Any]) -> bool:
        """Say whether these are the same."""
        now = list(now)
        try:
            return now == self.those and all(now[i] is t for i, t in self.single)
        except RuntimeError:  # of two tensors there is no one truth
            return False


class Bucket:
    """Hold parameters of one group, dtype and device, with views of them all."""

    def __init__(self, parameters: list[Tensor], state: State, name: str, dtype: torch.dtype | None):
        self.parameters, self.state, self.name = parameters, state, name
        like = parameters[0]
        step = max(1, ALIGNED // like.element_size())
        self.ends = [0]
        for p in parameters:
            self.ends.append(self.ends[-1] + -(-p.numel() // step) * step)
        self.x, self.g = self._memory(like), self._memory(like)
        self.v: Tensor | None = None
        self.v_dtype = dtype or like.dtype
        self.begun = [False] * len(parameters)  # whether a parameter has a buffer
        self.slopes = [self._view(self.g, p, i) for i, p in enumerate(parameters)]
        for i, p in enumerate(parameters):
            self._place(p, i)
        self.runs: list[tuple[int, int, bool]] = []
        self.others: list[int] = []  # whose gradient is sparse
        self._numpy: Any = None
        self._calls: Any = None
        self._turn = 0
        self.watch: Any = None
        if like.device.type == "cpu":
            from ravine.torch._watch import Watch

            self.watch = Watch(parameters)

    def _memory(self, like: Tensor) -> Tensor:
        return torch.zeros(self.ends[-1], dtype=like.dtype, device=like.device)

    def _view(self, memory: Tensor, p: Tensor, i: int) -> Tensor:
        """Return the part of some memory that belongs to a parameter, in its shape; with a version of its own."""
        return memory.as_strided(p.size(), p.stride(), self.ends[i]).data

    def _place(self, p: Tensor, i: int) -> None:
        """Move a parameter into this memory."""
        view = self._view(self.x, p, i)
        view.copy_(p.data)
        p.data = view

    def _buffer(self, p: Tensor, i: int) -> Tensor:
        """Make a parameter's buffer the part of the memory for buffers that belongs to it; it keeps its numbers."""
        if self.v is None:
            self.v = torch.zeros(self.ends[-1], dtype=self.v_dtype, device=self.x.device)
            self._numpy = self._calls = None
        self.begun[i] = True
        view, held = self._view(self.v, p, i), self.state[p].get(self.name)
        if held is None:
            view.zero_()
        else:
            view.copy_(held.to_dense() if held.layout != torch.strided else held)
        self.state[p][self.name] = view
        return view

    def _buffers(self) -> list[Any]:
        return [self.state[p].get(self.name) if p in self.state else None for p in self.parameters]

    def ready(self) -> bool:
        """Gather what was replaced; says no where a parameter became another kind of tensor."""
        if self.watch is not None and self.runs and self.watch.same(written=True) and self._held():
            return True
        x = self.x
        for p, g in zip(self.parameters, self.slopes, strict=True):
            if (p.dtype, p.device, p.size(), p.stride()) != (x.dtype, x.device, g.size(), g.stride()):
                return False
        self.gather()
        if self.watch is not None:
            self.watch.look()
        return True

    def release(self) -> None:
        """Give every parameter that still lies here memory of its own again."""
        for p in self.parameters:
            if p.untyped_storage().data_ptr() == self.x.untyped_storage().data_ptr():
                p.data = p.data.clone()

    def _held(self) -> bool:
        """Say whether the buffers are those of the last step: of a few, others every time, for all take too long."""
        first = self._turn = self._turn % max(1, len(self._seen))
        self._turn += LOOKED
        return all(
            self.state.get(p) is state and state.get(self.name) is v for p, state, v in self._seen[first : self._turn]
        )

    def gather(self) -> None:
        """Bring back what was replaced: parameters with other memory, gradients and buffers that are not these views."""
        present: list[bool] = []
        self.others = []
        for i, (p, v) in enumerate(zip(self.parameters, self._buffers(), strict=True)):
            self.begun[i] = v is not None
            if v is not None and (self.v is None or v.data_ptr() != self._place_of(self.v, i)):
                self._buffer(p, i)
        for i, (p, slope) in enumerate(zip(self.parameters, self.slopes, strict=True)):
            if p.data_ptr() != self._place_of(self.x, i):
                self._place(p, i)
            g = p.grad
            if g is not None and g.layout != torch.strided:
                self.others.append(i)
            elif g is not None and (g is not slope or g.data_ptr() != self._place_of(self.g, i)):
                if g is slope:  # the same tensor, with other memory inside
                    slope = self.slopes[i] = self._view(self.g, p, i)
                slope.copy_(g)
                p.grad = slope
            present.append(g is not None and i not in self.others)
        self._run(present)

    def _place_of(self, memory: Tensor, i: int) -> int:
        return memory.data_ptr() + self.ends[i] * memory.element_size()

    def _run(self, present: Iterable[bool]) -> None:
        """Find the stretches of neighbours that have a gradient, and of those that have a buffer too."""
        self.present = list(present)
        self.runs = []
        for i, here in enumerate(self.present):
            if not here:
                continue
            start, stop = self.ends[i : i + 2]
            if self.runs and self.runs[-1][1:] == (start, self.begun[i]):
                start = self.runs.pop()[0]
            self.runs.append((start, stop, self.begun[i]))
        self.stepped = [p for p, here in zip(self.parameters, self.present, strict=True) if here]
        begun = [p for p, had in zip(self.parameters, self.begun, strict=True) if had]
        self._seen = [(p, self.state[p], self.state[p].get(self.name)) for p in begun]

    def step(self, plan: Plan) -> None:
        """Make one update of every parameter that has a gradient; to be asked after `ready`."""
        begin, had = plan.update.buffer and not all(begun for _, _, begun in self.runs), list(self.begun)
        if begin:
            for i, p in enumerate(self.parameters):
                if self.present[i] and not self.begun[i]:
                    self._buffer(p, i)
        if self._whole_passes():
            self._passes(plan)
        else:  # torch rounds half precision otherwise at the end of a tensor, so each goes alone
            for i, p in enumerate(self.parameters):
                if self.present[i]:
                    v = self.state[p][self.name] if plan.update.buffer else None
                    update(p.data, self.slopes[i], v, plan.update if had[i] else plan.first)
        for i in self.others:
            self._alone(self.parameters[i], i, plan)
        if begin or self.others:
            self._run(self.present)
        if self.watch is not None:
            self.watch.changed()
        else:
            torch.autograd.graph.increment_version(self.stepped)

    def _alone(self, p: Tensor, i: int, plan: Plan) -> None:
        """Make an update whose gradient is sparse; the buffer is dense, as everybody's here."""
        assert p.grad is not None
        g = p.grad.to_dense()
        had = self.begun[i]
        v = self._buffer(p, i) if plan.update.buffer else None
        update(p, g, v, plan.update if had else plan.first)

    def _passes(self, plan: Plan) -> None:
        """Make a pass over each stretch; what a pass is called with is kept for the next step."""
        kept = self._calls
        if kept is None or kept[0] is not plan or kept[1] != self.runs or kept[2] != kept[4].threads():
            if not self._compilable or Tensor in map(type, plan.update):
                for start, stop, begun in self.runs:
                    v = self.v[start:stop] if self.v is not None and plan.update.buffer else None
                    update(self.x[start:stop], self.g[start:stop], v, plan.update if begun else plan.first)
                return
            kept = self._calls = self._prepared(plan)
        kept[4].together(kept[3], kept[2])

    def _prepared(self, plan: Plan) -> tuple[Plan, list[Any], int, list[Any], Any]:
        """Return a plan, the stretches, how many threads there are, and the calls of the compiled passes."""
        from ravine.torch import _onepass

        arrays, most, calls = self._arrays(), _onepass.threads(), []
        for start, stop, begun in self.runs:
            x, g, v = arrays if stop - start == self.ends[-1] else (part[start:stop] for part in arrays)
            calls.append(_onepass.prepared(_real(x), _real(g), _real(v), plan.update if begun else plan.first, most))
        return plan, self.runs, most, calls, _onepass

    @cached_property
    def _compilable(self) -> bool:
        real = self.x.dtype in (torch.float32, torch.float64, torch.complex64, torch.complex128)
        return real and self.x.device.type == "cpu" and self.v_dtype == self.x.dtype

    def _whole_passes(self) -> bool:
        return self._compilable or self.x.device.type != "cpu"

    def _arrays(self) -> Any:
        if self._numpy is None:
            self._numpy = [t.numpy() for t in (self.x, self.g, self.x if self.v is None else self.v)]
        return self._numpy

    def zero(self, set_to_none: bool) -> None:
        """Set the gradients to 0 in one pass; they stay views, and one that somebody replaced is dropped."""
        if self.watch is None or not self.runs or not self.watch.same():
            for i, (p, slope) in enumerate(zip(self.parameters, self.slopes, strict=True)):
                if p.grad is not slope:
                    forget(p, set_to_none)
                elif slope.data_ptr() != self._place_of(self.g, i):  # the same tensor, with other memory inside
                    slope.zero_()
        self.g.zero_()


def forget(p: Tensor, set_to_none: bool) -> None:
    """Drop a gradient or set it to 0, as torch does."""
    if p.grad is None or set_to_none:
        p.grad = None
        return
    if p.grad.grad_fn is not None:
        p.grad.detach_()
    else:
        p.grad.requires_grad_(False)
    p.grad.zero_()


def _real(numbers: Any) -> Any:
    """Return complex numbers as twice as many real ones: an update multiplies with real numbers alone."""
    return numbers.view(numbers.real.dtype) if numbers.dtype.kind == "c" else numbers


def buckets(parameters: Iterable[Tensor], state: State, name: str, dtype: torch.dtype | None) -> Iterator[Bucket]:
    """Gather the parameters that can be moved, those of one dtype and device together."""
    kinds: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for p in movable(parameters):
        kinds.setdefault((p.dtype, p.device), []).append(p)
    for found in kinds.values():
        yield Bucket(found, state, name, dtype)
