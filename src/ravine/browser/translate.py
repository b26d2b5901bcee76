"""A small part of Python as JavaScript: functions of floats, texts, sequences, mappings and records.

Whatever is not known exactly is refused, so that nothing is translated wrongly in silence. Every number is a float:
what asks for the shape of an array is False, and what stands behind it is left out. Records are objects, NamedTuples
arrays, complex numbers pairs; what JavaScript does otherwise than Python is asked of `py` (js/runtime.js).
"""

import ast
import json
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any

from ravine.browser.expressions import Expressions
from ravine.browser.hints import NUMBER, TEXT, Each, Items, annotated, definition, fields
from ravine.browser.scope import common, part
from ravine.errors import PageError


class Program:
    """Collect functions as JavaScript, with all that they call.

    Args:
        given: functions that the page has, by their names in JavaScript.
        twins: functions that are translated in place of others, which take arrays.
        never: functions that are False of every float.
        records: classes whose fields may be read.
    """

    def __init__(
        self,
        given: Mapping[Any, str],
        twins: Mapping[Any, Callable[..., Any]],
        never: Iterable[Callable[..., bool]],
        records: Iterable[type],
    ) -> None:
        self.given, self.twins, self.never, self.records = given, twins, tuple(never), tuple(records)
        self.parts: dict[str, str] = {}
        self.sources: dict[str, Any] = {}

    def function(self, function: Callable[..., Any]) -> str:
        """Return the JavaScript name of a function, which is translated when it is first asked for."""
        name = f"{function.__module__.rpartition('.')[2]}${function.__name__}"
        if not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
            raise PageError(f"cannot translate {name}: only plain functions are known; write it out")
        if self._fresh(name, function):
            self.parts[name] = f"const {name} = {Body(self, function).written()};"
        return name

    def parameters(self, function: Callable[..., Any]) -> list[ast.arg]:
        """Return the parameters of a function; refuse all but plain ones."""
        given = definition(function).args
        if given.vararg or given.kwarg or given.kwonlyargs or given.posonlyargs:
            raise PageError(
                f"cannot translate {function.__qualname__}: only plain parameters are known; write them out"
            )
        return list(given.args)

    def readable(self, name: str | None) -> bool:
        """Say whether some record has a field of this name."""
        return any(name in fields(record) for record in self.records)

    def constant(self, module: str, name: str, value: Any) -> str:
        """Return a constant of a module: a literal, or the name of what is written once."""
        if not name or not isinstance(value, Mapping | tuple | list):
            return literal(value)
        name = f"{module.rpartition('.')[2]}${name}"
        if self._fresh(name, value):
            self.parts[name] = f"const {name} = {literal(value)};"
        return name

    def _fresh(self, name: str, source: Any) -> bool:
        """Say whether a name is new; refuse it where it means something else."""
        if self.sources.setdefault(name, source) is not source:
            raise PageError(f"cannot translate {name}: two things have that name; rename one")
        if name in self.parts:
            return False
        self.parts[name] = ""  # what calls itself finds its name
        return True

    def text(self) -> str:
        """Return all that was translated."""
        return "\n".join(self.parts.values())


