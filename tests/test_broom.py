"""Do the frames of broom.mixed have its columns, and the numbers of the posterior?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_up import random_posterior, table
from test_report_families import fit_of

from hiermodels.datasets import load_dataset
from hiermodels.errors import UnknownNameError
from hiermodels.families import FAMILIES
from hiermodels.fitting import Model
from hiermodels.results import Fit

# those of broom.mixed's tidy.brmsfit
TIDY = ["effect", "component", "group", "term", "estimate", "std.error", "conf.low", "conf.high"]


@pytest.fixture(scope="module")
def fit() -> Fit:
    return random_posterior(Model("y ~ x + f + (x | pop) + (1 | year)", table()), seed=2)


def draws(fit: Fit, name: str, **at: object) -> np.ndarray:
    found = fit.idata["posterior"][name]
    return (found.sel(at) if at else found).to_numpy().ravel()


def test_tidy_has_a_row_for_each_parameter_in_the_words_of_broom(fit: Fit) -> None:
    tidy = fit.tidy()
    assert type(tidy) is pd.DataFrame
    assert list(tidy) == TIDY
    rows = list(tidy[["effect", "group", "term"]].itertuples(index=False, name=None))
    assert [(e, t) for e, g, t in rows if e == "fixed"] == [
        ("fixed", "(Intercept)"),
        ("fixed", "x"),
        ("fixed", "f[low]"),
        ("fixed", "f[mid]"),
    ]
    assert [(g, t) for e, g, t in rows if e == "ran_pars"] == [
        ("pop", "sd__(Intercept)"),
        ("pop", "sd__x"),
        ("pop", "cor__(Intercept).x"),
        ("year", "sd__(Intercept)"),
        ("Residual", "sd__Observation"),
    ]
    assert set(tidy["component"]) == {"cond"}


def test_tidy_has_the_numbers_of_the_posterior(fit: Fit) -> None:
    tidy = fit.tidy(ci_prob=0.8).set_index(["group", "term"])
    slope, sd = draws(fit, "beta", term="x"), draws(fit, "sd_pop", pop_term="x")
    correlation = draws(fit, "cor_pop", pop_term="x", pop_term_bis="Intercept")
    row = tidy[tidy["effect"] == "fixed"].xs("x", level="term").iloc[0]
    assert row["estimate"] == pytest.approx(np.median(slope))
    assert row["std.error"] == pytest.approx(slope.std(ddof=1))
    assert row["conf.low"] == pytest.approx(np.quantile(slope, 0.1))
    assert row["conf.high"] == pytest.approx(np.quantile(slope, 0.9))
    assert tidy.loc[("pop", "sd__x"), "estimate"] == pytest.approx(np.median(sd))
    found = tidy.loc[("pop", "cor__(Intercept).x"), "estimate"]
    assert found == pytest.approx(np.median(correlation))


def test_levels_have_a_column(fit: Fit) -> None:
    values = fit.tidy("ran_vals")
    assert list(values) == [*TIDY[:3], "level", *TIDY[3:]]
    effect = draws(fit, "b_pop", pop="P3", pop_term="x")
    row = values.query("group == 'pop' and level == 'P3' and term == 'x'")
    assert row["estimate"].item() == pytest.approx(np.median(effect))
    coefs = fit.tidy("ran_coefs").query("group == 'pop' and level == 'P3' and term == 'x'")
    whole = effect + draws(fit, "beta", term="x")
    assert coefs["estimate"].item() == pytest.approx(np.median(whole))
    assert len(fit.tidy(("fixed", "ran_vals"))) == 4 + len(values)


def test_a_parameter_with_a_formula_is_a_component() -> None:
    tidy = fit_of("zi_negbinomial", zi="~ z + (1 | pop)").tidy()
    zi = tidy[tidy["component"] == "zi"]
    assert list(zi["term"]) == ["(Intercept)", "z", "sd__(Intercept)"]
    assert list(tidy.loc[tidy["effect"] == "auxiliary", "term"]) == ["alpha"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(family: str) -> None:
    fit = fit_of(family)
    tidy, glance, augment = fit.tidy(), fit.glance(), fit.augment()
    assert not tidy[["estimate", "std.error", "conf.low", "conf.high"]].isna().any(axis=None)
    assert len(glance) == 1
    assert len(augment) == fit.design.n
    observed = fit.design.response / (1 if fit.design.trials is None else fit.design.trials)
    np.testing.assert_allclose(augment[".fitted"] + augment[".resid"], observed, atol=1e-8)


def test_an_unknown_effect_lists_those_there_are(fit: Fit) -> None:
    with pytest.raises(UnknownNameError, match=r"no effect 'ran_par'.*Did you mean 'ran_pars'"):
        fit.tidy("ran_par")


def test_glance(fit: Fit) -> None:
    row = fit.glance().iloc[0]
    posterior = fit.idata["posterior"]
    assert row["pss"] == posterior.sizes["chain"] * posterior.sizes["draw"]
    assert row["nobs"] == 120
    assert row["sigma"] == pytest.approx(np.median(draws(fit, "sigma")))
    assert row["rhat_max"] == max(fit.diagnostics.rhat)
    assert np.isnan(fit_of("poisson").glance()["sigma"].item())


def test_glance_with_loo() -> None:
    model = Model("y ~ x1 + (1 | groupID)", load_dataset("variance_sim"))
    fit = model.fit(draws=300, random_seed=1, progressbar=False)
    row = fit.glance(loo=True).iloc[0]
    assert row["looic"] == pytest.approx(-2 * fit.loo().elpd)
    assert row["se_elpd_loo"] > 0


def test_augment_splits_the_fitted_values_into_common_and_group_effects(fit: Fit) -> None:
    augment = fit.augment()
    assert list(augment.columns[:2]) == ["y", "x"]
    posterior = fit.idata["posterior"].to_dataset().stack(s=("chain", "draw"))
    frame = fit.design.rows.frame
    dummies = [(frame["f"] == level) for level in ("low", "mid")]
    columns = np.column_stack([np.ones(len(frame)), frame["x"], *dummies])
    beta = np.vstack([posterior["Intercept"].to_numpy(), posterior["beta"].to_numpy()])
    fixed = columns @ beta
    np.testing.assert_allclose(augment[".fixed"], np.median(fixed, axis=1), rtol=1e-9)
    b = posterior["b_pop"].sel(pop=frame["pop"].to_numpy()).to_numpy()
    year = posterior["b_year"].sel(year=frame["year"].to_numpy()).to_numpy()[:, 0]
    groups = b[:, 0] + b[:, 1] * frame["x"].to_numpy()[:, None] + year
    np.testing.assert_allclose(augment[".fitted"], np.median(fixed + groups, axis=1), rtol=1e-9)
    np.testing.assert_allclose(augment[".resid"], frame["y"] - augment[".fitted"], rtol=1e-9)


def test_augment_new_rows_and_names_of_rows(fit: Fit) -> None:
    new = pd.DataFrame(
        {"x": [7.0, 8.0], "f": ["low", "high"], "pop": ["P0", "P9"], "year": [2001, 2002]},
        index=["one", "two"],
    )
    augment = fit.augment(new, target="new_group")
    assert list(augment.index) == ["one", "two"]
    assert ".resid" not in augment
    assert (augment[".conf.low"] < augment[".fitted"]).all()


def test_augment_without_groups_and_with_weights() -> None:
    model = Model("y ~ x", table(), weights="count")
    augment = random_posterior(model).augment()
    np.testing.assert_allclose(augment[".fitted"], augment[".fixed"])
    assert "(weights)" in augment
