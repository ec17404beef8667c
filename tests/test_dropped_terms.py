"""Terms left out: which can be, what they are worth, and likelihood ratios beside those of R.

Log-likelihoods agree with lme4's and glmmTMB's to what their optimisers leave: 1e-3 of the
chi-squared, of sites_nb 1e-3 as well, where the maximum of glmmTMB without x is 7e-5 below ours;
lme4's of the rehabilitation data differ from glmmTMB's in the fourth decimal.
"""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up import made_up_fit, table
from made_up_families import family_fit
from scipy import stats

import hiermodels as hm
from hiermodels.errors import DataError, FormulaError, UnknownNameError
from hiermodels.fitting import Model
from hiermodels.maximum_likelihood import Objective, maximise
from hiermodels.numbers.comparison import leave_out
from hiermodels.rowwise import row_problem
from hiermodels.submodels import droppable, without
from hiermodels.workflows.dropped_terms import (
    Rope,
    coefficient_rows,
    default_rope,
    explained,
    held_out_factors,
    level_score,
    likelihood_ratios,
)

SETTINGS = {"random_seed": 1, "progressbar": False}


@pytest.fixture(scope="module")
def ratios() -> dict[str, dict[str, float]]:
    """What R's drop1 and anova say, from the file of the reference fits."""
    data = os.environ.get("HIERMODELS_DATA")
    folder = os.environ.get("HIERMODELS_REFERENCE") or (
        str(Path(data).resolve().parent / "reference") if data else ""
    )
    path = Path(folder) / "reference.json"
    if not folder or not path.is_file():
        pytest.skip("neither HIERMODELS_REFERENCE nor HIERMODELS_DATA names the reference fits")
    return json.loads(path.read_text(encoding="utf-8"))["likelihood_ratio_tests"]


def ratio_table(formula: str, data: pd.DataFrame, **given) -> pd.DataFrame:
    model = Model(formula, data, **given)
    smaller = [
        (drop, Model.of(*without(model.design, model.priors, drop)))
        for drop in droppable(model.design)
    ]
    return likelihood_ratios(model, smaller).set_index("term")


# --- which terms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "left"),
    [
        (
            "y ~ x*f + z + (x | pop)",
            {
                "x:f": ("x", "f[low]", "f[mid]", "z"),
                "z": ("x", "f[low]", "f[mid]", "x:f[low]", "x:f[mid]"),
                "(x | pop)": ("x", "f[low]", "f[mid]", "x:f[low]", "x:f[mid]", "z"),
            },
        ),
        ("y ~ x + f + (1 | pop)", {"x": ("f[low]", "f[mid]"), "f": ("x",), "(1 | pop)": 0}),
        ("y ~ x + (1 | pop) + (0 + x | pop)", {"x": (), "(x | pop)": ("x",)}),
        ("y ~ 1 + (1 | pop/patch)", {"(1 | pop)": (), "(1 | pop:patch)": ()}),
        ("np.log(y) ~ poly(x, 2) + offset(z)", {"poly(x, 2)": ()}),
        ("y ~ `a b` + x + (`a b` | pop)", {"`a b`": ("x",), "x": ("a b",), "(`a b` | pop)": 0}),
    ],
)
def test_what_can_be_left_out(formula, left):
    model = Model(formula, table().assign(**{"a b": lambda d: d["z"]}))
    found = {d.label: without(model.design, model.priors, d)[0] for d in droppable(model.design)}
    assert set(found) == set(left)
    for label, terms in left.items():
        assert found[label].n == model.design.n
        if terms != 0:
            assert found[label].terms == terms
        np.testing.assert_array_equal(found[label].response, model.design.response)
        np.testing.assert_array_equal(found[label].offset, model.design.offset)


