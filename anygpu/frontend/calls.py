"""Calls in kernels: the vocabulary, functions of the table, dtypes, structures, and the user's own functions, inlined."""

from __future__ import annotations

import ast
import builtins
import dataclasses
from collections.abc import Sequence
from dataclasses import is_dataclass
from types import FunctionType, MethodType

import numpy as np

from anygpu.dtypes import DType, bool_, float64, from_numpy, int64
from anygpu.frontend import atomics, copies, indexing, structures
from anygpu.frontend.arithmetic import explicit_cast, truth
from anygpu.frontend.binding import NONE
from anygpu.frontend.context import KernelError, Scope
from anygpu.frontend.expressions import wrap
from anygpu.frontend.functions import FLOAT_WORDS, FUNCTIONS, Written, conjugate, count
from anygpu.frontend.inlining import inline
from anygpu.frontend.parse import unwrap
from anygpu.frontend.types import BoundMethod, Object, Scalar, Tuple, Value, View, describe
from anygpu.frontend.vocabulary import word_of
from anygpu.ir.kernel import Barrier

Arguments = Sequence[Value]


def call(scope: Scope, function: Value, args: Arguments, kwargs: dict[str, Value], node: ast.AST) -> Value:
    """``function(*args, **kwargs)``."""
    if isinstance(function, BoundMethod):
        return _method(scope, function, args, kwargs, node)
    method = structures.user_method(function, "__call__")
    if method is not None:
        return inline(scope, method, [function, *args], kwargs, node)
    if not isinstance(function, Object):
        raise KernelError(f"{describe(function)} cannot be called")
    obj = function.value
    word = word_of(obj)
    if word is not None:
        return _word(scope, word, args, kwargs, node)
    handler = FUNCTIONS.get(id(getattr(obj, "__anygpu_function__", obj)))  # ag.sqrt means np.sqrt
    if handler is not None:
        if kwargs and isinstance(handler, Written):
            return handler.call(scope, args, kwargs, node)
        if kwargs:
            raise KernelError(f"{getattr(obj, '__name__', obj)} takes no keyword arguments in a kernel")
        return handler(scope, args, node)
    dtype = as_dtype(obj)
    if dtype is not None:
        if len(args) != 1 or kwargs:
            raise KernelError(f"{dtype}(...) takes one argument, not {len(args) + len(kwargs)}")
        if dtype is bool_ and isinstance(args[0], Tuple):
            return Scalar(truth(scope, args[0]))
        return explicit_cast(args[0], dtype, f"{dtype}(...)")
    if obj is isinstance and len(args) == 2 and not kwargs:
        return structures.is_instance(args[0], args[1])
    if obj is dataclasses.replace and len(args) == 1 and isinstance(args[0], Tuple) and is_dataclass(args[0].cls):
        return structures.replaced(scope, args[0], kwargs)
    if isinstance(obj, MethodType) and isinstance(obj.__self__, type):
        return inline(scope, obj.__func__, [Object(obj.__self__), *args], kwargs, node)
    if isinstance(obj, type):
        return structures.construct(scope, obj, args, kwargs)
    plain = unwrap(obj)
    module = getattr(obj, "__module__", "") or ""
    of_numpy = module.partition(".")[0] == "numpy"
    if isinstance(plain, FunctionType) and not of_numpy:
        return inline(scope, plain, args, kwargs, node)
    name = getattr(obj, "__name__", repr(obj))
    hint = ""
    if of_numpy:
        hint = "NumPy functions that make or reduce arrays are not part of the kernel language: write the loop"
    elif hasattr(obj, "__wrapped__"):
        hint = f"its decorator makes a {type(obj).__name__} of it: call a plain function"
    raise KernelError(f"'{module + '.' if module else ''}{name}' cannot be called in a kernel", hint)


def as_dtype(obj: object) -> DType | None:
    """The scalar type that a dtype-like object names: ``np.float32``, ``np.dtype('f4')``, ``int``, ``float``, ``bool``, ``complex``."""
    match obj:
        case builtins.bool:
            return bool_
        case builtins.int:
            return int64
        case builtins.float:
            return float64
        case builtins.complex:
            return from_numpy(np.dtype(np.complex128))
        case np.dtype():
            return from_numpy(obj)
        case str():
            try:
                return from_numpy(np.dtype(obj))
            except TypeError:
                return None
    if isinstance(obj, type) and (issubclass(obj, np.generic) or obj.__name__ == "bfloat16"):
        try:
            return from_numpy(np.dtype(obj))
        except TypeError:
            return None
    return None


def _method(scope: Scope, method: BoundMethod, args: Arguments, kwargs: dict[str, Value], node: ast.AST) -> Value:
    owner = method.owner
    if method.name == "_replace" and isinstance(owner, Tuple):
        if args:
            raise KernelError("_replace() takes fields by name only")
        return structures.replaced(scope, owner, kwargs)
    if isinstance(method.function, FunctionType):
        return inline(scope, method.function, [owner, *args], kwargs, node)
    if method.name == "conjugate":
        return conjugate(owner)
    if method.name == "sync" and isinstance(owner, Object):
        scope.emit(Barrier("grid", loc=scope.locate(node)))
        return NONE
    if isinstance(owner, View) and method.name == "item":
        return indexing.subscript(scope, owner, tuple(args), scope.locate(node), lambda obj: wrap(scope, obj))
    if isinstance(owner, View) and method.name == "fill" and len(args) == 1:
        copies.store_view(scope, owner, args[0], scope.locate(node))
        return NONE
    raise KernelError(f"method '{method.name}' of {describe(owner)} is not part of the kernel language")


def _word(scope: Scope, word: str, args: Arguments, kwargs: dict[str, Value], node: ast.AST) -> Value:
    from anygpu.frontend import words

    if word.startswith("atomic."):
        return atomics.atomic(scope, word.removeprefix("atomic."), args, node)
    if word in ("shared.array", "local.array"):
        return words.declare(scope, word.partition(".")[0], args, kwargs, node)
    handler = words.WORD_CALLS.get(word)
    plain = FLOAT_WORDS.get(word)
    if handler is None and plain is None:
        dtype = as_dtype(getattr(np, word, None))
        if dtype is None:
            raise KernelError(f"ag.{word} cannot be called")
        count(args, 1, word)
        return explicit_cast(args[0], dtype, f"{word}(...)")
    if kwargs:
        raise KernelError(f"ag.{word} takes no keyword arguments")
    return (handler or plain)(scope, args, node)  # type: ignore[misc]
