"""`docs/performance.md` and the plots in `docs/plots/`, from the files under `benchmarks/results/`: `python tools/performance.py`.

Every figure is read from a file that names its command and machine; what no file has is said to be missing, with the command that gives it.
Plots need matplotlib, of the extra `dev`; `--no-plots` leaves them as they are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.goals import GOALS, WHOLE_ROWS, Shown  # noqa: E402 - the repository's root is no installed package

RESULTS = ROOT / "benchmarks" / "results"
FULL = RESULTS / "full"
PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "plots"

Report = dict[str, Any]
Result = dict[str, Any]

#: Curve file -> (name of the plot, its title, what the y axis is of a plain figure).
CURVES = {
    "sessions": "Small operations a second, by sessions at once",
    "sizes": "Time of an operation, by elements",
    "handles": "What living arrays cost",
    "batches": "Time of a small operation, by operations a batch",
    "distance": "Examples at a distance, over what their data flow needs",
}


def load(path: Path) -> Report | None:
    if not path.exists():
        return None
    found: Report = json.loads(path.read_text(encoding="utf-8"))
    return found


def value(result: Result) -> float:
    return float(result["ratio"] if result["kind"] == "ratio" else result["value"])


def shown(number: float) -> str:
    if number and (abs(number) >= 1e6 or abs(number) < 1e-3):
        return f"{number:.2e}"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def seen(result: Result, limit: float | None = None) -> str:
    """Median and quartiles, with the unit. `limit`: a goal that rounding must not make it look equal to."""
    low, high = result["spread"]
    unit = "x" if result["kind"] == "ratio" else f" {result['unit']}"
    number = value(result)
    median = shown(number)
    if limit is not None and number != limit and median == shown(limit):
        median = f"{number:.6g}"
    return f"{median}{unit} [{shown(low)}, {shown(high)}]"


def results(report: Report | None) -> dict[tuple[str, str], Result]:
    if report is None:
        return {}
    return {(row["row"], r["what"]): r for row in report["rows"] for r in row["results"] if r["kind"] != "missing"}


def sources() -> dict[str, dict[tuple[str, str], Result]]:
    """Every result by source and (row, what)."""
    full: dict[tuple[str, str], Result] = {}
    for path in sorted(FULL.glob("*.json")):
        full |= _of_file(f"full/{path.name}")
    bench = _of_file("bench.json")
    # What `make bench` has too is shown of that one run; the file of its own stands in until there is one.
    return {"bench": {**full, **bench}, "full": full, "gpu": _of_file("gpu.json")}


def _of_file(name: str) -> dict[tuple[str, str], Result]:
    """The results of a file of `benchmarks/results/`, each with that file's name as `file`."""
    return {key: {**result, "file": name} for key, result in results(load(RESULTS / name)).items()}


def goal_lines(found: dict[str, dict[tuple[str, str], Result]]) -> list[str]:
    lines = ["| goal | measure | wanted | seen | | file |\n|---|---|---:|---:|---|---|\n"]
    for goal in GOALS:
        lines.append(_goal_line(goal, found))
    for row in WHOLE_ROWS:
        for (name, what), result in {**found["full"], **found["bench"]}.items():
            if name == row and result["goal"] is not None:
                sign = "≥" if result.get("more_is_better") else "≤"
                note = "met" if result["met"] else "missed" + (f": {result['note']}" if result["note"] else "")
                figure = seen(result, result["goal"])
                lines.append(
                    f"| {row} | {what} | {sign} {result['goal']:g} | {figure} | {note} | `{result['file']}` |\n"
                )
    return lines


