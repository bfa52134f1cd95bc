"""`cupy.fuse`: a function of arrays is run once on stand-ins that write down what is done to them; later calls run what was written.

trace.py    the stand-ins, and what they write down
program.py  the list of steps, and doing it step by step
loops.py    the same steps joined into kernels: one loop where they are elementwise
expression.py C++ of the values inside a loop

A function that does what cannot be written down (it looks at data, uses arrays from outside, draws random numbers) stays as it is.
"""

from __future__ import annotations
