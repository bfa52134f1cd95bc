"""The loops of ufuncs as CUDA C++: what translated Python and fused functions are made of. Pure.

A loop is written as one expression over operands of the loop's types. What one expression cannot say is a helper function, whose text
is put in front of the kernel once. Both compilers take the text: NVRTC, and the CPU device's.

Cases of a loop's type: bool, integers, real numbers (half and bfloat16 are computed as float), complex numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from cupool.contract.ops._loops import KERNELS

#: dtype character -> C++ type. `E` is bfloat16.
C_TYPES = {
    "?": "bool", "b": "signed char", "B": "unsigned char", "h": "short", "H": "unsigned short", "i": "int", "I": "unsigned int",
    "l": "long long", "L": "unsigned long long", "q": "long long", "Q": "unsigned long long", "e": "float16", "E": "bfloat16",
    "f": "float", "d": "double", "F": "thrust::complex<float>", "D": "thrust::complex<double>",
}  # fmt: skip
_NARROW = "?bBhH"
_KINDS = {
    **dict.fromkeys("bhilq", "i"),
    **dict.fromkeys("BHILQ", "u"),
    **dict.fromkeys("eEfd", "f"),
    "F": "c",
    "D": "c",
    "?": "b",
}


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop of a ufunc.

    Attributes:
        ins, outs: dtype characters.
        error: why nothing runs for these types; "" when something does.
    """

    ins: str
    outs: str
    error: str = ""


@cache
def loops(name: str) -> tuple[Loop, ...]:
    """The loops of a ufunc (as `cupy.ufunc.types` lists them), in CuPy's order; () for a name without."""
    entry = KERNELS.get(name)
    if entry is None:
        return ()
    options: dict[str, Any] = entry[3] if len(entry) > 3 else {}
    found = []
    for text in entry[2].split():  # pyright: ignore
        ins, _, outs = text.lstrip("!").partition("->")
        found.append(Loop(ins, outs, options.get("error", "") if text.startswith("!") else ""))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Call:
    """What a writer of an expression sees: the operands' code, the loop's input kind and C++ type, and "f" for float."""

    args: tuple[str, ...]
    kind: str
    type: str
    suffix: str
    result: str


_Writer = Callable[[_Call], str | None]


class Unwritten(Exception):
    """There is no C++ for this loop."""


# -- helper functions ----------------------------------------------------------------------------------------------------------