def test_slopes_go_before_intercepts_and_priors_stay():
    own = {"sigma": hm.Prior("HalfNormal", sigma=3), "x": hm.Prior("Normal", mu=0, sigma=1)}
    model = Model("y ~ x + (x | pop) + (1 | year)", table(), priors=own)
    blocks = {}
    for drop in droppable(model.design):
        design, priors = without(model.design, model.priors, drop)
        blocks[drop.label] = {b.name: b.terms for b in design.blocks}
        assert priors["sigma"].given == own["sigma"]
        assert ("x" in {p.parameter for p in priors}) == (drop.label != "x")
    assert blocks["(x | pop)"] == {"pop": ("Intercept",), "year": ("Intercept",)}
    assert blocks["(1 | year)"] == {"pop": ("Intercept", "x")}
    assert blocks["x"] == {"pop": ("Intercept", "x"), "year": ("Intercept",)}


# --- likelihood ratios ----------------------------------------------------------------------------


def test_sites_are_those_of_drop1(ratios, reference):
    found = ratio_table("y ~ x + (x | site)", hm.load_dataset("sites"))
    theirs = ratios["sites_drop1"]
    assert found.loc["x", "chisq"] == pytest.approx(theirs["LRT"], abs=1e-3)
    assert found.loc["x", "p"] == pytest.approx(theirs["p"], rel=1e-3)
    assert found.loc["x", "AIC"] == pytest.approx(theirs["AIC_without_x"], abs=1e-3)
    one, two = (reference[f"sites_{k}_ml"]["logLik"] for k in ("slope", "intercept"))
    assert found.loc["(x | site)", "chisq"] == pytest.approx(2 * (one - two), abs=1e-3)
    assert found["df"].to_dict() == {"x": 1, "(x | site)": 2}


def test_counts_of_sites(ratios):
    found = ratio_table("y ~ x + (x | site)", hm.load_dataset("sites_nb"), family="negbinomial")
    theirs = ratios["sites_nb_lrt_x"]
    assert found.loc["x", "chisq"] == pytest.approx(theirs["chisq"], abs=1e-3)
    assert found.loc["x", "p"] == pytest.approx(theirs["p"], rel=1e-3)


REHAB = "incidents ~ treatment + gender + hours"
REHABILITATION = {
    "rehab_hours": (f"{REHAB} + (1 | center)", "hours"),
    "rehab_slope": (f"{REHAB} + (treatment | center)", "(treatment | center)"),
    "rehab_interaction": (
        "incidents ~ treatment * cHours + gender + (treatment | center)",
        "treatment:cHours",
    ),
}


@pytest.fixture(scope="module")
def rehab(datasets_dir):
    data = pd.read_csv(datasets_dir / "rehab.csv")
    data["cHours"] = data["hours"] - data["hours"].mean()
    return data


def test_rehabilitation(ratios, rehab):
    data = rehab
    for name, (formula, term) in REHABILITATION.items():
        model = Model(formula, data, family="poisson")
        drop = next(d for d in droppable(model.design) if d.label == term)
        less = Model.of(*without(model.design, model.priors, drop))
        found = likelihood_ratios(model, [(drop, less)]).iloc[0]
        assert found["df"] == ratios[name]["df"]
        assert found["chisq"] == pytest.approx(ratios[name]["chisq"], abs=2e-3)
        assert found["p"] == pytest.approx(ratios[name]["p"], rel=2e-3)
    null, two = (
        maximise(m.design, m.priors)
        for m in (
            Model(f"incidents ~ {terms} + (1 | center)", data, family="poisson")
            for terms in ("1", "treatment + gender")
        )
    )
    chisq = 2 * (two.log_likelihood - null.log_likelihood)
    assert chisq == pytest.approx(ratios["rehab_null_vs_two"]["chisq"], abs=2e-3)
    assert two.n_parameters - null.n_parameters == ratios["rehab_null_vs_two"]["df"]


