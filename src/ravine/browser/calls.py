"""Calls of the small part of Python that `translate` takes: functions of its own, of `math` and of NumPy, methods."""

import ast
import math
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass, replace
from fractions import Fraction
from itertools import pairwise
from types import FunctionType
from typing import Any

import numpy as np

from ravine.browser.scope import LOCAL

# Functions of so many numbers. Those of NumPy raise nothing, as those of JavaScript.
OF_NUMBERS: dict[Any, tuple[str, int]] = {
    abs: ("Math.abs", 1),
    float: ("", 1),
    math.sqrt: ("py.sqrt", 1),
    math.log: ("py.log", 1),
    math.atan2: ("Math.atan2", 2),
    math.copysign: ("py.copysign", 2),
    math.isfinite: ("Number.isFinite", 1),
    math.isnan: ("Number.isNaN", 1),
    np.exp: ("Math.exp", 1),
    np.log: ("Math.log", 1),
    np.sqrt: ("Math.sqrt", 1),
    np.sign: ("py.sign", 1),
    np.hypot: ("Math.hypot", 2),
    np.maximum: ("Math.max", 2),
}  # fmt: skip
CHOOSE = {min: "least", max: "greatest"}
OF_LISTS: dict[Any, str] = {len: "length", sum: "sum", pairwise: "pairwise", set: "unique"}
Writer = Any


def call(writer: Writer, node: ast.Call) -> str:
    """Write a call; refuse what is not known exactly."""
    what = writer.meaning(node.func)
    what = writer.program.twins.get(what, what) if callable(what) else what
    if what is LOCAL:
        return f"{writer.value(node.func)}({_plain(writer, node)})"
    if what is None and isinstance(node.func, ast.Attribute):
        return _method(writer, node, node.func)
    try:
        known = _known(writer, node, what)
    except TypeError:  # something that is no key of a table
        known = None
    if known is not None:
        return known
    if isinstance(what, type):
        return _made(writer, node, what)
    if what in writer.program.given:
        return f"{writer.program.given[what]}({_plain(writer, node)})"
    if not isinstance(what, FunctionType):
        writer.refuse(node, "this function is not known")
    parameters = [each.arg for each in writer.program.parameters(what)]
    return f"{writer.program.function(what)}({_ordered(writer, node, parameters)})"


def _plain(writer: Writer, node: ast.Call, most: int | None = None) -> str:
    """Write arguments without names."""
    if node.keywords or (most is not None and len(node.args) != most):
        writer.refuse(node, "these arguments are not known")
    return ", ".join(map(writer.argument, node.args))


def _ordered(writer: Writer, node: ast.Call, parameters: list[str]) -> str:
    """Write arguments in the order of the parameters."""
    given = list(map(writer.argument, node.args))
    if not node.keywords:
        return ", ".join(given)
    names = {each.arg: each.value for each in node.keywords}
    free = parameters[len(given) :]
    if any(isinstance(arg, ast.Starred) for arg in node.args) or not names.keys() <= set(free):
        writer.refuse(node, "these names of arguments are not known")
    last = max(map(free.index, names))  # type: ignore[arg-type]
    return ", ".join([*given, *(writer.value(names[key]) if key in names else "undefined" for key in free[: last + 1])])


def _known(writer: Writer, node: ast.Call, what: Any) -> str | None:
    """Write a call of what Python, `math` or NumPy brings, None where it is something else."""
    if what in OF_NUMBERS:
        name, count = OF_NUMBERS[what]
        if what is float and [getattr(arg, "value", None) for arg in node.args] == ["inf"]:
            return "Infinity"
        if node.keywords or len(node.args) != count:
            writer.refuse(node, "these arguments are not known")
        return f"{name}({', '.join(map(writer.number, node.args))})"
    if what in OF_LISTS:
        return f"py.{OF_LISTS[what]}({_plain(writer, node, 1)})"
    special: dict[Any, Callable[..., str]] = {
        min: _chosen, max: _chosen, sorted: _sorted, any: _every, all: _every, bool: _bool, np.all: _bool, np.where: _where,
        zip: _zip, range: _range, tuple: _tuple, list: _tuple, complex: _complex, Fraction: _fraction, replace: _replaced,
    }  # fmt: skip
    return special[what](writer, node, what) if what in special else None


def _chosen(writer: Writer, node: ast.Call, what: Any) -> str:
    names = {each.arg: each.value for each in node.keywords}
    if not names.keys() <= {"key", "default"} or not node.args:
        writer.refuse(node, "these arguments are not known")
    items = writer.value(node.args[0])
    if len(node.args) > 1:
        items = f"[{', '.join(map(writer.argument, node.args))}]"
    more = [writer.value(names["key"])] if "key" in names else ["undefined"] if "default" in names else []
    more += [writer.value(names["default"])] if "default" in names else []
    return f"py.{CHOOSE[what]}({', '.join([items, *more])})"


