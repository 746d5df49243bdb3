"""Conversions of float16 for x86-64 processors without F16C: LLVM calls compiler-rt's two functions there, which nothing here would have.

Both work on bits, so that they call themselves nowhere. An extension multiplies by 2**112 the float32 whose exponent and digits are the
half's, which is exact for subnormal halves too. A truncation rounds by adding: half a unit less one, and the last digit kept, to the
bits; or 0.5 to what becomes a subnormal half, since its unit there is that of the sum.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_IR = """
define weak hidden float @__extendhfsf2(half %x) {
  %h = bitcast half %x to i16
  %b = zext i16 %h to i32
  %a = and i32 %b, 32767
  %s = and i32 %b, 32768
  %sign = shl i32 %s, 16
  %m = shl i32 %a, 13
  %f = bitcast i32 %m to float
  %scaled = fmul float %f, 0x46F0000000000000
  %finite = bitcast float %scaled to i32
  %top = or i32 %m, 2139095040
  %quiet = or i32 %top, 4194304
  %nan = icmp ugt i32 %a, 31744
  %special = select i1 %nan, i32 %quiet, i32 %top
  %is = icmp uge i32 %a, 31744
  %r = select i1 %is, i32 %special, i32 %finite
  %signed = or i32 %r, %sign
  %y = bitcast i32 %signed to float
  ret float %y
}

define weak hidden half @__truncsfhf2(float %x) {
  %b = bitcast float %x to i32
  %a = and i32 %b, 2147483647
  %s = lshr i32 %b, 16
  %sign = and i32 %s, 32768
  %digit = lshr i32 %a, 13
  %odd = and i32 %digit, 1
  %moved = add i32 %a, 3355447295
  %rounded = add i32 %moved, %odd
  %normal = lshr i32 %rounded, 13
  %f = bitcast i32 %a to float
  %sum = fadd float %f, 5.000000e-01
  %units = bitcast float %sum to i32
  %small = sub i32 %units, 1056964608
  %tiny = icmp ult i32 %a, 947912704
  %finite = select i1 %tiny, i32 %small, i32 %normal
  %huge = icmp uge i32 %a, 1199570944
  %bounded = select i1 %huge, i32 31744, i32 %finite
  %payload = and i32 %digit, 511
  %quiet = or i32 %payload, 32256
  %nan = icmp ugt i32 %a, 2139095040
  %r = select i1 %nan, i32 %quiet, i32 %bounded
  %signed = or i32 %r, %sign
  %low = trunc i32 %signed to i16
  %y = bitcast i16 %low to half
  ret half %y
}
"""


def soft_halves(texts: Sequence[str], triple: str, features: str) -> list[str]:
    """The LLVM modules that must be linked to others for a processor: these functions, if it lacks the instructions and a module speaks of
    halves."""
    needed = triple.startswith("x86_64") and "+f16c" not in features and any(re.search(r"\bhalf\b", text) for text in texts)
    return [f'target triple = "{triple}"\n{_IR}'] if needed else []


__all__ = ["soft_halves"]
