"""The rule of `einsum`: parsing of subscripts, shape of the result, and the view that a single operand gives."""

from __future__ import annotations

import operator
import string
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from cupool.contract.ops.rules._arrays import as_spec, packed
from cupool.contract.spec import Spec, spec_like

#: Letters of integer subscripts, in order.
SYMBOLS = string.ascii_uppercase + string.ascii_lowercase

#: One label per axis: a letter, or (-1, -2, …) for axes that an ellipsis stands for, counted from the last.
Labels = list[Any]


def _integer_subscript(items: Iterable[Any]) -> str:
    text = ""
    for item in items:
        if item is Ellipsis:
            text += "@"
        else:
            try:
                text += SYMBOLS[operator.index(item)]
            except TypeError:
                raise TypeError("For this input type lists must contain either int or Ellipsis") from None
    return text


def parse(args: tuple[Any, ...]) -> tuple[list[str], str | None, list[Any]]:
    """(input subscripts, output subscript or None, operands); an ellipsis is "@" in the subscripts.

    Raises:
        ValueError, TypeError: as CuPy.
    """
    if not args:
        raise ValueError(
            "must specify the einstein sum subscripts string and at least one operand, or at least one operand and its "
            "corresponding subscripts list"
        )
    if not isinstance(args[0], str):
        rest = list(args)
        operands, inputs = [], []
        while len(rest) >= 2:
            operands.append(rest.pop(0))
            inputs.append(_integer_subscript(rest.pop(0)))
        return inputs, _integer_subscript(rest[0]) if rest else None, operands
    return _parse_text(args[0], list(args[1:]))


def _parse_text(text: str, operands: list[Any]) -> tuple[list[str], str | None, list[Any]]:
    for c in text:
        if c not in ".,-> " and c not in SYMBOLS:
            raise ValueError(f"invalid subscript '{c}' in einstein sum subscripts string, subscripts must be letters")
    text = text.replace("...", "@")
    if "." in text:
        raise ValueError("einstein sum subscripts string contains a '.' that is not part of an ellipsis ('...')")
    output = None
    if "-" in text or ">" in text:
        parts = text.split("->")
        if len(parts) != 2 or text.count("-") > 1 or text.count(">") > 1:
            raise ValueError("einstein sum subscript string does not contain proper '->' output specified")
        text, output = parts[0], parts[1].replace(" ", "")
    inputs = text.replace(" ", "").split(",")
    if len(inputs) != len(operands):
        more = "more" if len(operands) > len(inputs) else "fewer"
        raise ValueError(f"{more} operands provided to einstein sum function than specified in the subscripts string")
    return inputs, output, operands


def _labels(subscript: str, index: int | None, ndim: int | None, ellipsis_ndim: int = 0) -> Labels:
    """One label per axis of an operand (`ndim` given) or of the output (`ellipsis_ndim` given)."""
    parts = subscript.split("@")
    where = "in the output" if index is None else f"for operand {index}"
    if len(parts) > 2:
        raise ValueError(
            f"einstein sum subscripts string contains a '.' that is not part of an ellipsis ('...') {where}"
        )
    if len(parts) == 1:
        if ndim is not None and len(subscript) > ndim:
            raise ValueError(
                f"einstein sum subscripts string {subscript} contains too many subscripts for operand {index}"
            )
        if ndim is not None and len(subscript) < ndim:
            raise ValueError(
                f"operand {index} has more dimensions than subscripts string {subscript} given in einstein sum, but no '...' "
                "ellipsis provided to broadcast the extra dimensions."
            )
        return list(subscript)
    left, right = parts
    count = ellipsis_ndim if ndim is None else ndim - len(left) - len(right)
    if count < 0:
        raise ValueError(
            f"einstein sum subscripts string {left}...{right} contains too many subscripts for operand {index}"
        )
    return [*left, *range(-count, 0), *right]


