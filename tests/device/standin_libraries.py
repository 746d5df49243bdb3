"""Stand-ins for cuBLAS, cuFFT, hipBLAS and hipFFT: NumPy computes what their references say, on the memory of a stand-in driver.

Each function is behind a real C call whose types are those of `PROTOTYPES`, which were written from the vendors' headers. They show
whether what is asked for means what it should: operands, distances, dtypes, streams and work areas. How fast or how exactly the real
libraries compute, only real hardware shows: tests marked ``gpu``.
"""

from __future__ import annotations

import ctypes
import re
from types import SimpleNamespace

import ml_dtypes
import numpy as np

_GEMM = """(H handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k, const void* alpha, const void* A,
    cudaDataType Atype, int lda, long long int strideA, const void* B, cudaDataType Btype, int ldb, long long int strideB,
    const void* beta, void* C, cudaDataType Ctype, int ldc, long long int strideC, int batchCount, cublasComputeType_t computeType,
    cublasGemmAlgo_t algo)"""
_FFT = """
    pCreate(H* handle) pDestroy(H plan) pSetStream(H plan, S stream) pSetAutoAllocation(H plan, int autoAllocate)
    pSetWorkArea(H plan, void* workArea) pGetProperty(libraryPropertyType type, int* value)
    pMakePlanMany64(H plan, int rank, long long int* n, long long int* inembed, long long int istride, long long int idist,
        long long int* onembed, long long int ostride, long long int odist, cufftType type, long long int batch, size_t* workSize)
    pExecC2C(H plan, cufftComplex* idata, cufftComplex* odata, int direction) pExecR2C(H plan, cufftReal* idata, cufftComplex* odata)
    pExecC2R(H plan, cufftComplex* idata, cufftReal* odata) pExecD2Z(H plan, cufftDoubleReal* idata, cufftDoubleComplex* odata)
    pExecZ2Z(H plan, cufftDoubleComplex* idata, cufftDoubleComplex* odata, int direction)
    pExecZ2D(H plan, cufftDoubleComplex* idata, cufftDoubleReal* odata)"""
PROTOTYPES = {
    "cublas": f"""cublasCreate_v2(H* handle) cublasDestroy_v2(H handle) cublasSetStream_v2(H handle, S streamId)
        cublasSetMathMode(H handle, cublasMath_t mode) cublasGetProperty(libraryPropertyType type, int* value)
        cublasGemmStridedBatchedEx{_GEMM}""".replace("H ", "cublasHandle_t "),
    "hipblas": f"""hipblasCreate(H* handle) hipblasDestroy(H handle) hipblasSetStream(H handle, S streamId)
        hipblasSetAtomicsMode(H handle, hipblasAtomicsMode_t mode) hipblasGemmStridedBatchedEx{_GEMM}
        hipblasGemmStridedBatchedEx_v2{_GEMM}""".replace("H ", "hipblasHandle_t "),
    "cufft": re.sub(r"\bp(?=[A-Z])", "cufft", _FFT).replace("H ", "cufftHandle "),
    "hipfft": re.sub(r"\bp(?=[A-Z])", "hipfft", _FFT).replace("H ", "hipfftHandle "),
}
_POINTERS = ("cublasHandle_t", "hipblasHandle_t", "hipfftHandle", "S", "cudaStream_t")


def c_type(parameter: str) -> type:
    """The type of a parameter, by the text of a C declaration: pointers, handles and streams are addresses; enumerators are ints."""
    if "*" in parameter or any(re.search(rf"\b{name}\b", parameter) for name in _POINTERS):
        return ctypes.c_void_p
    if "long long" in parameter:
        return ctypes.c_longlong
    return ctypes.c_size_t if "size_t" in parameter else ctypes.c_int


def prototypes(text: str) -> dict[str, tuple[type, ...]]:
    """The functions that C declarations declare, and the types of their parameters. Of several of a name the first counts."""
    found = re.findall(r"(\w+)\s*\(([^()]*)\)", text)
    return {name: tuple(map(c_type, given.split(","))) for name, given in reversed(found)}


DTYPES = {0: np.float32, 1: np.float64, 2: np.float16, 4: np.complex64, 5: np.complex128, 14: ml_dtypes.bfloat16}
NUMBERS = {  # what is done to operands, the dtypes of sums, the algorithm; and the codes for wrong values and for what is not supported
    "cublas": ({0: False, 1: True}, {68: np.float32, 70: np.float64}, -1, 7, 15),
    "hipblas": ({111: False, 112: True}, {2: np.float32, 7: np.float64}, 160, 3, 7),
}
TYPES = {0x29: "C2C", 0x69: "Z2Z", 0x2A: "R2C", 0x6A: "D2Z", 0x2C: "C2R", 0x6C: "Z2D"}
LETTERS = {"C": np.complex64, "Z": np.complex128, "R": np.float32, "D": np.float64}


