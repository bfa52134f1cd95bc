"""Rows: shapes, joining, splitting, tiling, rearranging, padding."""

from __future__ import annotations

import numpy as np

from cupool.contract.ops._row import op
from cupool.contract.ops._sample_arrays import arr, call, fails, idx, mask
from cupool.contract.ops.rules import manipulation as rules
from cupool.contract.ops.rules.manipulation import viewed

AxisError = np.exceptions.AxisError

# -- views whose spec is known: the client computes them on the shadow, see rules/views.py ----------------------------------
op("transpose", "(a, axes=None)", viewed("transpose"), view_of="a", repeat="exact",
   samples=lambda: [call(arr(2, 3)), call(arr(2, 3, 4), axes=(1, 2, 0)), call(arr(2, 3, 4), axes=[-1, 0, 1]), call(arr())],
   errors=lambda: [fails(ValueError, arr(2, 3), axes=(0,)), fails(ValueError, arr(2, 3), axes=(0, 0))])  # fmt: skip
op("permute_dims", "(a, axes=None)", viewed("permute_dims"), view_of="a", repeat="exact", server="transpose",
   samples=lambda: [call(arr(2, 3, 4), axes=(1, 2, 0))])  # fmt: skip
op("matrix_transpose", "(x, /)", viewed("matrix_transpose"), view_of="x", repeat="exact",
   samples=lambda: [call(arr(2, 3, 4))], errors=lambda: [fails(ValueError, arr(3))])  # fmt: skip
op("swapaxes", "(a, axis1, axis2)", viewed("swapaxes"), view_of="a", repeat="exact",
   samples=lambda: [call(arr(2, 3, 4), 0, -1)], errors=lambda: [fails(ValueError, arr(2, 3), 0, 2)])  # fmt: skip
op("moveaxis", "(a, source, destination)", viewed("moveaxis"), view_of="a", repeat="exact",
   samples=lambda: [call(arr(2, 3, 4), 0, -1), call(arr(2, 3, 4), (0, 1), (2, 0))],
   errors=lambda: [fails(AxisError, arr(2, 3), 5, 0), fails(ValueError, arr(2, 3), (0, 1), (0,))])  # fmt: skip
op("rollaxis", "(a, axis, start=0)", viewed("rollaxis"), view_of="a", repeat="exact",
   samples=lambda: [call(arr(2, 3, 4), 2), call(arr(2, 3, 4), 0, start=3)], errors=lambda: [fails(ValueError, arr(2),
              1)])  # fmt: skip
op("squeeze", "(a, axis=None)", viewed("squeeze"), view_of="a", repeat="exact",
   samples=lambda: [call(arr(1, 3, 1)), call(arr(1, 3, 1), axis=0), call(arr(1, 3, 1), axis=(0, -1))],
   errors=lambda: [fails(ValueError, arr(1, 3), axis=1), fails(AxisError, arr(1, 3), axis=2)])  # fmt: skip
op("expand_dims", "(a, axis)", viewed("expand_dims"), view_of="a", repeat="exact",
   samples=lambda: [call(arr(2, 3), 1), call(arr(2, 3), (0, -1))],
   errors=lambda: [fails(AxisError, arr(2), 3), fails(ValueError, arr(2), (0, 0))])  # fmt: skip
op("atleast_1d", "(*arys)", viewed("atleast_1d"), view_of="arys", arrays=("arys",), repeat="exact",
   samples=lambda: [call(arr()), call(arr(2, 3)), call(arr(), arr(2))])  # fmt: skip
op("atleast_2d", "(*arys)", viewed("atleast_2d"), view_of="arys", arrays=("arys",), repeat="exact",
   samples=lambda: [call(arr()), call(arr(3)), call(arr(), arr(2, 3))])  # fmt: skip
op("atleast_3d", "(*arys)", viewed("atleast_3d"), view_of="arys", arrays=("arys",), repeat="exact",
   samples=lambda: [call(arr()), call(arr(3)), call(arr(2, 3), arr(2, 3, 4))])  # fmt: skip
op("broadcast_to", "(array, shape)", viewed("broadcast_to"), view_of="array", repeat="exact",
   samples=lambda: [call(arr(3), (2, 3)), call(arr(), (4,)), call(arr(2, 1), (2, 5)), call(arr(1), 3)],
   errors=lambda: [fails(ValueError, arr(3), (2,)), fails(ValueError, arr(2, 3), (3,))])  # fmt: skip
