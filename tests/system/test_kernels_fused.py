"""`cupy.fuse` through the whole chain: joined into kernels or step by step, the numbers are those of the function itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kernel_programs import run

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="kernels of the CPU device need g++")


def test_joined_and_stepwise_give_the_same(tmp_path: Path) -> None:
    run(tmp_path, r'''
    import warnings
    from cupool.shim import fusion
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)

    def arrays(dtype, *shapes):
        return [cp.array((rng.random(s) * 9 - (4 if np.dtype(dtype).kind in "if" else 0)).astype(dtype)) for s in shapes]

    def many(result):
        return result if isinstance(result, tuple) else (result,)

    def kernels(fused):
        return [e.joined for e in fused._known.values() if not isinstance(e, str)]

    # name, function, shapes of the arrays, scalars behind them, dtypes
    cases = [
        (lambda x, y, a: (x + y * a - x / (y * y + 1), -x), [(3, 4), (3, 4)], [2.5], ("float16", "float64", "int32", "uint8", "complex64")),
        (lambda x, y: cp.where(x > y, x, y * 2) ** 2, [(3, 4), (4,)], [], ("float16", "int8", "int64")),
        (lambda x, y: cp.sqrt(cp.abs(x)) + cp.exp(-y * y).astype("float32"), [(5,), (1,)], [], ("float16", "float32", "float64")),
        (lambda x, a, b: cp.clip(x * a, -3, b), [(7,)], [3, 5], ("int32", "float32")),
        (lambda x, y: x // (y * y + 1) + x % 3, [(6,), (6,)], [], ("int32", "uint16", "float64")),
        (lambda x, y: (x[:, None] * y).sum(axis=1), [(4,), (4, 3)], [], ("float16", "int16", "complex128")),
        (lambda x, y: cp.sqrt(cp.sum(x * x, axis=0) + 1) * y, [(3, 4), (4,)], [], ("float32",)),
        (lambda x: (x.max(), x.min(), (x > 0).any(), x.prod(axis=-1, keepdims=True)), [(3, 4)], [], ("float64", "uint8")),
        (lambda x, y: (x + 1, y + 1, x.copy(), x), [(3,), (2, 3)], [], ("float32",)),
        (lambda x, y: cp.maximum(x, y) - cp.minimum(x, y), [(8,), (8,)], [], ("float16", "int32")),
        (lambda x, y: x.astype("int32") << 2 | y.astype("int32") & 3, [(8,), (8,)], [], ("int8",)),
        (lambda x, y: cp.isnan(x / (y - y)) ^ (x < y), [(8,), (8,)], [], ("float32",)),
    ]
    for function, shapes, scalars, dtypes in cases:
        for dtype in dtypes:
            args = [*arrays(dtype, *shapes), *scalars]
            plain = function(*args)
            for limit in (0, 1 << 60):
                fusion.JOIN_ELEMENTS = limit
                fused = cp.fuse(function)
                for _ in range(2):
                    got = fused(*args)
                    for g, e in zip(many(got), many(plain), strict=True):
                        assert g.dtype == e.dtype and g.shape == e.shape, (dtype, g.dtype, e.dtype, g.shape, e.shape)
                        off = (1e-3, 1e-3) if dtype == "float16" else (1e-6, 0)
                        np.testing.assert_allclose(g.get(), e.get(), *off)
                if limit == 0 and dtype != "complex64":
                    assert all(kernels(fused)), (shapes, dtype)

    # In place: into an argument, into a part of the steps, into an array that overlaps another argument.
    def update(w, g, m, rate):
        m *= 0.9
        m += g
        w -= rate * m
        return m * 2
    for limit in (0, 1 << 60):
        fusion.JOIN_ELEMENTS = limit
        fused = cp.fuse(update)
        for rate in (0.1, 0.5, np.float32(2)):
            w, g, m = arrays("float32", (5,), (5,), (5,))
            w2, g2, m2 = w.copy(), g.copy(), m.copy()
            assert np.array_equal(fused(w, g, m, rate).get(), update(w2, g2, m2, rate).get())
            assert np.array_equal(w.get(), w2.get()) and np.array_equal(m.get(), m2.get())
        assert all(kernels(fused)) or limit

        @cp.fuse()
        def shifted(x, y):
            x += y
            x += y
        x = cp.arange(10.)
        shifted(x[1:], x[:-1])
        e = np.arange(10.)
        e[1:] += e[:-1].copy(); e[1:] += e[:-1].copy()
        assert np.array_equal(x.get(), e), x
    ''')  # fmt: skip


def test_what_is_traced(tmp_path: Path) -> None:
    run(tmp_path, r'''
    from cupool.shim import fusion

    calls = []
    @cp.fuse(kernel_name="scaled")
    def scaled(x, a, y=None):
        """Doc."""
        calls.append(1)
        if y is None:
            return x * a
        return x * a + y
    assert scaled.__name__ == "scaled" and scaled.__doc__ == "Doc." and repr(scaled) == "<Fusion 'scaled'>"
    x = cp.arange(6.)
    for n, a in ((6, 2.0), (5, 3.0), (4, 3.0)):  # other extents and numbers are the same trace
        assert np.array_equal(scaled(x[:n], a).get(), np.arange(n) * a)
    assert len(calls) == 1
    assert np.array_equal(scaled(x, 2.0, x).get(), np.arange(6) * 3.0) and len(calls) == 2
    assert np.array_equal(scaled(x, 2, None).get(), np.arange(6) * 2.0) and len(calls) == 3
    assert scaled(x.astype("f4"), 2).dtype == np.float32 and len(calls) == 4
    scaled.clear_cache()
    scaled(x, 2.0)
    assert len(calls) == 5
    assert np.array_equal(scaled(np.arange(3), 2), [0, 2, 4])  # on the host as it is

    # A function that looks at shapes is traced for each.
    mean = cp.fuse(lambda x: x.sum() / x.size)
    assert [float(mean(cp.arange(n))) for n in (3, 5, 3)] == [1.0, 2.0, 1.0]

    # What cannot be traced stays as it is.
    w = cp.ones(3)
    outside = cp.fuse(lambda x: x + w)
    assert outside(cp.arange(3.)).tolist() == [1, 2, 3]
    w *= 2
    assert outside(cp.arange(3.)).tolist() == [2, 3, 4]
    w = cp.zeros(3)
    assert outside(cp.arange(3.)).tolist() == [0, 1, 2]
    branch = cp.fuse(lambda x, n: x * 2 if n > 1 else x)
    assert [branch(cp.ones(1), n).tolist() for n in (0, 2)] == [[1], [2]]
    sort = cp.fuse(lambda x: cp.sort(x * -1)[::2])
    assert sort(cp.arange(4)).tolist() == [-3, -1]
    random = cp.fuse(lambda x: x + cp.random.rand(3))
    assert random(cp.zeros(3)).shape == (3,)

    for bad, error, text in (
        (lambda: cp.fuse(lambda x: x if x > 0 else -x)(cp.ones(3)), TypeError, "Python scalar"),
        (lambda: cp.fuse(lambda x: x + object())(cp.ones(3)), TypeError, ""),
        (lambda: cp.fuse(lambda x, y: x + y)(cp.ones(3), cp.ones(2)), ValueError, "broadcast"),
        (lambda: cp.fuse(lambda x: x[3])(cp.ones(3)), IndexError, ""),
        (lambda: cp.fuse(lambda x, y: x)(cp.ones(3), "text"), TypeError, "Invalid argument type"),
        (lambda: cp.fuse(lambda x, n: x + n)(cp.ones(3, np.int8), 300), OverflowError, "300"),
    ):
        for limit in (0, 1 << 60):
            fusion.JOIN_ELEMENTS = limit
            try:
                bad()
            except error as e:
                assert text in str(e), e
            else:
                raise AssertionError(text)

    # Fused functions in fused functions are one.
    inner = cp.fuse(lambda a, b: (a - b, a + b))
    @cp.fuse
    def outer(x, y):
        d, s = inner(x * 2, y)
        return d * s
    fusion.JOIN_ELEMENTS = 0
    assert outer(cp.arange(3), cp.ones(3, int)).tolist() == [-1, 3, 15]
    assert len(outer._known) == 1 and not inner._known
    ''')  # fmt: skip
