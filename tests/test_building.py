"""The build-up in Hox's six steps: the decisions of likelihood-ratio tests, and its own sums."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up import table
from scipy import stats
from scipy.special import logsumexp

import hiermodels as hm
from hiermodels.errors import DataError, FormulaError, PriorError
from hiermodels.numbers.held_out import integrated_groups
from hiermodels.workflows.building import coefficients, share_beyond_zero

SHORT = {"draws": 250, "random_seed": 3, "progressbar": False}
REFERENCE = Path(os.environ.get("HIERMODELS_DATA", "/nowhere")).parent / "reference/reference.json"


@pytest.fixture(scope="module")
def rehab():
    return hm.build_up(
        "incidents ~ 1 + (1 | center)",
        hm.load_dataset("rehab"),
        level1=["treatment", "gender"],
        level2="hours",
        slopes="treatment",
        family="poisson",
        **SHORT,
    )


@pytest.fixture(scope="module")
def sites():
    return hm.build_up("y ~ 1 + (1 | site)", hm.load_dataset("sites"), level1="x", **SHORT)


@pytest.fixture(scope="module")
def ratios():
    if not REFERENCE.exists():
        pytest.skip("the reference figures are not here: set HIERMODELS_DATA")
    return json.loads(REFERENCE.read_text())["likelihood_ratio_tests"]


@pytest.mark.parametrize(
    ("step", "test"),
    [
        ("2 level 1", "rehab_null_vs_two"),
        ("3 level 2", "rehab_hours"),
        ("4 slope of treatment", "rehab_slope"),
        ("6 cross-level", "rehab_interaction"),
    ],
)
def test_the_decisions_are_those_of_likelihood_ratio_tests(rehab, ratios, step, test):
    assert (rehab.steps[step].verdict == "yes") == (ratios[test]["p"] < 0.05)


def test_the_decisions_on_the_sites(sites, ratios):
    slope = ratios["sites_intercept_vs_slope_reml"]["p"] < 0.05
    assert (sites.steps["4 slope of x"].verdict == "yes") == slope
    p = share_beyond_zero(coefficients(sites.fits["5 slopes"], ("x",)))
    assert (p < 0.05) == (ratios["sites_drop1"]["p"] < 0.05)


def test_the_steps_of_the_rehabilitation_data(rehab):
    assert list(rehab["step"]) == [
        "1 intercepts",
        "2 level 1",
        "3 level 2",
        "4 slope of treatment",
        "5 slopes",
        "6 cross-level",
    ]
    last = rehab.steps["6 cross-level"]
    assert last.formula == (
        "incidents ~ treatment + gender + hours + treatment:hours + (treatment | center)"
    )
    assert rehab.fits["5 slopes"] is rehab.fits["4 slope of treatment"]
    assert [s.fit.design.n for s in rehab.steps.values()] == [1000] * 6


def test_centres_left_out_of_each_step(rehab):
    """The density without a centre is integrated in each draw, through the cross-level step."""
    rows = rehab.set_index("step")
    assert np.isfinite(rows["logo_difference"].iloc[1:]).all()
    # what differs between rows predicts those of a new centre as well
    worth = rows.loc["2 level 1"]
    assert worth["logo_difference"] > 2 * worth["logo_se"]
    last, before = rehab.steps["6 cross-level"].fit, rehab.fits["5 slopes"]
    gap = [
        integrated_groups(f.design, f.draws, "center", seed=SHORT["random_seed"])
        for f in (last, before)
    ]
    # the harmonic mean of the density is what smoothed weights estimate with less noise: the two
    # agree but for the tails of few centres
    plain = np.subtract(*[-logsumexp(-g, axis=0) for g in gap])
    error = rows.loc["6 cross-level", "logo_se"]
    assert rows.loc["6 cross-level", "logo_difference"] == pytest.approx(plain.sum(), abs=error)


def test_what_it_explains_is_what_the_fits_say(sites):
    null, one = (sites.fits[name] for name in ("1 intercepts", "2 level 1"))
    shares = one.r2(null=null).set_index("r2")
    row = sites.set_index("step").loc["2 level 1"]
    assert row["explained_rows"] == pytest.approx(shares.loc["change of residual", "estimate"])
    assert row["explained_groups"] == pytest.approx(shares.loc["change of site", "estimate"])
    assert row["r2"] == pytest.approx(shares.loc["marginal", "estimate"])
    assert not any(c.startswith("explained") and c.endswith(("lower", "upper")) for c in sites)
    assert np.isnan(sites.set_index("step").loc["5 slopes", "explained_rows"])


def test_gains_are_those_of_compare(sites):
    fits = {k: sites.fits[k] for k in ("1 intercepts", "2 level 1")}
    row = sites.set_index("step").loc["2 level 1"]
    made = hm.compare(fits).set_index("model")
    assert row["loo_difference"] == pytest.approx(-made.loc["1 intercepts", "difference"])
    assert row["loo_se"] == pytest.approx(made.loc["1 intercepts", "difference_se"])
    assert row["logo_difference"] > 0


def test_it_prints(rehab, sites):
    text = str(rehab)
    assert "6 cross-level         incidents ~ treatment + gender" in text
    assert "6 cross-level: treatment:hours" in text
    assert "there is variance for predictors of the levels to explain" in text
    assert "All together, in incidents ~" in text
    assert "none of it is explained" in rehab.note
    page = sites._repr_html_()
    assert page.count("mathjax_process") == 4
    assert "x|site" not in page
    assert r"\text{center}" in rehab.equations["1 intercepts"].latex
    assert sites.markdown().count("$$") == 8
    assert "LOGO of a level of site +" in str(sites.answer)


def test_the_share_beyond_zero_is_the_tail_of_a_normal_distribution():
    rng = np.random.default_rng(0)
    cov = np.array([[1.0, 0.8], [0.8, 2.0]])
    mean = np.array([1.5, -0.5])
    draws = rng.multivariate_normal(mean, cov, size=200_000)
    wanted = stats.chi2.sf(mean @ np.linalg.solve(cov, mean), 2)
    # a share of 200,000 draws: four standard errors
    error = 4 * np.sqrt(wanted * (1 - wanted) / 200_000)
    assert share_beyond_zero(draws) == pytest.approx(wanted, abs=error)
    one = share_beyond_zero(draws[:, :1])
    assert one == pytest.approx(2 * stats.norm.sf(1.5), abs=0.004)


def test_nothing_to_build(monkeypatch):
    """Noise: neither the predictor nor its slopes are found, and the sixth step has no model."""
    rng = np.random.default_rng(8)
    g = np.repeat(np.arange(12), 15)
    data = pd.DataFrame(
        {
            "y": rng.normal(size=180) + rng.normal(size=12)[g],
            "x": rng.normal(size=180),
            "z": rng.normal(size=12)[g],
            "g": [f"g{j}" for j in g],
        }
    )
    made = hm.build_up("y ~ 1 + (1 | g)", data, level1="x", level2="z", logo=False, **SHORT)
    assert list(made["step"]) == ["1 intercepts", "2 level 1", "3 level 2", "4 slope of x"]
    assert made.steps["4 slope of x"].verdict != "yes"
    assert "no slope to explain" in str(made.answer)
    assert made["logo_difference"].isna().all()


def test_missing_values_cost_all_steps_the_same_rows():
    data = table()
    data.loc[data.index[:7], "x"] = np.nan
    with pytest.warns(hm.MissingDataWarning, match="7 of 120 rows"):
        made = hm.build_up(
            "y ~ 1 + (1 | pop)",
            data,
            level1=["x"],
            weights="count",
            slopes=(),
            logo=False,
            priors={"x": hm.Prior("Normal", mu=0, sigma=1)},
            **SHORT,
        )
    assert [s.fit.design.n for s in made.steps.values()] == [113] * 2
    assert made.fits["2 level 1"].priors["x"].given.parameters["sigma"] == 1
    weights = made.fits["1 intercepts"].design.weights
    np.testing.assert_array_equal(weights, data["count"].iloc[7:])


@pytest.mark.parametrize(
    ("formula", "arguments", "error", "message"),
    [
        ("y ~ 1", {}, FormulaError, "no group term"),
        ("y ~ x + (x | pop)", {}, FormulaError, "begin with intercepts alone"),
        ("y ~ 1 + (1 | pop)", {"level1": "w"}, DataError, "'w' has one value in each level"),
        ("y ~ 1 + (1 | pop)", {"level2": "x"}, DataError, "'x' varies within 5 of 5 levels"),
        ("y ~ 1 + (1 | pop)", {"level1": "q"}, FormulaError, "no column 'q'"),
        (
            "y ~ 1 + (1 | pop)",
            {"level1": "x", "priors": {"sd_pip": hm.Prior("HalfNormal", sigma=1)}},
            PriorError,
            "sd_pip",
        ),
    ],
)
def test_what_cannot_be_built_says_so(formula, arguments, error, message):
    with pytest.raises(error, match=message):
        hm.build_up(formula, table(), **arguments, **SHORT)
