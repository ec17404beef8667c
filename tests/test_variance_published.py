"""The tables of the tutorials: from their estimates by arithmetic, and from posteriors."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import made_up_fit

import hiermodels as hm
from hiermodels.errors import MissingDataWarning
from hiermodels.numbers.variance import components, intraclass


def at_estimates(formula, data, sds, residual):
    """Components of a fit of intercepts whose draws are all these estimates."""
    fit = made_up_fit(formula, data)
    n = fit.draws.n
    sd = {g: np.full((n, 1), sds[g]) for g in fit.design.factors}
    return fit.design, replace(fit.draws, sd=sd, residual=np.full(n, residual))


def test_the_chapters_simulation():
    """43.68 % among, 56.32 % within; CV2 0.006, 0.008, 0.014 at the mean of y."""
    data = hm.load_dataset("variance_sim")
    design, draws = at_estimates(
        "y ~ 1 + (1 | groupID)", data, {"groupID": 3.0339597328}, 3.4450775234
    )
    parts = components(design, draws)
    among, within = parts.groups[0, 0], parts.residual[0]
    assert 100 * among / (among + within) == pytest.approx(43.68, abs=0.005)
    assert 100 * within / (among + within) == pytest.approx(56.32, abs=0.005)
    mean = data["y"].mean()
    rounded = [round(v / mean**2, 3) for v in (among, within, among + within)]
    assert rounded == [0.006, 0.008, 0.014]


@pytest.fixture(scope="module")
def blossoms(datasets_dir):
    """Both models on the rows that have all measurements."""
    data = hm.load_dataset("blossoms").dropna(subset=["UBW", "LBW", "pop", "patch"])
    null = hm.fit("UBW ~ 1 + (1 | pop/patch)", data, random_seed=1, progressbar=False)
    fit = hm.fit("UBW ~ LBW + (1 | pop/patch)", data, random_seed=1, progressbar=False)
    return null, fit


@pytest.mark.filterwarnings(f"ignore::{MissingDataWarning.__module__}.MissingDataWarning")
def test_around_half_of_the_variance_of_blossoms_is_between_patches(blossoms, reference):
    null, fit = blossoms
    for one, name in ((null, "blossoms_nested_null_reml"), (fit, "blossoms_nested_LBW_reml")):
        found = one.icc().set_index("component").loc["pop + pop:patch"]
        theirs = reference[name]["variance_by_hand"]["icc_adjusted"]
        assert found["icc_lower"] < theirs < found["icc_upper"]
        # a posterior with nine populations is skewed towards larger sds
        assert found["icc"] == pytest.approx(theirs, abs=0.1)
    assert null.icc()["icc"].iloc[-1] == pytest.approx(0.5, abs=0.1)


@pytest.mark.filterwarnings(f"ignore::{MissingDataWarning.__module__}.MissingDataWarning")
def test_lbw_removes_the_variance_of_blossoms(blossoms):
    null, fit = blossoms
    found = fit.r2(null=null).set_index("r2")["estimate"]
    assert found["change of pop:patch"] > 0.8
    assert found["change of residual"] > 0.7
    assert found["marginal"] == pytest.approx(0.83, abs=0.05)
    parts = components(fit.design, fit.draws)
    adjusted = intraclass(fit.design, parts).adjusted
    assert (adjusted[:, 2] < 0.5).mean() > 0.9
