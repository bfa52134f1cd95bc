"""Eigenvalues by locally optimal block preconditioned conjugate gradients (A. Knyazev, SIAM J. Sci. Comput. 23, 2001).

It runs here and waits in each step for the number of vectors that have not converged, as CuPy does.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .._ops import cp
from ._interface import aslinearoperator

_LinAlgError = np.linalg.LinAlgError


def _operator(A: Any, n: int) -> Any:
    if A is None:
        return None
    made = aslinearoperator(A)
    if made.shape != (n, n):
        raise ValueError("operator has invalid shape")
    return made


def _adjoint(x: Any) -> Any:
    return x.T.conj()


def _cholesky(B: Any) -> Any:
    """The factor. Raises LinAlgError when there is none."""
    made = cp.linalg.cholesky(B)
    if bool(cp.isnan(made).any()):
        raise _LinAlgError("the matrix is not positive definite")
    return made


def _eigh(A: Any, B: Any = None) -> tuple[Any, Any]:
    """Of the problem A v = w B v. Raises LinAlgError."""
    if B is None:
        return cp.linalg.eigh(A)  # type: ignore[no-any-return]
    lower = _cholesky(B)
    inverse = cp.linalg.inv(lower)
    w, v = cp.linalg.eigh(inverse @ A @ _adjoint(inverse))
    return w, _adjoint(inverse) @ v


def _orthonormalized(B: Any, V: Any, BV: Any = None) -> Any:
    """(V, BV, what V was multiplied with, what it was divided by first), B-orthonormal; None where that fails."""
    scale = V.max(axis=0) + float(np.finfo(V.dtype).eps)
    V = V / scale
    BV = BV / scale if BV is not None else V if B is None else B(V)
    try:
        turn = cp.linalg.inv(_adjoint(_cholesky(_adjoint(V) @ BV)))
    except _LinAlgError:
        return None
    return V @ turn, None if B is None else BV @ turn, turn, scale


def _chosen(w: Any, count: int, largest: bool) -> Any:
    order = cp.argsort(w)
    return order[: -count - 1 : -1] if largest else order[:count]


def _warn_of_asymmetry(M: Any, name: str) -> None:
    size = float(cp.linalg.norm(M - _adjoint(M), 1))
    bound = 10 * float(np.finfo(M.dtype).eps) * max(1.0, float(cp.linalg.norm(M, 1)))
    if size > bound:
        text = f"Matrix {name} of the type {M.dtype} is not Hermitian: condition: {size} < {bound} fails."
        warnings.warn(text, UserWarning, stacklevel=4)


def _blocks(rows: list[list[Any]]) -> Any:
    """A Hermitian matrix of its upper blocks."""
    full = [
        [rows[i][j - i] if j >= i else _adjoint(rows[j][i - j]) for j in range(len(rows))] for i in range(len(rows))
    ]
    return cp.concatenate([cp.concatenate(line, axis=1) for line in full], axis=0)


class _Block:
    """Vectors with their images under A and B."""

    def __init__(self, V: Any, AV: Any, BV: Any) -> None:
        self.V, self.AV, self.BV = V, AV, BV

    def times(self, coefficients: Any) -> _Block:
        BV = None if self.BV is None else self.BV @ coefficients
        return _Block(self.V @ coefficients, self.AV @ coefficients, BV)

    def plus(self, other: _Block) -> _Block:
        BV = None if self.BV is None else self.BV + other.BV
        return _Block(self.V + other.V, self.AV + other.AV, BV)

    @property
    def image(self) -> Any:
        """Under B."""
        return self.V if self.BV is None else self.BV


def lobpcg(A: Any, X: Any, B: Any = None, M: Any = None, Y: Any = None, tol: Any = None, maxiter: Any = None, largest: bool = True,
           verbosityLevel: int = 0, retLambdaHistory: bool = False, retResidualNormsHistory: bool = False) -> Any:  # fmt: skip
    """Eigenvalues and eigenvectors of a symmetric matrix or operator, starting from the columns of `X`.

    Args:
        B: right side of a generalised problem. M: preconditioner. Y: constraints, whose span the vectors avoid.

    Returns:
        (w, v), and the histories of eigenvalues and residual norms that were asked for.

    Raises:
        ValueError: shapes that do not fit, or the projected problem has no solution.
    """
    maxiter = 20 if maxiter is None else maxiter
    if X.ndim != 2:
        raise ValueError("expected rank-2 array for argument X")
    n, size = X.shape
    constraints = 0 if Y is None else Y.shape[1]
    A, B, M = (_operator(operator, n) for operator in (A, B, M))
    if verbosityLevel:
        print(_announcement(n, size, constraints, B, M))
    if n - constraints < 5 * size:
        return _dense(A, B, Y, n, min(size, n), largest)
    if tol is None or tol <= 0.0:
        tol = float(np.sqrt(1e-15)) * n
    solver = _Iteration(A, B, M, Y, float(tol), largest, verbosityLevel)
    w, v = solver.run(X, maxiter)
    histories = [
        h for wanted, h in ((retLambdaHistory, solver.values), (retResidualNormsHistory, solver.norms)) if wanted
    ]
    return (w, v, *histories)


def _announcement(n: int, size: int, constraints: int, B: Any, M: Any) -> str:
    return (
        f"Solving {'standard' if B is None else 'generalized'} eigenvalue problem with{'out' if M is None else ''} preconditioning\n\n"
        f"matrix size {n}\nblock size {size}\n\n"
        + (f"{constraints} constraint{'s' if constraints > 1 else ''}\n\n" if constraints else "No constraints\n\n")
    )


def _dense(A: Any, B: Any, Y: Any, n: int, size: int, largest: bool) -> tuple[Any, Any]:
    """A problem that is small beside its block."""
    if Y is not None:
        raise NotImplementedError("The dense eigensolver does not support constraints.")
    w, v = _eigh(A(cp.eye(n, dtype=A.dtype)), None if B is None else B(cp.eye(n, dtype=B.dtype)))
    if largest:
        w, v = w[::-1], v[:, ::-1]
    return w[:size], v[:, :size]


class _Iteration:
    """The state of one call."""

    def __init__(self, A: Any, B: Any, M: Any, Y: Any, tol: float, largest: bool, verbosity: int) -> None:
        self.A, self.B, self.M, self.Y = A, B, M, Y
        self.tol, self.largest, self.verbosity = tol, largest, verbosity
        self.values: list[Any] = []
        self.norms: list[Any] = []
        self.BY = None if Y is None else Y if B is None else B(Y)
        self.YBY = None if Y is None else _adjoint(Y) @ self.BY
        #: Once residuals are small the Gram matrices are computed, not assumed.
        self.is_explicit = False

    def constrained(self, V: Any) -> Any:
        if self.Y is None:
            return V
        return V - self.Y @ cp.linalg.solve(self.YBY, _adjoint(self.BY) @ V)

    def run(self, X: Any, maxiter: int) -> tuple[Any, Any]:
        size = X.shape[1]
        start = _orthonormalized(self.B, self.constrained(X))
        if start is None:
            raise ValueError("the initial vectors are linearly dependent")
        block = _Block(start[0], self.A(start[0]), start[1])
        w, v = _eigh(_adjoint(block.V) @ block.AV)
        order = _chosen(w, size, self.largest)
        w, block = w[order], block.times(v[:, order])
        self.values.append(w)
        active = cp.ones((size,), dtype=bool)
        direction: Any = None
        for iteration in range(maxiter + 1):
            residual = block.AV - block.image * w[None, :]
            norms = cp.sqrt(cp.sum((residual.conj() * residual).real, 0))
            self.norms.append(norms)
            active = active & (norms > self.tol)
            kept = np.flatnonzero(active.get())
            if not kept.size:
                break
            if self.verbosity:
                print(
                    f"iteration {iteration}\ncurrent block size: {kept.size}\neigenvalue(s):\n{w}\nresidual norm(s):\n{norms}"
                )
            self.is_explicit = self.is_explicit or float(norms.max()) <= _small(block.AV.dtype)
            where = cp.asarray(kept)
            new = self._new_directions(block, residual[:, where])
            old = None if direction is None else self._old_directions(direction, where)
            w, block, direction = self._step(block, new, old, w, size)
            self.values.append(w)
        if self.verbosity:
            print(f"Final iterative eigenvalue(s):\n{w}\nFinal iterative residual norm(s):\n{self.norms[-1]}")
        return w, block.V

    def _new_directions(self, block: _Block, residual: Any) -> _Block:
        """Preconditioned residuals, orthonormal and orthogonal to the block."""
        if self.M is not None:
            residual = self.M(residual)
        residual = self.constrained(residual)
        residual = residual - block.V @ (_adjoint(block.image) @ residual)
        made = _orthonormalized(self.B, residual)
        if made is None:
            raise ValueError("eigh has failed in lobpcg iterations")
        return _Block(made[0], self.A(made[0]), made[1])

    def _old_directions(self, direction: _Block, where: Any) -> Any:
        """Of the last step, those that are active, orthonormal; None where that fails."""
        BV = None if direction.BV is None else direction.BV[:, where]
        made = _orthonormalized(self.B, direction.V[:, where], BV)
        if made is None:
            return None
        V, BV, turn, scale = made
        return _Block(V, (direction.AV[:, where] / scale) @ turn, BV)

    def _grams(self, parts: list[_Block], w: Any) -> tuple[Any, Any]:
        """The problem projected on the parts. Raises LinAlgError from its solution, not here."""
        grams_a, grams_b = [], []
        for i, left in enumerate(parts):
            row_a, row_b = [], []
            for j, right in enumerate(parts[i:], i):
                a = _adjoint(left.V) @ right.AV
                if i == j and self.is_explicit:
                    a = (a + _adjoint(a)) / 2
                if i == j == 0 and not self.is_explicit:
                    a = cp.diag(w).astype(a.dtype)
                row_a.append(a)
                row_b.append(self._gram_b(left, right, i, j))
            grams_a.append(row_a)
            grams_b.append(row_b)
        return _blocks(grams_a), _blocks(grams_b)

    def _gram_b(self, left: _Block, right: _Block, i: int, j: int) -> Any:
        if not self.is_explicit:
            if i == j:
                return cp.eye(left.V.shape[1], dtype=left.V.dtype)
            if (i, j) == (0, 1):
                return cp.zeros((left.V.shape[1], right.V.shape[1]), dtype=left.V.dtype)
        return _adjoint(left.V) @ right.image

    def _step(self, block: _Block, new: _Block, old: Any, w: Any, size: int) -> tuple[Any, _Block, _Block]:
        """Rayleigh-Ritz on the block, new and old directions; without the old ones where that fails."""
        for parts in ([block, new, old], [block, new]):
            if parts[-1] is None:
                continue
            gram_a, gram_b = self._grams(parts, w)
            if self.verbosity:
                _warn_of_asymmetry(gram_a, "gramA")
                _warn_of_asymmetry(gram_b, "gramB")
            try:
                values, vectors = _eigh(gram_a, gram_b)
            except _LinAlgError:
                continue
            order = _chosen(values, size, self.largest)
            values, vectors = values[order], vectors[:, order]
            ends = np.cumsum([0, *(p.V.shape[1] for p in parts)]).tolist()
            pieces = [p.times(vectors[a:b]) for p, a, b in zip(parts, ends, ends[1:], strict=False)]
            direction = pieces[1] if len(pieces) == 2 else pieces[1].plus(pieces[2])
            return values, pieces[0].plus(direction), direction
        raise ValueError("eigh has failed in lobpcg iterations")


def _small(dtype: Any) -> float:
    """The residual from which on Gram matrices are computed."""
    return 1.0 if dtype == np.float32 else 1e-8