def _goal_line(goal: Shown, found: dict[str, dict[tuple[str, str], Result]]) -> str:
    wanted = f"{'≥' if goal.at_least else '≤'} {goal.limit:g}"
    if goal.source == "prove":
        record = load(RESULTS / f"prove-{goal.row}.json")
        assert callable(goal.what)
        if record is None:
            return f"| {goal.goal} | {goal.words} | {wanted} | – | `make prove PART={goal.row}` | |\n"
        number = goal.what(record["summary"])
        verdict = "met" if (number >= goal.limit if goal.at_least else number <= goal.limit) else "missed"
        figure = f"{shown(number)} {goal.unit}"
        return f"| {goal.goal} | {goal.words} | {wanted} | {figure} | {verdict} | `prove-{goal.row}.json` |\n"
    assert isinstance(goal.what, str)
    result = found[goal.source].get((goal.row, goal.what))
    if result is None:
        lacking = {
            "gpu": "unproven: `make gpu` on a machine with a GPU shows it",
            "bench": "not measured yet: `make bench`",
            "full": "not measured yet: `make bench-full`",
        }[goal.source]
        return f"| {goal.goal} | {goal.words} | {wanted} | – | {lacking} | |\n"
    number = value(result)
    verdict = "met" if (number >= goal.limit if goal.at_least else number <= goal.limit) else "missed"
    figure = seen(result, goal.limit)
    return f"| {goal.goal} | {goal.words} | {wanted} | {figure} | {verdict} | `{result['file']}` |\n"


