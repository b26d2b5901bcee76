"""Momentum of any rule as an Optax transformation: (init, update) made from a row of the table.

    g' = g + decay·y                                   coupled weight decay; decoupled: x shrinks instead
    v' = keep·v + take·g'
    y' = y - look·v + (move + look_next)·v' + kick·g'  the parameters hold y = x + look·v

A transformation cannot ask for a gradient elsewhere than at the parameters. So a rule that looks ahead keeps the
look-ahead point in them, with the look of the next step; `iterate` gives back the point x itself.
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ravine.charts import rule_of
from ravine.errors import RuleError, ScheduleError, require, shown
from ravine.rules import RULES, Method, Row, Rule
from ravine.schedules import Number, Schedule, Value, at, parse

if TYPE_CHECKING:
    import optax

Tree = Any  # nested containers of arrays
AnyRule = str | Rule | Method | Callable[..., Row]


class MomentumState(NamedTuple):
    """Hold how many updates were made, the velocity, and by how many of it the parameters lie ahead of x."""

    count: Any  # (), whole
    velocity: Tree  # like the parameters
    look: Any  # (), parameters = x + look·v


def momentum(
    rule: AnyRule,
    lr: Value | str | None = None,
    mu: Value | str | None = None,
    *,
    weight_decay: Value | str = 0.0,
    decoupled_weight_decay: bool = False,
    state_dtype: Any = None,
    **settings: Value | str,
) -> "optax.GradientTransformation":
    """Make the Optax transformation of a rule; it yields the whole change, sign and lr included, so it goes last.

        v' = keep·v + take·g        change = -look·v + (move + look_next)·v' + kick·g

    Args:
        rule: a name or text such as `nag` or `qhm:nu=0.7`, a rule, a method, or a function that returns a row.
        lr, mu: numbers, schedules of `ravine.schedules`, texts such as `ramp(0.5,0.99,0.01)`, or functions of the step
            count from 0; length per gradient, and no unit.
        weight_decay: gradient per length; added to the gradient times the parameters.
        decoupled_weight_decay: shrink the point by 1 - lr·weight_decay instead, and leave the velocity alone.
        state_dtype: of the velocity; without it the parameters' own.
        settings: what else the rule has, by its own letters.

    Returns:
        An `optax.GradientTransformation` whose state is a `MomentumState`.

    Raises:
        RuleError: a setting is missing, unknown or out of range.
        ScheduleError: a text is no number and no schedule.

    Example:
        >>> import jax, optax
        >>> optimizer = momentum("nag", lr=0.1, mu=0.9)
        >>> x = jax.numpy.array([1.0, 2.0])
        >>> state = optimizer.init(x)
        >>> change, state = optimizer.update(2 * x, state, x)
        >>> iterate(optax.apply_updates(x, change), state).round(3).tolist()
        [0.800000011920929, 1.600000023841858]

    Source: the rows of `ravine.rules`; the stored point is that of `ravine.algebra.plain`, written without division.
    """
    optax = require("optax", extra="optax", why="make an Optax transformation")
    given = {**settings, **{k: v for k, v in (("lr", lr), ("mu", mu)) if v is not None}}
    method, rate = _method(rule, {k: _read(v) for k, v in given.items()}, decoupled_weight_decay)
    numbers = _Numbers(method, rate, _read(weight_decay), decoupled_weight_decay)
    _check_begin(numbers)

    def init(params: Tree) -> MomentumState:
        jnp = _jax().numpy
        velocity = _map(lambda p: jnp.zeros_like(p, dtype=state_dtype), params)
        return MomentumState(jnp.zeros([], "int32"), velocity, jnp.zeros([]))

    def update(gradients: Tree, state: MomentumState, params: Tree | None = None) -> tuple[Tree, MomentumState]:
        if params is None and numbers.decays:
            raise RuleError("weight decay needs the parameters; call update(gradients, state, params)")
        return _update(numbers, gradients, state, gradients if params is None else params)

    return optax.GradientTransformation(init, update)


def factory(rule: AnyRule) -> Callable[..., "optax.GradientTransformation"]:
    """Return the function from a rule's own settings to its transformation, as `optax.inject_hyperparams` wants one.

    Args:
        rule: as for `momentum`.

    Returns:
        A function that takes the rule's settings and `weight_decay` by name.

    Example:
        >>> import optax
        >>> optimizer = optax.inject_hyperparams(factory("qhm"))(lr=1.0, mu=0.9, nu=0.7)
        >>> state = optimizer.init(0.0)
        >>> sorted(state.hyperparams)
        ['lr', 'mu', 'nu', 'weight_decay']
    """
    found, given = rule_of(rule)

    def make(**settings: Value) -> "optax.GradientTransformation":
        everything: dict[str, Any] = {**given, **settings}
        return momentum(found, **everything)

    empty, named = inspect.Parameter.empty, inspect.Parameter.KEYWORD_ONLY
    known = {**found.parameters, **given, "weight_decay": 0.0, "decoupled_weight_decay": False}
    words = [inspect.Parameter(k, named, default=empty if d is empty else d) for k, d in known.items()]
    make.__signature__ = inspect.Signature(words)  # type: ignore[attr-defined]
    make.__name__ = found.name
    return make


def iterate(params: Tree, state: Any) -> Tree:
    """Return the point x of the rule, for evaluation, from the parameters, which may hold the look-ahead point.

    Args:
        params: what the transformation's changes were added to.
        state: its state, alone or inside that of `optax.chain` or `optax.inject_hyperparams`.

    Returns:
        x = parameters - look·v, like the parameters.

    Raises:
        RuleError: there is no momentum state in it, or more than one.

    Example:
        >>> optimizer = momentum("classical", lr=0.1, mu=0.9)
        >>> iterate(1.0, optimizer.init(1.0))
        Array(1., dtype=float32)
    """
    jax = _jax()
    leaves = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, MomentumState))
    found = [leaf for leaf in leaves if isinstance(leaf, MomentumState)]
    if len(found) != 1:
        raise RuleError(f"iterate takes a state with one ravine.optax.momentum in it, got {len(found)} of them")
    look = found[0].look
    return _map(lambda p, v: (p - look * v).astype(jax.numpy.result_type(p)), params, found[0].velocity)


# One update ------------------------------------------------------------------------------------------------------


class _Numbers(NamedTuple):
    """Hold the settings from which the numbers of every step follow."""

    method: Method
    rate: Value  # lr, by which decoupled weight decay is multiplied
    decay: Value
    decoupled: bool

    @property
    def decays(self) -> bool:
        return callable(self.decay) or _traced(self.decay) or bool(self.decay != 0)

    def row(self, t: Any) -> Row:
        return self.method.rule.row(**{k: _value(v, t) for k, v in self.method.settings.items()})

    def shrinking(self, t: Any) -> Number:
        """Return by which part x grows under decoupled decay: gradient descent on ½·decay·x²."""
        return RULES["sgd"].row(lr=_value(self.rate, t)).move * _value(self.decay, t)


def _update(numbers: _Numbers, gradients: Tree, state: MomentumState, params: Tree) -> tuple[Tree, MomentumState]:
    jnp = _jax().numpy
    t, row = state.count, numbers.row(state.count)
    looks = not (type(row.look) is int and row.look == 0)
    ahead, behind = (numbers.row(t + 1).look, -state.look) if looks else (0, 0)
    pull = _value(numbers.decay, t) if numbers.decays and not numbers.decoupled else 0
    shrink = numbers.shrinking(t) if numbers.decays and numbers.decoupled else 0

    def kept(v: Any, g: Any) -> Any:
        return v if g is None else _sum((row.keep, v), (row.take, g)).astype(v.dtype)

    def change(g: Any, p: Any, v: Any, v_next: Any) -> Any:
        x = _sum((1, p), (behind, v))
        return _sum((shrink, x), (behind, v), (row.move + ahead, v_next), (row.kick, g)).astype(jnp.result_type(p))

    forces = _map(lambda g, p: _sum((1, g), (pull, p)), gradients, params)
    velocity = _map(kept, state.velocity, forces)
    changes = _map(change, forces, params, state.velocity, velocity)
    count = jnp.minimum(t, jnp.iinfo(t.dtype).max - 1) + 1
    return changes, MomentumState(count, velocity, jnp.asarray(ahead, state.look.dtype))


def _sum(*terms: tuple[Number, Any]) -> Any:
    """Add multiples; those known to be 0 times are left out, because 0 times infinity is not 0."""
    useful = [(k, a) for k, a in terms if not (isinstance(k, int | float) and k == 0)]
    made = [_jax().numpy.asarray(a) if isinstance(k, int) and k == 1 else k * a for k, a in useful]
    return sum(made[1:], start=made[0]) if made else _jax().numpy.zeros_like(terms[-1][1])


def _map(function: Callable[..., Any], first: Tree, *rest: Tree) -> Tree:
    """Map over leaves; where the first tree has None, as for a parameter without a gradient, there is None."""

    def one(leaf: Any, *others: Any) -> Any:
        return None if leaf is None else function(leaf, *others)

    return _jax().tree.map(one, first, *rest, is_leaf=lambda leaf: leaf is None)


def _value(setting: Value, t: Any) -> Number:
    """Return a setting's value at a step that may be traced."""
    jax = _jax()
    try:
        if isinstance(setting, Schedule):
            steps = jax.numpy.asarray(t, float)[
                None
            ]  # an array, because of a single step the value would have to be known
            return setting(steps, _Namespace())[0]
        return at(setting, t)
    except (ScheduleError, jax.errors.JAXTypeError) as error:
        if not isinstance(error, jax.errors.JAXTypeError) and not isinstance(error.__cause__, jax.errors.JAXTypeError):
            raise
    # A function that looks at the step's value, such as `0.9 if t < 10 else 0.99`, is called from within the program.
    kind = jax.ShapeDtypeStruct((), jax.numpy.result_type(float))

    def ask(step: Any) -> Any:
        return kind.dtype.type(at(setting, int(step)))

    return jax.pure_callback(ask, kind, t, vmap_method="sequential")


