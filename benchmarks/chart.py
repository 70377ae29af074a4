"""Draws bars: how many times the reference's rate each reaches, on a scale of powers of two."""

from collections.abc import Iterator, Mapping
from html import escape
from math import log2

WIDTH, LABELS, LINE = 760, 260, 18
SMALLEST, LARGEST = 0.25, 128.0


def place(ratio: float) -> float:
    """Return where on the scale a ratio stands, in pixels."""
    bounded = min(max(ratio, SMALLEST), LARGEST)
    share = log2(bounded / SMALLEST) / log2(LARGEST / SMALLEST)
    return LABELS + share * (WIDTH - LABELS - 50)


def bars(groups: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Draw each group under its title; the bar begins at the reference, which is 1."""
    y = 30
    one = place(1)
    for title, ratios in groups.items():
        yield f'<text x="8" y="{y}" font-weight="bold">{escape(title)}</text>'
        y += LINE
        for number, (label, ratio) in enumerate(ratios.items()):
            end = place(ratio)
            left, width = min(one, end), max(abs(end - one), 1)
            fill = "#0b6e4f" if number == 0 else "#8a94a6"
            yield f'<text x="{LABELS - 8}" y="{y}" text-anchor="end">{escape(label)}</text>'
            yield (
                f'<rect x="{left:.1f}" y="{y - 11}" width="{width:.1f}" height="13" fill="{fill}"/>'
            )
            yield f'<text x="{max(one, end) + 6:.1f}" y="{y}">{ratio:.2f}</text>'
            y += LINE
        y += LINE // 2
    yield f'<line x1="{one:.1f}" y1="20" x2="{one:.1f}" y2="{y - LINE}" stroke="#333"/>'


def chart(groups: Mapping[str, Mapping[str, float]]) -> str:
    """Return the SVG of groups of ratios."""
    height = 40 + sum(LINE * (len(ratios) + 1) + LINE // 2 for ratios in groups.values())
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12" fill="#222">'
    )
    lines = [
        head,
        "<title>Requests per second, as multiples of stock's; a scale of powers of two</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        *bars(groups),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
