"""Rules: what comes out of an op, from specs alone. Pure: they compute nothing on data and send nothing.

Each raises what CuPy raises for bad axes, shapes and dtypes. A rule is called as `call_arguments` of `_row.py` says, with
arrays replaced by Spec. New shape behaviour: one rule here, named by `@rule`, and the row.
"""
