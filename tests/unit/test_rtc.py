"""CUDA C++ to PTX with NVRTC, which needs no device; and what PTX and AMD's code objects tell about kernels."""

import shutil
import subprocess

import numpy as np
import pytest

import anygpu as ag
from anygpu.runtime import rtc
from anygpu.runtime.base import Code, Parameter, Request, Unavailable
from anygpu.runtime.codeobject import code_object_parameters
from anygpu.runtime.literals import declarations, literal
from anygpu.runtime.ptx import ptx_parameters


@pytest.fixture(scope="module")
def nvrtc():
    try:
        return rtc.nvrtc()
    except Unavailable as reason:
        pytest.skip(str(reason))


SOURCE = """
struct settings { int count; float values[3]; };
extern "C" __global__ void kinds(float a, float *x, int n, long long m, settings s, bool b, double d, const char *c, short h) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] += a * m + s.values[1] + b + d + c[0] + h;
}
template <class T> __global__ void scale(T *x, T a) { x[threadIdx.x] *= a * T(SCALE) + T(table[threadIdx.x % 2]); }
"""


def program(source=SOURCE, **options):
    options.setdefault("defines", {"SCALE": 3})
    options.setdefault("constants", {"table": np.array([1.5, -np.inf], np.float32), "limit": np.int64(2**40)})
    return ag.Program(source, "cuda", filename="kernels.cu", **options)


