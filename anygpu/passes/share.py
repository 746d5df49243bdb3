"""What was computed before is not computed again: value numbering over structured code.

Every value gets a number, equal for equal operations on equal numbers (J. Cocke and J. T. Schwartz, Programming languages and their
compilers, 1970); what an ``if`` leaves in a variable is numbered by the condition and the value of either branch. Compilers of machine
code do this for straight code. The gain is in branches: sin(x) and cos(x) reduce their argument by the same steps, of which those for huge
arguments are one half of the code.

Values from memory are left alone, those of constant tables aside.
"""

from __future__ import annotations

from dataclasses import replace

from anygpu.ir.kernel import (
    Assign,
    Bitcast,
    Block,
    Body,
    Cast,
    Const,
    Expr,
    For,
    If,
    Kernel,
    Load,
    Op,
    Ref,
    Stmt,
    Var,
    While,
    assigned,
    children,
    walk,
)  # fmt: skip

_NEVER_SET = -1


class _Sharing:
    def __init__(self, kernel: Kernel):
        self.tables = {a.name: (a.data, a.fields, a.shape) for a in kernel.declared if a.data is not None}
        self.numbers: dict[object, int] = {}
        self.current: dict[str, int] = {}  # what each variable holds
        self.holders: dict[int, Var] = {}  # who held a value last; whether it still does, `current` tells
        for param in kernel.params:
            if isinstance(param, Var):
                self.fresh(param.name)

    def numbered(self, key: object) -> int:
        return self.numbers.setdefault(key, len(self.numbers))

    def fresh(self, name: str) -> None:
        """A variable takes a value of which nothing is known."""
        self.current[name] = self.numbered(("unknown", len(self.numbers)))

    def number(self, expr: Expr) -> int:
        match expr:
            case Ref(var=var):
                return self.current.get(var.name, _NEVER_SET)
            case Const(value=value, dtype=dtype):  # 0 == 0.0 == False, and 0.0 == -0.0
                return self.numbered(("const", value.hex() if isinstance(value, float) else value, type(value), dtype.name))
            case Op(name=name, args=args, dtype=dtype):
                return self.numbered((name, dtype.name, *map(self.number, args)))
            case Cast(arg=arg, dtype=dtype) | Bitcast(arg=arg, dtype=dtype):
                return self.numbered((type(expr), dtype.name, self.number(arg)))
            case _:
                return self.numbered(expr)

    def holder(self, number: int) -> Var | None:
        found = self.holders.get(number)
        return found if found is not None and self.current.get(found.name) == number else None

    def holds(self, var: Var, number: int) -> None:
        self.current[var.name] = number
        if self.holder(number) is None:
            self.holders[number] = var

    # -------------------------------------------------------------------------------------------------------------- statements

    def body(self, body: Body) -> Body:
        return tuple(changed for stmt in body for changed in self.statement(stmt))

    def statement(self, stmt: Stmt) -> Body:
        match stmt:
            case Assign(var=var, value=value):
                return self.computed(stmt, var, self.number(value), isinstance(value, Op | Cast | Bitcast))
            case Load(var=var, array=array, index=index, field=field) if array in self.tables:
                return self.computed(stmt, var, self.numbered(("load", self.tables[array], field, *map(self.number, index))), True)
            case If() if self.is_pure(stmt):
                return self.pure_branch(stmt)
            case If(then=then, orelse=orelse):
                changed: Stmt = replace(stmt, then=self.apart(then), orelse=self.apart(orelse))
            case For(body=inside) | Block(body=inside):
                if isinstance(stmt, For):
                    self.forget(stmt)
                changed = replace(stmt, body=self.apart(inside))
            case While(before=before, body=inside):
                self.forget(stmt)
                current, holders = self.current.copy(), self.holders.copy()
                changed = replace(stmt, before=self.body(before), body=self.body(inside))  # in this order
                self.current, self.holders = current, holders
            case _:
                changed = stmt
        self.forget(stmt)
        return (changed,)

    def computed(self, stmt: Stmt, var: Var, number: int, work: bool) -> Body:
        known = self.holder(number)
        if known == var:
            return ()
        self.holds(var, number)
        return (Assign(var, Ref(known)),) if known is not None and work else (stmt,)

    def apart(self, body: Body) -> Body:
        """A body that may run or not: what it computes is not known behind it."""
        current, holders = self.current.copy(), self.holders.copy()
        changed = self.body(body)
        self.current, self.holders = current, holders
        return changed

    def forget(self, stmt: Stmt) -> None:
        """What a statement assigns is unknown."""
        for inner in walk((stmt,)):
            var = assigned(inner)
            if var is not None:
                self.fresh(var.name)

    def is_pure(self, stmt: Stmt) -> bool:
        """Whether a statement does nothing but compute values of variables."""
        match stmt:
            case Assign():
                return True
            case Load(array=array):
                return array in self.tables
            case If():
                return all(self.is_pure(s) for inner in children(stmt) for s in inner)
        return False

    def pure_branch(self, stmt: If) -> Body:
        cond = self.number(stmt.cond)
        before, holders = self.current, self.holders
        bodies, after = [], []
        for inner in (stmt.then, stmt.orelse):
            self.current, self.holders = before.copy(), holders.copy()
            bodies.append(self.body(inner))
            after.append(self.current)
        self.current, self.holders = before, holders
        results: dict[Var, int] = {}
        for var in {v: None for s in walk((stmt,)) if (v := assigned(s)) is not None}:
            either = [numbers.get(var.name, before.get(var.name, _NEVER_SET)) for numbers in after]
            results[var] = either[0] if either[0] == either[1] else self.numbered(("if", cond, var.dtype.name, *either))
        known = {var: found for var, number in results.items() if (found := self.holder(number)) is not None}
        copied = {var: found for var, found in known.items() if found != var}
        if len(known) == len(results) and not copied.keys() & set(copied.values()):
            changed: Body = tuple(Assign(var, Ref(found)) for var, found in copied.items())
        else:
            changed = (replace(stmt, then=bodies[0], orelse=bodies[1]),)
        for var, number in results.items():
            self.holds(var, number)
        return changed


def share(kernel: Kernel) -> Kernel:
    """``kernel`` with copies in place of values that a variable already holds."""
    return replace(kernel, body=_Sharing(kernel).body(kernel.body))
