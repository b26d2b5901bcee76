"""Schedules for the settings of any torch optimizer: what `ravine.schedules` says becomes the next update's settings.

    group[key] = schedule(t),   t = the number of updates that the optimizer has made

The values of update 0 are written when the Schedule is made, those of update t + 1 as soon as update t has been made.
Each is a function of t alone, so a run resumes from t and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ravine.errors import ScheduleError, shown
from ravine.torch import counted, curves, keys
from ravine.torch.keys import Group, Key, Mark, Number
from ravine.torch.numbers import CORRECTED, KEPT, holds_lr, own_rule


class Schedule:
    """Set numbers of an optimizer's param groups before each update: lr, momentum, betas[0] or any other.

    Nothing is called in the loop. An update is counted when the optimizer has made it: a step that a GradScaler leaves
    out does not count, gradients that are accumulated make one update, a step with a closure is one. `step()` may be
    called after each update, as loops and trainers do with torch's schedulers; it counts nothing.

    A value is a number, a schedule of `ravine.schedules` or its text, a function from the update's number to a number,
    or a list with one of these for each param group, in which None leaves a group alone. A value that is not allowed
    (momentum of 1, NaN, a function that raises) stops the run before the update that it was meant for. A number that
    stands in a tensor is written into that tensor.

    torch's own schedulers may set other keys of the same optimizer. Two that set one key are refused at the next
    update: for momentum beside OneCycleLR or CyclicLR give these cycle_momentum=False. What `load_state_dict` of the
    optimizer puts there is no such case: the schedule's values stand again after it.

    Velocity under a changing lr: a buffer that holds lr, v' = mu·v - lr·g, goes on with the old lr's part in it. `kept`
    leaves it as it is: the classical momentum of Sutskever et al., Keras and Caffe, and ravine's default. `corrected`
    scales it by lr_t / lr_(t-1), so that the method stays the one with lr outside of the buffer (torch.optim.SGD's)
    when lr changes: the momentum correction of Goyal et al.

    Copies: `copy.deepcopy` and `pickle` of an optimizer leave its hooks behind, so the copy has no schedule; copy or
    pickle the Schedule, which takes its optimizer along. A CUDA graph that is replayed calls no hook: keep the
    optimizer's step outside of the graph.

    Args:
        optimizer: whose param groups are set.
        settings: a mapping from keys to values, for keys that are no Python name, such as "betas[0]".
        groups: indices of the param groups to which all of it applies; without it all, those added later too.
        velocity: `kept` or `corrected`, for `ravine.torch.Momentum` alone.
        **more: keys to values.

    Raises:
        ScheduleError: a key that the optimizer lacks, a value that is not allowed, two writers of one key.

    Example:
        >>> import torch
        >>> from ravine.torch.schedule import Schedule
        >>> w = torch.nn.Parameter(torch.zeros(3))
        >>> optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.5)
        >>> schedule = Schedule(optimizer, momentum="ramp(0.5,0.99,0.01)")
        >>> for _ in range(10):
        ...     optimizer.zero_grad()
        ...     (w - 1).square().sum().backward()
        ...     optimizer.step()
        >>> optimizer.param_groups[0]["momentum"]
        0.6
        >>> schedule
        Schedule(momentum='ramp(0.5,0.99,0.01)', updates=10)

    Source:
        Sutskever et al. 2013, section 3 (momentum schedules); Goyal et al. 2017, eq. 9-10 (momentum correction).
    """

    _marks: dict[tuple[Key, int], Mark]  # what was written where
    _written: tuple[int, int]  # for which update, into how many groups
    _known: tuple[tuple[int, int], list[list[Number | None]]]  # the values of the step asked last
    _depth: int  # of steps within steps
    _idle: bool  # this step is no update
    _undo: list[Callable[[], Any]]  # what takes each hook off

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        settings: Mapping[str, Any] | None = None,
        *,
        groups: Sequence[int] | None = None,
        velocity: str | None = None,
        **more: Any,
    ) -> None:
        self.optimizer = optimizer
        self.updates = 0
        self.velocity = velocity
        count = len(_groups(optimizer))
        self._groups = keys.read_groups(groups, count)
        self._courses = keys.read_settings(_merged(settings, more), optimizer.param_groups, self._groups)
        if velocity is not None:
            self._check_velocity(count)
        if not self._courses and velocity is None:
            raise ScheduleError("no setting is given; name at least one, such as momentum='ramp(0.5,0.99,0.01)'")
        self._clear()
        self._values(0, count)  # refuse before anything is written
        self._attach()
        self.step()

    def step(self) -> None:
        """Write the values of the coming update once more; it is no fault to call it, and none not to."""
        groups = self.optimizer.param_groups
        marks: dict[tuple[Key, int], Mark] = {}
        for course, row in zip(self._courses, self._values(self.updates, len(groups)), strict=True):
            for g, value in enumerate(row):
                if value is not None:
                    marks[course.key, g] = keys.put(groups[g], course.key, value)
        if self.velocity is not None:
            for g in self._chosen(len(groups)):
                self._choose_velocity(groups[g])
        self._marks, self._written = marks, (self.updates, len(groups))

    def values(self, t: int | None = None) -> dict[str, list[Number | None]]:
        """Return the value of each key at update `t`, for each param group.

        Args:
            t: the number of the update, from 0 on; without it the coming one, whose values stand in the groups.

        Returns:
            By key a list with a number for each group, None where a group is left alone.

        Raises:
            ScheduleError: a value at `t` is not allowed.
        """
        t = self.updates if t is None else t
        if isinstance(t, bool) or not isinstance(t, int) or t < 0:
            raise ScheduleError(f"an update is a whole number from 0 on, got {shown(t)}")
        rows = self._values(t, len(self.optimizer.param_groups))
        return {str(course.key): list(row) for course, row in zip(self._courses, rows, strict=True)}

    def get_last_lr(self) -> list[Any]:
        """Return the lr of each param group, under the name by which trainers ask for it."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def following(self, group: int) -> dict[str, Number]:
        """Return the values of a param group at the update after the one that is being made.

        An optimizer that stores the look-ahead point asks this during its step. Where the next values are not allowed
        it gets those of this update: the next update is refused, before it is made.
        """
        count = len(self.optimizer.param_groups)
        try:
            rows = self._values(self.updates + 1, count)
        except ScheduleError:
            rows = self._values(self.updates, count)
        found = {str(course.key): row[group] for course, row in zip(self._courses, rows, strict=True)}
        return {key: value for key, value in found.items() if value is not None}

    def remove(self) -> None:
        """Take the schedule off its optimizer, whose settings stay as they are."""
        for undo in self._undo:
            undo()
        self._undo = []

    # State -------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Return the number of updates made and the text of each schedule: numbers, text and lists of them.

        A function of yours is not stored, only that there is one. Save it with the optimizer's own state.
        """
        settings = {str(course.key): course.texts() for course in self._courses}
        return {"updates": self.updates, "settings": settings, "groups": list(self._groups) if self._groups else None}

    def load_state_dict(self, state: Mapping[str, Any], *, strict: bool = True) -> None:
        """Go on from a saved state; before or after the optimizer's own `load_state_dict`, both are right.

        Args:
            state: what `state_dict` returned.
            strict: refuse a state whose schedules are not these; False goes on with these from the saved update.

        Raises:
            ScheduleError: the state is none of a Schedule, or of other schedules.
        """
        made = state.get("updates") if isinstance(state, Mapping) else None
        if isinstance(made, bool) or not isinstance(made, int) or made < 0:
            raise ScheduleError(f"this is no state of a Schedule: {shown(state)}; load what its state_dict() returned")
        own = self.state_dict()
        found = keys.difference(state.get("settings"), own["settings"])
        if not found and state.get("groups") != own["groups"]:
            found = f"the saved schedule is for groups={state.get('groups')}, this one for groups={own['groups']}"
        if strict and found:
            raise ScheduleError(
                f"{found}; make the Schedule as it was, or load with strict=False to go on with this one"
            )
        self._values(made, len(self.optimizer.param_groups))  # refuse before anything changes
        self.updates = made
        self.step()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_undo", "_marks", "_written", "_known")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._clear()
        self._attach()

    def __repr__(self) -> str:
        words = []
        for course in self._courses:
            texts = course.texts()
            words.append(f"{course.key}={texts if course.each else repr(texts[0])}")
        words += [f"groups={list(self._groups)}"] if self._groups else []
        words += [f"velocity={self.velocity!r}"] if self.velocity else []
        return f"Schedule({', '.join([*words, f'updates={self.updates}'])})"

    # What is drawn -----------------------------------------------------------------------------------------------

    def curves(self, steps: int | None = None) -> list[curves.Curve]:
        """Return the values of each key at the updates from 0 on, groups with the same schedule together.

        Args:
            steps: how many updates; without it as many as the schedules take to settle, and those made so far.

        Raises:
            ScheduleError: `steps` is no whole number from 1 on, or a function of yours raised.
        """
        steps = max(self.updates + 1, *map(curves.settled, self._courses), 2) if steps is None else steps
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ScheduleError(f"steps must be a whole number of updates from 1 on, got {shown(steps)}")
        count = len(self.optimizer.param_groups)
        return [curve for course in self._courses for curve in curves.curves(course, count, steps)]

    def plot(self, steps: int | None = None, ax: Any = None) -> Any:
        """Draw the schedules, one panel for each key.

        Args:
            steps: how many updates; without it as many as the schedules take to settle.
            ax: Matplotlib axes to draw into, a list of them for several keys; without it a figure is made.

        Returns:
            A Matplotlib `Figure`.
        """
        from ravine.display import picture

        return picture("schedules", self.curves(steps), self.updates, ax)

    # Inside ------------------------------------------------------------------------------------------------------

    def _chosen(self, count: int) -> Sequence[int]:
        return range(count) if self._groups is None else [g for g in self._groups if g < count]

    def _check_velocity(self, count: int) -> None:
        if self.velocity not in (KEPT, CORRECTED):
            raise ScheduleError(f"velocity must be 'kept' or 'corrected', got {shown(self.velocity)}")
        if any("velocity" not in self.optimizer.param_groups[g] for g in self._chosen(count)):
            raise ScheduleError(
                f"{type(self.optimizer).__name__} has no choice of velocity: only an optimizer that keeps lr in its buffer "
                "has one, ravine.torch.Momentum; leave velocity out"
            )

    def _choose_velocity(self, group: Group) -> None:
        if group["velocity"] == self.velocity:
            return
        group["velocity"] = self.velocity
        rule = own_rule(group, getattr(self.optimizer, "rules", {}))
        if self.velocity == CORRECTED and holds_lr(rule, group):
            group.setdefault("last_lr", None)  # from here on the optimizer notes it

    def _values(self, t: int, groups: int) -> list[list[Number | None]]:
        """Return the value of each key for each group; those of the latest step asked are remembered."""
        if self._known[0] != (t, groups):
            self._known = ((t, groups), [course.at(t, groups) for course in self._courses])
        return self._known[1]

    def _clear(self) -> None:
        self._marks = {}
        self._written = (-1, 0)
        self._known = ((-1, 0), [])
        self._depth = 0
        self._idle = False

    def _attach(self) -> None:
        """Enter the hooks; they stay out of torch.compile, which would compile anew for each value."""
        disable = _uncompiled
        handles = [
            self.optimizer.register_step_pre_hook(disable(self._before)),
            self.optimizer.register_step_post_hook(disable(self._after)),
            self.optimizer.register_load_state_dict_post_hook(disable(self._loaded)),
        ]
        self._undo = [handle.remove for handle in handles]
        asked = getattr(self.optimizer, "foresight", None)
        if isinstance(asked, list):
            following = disable(self.following)
            asked.append(following)
            self._undo.append(lambda: asked.remove(following) if following in asked else None)

    def _before(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Mapping[str, Any]) -> None:
        """Before an update: refuse a second writer; write what is not written yet, or say why it cannot be."""
        if self._depth and counted.within_a_step(optimizer):
            self._depth += 1
            return
        self._idle = counted.only_makes_state(optimizer)
        if not self._idle:
            self._refuse_another_writer()
            if self._written != (self.updates, len(optimizer.param_groups)):
                self.step()
        self._depth = 1  # whatever a step that raised has left behind

    def _after(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        """After an update: count it and write the next one's values."""
        self._depth -= 1
        if self._depth > 0 or self._idle or counted.left_out(optimizer):
            return
        self.updates += 1
        self._write_or_wait()

    def _loaded(self, optimizer: torch.optim.Optimizer) -> None:
        """After the optimizer has loaded a state: the groups are new, and the schedule's values stand in them again."""
        self._marks, self._written = {}, (-1, 0)
        self._write_or_wait()

    def _write_or_wait(self) -> None:
        """Write the values; one that is not allowed is refused by the update that would use it, and there may be none."""
        try:
            self.step()
        except ScheduleError:
            self._written = (-1, 0)

    def _refuse_another_writer(self) -> None:
        groups = self.optimizer.param_groups
        for (key, g), mark in self._marks.items():
            if g < len(groups) and not keys.untouched(groups[g], key, mark):
                raise ScheduleError(
                    f"{key} of param group {g} was set to {mark.value} for update {self.updates} and something else has "
                    f"changed it; let one alone set {key} (give OneCycleLR and CyclicLR cycle_momentum=False), or take this "
                    "Schedule off with remove()"
                )


def _uncompiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that torch.compile leaves alone; outside of it nothing is paid for that."""
    disable: Any = torch.compiler.disable
    disabled = disable(function)

    def called(*arguments: Any) -> Any:
        return disabled(*arguments) if torch.compiler.is_compiling() else function(*arguments)

    return called


def _groups(optimizer: Any) -> list[Group]:
    """Return the param groups of what came in; raises `ScheduleError` where it is no optimizer with hooks."""
    if not isinstance(optimizer, torch.optim.Optimizer) or not hasattr(optimizer, "_optimizer_step_post_hooks"):
        raise ScheduleError(
            f"a Schedule needs a torch.optim.Optimizer, got {type(optimizer).__name__}; give the optimizer itself, not "
            "what wraps it"
        )
    return optimizer.param_groups


def _merged(settings: Any, more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings from the mapping and the keywords as one mapping."""
    if settings is not None and not isinstance(settings, Mapping):
        raise ScheduleError(
            f"settings is a mapping from keys to values, such as {{'betas[0]': 0.9}}, got {shown(settings)}"
        )
    twice = set(settings or {}) & set(more)
    if twice:
        raise ScheduleError(f"{min(twice)} is given twice; give it once")
    return {**(settings or {}), **more}
