"""What a row of the op table is, and the calls that make one.

A row says everything about one public CuPy name that anyone needs: the shim's generated function, the server's dispatch, the
coverage page, the tests, and what migration must know. See ARCHITECTURE.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from numpy import float64

from cupool.contract.records import NamedTuple, Record

#: A rule: called as `call_arguments` says, arrays replaced by Spec (Python and NumPy scalars stay). Returns the result's Spec, a
#: tuple of them, None for "no array result", or UNKNOWN when for these arguments only the data can tell (then `outs` says how
#: many results); or Vector where all but a length is known. With `out=` it returns that parameter's Spec (or a tuple): the call's
#: result is the given array. Raises the exception that CuPy raises.
Rule = Callable[..., Any]

#: The rule *is* the answer: computed on the client from specs, nothing is sent.
LOCAL = "local"
#: What a rule returns when these arguments' result depends on the data.
UNKNOWN = "unknown"


class Same:
    """What a rule returns when the call's result is an argument itself. Nothing is sent (`diff(a, n=0)`), unless the row `writes`
    that parameter (`nan_to_num(a, copy=False)`): then a command without results."""

    __slots__ = ("parameter",)

    def __init__(self, parameter: str) -> None:
        self.parameter = parameter

    def __repr__(self) -> str:
        return f"Same({self.parameter!r})"


class Vector:
    """What a rule returns for a one-dimensional C-ordered result of known dtype whose length only the data can tell (the stored elements
    of a sparse matrix). The result stays pending, but its dtype and what follows from it are known without waiting."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vector) and other.dtype == self.dtype

    def __hash__(self) -> int:
        return hash(("Vector", self.dtype))

    def __repr__(self) -> str:
        return f"Vector({self.dtype})"


#: Implemented by hand in the shim, out of other ops.
CLIENT = "client"
#: As many results as the first array has dimensions.
NDIM = "ndim"

REPEATS = ("exact", "same-fingerprint", "recorded", "none")
HIDDEN = frozenset({"rng", "stream", "event", "pool"})


class Row(Record):
    """One public name.

    Attributes:
        name: dotted path below `cupy`: "add", "linalg.svd", "ndarray.sum", "random.Generator.normal"; "cupyx.…" for cupyx; "@…" for
            commands of ours that CuPy has no name for.
        sig: CuPy's own signature as text, "(a, axis=None)".
        infer: rule for the results; None: only the data can tell; LOCAL; CLIENT.
        outs: number of results when `infer` is None (or NDIM).
        writes: parameters changed in place. `out` and `self` by name.
        view_of: parameter whose memory the result may share.
        uses: hidden state touched.
        host: the result is a host value (a wait).
        repeat: what a replay may assume.
        server: name of the server's implementation when it is not `name`.
        arrays: parameters that take arrays; empty means "the first one". Sequences of arrays count.
        varying: parameters whose scalar *value* does not influence the result's spec: they travel as slots, so that calls that
            differ in them share a form.
        unseen: arrays whose spec the rule does not look at: one that is pending is not waited for.
        method: name of the ndarray method that this row also serves, with its signature in `method_sig`.
        since: contract version that brought it.
        samples: function yielding (args, kwargs) with numpy arrays: calls that must work.
        errors: function yielding (args, kwargs, exception class): calls that must fail on the client.
        note: deviation, with a link.
        unsupported: reason why not; then nothing else matters.
        object: class of the remote object that a call returns ("random.RandomState"), for constructors.
        looks: CuPy's function looks at its data before it returns, and raises what it finds there; so the call waits.
    """

    name: str
    sig: str
    infer: Any = None
    outs: int | str = 1
    writes: tuple[str, ...] = ()
    view_of: str | None = None
    uses: tuple[str, ...] = ()
    host: bool = False
    repeat: str = "same-fingerprint"
    server: str | None = None
    arrays: tuple[str, ...] = ()
    varying: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    since: int = 1
    samples: Callable[[], Iterable[Any]] | None = None
    errors: Callable[[], Iterable[Any]] | None = None
    note: str = ""
    unsupported: str = ""
    object: str = ""
    looks: bool = False
    family: str = "function"
    params: tuple[str, ...] = ()

    @property
    def impl(self) -> str:
        """The name under which a device implements it."""
        return self.server or self.name

    @property
    def is_remote(self) -> bool:
        """Whether a server must be able to run it."""
        return not self.unsupported and self.infer not in (LOCAL, CLIENT)

    def digest(self) -> bytes:
        """Hash of what both ends must agree on; 8 bytes."""
        rule = (
            self.infer
            if isinstance(self.infer, str | type(None))
            else getattr(self.infer, "rule_name", self.infer.__name__)
        )
        parts = (
            self.name, self.sig, rule, self.outs, self.writes, self.view_of, self.uses, self.host, self.repeat, self.impl,
            self.object, bool(self.unsupported),
        )  # fmt: skip
        from hashlib import sha256  # loads a library of 6 ms, which a client needs at its hello at the earliest

        return sha256(repr(parts).encode()).digest()[:8]


TABLE: dict[str, Row] = {}


def split_signature(sig: str) -> list[str]:
    """The pieces of a signature text between its commas: `["a", "/", "axis=None", "*args"]`."""
    body = sig[1 : sig.rindex(")")]
    if "(" not in body and "'" not in body and "[" not in body:
        return [piece.strip() for piece in body.split(",") if piece.strip()]
    pieces, depth, quoted, start = [], 0, False, 0
    for i, c in enumerate(body):
        if c == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif c in "([":
            depth += 1
        elif c in ")]":
            depth -= 1
        elif c == "," and not depth:
            pieces.append(body[start:i].strip())
            start = i + 1
    pieces.append(body[start:].strip())
    return [piece for piece in pieces if piece]


