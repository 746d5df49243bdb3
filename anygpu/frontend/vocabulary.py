"""The words that exist only inside kernels, as Python objects that editors can complete and that say so when called outside."""

from __future__ import annotations

from collections.abc import Callable


class Word:
    """One word of the kernel language. Its meaning is given in ``frontend.calls``; here it has a name and a sentence.

    Any callable with an attribute ``__anygpu_word__`` is taken for the word of that name, so that a library may offer plain
    Python stand-ins.
    """

    # What a call outside kernels does, for a word that has a meaning there too.
    outside: Callable[..., object] | None = None

    def __init__(self, name: str, doc: str, **members: Word):
        self.__anygpu_word__ = name
        self.__name__ = name.rpartition(".")[2]
        self.__doc__ = doc
        self._members = members
        for member_name, member in members.items():
            setattr(self, member_name, member)

    def __repr__(self) -> str:
        return f"<kernel word ag.{self.__anygpu_word__}>"

    def __dir__(self) -> list[str]:
        return list(self._members)

    def __call__(self, *args: object, **kwargs: object) -> object:
        if self.outside is not None:
            return self.outside(*args, **kwargs)
        raise RuntimeError(
            f"ag.{self.__anygpu_word__} exists only inside kernels: call it in a function decorated with @ag.kernel or @ag.func"
        )

    def __getitem__(self, key: object) -> object:
        raise RuntimeError(f"ag.{self.__anygpu_word__} exists only inside kernels")


def _axes(name: str, doc: str) -> Word:
    return Word(name, doc, **{axis: Word(f"{name}.{axis}", f"{doc} Along {axis}; an int64.") for axis in "xyz"})


grid = Word("grid", "ag.grid(n): this work-item's absolute position, an int for n = 1, else a tuple of n. In a grid launch the order is "
            "(x, y, z); in a `forall` range it is the order of the range's axes, of which the last varies fastest.")  # fmt: skip
gridsize = Word("gridsize", "ag.gridsize(n): the number of work-items along each axis, in the order of ag.grid(n).")
threadIdx = _axes("threadIdx", "The work-item's index in its block.")
blockIdx = _axes("blockIdx", "The block's index in the grid.")
blockDim = _axes("blockDim", "The block's extent in work-items.")
gridDim = _axes("gridDim", "The grid's extent in blocks.")
laneid = Word("laneid", "The work-item's lane in its warp, 0 to 31.")
warpsize = Word("warpsize", "The number of lanes in a warp: 32 on every device.")

shared = Word(
    "shared",
    "Memory shared by a block.",
    array=Word(
        "shared.array",
        "ag.shared.array(shape, dtype): an array in the block's shared memory. The shape is constant; 0 means the dynamic shared memory "
        "that the launch asks for. It starts with unspecified contents, which may be those of an earlier launch.",
    ),
)
local = Word(
    "local",
    "Memory of one work-item.",
    array=Word(
        "local.array",
        "ag.local.array(shape, dtype): an array of this work-item alone, of constant shape. It starts with unspecified contents.",
    ),
)
const = Word(
    "const",
    "Constant memory.",
    array_like=Word("const.array_like", "ag.const.array_like(a): the values of a captured NumPy array, as constants."),
)

syncthreads = Word("syncthreads", "Wait until every work-item of the block arrives; memory is consistent afterwards.")
syncthreads_count = Word("syncthreads_count", "syncthreads, and the number of work-items whose predicate held.")
syncthreads_and = Word("syncthreads_and", "syncthreads, and 1 if every work-item's predicate held, else 0.")
syncthreads_or = Word("syncthreads_or", "syncthreads, and 1 if any work-item's predicate held, else 0.")
syncwarp = Word("syncwarp", "Wait until the lanes of the warp named in the mask arrive.")
threadfence = Word("threadfence", "Order this work-item's writes for the whole device.")
threadfence_block = Word("threadfence_block", "Order this work-item's writes for its block.")
threadfence_system = Word("threadfence_system", "Order this work-item's writes for the whole system.")

