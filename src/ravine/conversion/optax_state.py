"""The states of optax: a snapshot from a TraceState or EmaState, wherever it stands, and back into one.

Settings are no part of an optax state, so that whoever reads one has to say them.
"""

from typing import Any

from ravine.conversion.snapshot import Snapshot, checked, snapshot
from ravine.errors import ConvertError, require, shown

HELD = {"TraceState": "trace", "EmaState": "ema"}
KINDS = {"optax": "TraceState", "optax_ema": "EmaState"}
COUNTING = ("EmaState", "ScaleByScheduleState")


def read_optax(state: Any, parameters: Any, dialect: str, *, updates: int | None = None, **settings: Any) -> Snapshot:
    """Read optax's state in the middle of a run as a snapshot.

    Args:
        state: of `optax.sgd`, or of any chain with one `optax.trace` or `optax.ema(debias=False)` in it.
        parameters: their tree.
        dialect: `optax` or `optax_ema`, with settings behind it or apart.
        updates: how many were made; else the state's own count, where it has one.
        settings: such as learning_rate, momentum and nesterov.

    Raises:
        ConvertError: the state holds no velocity or two, or another dialect's.

    Example:
        >>> import jax.numpy as jnp, optax
        >>> w = {"w": jnp.ones(2)}
        >>> state = optax.sgd(0.1, momentum=0.9).init(w)
        >>> read_optax(state, w, "optax", learning_rate=0.1, momentum=0.9).settings["momentum"]
        0.9
    """
    kind, held = _held(state)
    name = dialect.partition(":")[0].strip().lower().replace("-", "_")
    if name in KINDS and KINDS[name] != kind:
        raise ConvertError(f"the state is a {kind}, and {name} keeps a {KINDS[name]}; name the other dialect")
    points, velocities = _named(parameters), _named(getattr(held, HELD[kind]))
    if points.keys() != velocities.keys():
        odd = sorted(points.keys() ^ velocities.keys())
        raise ConvertError(f"the state's tree is not that of the parameters: {shown(odd[0])} is in one of them alone")
    if updates is None and kind == "EmaState":
        updates = int(held.count)
    return snapshot(dialect, points, velocities, updates=updates, **settings)


def write_optax(run: Snapshot, parameters: Any, state: Any) -> tuple[Any, Any]:
    """Write a snapshot into the trees of optax: parameters, and the state with its velocity replaced.

    Args:
        run: in the dialect `optax` or `optax_ema`.
        parameters: a tree of the shape that is wanted.
        state: what `optimizer.init(parameters)` gave; its counts become the snapshot's updates, where it knows them.

    Raises:
        ConvertError: the dialect, the trees or the names do not fit.

    Example:
        >>> import jax.numpy as jnp, numpy as np, optax
        >>> from ravine.conversion.crossing import convert_snapshot
        >>> run = snapshot("keras:lr=0.1,mu=0.9", {"w": np.ones(2)}, {"w": np.array([-0.1, 0.2])})
        >>> w, optimizer = {"w": jnp.zeros(2)}, optax.sgd(0.1, momentum=0.9)
        >>> w, state = write_optax(convert_snapshot(run, "optax"), w, optimizer.init(w))
        >>> state[0].trace["w"].tolist()
        [1.0, -2.0]
    """
    kind, held = _held(state)
    names = {group.dialect.name for group in run.groups}
    if {KINDS.get(name) for name in names} != {kind}:
        raise ConvertError(
            f"the state is a {kind}, and the snapshot is of {', '.join(sorted(names))}; convert it first"
        )
    _settled(run)
    points = _tree(parameters, run.parameters)
    field = HELD[kind]
    velocity = _tree(getattr(held, field), run.buffers, empty=True)
    return points, _replaced(state, {kind: {field: velocity}}, run.updates)


def _settled(run: Snapshot) -> None:
    """Refuse groups of different settings, which one state of optax has not; raises `ConvertError`."""
    checked(run)
    if len({str(group.method) for group in run.groups}) > 1:
        raise ConvertError(
            "optax has one state for one setting, and the snapshot's groups differ; write them one by one"
        )


def _held(state: Any) -> tuple[str, Any]:
    """Return the one part of a state that holds a velocity, and its type's name."""
    found = [part for part in _parts(state) if type(part).__name__ in HELD]
    if len(found) != 1:
        kinds = sorted({type(part).__name__ for part in _parts(state) if hasattr(part, "_fields")})
        what = f"{len(found)} velocities" if found else f"no velocity ({', '.join(kinds) or type(state).__name__})"
        raise ConvertError(f"the state holds {what}, where one optax.trace or optax.ema must be; give that one's state")
    return type(found[0]).__name__, found[0]


def _is_part(node: Any) -> bool:
    return type(node).__name__ in {*HELD, *COUNTING} or "Adam" in type(node).__name__


def _parts(state: Any) -> list[Any]:
    return list(_tools().tree_flatten(state, is_leaf=_is_part)[0])


def _replaced(state: Any, fields: dict[str, dict[str, Any]], updates: int | None) -> Any:
    """Return a state whose named parts have new fields, and whose counts are the updates."""
    import jax.numpy as jnp

    leaves, shape = _tools().tree_flatten(state, is_leaf=_is_part)
    made = []
    for leaf in leaves:
        kind = type(leaf).__name__
        new = dict(fields.get(kind, {}))
        if kind in COUNTING and updates is not None:
            new["count"] = jnp.asarray(updates, leaf.count.dtype)
        made.append(leaf._replace(**new) if new else leaf)
    return _tools().tree_unflatten(shape, made)


def _named(tree: Any) -> dict[str, Any]:
    """Return a tree's arrays by their path, such as `dense/kernel`."""
    return {_name(path): leaf for path, leaf in _tools().tree_flatten_with_path(tree)[0]}


def _name(path: Any) -> str:
    words = [next(str(getattr(key, k)) for k in ("key", "idx", "name") if hasattr(key, k)) for key in path]
    return "/".join(words) or "parameter"


def _tree(like: Any, values: Any, empty: bool = False) -> Any:
    """Return a tree of the same shape with other arrays; a missing one is zero if that is meant."""
    import jax.numpy as jnp

    def new(path: Any, leaf: Any) -> Any:
        name = _name(path)
        if name not in values:
            if empty:
                return jnp.zeros_like(leaf)
            raise ConvertError(f"the snapshot has no parameter {shown(name)}; rename its parameters first")
        value = values[name]
        value = jnp.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
        if value.shape != leaf.shape:
            raise ConvertError(
                f"{shown(name)} has shape {value.shape}, the tree wants {leaf.shape}; mend the layout first"
            )
        if value.dtype != leaf.dtype:
            raise ConvertError(
                f"{shown(name)} is {value.dtype} and the tree {leaf.dtype}; give a tree of that type (jax needs x64 for double)"
            )
        return value

    made = _tools().tree_map_with_path(new, like)
    left = sorted(values.keys() - _named(like).keys())
    if left:
        raise ConvertError(f"the tree has no place for {shown(left[0])}; rename the snapshot's parameters first")
    return made


def _tools() -> Any:
    return require("jax", extra="optax", why="convert optax's states").tree_util
