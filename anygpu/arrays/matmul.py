"""Products of matrices: BLAS's on the CPU, the vendor's library's on devices that have one, a kernel's elsewhere."""

from __future__ import annotations

import math

import numpy as np

from anygpu.arrays import creation, elementwise, host, manipulation, reductions
from anygpu.arrays.matmul_kernels import SIDE, TILE, multiply
from anygpu.arrays.ndarray import ndarray
from anygpu.dtypes import DType, from_numpy
from anygpu.ir.graph import Shape
from anygpu.runtime.device_array import DeviceArray
from anygpu.runtime.device_blas import DTYPES, Matrices, layout


def matmul(a: object, b: object, out: ndarray | None = None) -> ndarray:
    """The product of matrices, or of stacks of them, with NumPy's rules for vectors and broadcasting.

    On the CPU it is BLAS's, and cuBLAS's or hipBLAS's on devices where that is installed. Integers, and everything elsewhere, are a
    kernel's that adds in the order of the inner axis. Halves are added in float32. Real products with a vector are recorded as sums of
    products, but for those of a device with a library.

    Example:
        >>> import anygpu as ag
        >>> ag.matmul(ag.ones((2, 3)), ag.arange(3))
        array([3., 3.])
    """
    device = host.device_among((a, b))
    if device is None or device == "cpu":
        return host.array(np.matmul, (a, b), {} if out is None else {"out": out})
    left, right = creation.asarray(a, device=device), creation.asarray(b, device=device)
    for n, operand in enumerate((left, right)):
        if not operand.shape:
            raise ValueError(
                f"matmul: Input operand {n} does not have enough dimensions (has 0, gufunc core with signature (n?,k),(k,m?)->(n?,m?) "
                "requires 1)"
            )
    rows, columns = left.ndim > 1, right.ndim > 1
    left = left if rows else manipulation.expand_dims(left, 0)
    right = right if columns else manipulation.expand_dims(right, 1)
    k, other = left.shape[-1], right.shape[-2]
    if k != other:
        raise ValueError(
            "matmul: Input operand 1 has a mismatch in its core dimension 0, with gufunc signature (n?,k),(k,m?)->(n?,m?) "
            f"(size {other} is different from {k})"
        )
    found = _product(left, right, device)
    if not rows:
        found = found[..., 0, :]
    if not columns:
        found = found[..., 0]
    return elementwise.finish(found, out)


def _product(left: ndarray, right: ndarray, device: str) -> ndarray:
    dtype = np.matmul.resolve_dtypes((left.dtype, right.dtype, None))[-1]
    kind = from_numpy(dtype)
    assert kind is not None
    inner, total = _computed_in(kind)
    batch: Shape = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    m, k, n = left.shape[-2], left.shape[-1], right.shape[-1]
    count = math.prod(batch)
    if not (count and m and n and k):
        return creation.zeros((*batch, m, n), dtype, device=device)
    a = _stack(left.astype(inner, copy=False), (*batch, m, k))
    b = _stack(right.astype(inner, copy=False), (*batch, k, n))
    out = creation.empty((count, m, n), inner, device=device)
    if not (kind.name in DTYPES and _by_library(a, b, out)):
        multiply[-(-n // TILE) * -(-m // TILE) * count, (SIDE, SIDE)](a, b, out, total)
    return out.reshape(*batch, m, n).astype(dtype, copy=False)


def _by_library(a: ndarray, b: ndarray, out: ndarray) -> bool:
    """Whether the device's library has computed the product: there may be none, or it may not do that."""
    blas = out.device.libraries.blas
    if blas is None:
        return False
    count, m, n = out.shape
    target = out.__anygpu_array__()
    assert isinstance(target, DeviceArray)
    return blas.multiply(out.dtype.name, count, m, n, a.shape[2], _matrices(a), _matrices(b), target.buffer)


def _matrices(x: ndarray) -> Matrices:
    """A stack of matrices as a library takes it: the memory itself, unless its lines have gaps within or lie in each other."""
    memory = x.__anygpu_array__()
    assert isinstance(memory, DeviceArray)
    distance, down, right = (stride // x.itemsize for stride in memory.strides)
    found = layout(x.shape[1], x.shape[2], down, right)
    if found is None or distance < 0:
        return _matrices(x.copy())
    return Matrices(memory.buffer, *found, distance if x.shape[0] > 1 else 0)


def _computed_in(kind: DType) -> tuple[np.dtype[np.generic], type]:
    """The dtype of the operands and the product, and that in which products are added."""
    if kind.kind == "b":
        return np.dtype(np.int32), np.int32
    return kind.numpy, np.float32 if kind.is_half else kind.numpy.type


def _stack(x: ndarray, shape: Shape) -> ndarray:
    """Matrices, broadcast to a shape, as one stack."""
    shown = x if x.shape == shape else manipulation.broadcast_to(x, shape)
    return manipulation.reshape(shown, (math.prod(shape[:-2]), *shape[-2:]))


def vecdot(a: object, b: object, axis: int = -1) -> ndarray:
    """The sum of ``conj(a) * b`` along an axis: one kernel."""
    device = host.device_among((a, b))
    left, right = creation.asarray(a, device=device), creation.asarray(b, device=device)
    left, right = manipulation.moveaxis(left, axis, -1), manipulation.moveaxis(right, axis, -1)
    n, other = left.shape[-1], right.shape[-1]
    if n != other:
        raise ValueError(
            "vecdot: Input operand 1 has a mismatch in its core dimension 0, with gufunc signature (n),(n)->() "
            f"(size {other} is different from {n})"
        )
    dtype = np.vecdot.resolve_dtypes((left.dtype, right.dtype, None))[-1]
    if left.dtype.kind == "c":
        left = left.conj()
    return reductions.sum_(elementwise.binary("multiply", left.astype(dtype, copy=False), right.astype(dtype, copy=False)), -1, dtype)