_NESTED = r"'[^']*'|\([^()]*\)|\[[^\[\]]*\]"


@lru_cache(maxsize=4096)
def param_names(sig: str) -> tuple[str, ...]:
    """Parameter names of a signature text, in order, without `*`, `/` and defaults.

    Runs when rows are made, for each: a signature whose defaults have no commas is cut at its commas. `split_signature` keeps defaults.
    """
    body = sig[1 : sig.rindex(")")]
    if not body:
        return ()
    names = _cut(body)
    return names if all(map(str.isidentifier, names)) else _cut(re.sub(_NESTED, "", body))


def _cut(body: str) -> tuple[str, ...]:
    pieces = [piece.partition("=")[0].partition(":")[0].strip(" *") for piece in body.split(",")]
    return tuple([name for name in pieces if name and name != "/"])


#: Stands for "no default" in `Parameter.default`.
REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "REQUIRED"})()

#: What a default in a signature text may name, beyond literals.
_DEFAULT_NAMES: dict[str, Any] = {"float": float, "float64": float64, "int": int, "bool": bool, "complex": complex}
#: And literals that most defaults are, which need no parser.
_DEFAULT_NAMES |= {repr(value): value for value in (None, True, False, -1, 0, 1, 2, "C", "K", "same_kind", "unsafe")}


class Parameter(NamedTuple):
    """One parameter. `kind` is "positional" (also by name unless before `/`), "args", "keyword" or "kwargs"."""

    name: str
    kind: str
    default: Any


@lru_cache(maxsize=4096)
def parameters(sig: str) -> tuple[Parameter, ...]:
    """The parameters of a signature text, with their default values."""
    import ast

    result, kind = [], "positional"
    for piece in split_signature(sig):
        name, _, default = piece.partition("=")
        name = name.partition(":")[0].strip()
        if piece == "/":
            continue
        if piece == "*":
            kind = "keyword"
        elif name.startswith("**"):
            result.append(Parameter(name[2:], "kwargs", REQUIRED))
        elif name.startswith("*"):
            result.append(Parameter(name[1:], "args", REQUIRED))
            kind = "keyword"
        elif not default:
            result.append(Parameter(name, kind, REQUIRED))
        else:
            default = default.strip()
            value = _DEFAULT_NAMES[default] if default in _DEFAULT_NAMES else ast.literal_eval(default)
            result.append(Parameter(name, kind, value))
    return tuple(result)


def is_default(value: Any, default: Any) -> bool:
    """Whether an argument is just the default: same type and equal, so that 0 is not False and -0.0 not 0.0."""
    if value is default:
        return True
    return (
        type(value) is type(default) and type(value) in (bool, int, str, tuple, float) and repr(value) == repr(default)
    )


def call_arguments(row: Row, args: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How rules, forms and devices are called.

    Parameters without default (and before a `*args`) go positionally, then `*args`; the others by keyword, and only where they
    differ from their default.

    Args:
        row: the row.
        args: one value per name in `row.params`, as generated functions pass them (`*args` a tuple, `**kwargs` a dict).

    Returns:
        positional arguments and keyword arguments.
    """
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for parameter, value in zip(parameters(row.sig), args, strict=True):
        if parameter.kind == "args":
            positional.extend(value)
        elif parameter.kind == "kwargs":
            keywords.update(value)
        elif parameter.default is REQUIRED and parameter.kind == "positional":
            positional.append(value)
        elif parameter.default is REQUIRED or not is_default(value, parameter.default):
            keywords[parameter.name] = value
    return tuple(positional), keywords


def infer(row: Row, args: tuple[Any, ...]) -> Any:
    """Run the row's rule on one value per parameter, arrays replaced by Spec."""
    positional, keywords = call_arguments(row, args)
    return row.infer(*positional, **keywords)


def op(name: str, sig: str, infer: Any = None, **fields: Any) -> Row:
    """Add a row. Raises ValueError for a duplicate or for effects that name no parameter, at import."""
    if name in TABLE:
        raise ValueError(f"op {name!r} has two rows")
    params = param_names(sig)
    row = Row(name, sig, infer, params=params, **fields)
    if fields:
        for parameter in (
            *row.writes,
            *row.arrays,
            *row.varying,
            *row.unseen,
            *((row.view_of,) if row.view_of else ()),
        ):
            if parameter not in params:
                raise ValueError(f"op {name!r}: effect names {parameter!r}, the signature has {params}")
    if row.repeat not in REPEATS or not HIDDEN.issuperset(row.uses):
        raise ValueError(f"op {name!r}: repeat {row.repeat!r}, uses {row.uses}")
    TABLE[name] = row
    return row


def unsupported(name: str, reason: str, sig: str = "(*args, **kwargs)") -> Row:
    """Add a row for a public name that raises, with the reason."""
    return op(name, sig, CLIENT, unsupported=reason, family="unsupported")


def table_digest() -> bytes:
    """SHA-256 over all rows, for the hellos."""
    from hashlib import sha256

    h = sha256()
    for name in sorted(TABLE):
        h.update(name.encode() + b"\0" + TABLE[name].digest())
    return h.digest()


def row_hashes() -> dict[str, bytes]:
    """Op name -> row digest, exchanged when the table digests differ."""
    return {name: row.digest() for name, row in TABLE.items() if row.is_remote}
