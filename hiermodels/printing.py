"""Numbers into frames that print well.

A `Table` is a pandas frame with a title and a note. In print, a number and its interval share a
cell, ``0.66 [0.16, 1.15]``, with digits that follow the interval; in the frame they are columns of
their own, unrounded. Nothing is computed here.
"""

from __future__ import annotations

import html
import math
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from hiermodels.errors import NotAvailableError
from hiermodels.files import write_text

if TYPE_CHECKING:
    from great_tables import GT

__all__ = [
    "Table",
    "format_interval",
    "format_number",
    "html_table",
    "printed_columns",
    "printed_number",
    "whole_numbers",
    "wrapped",
]

#: What ``lower`` and ``upper`` without a name of their own belong to: the first that is there.
ESTIMATES = ("estimate", "mean")
#: Columns that name a row; equal neighbours are printed once.
KEYS = ("group", "component", "term", "level")
MAX_ROWS = 60
#: From here on numbers are printed as powers of ten.
HUGE = 1e9
#: Columns of probabilities, which have four digits after the point.
PROBABILITY = re.compile(r"(^|_)p(_|$)")
#: Digits after the point, beyond which numbers are printed as powers of ten.
MOST_DIGITS = 8
#: The part of an end that rounding may move it; and of the width below which an end is 0.
FAR_MOVED, ROUNDING = 0.25, 1e-14
#: How often the short side of an interval goes into a quarter of it, where the other is a tail.
LONG_TAIL = 5


