"""LLVM for other machines' code, in a process of its own: LLVM ends the process for what a back end cannot select.

The process lives on between compilations, so that only the first pays for starting it: 0.5 s, of which half is LLVM's back ends. After that
saxpy takes 12 ms for SPIR-V, 27 ms for PTX and 72 ms for gfx942, as in one process: the way there and back is lost in the noise.
If it dies, the kernel at hand fails with LLVM's last words and the next one gets a new process.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import pickle
import re
import struct
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from typing import IO, Literal

from anygpu.errors import InternalError

TIMEOUT = 600.0  # seconds for one module, after which LLVM has lost its way
Output = Literal["assembly", "object"]


@dataclass(frozen=True)
class Job:
    """One module to compile: its LLVM IR, for which machine, and which passes run first (0 to 3)."""

    text: str
    triple: str
    cpu: str
    features: str
    output: Output
    level: int
    unroll: bool

    @property
    def alone(self) -> bool:
        """Whether LLVM must not have compiled anything before: its SPIR-V back end numbers labels by the addresses of basic blocks and
        keeps the numbers from module to module, so that in time labels are defined twice."""
        return self.triple.startswith("spirv")


# Reversal of bits is an extension. A loop whose result has a closed form must stay a loop: the form needs integers of 33 or 65 bits.
_SPIRV_OPTIONS = ("--spirv-ext=+SPV_KHR_bit_instructions", "--replexitval=never")


@functools.cache
def _initialize() -> None:
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()


def compile_here(job: Job) -> bytes:
    """Compile in this process, which a fault of LLVM ends. Raises ``InternalError`` for LLVM IR that is not valid."""
    import llvmlite.binding as llvm

    _initialize()
    if job.alone:
        for option in _SPIRV_OPTIONS:
            llvm.set_option("anygpu", option)

    def machine() -> llvm.TargetMachine:
        return llvm.Target.from_triple(job.triple).create_target_machine(cpu=job.cpu, features=job.features, opt=3, reloc="pic")

    try:
        module = llvm.parse_assembly(job.text)
        module.verify()
    except RuntimeError as error:
        raise InternalError(f"the generated LLVM IR is not valid: {error}") from error
    target = machine()
    options = llvm.create_pipeline_tuning_options(speed_level=job.level)
    options.loop_vectorization = False  # a GPU's lanes are its vectors
    options.slp_vectorization = job.triple.startswith("amdgcn")  # CDNA computes on two float32 at once
    options.loop_interleaving = False
    options.loop_unrolling = job.unroll
    builder = llvm.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)
    if job.triple.startswith("nvptx") and "llvm.loop.unroll.disable" in (text := str(module)):
        module = llvm.parse_assembly(_unroll_again(text))
    if job.output == "assembly":
        return str(target.emit_assembly(module)).encode()
    return bytes(target.emit_object(module))


_BLOCK = re.compile(r"^\"?([\w.$-]+)\"?:", re.M)


def _unroll_again(text: str) -> str:
    """Optimised LLVM IR whose unrolled loops may be unrolled once more, by the vendor's assembler, which knows what is worth it.

    LLVM marks a loop that it unrolled as done with, which becomes a pragma in PTX. The loops over what remains keep the mark.
    """
    parts = _BLOCK.split(text)
    for n in range(1, len(parts), 2):
        if not re.search(r"\.(epil|prol)", parts[n]):
            parts[n + 1] = re.sub(r"(\bbr i1 .*), !llvm\.loop !\d+", r"\1", parts[n + 1])
        parts[n] = f'"{parts[n]}":'
    return "".join(parts)


def serve() -> None:
    """The worker's life: read a job, write its result, until the other end closes.

    A job that must be alone is done by a copy of this process as it was at the start, or where there are no copies by this one as its last.
    """
    _initialize()
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever else writes to the standard output must not mix with answers
    while (data := _receive(source)) is not None:
        job: Job = pickle.loads(data)
        if job.alone and hasattr(os, "fork"):
            child = os.fork()
            if child:
                if os.waitpid(child, 0)[1]:
                    os._exit(1)  # LLVM ended the copy: its end is this process's, as far as the other side can see
                continue
            _send(sink, pickle.dumps(_answer(job)))
            os._exit(0)
        _send(sink, pickle.dumps(_answer(job)))
        if job.alone:
            return


def _answer(job: Job) -> bytes | str:
    """The code of a job, or what is wrong with it."""
    try:
        return compile_here(job)
    except Exception as error:  # noqa: BLE001  every fault of one job is that job's answer
        return f"{type(error).__name__}: {error}"


def _send(stream: IO[bytes], data: bytes) -> None:
    stream.write(struct.pack("<Q", len(data)) + data)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes | None:
    """One message; None at the end of the stream."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    (size,) = struct.unpack("<Q", head)
    data = stream.read(size)
    return data if len(data) == size else None


class _Worker:
    """The other process, seen from this one."""

    def __init__(self) -> None:
        start = f"import sys; sys.path[:] = {sys.path!r}; from anygpu.codegen.worker import serve; serve()"
        self.owner = os.getpid()
        self.complaints = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the process whose words it keeps
        self.process = subprocess.Popen(
            [sys.executable, "-c", start], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.complaints
        )

    def run(self, job: Job) -> bytes | str | None:
        """A job's result, what was wrong with it, or None if the process died of it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        watch = threading.Timer(TIMEOUT, self.process.kill)
        watch.start()
        try:
            _send(self.process.stdin, pickle.dumps(job))
            data = _receive(self.process.stdout)
        except BrokenPipeError:
            data = None
        finally:
            watch.cancel()
        return None if data is None else pickle.loads(data)

    def last_words(self) -> str:
        """LLVM's complaint, without the trace of the stack that follows it."""
        self.close()
        self.complaints.seek(0)
        lines = self.complaints.read().decode(errors="replace").splitlines()
        self.complaints.close()
        said = [line for line in lines if "LLVM ERROR" in line or "Assertion" in line]
        return (said or lines or ["it said nothing"])[-1]

    def close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self.process.wait()


_lock = threading.Lock()
_worker: _Worker | None = None


def compile_apart(job: Job, what: str) -> bytes:
    """Compile in the worker process; ``what`` names the kernel and target in errors. Raises ``InternalError``."""
    global _worker
    with _lock:
        if _worker is not None and _worker.owner != os.getpid():
            _worker = None  # it belongs to the process that this one was forked from
        if _worker is None:
            _worker = _Worker()
        found = _worker.run(job)
        if found is None:
            words, _worker = _worker.last_words(), None
            raise InternalError(f"LLVM failed on {what}: {words}")
        if job.alone and not hasattr(os, "fork"):
            _worker.last_words()
            _worker = None
    if isinstance(found, str):
        raise InternalError(f"LLVM failed on {what}: {found}")
    return found


@atexit.register
def _stop() -> None:
    global _worker
    if _worker is not None and _worker.owner == os.getpid():
        _worker.close()
        _worker.complaints.close()
    _worker = None
