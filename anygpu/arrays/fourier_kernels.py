"""The passes of Fourier transforms: each takes one factor of the length along the last axis, by butterflies of elements that lie
``n // radix`` apart."""

from __future__ import annotations

import anygpu as ag


@ag.kernel(bounds_check=False)
def pass_by_2(x, table, out, stride):
    row, at = ag.grid(2)
    p = at // stride
    base = at + stride * p
    a, b = x[row, at], x[row, at + x.shape[1] // 2]
    out[row, base] = a + b
    out[row, base + stride] = (a - b) * table[p * stride]


@ag.kernel(bounds_check=False)
def pass_by_4(x, table, out, stride, forward):
    row, at = ag.grid(2)
    apart = x.shape[1] // 4
    p = at // stride
    base = at + 3 * stride * p
    a, b = x[row, at], x[row, at + apart]
    c, d = x[row, at + 2 * apart], x[row, at + 3 * apart]
    even, odd = a + c, a - c
    both, turned = b + d, b - d
    quarter = complex(turned.imag, -turned.real) if forward else complex(-turned.imag, turned.real)
    out[row, base] = even + both
    out[row, base + stride] = (odd + quarter) * table[p * stride]
    out[row, base + 2 * stride] = (even - both) * table[2 * p * stride]
    out[row, base + 3 * stride] = (odd - quarter) * table[3 * p * stride]


@ag.kernel(bounds_check=False)
def pass_by_any(x, table, out, stride, radix):
    row, at = ag.grid(2)
    apart = x.shape[1] // radix
    p = at // stride
    base = at + (radix - 1) * stride * p
    for k in range(radix):
        total = x[row, at]
        for j in range(1, radix):
            total += x[row, at + j * apart] * table[j * k % radix * apart]
        out[row, base + k * stride] = total * table[p * k * stride]
