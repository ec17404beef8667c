"""Is the code for R the call that fits the same model?

The calls of the reference fits are what R users wrote. All other expected code was run once with R
4.2.2, lme4 1.1-31, glmmTMB 1.1.5 and metafor 3.8-1; that of brms was parsed alone.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.families import FAMILIES
from hiermodels.formula import FUNCTIONS
from hiermodels.labels.r_code import BRMS, GLMMTMB, LME4, PROGRAMS, brms_coefficient
from hiermodels.labels.r_formula import CALLS, quoted, r_expression

DATA = Path(__file__).parents[1] / "data"


def rows(n: int = 48) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    x = rng.normal(size=n)
    return pd.DataFrame(
        {
            "x": x,
            "f": np.tile(list("abc"), n // 3),
            "g": np.repeat([f"g{k}" for k in range(8)], n // 8),
            "y": x + rng.normal(size=n),
            "pos": rng.gamma(2, 2, n),
            "count": rng.poisson(2, n),
            "s": rng.binomial(9, 0.4, n),
            "n": 9,
            "b": np.tile(["no", "yes"], n // 2),
            "p": rng.beta(2, 2, n),
            "w": 1 + np.arange(n) % 3,
            "se": rng.uniform(0.5, 1, n),
            "lev": pd.Categorical(np.tile(list("abc"), n // 3), categories=["c", "a", "b"]),
            "rating": pd.Categorical(
                np.tile(["low", "mid", "high"], n // 3),
                categories=["low", "mid", "high"],
                ordered=True,
            ),
        }
    )


def code(program: str, formula: str, **settings: Any) -> str:
    return str(hm.Model(formula, rows(), **settings).to_r(program))


def last(program: str, formula: str, **settings: Any) -> str:
    """The call alone, on one line."""
    return joined(code(program, formula, **settings).partition("fit <- ")[2])


def joined(call: str) -> str:
    return re.sub(r"\s+", " ", call).replace("( ", "(").replace(" )", ")")


#: Cases of the reference by our formula, where R's call has no more than it.
REFERENCE = {
    "variance_null_ml": ("variance_sim", "gaussian", "glmmTMB", "vsim"),
    "variance_x1_reml": ("variance_sim", "gaussian", "lme4", "vsim"),
    "variance_x1_lm_naive": ("variance_sim", "gaussian", "lme4", "vsim"),
    "sites_lm_site": ("sites", "gaussian", "lme4", "sites"),
    "sites_slope_reml": ("sites", "gaussian", "lme4", "sites"),
    "sites_slope_uncorrelated_reml": ("sites", "gaussian", "lme4", "sites"),
    "sites_slope_glmmTMB_ml": ("sites", "gaussian", "glmmTMB", "sites"),
    "sites_nb_glmer_nb": ("sites_nb", "negbinomial", "lme4", "snb"),
    "sites_nb_glmmTMB": ("sites_nb", "negbinomial", "glmmTMB", "snb"),
    "sites_nb_poisson": ("sites_nb", "poisson", "glmmTMB", "snb"),
    "rehab_hours": ("rehab", "poisson", "lme4", "rehab"),
    "rehab_hours_glmmTMB": ("rehab", "poisson", "glmmTMB", "rehab"),
    "rehab_random_treatment_uncorrelated": ("rehab", "poisson", "lme4", "rehab"),
    "penicillin_crossed_reml": ("penicillin", "gaussian", "lme4", "Penicillin"),
    "sleepstudy_slope_reml": ("sleepstudy", "gaussian", "lme4", "sleepstudy"),
    "sleepstudy_uncorrelated_reml": ("sleepstudy", "gaussian", "lme4", "sleepstudy"),
}


@pytest.mark.parametrize("name", REFERENCE)
def test_the_calls_of_the_reference_fits(name: str, reference: dict[str, Any]) -> None:
    data, family, program, frame = REFERENCE[name]
    call = reference[name]["call"]
    formula = re.search(r"\((.*?), data = ", call)
    assert formula is not None
    model = hm.Model(formula[1], hm.load_dataset(data), family=family)
    found = joined(str(model.to_r(program, data=frame)).partition("fit <- ")[2])
    assert found == call.replace("()", "")


CODE = {
    ("lme4", "y ~ x + f + (1|g)"): "lmer(y ~ x + f + (1 | g), data = data)",
    ("lme4", "y ~ x*f - 1 + (0+x|g)"): "lmer(y ~ x * f - 1 + (0 + x | g), data = data)",
    ("lme4", "y ~ I(x**2) + np.exp(x) + (1|g)"): (
        "lmer(y ~ I(x^2) + exp(x) + (1 | g), data = data)"
    ),
    ("lme4", "y ~ (x + f)**2 + {x + 1} + (1|g/f)"): (
        "lmer(y ~ (x + f)^2 + I(x + 1) + (1 | g/f), data = data)"
    ),
    ("lme4", "y ~ center(x) + bs(pos, df=4) + poly(x, 2) + (1|f:g)"): (
        "lmer(y ~ scale(x, scale = FALSE) + splines::bs(pos, df = 4) + poly(x, 2) + (1 | f:g), "
        "data = data)"
    ),
    ("lme4", "y ~ within(x, g) + between(x, g) + (1|g)"): (
        "lmer(y ~ I(x - ave(x, g)) + ave(x, g) + (1 | g), data = data)"
    ),
    ("lme4", "y ~ T(f, ref='b') + (1|g)"): (
        'lmer(y ~ relevel(factor(f), ref = "b") + (1 | g), data = data)'
    ),
    ("lme4", "y ~ S(f) + C(w):x + (1|g)"): (
        "lmer(y ~ C(factor(f), contr.sum) + factor(w):x + (1 | g), data = data)"
    ),
    ("glmmTMB", "y ~ x + (f||g)"): "glmmTMB(y ~ x + diag(f | g), data = data)",
    ("glmmTMB", "y ~ x + (x||g)"): "glmmTMB(y ~ x + (x || g), data = data)",
    ("brms", "y ~ x + (f||g)"): (
        "brm(y ~ x + (f || g), data = data, family = gaussian(), prior = priors)"
    ),
}


@pytest.mark.parametrize(("program", "formula"), CODE)
def test_formulas(program: str, formula: str) -> None:
    assert last(program, formula) == CODE[program, formula]


FAMILY_CODE: dict[tuple[str, str, str], tuple[dict[str, Any], str]] = {
    ("lme4", "lognormal", "pos ~ x + (1|g)"): ({}, "lmer(log(pos) ~ x + (1 | g), data = data)"),
    ("lme4", "gamma", "pos ~ x + (1|g)"): (
        {},
        'glmer(pos ~ x + (1 | g), data = data, family = Gamma("log"))',
    ),
    ("lme4", "bernoulli", "b ~ x + (1|g)"): (
        {},
        'glmer(as.integer(b == "yes") ~ x + (1 | g), data = data, family = binomial)',
    ),
    ("lme4", "binomial", "s/n ~ x + (1|g)"): (
        {"link": "probit"},
        'glmer(cbind(s, n - s) ~ x + (1 | g), data = data, family = binomial("probit"))',
    ),
    ("lme4", "poisson", "count ~ x + offset(log(pos))"): (
        {},
        "glm(count ~ x + offset(log(pos)), data = data, family = poisson)",
    ),
    ("lme4", "gaussian", "y ~ x + (1|g)"): (
        {"weights": "w"},
        "lmer(y ~ x + (1 | g), data = data[rep(seq_len(nrow(data)), data$w), ])",
    ),
    ("glmmTMB", "gaussian", "y ~ x + (1|g)"): (
        {"weights": "w"},
        "glmmTMB(y ~ x + (1 | g), data = data, weights = w)",
    ),
    ("glmmTMB", "beta", "squeeze(p) ~ x + (1|g)"): (
        {"dispersion": "~ x"},
        "glmmTMB(((p * (length(p) - 2 * 0.5) + 0.5)/length(p)) ~ x + (1 | g), data = data, "
        "family = beta_family, dispformula = ~ x)",
    ),
    ("glmmTMB", "betabinomial", "p(s, n) ~ x + (1|g)"): (
        {},
        "glmmTMB(cbind(s, n - s) ~ x + (1 | g), data = data, family = betabinomial)",
    ),
    ("glmmTMB", "zi_negbinomial", "count ~ x + (1|g)"): (
        {"zi": "~ x + (1|g)"},
        "glmmTMB(count ~ x + (1 | g), data = data, family = nbinom2, ziformula = ~ x + (1 | g))",
    ),
    ("glmmTMB", "hurdle_poisson", "count ~ x + (1|g)"): (
        {},
        "glmmTMB(count ~ x + (1 | g), data = data, family = truncated_poisson, ziformula = ~ 1)",
    ),
    ("metafor", "gaussian", "y ~ x + (1|g)"): (
        {"se": "se"},
        "rma.mv(y, V = se^2, mods = ~ x, random = ~ 1 | g, data = data)",
    ),
    ("metafor", "gaussian", "y ~ 1 + (1|g/f)"): (
        {"se": "se"},
        "rma.mv(y, V = se^2, random = list(~ 1 | g, ~ 1 | interaction(g, f)), data = data)",
    ),
    ("brms", "student", "y ~ x + (1|g)"): (
        {"se": "se", "weights": "w"},
        "brm(y | se(se) + weights(w) ~ x + (1 | g), data = data, family = student(), "
        "prior = priors)",
    ),
    ("brms", "betabinomial", "s/n ~ x + (1|g)"): (
        {},
        'brm(s | trials(n) ~ x + (1 | g), data = data, family = beta_binomial("logit"), '
        "prior = priors)",
    ),
    ("brms", "hurdle_negbinomial", "count ~ x + (1|g)"): (
        {"zi": "~ x", "dispersion": "~ f"},
        "brm(bf(count ~ x + (1 | g), shape ~ f, hu ~ x), data = data, "
        "family = hurdle_negbinomial(), prior = priors)",
    ),
}


@pytest.mark.parametrize(("program", "family", "formula"), FAMILY_CODE)
def test_families(program: str, family: str, formula: str) -> None:
    settings, expected = FAMILY_CODE[program, family, formula]
    assert last(program, formula, family=family, **settings).replace(" / ", "/") == expected


def test_the_whole_code_for_brms() -> None:
    given = {"x": hm.Prior("Normal", mu=0, sigma=1), "sd_g": hm.Prior("Exponential", lam=2)}
    found = code("brms", "count ~ x + f + (x|g)", family="negbinomial", priors=given)
    model = hm.Model("count ~ x + f + (x|g)", rows(), family="negbinomial", priors=given)
    intercept, b = model.priors["Intercept"].given, model.priors["f[b]"].given
    c = model.priors["f[c]"].given
    mean, wide = intercept.parameters["mu"], intercept.parameters["sigma"]
    assert found == (
        "library(brms)\n"
        "# Here the prior of the sd of intercepts of g is that at the mean of the slopes' columns, "
        "in\n"
        "#   brms at their zero: centre them for the same.\n"
        "priors <- c(\n"
        f"  prior(normal({mean:.6g}, {wide:.6g}), class = Intercept),\n"
        "  prior(normal(0, 1), class = b, coef = x),\n"
        f"  prior(normal(0, {b.parameters['sigma']:.6g}), class = b, coef = fb),\n"
        f"  prior(normal(0, {c.parameters['sigma']:.6g}), class = b, coef = fc),\n"
        "  prior(exponential(2), class = sd, group = g, coef = Intercept),\n"
        "  prior(exponential(2), class = sd, group = g, coef = x),\n"
        "  prior(lkj(1), class = cor, group = g),\n"
        "  prior(lognormal(1, 1.5), class = shape)\n"
        ")\n"
        "fit <- brm(count ~ x + f + (x | g), data = data, family = negbinomial(), prior = priors)"
    )


def test_priors_of_a_parameter_with_a_formula_and_of_thresholds() -> None:
    hurdle = code("brms", "count ~ x + (1|g)", family="hurdle_poisson", zi="~ x + (1|g)")
    assert "class = Intercept, dpar = hu)" in hurdle
    assert "class = sd, group = g, coef = Intercept, dpar = hu)" in hurdle
    ordinal = code("brms", "rating ~ x + (1|g)", family="ordinal")
    assert "prior(normal(0, 3), class = Intercept)" in ordinal
    assert 'levels = c("low", "mid", "high"), ordered = TRUE)' in ordinal
    zeros = code("brms", "count ~ x + (1|g)", family="zi_poisson")
    assert "prior(beta(1, 1), class = zi)" in zeros


def test_the_order_of_categories_goes_with_the_code() -> None:
    assert 'data$lev <- factor(data$lev, levels = c("c", "a", "b"))' in code(
        "lme4", "y ~ lev + (1|g)"
    )


def test_what_r_does_otherwise_is_a_comment() -> None:
    assert "# scale() divides by the sd with n - 1 in R" in code("lme4", "y ~ scale(x) + (1|g)")
    assert "# data$se: what was given as se=" in code("brms", "y ~ x + (1|g)", se="se")
    assert "log(sigma^2)" in code("glmmTMB", "y ~ x + (1|g)", dispersion="~ x")


def test_no_program_is_the_first_that_can() -> None:
    def chosen(formula: str, **settings: Any) -> str:
        return hm.Model(formula, rows(), **settings).to_r().program

    assert chosen("y ~ x + (1|g)") == "lme4"
    assert chosen("y ~ x + (f||g)") == "glmmTMB"
    assert chosen("count ~ x + (1|g)", family="negbinomial") == "glmmTMB"
    assert chosen("y ~ x + (1|g)", se="se") == "metafor"
    assert chosen("y ~ x + (1|g)", family="student") == "brms"


def test_what_a_program_cannot_fit_says_why_and_which_can() -> None:
    with pytest.raises(hm.NotAvailableError) as caught:
        code("lme4", "y ~ x + (f||g)")
    assert str(caught.value) == (
        "lme4 cannot fit this model: its || leaves the columns of a factor correlated: (f || g). "
        "Programs that can: glmmTMB, brms."
    )
    with pytest.raises(hm.NotAvailableError, match=r"known standard errors. Programs .* metafor"):
        code("glmmTMB", "y ~ x + (1|g)", se="se")
    with pytest.raises(hm.UnknownNameError, match=r"no program 'lme5'.*Did you mean 'lme4'"):
        code("lme5", "y ~ x + (1|g)")


def test_fractions_of_weights_are_not_rows_to_repeat() -> None:
    half = rows().assign(w=0.5)
    with pytest.raises(hm.NotAvailableError, match="no whole numbers"):
        hm.Model("y ~ x + (1|g)", half, weights="w").to_r("lme4")


def test_every_family_and_every_function_has_a_place() -> None:
    assert set(FAMILIES) == set(GLMMTMB) | set(BRMS)
    assert set(LME4) < set(FAMILIES)
    assert {name.removeprefix("np.") for name in FUNCTIONS} == set(CALLS)


def test_names_and_texts_of_r() -> None:
    assert quoted("x.1") == "x.1"
    assert quoted("two words") == "`two words`"
    assert quoted("if") == "`if`"
    assert quoted("_x") == "`_x`"
    assert r_expression("`two words` + log(`if`)")[0] == "`two words` + log(`if`)"
    with pytest.raises(hm.NotAvailableError, match="make a column"):
        r_expression("C(f, levels=['a', 'b'])")


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("species[grey]", "speciesgrey"),
        ("species[grey]:forest", "speciesgrey:forest"),
        ("np.log(x)", "logx"),
        ("I(x ** 2)", "IxE2"),
        ("poly(x, 2)[0]", "polyx21"),
        ("f[a b]", "fab"),
    ],
)
def test_coefficients_in_brms(ours: str, theirs: str) -> None:
    """As in the output of brms for such formulas."""
    assert brms_coefficient(ours) == theirs


def test_user_text_is_escaped_in_a_notebook() -> None:
    data = rows().rename(columns={"x": "a<b>"})
    shown = hm.Model("y ~ `a<b>` + (1|g)", data).to_r()._repr_html_()
    assert "<b>" not in shown
    assert "`a&lt;b&gt;`" in shown


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_r_runs_it(reference: dict[str, Any]) -> None:
    model = hm.Model("Reaction ~ Days + (Days | Subject)", hm.load_dataset("sleepstudy"))
    lines = [f'data <- read.csv("{DATA / "sleepstudy.csv"}")', str(model.to_r("lme4"))]
    done = subprocess.run(
        ["Rscript", "-e", "\n".join([*lines, 'cat("logLik", logLik(fit))'])],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "there is no package called" in done.stderr:
        pytest.skip("R has no lme4")
    assert done.returncode == 0, done.stderr
    found = float(done.stdout.split("logLik")[-1])
    # the same optimum, to the tolerance of lme4's optimiser
    assert found == pytest.approx(reference["sleepstudy_slope_reml"]["logLik"], abs=1e-3)


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
@pytest.mark.parametrize(
    ("name", "formula", "family"),
    [
        (
            "dragons_sim",
            "testScore ~ within(bodyLength, mountainRange) + between(bodyLength, mountainRange)"
            " + (1 | mountainRange/site)",
            "gaussian",
        ),
        ("bats_sim", "mass ~ species * forest + (forest | sites)", "gaussian"),
        ("bees_sim", "Eulaema_nigrita ~ MAP + (1 | SA)", "negbinomial"),
    ],
)
def test_r_finds_the_same_common_effects(name: str, formula: str, family: str) -> None:
    """The call, as a tutorial prints it, run by R: lme4, glmmTMB for the counts."""
    data = hm.load_dataset(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hm.GroupingWarning)  # between() has few values
        ours = hm.fit(formula, data, family=family, random_seed=1, progressbar=False)
    code = ours.to_r()
    found = "fixef(fit)$cond" if code.program == "glmmTMB" else "fixef(fit)"
    lines = [f'data <- read.csv("{DATA / f"{name}.csv"}")', str(code), f'cat("EFFECTS", {found})']
    done = subprocess.run(
        ["Rscript", "-e", "\n".join(lines)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "there is no package called" in done.stderr:
        pytest.skip(f"R has no {code.program}")
    assert done.returncode == 0, done.stderr
    theirs = np.array(done.stdout.split("EFFECTS")[-1].split(), dtype=float)
    table = ours.fixef()
    # a maximum and a posterior mean under weak priors: near on the scale of what is not known,
    # where a column that R read in another way would be far off
    off = (table["estimate"].to_numpy() - theirs) / table["sd"].to_numpy()
    assert np.abs(off).max() < 0.2


def test_the_code_for_every_program_is_said_to_be_of_it() -> None:
    for program in PROGRAMS:
        settings = {"se": "se"} if program == "metafor" else {}
        found = hm.Model("y ~ x + (1|g)", rows(), **settings).to_r(program)
        assert found.program == program
        assert f"library({program})" in str(found)
