"""float16 on x86-64 without F16C: conversions of our own, which run here as they do there."""

from __future__ import annotations

import ctypes
import platform

import numpy as np
import pytest

import anygpu as ag
from anygpu.codegen import native
from anygpu.codegen.library import processor
from anygpu.codegen.soft_halves import soft_halves
from anygpu.engine.arguments import describe
from anygpu.engine.compile import Options, compile_artifact
from anygpu.runtime import loader

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="runs x86-64 code")


def loop(name: str, source: str, target: str, conversion: str) -> str:
    return f"""
define void @{name}(ptr %x, ptr %y, i64 %n) {{
entry:
  br label %turn
turn:
  %i = phi i64 [ 0, %entry ], [ %next, %turn ]
  %from = getelementptr {source}, ptr %x, i64 %i
  %value = load {source}, ptr %from
  %made = {conversion} {source} %value to {target}
  %to = getelementptr {target}, ptr %y, i64 %i
  store {target} %made, ptr %to
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %turn, label %end
end:
  ret void
}}
"""


@pytest.fixture(autouse=True)
def nobody_else_converts(monkeypatch):
    asked = loader._process_symbol

    def symbol(name):
        assert "hf2" not in name, f"{name} is asked for"
        return asked(name)

    monkeypatch.setattr(loader, "_process_symbol", symbol)


@pytest.fixture(scope="module")
def convert():
    """Convert arrays by code for plain x86-64."""
    cpu = processor("x86-64")
    text = f'target triple = "{cpu.triple}"\n' + loop("widen", "half", "float", "fpext") + loop("narrow", "float", "half", "fptrunc")
    stages: dict[str, str] = {}
    program = loader.load(native.compile_to_object(text, cpu, stages), ("widen", "narrow"))
    assert "vcvt" not in stages["asm"] and "__truncsfhf2" in stages["asm"]
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)

    def run(name: str, x: np.ndarray, dtype: type[np.floating]) -> np.ndarray:
        out = np.zeros(len(x), dtype)
        prototype(program.address(name))(x.ctypes.data, out.ctypes.data, len(x))
        return out

    return run


def same(found: np.ndarray, wanted: np.ndarray) -> bool:
    unsigned = np.uint16 if found.dtype == np.float16 else np.uint32
    number = ~np.isnan(wanted)
    return bool((found.view(unsigned)[number] == wanted.view(unsigned)[number]).all() and np.isnan(found[~number]).all())


def test_every_half_is_extended(convert):
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    with np.errstate(all="ignore"):
        assert same(convert("widen", every, np.float32), every.astype(np.float32))


def test_truncation_rounds_to_nearest_even(convert):
    """Around every half, every middle between two, and over all exponents of float32."""
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    middles = (halves[1:] + halves[:-1]) / 2
    edges = np.concatenate([halves, middles, np.float32([65519.996, 65520, 65536, 1e38])]).view(np.uint32)
    anywhere = np.random.default_rng(1).integers(0, 1 << 31, 1 << 20).astype(np.uint32)
    special = np.uint32([0, 1, 0x7F800000, 0x7F800001, 0x7FC00000, 0x7FFFFFFF, 0x33000000, 0x33000001, 0x32FFFFFF])
    positive = np.concatenate([edges, edges + 1, edges[1:] - 1, anywhere, special])
    for bits in (positive, positive | np.uint32(1 << 31)):
        x = bits.view(np.float32)
        with np.errstate(all="ignore"):
            assert same(convert("narrow", x, np.float16), x.astype(np.float16))


def test_a_kernel_for_such_a_processor_runs(monkeypatch):
    """The whole way: the kernel's code holds the conversions."""

    def mixed(x, y, out):
        i = ag.grid(1)
        if i < out.size:
            out[i] = x[i] * np.float16(1.5) + y[i]

    monkeypatch.setattr(native, "host_cpu", lambda: processor("x86-64"))
    x, y = np.linspace(-9, 9, 100).astype(np.float16), np.linspace(0, 1, 100).astype(np.float32)
    out = np.zeros(100, np.float16)
    stages: dict[str, str] = {}
    compile_artifact(mixed, tuple(describe(array, "x").type for array in (x, y, out)), Options(), stages)
    assert "__truncsfhf2" in stages["asm"] and "__extendhfsf2" in stages["asm"]
    ag.kernel(mixed).forall(100)(x, y, out)
    assert np.array_equal(out, ((x * np.float16(1.5)).astype(np.float32) + y).astype(np.float16))


def test_who_needs_them():
    text = ["define half @f(half %x) {}"]
    assert len(soft_halves(text, "x86_64-unknown-linux-gnu", "")) == 1
    assert len(soft_halves(["declare <8 x half> @g()"], "x86_64-unknown-linux-gnu", "")) == 1
    assert soft_halves(text, "x86_64-unknown-linux-gnu", "+avx,+f16c") == []
    assert soft_halves(text, "aarch64-unknown-linux-gnu", "") == []
    assert soft_halves(["define float @f(float %x) {}"], "x86_64-unknown-linux-gnu", "") == []
