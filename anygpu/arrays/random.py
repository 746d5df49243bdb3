"""Random numbers in NumPy's form: ``rng = ag.random.default_rng(seed)``, then ``rng.normal(size=10)`` and so on.

Every element has random words of its own, given by a key, a position and nothing else (`Philox`). So the same seed gives the same
numbers on every device and for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.random import SeedSequence

from anygpu.arrays import creation, elementwise, random_choice, random_samplers
from anygpu.arrays import random_draw as draw
from anygpu.arrays.ndarray import ndarray
from anygpu.arrays.random_draw import NOT_NEGATIVE, POSITIVE, parameter
from anygpu.arrays.random_streams import Philox

_FLOAT = np.float64


class Generator:
    """Draws from distributions, as `numpy.random.Generator` does.

    Methods take ``size`` (an int, a tuple of ints or None: the shape of the parameters), and parameters that are numbers or arrays, which
    are broadcast. Continuous ones take ``dtype``, float64 or float32. They give arrays; of no axes where NumPy gives a scalar. They
    raise ``ValueError`` as NumPy does if a parameter is out of its range, or if the shapes do not go together.

    Args:
        bit_generator: A `Philox`.

    Example:
        >>> import anygpu as ag
        >>> rng = ag.random.default_rng(7)
        >>> x = rng.normal(3, 2, size=100_000)
        >>> round(float(x.mean()), 1), round(float(x.std()), 1)
        (3.0, 2.0)
    """

    def __init__(self, bit_generator: Philox):
        if not isinstance(bit_generator, Philox):
            given = type(bit_generator).__name__
            raise TypeError(f"Generator takes an anygpu.random.Philox, not {given}: ag.random.default_rng(seed) makes one")
        self._stream = bit_generator

    @property
    def bit_generator(self) -> Philox:
        """Where the numbers come from."""
        return self._stream

    def spawn(self, n_children: int) -> list[Generator]:
        """Generators of independent numbers, from children of the seed sequence."""
        return [Generator(child) for child in self._stream.spawn(n_children)]

    def __repr__(self) -> str:
        return f"Generator({self._stream!r})"

    def __str__(self) -> str:
        return "Generator(Philox)"

    def __reduce__(self) -> tuple[object, ...]:
        return Generator, (self._stream,)

    # --------------------------------------------------------------------------------------------------------- uniform, normal, exponential

    def random(self, size: object = None, dtype: object = _FLOAT, out: object = None) -> ndarray:
        """Uniform numbers in [0, 1): multiples of 2**-53 (2**-24 in float32)."""
        return draw.shared(self._stream, "uniform", draw.output(size, out, draw.real_dtype(dtype, "random")))

    def uniform(self, low: object = 0.0, high: object = 1.0, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Uniform numbers from ``low`` up to ``high``, which is left out but for rounding."""
        first, last = parameter("low", low), parameter("high", high)
        with np.errstate(invalid="ignore", over="ignore"):
            width = last.host - first.host
        if not np.all(np.isfinite(width)):
            raise OverflowError("Range exceeds valid bounds" if width.ndim else "high - low range exceeds valid bounds")
        scale = parameter("high - low", last.value - first.value, NOT_NEGATIVE)
        scale = draw.Parameter(scale.value, width.shape, width)
        return draw.located(self._stream, "uniform", size, draw.real_dtype(dtype, "uniform"), first, scale)

    def standard_normal(self, size: object = None, dtype: object = _FLOAT, out: object = None) -> ndarray:
        """Normal numbers of mean 0 and standard deviation 1."""
        return draw.shared(self._stream, "normal", draw.output(size, out, draw.real_dtype(dtype, "standard_normal")))

    def normal(self, loc: object = 0.0, scale: object = 1.0, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Normal numbers of a mean and a standard deviation."""
        return self._located("normal", loc, scale, size, dtype)

    def lognormal(self, mean: object = 0.0, sigma: object = 1.0, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Numbers whose logarithms are normal, of a mean and a standard deviation."""
        at, scale = parameter("mean", mean), parameter("sigma", sigma, NOT_NEGATIVE)
        return elementwise.call("exp", draw.located(self._stream, "normal", size, draw.real_dtype(dtype, "lognormal"), at, scale))

    def standard_exponential(
        self, size: object = None, dtype: object = _FLOAT, method: Literal["zig", "inv"] = "inv", out: object = None
    ) -> ndarray:
        """Exponential numbers of mean 1, by inversion whatever ``method`` says."""
        return draw.shared(self._stream, "exponential", draw.output(size, out, draw.real_dtype(dtype, "standard_exponential")))

    def exponential(self, scale: object = 1.0, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Exponential numbers of a mean."""
        return self._located("exponential", 0.0, scale, size, dtype)

    def laplace(self, loc: object = 0.0, scale: object = 1.0, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Numbers of the double exponential distribution."""
        return self._located("laplace", loc, scale, size, dtype)

    def logistic(self, loc: object = 0.0, scale: object = 1.0, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Numbers of the logistic distribution."""
        return self._located("logistic", loc, scale, size, dtype)

    def gumbel(self, loc: object = 0.0, scale: object = 1.0, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Numbers of the extreme value distribution of type I."""
        return self._located("gumbel", loc, scale, size, dtype)

    def standard_cauchy(self, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Numbers of the Cauchy distribution with mode 0."""
        return draw.shared(self._stream, "cauchy", draw.output(size, None, draw.real_dtype(dtype, "standard_cauchy")))

    def _located(self, name: str, loc: object, scale: object, size: object, dtype: object) -> ndarray:
        at, by = parameter("loc", loc), parameter("scale", scale, NOT_NEGATIVE)
        return draw.located(self._stream, name, size, draw.real_dtype(dtype, name), at, by)

    # ---------------------------------------------------------------------------------- expressions of uniform and exponential numbers

    def rayleigh(self, scale: object = 1.0, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """The lengths of vectors of two normal numbers of a standard deviation."""
        by = parameter("scale", scale, NOT_NEGATIVE)
        name, e = self._exponentials(size, dtype, "rayleigh", by)
        return draw.of(by, name) * elementwise.call("sqrt", 2.0 * e)

    def weibull(self, a: object, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Numbers of the Weibull distribution of a shape and scale 1."""
        shape = parameter("a", a, NOT_NEGATIVE)
        name, e = self._exponentials(size, dtype, "weibull", shape)
        if isinstance(shape.value, ndarray):
            given = elementwise.astype(shape.value, np.dtype(name))
            return elementwise.where(given == 0.0, 0.0, e ** (1.0 / given))
        return e ** (1.0 / shape.value) if shape.value else e * 0.0

    def pareto(self, a: object, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Numbers of the Pareto II (Lomax) distribution of a shape."""
        shape = parameter("a", a, POSITIVE)
        name, e = self._exponentials(size, dtype, "pareto", shape)
        return elementwise.call("expm1", e / draw.of(shape, name))

    def power(self, a: object, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Numbers in [0, 1] whose density is a * x**(a - 1)."""
        shape = parameter("a", a, POSITIVE)
        name, e = self._exponentials(size, dtype, "power", shape)
        return elementwise.call("exp", -e / draw.of(shape, name))

    def triangular(self, left: object, mode: object, right: object, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Numbers whose density rises from ``left`` to ``mode`` and falls to ``right``."""
        low, top, high = parameter("left", left), parameter("mode", mode), parameter("right", right)
        for broken, said in ((low.host > top.host, "left > mode"), (top.host > high.host, "mode > right"),
                             (low.host == high.host, "left == right")):  # fmt: skip
            if np.any(broken):
                raise ValueError(said)
        name = draw.real_dtype(dtype, "triangular")
        u = draw.shared(self._stream, "uniform", creation.empty(draw.common_shape(size, (low, top, high)), np.dtype(name)))
        a, c, b = (draw.of(p, name) for p in (low, top, high))
        rising = a + elementwise.call("sqrt", u * ((b - a) * (c - a)))
        falling = b - elementwise.call("sqrt", (1.0 - u) * ((b - a) * (b - c)))
        return elementwise.where(u <= (c - a) / (b - a), rising, falling)

    def _exponentials(self, size: object, dtype: object, what: str, *parameters: draw.Parameter) -> tuple[str, ndarray]:
        name = draw.real_dtype(dtype, what)
        return name, draw.shared(self._stream, "exponential", creation.empty(draw.common_shape(size, parameters), np.dtype(name)))

    # ----------------------------------------------------------------------------------------------------------------- the gamma family

    def standard_gamma(self, shape: object, size: object = None, dtype: object = _FLOAT, out: object = None) -> ndarray:
        """Gamma numbers of a shape and scale 1."""
        name = draw.real_dtype(dtype, "standard_gamma")
        if out is not None:
            found = draw.output(size, out, name)
            elementwise.store(found, self.gamma(shape, 1.0, found.shape, dtype=name)._node())
            return found
        return self.gamma(shape, 1.0, size, dtype=name)

    def gamma(self, shape: object, scale: object = 1.0, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Gamma numbers of a shape and a scale."""
        k, by = parameter("shape", shape, NOT_NEGATIVE), parameter("scale", scale, NOT_NEGATIVE)
        return self._each(random_samplers.gamma, size, dtype, "gamma", k, by)

    def beta(self, a: object, b: object, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Numbers of the beta distribution."""
        return self._each(random_samplers.beta, size, dtype, "beta", parameter("a", a, POSITIVE), parameter("b", b, POSITIVE))

    def chisquare(self, df: object, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Sums of squares of ``df`` standard normal numbers."""
        freedom = parameter("df", df, POSITIVE)
        return self._each(random_samplers.gamma, size, dtype, "chisquare", _times(freedom, 0.5), parameter("scale", 2.0))

    def noncentral_chisquare(self, df: object, nonc: object, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Sums of squares of normal numbers whose means' squares add up to ``nonc``."""
        freedom, away = parameter("df", df, POSITIVE), parameter("nonc", nonc, NOT_NEGATIVE)
        wanted = draw.common_shape(size, (freedom, away))
        pairs = self.poisson(_times(away, 0.5).value, wanted)  # a Poisson mixture of central ones, for every df
        return self.chisquare(freedom.value + 2.0 * pairs, wanted, dtype=dtype)

    def f(self, dfnum: object, dfden: object, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Ratios of two chi-square numbers, each over its degrees of freedom."""
        top, bottom = parameter("dfnum", dfnum, POSITIVE), parameter("dfden", dfden, POSITIVE)
        wanted, name = draw.common_shape(size, (top, bottom)), draw.real_dtype(dtype, "f")
        upper, lower = self.chisquare(top.value, wanted, dtype=name), self.chisquare(bottom.value, wanted, dtype=name)
        return (upper * draw.of(bottom, name)) / (lower * draw.of(top, name))

    def noncentral_f(self, dfnum: object, dfden: object, nonc: object, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Ratios of a noncentral and a central chi-square number, each over its degrees of freedom."""
        top, bottom = parameter("dfnum", dfnum, POSITIVE), parameter("dfden", dfden, POSITIVE)
        away = parameter("nonc", nonc, NOT_NEGATIVE)
        wanted, name = draw.common_shape(size, (top, bottom, away)), draw.real_dtype(dtype, "noncentral_f")
        upper = self.noncentral_chisquare(top.value, away.value, wanted, dtype=name)
        return (upper * draw.of(bottom, name)) / (self.chisquare(bottom.value, wanted, dtype=name) * draw.of(top, name))

    def standard_t(self, df: object, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Numbers of Student's t distribution."""
        freedom = parameter("df", df, POSITIVE)
        wanted, name = draw.common_shape(size, (freedom,)), draw.real_dtype(dtype, "standard_t")
        spread = self.chisquare(freedom.value, wanted, dtype=name) / draw.of(freedom, name)
        return self.standard_normal(wanted, name) / elementwise.call("sqrt", spread)

    def wald(self, mean: object, scale: object, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Numbers of the inverse Gaussian distribution (J. Michael, W. Schucany, R. Haas, 1976)."""
        at, by = parameter("mean", mean, POSITIVE), parameter("scale", scale, POSITIVE)
        wanted, name = draw.common_shape(size, (at, by)), draw.real_dtype(dtype, "wald")
        m, s = draw.of(at, name), draw.of(by, name)
        y = elementwise.call("square", self.standard_normal(wanted, name))
        d = m * y / (2.0 * s)
        x = m / (1.0 + d + elementwise.call("sqrt", d * (d + 2.0)))
        return elementwise.where(self.random(wanted, name) <= m / (m + x), x, m * m / x)

    def vonmises(self, mu: object, kappa: object, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Angles in radians from -pi to pi, around a mean and with a concentration."""
        return self._each(random_samplers.vonmises, size, dtype, "vonmises", parameter("mu", mu), parameter("kappa", kappa, NOT_NEGATIVE))

    def dirichlet(self, alpha: object, size: object = None, *, dtype: object = _FLOAT) -> ndarray:
        """Rows of numbers that add up to 1, of one axis more than ``size``, as long as ``alpha``."""
        return random_choice.dirichlet(self, alpha, size, dtype)

    def multivariate_normal(
        self, mean: object, cov: object, size: object = None, check_valid: str = "warn", tol: float = 1e-8, *, method: str = "svd"
    ) -> ndarray:
        """Rows of normal numbers of a mean (n) and a covariance (n, n), factored by ``svd``, ``eigh`` or ``cholesky``."""
        return random_choice.multivariate_normal(self, mean, cov, size, check_valid, tol, method)

    def _each(self, sample: Callable[..., object], size: object, dtype: object, what: str, *parameters: draw.Parameter) -> ndarray:
        return draw.each(self._stream, sample, size, draw.real_dtype(dtype, what), parameters)

    # ------------------------------------------------------------------------------------------------------------------------- integers

    def integers(
        self, low: object, high: object = None, size: object = None, dtype: object = np.int64, endpoint: bool = False
    ) -> ndarray:
        """Integers from ``low`` (0 if only one bound is given) up to ``high``, which is left out unless ``endpoint``; each is as likely."""
        return random_choice.integers(self._stream, low, high, size, dtype, endpoint)

    def poisson(self, lam: object = 1.0, size: object = None) -> ndarray:
        """How often something happens that does so ``lam`` times on average."""
        mean = parameter("lam", lam, draw.NOT_NEGATIVE_NOT_NAN)
        if np.any(mean.host > draw.MOST_POISSON):
            raise ValueError("lam value too large")
        return self._count(random_samplers.poisson, size, mean)

    def binomial(self, n: object, p: object, size: object = None) -> ndarray:
        """How many of ``n`` trials succeed, each with chance ``p``."""
        return self._count(
            random_samplers.binomial, size, parameter("n", n, NOT_NEGATIVE, integer=True), parameter("p", p, draw.CHANCE)
        )

    def negative_binomial(self, n: object, p: object, size: object = None) -> ndarray:
        """How many trials fail before ``n`` have succeeded, each with chance ``p``."""
        wins, chance = parameter("n", n, POSITIVE), parameter("p", p, draw.POSITIVE_CHANCE)
        wanted = draw.common_shape(size, (wins, chance))
        return self.poisson(self.gamma(wins.value, (1.0 - chance.value) / chance.value, wanted), wanted)

    def geometric(self, p: object, size: object = None) -> ndarray:
        """How many trials there are up to the first success, each with chance ``p``."""
        return self._count(random_samplers.geometric, size, parameter("p", p, draw.POSITIVE_CHANCE))

    def hypergeometric(self, ngood: object, nbad: object, nsample: object, size: object = None) -> ndarray:
        """How many of ``nsample`` are good that are drawn of ``ngood`` and ``nbad``."""
        good, bad, drawn = (
            parameter(name, value, NOT_NEGATIVE, integer=True)
            for name, value in (("ngood", ngood), ("nbad", nbad), ("nsample", nsample))
        )
        if np.any(good.host + bad.host < drawn.host):
            raise ValueError("ngood + nbad < nsample")
        return self._count(random_samplers.hypergeometric, size, good, bad, drawn)

    def zipf(self, a: object, size: object = None) -> ndarray:
        """Integers whose chance falls with the power ``a``."""
        return self._count(random_samplers.zipf, size, parameter("a", a, draw.ABOVE_1))

    def logseries(self, p: object, size: object = None) -> ndarray:
        """Integers of the logarithmic series distribution."""
        return self._count(random_samplers.logseries, size, parameter("p", p, draw.CHANCE_BELOW_1))

    def _count(self, sample: Callable[..., object], size: object, *parameters: draw.Parameter) -> ndarray:
        return draw.each(self._stream, sample, size, "int64", parameters)

    def multinomial(self, n: object, pvals: object, size: object = None) -> ndarray:
        """How many of ``n`` trials fall into each category, whose chances are the last axis of ``pvals``."""
        return random_choice.multinomial(self, n, pvals, size)

    def multivariate_hypergeometric(self, colors: object, nsample: int, size: object = None, method: str = "marginals") -> ndarray:
        """How many of each color are drawn, of ``colors`` marbles of each, ``nsample`` in all."""
        return random_choice.multivariate_hypergeometric(self._stream, colors, nsample, size)

    def bytes(self, length: int) -> bytes:
        """Random bytes."""
        count = max(int(length), 0)
        return draw.words(self._stream, -(-count // 4)).__array__().astype("<u4").tobytes()[:count]

    # ---------------------------------------------------------------------------------------------------------------- choices and orders

    def choice(
        self, a: object, size: object = None, replace: bool = True, p: object = None, axis: int = 0, shuffle: bool = True
    ) -> ndarray:
        """Elements of an array along an axis (or of ``range(a)``), each as likely or by the chances ``p``."""
        return random_choice.choice(self, a, size, replace, p, axis, shuffle)

    def permutation(self, x: object, axis: int = 0) -> ndarray:
        """A copy of an array (or ``arange(x)``) in random order along an axis, whose slices stay together."""
        return random_choice.permutation(self._stream, x, axis)

    def shuffle(self, x: object, axis: int = 0) -> None:
        """Put an array (of ours, NumPy's, or a list) into random order along an axis, in place."""
        random_choice.shuffle(self._stream, x, axis)

    def permuted(self, x: object, *, axis: int | None = None, out: object = None) -> ndarray:
        """A copy of an array whose elements are in random order along an axis, each line for itself; all of them, if it is None."""
        return random_choice.permuted(self._stream, x, axis, out)


def default_rng(seed: object = None) -> Generator:
    """A generator of random numbers.

    Args:
        seed: None (the system's entropy), an int or a sequence of ints, a `numpy.random.SeedSequence`, a `Philox`, or a `Generator`,
            which is given back.

    Example:
        >>> import anygpu as ag
        >>> ag.random.default_rng(1).integers(0, 10, size=5).tolist() == ag.random.default_rng(1).integers(0, 10, size=5).tolist()
        True
    """
    if isinstance(seed, Generator):
        return seed
    return Generator(seed if isinstance(seed, Philox) else Philox(seed))


def _times(given: draw.Parameter, factor: float) -> draw.Parameter:
    return draw.Parameter(given.value * factor, given.shape, given.host * factor)


# NumPy's functions over one hidden global state, and what to write in their place.
_LEGACY = {
    "rand": "random((2, 3))", "randn": "standard_normal((2, 3))", "randint": "integers(low, high, size)", "random_sample": "random(size)",
    "ranf": "random(size)", "sample": "random(size)", "random_integers": "integers(low, high, size, endpoint=True)", "seed": "random(size)",
    "RandomState": "random(size)", "get_state": "bit_generator.state", "set_state": "bit_generator.state",
    **{name: f"{name}(...)" for name in vars(Generator) if not name.startswith("_") and name not in ("bit_generator", "spawn")},
}  # fmt: skip


def __getattr__(name: str) -> object:
    if name in _LEGACY:
        call = f"make rng = ag.random.default_rng(seed), and call rng.{_LEGACY[name]}"
        raise AttributeError(f"anygpu.random has no global state, so no function {name}: {call}")
    raise AttributeError(f"module 'anygpu.random' has no attribute {name!r}")


__all__ = ["Generator", "Philox", "SeedSequence", "default_rng"]
