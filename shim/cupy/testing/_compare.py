"""Decorators that call a test with NumPy and with us and compare what it returns, or what it raises."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import cupy as _cupy
from ...array import ndarray
from ...convert import asarray, asnumpy
from . import _array
from ._loops import FLOATS, SIGNED, UNSIGNED, Decorator, hidden, skips

#: Errors of the two must be of the same of these.
_KINDS: tuple[type[BaseException], ...] = (
    AttributeError, IndexError, TypeError, ValueError, NotImplementedError, DeprecationWarning, np.exceptions.AxisError,
    np.linalg.LinAlgError, Exception,
)  # fmt: skip

Check = Callable[[Any, Any], None]


class _Names:
    """Names of the arguments that take the modules: array module, sparse module, SciPy."""

    def __init__(self, xp: str, sparse: str | None, scipy: str | None) -> None:
        self.xp = xp
        self.sparse = sparse
        self.scipy = scipy

    @property
    def all(self) -> tuple[str | None, ...]:
        return self.xp, self.sparse, self.scipy

    def ours(self) -> dict[str, Any]:
        modules: dict[str, Any] = {self.xp: _cupy}
        if self.sparse is not None:
            from ...cupyx.scipy import sparse

            modules[self.sparse] = sparse
        if self.scipy is not None:
            from ... import cupyx

            modules[self.scipy] = cupyx.scipy
        return modules

    def numpys(self) -> dict[str, Any]:
        modules: dict[str, Any] = {self.xp: np}
        if self.sparse is not None:
            import scipy.sparse

            modules[self.sparse] = scipy.sparse
        if self.scipy is not None:
            import scipy

            modules[self.scipy] = scipy
        return modules


def _called(test: Callable[..., Any], args: Any, kwargs: Any, modules: dict[str, Any]) -> tuple[Any, Any]:
    """(result, error)."""
    caught: tuple[type[BaseException], ...] = (Exception, *skips())
    try:
        return test(*args, **kwargs, **modules), None
    except caught as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:
            raise  # the test was not entered: it does not take the arguments
        return None, error


def _shown(error: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(error).format())


def _check_errors(ours: Any, theirs: Any, accepted: Any) -> None:
    """Raises AssertionError unless both errors are of the same kinds and accepted; a skip of both is raised again."""
    if isinstance(ours, skips()) and isinstance(theirs, skips()):
        if type(ours) is not type(theirs) or ours.args != theirs.args:
            raise AssertionError("Both numpy and cupy were skipped but with different causes.")
        raise theirs
    if ours is None and theirs is None:
        raise AssertionError("Both cupy and numpy are expected to raise errors, but not")
    if ours is None or theirs is None:
        who, error = ("numpy", theirs) if ours is None else ("cupy", ours)
        raise AssertionError(f"Only {who} raises error\n\n{_shown(error)}").with_traceback(error.__traceback__)  # pyright: ignore
    both = f"cupy\n{_shown(ours)}\n\nnumpy\n{_shown(theirs)}\n"
    if any(isinstance(ours, kind) != isinstance(theirs, kind) for kind in _KINDS):
        raise AssertionError(f"Different types of errors occurred\n\n{both}").with_traceback(ours.__traceback__)
    classes = Exception if accepted is True else accepted or ()
    if not (isinstance(ours, classes) and isinstance(theirs, classes)):
        raise AssertionError(f"Both cupy and numpy raise exceptions\n\n{both}").with_traceback(ours.__traceback__)


def _arrays(ours: Any, theirs: Any, is_sparse: bool, check_format: bool) -> tuple[Any, Any]:
    """The two results as arrays. Raises AssertionError when they are not of corresponding types."""
    if is_sparse and hasattr(ours, "toarray"):
        assert hasattr(theirs, "toarray")
        if check_format:
            assert ours.format == theirs.format
        return ours.toarray(), theirs.toarray()
    if isinstance(ours, ndarray) and isinstance(theirs, np.ndarray | np.generic):
        return ours, theirs
    if isinstance(theirs, np.poly1d) and isinstance(ours, _cupy.poly1d):
        assert ours.variable == theirs.variable  # pyright: ignore
        return ours.coeffs, theirs.coeffs  # pyright: ignore
    if isinstance(ours, np.generic) and isinstance(theirs, np.generic):
        return ours, theirs
    if np.isscalar(ours) and np.isscalar(theirs):
        return asarray(ours), np.array(theirs)
    raise AssertionError(
        f"numpy and cupy returns different type of return value:\ncupy: {type(ours)}\nnumpy: {type(theirs)}"
    )


def _listed(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def _check_contiguity(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, np.ndarray):
        for flag in ("c_contiguous", "f_contiguous"):
            if getattr(theirs.flags, flag) and not getattr(ours.flags, flag):
                raise AssertionError(f"The state of {flag} flag is false. (cupy_result:False numpy_result:True)")


def _mixes_signs(kwargs: dict[str, Any]) -> bool:
    """Whether the test is given unsigned dtypes and others that can be negative."""
    given = {v for v in kwargs.values() if isinstance(v, type) and issubclass(v, np.number)}
    return any(d in given for d in UNSIGNED) and any(d in given for d in (*FLOATS, *SIGNED))


class _Comparison:
    """How the results of one test are compared."""

    def __init__(
        self, check: Check, names: _Names, type_check: bool, contiguous_check: bool, accept_error: Any, check_format: bool
    ) -> None:  # fmt: skip
        self.check = check
        self.names = names
        self.type_check = type_check
        self.contiguous_check = contiguous_check
        self.accept_error = accept_error
        self.check_format = check_format

    def __call__(self, test: Callable[..., Any]) -> Callable[..., Any]:
        @hidden(test, *self.names.all)
        def run(*args: Any, **kwargs: Any) -> None:
            ours, our_error = _called(test, args, kwargs, self.names.ours())
            theirs, their_error = _called(test, args, kwargs, self.names.numpys())
            if our_error is not None or their_error is not None:
                _check_errors(our_error, their_error, self.accept_error)
                return
            assert ours is not None and theirs is not None, "the test returns nothing to compare"
            self._compare(_listed(ours), _listed(theirs), lambda: self._valid(test, args, kwargs), kwargs)

        return run

    def _compare(
        self, ours: list[Any], theirs: list[Any], valid: Callable[[], list[Any]], kwargs: dict[str, Any]
    ) -> None:
        assert len(ours) == len(theirs)
        pairs = [
            _arrays(a, b, self.names.sparse is not None, self.check_format) for a, b in zip(ours, theirs, strict=True)
        ]
        for a, b in pairs:
            if self.type_check and a.dtype != b.dtype:
                raise AssertionError(f"ndarrays of different dtypes are returned.\ncupy: {a.dtype}\nnumpy: {b.dtype}")
        if self.contiguous_check:
            for a, b in zip(ours, theirs, strict=True):
                _check_contiguity(a, b)
        for a, b in pairs:
            assert a.shape == b.shape
        is_unsigned = [a.dtype.type in UNSIGNED for a, _ in pairs]
        masks = valid() if _mixes_signs(kwargs) and any(is_unsigned) else [None] * len(pairs)
        for (a, b), mask, unsigned in zip(pairs, masks, is_unsigned, strict=True):
            if mask is None or not unsigned:
                self.check(a, b)
            elif a.shape:
                self.check(asnumpy(a)[mask], b[mask])
            elif mask.all():
                self.check(a, b)

    def _valid(self, test: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> list[Any]:
        """Where results are not negative: a GPU and a CPU convert negative numbers to unsigned ones each in its own way."""
        signed = {k: np.dtype(np.dtype(v).char.lower()).type if v in UNSIGNED else v for k, v in kwargs.items()}
        return [asnumpy(r) >= 0 for r in _listed(test(*args, **signed, **self.names.ours()))]


def _tolerance(given: Any, dtype: Any) -> Any:
    """A tolerance, by dtype where it is a dict."""
    if not isinstance(given, dict):
        return given
    found = given.get(dtype.type, given.get("default"))
    if found is None:
        raise TypeError(f"Can not find tolerance for {dtype.type}")
    return found


def numpy_cupy_allclose(
    rtol: Any = 1e-7, atol: Any = 0, err_msg: str = "", verbose: bool = True, name: str = "xp", type_check: bool = True,
    accept_error: Any = False, sp_name: str | None = None, scipy_name: str | None = None, contiguous_check: bool = True, *,
    _check_sparse_format: bool = True,
) -> Decorator:  # fmt: skip
    """The test returns arrays that are close: `assert_allclose`.

    Args:
        rtol: relative tolerance, or one per dtype with "default" for the others.
        atol: absolute tolerance, likewise.
        err_msg: what a failure says.
        verbose: whether it shows the values.
        name: the argument that takes the array module.
        type_check: whether dtypes are compared.
        accept_error: error classes that both may raise; True is any.
        sp_name: the argument that takes the sparse module.
        scipy_name: the argument that takes SciPy, or `cupyx.scipy`.
        contiguous_check: whether our result must be contiguous where NumPy's is.

    Raises:
        TypeError: tolerances by something else than dtypes, or by dtypes that are not compared.
    """
    for tolerance in (rtol, atol):
        if isinstance(tolerance, dict):
            if any(key != "default" and not isinstance(key, type) for key in tolerance):
                raise TypeError(
                    "Keys of the tolerance dictionary need to be type objects as `numpy.float32` and `cupy.float32` or "
                    "`'default'` string."
                )
            if not type_check:
                raise TypeError("When `type_check` is `False`, `rtol` and `atol` must be supplied as float.")

    def check(a: Any, b: Any) -> None:
        _array.assert_allclose(a, b, _tolerance(rtol, a.dtype), _tolerance(atol, a.dtype), err_msg, verbose)

    names = _Names(name, sp_name, scipy_name)
    return _Comparison(check, names, type_check, contiguous_check, accept_error, _check_sparse_format)


def numpy_cupy_array_almost_equal(
    decimal: int = 6, err_msg: str = "", verbose: bool = True, name: str = "xp", type_check: bool = True, accept_error: Any = False,
    sp_name: str | None = None, scipy_name: str | None = None,
) -> Decorator:  # fmt: skip
    """As `numpy_cupy_allclose`, by `assert_array_almost_equal`."""

    def check(a: Any, b: Any) -> None:
        _array.assert_array_almost_equal(a, b, decimal, err_msg, verbose)

    return _Comparison(check, _Names(name, sp_name, scipy_name), type_check, False, accept_error, True)


def numpy_cupy_array_almost_equal_nulp(
    nulp: int = 1, name: str = "xp", type_check: bool = True, accept_error: Any = False, sp_name: str | None = None,
    scipy_name: str | None = None,
) -> Decorator:  # fmt: skip
    """As `numpy_cupy_allclose`, by `assert_array_almost_equal_nulp`."""

    def check(a: Any, b: Any) -> None:
        _array.assert_array_almost_equal_nulp(a, b, nulp)

    return _Comparison(check, _Names(name, sp_name, scipy_name), type_check, False, accept_error, True)


def numpy_cupy_array_max_ulp(
    maxulp: int = 1, dtype: Any = None, name: str = "xp", type_check: bool = True, accept_error: Any = False,
    sp_name: str | None = None, scipy_name: str | None = None,
) -> Decorator:  # fmt: skip
    """As `numpy_cupy_allclose`, by `assert_array_max_ulp`."""

    def check(a: Any, b: Any) -> None:
        _array.assert_array_max_ulp(a, b, maxulp, dtype)

    return _Comparison(check, _Names(name, sp_name, scipy_name), type_check, False, accept_error, True)


def numpy_cupy_array_equal(
    err_msg: str = "", verbose: bool = True, name: str = "xp", type_check: bool = True, accept_error: Any = False,
    sp_name: str | None = None, scipy_name: str | None = None, strides_check: bool = False,
) -> Decorator:  # fmt: skip
    """As `numpy_cupy_allclose`, by `assert_array_equal`; with `strides_check` the strides too."""

    def check(a: Any, b: Any) -> None:
        _array.assert_array_equal(a, b, err_msg, verbose, strides_check=strides_check)

    return _Comparison(check, _Names(name, sp_name, scipy_name), type_check, False, accept_error, True)


def numpy_cupy_array_list_equal(
    err_msg: str = "", verbose: bool = True, name: str = "xp", sp_name: str | None = None, scipy_name: str | None = None
) -> Decorator:
    """Deprecated: `numpy_cupy_array_equal` does it."""
    warnings.warn(
        "numpy_cupy_array_list_equal is deprecated. Use numpy_cupy_array_equal instead.", DeprecationWarning, stacklevel=2
    )  # fmt: skip

    def check(a: Any, b: Any) -> None:
        _array.assert_array_equal(a, b, err_msg, verbose)

    return _Comparison(check, _Names(name, sp_name, scipy_name), False, False, False, True)


def numpy_cupy_array_less(
    err_msg: str = "", verbose: bool = True, name: str = "xp", type_check: bool = True, accept_error: Any = False,
    sp_name: str | None = None, scipy_name: str | None = None,
) -> Decorator:  # fmt: skip
    """As `numpy_cupy_allclose`, by `assert_array_less`: our result is the smaller one."""

    def check(a: Any, b: Any) -> None:
        _array.assert_array_less(a, b, err_msg, verbose)

    return _Comparison(check, _Names(name, sp_name, scipy_name), type_check, False, accept_error, True)


def numpy_cupy_equal(name: str = "xp", sp_name: str | None = None, scipy_name: str | None = None) -> Decorator:
    """The test returns values that are equal by `==`."""
    names = _Names(name, sp_name, scipy_name)

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        @hidden(test, *names.all)
        def run(*args: Any, **kwargs: Any) -> None:
            ours, our_error = _called(test, args, kwargs, names.ours())
            theirs, their_error = _called(test, args, kwargs, names.numpys())
            if our_error is not None or their_error is not None:
                _check_errors(our_error, their_error, False)
            elif ours != theirs:
                raise AssertionError(f"Results are not equal:\ncupy: {ours}\nnumpy: {theirs}")

        return run

    return decorate


def numpy_cupy_raises(
    name: str = "xp", sp_name: str | None = None, scipy_name: str | None = None, accept_error: Any = Exception
) -> Decorator:
    """Deprecated. The test raises the same error with both."""
    warnings.warn("cupy.testing.numpy_cupy_raises is deprecated.", DeprecationWarning, stacklevel=2)
    names = _Names(name, sp_name, scipy_name)

    def decorate(test: Callable[..., Any]) -> Callable[..., Any]:
        @hidden(test, *names.all)
        def run(*args: Any, **kwargs: Any) -> None:
            our_error = _called(test, args, kwargs, names.ours())[1]
            their_error = _called(test, args, kwargs, names.numpys())[1]
            _check_errors(our_error, their_error, accept_error)

        return run

    return decorate