_T = "template <class T> __device__ inline "
_C = "template <class R> __device__ inline "
HELPERS: dict[str, str] = {
    "floor_divide": _T + """T cupool_floor_divide(T a, T b) {
  if (b == 0) return 0;
  if ((T)-1 < 0 && b == (T)-1) return (T)(0 - a);
  T q = a / b;
  return q - (((a < 0) != (b < 0)) && q * b != a);
}
__device__ inline float cupool_floor_divide(float a, float b) { return floorf(a / b); }
__device__ inline double cupool_floor_divide(double a, double b) { return floor(a / b); }
""",
    "remainder": _T + """T cupool_remainder(T a, T b) { return b == 0 ? 0 : (T)(a - cupool_floor_divide(a, b) * b); }
__device__ inline float cupool_remainder(float a, float b) { return a - cupool_floor_divide(a, b) * b; }
__device__ inline double cupool_remainder(double a, double b) { return a - cupool_floor_divide(a, b) * b; }
""",
    "absolute": _T + "T cupool_absolute(T a) { return a < 0 ? (T)-a : a; }\n",
    "square": _T + "T cupool_square(T a) { return (T)(a * a); }\n",
    "reciprocal": _T + "T cupool_reciprocal(T a) { return a == 0 ? 0 : (T)(1 / a); }\n",
    "clip": _T + "T cupool_clip(T a, T low, T high) { return low > high ? high : a < low ? low : a > high ? high : a; }\n",
    "fmod": _T + "T cupool_fmod(T a, T b) { return b == 0 || ((T)-1 < 0 && b == (T)-1) ? 0 : (T)(a % b); }\n",
    "power": _T + """T cupool_power(T a, T b) {
  if (b < 0) return a == 1 ? 1 : (T)-1 < 0 && a == (T)-1 ? ((b & 1) ? (T)-1 : 1) : 0;
  T r = 1;
  for (; b > 0; b >>= 1) {
    if (b & 1) r *= a;
    a *= a;
  }
  return r;
}
""",
    "complex_power": _C + """thrust::complex<R> cupool_complex_power(thrust::complex<R> a, thrust::complex<R> b) {
  if (b == thrust::complex<R>(0)) return thrust::complex<R>(1);
  if (a == thrust::complex<R>(0)) return thrust::complex<R>(0);
  return thrust::pow(a, b);
}
""",
    "shift": _T + """T cupool_left_shift(T a, T b) { return b < 0 || b >= (T)(8 * sizeof(T)) ? 0 : (T)(a << b); }
""" + _T + """T cupool_right_shift(T a, T b) { return b < 0 || b >= (T)(8 * sizeof(T)) ? (T)(a < 0 ? -1 : 0) : (T)(a >> b); }
""",
    "extremes": _T + "T cupool_maximum(T a, T b) { return a != a ? a : b != b ? b : a < b ? b : a; }\n"
    + _T + "T cupool_minimum(T a, T b) { return a != a ? a : b != b ? b : b < a ? b : a; }\n"
    + _T + "T cupool_fmax(T a, T b) { return a != a ? b : b != b ? a : a < b ? b : a; }\n"
    + _T + "T cupool_fmin(T a, T b) { return a != a ? b : b != b ? a : b < a ? b : a; }\n",
    "complex_less": _C + """bool cupool_complex_less(thrust::complex<R> a, thrust::complex<R> b) {
  return a.real() < b.real() || (a.real() == b.real() && a.imag() < b.imag());
}
""" + _C + """bool cupool_complex_less_equal(thrust::complex<R> a, thrust::complex<R> b) {
  return a.real() < b.real() || (a.real() == b.real() && a.imag() <= b.imag());
}
""",
    "complex_extremes": _C + """bool cupool_complex_nan(thrust::complex<R> a) { return a.real() != a.real() || a.imag() != a.imag(); }
""" + "".join(
        _C + f"thrust::complex<R> cupool_complex_{name}(thrust::complex<R> a, thrust::complex<R> b) {{\n"
        f"  if (cupool_complex_nan(a)) return {nan_a};\n  if (cupool_complex_nan(b)) return {nan_b};\n"
        f"  return cupool_complex_less({first}) ? b : a;\n}}\n"
        for name, nan_a, nan_b, first in (
            ("maximum", "a", "b", "a, b"), ("minimum", "a", "b", "b, a"), ("fmax", "b", "a", "a, b"), ("fmin", "b", "a", "b, a"),
        )
    ),
    "mixed": "".join(
        f"__device__ inline bool cupool_mixed_{name}(long long a, unsigned long long b) "
        f"{{ return a < 0 ? {neg} : (unsigned long long)a {op} b; }}\n"
        f"__device__ inline bool cupool_mixed_{name}(unsigned long long a, long long b) "
        f"{{ return b < 0 ? {pos} : a {op} (unsigned long long)b; }}\n"
        for name, op, neg, pos in (
            ("less", "<", "true", "false"), ("less_equal", "<=", "true", "false"), ("greater", ">", "false", "true"),
            ("greater_equal", ">=", "false", "true"), ("equal", "==", "false", "false"), ("not_equal", "!=", "true", "true"),
        )
    ),
    "sign": _T + "T cupool_sign(T a) { return a != a ? a : (T)((a > 0) - (a < 0)); }\n",
    "complex_sign": _C + """thrust::complex<R> cupool_complex_sign(thrust::complex<R> a) {
  R n = thrust::abs(a);
  return n == 0 ? thrust::complex<R>(0) : thrust::complex<R>(a.real() / n, a.imag() / n);
}
""",
    "heaviside": _T + "T cupool_heaviside(T a, T b) { return a != a ? a : a == 0 ? b : (T)(a > 0); }\n",
    "gcd": _T + """T cupool_gcd(T a, T b) {
  if (a < 0) a = (T)-a;
  if (b < 0) b = (T)-b;
  while (b != 0) {
    T r = (T)(a % b);
    a = b;
    b = r;
  }
  return a;
}
""" + _T + """T cupool_lcm(T a, T b) {
  T g = cupool_gcd(a, b);
  if (g == 0) return 0;
  T r = (T)(a / g * b);
  return r < 0 ? (T)-r : r;
}
""",
    "logaddexp": """__device__ inline double cupool_logaddexp(double a, double b) {
  if (a == b) return a + 0.69314718055994530942;
  double d = a - b;
  return d > 0 ? a + log1p(exp(-d)) : d <= 0 ? b + log1p(exp(d)) : d;
}
__device__ inline float cupool_logaddexp(float a, float b) {
  if (a == b) return a + 0.69314718056f;
  float d = a - b;
  return d > 0 ? a + log1pf(expf(-d)) : d <= 0 ? b + log1pf(expf(d)) : d;
}
__device__ inline double cupool_logaddexp2(double a, double b) {
  if (a == b) return a + 1;
  double d = a - b, l = 1.4426950408889634074;
  return d > 0 ? a + l * log1p(exp2(-d)) : d <= 0 ? b + l * log1p(exp2(d)) : d;
}
__device__ inline float cupool_logaddexp2(float a, float b) {
  if (a == b) return a + 1;
  float d = a - b, l = 1.44269504089f;
  return d > 0 ? a + l * log1pf(exp2f(-d)) : d <= 0 ? b + l * log1pf(exp2f(d)) : d;
}
""",
    "sinc": """__device__ inline double cupool_sinc(double x) { return fabs(x) > 1e-9 ? sinpi(x) / (3.14159265358979323846 * x) : 1; }
__device__ inline float cupool_sinc(float x) { return fabsf(x) > 1e-9f ? (float)(sinpi((double)x) / (3.14159265358979323846 * x)) : 1; }
""" + _C + """thrust::complex<R> cupool_sinc(thrust::complex<R> x) {
  thrust::complex<R> p = x * (R)3.14159265358979323846;
  return thrust::abs(x) > (R)1e-9 ? thrust::sin(p) / p : thrust::complex<R>(1);
}
""",
    "complex_rint": _C + "thrust::complex<R> cupool_complex_rint(thrust::complex<R> a) "
    "{ return thrust::complex<R>(rint(a.real()), rint(a.imag())); }\n",
    "complex_finite": "".join(
        _C + f"bool cupool_complex_{name}(thrust::complex<R> a) {{ return {name}(a.real()) {op} {name}(a.imag()); }}\n"
        for name, op in (("isnan", "||"), ("isinf", "||"), ("isfinite", "&&"))
    ),
    "bitwise_count": _T + """unsigned char cupool_bitwise_count(T a) {
  return (unsigned char)__popcll(a < 0 ? 0ull - (unsigned long long)a : (unsigned long long)a);
}
""",
}  # fmt: skip
_NAME = re.compile(r"\b(cupool_\w+)\(")
#: Function -> the helper whose text defines it.
_HOME = {
    name: helper for helper, text in HELPERS.items() for name in re.findall(r"inline [^(;]*?\b(cupool_\w+)\(", text)
}