@pytest.mark.parametrize("target", ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"])
def test_ptx_without_a_device(nvrtc, target, tmp_path):
    code = program().compile(target=target, name_expressions=["scale<float>", "scale<double>"])
    assert code.format == "ptx" and f".target {target}" in code.image.decode()
    assert code.names == ["kinds", "scale<double>", "scale<float>"]
    assert code.code.parameters["kinds"] == (
        Parameter("f", 4), Parameter("*", 8), Parameter("*", 4), Parameter("*", 8), Parameter("V", 16), Parameter("*", 1),
        Parameter("d", 8), Parameter("*", 8), Parameter("*", 2),
    )  # fmt: skip
    assert code.code.parameters[code.code.lowered["scale<double>"]] == (Parameter("*", 8), Parameter("d", 8))
    if shutil.which("ptxas"):
        (tmp_path / "kernels.ptx").write_bytes(code.image)
        command = ["ptxas", f"-arch={target}", "-o", tmp_path / "out", tmp_path / "kernels.ptx"]
        found = subprocess.run(command, capture_output=True, text=True)
        assert found.returncode == 0 or "Unsupported .version" in found.stderr, found.stderr


def test_headers_come_with_the_compiler(nvrtc):
    source = '#include <cuda_fp16.h>\n#include <cooperative_groups.h>\nextern "C" __global__ void f(__half *x) { *x = __float2half(1); }'
    assert b".entry f" in program(source).compile(target="sm_80").image


def test_errors_show_each_line_with_a_caret(nvrtc):
    with pytest.raises(ag.errors.SourceError) as caught:
        program('extern "C" __global__ void f(float *x) {\n    x[0] = foo;\n\tfloat y = bar(1);\n}\n').compile(target="sm_90")
    assert str(caught.value) == (
        "kernels.cu does not compile for sm_90\n"
        "\n"
        'File "kernels.cu", line 2, column 12, in the source\n'
        "    x[0] = foo;\n"
        "           ^^^\n"
        '  identifier "foo" is undefined\n'
        "\n"
        'File "kernels.cu", line 3, column 12, in the source\n'
        "    float y = bar(1);\n"
        "              ^^^\n"
        '  identifier "bar" is undefined'
    )


def test_a_name_expression_that_does_not_fit(nvrtc):
    with pytest.raises(ag.errors.SourceError) as caught:
        program().compile(target="sm_90", name_expressions=["scale<nonsense>"])
    assert "nonsense" in caught.value.log


def test_code_for_a_target_runs_nowhere(nvrtc):
    code = program().compile(target="sm_90")
    with pytest.raises(ag.errors.DeviceError, match="compiled for a target, not for a device"):
        code.get_kernel("kinds")
    with pytest.raises(ValueError, match="'pentium' is no architecture: NVIDIA's look like sm_90, AMD's like gfx942"):
        program().compile(target="pentium")
    with pytest.raises(ValueError, match="only C"):
        ag.Program("", "opencl").compile(target="sm_90")


def test_cuda_for_amd_gets_a_preamble(monkeypatch):
    """On a stand-in for hipRTC: what it is given."""
    seen = []

    class HipRtc:
        prefix = "hiprtc"

        def compile(self, request, target, options):
            seen.append((request, target, options))
            return Code("codeobject", b"")

    monkeypatch.setattr(rtc, "hiprtc", HipRtc)
    rtc.compile_for(Request("__global__ void f() {}", "cuda", "f.cu", ("-O3",), (), "#define A 1\n"), "gfx942:sramecc+:xnack-")
    ((request, target, options),) = seen
    assert request.language == "hip" and "#define __shfl_sync(mask, ...) __shfl(__VA_ARGS__)" in request.text
    assert request.text.endswith('#define A 1\n#line 1 "f.cu"\n__global__ void f() {}')
    assert target == "gfx942:sramecc+:xnack-" and options[0] == "--offload-arch=gfx942:sramecc+:xnack-" and options[-1] == "-O3"


# -------------------------------------------------------------------------------------------------------------- parameters of code


@pytest.mark.parametrize(
    ("declared", "parameters"),
    [
        (".param .u64 f_0", [Parameter("*", 8)]),
        (".param .u64 .ptr .global .align 4 f_0, .param .f32 f_1", [Parameter("*", 8), Parameter("f", 4)]),
        (".param .align 16 .b8 f_0[32], .param .s32 f_1", [Parameter("V", 32), Parameter("*", 4)]),
        ("", []),
    ],
)
def test_parameters_of_ptx(declared, parameters):
    assert ptx_parameters(f".visible .entry f({declared})\n{{ ret; }}") == {"f": tuple(parameters)}


AMDGPU = """
target triple = "amdgcn-amd-amdhsa"
define amdgpu_kernel void @f(ptr addrspace(1) %x, float %a, i64 %n, [3 x i32] %s) #0 {
  store float %a, ptr addrspace(1) %x
  ret void
}
attributes #0 = { "target-cpu"="gfx942" }
!llvm.module.flags = !{!0}
!0 = !{i32 1, !"amdhsa_code_object_version", i32 500}
"""


def test_parameters_of_a_code_object():
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple("amdgcn-amd-amdhsa").create_target_machine(cpu="gfx942", codemodel="default")
    image = machine.emit_object(llvm.parse_assembly(AMDGPU))
    (parameters,) = code_object_parameters(image).values()
    assert [(p.code, p.size, p.name) for p in parameters] == [("P", 8, "x"), ("*", 4, "a"), ("*", 8, "n"), ("V", 12, "s")]
    assert code_object_parameters(b"__CLANG_OFFLOAD_BUNDLE__") == {}


# ------------------------------------------------------------------------------------------------------------------------ literals


@pytest.mark.parametrize(
    ("value", "language", "text"),
    [
        (True, "cuda", "1"),
        (2**31 - 1, "cuda", "2147483647"),
        (-(2**31), "opencl", "-2147483648L"),
        (2**63, "cuda", "9223372036854775808ULL"),
        (-(2**63), "cuda", "(-9223372036854775807LL - 1)"),
        (0.1, "cuda", "0x1.999999999999ap-4"),
        (np.float32(0.5), "opencl", "0x1.0000000000000p-1f"),
        (np.float32("-inf"), "cuda", "(-1.0f / 0.0f)"),
        (float("nan"), "opencl", "(0.0 / 0.0)"),
        ("unsigned int", "cuda", "unsigned int"),
    ],
)
def test_literals(value, language, text):
    assert literal(value, language) == text


def test_declarations():
    constants = {"table": np.array([[1, 2], [3, 4]], np.int16), "one": 1, "half": np.float32(0.5)}
    assert declarations("opencl", {"N": 3}, constants) == (
        "#define N 3\n__constant short table[2][2] = {{1, 2}, {3, 4}};\n__constant const long one = 1;\n"
        "__constant const float half = 0x1.0000000000000p-1f;\n"
    )
    assert declarations("cuda", {}, constants).splitlines()[0] == "__constant__ const short table[2][2] = {{1, 2}, {3, 4}};"
    with pytest.raises(ValueError, match="'a b' is no name in C"):
        declarations("cuda", {"a b": 1}, {})
    with pytest.raises(ValueError, match="complex64 has no name in cuda"):
        declarations("cuda", {}, {"c": np.complex64(1)})
    with pytest.raises(ValueError, match="ptx has no macros or constants to define"):
        ag.Program("", "ptx", defines={"A": 1})
