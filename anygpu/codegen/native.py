"""LLVM IR text to object code for CPUs: this machine's, or another."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from anygpu.codegen.soft_halves import soft_halves
from anygpu.errors import InternalError


@dataclass(frozen=True)
class HostCpu:
    """The processor that code is made for: LLVM's name of it, its features, and what they mean for masks."""

    triple: str
    name: str
    features: str

    @property
    def mask_bits(self) -> int:
        """The width of a stored mask's element: 1 where the machine has mask registers, else a float's."""
        return 1 if "+avx512vl" in self.features else 32

    @property
    def vector_bits(self) -> int:
        """The width of its vector registers."""
        if "+avx512f" in self.features:
            return 512
        return 256 if "+avx2" in self.features else 128


@functools.cache
def host_cpu() -> HostCpu:
    """This machine's processor, as LLVM sees it."""
    import llvmlite.binding as llvm

    return HostCpu(llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())


# A kernel of some hundred lines, with masks and checks. LLVM's better register allocator takes seconds for it, and time that
# grows with the square; the plain one takes a twentieth.
_LARGE = 1_500_000


@functools.cache
def _initialize(native: bool) -> None:
    import llvmlite.binding as llvm

    if native:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    else:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()


def compile_to_object(text: str, cpu: HostCpu, stages: dict[str, str] | None = None, straight: bool = False) -> bytes:
    """Object code of an LLVM module. With ``stages``, its optimised IR and assembly are put there under "llvm" and "asm".

    ``straight``: its code has no loop but that over strips. Then five passes give what the forty of LLVM's pipeline give, in a quarter of
    their time.

    The module is verified first: passes on an invalid one would crash the process.
    """
    return compile_modules([text], cpu, stages, straight)


def compile_modules(texts: Sequence[str], cpu: HostCpu, stages: dict[str, str] | None = None, straight: bool = False) -> bytes:
    """Object code of several LLVM modules, which see each other's functions, as one."""
    import llvmlite.binding as llvm

    _initialize(cpu.triple == llvm.get_process_triple())
    effort = 2 if max(map(len, texts)) < _LARGE else 0

    def machine() -> llvm.TargetMachine:
        return llvm.Target.from_triple(cpu.triple).create_target_machine(
            cpu=cpu.name, features=cpu.features, opt=effort, reloc="pic", codemodel="small"
        )

    try:
        module = llvm.parse_assembly(texts[0])
        for text in [*texts[1:], *soft_halves(texts, cpu.triple, cpu.features)]:
            module.link_in(llvm.parse_assembly(text))
        module.verify()
    except RuntimeError as error:
        raise InternalError(f"the generated LLVM IR is not valid: {error}") from error
    target = machine()
    options = llvm.create_pipeline_tuning_options(speed_level=1)  # level 2 took a third longer and gave nothing measurable
    options.loop_vectorization = False  # strips are vectors already
    options.slp_vectorization = False
    options.loop_interleaving = False
    builder = llvm.create_pass_builder(target, options)
    if straight:
        passes = llvm.create_new_module_pass_manager()
        passes.add_sroa_pass()
        passes.add_simplify_cfg_pass()
        passes.add_instruction_combine_pass()
        passes.add_new_gvn_pass()
        passes.add_simplify_cfg_pass()
    else:
        passes = builder.getModulePassManager()
    passes.run(module, builder)
    if stages is not None:
        stages["llvm"] = str(module)
        stages["asm"] = machine().emit_assembly(llvm.parse_assembly(str(module)))  # emission changes a module: use a copy
    return bytes(target.emit_object(module))
