"""How cost grows: one module a curve, with `ROW`, `TITLE`, `run(quick) -> list[Point | Ratio | Value]`; `make bench-full` runs them."""
