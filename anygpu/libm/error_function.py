"""erf and erfc.

erf is x times a polynomial in x*x below 0.92, and 1 - exp(-q(x)) with a polynomial q beyond.  erfc is exp(-x*x) times the scaled function
erfcx, smooth over the whole half line once it is multiplied by 1 + 2*x and written in t = (x - K)/(x + K) (M. M. Shepherd and
J. G. Laframboise, Chebyshev approximation of (1 + 2x)exp(x^2)erfc x in 0 <= x < infinity, Mathematics of Computation 36, 1981); its
factors are unevaluated sums of two floats, since exp(-x*x) would magnify the rounding of x*x.
"""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

from anygpu.libm.exponential import exp_float32, exp_float64, exp_parts_float32, exp_parts_float64, scale_float32, scale_float64
from anygpu.libm.words import copysign, fabs, fma, select


def erf_float32(x):
    """Return the error function 2/sqrt(pi) * integral of exp(-t*t) from 0 to x.

    Below 0.921875: x + x*p(x*x), degree 13, relative error 2**-30.1.  Beyond: q has degree 7, error of the result 2**-34.
    """
    a = fabs(x)
    z = a * a
    p = fma(z, 7.9950485e-05, -0.0008049515)
    p = fma(z, p, 0.0051923925)
    p = fma(z, p, -0.02685573)
    p = fma(z, p, 0.11283626)
    p = fma(z, p, -0.3761263)
    p = fma(z, p, 0.12837917)
    b = select(a > 3.95, 3.95, a)
    q = fma(b, 2.116684e-05, -0.00043526772)
    q = fma(b, q, 0.0041748346)
    q = fma(b, q, -0.02512901)
    q = fma(b, q, 0.108294375)
    q = fma(b, q, 0.6333344)
    q = fma(b, q, 1.1295209)
    q = fma(b, q, -0.00017587954)
    y = select(a < 0.921875, fma(a, p, a), 1.0 - exp_float32(-q))
    return copysign(y, x)


def erfc_float32(x):
    """Return 1 - erf(x) without cancellation.

    (1 + 2*x) * erfcx(x) - 1.25 as a polynomial in t = (x - 2)/(x + 2): degree 10, relative error of erfcx 2**-26.0.
    """
    a = fabs(x)
    a = select(a > 10.2, 10.2, a)
    t = (a - 2.0) / (a + 2.0)
    p = fma(t, -0.0003993652, -0.001227515)
    p = fma(t, p, 0.001313555)
    p = fma(t, p, 0.008629805)
    p = fma(t, p, -0.008060224)
    p = fma(t, p, -0.054203827)
    p = fma(t, p, 0.1640554)
    p = fma(t, p, -0.16603146)
    p = fma(t, p, -0.09276398)
    p = fma(t, p, 0.026978394)
    e = p + 1.25
    e_low = (1.25 - e) + p
    w = fma(a, 2.0, 1.0)
    w_low = fma(a, 2.0, 1.0 - w)
    m = e / w
    m_low = (fma(-m, w, e) + fma(-m, w_low, e_low)) / w
    s = a * a
    u, u_low, shifted = exp_parts_float32(-s, -fma(a, a, -s))
    y = u * m
    y = y + (fma(u, m, -y) + fma(u_low, m, u * m_low))
    y = scale_float32(y, shifted)
    # Below 1/2 the polynomial of erf costs less accuracy.
    z = a * a
    f = fma(z, 7.9950485e-05, -0.0008049515)
    f = fma(z, f, 0.0051923925)
    f = fma(z, f, -0.02685573)
    f = fma(z, f, 0.11283626)
    f = fma(z, f, -0.3761263)
    f = fma(z, f, 0.12837917)
    f = fma(a, f, a)
    return select(a < 0.5, 1.0 - copysign(f, x), select(x < 0.0, 2.0 - y, y))