def test_decisions_on_counts_are_those_of_the_reference(ratios, rehab):
    """A coefficient that R finds at 5 % has an interval without zero in the table."""
    sites = ("y ~ x + (x | site)", "x")
    cases = {
        "rehab_hours": (*REHABILITATION["rehab_hours"], rehab, "poisson"),
        "rehab_interaction": (*REHABILITATION["rehab_interaction"], rehab, "poisson"),
        "sites_nb_lrt_x": (*sites, hm.load_dataset("sites_nb"), "negbinomial"),
    }
    for name, (formula, term, data, family) in cases.items():
        fit = hm.fit(formula, data, family=family, draws=500, **SETTINGS)
        drop = next(d for d in droppable(fit.design) if d.label == term)
        row = next(coefficient_rows(fit, drop, Rope.of(fit.design, None), ci_prob=0.95))
        assert ratios[name]["p"] < 0.05
        assert row["lower"] > 0


@pytest.mark.parametrize(
    ("case", "formula"),
    [
        ("dragons_beta_pooled_z", "score ~ zLength"),
        ("dragons_beta_intercept_z", "score ~ zLength + (1 | mountainRange)"),
        ("dragons_beta_nested_z", "score ~ zLength + (1 | mountainRange/site)"),
    ],
)
def test_shares_of_dragons(case, formula, reference, datasets_dir):
    data = pd.read_csv(datasets_dir / "dragons.csv", encoding="latin-1")
    data["score"] = (data["testScore"] / 100).clip(0.0001, 0.9999)
    data["zLength"] = (data["bodyLength"] - data["bodyLength"].mean()) / data["bodyLength"].std()
    model = Model(formula, data, family="beta")
    found = maximise(model.design, model.priors)
    assert found.log_likelihood == pytest.approx(reference[case]["logLik"], abs=1e-3)


def test_dragons_with_ranges_and_without(ratios, datasets_dir):
    data = pd.read_csv(datasets_dir / "dragons.csv", encoding="latin-1")
    data["score"] = (data["testScore"] / 100).clip(0.0001, 0.9999)
    formula = "score ~ bodyLength + (1 | mountainRange)"
    found = ratio_table(formula, data, family="beta").loc["(1 | mountainRange)"]
    theirs = ratios["dragons_pooled_vs_intercept"]
    assert found["chisq"] == pytest.approx(theirs["chisq"], abs=1e-3)
    assert found["df"] == theirs["df"]


def test_crossed_factors(reference, datasets_dir):
    data = pd.read_csv(datasets_dir / "penicillin.csv")
    model = Model("diameter ~ 1 + (1 | plate) + (1 | sample)", data)
    found = maximise(model.design, model.priors)
    theirs = reference["penicillin_crossed_ml"]["logLik"]
    assert found.log_likelihood == pytest.approx(theirs, abs=1e-3)


def test_frequencies_and_known_errors():
    """Least squares of statsmodels; rows with a count are rows; priors have no say."""
    import statsmodels.api as sm

    data = table()
    X = sm.add_constant(data[["x"]])
    strong = {"x": hm.Prior("Normal", mu=5, sigma=0.01)}
    for given in ({}, {"priors": strong}):
        model = Model("y ~ x", data, **given)
        found = maximise(model.design, model.priors)
        assert found.log_likelihood == pytest.approx(sm.OLS(data["y"], X).fit().llf, abs=1e-6)
    repeated = data.loc[data.index.repeat(data["count"])]
    one = Model("y ~ x + (1 | pop)", data, weights="count")
    two = Model("y ~ x + (1 | pop)", repeated)
    a, b = (maximise(m.design, m.priors).log_likelihood for m in (one, two))
    assert a == pytest.approx(b, abs=1e-5)
    known = Model("y ~ x", data, se="error")
    weighted = sm.WLS(data["y"], X, weights=1 / data["error"] ** 2).fit()
    wanted = stats.norm.logpdf(data["y"], weighted.fittedvalues, data["error"]).sum()
    assert maximise(known.design, known.priors).log_likelihood == pytest.approx(wanted, abs=1e-6)


