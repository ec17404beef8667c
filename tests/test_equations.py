"""The model in LaTeX: what each structure must contain, and that names are escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.mathtext import MathTextParser

from hiermodels.data import select_rows
from hiermodels.design import SE, WEIGHTS, build_design
from hiermodels.families import family
from hiermodels.formula import parse
from hiermodels.labels.equations import Equations, build_equations, escape_text, number
from hiermodels.priors import Prior, build_priors

N = 120


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "y": rng.normal(size=N),
            "x": rng.normal(3, 1, N),
            "z": rng.normal(2, 1, N),
            "f": rng.choice(["p", "q", "r"], N),
            "w_1": rng.normal(size=N),
            "site": rng.choice([*"abcdefgh"], N),
            "pop": rng.choice([*"PQRS"], N),
            "patch": rng.choice([*"uvw"], N),
            "a $b_1% & <c>": rng.normal(2, 1, N),
        }
    )


def equations(
    formula: str,
    *,
    priors: Mapping[str, Any] | None = None,
    weights: Any = None,
    se: Any = None,
) -> Equations:
    """The equations of a formula on made-up rows."""
    parsed = parse(formula)
    given = {WEIGHTS: weights, SE: se}
    extra = {name: values for name, values in given.items() if values is not None}
    rows = select_rows(parsed, frame(), missing="error", extra=extra)
    design = build_design(parsed, rows, family("gaussian", link=None))
    return build_equations(design, build_priors(design, priors))


X_SITE = r"b_{\text{Intercept},\,\text{site}[i]} + b_{\text{x},\,\text{site}[i]}\, \text{x}_i"

#: Formula: what its linear predictor is.
PREDICTORS = {
    "y ~ 1 + (1 | site)": r"\mu_i &= \text{Intercept} + b_{\text{site}[i]}",
    "y ~ x + (x | site)": (
        rf"\mu_i &= \text{{Intercept}} + \beta_{{\text{{x}}}}\, \text{{x}}_i + {X_SITE}"
    ),
    "y ~ 1 + (x || site)": rf"\mu_i &= \text{{Intercept}} + {X_SITE}",
    "y ~ 0 + x + (0 + x | site)": (
        r"\mu_i &= \beta_{\text{x}}\, \text{x}_i + b_{\text{x},\,\text{site}[i]}\, \text{x}_i"
    ),
    "y ~ 1 + (1 | pop/patch)": (
        r"\mu_i &= \text{Intercept} + b_{\text{pop}[i]} + b_{\text{pop:patch}[i]}"
    ),
    "y ~ 1 + (1 | site) + (1 | pop)": (
        r"\mu_i &= \text{Intercept} + b_{\text{site}[i]} + b_{\text{pop}[i]}"
    ),
    "y ~ 1 + offset(z) + (1 | site)": (
        r"\mu_i &= \text{offset}_i + \text{Intercept} + b_{\text{site}[i]}"
    ),
}

#: Formula: lines that the distributions of its group effects must have.
GROUPS = {
    "y ~ 1 + (1 | site)": [
        r"b_{\text{site}\,j} &\sim \mathrm{Normal}\left(0,\ \sigma_{\text{site}}\right)"
        r",\quad j = 1, \dots, 8"
    ],
    "y ~ x + (x | site)": [
        r"\begin{pmatrix} b_{\text{Intercept},\,\text{site}\,j} \\ b_{\text{x},\,\text{site}\,j} "
        r"\end{pmatrix} &\sim \mathrm{MultivariateNormal}\left(0,\ \Sigma_{\text{site}}\right)"
        r",\quad j = 1, \dots, 8",
        r"\Sigma_{\text{site}} &= D_{\text{site}}\, R_{\text{site}}\, D_{\text{site}},\quad "
        r"D_{\text{site}} = \mathrm{diag}\left(\sigma_{\text{Intercept},\,\text{site}},\ "
        r"\sigma_{\text{x},\,\text{site}}\right)",
    ],
    "y ~ x + (x || site)": [
        r"b_{\text{Intercept},\,\text{site}\,j} &\sim "
        r"\mathrm{Normal}\left(0,\ \sigma_{\text{Intercept},\,\text{site}}\right)"
        r",\quad j = 1, \dots, 8",
        r"b_{\text{x},\,\text{site}\,j} &\sim "
        r"\mathrm{Normal}\left(0,\ \sigma_{\text{x},\,\text{site}}\right),\quad j = 1, \dots, 8",
    ],
}


@pytest.mark.parametrize(("formula", "line"), PREDICTORS.items())
def test_linear_predictor(formula: str, line: str) -> None:
    assert equations(formula).predictor == (line,)


@pytest.mark.parametrize(("formula", "lines"), GROUPS.items())
def test_group_effects(formula: str, lines: list[str]) -> None:
    assert list(equations(formula).groups) == lines


def test_correlated_and_independent_bars_of_one_factor() -> None:
    lines = equations("y ~ x + (x | site) + (0 + z | site)").groups
    assert len(lines) == 3
    assert r"R_{\text{site}}" in lines[1]
    assert lines[2].startswith(r"b_{\text{z},\,\text{site}\,j} &\sim \mathrm{Normal}")


def test_two_correlated_bars_of_one_factor_are_numbered() -> None:
    text = equations("y ~ x + (x | site) + (0 + z + w_1 | site)").latex
    assert r"R_{\text{site},\,1}" in text
    assert r"R_{\text{site},\,2} &\sim \mathrm{LKJ}" in text


def test_likelihood() -> None:
    formula = "y ~ 1 + (1 | site)"
    plain = equations(formula).likelihood
    assert plain == (r"\text{y}_i &\sim \mathrm{Normal}\left(\mu_i,\ \sigma\right)",)


def test_known_standard_errors_replace_sigma() -> None:
    written = equations("y ~ 1 + (1 | site)", se=np.ones(N))
    assert r"\mathrm{Normal}\left(\mu_i,\ \text{se}_i\right)" in written.likelihood[0]
    assert not any(line.startswith(r"\sigma &") for line in written.priors)


def test_weights_are_powers() -> None:
    written = equations("y ~ 1 + (1 | site)", weights=np.arange(1, N + 1))
    assert written.likelihood == (
        r"p\left(\text{y} \mid \mu,\ \sigma\right) &= "
        r"\prod_i \mathrm{Normal}\left(\text{y}_i \mid \mu_i,\ \sigma\right)^{w_i}",
    )


def test_every_prior_has_its_line_on_the_scale_of_the_data() -> None:
    mine = {
        "Intercept": Prior("Normal", mu=1, sigma=2),
        "x": Prior("Normal", mu=0, sigma=0.25),
        "sd_site[Intercept]": Prior("Exponential", lam=3),
        "sd_site[x]": Prior("HalfNormal", sigma=4),
        "cor_site": Prior("LKJ", eta=2),
        "sigma": Prior("HalfStudentT", nu=3, sigma=5),
    }
    at_mean = r"b_{\text{Intercept},\,\text{site}\,j} + b_{\text{x},\,\text{site}\,j}\, "
    at_mean += r"\overline{\text{x}}"
    assert equations("y ~ x + (x | site)", priors=mine).priors == (
        r"\text{Intercept} + \beta_{\text{x}}\, \overline{\text{x}} &\sim "
        r"\mathrm{Normal}\left(1,\ 2\right)",
        r"\beta_{\text{x}} &\sim \mathrm{Normal}\left(0,\ 0.25\right)",
        rf"\mathrm{{sd}}\left({at_mean}\right) &\sim "
        r"\mathrm{Exponential}\left(\lambda = 3\right)",
        r"\sigma_{\text{x},\,\text{site}} &\sim \mathrm{HalfNormal}\left(4\right)",
        rf"\mathrm{{cor}}\left({at_mean},\ b_{{\text{{x}},\,\text{{site}}\,j}}\right) &\sim "
        r"\mathrm{LKJ}\left(2\right)",
        r"\sigma &\sim \mathrm{HalfStudentT}\left(3,\ 5\right)",
    )


def test_nothing_is_said_of_a_mean_where_nothing_is_centred() -> None:
    for formula in ("y ~ 0 + x + (x || site)", "y ~ 1 + (f | site)", "y ~ scale(x) + (1 | site)"):
        assert "overline" not in equations(formula).latex


def test_many_predictors_have_one_sum_for_their_means() -> None:
    first = equations("y ~ x + z + w_1 + (1 | site)").priors[0]
    assert first.startswith(r"\text{Intercept} + \textstyle\sum_k \beta_k\, \overline{x_k}")


def test_a_long_sum_is_broken() -> None:
    lines = equations("y ~ x*z*f + (x | site)").predictor
    assert len(lines) > 2
    assert all(line.startswith(r"&\quad + ") for line in lines[1:])


ESCAPED = {
    "days": r"\text{days}",
    "w_1": r"\text{w}\_\text{1}",
    "100%": r"\text{100}\%",
    "a&b#c$d": r"\text{a}\&\text{b}\#\text{c}\$\text{d}",
    "{x}": r"\{\text{x}\}",
    "a\\b": r"\text{a}{\backslash}\text{b}",
    "x^2~y": r"\text{x}{\wedge}\text{2}{\sim}\text{y}",
    "<b>": r"{<}\text{b}{>}",
    "größe in m": r"\text{größe in m}",
    "two\nlines": r"\text{two lines}",
    "f[b]": r"\text{f[b]}",
}


@pytest.mark.parametrize(("text", "latex"), ESCAPED.items())
def test_names_are_escaped(text: str, latex: str) -> None:
    assert escape_text(text) == latex


@pytest.mark.parametrize("text", [*ESCAPED, "p|q", "a`b"])
def test_escaped_names_can_be_typeset(text: str) -> None:
    # all but the ampersand, which LaTeX and MathJax have and matplotlib has not
    latex = escape_text(text).replace(r"\&", "")
    MathTextParser("path").parse(f"$x_{{{latex}}}$")


def test_a_subscript_belongs_to_the_whole_of_an_escaped_name() -> None:
    assert r"{\text{w}\_\text{1}}_i" in equations("y ~ w_1 + (1 | site)").predictor[0]


NUMBERS = {
    0.0: "0",
    2.5: "2.5",
    -1.23456: "-1.235",
    2e8: r"2 \times 10^{8}",
    1e-7: r"1 \times 10^{-7}",
}


@pytest.mark.parametrize(("value", "latex"), NUMBERS.items())
def test_numbers(value: float, latex: str) -> None:
    assert number(value) == latex


@pytest.mark.parametrize("formula", [*PREDICTORS, *GROUPS, "y ~ `a $b_1% & <c>` + (x + z | site)"])
def test_the_whole_is_balanced(formula: str) -> None:
    text = equations(formula).latex
    bare = text.replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}")
    assert text.count(r"\left(") == text.count(r"\right)")
    assert text.count(r"\begin{") == text.count(r"\end{")
    rows = text.removeprefix("\\begin{aligned}\n").removesuffix("\n\\end{aligned}").splitlines()
    # one alignment each, beside those of a column's name
    assert all(row.replace(r"\&", "").count("&") == 1 for row in rows)
    assert all(row.endswith((r"\\", r"\\[1ex]")) for row in rows[:-1])


def test_a_notebook_and_a_terminal_show_it() -> None:
    written = equations("y ~ `a $b_1% & <c>` + (1 | site)")
    assert written._repr_latex_() == f"$$\n{written.latex}\n$$"
    assert str(written) == repr(written) == written.latex
    shown = written.html()
    assert "{&lt;}" in shown
    assert "&amp;\\sim" in shown
    assert "<c>" not in shown