def erf_float64(x):
    """Return the error function 2/sqrt(pi) * integral of exp(-t*t) from 0 to x.

    Below 0.921875: x + x*p(x*x), degree 23, relative error 2**-56.3.  Beyond: q has degree 18, error of the result 2**-58.6.
    """
    a = fabs(x)
    z = a * a
    p = fma(z, -9.600570780562183e-10, 1.4582623498159033e-08)
    p = fma(z, p, -1.6386673546035588e-07)
    p = fma(z, p, 1.6468246906659376e-06)
    p = fma(z, p, -1.492624928963635e-05)
    p = fma(z, p, 0.00012055365548202805)
    p = fma(z, p, -0.0008548328097128744)
    p = fma(z, p, 0.0052239776469005395)
    p = fma(z, p, -0.02686617064759711)
    p = fma(z, p, 0.11283791670969558)
    p = fma(z, p, -0.3761263890318408)
    p = fma(z, p, 0.1283791670955126)
    b = select(a > 5.95, 5.95, a)
    q = fma(b, -1.286789881776463e-12, 5.782897894439291e-11)
    q = fma(b, q, -1.2168295420964868e-09)
    q = fma(b, q, 1.5915829752397457e-08)
    q = fma(b, q, -1.4470327563668485e-07)
    q = fma(b, q, 9.665960475889242e-07)
    q = fma(b, q, -4.867348890257661e-06)
    q = fma(b, q, 1.8475819588139172e-05)
    q = fma(b, q, -5.066816846721048e-05)
    q = fma(b, q, 8.323667151814799e-05)
    q = fma(b, q, 2.1339313732732268e-05)
    q = fma(b, q, -0.0006070453682165005)
    q = fma(b, q, 0.0017297880247723134)
    q = fma(b, q, -0.00024534456899488283)
    q = fma(b, q, -0.01910218740154242)
    q = fma(b, q, 0.10275935246942941)
    q = fma(b, q, 0.6366242636775569)
    q = fma(b, q, 1.128378242522911)
    q = fma(b, q, 8.764153658984822e-08)
    y = select(a < 0.921875, fma(a, p, a), 1.0 - exp_float64(-q))
    return copysign(y, x)


def erfc_float64(x):
    """Return 1 - erf(x) without cancellation.

    (1 + 2*x) * erfcx(x) - 1.25 as a polynomial in t = (x - 4)/(x + 4): degree 22, relative error of erfcx 2**-55.9.
    """
    a = fabs(x)
    a = select(a > 27.5, 27.5, a)
    t = (a - 4.0) / (a + 4.0)
    p = fma(t, -1.7019971316765073e-09, -1.3358374535817165e-08)
    p = fma(t, p, -7.827843923281563e-09)
    p = fma(t, p, 1.1444165146730632e-07)
    p = fma(t, p, 6.24115829678249e-08)
    p = fma(t, p, -8.340662211659163e-07)
    p = fma(t, p, 3.020018844311051e-07)
    p = fma(t, p, 5.717173827081783e-06)
    p = fma(t, p, -1.1225345427200126e-05)
    p = fma(t, p, -2.4402897268199818e-05)
    p = fma(t, p, 0.00015062250537072446)
    p = fma(t, p, -0.00019925556927877062)
    p = fma(t, p, -0.0007577734146416752)
    p = fma(t, p, 0.005031969764051047)
    p = fma(t, p, -0.01619773404682397)
    p = fma(t, p, 0.03716751556189446)
    p = fma(t, p, -0.06633036581270885)
    p = fma(t, p, 0.09373283499681763)
    p = fma(t, p, -0.10103906603629459)
    p = fma(t, p, 0.0680970542547368)
    p = fma(t, p, 0.01537965210261965)
    p = fma(t, p, -0.1396211168405629)
    p = fma(t, p, -0.01700488137444749)
    e = p + 1.25
    e_low = (1.25 - e) + p
    w = fma(a, 2.0, 1.0)
    w_low = fma(a, 2.0, 1.0 - w)
    m = e / w
    m_low = (fma(-m, w, e) + fma(-m, w_low, e_low)) / w
    s = a * a
    u, u_low, shifted = exp_parts_float64(-s, -fma(a, a, -s))
    y = u * m
    y = y + (fma(u, m, -y) + fma(u_low, m, u * m_low))
    y = scale_float64(y, shifted)
    # Below 1/2 the polynomial of erf costs less accuracy.
    z = a * a
    f = fma(z, -9.600570780562183e-10, 1.4582623498159033e-08)
    f = fma(z, f, -1.6386673546035588e-07)
    f = fma(z, f, 1.6468246906659376e-06)
    f = fma(z, f, -1.492624928963635e-05)
    f = fma(z, f, 0.00012055365548202805)
    f = fma(z, f, -0.0008548328097128744)
    f = fma(z, f, 0.0052239776469005395)
    f = fma(z, f, -0.02686617064759711)
    f = fma(z, f, 0.11283791670969558)
    f = fma(z, f, -0.3761263890318408)
    f = fma(z, f, 0.1283791670955126)
    f = fma(a, f, a)
    return select(a < 0.5, 1.0 - copysign(f, x), select(x < 0.0, 2.0 - y, y))