class Body(Expressions):
    """Write one function."""

    def written(self) -> str:
        """Return the function as an arrow function."""
        if (
            not isinstance(self.function, FunctionType)
            or not isinstance(self.node, ast.FunctionDef)
            or self.node.decorator_list
        ):
            self.refuse(self.node, "only plain functions are known")
        given, defaults = self.program.parameters(self.function), self.node.args.defaults
        shown = [self.name(each.arg) for each in given]
        for i, default in enumerate(defaults, len(given) - len(defaults)):
            shown[i] += f" = {self.value(default)}"
        parameters = {each.arg: annotated(each.annotation, self.globals) for each in given}
        self.scopes = [parameters | dict.fromkeys(self._locals(parameters))]
        self._learn(parameters)
        own = [self.name(name) for name in self.scopes[0] if name not in parameters]
        lines = [f"let {', '.join(own)};"] if own else []
        lines += self.block(self.node.body)
        if not isinstance(self.node.body[-1], ast.Return):
            lines.append("return null;")
        return f"({', '.join(shown)}) => {{\n" + "\n".join(f"    {line}" for line in lines) + "\n}"

    def _locals(self, parameters: Mapping[str, Any]) -> list[str]:
        """List the names that are set in the function itself."""
        found: list[str] = []
        stack: list[ast.AST] = list(self.node.body)
        while stack:
            node = stack.pop(0)
            if isinstance(node, ast.Lambda):
                continue
            if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp | ast.SetComp):
                stack += [node.generators[0].iter]
                continue
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id not in [*parameters, *found]:
                found.append(node.id)
            stack += ast.iter_child_nodes(node)
        return found

    def _learn(self, parameters: Mapping[str, Any]) -> None:
        """Work out what the names of the function are, as far as all that is assigned to them agrees."""
        told: dict[str, Any] = {}
        for _ in range(9):
            seen: dict[str, list[Any]] = {name: [hint] for name, hint in parameters.items()}
            for node in ast.walk(self.node):
                for name, hint in self._assigned(node, told).items():
                    seen.setdefault(name, []).append(hint)
            found = {name: common(hints) for name, hints in seen.items() if name in self.scopes[0]}
            if all(self.scopes[0][name] == hint for name, hint in found.items()):
                return
            self.scopes[0] |= found
        self.refuse(self.node, "it is not known what its names are; annotate them")

    def _assigned(self, node: ast.AST, told: dict[str, Any]) -> dict[str, Any]:
        """Return what a statement makes of the names that it sets."""
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            told[node.target.id] = annotated(node.annotation, self.globals)
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            return {
                name: told.get(name, hint)
                for name, hint in self.targets(node.targets[0], self.hint(node.value)).items()
            }
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            hint = self.hint(node.value)
            return {node.target.id: hint} if not isinstance(hint, Each) else {}
        if isinstance(node, ast.For):
            return self.targets(node.target, part(self.hint(node.iter), 0))
        if isinstance(node, ast.NamedExpr):
            return {node.target.id: self.hint(node.value)}
        return dict(told) if isinstance(node, ast.AnnAssign) else {}

    # Statements -------------------------------------------------------------------------------------------------------

    def block(self, nodes: list[ast.stmt]) -> list[str]:
        """Write statements; those behind one that always returns are left out."""
        lines: list[str] = []
        for node in nodes:
            if isinstance(node, ast.If) and (known := self.known(node.test)) is not None:
                chosen = node.body if known else node.orelse
                lines += self.block(chosen)
                if chosen and isinstance(chosen[-1], ast.Return):
                    break
                continue
            write = getattr(self, f"_state_{type(node).__name__}", None)
            if write is None:
                self.refuse(node, f"{type(node).__name__} is not known")
            lines += write(node)
        return lines

    def _inner(self, nodes: list[ast.stmt]) -> list[str]:
        return [f"    {line}" for line in self.block(nodes)]

    def _state_Return(self, node: ast.Return) -> list[str]:
        return [f"return {'null' if node.value is None else self.value(node.value)};"]

    def _state_Expr(self, node: ast.Expr) -> list[str]:
        match node.value:
            case ast.Constant(value=str()):
                return []
            case ast.Call(func=ast.Attribute(value=ast.Name() as to, attr="append"), args=[each], keywords=[]):
                return [f"{self.value(to)}.push({self.value(each)});"]
        return list(self.refuse(node, "only a list is appended to"))

    def _state_Assign(self, node: ast.Assign) -> list[str]:
        if len(node.targets) != 1:
            self.refuse(node, "one target is known")
        target, value = node.targets[0], node.value
        if isinstance(target, ast.Name):
            return [f"{self.pattern(target)} = {self.value(value)};"]
        known = _fits(self.hint(value), target)
        made = self.value(value) if known else f"py.unpack({self.value(value)}, {_shape(target)})"
        return [f"{self.pattern(target)} = {made};"]

    def _state_AnnAssign(self, node: ast.AnnAssign) -> list[str]:
        if node.value is None:
            return []
        return [f"{self.pattern(node.target)} = {self.value(node.value)};"]

    def _state_AugAssign(self, node: ast.AugAssign) -> list[str]:
        if not isinstance(node.target, ast.Name):
            self.refuse(node, "only names are assigned to")
        hint = self.hint(node.target)
        if isinstance(node.op, ast.Add) and isinstance(hint, Each):
            return [f"{self.value(node.target)}.push(...{self.items(node.value)});"]
        if not isinstance(node.op, ast.Add) or hint not in (NUMBER, TEXT):
            self.refuse(node, "it is not known what this adds to")
        write = self.number if hint == NUMBER else self.text
        return [f"{self.pattern(node.target)} += {write(node.value)};"]

    def _state_If(self, node: ast.If) -> list[str]:
        lines = [f"if ({self.test(node.test)}) {{", *self._inner(node.body)]
        if len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If) and self.known(node.orelse[0].test) is None:
            first, *rest = self._state_If(node.orelse[0])
            return [*lines, f"}} else {first}", *rest]
        return [*lines, *(["} else {", *self._inner(node.orelse)] if node.orelse else []), "}"]

    def _state_While(self, node: ast.While) -> list[str]:
        if node.orelse:
            self.refuse(node, "else is not known here")
        return [f"while ({self.test(node.test)}) {{", *self._inner(node.body), "}"]

    def _state_For(self, node: ast.For) -> list[str]:
        if node.orelse:
            self.refuse(node, "else is not known here")
        items = self.items(node.iter)
        if not _fits(part(self.hint(node.iter), 0), node.target):
            items += f".map((each) => py.unpack(each, {_shape(node.target)}))"
        return [f"for ({self.pattern(node.target)} of {items}) {{", *self._inner(node.body), "}"]


def _fits(hint: Any, node: ast.expr) -> bool:
    """Say whether it is known that a value has as many parts as a target."""
    if not isinstance(node, ast.Tuple):
        return True
    return isinstance(hint, Items) and len(hint.items) == len(node.elts) and all(map(_fits, hint.items, node.elts))


def _shape(node: ast.expr) -> str:
    return f"[{', '.join(map(_shape, node.elts))}]" if isinstance(node, ast.Tuple) else "0"


def literal(value: Any) -> str:
    """Write a constant.

    >>> literal({"a": (1, 2.5, None)}), literal(-float('inf'))
    ('{"a": [1, 2.5, null]}', '-Infinity')
    """
    if value is None or isinstance(value, bool | str):
        return json.dumps(value)
    if isinstance(value, int) and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value)).replace("inf", "Infinity").replace("nan", "NaN")
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, Mapping) and all(isinstance(key, str) and key != "__proto__" for key in value):
        return f"{{{', '.join(f'{json.dumps(key)}: {literal(each)}' for key, each in value.items())}}}"
    raise PageError(f"cannot translate the constant {value!r}; use numbers, texts and what holds them")