def needed(code: str) -> tuple[str, ...]:
    """The helpers that `code` calls, those that they call themselves first."""
    found: dict[str, None] = {}
    for name in _NAME.findall(code):
        helper = _HOME[name]
        if helper not in found:
            own = HELPERS[helper]
            found.update(dict.fromkeys(h for h in needed(_without_own(own, helper)) if h != helper))
            found[helper] = None
    return tuple(found)


def _without_own(text: str, helper: str) -> str:
    return _NAME.sub(lambda m: "(" if _HOME[m.group(1)] == helper else m.group(0), text)


# -- expressions ---------------------------------------------------------------------------------------------------------------


def _infix(op: str, boolean: str | None = None) -> _Writer:
    def write(c: _Call) -> str:
        return f"({c.args[0]} {boolean if c.kind == 'b' and boolean else op} {c.args[1]})"

    return write


def _same(c: _Call) -> str:
    return f"({c.args[0]})"


def _math(name: str, complex_name: str | None = "") -> _Writer:
    """A function of the C library: `sinf`, `sin`, `thrust::sin`. `complex_name` None: not of complex numbers."""

    def write(c: _Call) -> str | None:
        joined = ", ".join(c.args if c.kind in "fc" else (f"({c.result}){a}" for a in c.args))
        if c.kind == "c":
            return None if complex_name is None else f"thrust::{complex_name or name}({joined})"
        return f"{name}{c.suffix}({joined})"

    return write