op("broadcast_arrays", "(*args)", viewed("broadcast_arrays"), view_of="args", arrays=("args",), repeat="exact",
   samples=lambda: [call(arr(3), arr(2, 1)), call(arr(4))], errors=lambda: [fails(ValueError, arr(3), arr(2))])  # fmt: skip
op("flip", "(a, axis=None)", viewed("flip"), view_of="a", repeat="exact",
   samples=lambda: [call(arr(2, 3)), call(arr(2, 3), axis=1), call(arr(2, 3), axis=(0, 1))],
   errors=lambda: [fails(AxisError, arr(2), axis=1)])  # fmt: skip
op("fliplr", "(a)", viewed("fliplr"), view_of="a", repeat="exact",
   samples=lambda: [call(arr(2, 3))], errors=lambda: [fails(ValueError, arr(2))])  # fmt: skip
op("flipud", "(a)", viewed("flipud"), view_of="a", repeat="exact",
   samples=lambda: [call(arr(2))], errors=lambda: [fails(ValueError, arr())])  # fmt: skip
op("rot90", "(a, k=1, axes=(0, 1))", viewed("rot90"), view_of="a", repeat="exact",
   samples=lambda: [call(arr(2, 3)), call(arr(2, 3), k=2), call(arr(2, 3, 4), k=-1, axes=(2, 0)), call(arr(2, 3), k=0)],
   errors=lambda: [fails(ValueError, arr(2)), fails(ValueError, arr(2, 3), axes=(0, 0)),
                   fails(ValueError, arr(2, 3), axes=(0, 5))])  # fmt: skip
op("array_split", "(ary, indices_or_sections, axis=0)", viewed("array_split"), view_of="ary", repeat="exact",
   samples=lambda: [call(arr(7), 3), call(arr(7), [2, 5]), call(arr(2, 5), 2, axis=1), call(arr(5), [-2, 9])],
   errors=lambda: [fails(IndexError, arr(3), 2, axis=1)])  # fmt: skip
op("split", "(ary, indices_or_sections, axis=0)", viewed("split"), view_of="ary", repeat="exact",
   samples=lambda: [call(arr(6), 3), call(arr(2, 6), (1, 4), axis=1)],
   errors=lambda: [fails(ValueError, arr(7), 3), fails(IndexError, arr(3), 3, axis=1)])  # fmt: skip
op("hsplit", "(ary, indices_or_sections)", viewed("hsplit"), view_of="ary", repeat="exact",
   samples=lambda: [call(arr(2, 6), 3), call(arr(4), 2)], errors=lambda: [fails(ValueError, arr(), 1)])  # fmt: skip
op("vsplit", "(ary, indices_or_sections)", viewed("vsplit"), view_of="ary", repeat="exact",
   samples=lambda: [call(arr(4, 2), 2)], errors=lambda: [fails(ValueError, arr(4), 2)])  # fmt: skip
op("dsplit", "(ary, indices_or_sections)", viewed("dsplit"), view_of="ary", repeat="exact",
   samples=lambda: [call(arr(2, 2, 4), 2)], errors=lambda: [fails(ValueError, arr(4, 2), 2)])  # fmt: skip
# -- a view where the memory allows it -------------------------------------------------------------------------------------
op("reshape", "(a, newshape, order='C', *, copy=None)", rules.reshape, view_of="a", repeat="exact",
   samples=lambda: [call(arr(2, 3), (3, 2)), call(arr(2, 3), -1), call(arr(2, 3).T, (6,)), call(arr(2, 3), (3, -1),
              order="F"),
                    call(arr(2, 3, order="F"), (6,), order="A"), call(arr(0, 3), (3, 0)), call(arr(2, 3), (6,), copy=True)],
   errors=lambda: [fails(ValueError, arr(2, 3), (4,)), fails(ValueError, arr(2, 3), (-1, -1)),
                   fails(ValueError, arr(2, 3).T, (6,), copy=False), fails(ValueError, arr(2, 3), (6,),
                   order="X")])  # fmt: skip
op("ravel", "(a, order='C')", rules.ravel, view_of="a", repeat="exact",
   samples=lambda: [call(arr(2, 3)), call(arr(2, 3).T), call(arr(2, 3), order="F"), call(arr(2, 3).T, order="K"),
              call(arr())],
   errors=lambda: [fails(ValueError, arr(2), order="Q")])  # fmt: skip
op("ascontiguousarray", "(a, dtype=None)", rules.contiguous("C"), view_of="a", repeat="exact",
   samples=lambda: [call(arr(2, 3)), call(arr(2, 3).T), call(arr(2, 3), dtype="f4"), call(arr())])  # fmt: skip
