"""Curves of growth as an SVG that can be read on a dark and on a light page."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WIDTH, _LEFT, _TOP, _HEIGHT, _LINE = 760, 50, 20, 240, 18
_COLOURS = ("#3b82f6", "#f97316", "#10b981", "#ef4444", "#a855f7", "#ca8a04", "#06b6d4", "#ec4899")
_STYLE = (
    "text{font:12px sans-serif;fill:#24292f}.g{stroke:#8b949e}@media(prefers-color-scheme:dark){text{fill:#e6edf3}}"
)


def growth(curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Each curve as a ratio to its first point, over a logarithmic axis of counts."""
    ratios = {name: [(n, cost / curve[0][1]) for n, cost in curve] for name, curve in curves.items()}
    counts = sorted({n for curve in ratios.values() for n, _ in curve})
    top = max(2.0, *(ratio for curve in ratios.values() for _, ratio in curve))
    first, last = math.log10(counts[0]), math.log10(max(counts[-1], counts[0] * 10))

    def x(count: int) -> float:
        return _LEFT + (math.log10(count) - first) / (last - first) * (_WIDTH - _LEFT - 40)

    def y(ratio: float) -> float:
        return _TOP + _HEIGHT * (1 - ratio / top)

    parts = [
        f'<line class="g" x1="{_LEFT}" x2="{_WIDTH - 20}" y1="{y(r):.1f}" y2="{y(r):.1f}" stroke-dasharray="{dash}"/>'
        f'<text x="{_LEFT - 8}" y="{y(r) + 4:.1f}" text-anchor="end">{r:g}</text>'
        for r, dash in ((0, "none"), (1, "2 4"), (1.5, "6 4"), (round(top, 1), "2 4"))
    ]
    parts += [f'<text x="{x(n):.1f}" y="{_TOP + _HEIGHT + 18}" text-anchor="middle">{n:,}</text>' for n in counts]
    for number, (name, curve) in enumerate(ratios.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        dash = ' stroke-dasharray="5 3"' if number >= len(_COLOURS) else ""
        points = " ".join(f"{x(n):.1f},{y(r):.1f}" for n, r in curve)
        at = _TOP + _HEIGHT + 44 + number * _LINE
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + 24}" y1="{at - 4}" y2="{at - 4}" stroke="{colour}"{dash}/>')
        parts.append(f'<text x="{_LEFT + 32}" y="{at}">{escape(name)}: {curve[-1][1]:.2f}</text>')
    height = _TOP + _HEIGHT + 50 + len(ratios) * _LINE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">'
        f"<style>{_STYLE}</style>{''.join(parts)}</svg>\n"
    )
