"""What the names of a Python function mean while it is translated, and what its expressions are."""

import ast
import builtins
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from types import FunctionType, ModuleType
from typing import Any, NoReturn

import numpy as np

from ravine.browser.hints import BOOL, NUMBER, TEXT, Each, Hint, Items, Made, definition, fields, result_of
from ravine.errors import PageError
from ravine.rules import Row

LOCAL = object()  # what a name of the function itself means
ARITHMETIC = {ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
# Names that JavaScript, or what is written here, has for itself.
TAKEN = """
    py engine Array Number Math Object arguments const default delete do enum eval export extends function implements
    interface let new null package private protected public static super switch this throw typeof undefined var void catch
"""
NUMBERS = (float, len, abs, sum, Fraction, np.where)


class Scope:
    """Hold the names of one function."""

    def __init__(self, program: Any, function: Callable[..., Any]) -> None:
        self.program, self.function = program, function
        self.node = definition(function)
        self.globals = function.__globals__
        self.scopes: list[dict[str, Hint]] = [{}]

    def refuse(self, node: ast.AST, why: str) -> NoReturn:
        """Refuse what is not known exactly."""
        raise PageError(
            f"cannot translate `{ast.unparse(node)[:80]}` of {self.function.__qualname__}: {why}; "
            "write it with what browser/translate.py knows"
        )

    @contextmanager
    def names(self, known: dict[str, Hint]) -> Iterator[None]:
        """Enter a scope of further names."""
        for name in known:
            self.name(name)
        self.scopes.append(known)
        yield
        self.scopes.pop()

    def name(self, name: str) -> str:
        """Return a name of the function, refused where JavaScript has it."""
        if name in TAKEN.split():
            self.refuse(ast.Name(name), "JavaScript has this name for itself")
        return name

    def meaning(self, node: ast.expr) -> Any:
        """Return what a name, or a name in a module, is outside of the function; LOCAL for its own, None for others."""
        if isinstance(node, ast.Name):
            if any(node.id in scope for scope in self.scopes):
                return LOCAL
            return self.globals.get(node.id, getattr(builtins, node.id, None))
        if isinstance(node, ast.Attribute):
            module = self.meaning(node.value)
            return getattr(module, node.attr, None) if isinstance(module, ModuleType) else None
        return None

    def targets(self, node: ast.expr, hint: Hint) -> dict[str, Hint]:
        """Return the names that an assignment to a target sets, and what they are."""
        if isinstance(node, ast.Name):
            return {node.id: hint}
        if not isinstance(node, ast.Tuple):
            self.refuse(node, "only names are assigned to")
        found: dict[str, Hint] = {}
        for i, each in enumerate(node.elts):
            found |= self.targets(each, part(hint, i))
        return found

    # What expressions are ---------------------------------------------------------------------------------------------

    def hint(self, node: ast.expr) -> Hint:
        """Return what an expression is, None where nothing is known."""
        found = getattr(self, f"_hint_{type(node).__name__}", None)
        return found(node) if found is not None else None

    def _hint_Constant(self, node: ast.Constant) -> Hint:
        for kind, hint in ((bool, BOOL), (int | float, NUMBER), (str, TEXT)):
            if isinstance(node.value, kind):
                return hint
        return None

    def _hint_Name(self, node: ast.Name) -> Hint:
        for scope in reversed(self.scopes):
            if node.id in scope:
                return scope[node.id]
        value = self.meaning(node)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return NUMBER
        return TEXT if isinstance(value, str) else None

    def _hint_Attribute(self, node: ast.Attribute) -> Hint:
        if isinstance(self.meaning(node), float):
            return NUMBER
        found = {fields(record).get(node.attr) for record in self.program.records if node.attr in fields(record)}
        return found.pop() if len(found) == 1 else None

    def _hint_BinOp(self, node: ast.BinOp) -> Hint:
        if type(node.op) in ARITHMETIC:
            return NUMBER
        either = {repr(self.hint(node.left)): self.hint(node.left), repr(self.hint(node.right)): self.hint(node.right)}
        return next((hint for hint in either.values() if hint in (NUMBER, TEXT)), None)

    def _hint_UnaryOp(self, node: ast.UnaryOp) -> Hint:
        return BOOL if isinstance(node.op, ast.Not) else NUMBER

    def _hint_Compare(self, node: ast.Compare) -> Hint:
        return BOOL

    def _hint_JoinedStr(self, node: ast.JoinedStr) -> Hint:
        return TEXT

    def _hint_BoolOp(self, node: ast.BoolOp) -> Hint:
        return common([self.hint(value) for value in node.values])

    def _hint_IfExp(self, node: ast.IfExp) -> Hint:
        known = self.known(node.test)
        return common(
            [self.hint(each) for each, left_out in ((node.body, False), (node.orelse, True)) if known is not left_out]
        )

    def _hint_Tuple(self, node: ast.Tuple) -> Hint:
        return Items(tuple(self.hint(each) for each in node.elts))

    def _hint_List(self, node: ast.List) -> Hint:
        return Each(common([self.hint(each) for each in node.elts]))

    def _hint_ListComp(self, node: ast.ListComp | ast.GeneratorExp) -> Hint:
        with self.names(self.targets(node.generators[0].target, part(self.hint(node.generators[0].iter), 0))):
            return Each(self.hint(node.elt))

    _hint_GeneratorExp = _hint_ListComp

    def _hint_Subscript(self, node: ast.Subscript) -> Hint:
        if isinstance(node.slice, ast.Slice):
            return self.hint(node.value)
        index = node.slice.value if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int) else 0
        return part(self.hint(node.value), index)

    def _hint_Call(self, node: ast.Call) -> Hint:
        what = self.meaning(node.func)
        if what is LOCAL or what is None:
            return self._of_method(node)
        what = self.program.twins.get(what, what)
        if what in NUMBERS or getattr(what, "__module__", "") == "math" or isinstance(what, np.ufunc):
            return BOOL if what.__name__.startswith("is") else NUMBER
        if what in (min, max) and len(node.args) > 1:
            return common([self.hint(arg) for arg in node.args])
        if what in (min, max, sorted, set) and node.args:
            hint = self.hint(node.args[0])
            return part(hint, 0) if what in (min, max) else hint
        if what is zip:
            return Each(Items(tuple(part(self.hint(arg), 0) for arg in node.args)))
        if what is pairwise:
            return Each(Items((part(self.hint(node.args[0]), 0),) * 2))
        if what in (tuple, list):
            return self.hint(node.args[0])
        if what in (bool, any, all):
            return BOOL
        return result_of(what) if isinstance(what, FunctionType) else None

    def _of_method(self, node: ast.Call) -> Hint:
        if isinstance(node.func, ast.Name):
            hint = self.hint(node.func)
            return hint.result if isinstance(hint, Made) else None
        if not isinstance(node.func, ast.Attribute):
            return None
        if node.func.attr in ("format", "join"):
            return TEXT
        if node.func.attr == "row":
            return Items(tuple(fields(Row).values()))
        return Each(Items((TEXT, part(self.hint(node.func.value), 0)))) if node.func.attr == "items" else None

    # What is known before it runs -------------------------------------------------------------------------------------

    def known(self, node: ast.expr) -> bool | None:
        """Return the truth of a condition that is the same for all floats, None where it is not known."""
        match node:
            case ast.Call(func=function, args=[_, ast.Constant(value="shape"), ast.Tuple(elts=[])]):
                return False if self.meaning(function) is getattr else None
            case ast.Call(func=function, args=[ast.GeneratorExp(elt=each)]) if self.known(each) is False:
                return False if self.meaning(function) is any else None
            case ast.Call(func=function) if self.meaning(function) in self.program.never:
                return False
            case ast.UnaryOp(op=ast.Not(), operand=inner) if self.known(inner) is not None:
                return not self.known(inner)
        return None


def part(hint: Hint, index: int) -> Hint:
    """Return what an item is."""
    if isinstance(hint, Each):
        return hint.item
    if isinstance(hint, Items) and -len(hint.items) <= index < len(hint.items):
        return hint.items[index]
    return None


def common(hints: list[Hint]) -> Hint:
    """Return what all are, None where they differ."""
    return hints[0] if hints and all(hint == hints[0] for hint in hints) else None