def test_groups_in_the_zeros_are_integrated_by_laplace():
    """Level by level: the mode by scipy, and the curvature there by differences of our own."""
    from scipy.optimize import minimize

    fit = family_fit("zi_poisson", "y ~ x + (1 | g)", zi="~ 1 + (1 | g)", seed=2)
    objective = Objective(row_problem(fit.design, fit.priors), scale=1.0)
    y, index = fit.design.response, fit.design.block("g").index
    x = fit.design.common.standardised[:, 0]
    intercept, slope, zeros, sd_g, sd_zeros = at = np.array([0.7, 0.3, -0.9, 0.6, 0.8])
    total = 0.0
    for j in range(fit.design.block("g").n_levels):
        own = index == j

        def minus(z, own=own):
            rate = np.exp(intercept + slope * x[own] + sd_g * z[0])
            extra = 1 / (1 + np.exp(-zeros - sd_zeros * z[1]))
            density = (1 - extra) * stats.poisson.pmf(y[own], rate) + extra * (y[own] == 0)
            return -np.log(density).sum() + 0.5 * z @ z

        mode = minimize(minus, np.zeros(2), method="BFGS", options={"gtol": 1e-8}).x
        e = 1e-3 * np.eye(2)
        H = [
            [
                sum(a * b * minus(mode + a * e[k] + b * e[m]) for a in (1, -1) for b in (1, -1))
                for m in (0, 1)
            ]
            for k in (0, 1)
        ]
        total += minus(mode) + 0.5 * np.log(np.linalg.det(np.array(H) / 4e-6))
    # each level's determinant by differences of 1e-3
    assert objective(at) == pytest.approx(total, abs=1e-4)
    found = maximise(fit.design, fit.priors)
    assert found.n_parameters == 5
    assert found.log_likelihood > -total


def test_groups_in_the_dispersion_that_are_none():
    """Residual sds that do not differ: with their groups the likelihood is hardly higher."""
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(20), 10)
    data = pd.DataFrame({"g": g.astype(str), "y": rng.normal(size=200) + rng.normal(size=20)[g]})
    one = Model("y ~ 1 + (1 | g)", data)
    two = Model("y ~ 1 + (1 | g)", data, dispersion="~ 1 + (1 | g)")
    a, b = (maximise(m.design, m.priors) for m in (one, two))
    assert b.n_parameters == a.n_parameters + 1
    # nested models: more by half of a chi-squared with one degree at most, and never less
    assert -1e-4 < b.log_likelihood - a.log_likelihood < 0.5 * stats.chi2.isf(1e-4, 1)


# --- the table ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sites():
    fit = hm.fit("y ~ x + (x | site)", hm.load_dataset("sites"), **SETTINGS)
    return fit, fit.drop_terms(likelihood_ratio=True, progressbar=False)


def test_what_a_term_is_worth(sites):
    fit, found = sites
    rows = pd.DataFrame(found).set_index("term")
    assert list(rows.index) == ["x", "(x | site)"]
    d = fit.draws
    assert rows.loc["x", "estimate"] == pytest.approx(np.median(d.beta[:, 0]))
    lower = np.quantile(d.beta[:, 0], 0.025)
    assert rows.loc["x", "lower"] == pytest.approx(lower)
    frame = fit.design.rows.frame
    width = 0.1 * frame["y"].std() / frame["x"].std(ddof=0)
    assert rows["rope"].tolist() == pytest.approx([width, width])
    inside = (np.abs(d.beta[:, 0]) < width).mean()
    assert rows.loc["x", "P(in rope)"] == pytest.approx(inside)
    assert rows.loc["(x | site)", "P(in rope)"] == (d.sd["site"][:, 1] < width).mean()
    # slopes differ between the sites, and a new site cannot be predicted without
    assert rows.loc["(x | site)", "loo"] > 4 * rows.loc["(x | site)", "loo_se"]
    assert rows.loc["(x | site)", "logo"] > 4 * rows.loc["(x | site)", "logo_se"]
    # what x is worth is the slope of a new site, and next to nothing within the sites
    assert abs(rows.loc["x", "loo"]) < 4
    less = found.fits["(x | site)"]
    assert less.design.blocks[0].terms == ("Intercept",)
    assert less.draws.n == fit.draws.n


