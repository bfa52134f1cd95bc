"""Sizes as text: one parser for the client, the API server and the pool."""

from __future__ import annotations

import pytest

from cupool.contract.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GiB", 1 << 30),
        ("512 MiB", 512 << 20),
        ("1000000", 10**6),
        ("1.5k", 1536),
        ("2gb", 2 * 10**9),
        (" 3T ", 3 << 40),
        ("7B", 7),
        (".5KiB", 512),
        ("0", 0),
        ("9007199254740993", (1 << 53) + 1),
    ],
)
def test_sizes_are_read_from_text(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "GiB", "-1", "1e3", "nan", "inf", "1 2", "1,5G", "1KKiB", "1iB", "1PiB", "0x10", "٣", "1.5.2M", "."]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no size\. Write 1GiB"):
        parse_size(text)