def analyse(
    inputs: list[str], output: str | None, shapes: list[tuple[int, ...]]
) -> tuple[list[Labels], Labels, dict[Any, int]]:
    """(labels of each operand, labels of the output, length of each label)."""
    labels = [_labels(sub, i, len(shape)) for i, (sub, shape) in enumerate(zip(inputs, shapes, strict=True))]
    lengths: dict[Any, int] = {}
    for i, (sub, shape) in enumerate(zip(labels, shapes, strict=True)):
        for label, n in zip(sub, shape, strict=True):
            known = lengths.get(label, 1)
            if known not in (1, n) and n != 1:
                raise ValueError(
                    f"Size of label '{label}' for operand {i} ({n}) does not match previous terms ({known})."
                )
            lengths[label] = n if known == 1 else known
        own: dict[Any, int] = {}
        for label, n in zip(sub, shape, strict=True):
            if own.setdefault(label, n) != n:
                raise ValueError(
                    f"dimensions in operand {i} for collapsing index '{label}' don't match ({own[label]} != {n})"
                )
    return labels, _output_labels(output, labels, lengths), lengths


def _output_labels(output: str | None, labels: list[Labels], lengths: dict[Any, int]) -> Labels:
    everything = [label for sub in labels for label in sub]
    ellipsis = sorted(label for label in lengths if isinstance(label, int))
    if output is None:
        letters = sorted({label for label in everything if isinstance(label, str) and everything.count(label) == 1})
        return [*ellipsis, *letters]
    if "@" not in output and ellipsis:
        raise ValueError(
            "output has more dimensions than subscripts given in einstein sum, but no '...' ellipsis provided to broadcast the "
            "extra dimensions."
        )
    result = _labels(output, None, None, len(ellipsis))
    for label in result:
        if label not in everything:
            raise ValueError(
                f"einstein sum subscripts string included output subscript '{label}' which never appeared in an input"
            )
        if result.count(label) > 1:
            raise ValueError(f"einstein sum subscripts string includes output subscript '{label}' multiple times")
    return result


def _diagonal_view(a: np.ndarray[Any, Any], labels: Labels, output: Labels) -> np.ndarray[Any, Any] | None:
    """The view with one axis per output label, strides of repeated labels added; None when a label is summed away."""
    if set(labels) != set(output):
        return None
    strides = {label: 0 for label in labels}
    shape: dict[Any, int] = {}
    for label, n, stride in zip(labels, a.shape, a.strides, strict=True):
        strides[label] += stride
        shape[label] = n
    return as_strided(a, [shape[label] for label in output], [strides[label] for label in output])


def einsum_view(*operands: Any, dtype: Any = None, optimize: Any = False, **kwargs: Any) -> np.ndarray[Any, Any] | None:
    """A single operand whose labels all stay is a view, whatever `dtype=` says; None otherwise. Operands are shadows."""
    _check_options(optimize, kwargs)
    inputs, output, arrays = parse(operands)
    if len(arrays) != 1 or not isinstance(arrays[0], np.ndarray):
        return None
    labels, out, _ = analyse(inputs, output, [arrays[0].shape])
    return _diagonal_view(arrays[0], labels[0], out)


def _check_options(optimize: Any, kwargs: dict[str, Any]) -> None:
    if kwargs:
        raise TypeError(f"Did not understand the following kwargs: {list(kwargs)}")
    known = ("greedy", "optimal")
    named = isinstance(optimize, (list, tuple)) and len(optimize) > 0 and optimize[0] in (*known, "einsum_path")
    if not (
        optimize is None or isinstance(optimize, bool) or (isinstance(optimize, str) and optimize in known) or named
    ):
        raise TypeError(f"Did not understand the path (optimize): {optimize}")


def einsum(*operands: Any, dtype: Any = None, optimize: Any = False, **kwargs: Any) -> Spec:
    _check_options(optimize, kwargs)
    inputs, output, arrays = parse(operands)
    specs = [as_spec(a) for a in arrays]
    labels, out, lengths = analyse(inputs, output, [spec.shape for spec in specs])
    if len(specs) == 1:
        view = _diagonal_view(specs[0].shadow, labels[0], out)
        if view is not None:
            return spec_like(view)
    result = np.result_type(*(spec.dtype for spec in specs)) if dtype is None else np.dtype(dtype)
    return packed([lengths[label] for label in out], result)
