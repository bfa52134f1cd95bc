"""A run as a picture: how many wait, how busy the devices are, how many moves there were, over time. SVG, written by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

_COLOURS = ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860")
_WIDTH, _HEIGHT, _LEFT, _TOP = 760, 150, 70, 40
#: What is drawn: key of a sample, title.
PANELS = (("queued", "programs that wait"), ("utilisation", "part of the devices that is busy"), ("moves", "moves"))

Series = Sequence[Mapping[str, float]]


def svg(title: str, runs: Mapping[str, Series]) -> str:
    """The picture of several runs over one another, each with its name."""
    end = max((s[-1]["at_s"] for s in runs.values() if s), default=1.0)
    height = _TOP + len(PANELS) * (_HEIGHT + 50) + 20
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + 20}" height="{height}" font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-size="14">{escape(title)}</text>',
    ]
    for at, name in enumerate(runs):
        x = _LEFT + at * 130
        out.append(f'<rect x="{x}" y="25" width="10" height="10" fill="{_colour(at)}"/>')
        out.append(f'<text x="{x + 14}" y="34">{escape(name)}</text>')
    for panel, (key, words) in enumerate(PANELS):
        out += _panel(_TOP + 20 + panel * (_HEIGHT + 50), key, words, runs, end)
    return "\n".join([*out, "</svg>", ""])


def _panel(top: int, key: str, words: str, runs: Mapping[str, Series], end: float) -> list[str]:
    most = max((s[key] for series in runs.values() for s in series), default=0.0) or 1.0
    out = [
        f'<text x="{_LEFT}" y="{top - 6}">{escape(words)}</text>',
        f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#999"/>',
        f'<text x="{_LEFT - 6}" y="{top + 10}" text-anchor="end">{most:g}</text>',
        f'<text x="{_LEFT - 6}" y="{top + _HEIGHT}" text-anchor="end">0</text>',
        f'<text x="{_LEFT + _WIDTH}" y="{top + _HEIGHT + 14}" text-anchor="end">{end:.0f} s</text>',
    ]
    for at, series in enumerate(runs.values()):
        points = " ".join(
            f"{_LEFT + s['at_s'] / end * _WIDTH:.1f},{top + _HEIGHT - s[key] / most * _HEIGHT:.1f}" for s in series
        )
        out.append(f'<polyline points="{points}" fill="none" stroke="{_colour(at)}" stroke-width="1.5"/>')
    return out


def _colour(at: int) -> str:
    return _COLOURS[at % len(_COLOURS)]