class StandInLibrary:
    """One library. ``library`` has its C functions; ``alive`` its handles or plans, ``fail`` the codes with which functions fail.

    Calls are noted among those of the driver, whose memory it computes on.
    """

    def __init__(self, api, driver, version=(1, 2, 3)):
        self.api, self.driver, self.version = api, driver, version
        self.alive: dict[int, dict] = {}
        self.fail: dict[str, int] = {}
        self.made = 0
        found = prototypes(PROTOTYPES[api])
        self.library = SimpleNamespace(**{name: self._function(name, arguments) for name, arguments in found.items()})

    def _function(self, name, arguments):
        short = name.removeprefix(self.api).removesuffix("_v2")

        def call(*given):
            self.driver.calls.append((short, *given))
            return self.fail[short] if short in self.fail else getattr(self, short)(*given) or 0

        return ctypes.CFUNCTYPE(ctypes.c_int, *arguments)(call)

    def memory(self, address, dtype, extents, steps):
        """An array on memory that the driver has given out: ``steps`` are the elements from one to the next along each axis."""
        dtype = np.dtype(dtype)
        last = address + dtype.itemsize * (1 + sum(step * (n - 1) for n, step in zip(extents, steps, strict=True)))
        for start, memory in self.driver.alive.items():
            if isinstance(memory, ctypes.Array) and start <= address and last <= start + len(memory):
                strides = tuple(step * dtype.itemsize for step in steps)
                return np.ndarray(extents, dtype, memory, address - start, strides)
        raise AssertionError(f"{self.api} was sent to memory that is nobody's")

    def Create(self, out):
        self.made += 1
        handle = self.made + (0 if self.api == "cufft" else 1 << 40)  # a number, or an address that no int holds
        self.alive[handle] = {"area": 0, "automatic": True}
        (ctypes.c_int if self.api == "cufft" else ctypes.c_void_p).from_address(out).value = handle

    def Destroy(self, handle):
        del self.alive[handle]

    def SetStream(self, handle, stream):
        self.alive[handle]["stream"] = stream

    def SetMathMode(self, handle, mode):
        self.alive[handle]["mode"] = mode

    SetAtomicsMode = SetMathMode

    def GetProperty(self, which, out):
        ctypes.c_int.from_address(out).value = self.version[which]

    def GemmStridedBatchedEx(
        self, handle, ta, tb, m, n, k, alpha, a, at, lda, sa, b, bt, ldb, sb, beta, c, ct, ldc, sc, count, compute, algorithm
    ):  # fmt: skip
        assert self.alive[handle]["stream"]
        operations, totals, default, invalid, unsupported = NUMBERS[self.api]
        (ta, tb), dtypes = (operations[ta], operations[tb]), [DTYPES[number] for number in (at, bt, ct)]
        rows = ((k if ta else m, lda), (n if tb else k, ldb), (m, ldc))
        if algorithm != default or any(ld < max(1, r) for r, ld in rows) or min(m, n, k, count) < 1 or sc < m * n:
            return invalid
        if len(set(dtypes)) != 1 or (np.dtype(dtypes[0]).itemsize > 8 or dtypes[0] is np.float64) != (totals[compute] is np.float64):
            return unsupported
        total = np.result_type(dtypes[0], totals[compute]) if np.dtype(dtypes[0]).kind == "c" else np.dtype(totals[compute])
        alpha, beta = (np.frombuffer(ctypes.string_at(x, total.itemsize), total)[0] for x in (alpha, beta))
        left = self.memory(a, dtypes[0], (count, k if ta else m, m if ta else k), (sa, 1, lda))
        right = self.memory(b, dtypes[0], (count, n if tb else k, k if tb else n), (sb, 1, ldb))
        out = self.memory(c, dtypes[0], (count, m, n), (sc, 1, ldc))
        left, right = (x.swapaxes(1, 2) if turned else x for x, turned in ((left, ta), (right, tb)))
        found = alpha * (left.astype(total) @ right.astype(total))
        out[...] = found if not beta else found + beta * out.astype(total)
        return 0

    def SetAutoAllocation(self, plan, automatic):
        assert "type" not in self.alive[plan]  # before it is made
        self.alive[plan]["automatic"] = bool(automatic)

    def SetWorkArea(self, plan, area):
        self.alive[plan]["area"] = area

    def MakePlanMany64(self, plan, rank, n, inembed, istride, idist, onembed, ostride, odist, kind, count, work):
        assert rank == 1 and inembed and onembed and kind in TYPES  # without extents the distances would be ignored
        n = ctypes.c_longlong.from_address(n).value
        size = 0 if n & (n - 1) == 0 else 16 * n * count
        self.alive[plan] |= {"type": TYPES[kind], "n": n, "count": count, "in": (idist, istride), "out": (odist, ostride), "work": size}
        ctypes.c_size_t.from_address(work).value = size

    def _execute(self, letters, plan, source, target, direction):
        plan = self.alive[plan]
        if plan["type"] != letters or direction not in (-1, 1):
            return 3
        assert plan["stream"] and not plan["automatic"]
        assert source % (8 if "C" in letters else 16) == 0 == target % (8 if "C" in letters else 16)  # as complex numbers lie
        if plan["work"]:
            self.memory(plan["area"], np.uint8, (plan["work"],), (1,))
        n, half, (of, _, to) = plan["n"], plan["n"] // 2 + 1, letters
        given = self.memory(source, LETTERS[of], (plan["count"], half if to in "RD" else n), plan["in"])
        found = self.memory(target, LETTERS[to], (plan["count"], half if of in "RD" else n), plan["out"])
        if of in "RD":
            found[...] = np.fft.rfft(given)
        elif to in "RD":
            assert not given[:, 0].imag.any() and (n % 2 or not given[:, -1].imag.any())  # else the result is not defined
            found[...] = np.fft.irfft(given, n) * n
            given[...] = np.nan  # it may be overwritten
        else:
            found[...] = np.fft.fft(given) if direction == -1 else np.fft.ifft(given) * n
        return 0

    def ExecC2C(self, plan, source, target, direction):
        return self._execute("C2C", plan, source, target, direction)

    def ExecZ2Z(self, plan, source, target, direction):
        return self._execute("Z2Z", plan, source, target, direction)

    def ExecR2C(self, plan, source, target):
        return self._execute("R2C", plan, source, target, -1)

    def ExecD2Z(self, plan, source, target):
        return self._execute("D2Z", plan, source, target, -1)

    def ExecC2R(self, plan, source, target):
        return self._execute("C2R", plan, source, target, 1)

    def ExecZ2D(self, plan, source, target):
        return self._execute("Z2D", plan, source, target, 1)
