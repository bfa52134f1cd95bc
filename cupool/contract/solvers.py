"""Iterative solvers, written once for both ends.

`cupyx.scipy.sparse.linalg` takes matrices and operators. A solver on matrices runs on the device, in one command; an operator is a
function of the program, so then the very same solver runs in the client, on arrays of the device. `xp` is the namespace of the
arrays: NumPy, or the client's `cupy`. Nothing here knows more of them than their operators.

Every solver of a square system is called as `solver(xp, matvec, psolve, b, x, callback, **options)` with vectors of one dtype and
returns (x, info): info 0, or the number of iterations it gave up after.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Vector = Any
Apply = Callable[[Any], Any]


def on_host(x: Any) -> Any:
    """As a NumPy array; waits for one of the device."""
    return x if isinstance(x, np.ndarray) else np.asarray(x.get() if hasattr(x, "get") else x)


def _number(x: Any) -> Any:
    """A Python number; waits for one of the device."""
    return x.item() if hasattr(x, "item") else x


def norm(xp: Any, x: Vector) -> float:
    """The length of a vector. Waits."""
    return float(_number(xp.linalg.norm(x)))


def _target(xp: Any, b: Vector, rtol: float, atol: float) -> tuple[float, float]:
    """(length of b, residual to reach)."""
    length = norm(xp, b)
    return length, max(float(atol), rtol * length)


def cg(xp: Any, matvec: Apply, psolve: Apply, b: Vector, x: Vector, callback: Any = None, *, rtol: float = 1e-5, atol: float = 0.0,
       maxiter: int | None = None) -> tuple[Vector, int]:  # fmt: skip
    """Conjugate gradients."""
    n = b.shape[0]
    maxiter = n * 10 if maxiter is None else maxiter
    if n == 0:
        return xp.empty_like(b), 0
    length, target = _target(xp, b, rtol, atol)
    if length == 0:
        return b, 0
    r = b - matvec(x)
    p: Any = None
    rho: Any = None
    left = norm(xp, r)
    steps = 0
    while steps < maxiter:  # pyright: ignore
        z = psolve(r)
        before, rho = rho, xp.vdot(r, z)
        p = z if before is None else z + (rho / before) * p
        q = matvec(p)
        alpha = rho / xp.vdot(p, q)
        x = x + alpha * p
        r = r - alpha * q
        steps += 1
        if callback is not None:
            callback(x)
        left = norm(xp, r)
        if left <= target:
            break
    return x, steps if steps == maxiter and not left <= target else 0


def cgs(xp: Any, matvec: Apply, psolve: Apply, b: Vector, x: Vector, callback: Any = None, *, rtol: float = 1e-5, atol: float = 0.0,
        maxiter: int | None = None) -> tuple[Vector, int]:  # fmt: skip
    """Conjugate gradients squared."""
    n = b.shape[0]
    maxiter = n * 5 if maxiter is None else maxiter
    if n == 0:
        return xp.empty_like(b), 0
    length, target = _target(xp, b, rtol, atol)
    if length == 0:
        return b, 0
    r0 = b - matvec(x)
    rho = xp.dot(r0, r0)
    r, u, p = r0.copy(), r0, r0.copy()
    steps = 0
    while True:
        v = matvec(psolve(p))
        alpha = rho / xp.dot(r0, v)
        q = u - alpha * v
        z = psolve(u + q)
        x = x + alpha * z
        r = r - alpha * matvec(z)
        left = norm(xp, r)
        steps += 1
        if callback is not None:
            callback(x)
        if left <= target or steps >= maxiter:  # pyright: ignore
            break
        before, rho = rho, xp.dot(r0, r)
        beta = rho / before
        u = r + beta * q
        p = u + beta * (q + beta * p)
    return x, steps if steps == maxiter and not left < target else 0


def bicgstab(xp: Any, matvec: Apply, psolve: Apply, b: Vector, x: Vector, callback: Any = None, *, rtol: float = 1e-5,
             atol: float = 0.0, maxiter: int | None = None) -> tuple[Vector, int]:  # fmt: skip
    """Biconjugate gradients, stabilised. info -10 and -11: it broke down."""
    n = b.shape[0]
    maxiter = n * 10 if maxiter is None else maxiter
    if n == 0:
        return xp.empty_like(b), 0
    length, target = _target(xp, b, rtol, atol)
    if length == 0:
        return b, 0
    dot = xp.vdot if x.dtype.kind == "c" else xp.dot
    tiny = float(np.finfo(x.dtype.char).eps) ** 2
    r = b - matvec(x)
    shadow = r.copy()
    before: Any = 0
    alpha: Any = 0
    omega: Any = 0
    p: Any = None
    v: Any = None
    steps = 0
    while True:
        left = norm(xp, r)
        if left <= target or steps >= maxiter:  # pyright: ignore
            return x, steps if steps >= maxiter and not left <= target else 0  # pyright: ignore
        rho = _number(dot(shadow, r))
        if abs(rho) < tiny:
            return x, -10
        if p is None:
            p = r.copy()
        elif abs(omega) < tiny:
            return x, -11
        else:
            p = r + (rho / before) * (alpha / omega) * (p - omega * v)
        phat = psolve(p)
        v = matvec(phat)
        along = _number(dot(shadow, v))
        if along == 0:
            return x, -11
        alpha = rho / along
        r = r - alpha * v
        if norm(xp, r) <= target:
            return x + alpha * phat, 0
        shat = psolve(r)
        t = matvec(shat)
        omega = _number(dot(t, r) / dot(t, t))
        x = x + alpha * phat + omega * shat
        r = r - omega * t
        before = rho
        steps += 1
        if callback is not None:
            callback(x)


def gmres(xp: Any, matvec: Apply, psolve: Apply, b: Vector, x: Vector, callback: Any = None, *, rtol: float = 1e-5, atol: float = 0.0,
          maxiter: int | None = None, restart: int | None = None, callback_type: str | None = None) -> tuple[Vector, int]:  # fmt: skip
    """Generalised minimal residuals, preconditioned from the right. `callback` is called at each restart."""
    n = b.shape[0]
    maxiter = n * 10 if maxiter is None else maxiter
    if n == 0:
        return xp.empty_like(b), 0
    length, target = _target(xp, b, rtol, atol)
    if length == 0:
        return b, 0
    restart = min(20 if restart is None else restart, n)
    basis = xp.empty((n, restart), dtype=b.dtype, order="F")
    hessenberg = xp.zeros((restart + 1, restart), dtype=b.dtype, order="F")
    steps = 0
    while True:
        made = psolve(x)
        r = b - matvec(made)
        size = xp.linalg.norm(r)
        left = float(_number(size))
        if callback is not None and (callback_type == "x" or steps > 0):
            callback(made if callback_type == "x" else size / length)
        if left <= target or steps >= maxiter:  # pyright: ignore
            return made, steps if steps >= maxiter and not left <= target else 0  # pyright: ignore
        v = r / left
        basis[:, 0] = v
        for j in range(restart):
            u = matvec(psolve(v))
            known = basis[:, : j + 1]
            h = known.conj().T @ u
            u = u - known @ h
            size = xp.linalg.norm(u)
            hessenberg[: j + 1, j] = h
            hessenberg[j + 1, j] = size
            if j + 1 < restart:
                v = u / size
                basis[:, j + 1] = v
        right = np.zeros(restart + 1, b.dtype)
        right[0] = left
        y = np.linalg.lstsq(on_host(hessenberg), right, rcond=None)[0]
        x = x + basis @ xp.asarray(y.astype(b.dtype, copy=False))
        steps += restart


def _givens(a: float, b: float) -> tuple[float, float, float]:
    """(c, s, r) with c a + s b = r, without overflow."""
    if b == 0:
        return math.copysign(1.0, a) if a else 0.0, 0.0, abs(a)
    if a == 0:
        return 0.0, math.copysign(1.0, b), abs(b)
    r = math.hypot(a, b)
    return a / r, b / r, r


def minres(xp: Any, matvec: Apply, psolve: Apply, b: Vector, x: Vector, callback: Any = None, *, shift: Any = 0.0, tol: float = 1e-5,
           maxiter: int | None = None, check: bool = False) -> tuple[Vector, int]:  # fmt: skip
    """Minimal residuals of a symmetric matrix, minus `shift` times the identity.

    Raises:
        ValueError: the preconditioner is indefinite, or with `check` the matrix or the preconditioner is not symmetric.
    """
    n = b.shape[0]
    maxiter = n * 5 if maxiter is None else maxiter
    eps = float(np.finfo(x.dtype).eps)
    product = matvec(x)
    r1 = b - product
    y = psolve(r1)
    beta1 = _real(xp.inner(r1, y))
    if beta1 < 0:
        raise ValueError("indefinite preconditioner")
    if beta1 == 0:
        return x, 0
    beta1 = math.sqrt(beta1)
    if check:
        if not _is_symmetric(xp, matvec, product, x, eps):
            raise ValueError("non-symmetric matrix")
        if not _is_symmetric(xp, psolve, y, r1, eps):
            raise ValueError("non-symmetric preconditioner")
    beta, old_beta, dbar, epsilon, phibar = beta1, 0.0, 0.0, 0.0, beta1
    cs, sn, norm2, largest, smallest = -1.0, 0.0, 0.0, 0.0, float(np.finfo(x.dtype).max)
    w, w2, r2 = xp.zeros(n, dtype=x.dtype), xp.zeros(n, dtype=x.dtype), r1
    stop, steps = 0, 0
    while steps < maxiter and not stop:  # pyright: ignore
        steps += 1
        v = (y * (1.0 / beta)).astype(y.dtype)
        y = matvec(v) - shift * v
        if steps >= 2:
            y = y - (beta / old_beta) * r1
        alpha = _real(xp.inner(v, y))
        y = (y - (alpha / beta) * r2).astype(b.dtype)
        r1, r2 = r2, y
        y = psolve(r2)
        old_beta, squared = beta, _real(xp.inner(r2, y))
        if squared < 0:
            raise ValueError("non-symmetric matrix")
        beta = math.sqrt(squared)
        norm2 += alpha**2 + old_beta**2 + beta**2
        if steps == 1 and beta / beta1 <= 10 * eps:
            stop = -1
        old_epsilon = epsilon
        delta = cs * dbar + sn * alpha
        gbar = sn * dbar - cs * alpha
        epsilon = sn * beta
        dbar = -cs * beta
        root = math.hypot(gbar, dbar)
        gamma = max(math.hypot(gbar, beta), eps)
        cs, sn = gbar / gamma, beta / gamma
        phi, phibar = cs * phibar, sn * phibar
        w1, w2 = w2, w
        w = ((v - old_epsilon * w1 - delta * w2) * (1.0 / gamma)).astype(x.dtype)
        x = (x + phi * w).astype(x.dtype)
        largest, smallest = max(largest, gamma), min(smallest, gamma)
        size, length = math.sqrt(norm2), norm(xp, x)
        residual = phibar / (size * length) if size and length else math.inf
        projected = root / size if size else math.inf
        if not stop:
            stop = _minres_stop(
                residual,
                projected,
                tol,
                eps,
                steps >= maxiter,  # pyright: ignore
                largest / smallest,
                size * length * eps >= beta1,  # pyright: ignore
            )
        if callback is not None:
            callback(x)
    return (x.astype(np.float64) if x.dtype == np.float32 else x), maxiter if stop == 6 else 0  # pyright: ignore


def _minres_stop(
    residual: float, projected: float, tol: float, eps: float, is_last: bool, condition: float, is_exact: bool
) -> int:
    stop = 0
    if 1 + projected <= 1:
        stop = 2
    if 1 + residual <= 1:
        stop = 1
    if is_last:
        stop = 6
    if condition >= 0.1 / eps:
        stop = 4
    if is_exact:
        stop = 3
    if projected <= tol:
        stop = 2
    if residual <= tol:
        stop = 1
    return stop


def _real(x: Any) -> float:
    value = _number(x)
    return float(value.real)


def _is_symmetric(xp: Any, apply: Apply, image: Vector, vector: Vector, eps: float) -> bool:
    twice = apply(image)
    s, t = _real(xp.inner(image, image)), _real(xp.inner(vector, twice))
    return bool(abs(s - t) <= (s + eps) * eps ** (1.0 / 3.0))


def lsmr(xp: Any, matvec: Apply, rmatvec: Apply, b: Vector, x: Vector, shape: tuple[int, int], *, damp: float = 0.0, atol: float = 1e-6,
         btol: float = 1e-6, conlim: float = 1e8, maxiter: int | None = None, starts: bool = False) -> tuple[Any, ...]:  # fmt: skip
    """Least squares by Golub-Kahan bidiagonalisation: (x, istop, itn, normr, normar, norma, conda, normx).

    `starts`: x is a guess, and not zero.
    """
    rows, cols = shape
    maxiter = min(rows, cols) * 5 if maxiter is None else maxiter
    length = norm(xp, b)
    u = b - matvec(x) if starts else b.copy()
    beta = norm(xp, u) if starts else length
    v, alpha = xp.zeros(cols, x.dtype), 0.0
    if beta > 0:
        u = u / beta
        v = rmatvec(u)
        alpha = norm(xp, v)
    if alpha > 0:
        v = v / alpha
    zetabar, alphabar = alpha * beta, alpha
    rho, rhobar, cbar, sbar = 1.0, 1.0, 1.0, 0.0
    h, hbar = v.copy(), xp.zeros(cols, x.dtype)
    betadd, betad, rhodold, tautildeold, thetatilde, zeta, d = beta, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0
    norm2, maxrbar, minrbar = alpha * alpha, 0.0, 1e100
    norma, conda, normx, normr, normar = alpha, 1.0, 0.0, beta, alpha * beta
    if normar == 0:
        return x, 0, 0, normr, normar, norma, conda, normx
    istop = itn = 0
    while itn < maxiter and not istop:
        itn += 1
        u = matvec(v) - alpha * u
        beta = norm(xp, u)
        if beta > 0:
            u = u / beta
            v = rmatvec(u) - beta * v
            alpha = norm(xp, v)
            if alpha > 0:
                v = v / alpha
        chat, shat, alphahat = _givens(alphabar, damp)
        rhoold = rho
        c, s, rho = _givens(alphahat, beta)
        thetanew, alphabar = s * alpha, c * alpha
        rhobarold, zetaold, thetabar, rhotemp = rhobar, zeta, sbar * rho, cbar * rho
        cbar, sbar, rhobar = _givens(cbar * rho, thetanew)
        zeta, zetabar = cbar * zetabar, -sbar * zetabar
        hbar = h - (thetabar * rho / (rhoold * rhobarold)) * hbar
        x = x + (zeta / (rho * rhobar)) * hbar
        h = v - (thetanew / rho) * h
        betaacute, betacheck = chat * betadd, -shat * betadd
        betahat, betadd = c * betaacute, -s * betaacute
        thetatildeold = thetatilde
        ctildeold, stildeold, rhotildeold = _givens(rhodold, thetabar)
        thetatilde, rhodold = stildeold * rhobar, ctildeold * rhobar
        betad = -stildeold * betad + ctildeold * betahat
        tautildeold = (zetaold - thetatildeold * tautildeold) / rhotildeold
        taud = (zeta - thetatilde * tautildeold) / rhodold
        d += betacheck * betacheck
        normr = math.sqrt(d + (betad - taud) ** 2 + betadd * betadd)
        norm2 += beta * beta
        norma = math.sqrt(norm2)
        norm2 += alpha * alpha
        maxrbar = max(maxrbar, rhobarold)
        if itn > 1:
            minrbar = min(minrbar, rhobarold)
        conda = max(maxrbar, rhotemp) / min(minrbar, rhotemp)
        normar, normx = abs(zetabar), norm(xp, x)
        test1 = normr / length
        test2 = normar / (norma * normr) if norma * normr else math.inf
        t1 = test1 / (1 + norma * normx / length)
        rtol = btol + atol * norma * normx / length
        tests = (
            (7, itn >= maxiter), (6, 1 + 1 / conda <= 1), (5, 1 + test2 <= 1), (4, 1 + t1 <= 1),
            (3, 1 / conda <= (1 / conlim if conlim > 0 else 0)), (2, test2 <= atol), (1, test1 <= rtol),
        )  # fmt: skip
        istop = next((number for number, holds in reversed(tests) if holds), 0)
    return x.astype(np.float64) if x.dtype.kind != "c" else x, istop, itn, normr, normar, norma, conda, normx


def eigsh(
    xp: Any, matvec: Apply, u: Vector, *, k: int, which: str, ncv: int, maxiter: int, tol: float
) -> tuple[Any, Any]:
    """`k` eigenvalues, ascending, and eigenvectors of a symmetric matrix, by thick-restart Lanczos from the vector `u`."""
    n, dtype = u.shape[0], u.dtype
    alpha = xp.zeros((ncv,), dtype=dtype)
    beta = xp.zeros((ncv,), dtype=dtype.char.lower())
    basis = xp.empty((ncv, n), dtype=dtype)
    basis[0] = u / xp.linalg.norm(u)
    u = _lanczos(xp, matvec, basis, alpha, beta, 0, ncv)
    steps = ncv
    w, s = _ritz(on_host(alpha), on_host(beta), None, k, which)
    x = basis.T @ xp.asarray(s)
    last = on_host(beta)[-1] * s[-1, :]
    while float(np.linalg.norm(last)) > tol and steps < maxiter and k + 1 < ncv:
        beta[:k] = 0
        alpha[:k] = xp.asarray(w.astype(dtype))
        basis[:k] = x.T
        known = basis[:k]
        u = u - known.T @ (known.conj() @ u)
        basis[k] = u / xp.linalg.norm(u)
        u = matvec(basis[k])
        alpha[k] = xp.vdot(basis[k], u)
        u = u - alpha[k] * basis[k] - known.T @ xp.asarray(last.astype(dtype))
        beta[k] = xp.linalg.norm(u)
        basis[k + 1] = u / beta[k]
        u = _lanczos(xp, matvec, basis, alpha, beta, k + 1, ncv)
        steps += ncv - k
        w, s = _ritz(on_host(alpha), on_host(beta), last, k, which)
        x = basis.T @ xp.asarray(s)
        last = on_host(beta)[-1] * s[-1, :]
    order = np.argsort(w)
    return xp.asarray(w[order]), x[:, xp.asarray(order)]


def _lanczos(xp: Any, matvec: Apply, basis: Any, alpha: Any, beta: Any, start: int, end: int) -> Vector:
    """Fill the basis from `start` on, reorthogonalised; the vector that would come next, not normalised."""
    for i in range(start, end):
        v = basis[i]
        u = matvec(v)
        alpha[i] = xp.vdot(v, u)
        known = basis[: i + 1]
        for _ in range(2):
            u = u - known.T @ (known.conj() @ u)
        beta[i] = xp.linalg.norm(u)
        if i + 1 < end:
            basis[i + 1] = u / beta[i]
    return u


def _ritz(alpha: Any, beta: Any, last: Any, k: int, which: str) -> tuple[Any, Any]:
    """The wanted eigenvalues and vectors of the projected matrix."""
    t = np.diag(alpha) + np.diag(beta[:-1], k=1) + np.diag(beta[:-1], k=-1)
    if last is not None:
        t[k, :k] = last
        t[:k, k] = last
    w, s = np.linalg.eigh(t)
    order = np.argsort(np.abs(w) if which == "LM" else w)
    order = order[:k] if which == "SA" else order[-k:]
    return w[order], s[:, order]


SQUARE = {"cg": cg, "cgs": cgs, "bicgstab": bicgstab, "gmres": gmres, "minres": minres}
