"""What there is to know about a design before a draw is made: faults that warn, and notes.

Findings have counts and the term that repairs; nothing is ever repaired.
"""

from __future__ import annotations

import html
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hiermodels.errors import GroupingWarning, IdentificationWarning
from hiermodels.printing import Table

__all__ = ["Finding", "Findings", "warn_of"]

PACKAGE = str(Path(__file__).parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to know about the design. Made by `find_nesting`, read by the user.

    ``certain`` ones are faults and warn; the others are questions, or told for the record.
    ``group`` is the grouping factor, or empty where it is about the common effects. ``counts`` has
    the numbers that the text names.
    """

    kind: str
    group: str
    certain: bool
    message: str
    repair: str
    counts: dict[str, int]

    def __str__(self) -> str:
        return f"{self.message} {self.repair}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """All findings about a design. Made by `find_nesting`; empty where there is nothing to say."""

    found: tuple[Finding, ...]

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.found)

    @property
    def faults(self) -> tuple[Finding, ...]:
        return tuple(f for f in self.found if f.certain)

    def lines(self) -> list[str]:
        """A sentence or two for each."""
        return [f"{'Warning' if f.certain else 'Note'}: {f}" for f in self.found]

    def table(self) -> Table:
        """A row for each finding."""
        return Table(
            [
                (f.kind, f.group, "warning" if f.certain else "note", f.message, f.repair)
                for f in self.found
            ],
            columns=["finding", "group", "weight", "message", "repair"],
            title="Grouping and identification",
        )

    def __repr__(self) -> str:
        return "\n".join(self.lines()) or "Nothing to say about the grouping."

    def _repr_html_(self) -> str:
        return "<br>".join(html.escape(line) for line in repr(self).splitlines())


def warn_of(findings: Findings) -> None:
    """One Python warning for each certain fault; notes are for the summary."""
    for fault in findings.faults:
        kind = GroupingWarning if fault.group else IdentificationWarning
        warnings.warn(str(fault), kind, skip_file_prefixes=(PACKAGE,))
