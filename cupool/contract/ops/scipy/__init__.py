"""Rows of `cupyx.scipy` and `cupyx.signal`: a file per family, made when a name of theirs is first asked for (a server makes all).

Rules that only these families use are in files `_rules_<family>.py` beside them; the general ones are in `cupool.contract.ops.rules`.
"""
