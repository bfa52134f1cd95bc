"""A function's package: what it needs, and that it fits."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from tools import layer

ROOT = Path(__file__).resolve().parents[2]


def test_a_layer_fits_and_holds_the_thin_client_alone() -> None:
    sizes = layer.layer()
    assert sum(sizes.values()) <= layer.LAMBDA_BYTES
    assert all(size > 10_000 for size in sizes.values()), sizes
    assert {"cupool", "numpy", "grpcio", "protobuf"} <= set(sizes)
    assert not {"cloudpickle", "click", "rich", "scipy", "cupy"} & set(sizes)


def test_the_page_says_what_the_tool_measures() -> None:
    said = re.search(r"\*\*(\d+)\*\* of 250", (ROOT / "docs" / "functions-lambda.md").read_text())
    assert said is not None
    measured = sum(layer.layer().values()) / layer.MB
    assert abs(float(said[1]) - measured) < 15  # versions of the libraries differ


def test_every_platform_has_a_page_that_answers_the_questions() -> None:
    for name in ("functions-lambda", "functions-gcp", "functions-knative"):
        text = (ROOT / "docs" / f"{name}.md").read_text()
        for heading in ("Package", "Configure", "Timeouts", "Freezing", "Concurrency", "First call"):
            assert f"## {heading}" in text, (name, heading)
        for example in re.findall(r"\(\.\./(examples/[^)]+)\)", text):
            assert (ROOT / example).exists()


def test_the_base_install_needs_three_libraries() -> None:
    names = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert sorted(re.split(r"[><=]", name)[0] for name in names) == ["grpcio", "numpy", "protobuf"]
