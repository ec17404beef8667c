"""The tables in the terminal: times, and the draws that were made in them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rich.table import Table

from .cases import Case
from .measurement import Measurement, Run

__all__ = ["CaseResult", "draws_table", "ratio_table", "time_table", "verdict"]

NOTHING = "–"
#: Targets that are the same for every small case.
FRESH_SECONDS, FASTER, MORE_EFFECTIVE = 4.0, 20.0, 50.0
OURS = "hiermodels"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """All that was measured on one case. Made by `engines`."""

    case: Case
    measurements: dict[str, Measurement]
    fresh: list[float] = field(default_factory=list)


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits, no exponent."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def spread(values: Iterable[float]) -> str:
    """Median (least to largest)."""
    values = list(values)
    if not values:
        return NOTHING
    return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"


def median(runs: Iterable[Run], read: Callable[[Run], float | None]) -> float | None:
    known = [value for run in runs if (value := read(run)) is not None]
    return statistics.median(known) if known else None


def verdict(found: Measurement) -> str:
    """The time of a valid row; what is wrong with another."""
    if found.refusals:
        return f"[red]REFUSED[/red] {'; '.join(found.refusals)}"
    return spread(run.seconds for run in found.runs)


def empty_table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < 2 else "right")
    return table


def time_table(results: dict[str, CaseResult]) -> Table:
    """Seconds and megabytes."""
    table = empty_table(
        "Time in seconds: median (least–largest), and memory above the data",
        *("case", "program", "fit", "at most", "CPU", "first fit", "sampling"),
        *("fresh process", "at most", "MB", "at most"),
    )
    for name, result in results.items():
        for program, found in result.measurements.items():
            ours = program == OURS
            shown = not found.refusals
            fresh = result.fresh if ours and shown else []
            table.add_row(
                *(name, program, verdict(found)),
                number(result.case.seconds) if ours else "",
                number(median(found.runs, lambda r: r.cpu_seconds)) if shown else NOTHING,
                number(found.first_seconds) if shown else NOTHING,
                number(median(found.runs, lambda r: r.sampling_seconds)) if shown else NOTHING,
                spread(fresh) if ours else "",
                number(FRESH_SECONDS) if ours and result.case.seconds <= 1 else "",
                number(found.memory),
                number(result.case.memory) if ours and result.case.memory else "",
            )
    return table


def draws_table(results: dict[str, CaseResult]) -> Table:
    """R-hat, distance from the long run, and effective sample sizes: the worst of all runs."""
    table = empty_table(
        "Draws: the worst of all runs; smallest bulk / tail ESS",
        *("case", "program", "R-hat", "distance", "divergences", "gradients / draw"),
        *("ESS", "at least", "ESS with effects", "of draws", "ESS / s"),
    )
    for name, result in results.items():
        for program, found in result.measurements.items():
            if not any(run.ess for run in found.runs):
                continue
            table.add_row(
                *(name, program),
                f"{max(run.rhat or 0 for run in found.runs):.3f}",
                number(worst(found.runs, lambda r: r.largest_distance)),
                number(worst(found.runs, lambda r: r.divergences)),
                number(median(found.runs, lambda r: r.gradients_per_draw)),
                least_ess(found.runs, lambda r: r.ess),
                number(result.case.ess, 5) if program == OURS and result.case.ess else "",
                least_ess(found.runs, lambda r: r.ess_effects),
                number(median(found.runs, lambda r: r.effect_draws), 5),
                NOTHING if found.refusals else number(found.ess_per_second),
            )
    return table


def worst(runs: Iterable[Run], read: Callable[[Run], float | None]) -> float | None:
    return max((value for run in runs if (value := read(run)) is not None), default=None)


def least_ess(runs: Iterable[Run], read: Callable[[Run], tuple[float, float | None] | None]) -> str:
    pairs = [pair for run in runs if (pair := read(run)) is not None]
    tails = [tail for _, tail in pairs if tail is not None]
    bulk = min(bulk for bulk, _ in pairs)
    return f"{bulk:,.0f} / {f'{min(tails):,.0f}' if tails else NOTHING}"


def ratio_table(results: dict[str, CaseResult]) -> Table:
    """Each other program by this one, both measured in this run and valid."""
    table = empty_table(
        "hiermodels against the others, in this run: times faster, times the ESS per second",
        *("case", "against", "faster, end to end", "at least", "ESS / s", "at least"),
    )
    for name, result in results.items():
        ours = result.measurements[OURS]
        for program, other in result.measurements.items():
            if program == OURS or ours.refusals or other.refusals:
                continue
            bambi = program.startswith("bambi")
            table.add_row(
                *(name, program, number(other.seconds / ours.seconds)),
                number(FASTER) if bambi else "",
                number(ratio(ours.ess_per_second, other.ess_per_second)),
                number(MORE_EFFECTIVE) if bambi else "",
            )
    return table


def ratio(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or theirs is None else ours / theirs
