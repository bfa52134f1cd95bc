"""Solve the Poisson equation on a square by conjugate gradients, without a matrix.

    python conjugate_gradient.py [--numpy]

Hundreds of small operations; the program looks at the residual once every 25 steps.
"""

import sys

import numpy as np

if "--numpy" in sys.argv:
    import numpy as cp
else:
    import cupy as cp

SIZE = 128
STEPS_PER_CHECK = 25
MAX_CHECKS = 40
TOLERANCE = 1e-8


def laplacian(u, out):
    """Minus the five-point Laplacian with zero boundary: u (n, n) -> out (n, n)."""
    out[:] = 4 * u
    out[1:] -= u[:-1]
    out[:-1] -= u[1:]
    out[:, 1:] -= u[:, :-1]
    out[:, :-1] -= u[:, 1:]
    return out


def solve(b):
    """The solution and the number of checks. Everything between two checks is sent without waiting."""
    x = cp.zeros_like(b)
    r = b.copy()
    p = r.copy()
    rr = cp.vdot(r, r)
    target = TOLERANCE**2 * rr
    work = cp.empty_like(b)
    for check in range(1, MAX_CHECKS + 1):
        for _ in range(STEPS_PER_CHECK):
            q = laplacian(p, work)
            alpha = rr / cp.vdot(p, q)
            x += alpha * p
            r -= alpha * q
            previous, rr = rr, cp.vdot(r, r)
            p *= rr / previous
            p += r
        if bool(rr < target):  # the one place that waits
            return x, check
    raise RuntimeError("no convergence")


def main():
    grid = np.linspace(0, 1, SIZE + 2)[1:-1]
    host_b = np.exp(-40 * ((grid[:, None] - 0.3) ** 2 + (grid[None, :] - 0.6) ** 2))
    x, checks = solve(cp.asarray(host_b))

    solution = getattr(cp, "asnumpy", np.asarray)(x)
    padded = np.pad(solution, 1)
    applied = 4 * solution - padded[:-2, 1:-1] - padded[2:, 1:-1] - padded[1:-1, :-2] - padded[1:-1, 2:]
    residual = float(np.linalg.norm(applied - host_b) / np.linalg.norm(host_b))
    assert residual < 10 * TOLERANCE, residual
    print(f"{SIZE} x {SIZE} unknowns, {checks * STEPS_PER_CHECK} steps, {checks} checks")
    print(f"checked against NumPy: relative residual {residual:.1e}")


main()