def _helper(name: str) -> _Writer:
    return lambda c: f"cupool_{name}({', '.join(c.args)})"


def _rounded(name: str) -> _Writer:
    return lambda c: f"{name}{c.suffix}({c.args[0]})" if c.kind == "f" else f"({c.args[0]})"


def _compare(name: str, op: str) -> _Writer:
    def write(c: _Call) -> str:
        a, b = c.args
        if c.kind == "mixed":
            return f"cupool_mixed_{name}({a}, {b})"
        if c.kind == "c" and op not in ("==", "!="):
            x, y = (a, b) if op[0] == "<" else (b, a)
            return f"cupool_complex_less{'_equal' if len(op) == 2 else ''}({x}, {y})"
        return f"({a} {op} {b})"

    return write


def _extreme(name: str) -> _Writer:
    return lambda c: f"cupool_{'complex_' if c.kind == 'c' else ''}{name}({', '.join(c.args)})"


def _test(name: str) -> _Writer:
    return lambda c: f"{'cupool_complex_' if c.kind == 'c' else ''}{name}({c.args[0]})"


def _absolute(c: _Call) -> str:
    a = c.args[0]
    if c.kind in "bu":
        return f"({a})"
    if c.kind == "c":
        return f"thrust::abs({a})"
    return f"fabs{c.suffix}({a})" if c.kind == "f" else f"cupool_absolute({a})"


def _power(c: _Call) -> str:
    a, b = c.args
    if c.kind == "c":
        return f"cupool_complex_power({a}, {b})"
    if c.kind == "b":
        return f"({a} || !{b})"
    return f"pow{c.suffix}({a}, {b})" if c.kind == "f" else f"cupool_power({a}, {b})"


def _reciprocal(c: _Call) -> str:
    return f"(({c.type})1 / {c.args[0]})" if c.kind in "fc" else f"cupool_reciprocal({c.args[0]})"


def _scaled(factor: str) -> _Writer:
    return lambda c: f"({c.args[0]} * {factor}{c.suffix})"


def _ldexp(c: _Call) -> str:
    return f"ldexp{c.suffix}({c.args[0]}, (int){c.args[1]})"


def _logical_not(c: _Call) -> str:
    return f"(!{c.args[0]})"


def _divide(c: _Call) -> str:
    a, b = c.args
    return f"(({c.result}){a} / ({c.result}){b})"


def _fmod(c: _Call) -> str:
    return f"fmod{c.suffix}({', '.join(c.args)})" if c.kind == "f" else f"cupool_fmod({', '.join(c.args)})"


def _sign(c: _Call) -> str:
    return f"cupool_{'complex_' if c.kind == 'c' else ''}sign({c.args[0]})"


def _conjugate(c: _Call) -> str:
    return f"thrust::conj({c.args[0]})" if c.kind == "c" else f"({c.args[0]})"


def _complex_or(real: _Writer, cplx: str) -> _Writer:
    return lambda c: cplx.format(*c.args, t=c.type) if c.kind == "c" else real(c)


