"""Expressions of the small part of Python that `translate` takes, each written as JavaScript."""

import ast
import json
from itertools import pairwise
from typing import Any

from ravine.browser.calls import call
from ravine.browser.hints import BOOL, NUMBER, TEXT
from ravine.browser.scope import ARITHMETIC, LOCAL, Scope, part

ORDER = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


class Expressions(Scope):
    """Write the expressions of one function."""

    def value(self, node: ast.expr) -> str:
        """Write an expression; refuse what is not known exactly."""
        write = getattr(self, f"_write_{type(node).__name__}", None)
        if write is None:
            self.refuse(node, f"{type(node).__name__} is not known")
        return str(write(node))

    def number(self, node: ast.expr) -> str:
        """Write an expression that must be a number, asked of it when it runs where that is not known before."""
        hint = self.hint(node)
        if hint not in (NUMBER, None):
            self.refuse(node, "a number is needed")
        return self.value(node) if hint == NUMBER else f"py.number({self.value(node)})"

    def text(self, node: ast.expr) -> str:
        """Write an expression that must be a text."""
        hint = self.hint(node)
        if hint not in (TEXT, None):
            self.refuse(node, "a text is needed")
        return self.value(node) if hint == TEXT else f"py.text({self.value(node)})"

    def test(self, node: ast.expr) -> str:
        """Write the truth of an expression."""
        if self.known(node) is not None:
            return json.dumps(self.known(node))
        if isinstance(node, ast.BoolOp):
            neutral = isinstance(node.op, ast.And)
            parts = [self.test(each) for each in node.values if self.known(each) is not neutral]
            return f"({(' && ' if neutral else ' || ').join(parts)})"
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return f"!{self.test(node.operand)}"
        code, hint = self.value(node), self.hint(node)
        if hint == BOOL:
            return code
        return f"({code} !== 0)" if hint == NUMBER else f"py.truth({code})"

    def items(self, node: ast.expr) -> str:
        """Write an expression as a list of its items."""
        made = isinstance(node, ast.List | ast.ListComp | ast.GeneratorExp)
        if made or (isinstance(node, ast.Call) and self.meaning(node.func) in (zip, range, sorted, pairwise)):
            return self.value(node)
        return f"py.list({self.value(node)})"

    # Names and constants ----------------------------------------------------------------------------------------------

    def _write_Constant(self, node: ast.Constant) -> str:
        return str(self.program.constant("", "", node.value))

    def _write_Name(self, node: ast.Name) -> str:
        value = self.meaning(node)
        if value is LOCAL:
            return self.name(node.id)
        if value is None or callable(value):
            self.refuse(node, "it is no constant")
        return str(self.program.constant(self.function.__module__, node.id, value))

    def _write_Attribute(self, node: ast.Attribute) -> str:
        value = self.meaning(node)
        if isinstance(value, float):
            return str(self.program.constant("", "", value))
        if not self.program.readable(node.attr) or value is not None:
            self.refuse(node, f"no record has the field {node.attr}")
        return f"py.field({self.value(node.value)}, {json.dumps(node.attr)})"

    # Operators --------------------------------------------------------------------------------------------------------

    def _write_BinOp(self, node: ast.BinOp) -> str:
        left, right = node.left, node.right
        if isinstance(node.op, ast.Add):
            kinds = {repr(hint) for hint in (self.hint(left), self.hint(right))}
            if repr(NUMBER) in kinds:
                return f"({self.number(left)} + {self.number(right)})"
            if repr(TEXT) in kinds:
                return f"({self.text(left)} + {self.text(right)})"
            self.refuse(node, "it is not known what + joins")
        if type(node.op) not in ARITHMETIC:
            self.refuse(node, "this operator is not known")
        if isinstance(node.op, ast.Div) and not (isinstance(right, ast.Constant) and right.value):
            return f"py.over({self.number(left)}, {self.number(right)})"
        return f"({self.number(left)} {ARITHMETIC[type(node.op)]} {self.number(right)})"

    def _write_UnaryOp(self, node: ast.UnaryOp) -> str:
        if isinstance(node.op, ast.Not):
            return self.test(node)
        if not isinstance(node.op, ast.USub):
            self.refuse(node, "this operator is not known")
        return f"(-{self.number(node.operand)})"

    def _write_BoolOp(self, node: ast.BoolOp) -> str:
        if all(self.hint(each) == BOOL for each in node.values):
            return self.test(node)
        if len(node.values) != 2 or not _simple(node.values[0]):
            self.refuse(node, "what comes first would be worked out twice; give it a name")
        first, second = node.values
        either = (self.value(second), self.value(first))
        yes, no = either if isinstance(node.op, ast.And) else either[::-1]
        return f"({self.test(first)} ? {yes} : {no})"

    def _write_IfExp(self, node: ast.IfExp) -> str:
        known = self.known(node.test)
        if known is not None:
            return self.value(node.body if known else node.orelse)
        return f"({self.test(node.test)} ? {self.value(node.body)} : {self.value(node.orelse)})"

    def _write_NamedExpr(self, node: ast.NamedExpr) -> str:
        if len(self.scopes) > 1:
            self.refuse(node, "inside of a lambda or a comprehension it would be another name")
        return f"({self.name(node.target.id)} = {self.value(node.value)})"

    def _write_Compare(self, node: ast.Compare) -> str:
        sides = [node.left, *node.comparators]
        if not all(map(_simple, sides[1:-1])):
            self.refuse(node, "its middle would be worked out twice; give it a name")
        parts = [self._compared(node, op, *sides[i : i + 2]) for i, op in enumerate(node.ops)]
        return parts[0] if len(parts) == 1 else f"({' && '.join(parts)})"

    def _compared(self, node: ast.expr, op: ast.cmpop, left: ast.expr, right: ast.expr) -> str:
        if type(op) in ORDER:
            return f"({self.number(left)} {ORDER[type(op)]} {self.number(right)})"
        no = "!" if isinstance(op, ast.IsNot | ast.NotEq | ast.NotIn) else ""
        if isinstance(op, ast.Is | ast.IsNot):
            if not (isinstance(right, ast.Constant) and right.value is None):
                self.refuse(node, "only None is compared so")
            return f"({self.value(left)} {no or '='}== null)"
        if isinstance(op, ast.In | ast.NotIn):
            return f"{no}py.contains({self.value(right)}, {self.value(left)})"
        return f"{no}py.same({self.value(left)}, {self.value(right)})"

    # Lists, mappings, texts -------------------------------------------------------------------------------------------

    def _write_List(self, node: ast.List | ast.Tuple) -> str:
        return f"[{', '.join(map(self.argument, node.elts))}]"

    _write_Tuple = _write_List

    def argument(self, node: ast.expr) -> str:
        """Write one of several arguments or items, which may be a starred list."""
        return f"...{self.items(node.value)}" if isinstance(node, ast.Starred) else self.value(node)

    def _write_Dict(self, node: ast.Dict) -> str:
        parts = []
        for key, value in zip(node.keys, node.values, strict=True):
            parts.append(f"...{self.value(value)}" if key is None else f"[{self.text(key)}]: {self.value(value)}")
        return f"({{{', '.join(parts)}}})"

    def _write_Subscript(self, node: ast.Subscript) -> str:
        if not isinstance(node.slice, ast.Slice):
            return f"py.item({self.value(node.value)}, {self.value(node.slice)})"
        if node.slice.step is not None or node.slice.lower is None:
            self.refuse(node, "only slices with a beginning and no stride are known")
        ends = [node.slice.lower, *([node.slice.upper] if node.slice.upper is not None else [])]
        return f"{self.items(node.value)}.slice({', '.join(map(self.number, ends))})"

    def _write_ListComp(self, node: ast.ListComp | ast.GeneratorExp) -> str:
        return self.mapped(node, lambda: self.value(node.elt))

    _write_GeneratorExp = _write_ListComp

    def _write_DictComp(self, node: ast.DictComp) -> str:
        pairs = self.mapped(node, lambda: f"[{self.text(node.key)}, {self.value(node.value)}]")
        return f"Object.fromEntries({pairs})"

    def mapped(self, node: Any, write: Any, how: str = "map") -> str:
        """Write a comprehension with one `for`."""
        if len(node.generators) != 1 or node.generators[0].is_async:
            self.refuse(node, "only one `for` is known")
        made = node.generators[0]
        code, names = self.items(made.iter), self.targets(made.target, part(self.hint(made.iter), 0))
        with self.names(names):
            taken = self.pattern(made.target)
            for condition in made.ifs:
                code += f".filter(({taken}) => {self.test(condition)})"
            body = write()
        return code if how == "map" and body == taken else f"{code}.{how}(({taken}) => {body})"

    def pattern(self, node: ast.expr) -> str:
        """Write the target of an assignment."""
        if isinstance(node, ast.Tuple):
            return f"[{', '.join(map(self.pattern, node.elts))}]"
        if not isinstance(node, ast.Name):
            self.refuse(node, "only names are assigned to")
        return self.name(node.id)

    def _write_Lambda(self, node: ast.Lambda) -> str:
        given = node.args
        if given.defaults or given.vararg or given.kwarg or given.kwonlyargs or given.posonlyargs:
            self.refuse(node, "only plain parameters are known")
        names = [each.arg for each in given.args]
        with self.names(dict.fromkeys(names)):
            return f"(({', '.join(names)}) => {self.value(node.body)})"

    def _write_JoinedStr(self, node: ast.JoinedStr) -> str:
        pieces = " + ".join(map(self._piece, node.values))
        return f'("" + {pieces})' if pieces else '""'

    def _piece(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return json.dumps(node.value)
        if not isinstance(node, ast.FormattedValue) or node.conversion != -1:
            self.refuse(node, "this part of a text is not known")
        if node.format_spec is None:
            return self.text(node.value)
        return f"py.format({self.value(node.value)}, {self._spec(node.format_spec)})"

    def _spec(self, node: ast.expr) -> str:
        """Write a format, in which a whole number may stand."""
        assert isinstance(node, ast.JoinedStr)
        parts = []
        for each in node.values:
            if isinstance(each, ast.FormattedValue) and each.format_spec is None and each.conversion == -1:
                parts.append(f'py.format({self.number(each.value)}, "d")')
            else:
                parts.append(self._piece(each))
        return " + ".join(parts)

    def _write_Call(self, node: ast.Call) -> str:
        return call(self, node)


def _simple(node: ast.expr) -> bool:
    """Say whether an expression may be worked out twice."""
    known = (ast.Name, ast.Attribute, ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.expr_context)
    return all(isinstance(each, known) for each in ast.walk(node))