class Table(pd.DataFrame):
    """A pandas frame with a ``title`` above and a ``note`` below when it is printed.

    Columns ``x``, ``x_lower``, ``x_upper`` are printed as one; ``estimate``, or ``mean`` where
    there is none, goes with ``lower`` and ``upper``.
    """

    _metadata: ClassVar[list[str]] = ["title", "note"]

    def __init__(self, *args: Any, title: str = "", note: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        object.__setattr__(self, "title", title)
        object.__setattr__(self, "note", note)

    @property
    def _constructor(self) -> type[Table]:
        return Table

    def __repr__(self) -> str:
        return self.text()

    def text(self, *, max_rows: int = MAX_ROWS) -> str:
        """For a terminal: where it is narrower than the table, columns follow in further blocks."""
        head, rows = self.cells(max_rows=max_rows)
        numeric = [is_number(self.flat(), name) for name in head]
        table = [list(head), *rows]
        widths = [max(len(row[k]) for row in table) for k in range(len(head))]
        keys = next((k for k, name in enumerate(head) if name not in KEYS), len(head)) or 1
        blocks = [
            "\n".join(
                "  ".join(
                    row[k].rjust(widths[k]) if numeric[k] else row[k].ljust(widths[k])
                    for k in block
                ).rstrip()
                for row in table
            )
            for block in folded(widths, keys, terminal_width())
        ]
        body = "\n\n".join(blocks)
        return "\n".join(part for part in (wrapped(self.title), body, wrapped(self.note)) if part)

    def to_markdown(self, path: str | Path | None = None) -> str:
        """The table as it is printed, for a Markdown file, and written to ``path`` if given."""
        return written(self.markdown(), path)

    def to_html(self, path: str | Path | None = None) -> str:
        """The whole table as it is printed, in HTML, every text escaped."""
        head, rows = self.cells(max_rows=len(self), repeat_keys=True)
        return written(html_table(head, rows, title=self.title, note=self.note), path)

    def to_latex(self, path: str | Path | None = None) -> str:
        """The table as it is printed, in LaTeX with booktabs, every text escaped."""
        head, rows = self.cells(max_rows=len(self))
        numeric = [is_number(self.flat(), name) for name in head]
        return written(latex_table(head, rows, numeric, title=self.title, note=self.note), path)

    def gt(self) -> GT:
        """The table as it is printed as a `great_tables.GT`, to style and to save from there.

        Cells, title and note are text already; numbers stand to the right.

        Raises
        ------
        NotAvailableError
            Without great_tables, which is not installed with hiermodels.
        """
        try:
            from great_tables import GT
        except ImportError as error:
            raise NotAvailableError(
                "gt() needs great_tables: pip install 'hiermodels[tables]'. Without it to_html(), "
                "to_latex() and to_markdown() write the same table."
            ) from error
        head, rows = self.cells(max_rows=len(self), repeat_keys=True)
        made = GT(pd.DataFrame(rows, columns=list(head), dtype=object), auto_align=False)
        right = [name for name in head if is_number(self, name)]
        made = made.cols_align("left", [name for name in head if name not in right])
        made = made.cols_align("right", right)
        made = made.tab_header(self.title) if self.title else made
        return made.tab_source_note(self.note) if self.note else made

    def markdown(self) -> str:
        """For a Markdown file."""
        head, rows = self.cells(max_rows=len(self), repeat_keys=True)
        flat = self.flat()
        rule = ["---:" if is_number(flat, name) else "---" for name in head]
        lines = [
            "| " + " | ".join(c.replace("|", "\\|") for c in row) + " |"
            for row in [list(head), rule, *rows]
        ]
        title = [f"**{self.title}**", ""] if self.title else []
        note = ["", f"*{self.note}*"] if self.note else []
        return "\n".join([*title, *lines, *note])

    def _repr_html_(self) -> str:
        head, rows = self.cells(max_rows=MAX_ROWS)
        return html_table(head, rows, title=self.title, note=self.note)

    def cells(
        self, *, max_rows: int, repeat_keys: bool = False
    ) -> tuple[tuple[str, ...], list[list[str]]]:
        """Header and rows as text."""
        shown = self.flat()
        columns = printed_columns(list(shown.columns))
        cut = len(shown) - max_rows
        if cut > 0:
            shown = shown.iloc[: max_rows - 1]
        texts = [self.column_text(shown, *triple) for triple in columns]
        rows = [list(row) for row in zip(*texts, strict=True)]
        if not repeat_keys:
            rows = blank_repeats(rows, [c[0] in KEYS[:2] for c in columns])
        if cut > 0:
            rows.append([f"… {cut + 1} more", *[""] * (len(columns) - 1)])
        return tuple(c[0] for c in columns), rows

    def flat(self) -> pd.DataFrame:
        """As it is printed: a named index as columns, the levels of a column's name in one."""
        frame = pd.DataFrame(self)
        frame.columns = pd.Index([flat_name(name) for name in frame.columns])
        if any(name is not None for name in frame.index.names):
            names = [name for name in frame.index.names if name is not None]
            unnamed = [k for k, name in enumerate(frame.index.names) if name is None]
            if not set(names) & set(frame.columns):
                frame = frame.reset_index(level=unnamed, drop=True).reset_index()
        return frame

    @staticmethod
    def column_text(frame: pd.DataFrame, name: str, lower: str, upper: str) -> list[str]:
        values = frame[name].tolist()
        if not lower and PROBABILITY.search(name) and is_number(frame, name):
            return [format_probability(v) for v in values]
        if not lower:
            return [format_number(v) for v in values]
        ends = zip(values, frame[lower].tolist(), frame[upper].tolist(), strict=True)
        return [format_interval(v, a, b) for v, a, b in ends]


def terminal_width() -> int | None:
    """Of the terminal that is printed to; a file, a pipe or a notebook has none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def folded(widths: Sequence[int], keys: int, most: int | None) -> list[list[int]]:
    """The columns of each block of at most so many characters, the first ``keys`` in all."""
    first = list(range(keys))
    blocks, current = [], list(first)
    for k in range(keys, len(widths)):
        wide = sum(widths[j] + 2 for j in current) + widths[k]
        if most is not None and wide > most and len(current) > keys:
            blocks.append(current)
            current = list(first)
        current.append(k)
    return [*blocks, current]


def wrapped(text: str) -> str:
    """A sentence as wide as the terminal, broken between words and never within an interval."""
    width = terminal_width()
    if width is None:
        return text
    glued = re.sub(r"\S+ \[[^\[\]]*\]", lambda found: found[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(glued, width, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace("\0", " ")


def flat_name(name: Any) -> str:
    """``("a", "sd")``, of a table made by pandas of several, is ``a sd``."""
    return " ".join(str(part) for part in name) if isinstance(name, tuple) else str(name)


def is_number(frame: pd.DataFrame, name: str) -> bool:
    return pd.api.types.is_numeric_dtype(frame[name].dtype)


def printed_columns(names: Sequence[str]) -> list[tuple[str, str, str]]:
    """Each column with the two that hold its interval, which get no place of their own."""
    found = []
    plain = next((n for n in ESTIMATES if n in names and f"{n}_lower" not in names), "")
    for name in names:
        ends = ("lower", "upper") if name == plain else (f"{name}_lower", f"{name}_upper")
        if all(end in names for end in ends):
            found.append((name, *ends))
    inside = {end for _, *ends in found for end in ends}
    by_name = {row[0]: row for row in found}
    return [by_name.get(n, (n, "", "")) for n in names if n not in inside]


def blank_repeats(rows: list[list[str]], key: list[bool]) -> list[list[str]]:
    """A name that is the same as in the row above is left out, as long as those left of it are."""
    out = []
    for i, row in enumerate(rows):
        new, same = list(row), i > 0
        for k, is_key in enumerate(key):
            same = same and is_key and rows[i - 1][k] == row[k]
            if same:
                new[k] = ""
        out.append(new)
    return out


def format_number(value: Any, *, digits: int = 4) -> str:
    """Four significant digits; whole numbers whole; nothing for what is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if not isinstance(value, float | np.floating):
        return str(value)
    value = float(value)
    if value == 0 or 1e-4 <= abs(value) < HUGE:
        return f"{value:.{max(0, digits - 1 - magnitude(value))}f}"
    return short_power(value)


def whole_numbers(values: Iterable[float]) -> list[float]:
    """Rounded; what is missing stays so."""
    return [value if math.isnan(value) else round(value) for value in map(float, values)]


def short_power(value: float) -> str:
    """``7.1e13``, three digits."""
    return re.sub(r"e\+?(-?)0?", r"e\1", f"{value:.3g}")


def format_probability(value: float) -> str:
    """Four digits after the point in each row of a column."""
    return "–" if value is None or math.isnan(value) else f"{value:.4f}"


def magnitude(value: float) -> int:
    """The power of ten of the first digit."""
    return math.floor(math.log10(abs(value))) if value else 0


def format_interval(value: float, lower: float, upper: float) -> str:
    """``0.66 [0.16, 1.15]``: two digits of the width of the interval decide.

    Of an interval with a long tail, ``298 [28, 50180]``, three digits of its short side decide for
    all but the end of the tail, which has up to four before the point. An end that rounding would
    move by more than a quarter keeps two digits of its own: only an end of 0 is printed as 0. A
    missing value leaves its interval, ``– [28, 50000]``. A number without an interval has three
    digits.
    """
    ends = (lower, upper)
    if any(v is None or not math.isfinite(v) for v in ends):
        return format_number(value, digits=3)
    known = value is not None and math.isfinite(value)
    width = (upper - lower) / 4
    whole = all(float(end).is_integer() and abs(end) < HUGE for end in ends)
    if not width > 0:
        low, high = (f"{end:.0f}" if whole else format_number(end) for end in ends)
        return f"{low if known and value == lower else format_number(value)} [{low}, {high}]"
    digits = 1 - magnitude(width)
    if digits > MOST_DIGITS:
        shown = short_power(value) if known else format_number(value)
        return f"{shown} [{short_power(lower)}, {short_power(upper)}]"
    if whole:  # of ranks and counts
        shown = fixed(value, max(digits, 0)) if known else format_number(value)
        return f"{shown} [{lower:.0f}, {upper:.0f}]"
    middle = value if known and lower < value < upper else (lower + upper) / 2
    near = min(middle - lower, upper - middle)
    tailed = 0 < LONG_TAIL * near <= width
    fine = 2 - magnitude(near) if tailed else digits
    low, high = (
        format_end(end, tail_digits(end, digits) if tailed and abs(end - middle) > near else fine)
        if abs(end) > ROUNDING * width
        else fixed(0.0, fine)
        for end in ends
    )
    shown = fixed(value, fine) if known else format_number(value)
    return f"{shown} [{low}, {high}]"


def tail_digits(end: float, digits: int) -> int:
    """Of the end of a long tail: up to four digits before the point."""
    return max(digits, min(0, 3 - magnitude(end)))


def format_end(end: float, digits: int) -> str:
    """Rounded to so many digits after the point, or to two of its own where that moves it far."""
    if abs(round(end, digits) - end) > FAR_MOVED * abs(end):
        digits = 1 - magnitude(end)
    return short_power(end) if digits > MOST_DIGITS else fixed(end, digits)


def printed_number(value: float, lower: float, upper: float) -> float:
    """The number that a reader sees of an interval, rounded as it is printed."""
    text = format_interval(value, lower, upper).partition(" ")[0]
    return math.nan if text == format_number(None) else float(text)


def fixed(value: float, digits: int) -> str:
    """Rounded to so many digits after the point, or before it where they are negative."""
    if abs(value) >= HUGE:
        return short_power(value)
    return f"{round(value, digits) + 0.0:.{max(0, digits)}f}"


def written(text: str, path: str | Path | None) -> str:
    """The text, also in a file."""
    if path is not None:
        write_text(Path(path), text + "\n")
    return text


LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "²": r"\textsuperscript{2}",
    "–": "--",
    "…": r"\ldots{}",
}


