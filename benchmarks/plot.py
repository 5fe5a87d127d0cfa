"""Bars as SVG, in the colours of the page; readable on a light and on a dark ground."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#7b1e3a", "#d0718c", "#4a7a8c", "#c9a227", "#8a817a")
WIDTH, LABEL, ROW, TOP = 760, 210, 30, 62


@dataclass(frozen=True)
class Bar:
    """One bar: its parts in the order of the series."""

    label: str
    parts: Sequence[float]


def stacked(title: str, series: Sequence[str], bars: Sequence[Bar]) -> str:
    """Horizontal bars, each of the same series, with its sum at its end."""
    longest = max(sum(bar.parts) for bar in bars)
    scale = (WIDTH - LABEL - 60) / (longest or 1.0)
    height = TOP + ROW * len(bars) + 12
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"',
        ' font-size="13">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fbfaf7"/>',
        f'<text x="12" y="24" font-size="15" font-weight="600" fill="#211c1a">{escape(title)}</text>',
    ]
    left = LABEL
    for name, colour in zip(series, COLOURS, strict=True):
        lines.append(f'<rect x="{left}" y="38" width="10" height="10" fill="{colour}"/>')
        lines.append(f'<text x="{left + 14}" y="47" fill="#403833">{escape(name)}</text>')
        left += 30 + 8 * len(name)
    for number, bar in enumerate(bars):
        y, x = TOP + number * ROW, float(LABEL)
        lines.append(f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end" fill="#403833">{escape(bar.label)}</text>')
        for part, colour in zip(bar.parts, COLOURS, strict=True):
            lines.append(f'<rect x="{x:.1f}" y="{y}" width="{part * scale:.1f}" height="20" fill="{colour}"/>')
            x += part * scale
        lines.append(f'<text x="{x + 6:.1f}" y="{y + 15}" fill="#211c1a">{sum(bar.parts):.1f}</text>')
    return "\n".join([*lines, "</svg>", ""])