_LOG2 = "(thrust::log({0}) * {t}(1.4426950408889634074))"
_ALIASES = {
    "abs": "absolute", "acos": "arccos", "acosh": "arccosh", "asin": "arcsin", "asinh": "arcsinh", "atan": "arctan", "atan2": "arctan2",
    "atanh": "arctanh", "bitwise_invert": "invert", "bitwise_left_shift": "left_shift", "bitwise_not": "invert",
    "bitwise_right_shift": "right_shift", "conj": "conjugate", "degrees": "rad2deg", "divide": "true_divide", "mod": "remainder",
    "pow": "power", "radians": "deg2rad",
}  # fmt: skip
_SPECIAL = {
    "erf": "erf", "erfc": "erfc", "erfinv": "erfinv", "erfcinv": "erfcinv", "erfcx": "erfcx", "gamma": "tgamma", "gammaln": "lgamma",
    "ndtr": "normcdf", "ndtri": "normcdfinv", "i0": "cyl_bessel_i0", "i1": "cyl_bessel_i1", "j0": "j0", "j1": "j1", "y0": "y0",
    "y1": "y1", "cbrt": "cbrt", "exp2": "exp2", "exp10": "exp10", "expm1": "expm1", "log1p": "log1p",
}  # fmt: skip
_WRITERS: dict[str, _Writer] = {
    "add": _infix("+", "|"),
    "subtract": _infix("-"),
    "multiply": _infix("*", "&"),
    "true_divide": _divide,
    "floor_divide": _helper("floor_divide"),
    "remainder": _helper("remainder"),
    "fmod": _fmod,
    "power": _power,
    "float_power": _power,
    "negative": lambda c: f"(-{c.args[0]})",
    "positive": _same,
    "absolute": _absolute,
    "fabs": _math("fabs", None),
    "sign": _sign,
    "square": _helper("square"),
    "reciprocal": _reciprocal,
    "conjugate": _conjugate,
    "bitwise_and": _infix("&"),
    "bitwise_or": _infix("|"),
    "bitwise_xor": _infix("^"),
    "invert": lambda c: f"({'!' if c.kind == 'b' else '~'}{c.args[0]})",
    "left_shift": _helper("left_shift"),
    "right_shift": _helper("right_shift"),
    "bitwise_count": _helper("bitwise_count"),
    "logical_and": _infix("&&"),
    "logical_or": _infix("||"),
    "logical_xor": lambda c: f"(!{c.args[0]} != !{c.args[1]})",
    "logical_not": _logical_not,
    "maximum": _extreme("maximum"),
    "minimum": _extreme("minimum"),
    "fmax": _extreme("fmax"),
    "fmin": _extreme("fmin"),
    "sqrt": _math("sqrt"),
    "cbrt": _math("cbrt", None),
    "cupyx.rsqrt": _complex_or(_math("rsqrt", None), "({t}(1) / thrust::sqrt({0}))"),
    "exp": _math("exp"),
    "exp2": _complex_or(_math("exp2", None), "thrust::exp({0} * {t}(0.69314718055994530942))"),
    "expm1": _complex_or(_math("expm1", None), "(thrust::exp({0}) - {t}(1))"),
    "log": _math("log"),
    "log2": _complex_or(_math("log2", None), _LOG2),
    "log10": _math("log10"),
    "log1p": _complex_or(_math("log1p", None), "thrust::log({0} + {t}(1))"),
    "logaddexp": _helper("logaddexp"),
    "logaddexp2": _helper("logaddexp2"),
    "sin": _math("sin"),
    "cos": _math("cos"),
    "tan": _math("tan"),
    "sinh": _math("sinh"),
    "cosh": _math("cosh"),
    "tanh": _math("tanh"),
    "arcsin": _math("asin"),
    "arccos": _math("acos"),
    "arctan": _math("atan"),
    "arcsinh": _math("asinh"),
    "arccosh": _math("acosh"),
    "arctanh": _math("atanh"),
    "arctan2": _math("atan2", None),
    "hypot": _math("hypot", None),
    "deg2rad": _scaled("0.017453292519943295769"),
    "rad2deg": _scaled("57.295779513082320877"),
    "copysign": _math("copysign", None),
    "nextafter": _math("nextafter", None),
    "ldexp": _ldexp,
    "rint": _complex_or(_math("rint", None), "cupool_complex_rint({0})"),
    "floor": _rounded("floor"),
    "ceil": _rounded("ceil"),
    "trunc": _rounded("trunc"),
    "fix": _rounded("trunc"),
    "isnan": _test("isnan"),
    "isinf": _test("isinf"),
    "isfinite": _test("isfinite"),
    "signbit": _test("signbit"),
    "heaviside": _helper("heaviside"),
    "gcd": _helper("gcd"),
    "lcm": _helper("lcm"),
    "i0": _math("cyl_bessel_i0", None),
    "sinc": _helper("sinc"),
    "@where": lambda c: f"({c.args[0]} ? {c.args[1]} : {c.args[2]})",
    "@clip": _helper("clip"),
    **{name: _compare(name, op) for name, op in (
        ("equal", "=="), ("not_equal", "!="), ("less", "<"), ("less_equal", "<="), ("greater", ">"), ("greater_equal", ">="))},
    **{f"cupyx.scipy.special.{name}": _math(c_name, None) for name, c_name in _SPECIAL.items()},
}  # fmt: skip


