"""The optimizer: every rule of the table for torch, in place of torch.optim.SGD."""

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from ravine.charts import EVERY
from ravine.errors import RuleError
from ravine.rules import Rule
from ravine.torch.arguments import (
    check_marker,
    check_row,
    check_shapes,
    check_ways,
    dtype_text,
    read_rule,
    restore_dtype,
    together,
)
from ravine.torch.flat import Bucket, Tensors, buckets, forget
from ravine.torch.lists import update_lists
from ravine.torch.markers import refuse_strangers
from ravine.torch.numbers import (
    CORRECTED,
    KEPT,
    LR,
    Group,
    Plan,
    buffer_name,
    check,
    dtype_of,
    factor,
    holds_lr,
    looks,
    own_rule,
    plan,
    rule_named,
    settings_of,
)

_profiler: Any = torch.autograd.profiler

_NOTHING: Any = contextlib.nullcontext()

Ahead = Callable[[int], Mapping[str, Any]]


class Momentum(torch.optim.Optimizer):
    """Run any rule of the table as a torch optimizer; with torch.optim.SGD's arguments it is torch.optim.SGD.

        g' = g + weight_decay·x        v' = keep·v + take·g'        x' = x + move·v' + kick·g'

    (keep, take, move, kick, look) is the rule's row. Without `rule` it is heavy ball, or with `nesterov` torch's form of
    it, and the first step is not dampened: the same numbers as torch.optim.SGD. A rule of the table begins with v = 0
    and is exact from the first step on. One that looks ahead (nag, triple, snv, robust) keeps x + look·v in the
    parameters, the point at which its gradient is asked; `at_iterate` shows x.

    Args:
        params: parameters, or param groups, whose options may differ.
        lr: learning rate, length per gradient, a number or a one-element tensor; 0.001 where it is not given.
        momentum: mu, the part of the velocity that is kept, from 0 to below 1.
        dampening: tau, the part of the gradient that the velocity does not take in, from 0 to 1.
        weight_decay: added to the gradient as weight_decay·x, 0 or more.
        nesterov: torch's form of Nesterov momentum; the paper's is rule="nag".
        rule: a name such as "nag", a text with settings such as "qhm:nu=0.7", a `Rule`, a `Method` of numbers, or a
            function from settings to a `Row`. Its settings lr, mu and tau are lr, momentum and dampening above.
        maximize: climb instead of descend.
        foreach: update many tensors in one call; as in torch, the default on a GPU.
        differentiable: let autograd see the step.
        fused: torch's own fused kernel, for torch's own settings.
        flat: gather parameters, gradients and buffers each in one piece of memory, so that a step is one pass over
            them; the fastest on a CPU. `zero_grad` then sets gradients to 0 and keeps them.
        capturable: never wait for a GPU; settings that change are then tensors.
        decoupled_weight_decay: shrink x by lr·weight_decay instead of adding to the gradient (Loshchilov & Hutter 2019).
        state_dtype: of the velocity, where it is not the parameter's: torch.float32 for bfloat16 parameters.
        velocity: what becomes of a velocity that holds lr (classical, nag, keras_nesterov) when lr changes: "kept" as it
            is, as the paper's classical momentum, or "corrected" by lr/lr_before (Goyal et al. 2017, section 3).
        settings: the rule's other settings, such as nu.

    Raises:
        RuleError: a setting is out of range or does not fit the rule.

    Example:
        >>> import torch
        >>> x = torch.nn.Parameter(torch.tensor([9.0, 1.0]))
        >>> optimizer = Momentum([x], lr=0.005, momentum=0.9, rule="nag")
        >>> for _ in range(200):
        ...     optimizer.zero_grad()
        ...     (x**2 @ torch.tensor([1.0, 50.0])).backward()
        ...     optimizer.step()
        >>> with optimizer.at_iterate():
        ...     print([round(value, 3) for value in x.tolist()])
        [-0.0, 0.0]

    Source: Sutskever et al. 2013, eq. 1-4; torch.optim.SGD; the look-ahead point with the next step's mu as in Bengio et
    al. 2013, eq. 7.
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor | None = None,
        momentum: float | None = None,
        dampening: float | None = None,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        rule: str | Rule | Any = None,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
        flat: bool = False,
        capturable: bool = False,
        decoupled_weight_decay: bool = False,
        state_dtype: torch.dtype | None = None,
        velocity: str = KEPT,
        **settings: Any,
    ) -> None:
        made, given = rule_named(rule)
        self.rules: dict[str, Rule] = {}
        self._own(made)
        self.foresight: list[Ahead] = []  # who knows settings of the next update, such as a `Schedule`
        self._flat: dict[int, list[Bucket]] = {}
        self._left: dict[int, list[Tensor]] = {}
        self._states = 0  # how many parameters the state held at the last look
        self._members: dict[int, tuple[Any, str, Tensors, list[Tensor]]] = {}  # what was gathered
        self._plans: dict[int, tuple[Any, Plan]] = {}
        self._shown = 0  # how many at_iterate blocks are open
        given = together(made, given, {"lr": lr, "mu": momentum, "tau": dampening}, settings)
        defaults = {
            "lr": given.pop("lr", LR), "momentum": given.pop("mu", 0), "dampening": given.pop("tau", 0),
            "weight_decay": weight_decay, "nesterov": nesterov, "maximize": maximize, "foreach": foreach,
            "differentiable": differentiable, "fused": fused, "rule": made and made.name, "flat": flat,
            "capturable": capturable, "decoupled_weight_decay": decoupled_weight_decay,
            "state_dtype": dtype_text(state_dtype),
            "velocity": velocity, **given,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _own(self, rule: Rule | None) -> None:
        """Keep a rule that is not in the table; those that are stay out, so that an optimizer can be pickled."""
        if rule is not None and EVERY.get(rule.name) is not rule:
            self.rules[rule.name] = rule

    def add_param_group(self, param_group: Group) -> None:
        """Add a group whose options may differ; raises `RuleError` where they do not fit the rule."""
        if "rule" in param_group:
            self._own(read_rule(param_group, self.defaults))
        if "state_dtype" in param_group:
            param_group["state_dtype"] = dtype_text(param_group["state_dtype"])
        check_ways({**self.defaults, **param_group})
        super().add_param_group(param_group)
        try:
            self._check_group(self.param_groups[-1])
        except ValueError:
            self.param_groups.pop()
            raise
        self._remember(self.param_groups[-1])

    def _check_group(self, group: Group) -> None:
        lr = group["lr"]
        if torch.is_tensor(lr) and lr.numel() != 1:
            raise RuleError(f"Tensor lr must be 1-element, got {lr.numel()}; give one number for the group")
        rule = own_rule(group, self.rules)
        with torch.no_grad():  # once, what tensors hold may be asked for
            values = {"lr": lr, "weight_decay": group["weight_decay"], **settings_of(rule, group)}
            check(rule, group, {k: v.item() if torch.is_tensor(v) else v for k, v in values.items()})
        check_row(rule, rule.row(**settings_of(rule, group)))

    # The step ----------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one update of every parameter that has a gradient; returns what the closure returns.

        Args:
            closure: evaluates the model again, calls backward and returns the loss.
        """
        # Around a subclass's own step torch has put the hooks itself.
        if type(self).step is Momentum.step and (_profiler._is_profiler_enabled or any(map(len, self._hooks()))):
            # Hooks are shown what came in, and one before a step may give it a closure.
            return self._step_with_hooks() if closure is None else self._step_with_hooks(closure)
        return self._step(closure)

    # torch would put this around every step, which for a small network takes as long as the step.
    step.hooked = True  # type: ignore[attr-defined]

    def _hooks(self) -> tuple[Mapping[int, Any], ...]:
        """Return everybody who wants to be called before or after a step."""
        mine = self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks
        return (*mine, _global_optimizer_pre_hooks, _global_optimizer_post_hooks)

    def _step(self, closure: Callable[[], Any] | None = None) -> Any:
        if self._shown:
            raise RuleError("a step inside of at_iterate() would be undone at its end; leave the block first")
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        before = torch.is_grad_enabled()
        torch.set_grad_enabled(self.defaults["differentiable"])
        try:
            if self._flat and len(self.state) != self._states:
                self._look_again()
            plans = [self._plan(index, group) for index, group in enumerate(self.param_groups)]  # refused or all made
            for index, (group, now) in enumerate(zip(self.param_groups, plans, strict=True)):
                self._update(index, group, now)
        finally:
            torch.set_grad_enabled(before)
        return loss

    _step_with_hooks = torch.optim.Optimizer.profile_hook_step(_step)

    def _update(self, index: int, group: Group, now: Plan) -> None:
        """Update one group on the path that it asks for."""
        if group["flat"] and not torch.compiler.is_compiling():
            done = self._update_flat(index, group, now)
        else:
            done = update_lists(self.state, group, now, group["params"])
        if done and ("look" in group or "last_lr" in group):
            self._remember_step(group, now)

    def _remember_step(self, group: Group, now: Plan) -> None:
        """Write down what the next step has to know, and make it true of parameters that had no gradient."""
        look, scale = group.get("look", 0), factor(group, now.lr, group.get("last_lr"))
        if Tensor in map(type, (look, now.look, scale)) or (look, scale) != (now.look, 1):
            for p in group["params"]:
                v = self.state[p].get(buffer_name(group)) if p.grad is None and p in self.state else None
                if v is not None:
                    p.sub_(v * look)
                    p.add_(v.mul_(scale) * now.look)
        for key, value in (("look", now.look), ("last_lr", now.lr)):
            if key not in group:
                continue
            if group["capturable"] and torch.is_tensor(value) and torch.is_tensor(group[key]):
                group[key].copy_(value)  # the memory that a graph reads
            else:  # lr is somebody's tensor, who may write into it
                group[key] = value.clone() if torch.is_tensor(value) else value

    def _plan(self, index: int, group: Group) -> Plan:
        """Return what the group does now; worked out again only where a setting has changed."""
        following: dict[str, Any] = {}
        for ahead in self.foresight:
            following.update(ahead(index))
        key = {**group, "params": type(group["lr"])}, following  # a tensor would be equal to its number
        if torch.compiler.is_compiling():
            return plan(group, self.rules, following)
        found = self._plans.get(index)
        if found is None or found[0] != key:
            made = plan(group, self.rules, following)
            if Tensor in map(type, group.values()):  # which may be written into
                return made
            found = self._plans[index] = key, made
        return found[1]

    def _update_flat(self, index: int, group: Group, now: Plan) -> bool:
        """Make one pass over everything that could be gathered; the rest of the group goes its own way."""
        found = self._flat.get(index)
        if found is None or not self._gathered(index, group) or not all(bucket.ready() for bucket in found):
            found = self._gather(index, group)
        done = False
        for bucket in found:
            bucket.step(now)
            done = done or bool(bucket.runs or bucket.others)
        if len(self._left[index]):
            done = update_lists(self.state, group, now, self._left[index]) or done
        return done

    def _gathered(self, index: int, group: Group) -> bool:
        """Say whether the group and its state are those that were gathered, and nobody else in it wants to be."""
        state, name, members, frozen = self._members[index]
        return (
            state is self.state
            and name == buffer_name(group)
            and members.same(group["params"])
            and not any(p.requires_grad for p in frozen)
        )

    def _look_again(self) -> None:
        """Have everything gathered anew: somebody began, or cleared the state or put something else into it."""
        self._states = len(self.state)
        for bucket in itertools.chain(*self._flat.values()):
            bucket.runs = []

    def _gather(self, index: int, group: Group) -> list[Bucket]:
        """Move a group's parameters, gradients and buffers together."""
        for bucket in self._flat.get(index, []):
            bucket.release()
        found = list(buckets(group["params"], self.state, buffer_name(group), dtype_of(group)))
        for bucket in found:
            bucket.ready()
        inside = {id(p) for bucket in found for p in bucket.parameters}
        self._flat[index] = found
        self._left[index] = [p for p in group["params"] if id(p) not in inside]
        frozen = [p for p in self._left[index] if not p.requires_grad]
        self._members[index] = self.state, buffer_name(group), Tensors(group["params"]), frozen
        return found

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients; flat ones become 0 and stay where they are."""
        if not self._flat:
            super().zero_grad(set_to_none)
            return
        with _profiler.record_function(self._zero_grad_profile_name) if _profiler._is_profiler_enabled else _NOTHING:
            for index, group in enumerate(self.param_groups):
                for bucket in self._flat.get(index, []):
                    bucket.zero(set_to_none)
                for p in self._left.get(index, group["params"]):
                    forget(p, set_to_none)

    # The point itself --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def at_iterate(self) -> Iterator[None]:
        """Show x in the parameters while a rule that looks ahead keeps x + look·v there: for evaluation and saving.

        Afterwards the parameters are what they were, to the last bit. Other rules change nothing.
        """
        kept: list[tuple[Tensor, Tensor]] = []
        looks = [(group, group["look"]) for group in self.param_groups if "look" in group]
        with torch.no_grad():
            for group, look in looks:
                for p in group["params"] if torch.is_tensor(look) or look != 0 else ():
                    v = self.state[p].get(buffer_name(group)) if p in self.state else None
                    if v is not None:
                        kept.append((p, p.clone()))
                        p.sub_(v * look)
                group["look"] = 0  # what is saved here is saved as it is shown
        self._shown += 1
        try:
            yield
        finally:
            self._shown -= 1
            with torch.no_grad():
                for group, look in looks:
                    group["look"] = look
                for p, there in kept:
                    p.copy_(there)

    # Saving and loading ------------------------------------------------------------------------------------------

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load what this optimizer or torch.optim.SGD saved; raises `RuleError` where its buffers mean something else."""
        found: list[Mapping[str, Any]] = []

        def before(_: Any, given: Mapping[str, Any]) -> None:  # as everybody's hooks have left it
            for mine, saved in zip(self.param_groups, given["param_groups"], strict=False):
                refuse_strangers(saved, [given["state"].get(key) or {} for key in saved["params"]])
                check_marker(mine["rule"], saved, bool(given["state"]))
                check_shapes(mine, saved, given["state"])
            found.append(given)

        def after(_: Any) -> None:
            restore_dtype(self, found[0])

        hooks = [
            self.register_load_state_dict_pre_hook(before),
            self.register_load_state_dict_post_hook(after, prepend=True),
        ]
        try:
            super().load_state_dict(state_dict)  # type: ignore[arg-type]
        finally:
            for hook in hooks:
                hook.remove()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rules": self.rules}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("rules", {})
        self.foresight = getattr(self, "foresight", [])
        self._flat, self._left, self._members, self._plans, self._shown = {}, {}, {}, {}, 0
        self._states = 0
        for group in self.param_groups:
            own = group.get("rule", self.defaults["rule"]) == self.defaults["rule"]
            for key, value in self.defaults.items():
                if own or key not in ("momentum", "dampening"):
                    group.setdefault(key, value)
            self._remember(group)

    def _remember(self, group: Group) -> None:
        """Make room in a group for what its rule has to know of the step before."""
        rule = own_rule(group, self.rules)
        if looks(rule, group):
            group.setdefault("look", 0)
        if group["rule"] is not None:  # what torch.optim.SGD has to know to go on from here
            group["nesterov"] = rule is EVERY["nesterov"]
        if group["velocity"] == CORRECTED and holds_lr(rule, group):
            group.setdefault("last_lr", None)
