"""Draw word errors against packet loss as SVG text; readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 680, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 170, 20, 50

At = Callable[[float, float], tuple[float, float]]
"""(loss, share of wrong words) -> position on the page."""


@dataclass(frozen=True, slots=True)
class Line:
    label: str
    color: str
    is_dashed: bool
    points: tuple[tuple[float, float], ...]  # (loss %, words wrong %)


def draw(lines: Sequence[Line], title: str) -> str:
    x_max = max(x for line in lines for x, _ in line.points)
    y_max = max(10.0, max(y for line in lines for _, y in line.points))
    y_max = 10 * -(-y_max // 10)

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / x_max
        return round(across, 1), round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / y_max, 1)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="12">',
        f"<title>{title}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    out += _grid(at, x_max, y_max)
    for number, line in enumerate(lines):
        out += _line(line, at, TOP + 20 + 22 * number)
    return "\n".join([*out, "</svg>", ""])


def _grid(at: At, x_max: float, y_max: float) -> list[str]:
    out: list[str] = []
    for y in range(0, int(y_max) + 1, 10):
        (x0, height), (x1, _) = at(0, y), at(x_max, y)
        out.append(f'<line x1="{x0}" y1="{height}" x2="{x1}" y2="{height}" stroke="#dddddd"/>')
        out.append(f'<text x="{x0 - 8}" y="{height + 4}" text-anchor="end" fill="#333333">{y} %</text>')
    for x in range(0, int(x_max) + 1, 2):
        across, bottom = at(x, 0)
        out.append(f'<text x="{across}" y="{bottom + 18}" text-anchor="middle" fill="#333333">{x} %</text>')
    across, bottom = at(x_max / 2, 0)
    out.append(
        f'<text x="{across}" y="{bottom + 38}" text-anchor="middle" fill="#333333">packets lost</text>'
    )
    return out


def _line(line: Line, at: At, legend_y: int) -> list[str]:
    dash = ' stroke-dasharray="6 4"' if line.is_dashed else ""
    places = [at(x, y) for x, y in line.points]
    path = " ".join(f"{x},{y}" for x, y in places)
    out = [f'<polyline points="{path}" fill="none" stroke="{line.color}" stroke-width="2"{dash}/>']
    out += [f'<circle cx="{x}" cy="{y}" r="3" fill="{line.color}"/>' for x, y in places]
    x = WIDTH - RIGHT + 14
    out.append(
        f'<line x1="{x}" y1="{legend_y}" x2="{x + 24}" y2="{legend_y}" stroke="{line.color}" '
        f'stroke-width="2"{dash}/>'
    )
    out.append(f'<text x="{x + 30}" y="{legend_y + 4}" fill="#333333">{line.label}</text>')
    return out