def can_write(name: str) -> bool:
    """Whether some loop of the ufunc has C++."""
    return _ALIASES.get(name, name) in _WRITERS


def write(name: str, loop: Loop, operands: Sequence[str], half: str = "float16") -> str:
    """The loop as C++.

    Args:
        name: the ufunc's.
        operands: code of the operands, of any type that converts; parenthesised where it must be.
        half: the type that a half-precision result has: `float16`, or `float` where rounding is left to the store.

    Returns:
        an expression of the loop's output type; `needed` says which helpers it calls.

    Raises:
        Unwritten: there is no C++ for it.
    """
    name = _ALIASES.get(name, name)
    writer = _WRITERS.get(name)
    if writer is None or len(loop.outs) != 1 or "V" in loop.ins:
        raise Unwritten(name)
    codes, kinds = [], []
    for char, operand in zip(loop.ins, operands, strict=True):
        computed = "f" if char in "eE" else char
        kinds.append(_KINDS[computed])
        codes.append(f"({C_TYPES[computed]}){operand}")
    # @where is of the type of its choices; ldexp of its first operand.
    lead = loop.ins[1] if name == "@where" else loop.ins[0]
    computed = "f" if lead in "eE" else lead
    kind = "mixed" if set(kinds) == {"i", "u"} and name not in ("ldexp", "true_divide") else _KINDS[computed]
    if kind == "mixed" and name in ("logical_and", "logical_or"):
        kind = "i"
    out = "f" if loop.outs in "eE" else loop.outs
    call = _Call(tuple(codes), kind, C_TYPES[computed], "f" if computed == "f" else "", C_TYPES[out])
    code = writer(call)
    if code is None:
        raise Unwritten(name)
    if loop.outs in _NARROW:
        code = f"({C_TYPES[loop.outs]}){code}"
    elif loop.outs in "eE":
        code = code if half == "float" else f"({C_TYPES[loop.outs]})({code})"
    return f"({code})"


def helper_text(names: Sequence[str]) -> str:
    """The helpers' text, each once."""
    return "".join(HELPERS[name] for name in dict.fromkeys(names))


def c_type(dtype: np.dtype[Any]) -> str:
    """The C++ type of an array element. Raises ValueError for a dtype that kernels have no type for."""
    if dtype.name == "bfloat16":
        return "bfloat16"
    try:
        return C_TYPES[dtype.char]
    except KeyError:
        raise ValueError(f"Unsupported dtype {dtype}") from None