@pytest.mark.filterwarnings("ignore::hiermodels.errors.ImportanceWarning")
def test_the_differences_are_those_of_a_comparison(sites):
    fit, found = sites
    row = pd.DataFrame(found).set_index("term").loc["(x | site)"]
    beside = {"all": fit, "less": found.fits["(x | site)"]}
    for by in ("loo", "logo"):
        theirs = hm.compare(beside, by=by).set_index("model").loc["less"]
        assert row[by] == pytest.approx(-theirs["difference"])
        assert row[f"{by}_se"] == pytest.approx(theirs["difference_se"])


def test_the_decisions_are_those_of_the_reference(sites, ratios):
    """x is there (p 0.009) and so are the slopes (p 1e-31): so say the posteriors."""
    _, found = sites
    rows = pd.DataFrame(found).set_index("term")
    by_r = {
        "x": ratios["sites_drop1"]["p"],
        "(x | site)": ratios["sites_intercept_vs_slope_reml"]["p"],
    }
    for term, p in by_r.items():
        assert (p < 0.05) == (found.likelihood_ratio.set_index("term").loc[term, "p"] < 0.05)
        assert (p < 0.05) == (rows.loc[term, "lower"] > 0 and rows.loc[term, "P(in rope)"] < 0.05)


def test_how_it_is_printed(sites):
    _, found = sites
    first, second = found.text().split("\n\n")
    assert "likelihood" not in first.lower()
    assert second.startswith("Likelihood-ratio tests: maximum likelihood, without priors")
    assert "| (x \\| site) | sd_site[x] |" in found.markdown()
    assert found._repr_html_().count("<table") == 2
    assert "a tenth of the sd of y" in found.note
    assert "logo" in first


def test_a_factor_goes_whole_and_is_scored_once():
    data = hm.load_dataset("sites")
    data["f"] = np.array(["a", "b", "c"])[np.arange(len(data)) % 3]
    fit = hm.fit("y ~ x*f + (1 | site)", data, draws=300, **SETTINGS)
    found = fit.drop_terms(rope={"x:f": 0.05, "(1 | site)": 2.0}, progressbar=False)
    assert found["term"].tolist() == ["x:f", "x:f", "(1 | site)"]
    assert found["coefficient"].tolist() == ["x:f[b]", "x:f[c]", "sd_site[Intercept]"]
    assert found["rope"].tolist() == [0.05, 0.05, 2.0]
    lines = found.text().splitlines()
    assert lines[3].split()[0] == "x:f[c]"
    assert "(" not in lines[3]
    # without the sites there is no group left, and complete pooling is scored
    assert np.isfinite(found["logo"].iloc[2])
    assert found["logo"].iloc[2] > 0
    with pytest.raises(UnknownNameError, match="rope: no term 'x' that can be left out"):
        fit.drop_terms(rope={"x": 1.0}, progressbar=False)
    with pytest.raises(DataError, match="above 0"):
        fit.drop_terms(rope=-1, progressbar=False)