op("asfortranarray", "(a, dtype=None)", rules.contiguous("F"), view_of="a", repeat="exact",
   samples=lambda: [call(arr(2, 3)), call(arr(2, 3).T), call(arr(2, 3), dtype="f4")])  # fmt: skip
op("require", "(a, dtype=None, requirements=None)", rules.require, view_of="a", repeat="exact",
   samples=lambda: [call(arr(2, 3)), call(arr(2, 3), requirements=["F"]), call(arr(2, 3), dtype="f4", requirements=["O"])],
   errors=lambda: [fails(ValueError, arr(2), requirements=["Z"]), fails(ValueError, arr(2), requirements=["C",
              "F"])])  # fmt: skip
# -- new arrays -------------------------------------------------------------------------------------------------------------
op("ndarray.flatten", "(a, order='C')", rules.flatten, repeat="exact",
   samples=lambda: [call(arr(2, 3)), call(arr(2, 3).T, order="K"), call(arr(2, 3), order="F")],
   errors=lambda: [fails(ValueError, arr(2), order="Q")])  # fmt: skip
op("copyto", "(dst, src, casting='same_kind', where=None)", rules.copyto, writes=("dst",), arrays=("dst", "src", "where"),
   varying=("src",), repeat="exact",
   samples=lambda: [call(arr(2, 3), arr(3)), call(arr(2, 3), 1.5), call(arr(2, 3), arr(2, 3), where=mask(2, 3)),
                    call(arr(3, dtype="f4"), arr(3, dtype="f8"))],
   errors=lambda: [fails(TypeError, arr(3, dtype="i4"), arr(3)), fails(ValueError, arr(3), arr(2)),
                   fails(TypeError, arr(3, dtype="i4"), 1.5)])  # fmt: skip
op("concatenate", "(tup, axis=0, out=None, *, dtype=None, casting='same_kind')", rules.concatenate, writes=("out",),
   arrays=("tup", "out"), repeat="exact",
   samples=lambda: [call([arr(2, 3), arr(1, 3)]), call((arr(2, 3), arr(2, 1)), axis=1), call([arr(2), arr(3, dtype="i4")]),
                    call([arr(2, 2), arr(3)], axis=None), call([arr(2), arr(2)], dtype="f4"), call([arr(2), arr(2)],
                    out=arr(4)),
                    call([arr(0, 2), arr(3, 2)], axis=-2)],
   errors=lambda: [fails(ValueError, []), fails(ValueError, [arr(2), arr(2, 2)]), fails(ValueError, [arr(2, 3), arr(2, 2)]),
                   fails(TypeError, [arr(), arr()]), fails(TypeError, [arr(2), [1.0]]), fails(AxisError, [arr(2)], axis=1),
                   fails(ValueError, [arr(2)], out=arr(3)), fails(TypeError, [arr(2)], dtype="i4"),
                   fails(TypeError, [arr(2)], out=arr(2), dtype="f8")])  # fmt: skip
op("concat", "(tup, axis=0, out=None, *, dtype=None, casting='same_kind')", rules.concatenate, writes=("out",),
   arrays=("tup", "out"), repeat="exact", server="concatenate", samples=lambda: [call([arr(2, 3), arr(1, 3)])])  # fmt: skip
op("stack", "(tup, axis=0, out=None, *, dtype=None, casting='same_kind')", rules.stack, writes=("out",), arrays=("tup",
   "out"),
   repeat="exact",
   samples=lambda: [call([arr(2, 3), arr(2, 3)]), call([arr(2), arr(2)], axis=-1), call([arr(), arr()])],
   errors=lambda: [fails(ValueError, [arr(2), arr(3)]), fails(AxisError, [arr(2)], axis=2), fails(ValueError,
              [])])  # fmt: skip
op("vstack", "(tup, *, dtype=None, casting='same_kind')", rules.vstack, arrays=("tup",), repeat="exact",
   samples=lambda: [call([arr(3), arr(2, 3)]), call([arr(), arr()])], errors=lambda: [fails(ValueError, [arr(2),
              arr(3)])])  # fmt: skip
op("row_stack", "(tup, *, dtype=None, casting='same_kind')", rules.vstack, arrays=("tup",), repeat="exact", server="vstack",
   samples=lambda: [call([arr(3), arr(2, 3)])])  # fmt: skip
op("hstack", "(tup, *, dtype=None, casting='same_kind')", rules.hstack, arrays=("tup",), repeat="exact",
   samples=lambda: [call([arr(3), arr(2)]), call([arr(2, 1), arr(2, 3)]), call([arr(), arr()])],
   errors=lambda: [fails(ValueError, [arr(2, 2), arr(3, 2)])])  # fmt: skip