_ATOMICS = {
    "add": "old + value", "sub": "old - value", "min": "the lesser of old and value", "max": "the greater of old and value",
    "nanmin": "the lesser, ignoring NaN", "nanmax": "the greater, ignoring NaN", "and_": "old & value", "or_": "old | value",
    "xor": "old ^ value",
    "inc": "0 if old >= value else old + 1", "dec": "value if old == 0 or old > value else old - 1", "exch": "value",
}  # fmt: skip
atomic = Word(
    "atomic",
    "Atomic read-modify-write operations; each returns the old value.",
    **{
        name: Word(f"atomic.{name}", f"ag.atomic.{name}(array, index, value): store {meaning}; the old value is returned.")
        for name, meaning in _ATOMICS.items()
    },
    cas=Word(
        "atomic.cas",
        "ag.atomic.cas(array, index, expected, value): store value if the old value equals expected; the old value is returned.",
    ),
    compare_and_swap=Word("atomic.compare_and_swap", "ag.atomic.compare_and_swap(array, expected, value): cas on the first element."),
)

shfl_sync = Word("shfl_sync", "ag.shfl_sync(mask, value, lane): the value of another lane of the warp.")
shfl_up_sync = Word("shfl_up_sync", "ag.shfl_up_sync(mask, value, delta): the value of the lane delta below.")
shfl_down_sync = Word("shfl_down_sync", "ag.shfl_down_sync(mask, value, delta): the value of the lane delta above.")
shfl_xor_sync = Word("shfl_xor_sync", "ag.shfl_xor_sync(mask, value, lane_mask): the value of lane XOR lane_mask.")
all_sync = Word("all_sync", "ag.all_sync(mask, predicate): True if it holds in all lanes.")
any_sync = Word("any_sync", "ag.any_sync(mask, predicate): True if it holds in any lane.")
eq_sync = Word("eq_sync", "ag.eq_sync(mask, predicate): True if it is the same in all lanes.")
ballot_sync = Word("ballot_sync", "ag.ballot_sync(mask, predicate): a uint32 with the bit of each lane in which it holds.")
match_any_sync = Word("match_any_sync", "ag.match_any_sync(mask, value): a uint32 with the bits of the lanes that have the same value.")
match_all_sync = Word(
    "match_all_sync", "ag.match_all_sync(mask, value): (mask of the lanes if all have the same value else 0, whether they have)."
)
activemask = Word("activemask", "ag.activemask(): a uint32 with the bits of the lanes that are active here.")
lanemask_lt = Word("lanemask_lt", "ag.lanemask_lt(): a uint32 with the bits of all lanes below this one.")
reduce_add_sync, reduce_min_sync, reduce_max_sync, reduce_and_sync, reduce_or_sync, reduce_xor_sync = (
    Word(f"reduce_{name}_sync", f"ag.reduce_{name}_sync(mask, value): {name} over the lanes of the warp, the same in each.")
    for name in ("add", "min", "max", "and", "or", "xor")
)

popc = Word("popc", "ag.popc(x): the number of one bits, an int32.")
clz = Word("clz", "ag.clz(x): the number of leading zero bits, an int32.")
ffs = Word("ffs", "ag.ffs(x): the position of the lowest one bit counted from 1, or 0 if there is none, an int32.")
brev = Word("brev", "ag.brev(x): the bits in reverse order.")
mulhi = Word("mulhi", "ag.mulhi(a, b): the upper half of the integer product.")
fma = Word("fma", "ag.fma(a, b, c): a*b + c rounded once.")
selp = Word("selp", "ag.selp(condition, a, b): a where the condition holds, else b; both are evaluated.")
select = Word(
    "select",
    "ag.select(condition, a, b): a where the condition holds, else b; both are evaluated. Outside kernels it is NumPy's: "
    "ag.select(condlist, choicelist, default=0).",
)
bitcast = Word("bitcast", "ag.bitcast(x, dtype): the bits of x as a dtype of the same size.")
rsqrt = Word("rsqrt", "ag.rsqrt(x): 1/sqrt(x).")
exp10 = Word("exp10", "ag.exp10(x): 10**x.")
sinpi = Word("sinpi", "ag.sinpi(x): sin(pi*x).")
cospi = Word("cospi", "ag.cospi(x): cos(pi*x).")
cg = Word("cg", "Cooperative groups.", this_grid=Word("cg.this_grid", "ag.cg.this_grid(): the grid, whose sync() waits for every block."))

WORDS: dict[str, Word] = {name: value for name, value in list(globals().items()) if isinstance(value, Word)}


def word_of(obj: object) -> str | None:
    """The name of the word that an object stands for, or None."""
    name = getattr(obj, "__anygpu_word__", None)
    return name if isinstance(name, str) else None
