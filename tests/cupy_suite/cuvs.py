"""Stands for the library that CuPy's distances need and ours do not: upstream's tests of distances run only where it can be imported."""