class _Namespace:
    """Stand for jax.numpy in a schedule's formula, and for NumPy where all numbers are known: those stay numbers."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*numbers: Any) -> Any:
            import numpy

            known = all(isinstance(number, int | float | numpy.generic) for number in numbers)
            return getattr(numpy if known else _jax().numpy, name)(*numbers)

        return call


# What came in ----------------------------------------------------------------------------------------------------


def _jax() -> Any:
    return require("jax", extra="optax", why="run an Optax transformation")


def _traced(value: Any) -> bool:
    return isinstance(value, _jax().core.Tracer)


def _read(setting: Value | str) -> Value:
    """Return the number, schedule or function that came in; text is read, never run."""
    return parse(setting) if isinstance(setting, str) else setting


def _method(rule: AnyRule, given: dict[str, Value], decoupled: bool) -> tuple[Method, Value]:
    """Return the method and its lr; a traced setting stands as a function of the step, so that its range is not asked."""
    found, with_it = rule_of(rule)
    if twice := sorted(with_it.keys() & given.keys()):
        raise RuleError(f"{found.name}: {twice[0]} is given twice; leave it out of the rule or of the call")
    values = {**with_it, **given}
    rate = values.get("lr", 0.0)
    if decoupled and "lr" not in found.parameters:
        raise RuleError(f"decoupled weight decay is multiplied by lr, which {found.name} has not; use the coupled one")

    def fixed(value: Value) -> Value:
        return (lambda t: value) if _traced(value) else value

    return found(**{key: fixed(value) for key, value in values.items()}), rate


def _check_begin(numbers: _Numbers) -> None:
    """Refuse what is out of range at the first step, as far as it is known."""
    values = {key: at(value, 0) for key, value in numbers.method.settings.items()}
    if not any(map(_traced, values.values())):
        numbers.method.check(values)
    decay = at(numbers.decay, 0)
    if _traced(decay):
        return
    if isinstance(decay, bool) or not hasattr(decay, "__float__") or not 0 <= float(decay) < float("inf"):
        raise RuleError(f"weight_decay must be a number, 0 or more, got {shown(decay)}")
