"""One module a row of the goals: `ROW`, `TITLE`, `run(quick) -> list[Ratio | Value]`."""