def _sorted(writer: Writer, node: ast.Call, what: Any) -> str:
    if len(node.args) != 1 or [each.arg for each in node.keywords] not in ([], ["key"]):
        writer.refuse(node, "these arguments are not known")
    return (
        f"py.sorted({', '.join([writer.value(node.args[0]), *(writer.value(each.value) for each in node.keywords)])})"
    )


def _every(writer: Writer, node: ast.Call, what: Any) -> str:
    if len(node.args) != 1 or not isinstance(node.args[0], ast.GeneratorExp):
        writer.refuse(node, "only a generator is known here")
    made: Any = node.args[0]
    return str(writer.mapped(made, lambda: writer.test(made.elt), "some" if what is any else "every"))


def _bool(writer: Writer, node: ast.Call, what: Any) -> str:
    if len(node.args) != 1 or node.keywords:
        writer.refuse(node, "one argument is known here")
    return str(writer.test(node.args[0]))


def _where(writer: Writer, node: ast.Call, what: Any) -> str:
    if len(node.args) != 3 or node.keywords:
        writer.refuse(node, "three arguments are known here")
    test, yes, no = node.args
    return f"({writer.test(test)} ? {writer.number(yes)} : {writer.number(no)})"


def _zip(writer: Writer, node: ast.Call, what: Any) -> str:
    if [(each.arg, getattr(each.value, "value", None)) for each in node.keywords] != [("strict", True)]:
        writer.refuse(node, "only strict=True is known")
    return f"py.zip({', '.join(map(writer.argument, node.args))})"


def _range(writer: Writer, node: ast.Call, what: Any) -> str:
    if len(node.args) != 1:
        writer.refuse(node, "one argument is known here")
    return f"py.range({writer.number(node.args[0])})"


def _tuple(writer: Writer, node: ast.Call, what: Any) -> str:
    if len(node.args) != 1 or node.keywords:
        writer.refuse(node, "one argument is known here")
    return f"[...{writer.items(node.args[0])}]"


def _complex(writer: Writer, node: ast.Call, what: Any) -> str:
    return f"[{_plain(writer, node)}]"


def _fraction(writer: Writer, node: ast.Call, what: Any) -> str:
    if len(node.args) != 1 or not isinstance(node.args[0], ast.Constant):
        writer.refuse(node, "only a whole number is known here")
    return str(writer.value(node.args[0]))


def _replaced(writer: Writer, node: ast.Call, what: Any) -> str:
    parts = [f"{each.arg}: {writer.value(each.value)}" for each in node.keywords if writer.program.readable(each.arg)]
    if len(node.args) != 1 or len(parts) != len(node.keywords):
        writer.refuse(node, "these fields are not known")
    return f"({{...{writer.value(node.args[0])}, {', '.join(parts)}}})"


def _made(writer: Writer, node: ast.Call, what: type) -> str:
    """Write a record as an object, a NamedTuple as an array."""
    if hasattr(what, "_fields"):
        if node.keywords or not (len(node.args) == len(what._fields) or isinstance(node.args[-1], ast.Starred)):
            writer.refuse(node, "a NamedTuple is made of all its fields in their order")
        return f"[{_plain(writer, node)}]"
    if what not in writer.program.records or not is_dataclass(what):
        writer.refuse(node, "this class is not known")
    if any(isinstance(arg, ast.Starred) for arg in node.args):
        writer.refuse(node, "a record is made of its fields one by one")
    values = {
        field.name: writer.program.constant("", "", field.default)
        for field in fields(what)
        if field.default is not MISSING
    }
    names = [field.name for field in fields(what)]
    given = dict(zip(names, node.args, strict=False)) | {str(each.arg): each.value for each in node.keywords}
    values |= {name: writer.value(each) for name, each in given.items()}
    if set(values) != set(names):
        writer.refuse(node, "these fields are not known")
    return f"({{{', '.join(f'{name}: {values[name]}' for name in names)}}})"


def _method(writer: Writer, node: ast.Call, function: ast.Attribute) -> str:
    """Write a call of a method of a text, a mapping, a method or a rule."""
    of, names = function.value, [each.arg for each in node.keywords]
    if function.attr == "row" and names == [None]:  # of a rule: its settings by their names
        return f"{writer.value(of)}.row({writer.value(node.keywords[0].value)})"
    if function.attr == "row" and len(node.args) == 1 and not names:  # of a method: the step
        return f"{writer.value(of)}.row({writer.number(node.args[0])})"
    if function.attr == "format" and not node.args and None not in names:
        parts = [f"{each.arg}: {writer.value(each.value)}" for each in node.keywords]
        return f"py.fill({writer.text(of)}, {{{', '.join(parts)}}})"
    if function.attr == "join" and len(node.args) == 1 and not names:
        return f"py.join({writer.text(of)}, {writer.value(node.args[0])})"
    if function.attr == "get" and len(node.args) in (1, 2) and not names:
        return f"py.get({', '.join(map(writer.value, [of, *node.args]))})"
    if function.attr == "items" and not node.args and not names:
        return f"Object.entries({writer.value(of)})"
    return str(writer.refuse(node, f"the method {function.attr} is not known"))