def latex_text(text: str) -> str:
    """Text that LaTeX sets as it stands."""
    return "".join(LATEX.get(c, c) for c in str(text))


def latex_table(
    head: Iterable[str],
    rows: Iterable[Sequence[str]],
    numeric: Sequence[bool],
    *,
    title: str = "",
    note: str = "",
) -> str:
    """A table environment with rules of booktabs; numbers to the right."""

    def line(cells: Iterable[str]) -> str:
        return " & ".join(latex_text(c) for c in cells) + r" \\"

    return "\n".join(
        [
            r"\begin{table}",
            *([rf"\caption{{{latex_text(title)}}}"] if title else []),
            rf"\begin{{tabular}}{{{''.join('r' if n else 'l' for n in numeric)}}}",
            r"\toprule",
            line(head),
            r"\midrule",
            *map(line, rows),
            r"\bottomrule",
            r"\end{tabular}",
            *([rf"\par\smallskip {latex_text(note)}"] if note else []),
            r"\end{table}",
        ]
    )


def html_table(
    head: Iterable[str], rows: Iterable[Sequence[str]], *, title: str = "", note: str = ""
) -> str:
    """A table for a notebook, every text escaped."""
    top = f"<caption>{html.escape(title)}</caption>" if title else ""
    header = "".join(f"<th>{html.escape(str(c))}</th>" for c in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows
    )
    below = f"<p><em>{html.escape(note)}</em></p>" if note else ""
    return (
        f"<table class='dataframe'>{top}<thead><tr>{header}</tr></thead>"
        f"<tbody>{body}</tbody></table>{below}"
    )
