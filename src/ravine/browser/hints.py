"""What annotations say of values: number, text or bool, and what is in sequences, mappings, rows and calls.

The translator takes an operator whose meaning hangs on its operands (+, ==, truth) only where it knows what they are.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import cache
from typing import Any, NamedTuple, get_args, get_origin

NUMBER, TEXT, BOOL = "number", "text", "bool"


class Each(NamedTuple):
    """Hold what every item of a sequence, or every value of a mapping, is."""

    item: Any


class Items(NamedTuple):
    """Hold what the items of a tuple of fixed length are."""

    items: tuple[Any, ...]


class Made(NamedTuple):
    """Hold what a call makes."""

    result: Any


Hint = Any  # NUMBER, TEXT, BOOL, Each, Items, Made, or None where nothing is known

_PLAIN = {"Number": NUMBER, "float": NUMBER, "int": NUMBER, "str": TEXT, "bool": BOOL, "Array": None, "Any": None}
_TYPES = {float: NUMBER, int: NUMBER, str: TEXT, bool: BOOL}


@cache
def definition(thing: Any) -> Any:
    """Return the syntax tree of a function or a class."""
    return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]


def annotated(node: ast.expr | None, names: Mapping[str, Any]) -> Hint:
    """Return what an annotation says; `names` are those of the module it stands in."""
    match node:
        case ast.Name(id=name) if name in _PLAIN:
            return _PLAIN[name]
        case ast.Name(id=name):
            return _typed(names.get(name))
        case ast.Subscript(value=ast.Name(id="Callable"), slice=ast.Tuple(elts=[_, result])):
            return Made(annotated(result, names))
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[each, ast.Constant(value=end)])) if (
            end is ...
        ):
            return Each(annotated(each, names))
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=items)):
            return Items(tuple(annotated(item, names) for item in items))
        case ast.Subscript(value=ast.Name(id="Mapping" | "dict"), slice=ast.Tuple(elts=[_, value])):
            return Each(annotated(value, names))
        case ast.Subscript(value=ast.Name(id="Sequence" | "Iterable" | "list"), slice=item):
            return Each(annotated(item, names))
    return None


def _typed(value: Any) -> Hint:
    """Return what a class, or an alias of a type, says."""
    if value in _TYPES:
        return _TYPES[value]
    if inspect.isclass(value) and issubclass(value, tuple) and hasattr(value, "_fields"):
        return Items(tuple(fields(value).values()))
    if get_origin(value) is not None and issubclass(get_origin(value) or object, Mapping):
        return Each(_typed(get_args(value)[1]))
    return None


@cache
def fields(record: type) -> dict[str, Hint]:
    """Return what the fields of a NamedTuple or a dataclass are, and the properties of a dataclass."""
    names = vars(inspect.getmodule(record))
    found: dict[str, Hint] = {}
    for node in definition(record).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = annotated(node.annotation, names)
        elif isinstance(node, ast.FunctionDef) and is_dataclass(record) and any(map(_property, node.decorator_list)):
            found[node.name] = annotated(node.returns, names)
    return found


def _property(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("property", "cached_property")


def result_of(function: Callable[..., Any]) -> Hint:
    """Return what a function returns, by its annotation."""
    return annotated(definition(function).returns, function.__globals__)
