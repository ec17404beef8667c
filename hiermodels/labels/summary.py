"""The page that says what was fitted and what came out, in the order of lme4's summary."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hiermodels.design import Block, Design
from hiermodels.engines import ENGINES
from hiermodels.errors import counted
from hiermodels.labels.tables import fixef_table, heading, parameters_table, with_dashes
from hiermodels.nesting import find_nesting
from hiermodels.numbers.diagnostics import Diagnostics
from hiermodels.numbers.draws import POINT, Draws, summarise
from hiermodels.printing import Table, whole_numbers, wrapped
from hiermodels.priors import Priors

__all__ = ["Summary", "build_summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A page of text and tables. Made by `build_summary`, printed by the user."""

    lines: tuple[str, ...]
    groups: Table
    common: Table
    own: Table
    sampler: tuple[str, ...]
    priors: Table

    @property
    def tables(self) -> tuple[Table, ...]:
        return self.groups, self.common, self.own

    def text(self) -> str:
        """For a terminal."""
        body = [table.text() for table in self.tables if len(table)]
        lines, sampler = ("\n".join(map(wrapped, each)) for each in (self.lines, self.sampler))
        return "\n\n".join([lines, *body, sampler, self.priors.text()])

    def markdown(self) -> str:
        """For a Markdown file."""
        first = [f"# {self.lines[0]}", *(f"- {line}" for line in self.lines[1:])]
        body = [table.markdown() for table in self.tables if len(table)]
        sampler = [f"**{self.sampler[0]}**", *(f"- {line}" for line in self.sampler[1:])]
        return (
            "\n\n".join(
                [
                    first[0],
                    "\n".join(first[1:]),
                    *body,
                    sampler[0],
                    "\n".join(sampler[1:]),
                    self.priors.markdown(),
                ]
            )
            + "\n"
        )

    def html(self) -> str:
        """For a notebook, every text escaped."""
        body = "".join(table._repr_html_() for table in self.tables if len(table))
        lines = "<br>".join(html.escape(line) for line in self.lines)
        sampler = "<br>".join(html.escape(line) for line in self.sampler)
        return f"<p>{lines}</p>{body}<p>{sampler}</p>{self.priors._repr_html_()}"

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return self.html()


def build_summary(
    design: Design,
    priors: Priors,
    draws: Draws,
    diagnostics: Diagnostics,
    *,
    attributes: Mapping[str, Any],
    point: str = POINT,
    ci_prob: float,
) -> Summary:
    """Gather the page; ``attributes`` are those of the posterior."""
    common = fixef_table(design, draws, point=point, ci_prob=ci_prob)
    names = ["Intercept" if t == "Intercept" else f"beta[{t}]" for t in common["term"]]
    add_diagnostics(common, names, diagnostics)
    own = parameters_table(design, draws, point=point, ci_prob=ci_prob)
    add_diagnostics(own, list(own["parameter"]), diagnostics)
    return Summary(
        lines=tuple(opening(design, attributes)),
        groups=groups_table(design, draws, point=point, ci_prob=ci_prob),
        common=common,
        own=own,
        sampler=("Sampler", *sampling_lines(attributes, draws), *diagnostics.words()),
        priors=Table(
            priors.rows(),
            columns=["parameter", "prior (scale of the data)", "standardised", "from"],
            title="Priors",
        ),
    )


def add_diagnostics(table: Table, names: list[str], diagnostics: Diagnostics) -> None:
    """Columns for the effective sample size and R-hat of each row's parameter."""
    table["ess_bulk"] = whole_numbers(diagnostics.of(name)[1] for name in names)
    table["r_hat"] = [round(diagnostics.of(name)[0], 3) for name in names]


def opening(design: Design, attributes: Mapping[str, Any]) -> list[str]:
    levels = ", ".join(f"{b.name} {counted(b.n_levels, 'level')}" for b in design.blocks)
    engine = str(attributes["engine"])
    lines = [
        f"{design.formula.text}",
        f"family {design.family.name}, link {design.family.link}",
        counted(design.n, "row") + (f"; {levels}" if levels else ""),
        f"engine {engine}: {ENGINES[engine].words} ({attributes['engine_reason']})",
    ]
    if design.rows.n_dropped:
        counts = ", ".join(f"{n:,} in {c!r}" for c, n in design.rows.missing.items())
        dropped = counted(design.rows.n_dropped, "row")
        lines.insert(3, f"{dropped} dropped, missing values: {counts}")
    return [*lines, *find_nesting(design).lines()]


def sampling_lines(attributes: Mapping[str, Any], draws: Draws) -> list[str]:
    made = int(attributes["draws_made"]) * int(attributes["chains"])
    told = [
        f"{draws.n:,} of {made:,} draws kept" if made > draws.n else f"{draws.n:,} draws",
        f"random_seed {attributes['random_seed']}" if "random_seed" in attributes else "",
        f"{attributes['sampling_seconds']:.1f} s" if "sampling_seconds" in attributes else "",
    ]
    lines = [", ".join(t for t in told if t)]
    if attributes.get("mended"):
        lines.append(str(attributes["mended"]))
    if attributes.get("second_try"):
        lines.append(str(attributes["second_try"]))
    if attributes.get("interrupted"):
        lines.append("Interrupted: only the draws that were made by then.")
    return lines


def groups_table(design: Design, draws: Draws, *, point: str = POINT, ci_prob: float) -> Table:
    """lme4's block of groups: sd and correlation of each factor and term, and the residual."""
    rows = [row for block in design.blocks for row in block_rows(block, draws)]
    if draws.residual is not None:
        rows.append(("residual", "", draws.residual, None, ""))
    found = summarise(
        np.column_stack([r[2] for r in rows]) if rows else np.empty((draws.n, 0)),
        point=point,
        ci_prob=ci_prob,
    )
    table: dict[str, Any] = {
        "group": [r[0] for r in rows],
        "term": [r[1] for r in rows],
        "sd": found.estimate,
        "sd_lower": found.lower,
        "sd_upper": found.upper,
    }
    if any(r[3] is not None for r in rows):
        cor = [
            summarise(r[3], point=point, ci_prob=ci_prob) if r[3] is not None else None
            for r in rows
        ]
        for name, end in (("cor", "estimate"), ("cor_lower", "lower"), ("cor_upper", "upper")):
            table[name] = [np.nan if c is None else float(getattr(c, end)) for c in cor]
        table["cor with"] = [r[4] for r in rows]
    return with_dashes(Table(table, title=heading("Groups", point, ci_prob)))


def block_rows(block: Block, draws: Draws) -> list[tuple[str, str, Any, Any, str]]:
    """Each term's sd, with its correlation with the first; the others are in `varcorr`."""
    sd, cor = draws.sd[block.name], draws.cor[block.name]
    rows: list[tuple[str, str, Any, Any, str]] = []
    for k, term in enumerate(block.terms):
        correlated = block.correlated and k > 0
        rows.append(
            (
                block.name,
                term,
                sd[:, k],
                cor[:, k, 0] if correlated else None,
                block.terms[0] if correlated else "",
            )
        )
    return rows
