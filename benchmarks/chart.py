"""The ratios as a bar chart on a log axis: an SVG image of its own small making.

Every colour keeps a contrast of about 4 to 1 against white and against GitHub's dark page alike, because an image
cannot know on which of the two it stands.
"""

import math
from xml.sax.saxutils import escape

GREY, FAINT = "#787878", "#78787855"
COLOURS = ("#2f81c9", "#b3682b", "#8a63c9", "#2f8f5b")
SLOWER = "#cc4b4b"
LEFT, WIDTH, RIGHT = 310, 520, 110
BAR, GAP, TOP = 13, 7, 58


def text(x, y, content, anchor="start", size=12, colour=GREY, weight="normal"):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{colour}">{escape(content)}</text>'
    )


def line(x, top, bottom, colour, width=1):
    return f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="{colour}" stroke-width="{width}"/>'


class Axis:
    """From ratios to places: logarithmic, from a round number below the least to one above the greatest."""

    def __init__(self, ratios):
        self.low = min(0.5, *ratios) * 0.9
        self.high = max(2.0, *ratios) * 1.1

    def x(self, ratio):
        return LEFT + WIDTH * math.log(ratio / self.low) / math.log(self.high / self.low)

    def ticks(self):
        steps = (1, 2, 5) if self.high / self.low < 500 else (1,)
        marks = [step * 10.0**power for power in range(-4, 7) for step in steps]
        return [mark for mark in marks if self.low <= mark <= self.high]


def bar(axis, y, cell, colour):
    """One module's bar, the spread of its rounds as a thin line, and the number behind it."""
    middle = y + BAR * 0.78
    if "ratio" not in cell:
        return [text(axis.x(1) + 5, middle, cell["status"] if cell["status"] != "ok" else "no baseline")]
    ratio = cell["ratio"]
    ends = sorted((axis.x(1), axis.x(ratio["median"])))
    fill = colour if ratio["median"] >= 1 else SLOWER
    low, high = axis.x(ratio["min"]), axis.x(ratio["max"])
    return [
        f'<rect x="{ends[0]:.1f}" y="{y}" width="{ends[1] - ends[0]:.1f}" height="{BAR}" fill="{fill}"/>',
        f'<path d="M{low:.1f} {y + BAR / 2}H{high:.1f}" stroke="{GREY}" stroke-width="1.5"/>',
        text(max(high, ends[1]) + 5, middle, f"{ratio['median']:.2f}x", size=11),
    ]


def group(axis, y, result, modules):
    """All bars of one row, with its name on the left."""
    parts = [text(LEFT - 10, y + BAR * 0.78, result["name"], "end")]
    for index, module in enumerate(modules):
        parts += bar(axis, y + index * (BAR + 1), result["cells"][module], COLOURS[index % len(COLOURS)])
    return parts


def legend(modules, baseline):
    parts = [text(LEFT, 18, f"times as fast as {baseline} (log scale; line: all rounds)", size=13, weight="bold")]
    for index, module in enumerate(modules):
        x = LEFT + index * 150
        parts.append(f'<rect x="{x}" y="26" width="11" height="11" fill="{COLOURS[index % len(COLOURS)]}"/>')
        parts.append(text(x + 16, 36, module))
    return parts


def svg(results, facts):
    baseline, *modules = list(facts["versions"])
    cells = [result["cells"][module] for result in results for module in modules]
    ratios = [r for cell in cells if "ratio" in cell for r in (cell["ratio"]["min"], cell["ratio"]["max"])]
    axis = Axis(ratios or [1.0])
    step = len(modules) * (BAR + 1) + GAP
    bottom = TOP + len(results) * step
    parts = legend(modules, baseline)
    for mark in axis.ticks():
        parts.append(line(axis.x(mark), TOP - 4, bottom, FAINT))
        parts.append(text(axis.x(mark), TOP - 8, f"{mark:g}x", "middle", 10))
    for index, result in enumerate(results):
        parts += group(axis, TOP + index * step, result, modules)
    parts.append(line(axis.x(1), TOP - 4, bottom, GREY, 2))
    parts.append(text(LEFT, bottom + 18, f"{facts['cpu']}, {facts['cores']} cores, {facts['python']}", size=10))
    size = f'width="{LEFT + WIDTH + RIGHT}" height="{bottom + 28}"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">\n{body}\n</svg>\n'
