"""`cupy.RawKernel`, `RawModule`, `ElementwiseKernel`, `ReductionKernel`: sources go to the server once, calls are commands.

parameters.py   declared parameters and their types, shapes of a call: what CuPy decides before it launches
includes.py     headers that a source includes, read on this machine
raw.py          RawKernel and RawModule
elementwise.py  ElementwiseKernel
reduction.py    ReductionKernel
"""

from __future__ import annotations

from ._vectorize import vectorize
from .elementwise import ElementwiseKernel
from .raw import RawKernel, RawModule
from .reduction import ReductionKernel

__all__ = ["ElementwiseKernel", "RawKernel", "RawModule", "ReductionKernel", "vectorize"]
