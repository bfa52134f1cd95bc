"""What ElementwiseKernel and ReductionKernel have in common: types that follow the arguments, and one object on the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..objects import RemoteObject
from . import _remote, parameters
from .listing import Codes
from .parameters import ParameterInfo, is_array


class TypedKernel(Codes):
    """A kernel whose type parameters are decided by what it is called with."""

    #: the op that makes it on the server
    _constructor: ClassVar[str]

    in_params: tuple[ParameterInfo, ...]
    out_params: tuple[ParameterInfo, ...]
    _source: tuple[Any, ...]
    _kernel: RemoteObject | None
    _types: dict[Any, parameters.Types]

    def _decide(self, ins: list[Any], outs: list[Any]) -> parameters.Types:
        key = (
            tuple(a.dtype if is_array(a) else None for a in ins),
            tuple(a.dtype if is_array(a) else None for a in outs),
        )
        known = self._types.get(key)
        if known is None:
            known = self._types[key] = parameters.decide_types(self.in_params, self.out_params, *key)
        return known

    def _listing(self, kinds: Sequence[Any], types: dict[str, np.dtype[Any]]) -> str:
        raise NotImplementedError

    @property
    def _cached_codes(self) -> dict[Any, str]:
        codes = {}
        for key, (ins, outs, types) in self._types.items():
            kinds = [(dtype, None if given is None else 1) for dtype, given in zip(ins, key[0], strict=True)]
            codes[key] = self._listing([*kinds, *((dtype, 1) for dtype in outs)], types)
        return codes

    def _remote(self) -> RemoteObject:
        kernel = self._kernel
        if kernel is None or not _remote.is_alive(kernel):
            kernel = self._kernel = _remote.made(self._constructor, self._source, self._source)
        return kernel