op("dstack", "(tup)", rules.dstack, arrays=("tup",), repeat="exact",
   samples=lambda: [call([arr(3), arr(3)]), call([arr(2, 3), arr(2, 3)]), call([arr(2, 3, 1), arr(2, 3, 2)])],
   errors=lambda: [fails(ValueError, [arr(2), arr(3)])])  # fmt: skip
op("column_stack", "(tup)", rules.column_stack, arrays=("tup",), repeat="exact",
   samples=lambda: [call([arr(3), arr(3, 2)])],
   errors=lambda: [fails(ValueError, [arr(2, 2, 2)]), fails(TypeError, [arr(3), [1, 2, 3]])])  # fmt: skip
op("append", "(arr, values, axis=None)", rules.append, arrays=("arr", "values"), repeat="exact",
   samples=lambda: [call(arr(2, 3), arr(2)), call(arr(2, 3), arr(1, 3), axis=0), call(arr(2), [1.0, 2.0])],
   errors=lambda: [fails(ValueError, arr(2, 3), arr(3), axis=0)])  # fmt: skip
op("tile", "(A, reps)", rules.tile, arrays=("A",), repeat="exact",
   samples=lambda: [call(arr(2, 3), 2), call(arr(3), (2, 2)), call(arr(2, 1), (1, 1)), call(arr(0, 2), (2,
              3))])  # fmt: skip
op("repeat", "(a, repeats, axis=None)", rules.repeat, arrays=("a", "repeats"), repeat="exact",
   samples=lambda: [call(arr(2, 3), 2), call(arr(2, 3), 2, axis=1), call(arr(3), [1, 0, 2]), call(arr(2, 3), [2], axis=0),
                    call(arr(3), idx(1, 0, 2))],
   errors=lambda: [fails(ValueError, arr(3), -1), fails(ValueError, arr(3), [1, 2]), fails(AxisError, arr(3), 2,
              axis=1)])  # fmt: skip
op("resize", "(a, new_shape)", rules.resize, arrays=("a",), repeat="exact",
   samples=lambda: [call(arr(2, 3), (4, 2)), call(arr(3), 2), call(arr(0), (2,))])  # fmt: skip
op("roll", "(a, shift, axis=None)", rules.roll, arrays=("a", "shift"), repeat="exact",
   samples=lambda: [call(arr(5), 2), call(arr(2, 3), 1, axis=1), call(arr(2, 3), (1, 2), axis=(0, 1)), call(arr(2, 3), -4),
                    call(arr(2, 3, order="F"), 1, axis=0), call(arr(0, 2), 1, axis=0)],
   errors=lambda: [fails(AxisError, arr(3), 1, axis=1)])  # fmt: skip
op("delete", "(arr, indices, axis=None)", rules.delete, arrays=("arr", "indices"), repeat="exact",
   samples=lambda: [call(arr(5), 1), call(arr(3, 4), [0, 2], axis=1), call(arr(6), slice(0, 5, 2)), call(arr(4), mask(4)),
                    call(arr(2, 2), [0, -1])],
   errors=lambda: [fails(IndexError, arr(3), 5), fails(ValueError, arr(3), mask(4)), fails(AxisError, arr(3), 0,
              axis=1)])  # fmt: skip
op("trim_zeros", "(filt, trim='fb')", rules.trim_zeros, view_of="filt", repeat="exact",
   samples=lambda: [call(np.array([0.0, 1, 0, 2, 0])), call(np.array([0.0, 1, 0]), trim="f"), call(arr(0))],
   errors=lambda: [fails(NotImplementedError, arr(2, 2))])  # fmt: skip
op("pad", "(array, pad_width, mode='constant', **kwargs)", rules.pad, repeat="same-fingerprint",
   samples=lambda: [call(arr(2, 3), 1), call(arr(2, 3), ((1, 2), (0, 1)), mode="edge"), call(arr(4), (1, 2),
              constant_values=7.0),
                    call(arr(4), 3, mode="reflect"), call(arr(4), 2, mode="linear_ramp", end_values=5.0),
                    call(arr(4), 2, mode="mean"), call(arr(4), 2, mode="wrap"), call(arr(4), 2, mode="symmetric")],
   errors=lambda: [fails(ValueError, arr(3), -1), fails(TypeError, arr(3), 1.5), fails(ValueError, arr(3), 1, mode="nope"),
                   fails(ValueError, arr(3), 1, mode="edge", constant_values=1)])  # fmt: skip
