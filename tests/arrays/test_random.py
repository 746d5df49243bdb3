"""`ag.random`: Philox's known answers, distributions against SciPy's, NumPy's errors, and the same bits on every device."""

from __future__ import annotations

import copy
import math
import os
import pickle
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import anygpu as ag
from anygpu.arrays import random_kernels, random_samplers

SAMPLES = 100_000
# A right generator fails a test of a fixed seed with this chance, once and for all.
SIGNIFICANT = 1e-4


def on_host(x: ag.ndarray) -> np.ndarray:
    return np.asarray(x)


# --------------------------------------------------------------------------------------------------------------------------- bits

# From the known-answer tests of Random123, "philox4x32 10": counter, key, the four words.
PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0)
KNOWN = [
    ((0, 0, 0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 6, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (PI, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


@ag.kernel
def one_block(c0, c1, c2, c3, k0, k1, out):
    w = random_kernels.words((np.uint32(k0), np.uint32(k1), np.uint32(c0), np.uint32(c1), np.uint32(c3)), np.uint32(c2))
    for n, value in enumerate(w):
        out[n] = value


@pytest.mark.parametrize("given_words, wanted", KNOWN, ids=["zeros", "ones", "pi"])
def test_known_answers(given_words, wanted):
    out = np.zeros(4, np.uint32)
    one_block[1, 1](*given_words, out)
    assert tuple(out.tolist()) == wanted


def reference_words(key: tuple[int, int], counter: tuple[int, int, int, int]) -> list[int]:
    """Philox4x32-10 in Python's integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


@settings(max_examples=30, deadline=None)
@given(
    key=st.tuples(*[st.integers(0, 2**32 - 1)] * 2),
    position=st.integers(0, 2**64 - 1),
    stream=st.integers(0, 2**32 - 1),
    size=st.integers(1, 300),
)
def test_which_counter_an_element_has(key, position, stream, size):
    """Element ``e`` of the words is word ``e // 32 % 4`` of block ``e // 128 * 32 + e % 32``, also where positions carry."""
    counter = [position % 2**32, position >> 32, 0, stream]
    found = on_host(ag.random.Philox(key=key, counter=counter).random_raw(size)).tolist()
    for e in {0, size // 2, size - 1}:
        at = (position + e // 128 * 32 + e % 32) % 2**64
        assert found[e] == reference_words(key, (at % 2**32, at >> 32, 0, stream))[e // 32 % 4]


def test_a_draw_does_not_depend_on_how_many_are_drawn():
    for name, more in (("random", {}), ("standard_normal", {"dtype": np.float32}), ("standard_exponential", {})):
        short = on_host(getattr(ag.random.default_rng(5), name)(1000, **more))
        long = on_host(getattr(ag.random.default_rng(5), name)(5000, **more))
        np.testing.assert_array_equal(short, long[:1000])


METHODS = [
    ("random", (), {}), ("random", (), {"dtype": np.float32}), ("normal", (1.0, 2.0), {}), ("normal", (1.0, 2.0), {"dtype": np.float32}),
    ("standard_exponential", (), {}), ("standard_exponential", (), {"dtype": np.float32}), ("laplace", (), {}), ("logistic", (), {}),
    ("gumbel", (), {"dtype": np.float32}), ("standard_cauchy", (), {}), ("gamma", (0.3, 2.0), {}),
    ("gamma", (3.3, 2.0), {"dtype": np.float32}),
    ("beta", (0.3, 2.0), {}), ("poisson", (3.0,), {}), ("poisson", (50.0,), {}), ("binomial", (10, 0.2), {}), ("binomial", (1000, 0.7), {}),
    ("geometric", (0.2,), {}), ("hypergeometric", (50, 70, 40), {}), ("vonmises", (1.0, 2.0), {}), ("zipf", (3.0,), {}),
    ("logseries", (0.6,), {}), ("integers", (-5, 12), {"dtype": np.int8}), ("integers", (0, 3 << 60), {}), ("standard_t", (4.0,), {}),
    ("triangular", (0.0, 1.0, 3.0), {}), ("wald", (1.0, 2.0), {}), ("weibull", (1.5,), {}),
]  # fmt: skip


@pytest.mark.parametrize("name, args, more", METHODS, ids=lambda v: v if isinstance(v, str) else None)
def test_the_same_bits_on_opencl(name, args, more):
    if "opencl:0" not in [found.name for found in ag.devices()]:
        pytest.skip(f"no OpenCL device: {ag.problems().get('opencl')}")
    here = on_host(getattr(ag.random.default_rng(11), name)(*args, size=5000, **more))
    with ag.Device("opencl:0"):
        made = getattr(ag.random.default_rng(11), name)(*args, size=5000, **more)
        assert made.device.name == "opencl:0"
        there = on_host(made)
    assert here.dtype == there.dtype
    assert here.tobytes() == there.tobytes()


@pytest.mark.parametrize("target", ["sm_90", "gfx942"])
def test_kernels_compile_for_gpus(target):
    numbers, whole = np.zeros(64), np.zeros(64, np.int64)
    for kernel, args in (
        (random_kernels.shared_kernel("normal", "float32"), (0.0, 1.0, np.zeros(64, np.float32))),
        (random_kernels.integers_kernel("uint64", "int64"), (0, 7, whole)),
        (random_kernels.each_kernel(random_samplers.beta, 2, True, "float64"), (numbers, numbers, numbers)),
        (random_kernels.each_kernel(random_samplers.poisson, 1, False, "int64"), (3.0, whole)),
    ):
        text = kernel.inspect(1, 2, 3, 4, 5, *args, stage="asm", forall=64, target=target)
        assert ("mul.hi.u32" in text or "mul.wide.u32" in text) if target == "sm_90" else "v_mul_hi_u32" in text or "v_mad_u64_u32" in text


def test_the_same_bits_for_any_number_of_threads():
    code = (
        "import anygpu as ag, numpy as np, hashlib; r = ag.random.default_rng(3);"
        "x = [r.normal(size=70_001), r.gamma(0.7, size=70_001), r.poisson(40, size=70_001), r.integers(0, 1000, 70_001)];"
        "print(hashlib.sha256(b''.join(np.asarray(a).tobytes() for a in x)).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "ANYGPU_NUM_THREADS": n}, capture_output=True, text=True, check=True
        ).stdout
        for n in ("1", "2", "5")
    }
    assert len(found) == 1


# -------------------------------------------------------------------------------------------------------------- distributions

CONTINUOUS = {
    "random": ((), stats.uniform()),
    "uniform": ((-2.0, 5.0), stats.uniform(-2, 7)),
    "standard_normal": ((), stats.norm()),
    "normal": ((1.5, 0.25), stats.norm(1.5, 0.25)),
    "lognormal": ((0.5, 0.75), stats.lognorm(0.75, scale=math.exp(0.5))),
    "standard_exponential": ((), stats.expon()),
    "exponential": ((3.0,), stats.expon(scale=3)),
    "laplace": ((1.0, 2.0), stats.laplace(1, 2)),
    "logistic": ((1.0, 2.0), stats.logistic(1, 2)),
    "gumbel": ((1.0, 2.0), stats.gumbel_r(1, 2)),
    "standard_cauchy": ((), stats.cauchy()),
    "rayleigh": ((2.0,), stats.rayleigh(scale=2)),
    "weibull": ((1.5,), stats.weibull_min(1.5)),
    "pareto": ((3.0,), stats.lomax(3)),
    "power": ((2.5,), stats.powerlaw(2.5)),
    "triangular": ((-1.0, 0.5, 2.0), stats.triang(0.5, -1, 3)),
    "standard_gamma": ((0.25,), stats.gamma(0.25)),
    "gamma": ((7.5, 2.0), stats.gamma(7.5, scale=2)),
    "beta": ((0.5, 3.0), stats.beta(0.5, 3)),
    "chisquare": ((3.0,), stats.chi2(3)),
    "noncentral_chisquare": ((0.5, 3.0), stats.ncx2(0.5, 3)),
    "f": ((4.0, 9.0), stats.f(4, 9)),
    "noncentral_f": ((4.0, 9.0, 2.0), stats.ncf(4, 9, 2)),
    "standard_t": ((4.0,), stats.t(4)),
    "wald": ((2.0, 3.0), stats.invgauss(2 / 3, scale=3)),
    "vonmises": ((0.0, 2.0), stats.vonmises(2.0)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous(name, dtype):
    args, wanted = CONTINUOUS[name]
    x = getattr(ag.random.default_rng(2024), name)(*args, size=SAMPLES, dtype=dtype)
    assert (x.shape, x.dtype) == ((SAMPLES,), np.dtype(dtype))
    found = on_host(x).astype(np.float64)
    assert np.all(np.isfinite(found))
    assert stats.kstest(found, wanted.cdf).pvalue > SIGNIFICANT
    mean, variance = wanted.stats("mv")
    if name == "vonmises":
        variance = wanted.var()
    if np.isfinite(mean) and np.isfinite(variance):
        assert abs(found.mean() - mean) < 5 * math.sqrt(variance / SAMPLES)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [0.01, 0.9, 1.0, 1.5, 100.0, 1e4])
def test_gamma_shapes(shape, dtype):
    found = on_host(ag.random.default_rng(8).standard_gamma(shape, SAMPLES, dtype=dtype)).astype(np.float64)
    tiny = 1e-30 if dtype == "float32" else 1e-290  # below, float numbers end and the distribution goes on
    cut = stats.gamma(shape).cdf(tiny)
    assert stats.kstest(np.maximum(found, tiny), lambda x: np.where(x <= tiny, cut, stats.gamma(shape).cdf(x))).pvalue > SIGNIFICANT or (
        cut > 0.01 and stats.kstest(found[found > tiny], lambda x: (stats.gamma(shape).cdf(x) - cut) / (1 - cut)).pvalue > SIGNIFICANT
    )


DISCRETE = {
    "poisson 0.1": ("poisson", (0.1,), stats.poisson(0.1)),
    "poisson 9.9": ("poisson", (9.9,), stats.poisson(9.9)),
    "poisson 10": ("poisson", (10.0,), stats.poisson(10)),
    "poisson 1234": ("poisson", (1234.0,), stats.poisson(1234)),
    "binomial small": ("binomial", (20, 0.2), stats.binom(20, 0.2)),
    "binomial small, likely": ("binomial", (20, 0.9), stats.binom(20, 0.9)),
    "binomial large": ("binomial", (1000, 0.3), stats.binom(1000, 0.3)),
    "binomial large, likely": ("binomial", (1000, 0.75), stats.binom(1000, 0.75)),
    "geometric likely": ("geometric", (0.7,), stats.geom(0.7)),
    "geometric rare": ("geometric", (0.01,), stats.geom(0.01)),
    "negative_binomial": ("negative_binomial", (3.5, 0.3), stats.nbinom(3.5, 0.3)),
    "hypergeometric small": ("hypergeometric", (7, 5, 4), stats.hypergeom(12, 7, 4)),
    "hypergeometric large": ("hypergeometric", (300, 700, 450), stats.hypergeom(1000, 300, 450)),
    "hypergeometric most": ("hypergeometric", (700, 300, 850), stats.hypergeom(1000, 700, 850)),
    "zipf": ("zipf", (2.5,), stats.zipf(2.5)),
    "logseries": ("logseries", (0.8,), stats.logser(0.8)),
    "integers 32": ("integers", (-3, 50), stats.randint(-3, 50)),
    "integers 64": ("integers", (0, 1 << 40), None),
}


def chi_square(found: np.ndarray, wanted) -> float:
    """The p-value of counts, of values that are expected ten times or more and of all above and below them."""
    low, high = wanted.ppf(1e-3), wanted.ppf(1 - 1e-3)
    edges = np.arange(low, high + 1)
    chance = wanted.pmf(edges)
    use = chance * len(found) >= 10
    edges, chance = edges[use], chance[use]
    counts = np.histogram(found, np.append(edges, edges[-1] + 1) - 0.5)[0]
    rest = 1 - chance.sum()
    if rest * len(found) >= 10:
        counts, chance = np.append(counts, len(found) - counts.sum()), np.append(chance, rest)
    else:
        chance = chance / chance.sum()
    return float(stats.chisquare(counts, chance * counts.sum()).pvalue)


@pytest.mark.parametrize("case", DISCRETE)
def test_discrete(case):
    name, args, wanted = DISCRETE[case]
    x = getattr(ag.random.default_rng(77), name)(*args, size=SAMPLES)
    assert x.dtype == np.int64
    found = on_host(x)
    if wanted is None:
        assert stats.kstest(found / args[1], "uniform").pvalue > SIGNIFICANT
        return
    assert chi_square(found, wanted) > SIGNIFICANT
    if np.isfinite(wanted.var()):
        assert abs(found.mean() - wanted.mean()) < 5 * wanted.std() / math.sqrt(SAMPLES)


def test_integers_without_bias():
    """Of three quarters of the words' range a plain remainder would make the first third twice as likely."""
    for bound, dtype in ((3 << 30, np.uint32), (3 << 62, np.uint64)):
        found = on_host(ag.random.default_rng(1).integers(0, bound, SAMPLES, dtype=dtype)).astype(np.float64)
        counts = np.histogram(found, np.linspace(0, bound, 4))[0]
        assert counts.sum() == SAMPLES
        assert stats.chisquare(counts).pvalue > SIGNIFICANT


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_integers_of_every_dtype_reach_both_ends(dtype):
    low, high = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    x = ag.random.default_rng(1).integers(low, high, 4000, dtype=dtype, endpoint=True)
    assert x.dtype == np.dtype(dtype)
    found = on_host(x).astype(np.float64)
    assert found.min() <= low + (high - low) / 64
    assert found.max() >= high - (high - low) / 64
    narrow = on_host(ag.random.default_rng(2).integers([[low], [high]], high, (2, 50), dtype=dtype, endpoint=True))
    assert np.all(narrow[1] == high)


def test_neighbours_and_streams_are_not_correlated():
    rng = ag.random.default_rng(4)
    x = on_host(rng.standard_normal(SAMPLES))
    others = [on_host(g.standard_normal(SAMPLES)) for g in (*rng.spawn(2), ag.random.Generator(rng.bit_generator.jumped()))]
    lags = [np.corrcoef(x[:-lag], x[lag:])[0, 1] for lag in (1, 2, 31, 32, 33, 64)]
    crossed = [np.corrcoef(x, other)[0, 1] for other in others]
    assert max(map(abs, lags + crossed)) < 5 / math.sqrt(SAMPLES)


# ----------------------------------------------------------------------------------------------------- rows, choices and orders


def test_dirichlet():
    alpha = [0.4, 2.0, 5.0, 0.0]
    x = on_host(ag.random.default_rng(3).dirichlet(alpha, 20_000))
    np.testing.assert_allclose(x.sum(axis=1), 1)
    assert np.all(x[:, 3] == 0)
    for n, a in enumerate(alpha[:3]):
        assert stats.kstest(x[:, n], stats.beta(a, sum(alpha) - a).cdf).pvalue > SIGNIFICANT
    tiny = on_host(ag.random.default_rng(3).dirichlet([1e-4, 1e-4], 1000))  # both gamma numbers are 0 in float64
    assert np.all(np.isfinite(tiny)) and np.allclose(tiny.sum(axis=1), 1)


@pytest.mark.parametrize("method", ["svd", "eigh", "cholesky"])
def test_multivariate_normal(method):
    mean, cov = [1.0, -2.0, 0.5], np.array([[2.0, 0.6, -0.3], [0.6, 1.0, 0.2], [-0.3, 0.2, 0.5]])
    x = on_host(ag.random.default_rng(6).multivariate_normal(mean, cov, SAMPLES, method=method))
    assert x.shape == (SAMPLES, 3)
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.04)
    with pytest.warns(RuntimeWarning, match="covariance is not symmetric positive-semidefinite"):
        ag.random.default_rng(6).multivariate_normal([0, 0], [[1, 2], [2, 1]])


def test_multinomial():
    p = np.array([0.2, 0.5, 0.05, 0.25])
    x = on_host(ag.random.default_rng(9).multinomial(60, p, 20_000))
    assert np.all(x.sum(axis=1) == 60) and x.min() >= 0
    for n in range(4):
        assert chi_square(x[:, n], stats.binom(60, p[n])) > SIGNIFICANT
    np.testing.assert_allclose(np.cov(x.T)[0, 1], -60 * p[0] * p[1], rtol=0.1)
    rows = on_host(ag.random.default_rng(9).multinomial([[5], [7]], [[0.5, 0.5], [0.1, 0.9], [1.0, 0.0]]))
    assert rows.shape == (2, 3, 2)
    assert np.all(rows.sum(axis=-1) == [[5] * 3, [7] * 3]) and np.all(rows[:, 2, 1] == 0)


def test_multivariate_hypergeometric():
    x = on_host(ag.random.default_rng(9).multivariate_hypergeometric([30, 20, 50], 40, 20_000))
    assert np.all(x.sum(axis=1) == 40)
    for n, marbles in enumerate((30, 20, 50)):
        assert chi_square(x[:, n], stats.hypergeom(100, marbles, 40)) > SIGNIFICANT


def test_choice():
    rng = ag.random.default_rng(12)
    p = [0.1, 0.0, 0.6, 0.3]
    counts = np.bincount(on_host(rng.choice(4, SAMPLES, p=p)), minlength=4)
    assert counts[1] == 0
    assert stats.chisquare(counts[[0, 2, 3]], SAMPLES * np.array([0.1, 0.6, 0.3])).pvalue > SIGNIFICANT
    assert set(on_host(rng.choice([10, 20, 30], (5, 5))).ravel().tolist()) <= {10, 20, 30}
    all_of_them = on_host(rng.choice(50, 50, replace=False))
    assert sorted(all_of_them.tolist()) == list(range(50)) != all_of_them.tolist()
    assert rng.choice(np.arange(12).reshape(3, 4), 2, axis=1).shape == (3, 2)
    assert rng.choice(5).shape == ()
    assert rng.choice([], 0).shape == (0,)


def test_choice_without_replacement_takes_one_after_the_other():
    p = np.array([0.5, 0.3, 0.2])
    rng = ag.random.default_rng(13)
    counts: dict[tuple[int, ...], int] = {}
    for _ in range(3000):
        pair = tuple(on_host(rng.choice(3, 2, replace=False, p=p)).tolist())
        counts[pair] = counts.get(pair, 0) + 1
    pairs = [(a, b) for a in range(3) for b in range(3) if a != b]
    wanted = [p[a] * p[b] / (1 - p[a]) for a, b in pairs]
    assert stats.chisquare([counts[pair] for pair in pairs], 3000 * np.array(wanted)).pvalue > SIGNIFICANT


def test_every_order_is_as_likely():
    rng = ag.random.default_rng(14)
    lines = on_host(rng.permuted(np.tile(np.arange(4), (24_000, 1)), axis=1))
    counts = np.unique(lines @ [1000, 100, 10, 1], return_counts=True)[1]
    assert len(counts) == 24 and stats.chisquare(counts).pvalue > SIGNIFICANT


def test_permutations_and_shuffles():
    rng = ag.random.default_rng(15)
    assert sorted(on_host(rng.permutation(100)).tolist()) == list(range(100))
    table = np.arange(60).reshape(20, 3)
    moved = on_host(rng.permutation(table))
    assert sorted(map(tuple, moved.tolist())) == sorted(map(tuple, table.tolist())) and not np.array_equal(moved, table)
    columns = on_host(rng.permutation(table, axis=1))
    assert sorted(map(tuple, columns.T.tolist())) == sorted(map(tuple, table.T.tolist()))
    for x in (ag.arange(100), np.arange(100), list(range(100))):
        assert rng.shuffle(x) is None
        found = x if isinstance(x, list) else np.asarray(x).tolist()
        assert sorted(found) == list(range(100)) != found
    view = ag.zeros((100, 2), np.int64)
    view[:, 1] = ag.arange(100)
    rng.shuffle(view[:, 1])
    assert sorted(on_host(view)[:, 1].tolist()) == list(range(100)) and np.all(on_host(view)[:, 0] == 0)
    out = ag.zeros((20, 3), np.int64)
    assert rng.permuted(table, out=out) is out
    assert sorted(on_host(out).ravel().tolist()) == list(range(60))


# ---------------------------------------------------------------------------------------------------------------- state and seeds


def test_seeds():
    for seed in (0, 3, [1, 2, 3], np.random.SeedSequence(5)):
        again = np.random.SeedSequence(5) if isinstance(seed, np.random.SeedSequence) else seed
        np.testing.assert_array_equal(on_host(ag.random.default_rng(seed).random(9)), on_host(ag.random.default_rng(again).random(9)))
    assert not np.array_equal(on_host(ag.random.default_rng(1).random(9)), on_host(ag.random.default_rng(2).random(9)))
    assert not np.array_equal(on_host(ag.random.default_rng().random(9)), on_host(ag.random.default_rng().random(9)))
    rng = ag.random.default_rng(3)
    assert ag.random.default_rng(rng) is rng
    assert ag.random.default_rng(rng.bit_generator).bit_generator is rng.bit_generator


def test_state_copies_and_pickles():
    rng = ag.random.default_rng(21)
    rng.random(1000)
    twins = [copy.deepcopy(rng), pickle.loads(pickle.dumps(rng)), ag.random.default_rng(0)]
    twins[2].bit_generator.state = rng.bit_generator.state
    wanted = on_host(rng.gamma(2, size=50))
    for twin in twins:
        np.testing.assert_array_equal(on_host(twin.gamma(2, size=50)), wanted)
    children = [g.random(5).tolist() for g in rng.spawn(2)]
    assert children == [g.random(5).tolist() for g in twins[1].spawn(2)]
    assert children[0] != children[1]


def test_advance_and_jumped():
    stream = ag.random.Philox(7)
    first = on_host(stream.random_raw(128))  # 32 positions
    stream.advance(-32)
    np.testing.assert_array_equal(on_host(stream.random_raw(128)), first)
    away = stream.jumped(2)
    assert away == stream.jumped().jumped() != stream
    assert away.state["state"]["counter"].tolist()[:2] == stream.state["state"]["counter"].tolist()[:2]


def test_threads_share_a_generator_and_no_position():
    rng = ag.random.default_rng(2)
    found: list[np.ndarray] = []

    def draw() -> None:
        found.extend([on_host(rng.random(64)).copy() for _ in range(20)])

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = np.concatenate(found)
    assert len(np.unique(everything)) == len(everything) == 4 * 20 * 64


# --------------------------------------------------------------------------------------------------- shapes, dtypes, outputs, errors


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["normal", "gamma", "uniform", "beta", "binomial"]),
    first=st.sampled_from([(), (1,), (3,), (2, 1), (2, 3), (0,)]),
    second=st.sampled_from([(), (1,), (3,), (2, 1), (2, 3), (4,)]),
    size=st.sampled_from([None, (), 3, (2, 3), (4, 2, 3), (1,), (0, 3), 5]),
    ours=st.booleans(),
)
def test_shapes_are_numpys(name, first, second, size, ours):
    def call(rng: object, wrap: object):
        a, b = np.full(first, 1.0), np.full(second, 1.0 if name != "uniform" else 2.0)
        if name == "binomial":
            a, b = np.full(first, 3), np.full(second, 0.5)
        return getattr(rng, name)(wrap(a), wrap(b), size=size)

    try:
        wanted = np.shape(call(np.random.default_rng(0), lambda x: x))
    except ValueError as error:
        with pytest.raises(ValueError) as found:
            call(ag.random.default_rng(0), ag.array if ours else np.array)
        assert str(found.value)[:63] == str(error)[:63]  # which arguments do not go together is counted in other ways
    else:
        assert call(ag.random.default_rng(0), ag.array if ours else np.array).shape == wanted


@settings(max_examples=40, deadline=None)
@given(mean=st.floats(-1e3, 1e3), spread=st.floats(0, 1e3), dtype=st.sampled_from(["float32", "float64"]), seed=st.integers(0, 2**128))
def test_numbers_and_arrays_of_them_draw_the_same_bits(mean, spread, dtype, seed):
    one = on_host(ag.random.default_rng(seed).normal(mean, spread, 40, dtype=dtype))
    many = on_host(ag.random.default_rng(seed).normal([mean] * 40, [spread] * 40, dtype=dtype))
    assert one.tobytes() == many.tobytes()
    one = on_host(ag.random.default_rng(seed).gamma(spread, 2.0, 40, dtype=dtype))
    many = on_host(ag.random.default_rng(seed).gamma([spread] * 40, 2.0, dtype=dtype))
    assert one.tobytes() == many.tobytes()


def test_out():
    rng, again = ag.random.default_rng(5), ag.random.default_rng(5)
    for name in ("random", "standard_normal", "standard_exponential"):
        for out in (ag.empty((3, 50), np.float32), np.empty((3, 50), np.float32)):
            found = getattr(rng, name)(dtype=np.float32, out=out)
            np.testing.assert_array_equal(np.asarray(out), on_host(getattr(again, name)((3, 50), np.float32)))
            assert found.shape == (3, 50)
    out = ag.empty(50)
    assert rng.standard_gamma(2.0, out=out) is out
    np.testing.assert_array_equal(on_host(out), on_host(again.standard_gamma(2.0, 50)))


def test_extreme_parameters():
    rng = ag.random.default_rng(1)
    assert on_host(rng.gamma(0.0, 1.0, 9)).tolist() == [0.0] * 9
    assert on_host(rng.poisson(0.0, 9)).tolist() == [0] * 9
    assert on_host(rng.binomial(5, 0.0, 9)).tolist() == [0] * 9
    assert on_host(rng.binomial(5, 1.0, 9)).tolist() == [5] * 9
    assert on_host(rng.binomial(0, 0.5, 9)).tolist() == [0] * 9
    assert on_host(rng.geometric(1.0, 9)).tolist() == [1] * 9
    assert on_host(rng.normal(2.0, 0.0, 9)).tolist() == [2.0] * 9
    assert on_host(rng.weibull(0.0, 9)).tolist() == [0.0] * 9
    assert np.all(np.isnan(on_host(rng.gamma(np.nan, 1.0, 9))))
    assert np.all(on_host(rng.poisson(1e15, 100)) > 9e14)
    assert np.all(on_host(rng.geometric(1e-300, 9)) > 10**18)
    assert rng.random((0, 3)).shape == (0, 3)
    assert rng.bytes(0) == b"" and len(rng.bytes(7)) == 7
    assert float(rng.random()) < 1


# Calls whose errors are NumPy's, word for word.
ERRORS = """
random(dtype='float16') | random(3, out=np.empty(4)) | random(out=np.empty(4, np.float32)) | random(-1) | random((2, -1)) | random(2.5)
random(out=[1, 2]) | random(out=np.empty((4, 4))[:, ::2]) | standard_normal(dtype='int32') | standard_normal(3, np.float32, np.empty(3))
normal(0, -1) | normal(0, [1, -1]) | normal([1, 2], [1, 2, 3]) | normal([1, 2], 1, size=3) | normal([[1], [2]], 1, size=2) | normal('a')
exponential(-1) | gamma(-1) | gamma(1, -1) | standard_gamma([-1]) | beta(0, 1) | beta(1, [0]) | chisquare(0) | standard_t(0) | poisson(-1)
poisson([-1]) | poisson(1e20) | poisson(np.nan) | binomial(-1, .5) | binomial(1, 1.5) | binomial(1, [1.5]) | binomial(1, np.nan)
geometric(0) | geometric([0]) | geometric(1.5) | integers(5, 5) | integers(5, 4, endpoint=True) | integers([5], 5) | integers(0)
integers(-1, 300, dtype=np.uint8) | integers(0, 300, dtype=np.uint8) | integers([0], 300, dtype=np.uint8)
integers([-1], 30, dtype=np.uint8) | integers(0, 1e30) | integers(0, 5, dtype=float) | integers(0, 5, dtype='>i4')
integers(0, 3, dtype=bool) | integers(np.nan) | choice(0) | choice(5, 6, replace=False) | choice(5, 3, p=[.5, .5])
choice(2, 3, p=[.5, .4]) | choice(2, 3, p=[-.5, 1.5]) | choice(2, 3, p=[[.5, .5]]) | choice(2, 3, p=[np.nan, 1]) | choice([], 3)
choice(2, 2, replace=False, p=[1, 0]) | choice(2.5) | choice(5, -1) | choice(np.eye(3), 2, axis=5) | shuffle(5) | permutation(2.5)
permuted(np.arange(6).reshape(2, 3), axis=7) | multivariate_normal([0, 0], [[1, 0]]) | multivariate_normal([[0, 0]], np.eye(2))
multivariate_normal([0, 0, 0], np.eye(2)) | multivariate_normal([0, 0], [[1, 2], [2, 1]], check_valid='raise')
multivariate_normal([0, 0], [[1, 2], [2, 1]], method='cholesky') | multivariate_normal([0, 0], np.eye(2), method='foo')
multivariate_normal([0, 0], np.eye(2), check_valid='foo') | lognormal(0, -1) | laplace(0, -1) | logistic(0, -1) | gumbel(0, -1)
weibull(-1) | pareto(0) | rayleigh(-1) | power(0) | vonmises(0, -1) | triangular(0, 0, 0) | triangular(1, 0, 2) | triangular(0, 3, 2)
triangular([0], 3, 2) | wald(0, 1) | wald(1, 0) | zipf(1) | logseries(1) | f(0, 1) | f(1, 0) | noncentral_chisquare(0, 1)
noncentral_chisquare(1, -1) | noncentral_f(1, 1, -1) | negative_binomial(0, .5) | negative_binomial(1, 0) | hypergeometric(1, 1, -1)
hypergeometric(1, 1, 3) | dirichlet([-1, 1]) | dirichlet(1) | multinomial(-1, [.5, .5]) | multinomial(3, [.5, .6, .1])
multinomial(3, [-.5, .6, .1]) | multinomial(3, []) | multinomial(3, .2) | uniform(0, np.inf) | uniform(1, 0) | uniform([0], [np.inf])
multivariate_hypergeometric([[1]], 1) | multivariate_hypergeometric([1, 2], 4) | multivariate_hypergeometric([1], -1)
"""


@pytest.mark.parametrize("call", [part.strip() for line in ERRORS.strip().splitlines() for part in line.split(" | ")])
def test_errors_are_numpys(call):
    with pytest.raises(Exception) as wanted:
        eval(f"rng.{call}", {"rng": np.random.default_rng(0), "np": np})
    with pytest.raises(wanted.type) as found:
        eval(f"rng.{call}", {"rng": ag.random.default_rng(0), "np": np})
    assert str(found.value) == str(wanted.value)


def test_our_own_errors():
    with pytest.raises(TypeError, match=r"Generator takes an anygpu.random.Philox, not int: ag.random.default_rng\(seed\) makes one"):
        ag.random.Generator(3)
    with pytest.raises(ValueError, match="seed and key cannot be both used"):
        ag.random.Philox(1, key=1)
    with pytest.raises(ValueError, match=r"key must be positive and less than 2\*\*64."):
        ag.random.Philox(key=-1)
    with pytest.raises(ValueError, match="counter must be an int, or 4 words of 32 bits"):
        ag.random.Philox(counter=[1, 2])
    with pytest.raises(ValueError, match="the third word of the counter counts within an element, and must be 0 here"):
        ag.random.Philox(counter=1 << 64)
    with pytest.raises(TypeError, match="state must be a dict"):
        ag.random.Philox(1).state = 3
    with pytest.raises(ValueError, match="state must be for a Philox4x32-10 PRNG"):
        ag.random.Philox(1).state = np.random.Philox(1).state
    with pytest.raises(TypeError, match="The underlying SeedSequence does not implement spawning"):
        ag.random.Philox(key=1).spawn(1)
    message = r"anygpu.random has no global state, so no function randn: make rng = ag.random.default_rng\(seed\), and call rng.stand"
    with pytest.raises(AttributeError, match=message):
        ag.random.randn(3)
    with pytest.raises(AttributeError, match=r"module 'anygpu.random' has no attribute 'nothing'"):
        ag.random.nothing


def test_every_method_of_numpys_generator_is_there():
    theirs = {name for name in dir(np.random.Generator) if not name.startswith("_")}
    assert theirs <= set(dir(ag.random.Generator))


def test_nothing_of_it_is_imported_unasked():
    code = "import sys, anygpu; anygpu.zeros(3); print('anygpu.arrays.random' in sys.modules, anygpu.random.default_rng)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith("False <function default_rng")
