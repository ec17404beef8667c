"""A design into its plate diagram: what depends on what, and what is repeated how often.

Drawn with Matplotlib, so that a report needs no graphviz; `graphs` has the one of a notebook, and
PyMC's, with its standardised parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hiermodels.design import Design, Predictor, coarser
from hiermodels.errors import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_graph", "graph_words"]

INK, RULE, PLATE, OBSERVED = "#222222", "#8A8A8A", "#F3F6FA", "#D9DEE5"
#: Heights of the rows: sds and correlations, effects, predictors, the response.
TOP, MIDDLE, LOWER, BOTTOM = 4.2, 2.75, 1.15, -0.15
LONGEST = 22
GAP, HIGH = 0.3, 0.27


@dataclass(frozen=True, slots=True)
class Node:
    """A circle of the diagram; ``kind`` is free, made (by arithmetic) or observed."""

    text: str
    x: float
    y: float
    kind: str = "free"

    @property
    def half(self) -> float:
        return 0.048 * len(self.text) + 0.2


def cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def graph_words(design: Design) -> str:
    """The diagram for those who cannot see it."""
    parts = []
    for predictor in design.predictors:
        above = [*common_names(predictor), *(f"b_{b.name}" for b in predictor.blocks)]
        parts.append(f"{predictor_name(design, predictor)} depends on {', '.join(above) or '0'}")
        for block in predictor.blocks:
            own = "sd and correlations" if block.correlated else "sd"
            parts.append(f"b_{block.name} of {counted(block.n_levels, 'level')} on their {own}")
    parents = [predictor_name(design, p) for p in design.predictors]
    parents += [parameter.name for parameter in design.constants]
    parts.append(f"{design.response_name} of {counted(design.n, 'row')} on {', '.join(parents)}")
    return "Plate diagram: " + "; ".join(parts) + "."


def predictor_name(design: Design, predictor: Predictor) -> str:
    if predictor.parameter:
        return predictor.parameter
    return "η" if design.family.categories else "μ"


def common_names(predictor: Predictor) -> list[str]:
    names = [f"{predictor.prefix}Intercept"] if predictor.intercept else []
    if predictor.terms:
        beta = f"{predictor.prefix}beta"
        names.append(beta if len(predictor.terms) == 1 else f"{beta} ({len(predictor.terms)})")
    return names


def draw_graph(design: Design) -> Axes:
    """Free parameters as ellipses, what follows from them as boxes, the response filled."""
    from matplotlib.patches import FancyBboxPatch

    nodes: list[Node] = []
    arrows: list[tuple[Node, Node]] = []
    plates: list[tuple[float, float, str, bool]] = []
    x = 0.0
    means: list[tuple[Node, list[Node]]] = []
    for predictor in design.predictors:
        start, parents = x, []
        own_plates: list[tuple[float, float, str]] = []
        for name in common_names(predictor):
            node, x = placed(name, x, MIDDLE)
            parents.append(node)
        for block in predictor.blocks:
            effect, plate, above, x = block_nodes(design, predictor, block.name, x)
            own_plates.append(plate)
            nodes += above
            arrows += [(node, effect) for node in above]
            parents.append(effect)
        nodes += parents
        center = (start + x - GAP) / 2 if parents else x
        mean = Node(predictor_name(design, predictor), center, LOWER, "made")
        # the words stand on the side that the arrow does not cross
        plates += [(a, b, words, a + b > 2 * center) for a, b, words in own_plates]
        if not parents:
            x += 1.0
        means.append((mean, parents))
    rows_end = max(x - GAP, 1.6)
    middle = (means[0][0].x + means[-1][0].x) / 2
    response = Node(cut(design.response_name), middle, BOTTOM, "observed")
    for mean, parents in means:
        nodes.append(mean)
        arrows += [(parent, mean) for parent in parents]
        arrows.append((mean, response))
    nodes.append(response)
    x = max(rows_end + 0.4, response.x + response.half + 0.4)
    end = x
    for parameter in design.constants:
        node, x = placed(parameter.name, x, BOTTOM)
        nodes.append(node)
        arrows.append((node, response))
    left = min(0.0, response.x - response.half) - 0.12
    axis = canvas(left - 0.25, max(x, end) + 0.1)
    rows = (left, BOTTOM - 0.55, end - 0.25 - left, LOWER - BOTTOM + 1.0)
    boxes = [(*rows, counted(design.n, "row"), True)]
    boxes += [(a, MIDDLE - 0.62, b - a, 1.05, words, at) for a, b, words, at in plates]
    for px, py, width, height, words, at_right in boxes:
        style = "round,pad=0,rounding_size=0.14"
        axis.add_patch(
            FancyBboxPatch((px, py), width, height, boxstyle=style, fc=PLATE, ec=RULE, lw=0.9)
        )
        axis.text(
            px + width - 0.1 if at_right else px + 0.1,
            py + 0.07,
            words,
            ha="right" if at_right else "left",
            va="bottom",
            fontsize=8,
            color="#444444",
            bbox={"facecolor": PLATE, "edgecolor": "none", "pad": 0.8},
            zorder=3.5,
            parse_math=False,
        )
    for arrow in arrows:
        draw_arrow(axis, *arrow)
    for node in nodes:
        draw_node(axis, node)
    return axis


def placed(name: str, x: float, y: float) -> tuple[Node, float]:
    """A node whose left end is at x, and where the next begins."""
    text = cut(name)
    half = Node(text, 0, 0).half
    return Node(text, x + half, y), x + 2 * half + GAP


def block_nodes(
    design: Design, predictor: Predictor, factor: str, x: float
) -> tuple[Node, tuple[float, float, str], list[Node], float]:
    """The effects of a factor in their plate, and the sd and correlations above it."""
    block = next(b for b in predictor.blocks if b.name == factor)
    prefix = predictor.prefix
    names = [f"{prefix}sd_{factor}"] + ([f"{prefix}cor_{factor}"] if block.correlated else [])
    above: list[Node] = []
    at = x
    for name in names:
        node, at = placed(name, at, TOP)
        above.append(node)
    outer = coarser(design, block) if not predictor.parameter else ()
    words = cut(f"{factor}" + (f" in {outer[-1].name}" if outer else ""))
    words += f": {counted(block.n_levels, 'level')}"
    label = cut(f"{prefix}b_{factor}")
    width = max(at - GAP - x, 2 * Node(label, 0, 0).half + 0.3, 0.075 * len(words) + 0.3)
    effect = Node(label, x + width / 2, MIDDLE)
    shift = (width - (at - GAP - x)) / 2
    above = [Node(n.text, n.x + shift, n.y) for n in above]
    return effect, (x, x + width, words), above, x + width + GAP


def canvas(left: float, right: float) -> Axes:
    import matplotlib.pyplot as plt

    top = TOP + HIGH + 0.15
    bottom = BOTTOM - 0.7
    figure, axis = plt.subplots(
        figsize=(0.95 * (right - left), 0.8 * (top - bottom)), layout="constrained"
    )
    axis.set_xlim(left, right)
    axis.set_ylim(bottom, top)
    axis.set_axis_off()
    figure.set_facecolor("white")
    return axis


def draw_node(axis: Axes, node: Node) -> None:
    from matplotlib.patches import Ellipse, FancyBboxPatch

    fill = OBSERVED if node.kind == "observed" else "white"
    if node.kind == "made":
        corner = (node.x - node.half, node.y - HIGH)
        axis.add_patch(
            FancyBboxPatch(
                corner,
                2 * node.half,
                2 * HIGH,
                boxstyle="round,pad=0,rounding_size=0.06",
                fc=fill,
                ec=INK,
                lw=1.1,
                zorder=4,
            )
        )
    else:
        axis.add_patch(
            Ellipse(
                (node.x, node.y), 2 * node.half, 2 * HIGH + 0.08, fc=fill, ec=INK, lw=1.1, zorder=4
            )
        )
    axis.text(
        node.x,
        node.y - 0.01,
        node.text,
        ha="center",
        va="center",
        fontsize=9.5,
        color=INK,
        zorder=5,
        parse_math=False,
    )


def draw_arrow(axis: Axes, start: Node, stop: Node) -> None:
    """From the border of one to the border of the other."""
    (ax, ay), (bx, by) = ends(start, stop)
    axis.annotate(
        "",
        (bx, by),
        (ax, ay),
        zorder=3,
        arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 0.9, "shrinkA": 0, "shrinkB": 1},
    )


def ends(start: Node, stop: Node) -> Iterator[tuple[float, float]]:
    dx, dy = stop.x - start.x, stop.y - start.y
    for node, sign in ((start, 1), (stop, -1)):
        # where the line leaves an ellipse of these half axes
        length = ((dx / node.half) ** 2 + (dy / (HIGH + 0.04)) ** 2) ** 0.5 or 1.0
        yield node.x + sign * dx / length, node.y + sign * dy / length
