"""Figures into files: SVG, which prints best, or PNG where that is too large; or PDF for LaTeX."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Drawn", "draw_picture"]

#: Pixels for each inch, two for one of the screen; and the colours of a PNG.
DPI, COLOURS = 192, 256
#: Bytes of lines and letters; above, they are pixels, if those are fewer bytes.
VECTOR = 150_000
#: No dates and no random names, so that the same fit makes the same file.
PLAIN: dict[Any, Any] = {"svg.hashsalt": "hiermodels", "svg.fonttype": "path"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A picture as bytes. ``suffix`` is svg, png or pdf; ``width`` is in CSS pixels."""

    data: bytes
    suffix: str
    width: int


def draw_picture(draw: Callable[[], Any], *, suffixes: tuple[str, ...] = ("svg", "png")) -> Drawn:
    """The first of a figure's files that is not large, or the smallest; the figure is closed.

    ``draw`` gives its axes.
    """
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    with mpl.rc_context(PLAIN):
        axes = draw()
        figure = np.ravel(np.asarray(axes, dtype=object))[0].get_figure(root=True)
        try:
            made = {suffix: encoded(figure, suffix) for suffix in suffixes}
            width = round(96 * figure.get_figwidth())
        finally:
            plt.close(figure)
    small = (s for s in suffixes if len(made[s]) <= VECTOR)
    suffix = next(small, min(made, key=lambda s: len(made[s])))
    return Drawn(data=made[suffix], suffix=suffix, width=width)


def encoded(figure: Any, suffix: str) -> bytes:
    buffer = io.BytesIO()
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix)
    figure.savefig(buffer, format=suffix, dpi=DPI, metadata=metadata)
    return with_palette(buffer) if suffix == "png" else buffer.getvalue()


def with_palette(png: io.BytesIO) -> bytes:
    """The PNG in its 256 commonest colours: no eye sees it, and it has half the size or less."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(png) as picture:
        few = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(buffer, format="png", optimize=True, dpi=(DPI, DPI))
    return buffer.getvalue()