def provenance(report: Report) -> str:
    machine = report["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    gpu = f", {machine['gpu']}" if machine.get("gpu") else ", no GPU"
    loads = [row["load_before"] for row in report["rows"] if "load_before" in row]
    ends = " to ".join(dict.fromkeys(f"{end:g}" for end in (min(loads), max(loads)))) if loads else ""
    load_words = f"; load of the machine before it: {ends}" if loads else ""
    return (
        f"`{report['command'].strip()}` on {machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB{gpu}; "
        f"{versions}{load_words}"
    )


def bench_tables() -> list[str]:
    report = load(RESULTS / "bench.json")
    if report is None:
        return []
    lines = ["## Every row of one `make bench`\n\n", f"{provenance(report)}.\n"]
    for row in report["rows"]:
        lines.append(f"\n**{row['row']}**: {row['title']}\n\n")
        if "error" in row:
            lines.append(f"Failed: {row['error']}\n")
            continue
        if not row["results"]:
            lines.append("Nothing was measured: the machine lacks what it needs.\n")
            continue
        lines.append("| | median [quartiles] | of | |\n|---|---:|---:|---|\n")
        for r in row["results"]:
            if r["kind"] == "missing":
                lines.append(f"| {r['what']} | – | | {r['note']} |\n")
                continue
            of = ""
            if r["kind"] == "ratio":
                of = f"{shown(r['ours']['median'])} / {shown(r['baseline']['median'])} {r['unit']}"
            lines.append(f"| {r['what']} | {seen(r)} | {of} | {r['note']} |\n")
    return lines


def curve_parts(with_plots: bool) -> list[str]:
    lines = [
        "## How cost grows\n\n",
        "`make bench-full` measures these, each into a file under `benchmarks/results/full/`. The line below a heading says what "
        "is measured / what the baseline is.\nA load above the number of cores says that others computed meanwhile: then times are "
        "longer than on a quiet machine; ratios, measured side by side, differ less.\n",
    ]
    for name, title in CURVES.items():
        report = load(FULL / f"{name}.json")
        lines.append(f"\n### {title}\n\n")
        if report is None:
            lines.append(f"Not measured yet: `python -m benchmarks --full {name}`.\n")
            continue
        points = [r for row in report["rows"] for r in row["results"] if "curve" in r]
        if with_plots:
            plot(name, title, points)
        lines.append(f"{_sentence('; '.join(row['title'] for row in report['rows']))}\n\n")
        lines.append(f"{provenance(report)}.\n\n![{title}](plots/{name}.png)\n\n")
        axis = points[0]["axis"]
        xs = sorted({p["x"] for p in points})
        curves = list(dict.fromkeys(p["curve"] for p in points))
        by = {(p["curve"], p["x"]): p for p in points}
        lines.append(f"| {axis} | " + " | ".join(f"{x:g}" for x in xs) + " |\n|---|" + "---:|" * len(xs) + "\n")
        for curve in curves:
            there = [by.get((curve, x)) for x in xs]
            first = next(p for p in there if p is not None)
            unit = f"{first['unit']}" + (", / baseline" if first["kind"] == "ratio" else "")
            cells = [_cell(p) for p in there]
            lines.append(f"| {curve} ({unit}) | " + " | ".join(cells) + " |\n")
    return lines


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _cell(point: Result | None) -> str:
    if point is None:
        return ""
    if point["kind"] == "value":
        return shown(value(point))
    return f"{shown(point['ours']['median'])}, {shown(value(point))}x"


def plot(name: str, title: str, points: list[Result]) -> None:
    """One PNG: ours as lines, what it is compared with dashed, quartiles shaded."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    curves: dict[str, list[Result]] = defaultdict(list)
    for point in points:
        curves[point["curve"]].append(point)
    units = list(dict.fromkeys(p["unit"] for p in points))
    is_ratio = name == "distance"
    figure, panels = pyplot.subplots(1, len(units), figsize=(5.2 * len(units), 3.6), squeeze=False)
    for panel, unit in zip(panels[0], units, strict=True):
        for curve, there in curves.items():
            if there[0]["unit"] != unit:
                continue
            there.sort(key=lambda p: p["x"])
            xs = [p["x"] for p in there]
            if there[0]["kind"] == "value" or is_ratio:
                panel.plot(xs, [value(p) for p in there], "o-", markersize=3, label=curve)
                panel.fill_between(xs, [p["spread"][0] for p in there], [p["spread"][1] for p in there], alpha=0.2)
                continue
            (drawn,) = panel.plot(xs, [p["ours"]["median"] for p in there], "o-", markersize=3, label=curve)
            low, high = ([p["ours"]["quartiles"][k] for p in there] for k in (0, 1))
            panel.fill_between(xs, low, high, alpha=0.2, color=drawn.get_color())
            panel.plot(
                xs,
                [p["baseline"]["median"] for p in there],
                "--",
                color=drawn.get_color(),
                alpha=0.6,
                label="  beside it: baseline",
            )
        panel.set_xscale("log")
        if not is_ratio:
            panel.set_yscale("log")
        panel.set_xlabel(points[0]["axis"])
        panel.set_ylabel("over what is needed" if is_ratio else unit)
        panel.grid(visible=True, which="major", alpha=0.3)
        panel.legend(fontsize=7)
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    PLOTS.mkdir(parents=True, exist_ok=True)
    # Without the library's name and version: the same figures give the same bytes.
    figure.savefig(PLOTS / f"{name}.png", dpi=80, metadata={"Software": None})
    pyplot.close(figure)


def soak_lines() -> list[str]:
    record = load(RESULTS / "prove-soak.json")
    if record is None:
        return ["## A long run\n\nNot run yet: `make prove PART=soak`.\n"]
    s = record["summary"]
    lines = [
        "## A long run\n\n",
        f"`{record['command']}`: {s['commands']:,} commands, {s['waits']:,} waits, {s['gib_moved']} GiB moved in {s['seconds']:.0f} s. ",
        f"Device memory left after each case: {', '.join(map(str, s['device_bytes_left']))} bytes.",
    ]
    if "is_flat" in s:
        client, behind = (", ".join(map(str, s[f"{who}_rss_mib_by_thirds"])) for who in ("client", "behind"))
        verdict = "flat" if s["is_flat"] else "NOT flat"
        lines.append(
            f" Resident memory by thirds of the run, MiB: client {client}; server and pool {behind}: {verdict}."
        )
    return [*lines, "\n"]


def page(with_plots: bool) -> str:
    found = sources()
    return "".join(
        [
            "# How fast\n\n",
            "Made by `python tools/performance.py` from `benchmarks/results/`; nothing here is typed. ",
            "Ratios are measured side by side in one run; a figure is a median with its quartiles, and a limit is in the unit of its "
            "figure.\n",
            "Rows that run the shim in their own process, which has loaded grpcio for its baselines, set `CUPOOL_TRANSPORT=light`: what a "
            "program gets that has not loaded it. What needs a GPU and has not seen one is marked unproven.\n\n",
            "## The goals\n\n",
            "Names such as S1a are those of the rows: `python -m benchmarks S1a` measures that one. Files are under "
            "`benchmarks/results/`.\n\n",
            *goal_lines(found),
            "\n",
            *soak_lines(),
            "\n",
            *curve_parts(with_plots),
            "\n",
            *bench_tables(),
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--no-plots", action="store_true", help="leave the PNG files as they are")
    arguments = parser.parse_args()
    PAGE.write_text(page(not arguments.no_plots), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