@pytest.mark.filterwarnings("ignore::hiermodels.errors.ImportanceWarning")
def test_a_level_of_a_factor_that_went_is_scored_given_the_others():
    """The normal conditional of its rows, the factor's sd zero, against a dense computation."""
    fit = made_up_fit("y ~ x + (1 | pop) + (1 | year)")
    less = made_up_fit("y ~ x + (1 | year)")
    found = level_score(less, fit, fit.design.block("pop"), seed=0)
    X = np.column_stack([np.ones(120), less.design.common.standardised])
    mean, sd = (
        np.array([p.inside.parameters[k] for p in (less.priors.intercept, *less.priors.beta)])
        for k in ("mu", "sigma")
    )
    d, year, pop = less.draws, less.design.blocks[0].index, fit.design.block("pop").index
    rows = []
    for s in range(d.n):
        V = (X * sd**2) @ X.T + d.residual[s] ** 2 * np.eye(120)
        V += d.sd["year"][s, 0] ** 2 * (year[:, None] == year)
        gap = less.design.response - X @ mean
        rows.append([])
        for j in range(5):
            own, rest = pop == j, pop != j
            gain = np.linalg.solve(V[np.ix_(rest, rest)], V[np.ix_(rest, own)]).T
            C = V[np.ix_(own, own)] - gain @ V[np.ix_(rest, own)]
            rows[-1].append(stats.multivariate_normal(gain @ gap[rest], C).logpdf(gap[own]))
    labels = fit.design.block("pop").levels
    wanted = leave_out(np.array(rows), labels=labels, unit="pop", method="LOGO", chains=1)
    np.testing.assert_allclose(found.pointwise, wanted.pointwise, rtol=1e-6)
    assert found.labels == fit.design.block("pop").levels


@pytest.mark.filterwarnings("ignore::hiermodels.errors.ImportanceWarning")
def test_crossed_factors_are_left_out_one_by_one():
    data = hm.load_dataset("penicillin")
    fit = hm.fit("diameter ~ 1 + (1 | plate) + (1 | sample)", data, draws=200, **SETTINGS)
    found = fit.drop_terms(random_seed=5, progressbar=False)
    rows = pd.DataFrame(found).set_index("term")
    for factor in ("plate", "sample"):
        # without the other factor the levels of this one are as before: the same as logo()
        other = "plate" if factor == "sample" else "sample"
        term, less = f"(1 | {other})", found.fits[f"(1 | {other})"]
        gap = fit.logo(factor, random_seed=5).pointwise - less.logo(factor, random_seed=5).pointwise
        assert rows.loc[term, f"logo[{factor}]"] == pytest.approx(gap.sum(), rel=1e-6)
    assert "logo[plate]" in found.text().splitlines()[1]
    # every plate is a new draw of its sd, which the other plates tell little of
    assert rows.loc["(1 | plate)", "logo[plate]"] > 4 * rows.loc["(1 | plate)", "logo[plate]_se"]


@pytest.mark.parametrize(
    ("family", "width"),
    [("poisson", 0.1), ("bernoulli", 0.1 * np.pi / np.sqrt(3)), ("negbinomial", 0.1)],
)
def test_the_default_region_on_a_link(family, width):
    assert default_rope(family_fit(family, "y ~ x + (1 | g)", seed=2).design) == pytest.approx(
        width
    )


def test_crossed_factors_and_formulas_of_the_dispersion():
    crossed = made_up_fit("y ~ x + (1 | pop) + (1 | year)").design
    blocks = held_out_factors(crossed, None)
    assert [b.name for b in blocks] == ["pop", "year"]
    told = " ".join(explained(crossed, blocks, Rope.of(crossed, None)))
    assert "logo[pop]: one level of pop with all its rows; logo[year]: one level of year" in told
    assert [b.name for b in held_out_factors(crossed, "year")] == ["year"]
    nested = made_up_fit("y ~ x + (1 | pop/patch) + (1 | year)").design
    blocks = held_out_factors(nested, None)
    assert [b.name for b in blocks] == ["pop:patch", "year"]
    told = " ".join(explained(nested, blocks, Rope.of(nested, None)))
    assert "To leave out others: drop_terms('pop')." in told
    zeros = family_fit("zi_poisson", "y ~ x + (1 | g)", zi="~ x", seed=2).design
    assert {d.label for d in droppable(zeros)} == {"x", "(1 | g)"}
    assert "those of zi stay" in " ".join(explained(zeros, zeros.blocks, Rope.of(zeros, 0.1)))


def test_nothing_to_leave_out():
    with pytest.raises(DataError, match="has no term that can be left out"):
        made_up_fit("y ~ 1").drop_terms()
    with pytest.raises((FormulaError, UnknownNameError), match="patch"):
        made_up_fit("y ~ x + (1 | pop)").drop_terms("patch")
