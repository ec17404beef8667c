"""Predictions against sums written out by hand, Monte Carlo of their definition, and Bambi."""

import numpy as np
import pandas as pd
import pytest
from made_up import made_up_fit, table
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from hiermodels.errors import DataError, NotAvailableError, UnknownNameError
from hiermodels.families import family
from hiermodels.numbers.prediction import marginal_mean
from hiermodels.numbers.predictive import Given

FORMULA = "y ~ x + f + (x | pop) + (1 | year)"


@pytest.fixture(scope="module")
def fit():
    return made_up_fit(FORMULA)


@pytest.fixture(scope="module")
def new():
    """Rows that are not those of the fit."""
    return pd.DataFrame(
        {
            "x": [6.0, 9.5, 14.0, 7.0],
            "f": ["mid", "low", "high", "mid"],
            "pop": ["P3", "P0", "P3", "P1"],
            "year": [2001, 2005, 2000, 2001],
        },
        index=["r1", "r2", "r3", "r4"],
    )


def by_hand(fit, rows, *, pop=True, year=True):
    """eta from the raw posterior, variable by variable and row by row: (draws, rows)."""
    post = fit.idata["posterior"].to_dataset().stack(s=("chain", "draw"))
    out = np.empty((post.sizes["s"], len(rows)))
    for i, row in enumerate(rows.itertuples()):
        eta = post["Intercept"].to_numpy() + post["beta"].sel(term="x").to_numpy() * row.x
        if row.f != "high":  # the first of the sorted categories is in the intercept
            eta = eta + post["beta"].sel(term=f"f[{row.f}]").to_numpy()
        if pop:
            b = post["b_pop"].sel(pop=row.pop)
            eta = eta + b.sel(pop_term="Intercept").to_numpy()
            eta = eta + b.sel(pop_term="x").to_numpy() * row.x
        if year:
            eta = eta + post["b_year"].sel(year=row.year, year_term="Intercept").to_numpy()
        out[:, i] = eta
    return out


def flat(array):
    return array.to_numpy().reshape(-1, array.sizes["row"])


def test_population_and_group(fit, new):
    for target, groups in (("population", False), ("group", True)):
        found = fit.predict(new, target=target, draws=True)
        np.testing.assert_allclose(
            flat(found), by_hand(fit, new, pop=groups, year=groups), rtol=1e-12
        )
        assert list(found["row"].to_numpy()) == list(new.index)
        assert found.attrs == {"target": target, "kind": "mean"}
    frame = fit.predict(new, target="group")
    values = by_hand(fit, new)
    np.testing.assert_allclose(frame["estimate"], np.median(values, axis=0))
    np.testing.assert_allclose(frame["lower"], np.quantile(values, 0.025, axis=0))
    assert list(frame.index) == list(new.index)
    assert "target group: effects of known levels (posterior median, 95 % interval)" in frame.title


def test_the_rows_of_the_fit(fit):
    rows = table()
    own = flat(fit.predict(target="group", draws=True))
    np.testing.assert_allclose(own, flat(fit.predict(rows, target="group", draws=True)))
    np.testing.assert_allclose(own[:, :9], by_hand(fit, rows.head(9)))


def test_some_factors_alone(fit, new):
    found = fit.predict(new.drop(columns="year"), target="group", groups="pop", draws=True)
    np.testing.assert_allclose(flat(found), by_hand(fit, new, year=False))
    assert "effects of known levels of pop" in fit.predict(new, target="group", groups="pop").title


def test_a_nested_factor_brings_those_around_it():
    fit = made_up_fit("y ~ 1 + (1 | pop/patch)")
    rows = table().head(3)
    both = fit.predict(rows, target="group", groups="pop:patch", draws=True)
    np.testing.assert_allclose(both, fit.predict(rows, target="group", draws=True))


def test_new_levels_are_one_effect_each_and_known_ones_are_kept(fit, new):
    rows = new.assign(year=[2001, 1999, 1999, 1998])
    found = flat(fit.predict(rows, target="new_group", draws=True))
    without = by_hand(fit, rows, year=False)
    effect = found - without
    known = fit.draws.effects["year"][:, 1, 0]
    np.testing.assert_allclose(effect[:, 0], known)
    np.testing.assert_allclose(effect[:, 1], effect[:, 2])
    assert abs(np.corrcoef(effect[:, 1], effect[:, 3])[0, 1]) < 0.5
    # its distribution: effect / sd is standard normal, 120 draws
    z = effect[:, 1] / fit.draws.sd["year"][:, 0]
    assert abs(z.mean()) < 4 / np.sqrt(120)
    assert abs(z.std() - 1) < 4 / np.sqrt(2 * 120)


def test_a_new_level_is_the_same_in_every_call(fit, new):
    rows = new.assign(pop=["Q", "P0", "R", "Q"])
    one = flat(fit.predict(rows, target="new_group", draws=True))
    other = flat(fit.predict(rows.iloc[[3, 0]], target="new_group", draws=True))
    np.testing.assert_array_equal(one[:, [3, 0]], other)
    reseeded = flat(fit.predict(rows, target="new_group", draws=True, random_seed=77))
    assert (one[:, 0] != reseeded[:, 0]).all()
    np.testing.assert_array_equal(one[:, 1], reseeded[:, 1])


def test_an_absent_column_is_one_new_level(fit, new):
    rows = new.drop(columns="year")
    effect = flat(fit.predict(rows, target="new_group", draws=True)) - by_hand(fit, new, year=False)
    np.testing.assert_allclose(effect - effect[:, :1], 0, atol=1e-12)
    assert (effect[:, 0] != 0).all()


def test_a_new_patch_keeps_its_population():
    fit = made_up_fit("y ~ 1 + (1 | pop/patch)")
    rows = pd.DataFrame({"pop": ["P1", "P1", "P2", "new"], "patch": ["zz", "a", "zz", "a"]})
    draws = fit.draws
    found = flat(fit.predict(rows, target="new_group", draws=True)) - draws.intercept[:, None]
    pop, cell = draws.effects["pop"][:, :, 0], draws.effects["pop:patch"][:, :, 0]
    level = fit.design.block("pop:patch").levels.index("P1:a")
    np.testing.assert_allclose(found[:, 1], pop[:, 1] + cell[:, level])
    new_cell = found[:, [0, 2]] - pop[:, [1, 2]]
    assert (new_cell[:, 0] != new_cell[:, 1]).all(), "patch zz of P1 is not patch zz of P2"
    assert np.std(new_cell[:, 0] / draws.sd["pop:patch"][:, 0]) == pytest.approx(1, abs=0.3)
    assert np.std(found[:, 3]) > 0


def test_slopes_of_new_levels_have_the_covariance_of_the_factor():
    fit = made_up_fit("y ~ x + (x | pop)")
    many = pd.DataFrame({"x": np.repeat([0.0, 1.0], 400), "pop": [f"n{j}" for j in range(400)] * 2})
    eta = flat(fit.predict(many, target="new_group", kind="link", draws=True))
    at_zero = eta[:, :400] - fit.draws.intercept[:, None]
    slope = eta[:, 400:] - eta[:, :400] - fit.draws.beta[:, :1]
    sigma = fit.draws.covariance("pop")
    for s in range(5):
        found = np.cov(at_zero[s], slope[s], ddof=0)
        # a covariance of 400 pairs: 5 standard errors of each element
        error = 5 * np.sqrt((np.outer(np.diag(sigma[s]), np.diag(sigma[s])) + sigma[s] ** 2) / 400)
        assert (np.abs(found - sigma[s]) < error).all()


def test_marginal_of_the_response_has_the_variance_of_groups_and_residual(fit):
    row = pd.DataFrame({"x": [9.0] * 300, "f": ["low"] * 300})
    made = flat(fit.predict(row, target="marginal", kind="response", draws=True))
    sigma = fit.draws.covariance("pop")
    z = np.array([1.0, 9.0])
    expected = np.einsum("q,sqr,r->s", z, sigma, z) + fit.draws.sd["year"][:, 0] ** 2
    expected += fit.draws.residual**2
    ratio = made.var(axis=1, ddof=1) / expected
    assert abs(ratio.mean() - 1) < 5 * np.sqrt(2 / (300 * len(ratio)))
    eta = flat(fit.predict(row, target="marginal", kind="link", draws=True))
    np.testing.assert_array_equal(
        eta, flat(fit.predict(row, target="population", kind="link", draws=True))
    )


@pytest.mark.parametrize(
    ("name", "link"), [("poisson", "log"), ("bernoulli", "logit"), ("bernoulli", "probit")]
)
def test_the_marginal_mean_is_the_integral(name, link):
    inverse = {"log": np.exp, "logit": expit, "probit": norm.cdf}[link]
    of = Given(family=family(name, link=link), constants={})
    eta = np.array([[-2.0, 0.3, 1.0]])
    spread = np.array([[0.2, 1.5, 4.0]])
    wanted = [
        quad(lambda u, e=e, v=v: inverse(e + np.sqrt(v) * u) * norm.pdf(u), -12, 12)[0]
        for e, v in zip(eta[0], spread[0], strict=True)
    ]
    # 41 nodes of Gauss-Hermite
    np.testing.assert_allclose(marginal_mean({"": eta}, {"": spread}, of)[0], wanted, rtol=1e-5)


def test_new_responses(fit, new):
    made = flat(fit.predict(pd.concat([new] * 100), target="group", kind="response", draws=True))
    mean = np.tile(by_hand(fit, new), 100)
    z = (made - mean) / fit.draws.residual[:, None]
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert abs(z.std() - 1) < 5 / np.sqrt(2 * z.size)
    again = flat(fit.predict(pd.concat([new] * 100), target="group", kind="response", draws=True))
    np.testing.assert_array_equal(made, again)


def test_pieces_make_no_difference(fit, monkeypatch):
    whole = fit.predict(target="group")
    monkeypatch.setattr("hiermodels.numbers.prediction.PIECE", 1000)
    pd.testing.assert_frame_equal(pd.DataFrame(whole), pd.DataFrame(fit.predict(target="group")))


def test_transforms_remember_the_rows_of_the_fit():
    data = table()
    fit = made_up_fit("y ~ scale(x) + bs(z, df=4) + within(x, pop) + (x | pop)", data)
    some = data.iloc[[3, 50, 7]]
    np.testing.assert_allclose(
        flat(fit.predict(some, target="group", draws=True)),
        flat(fit.predict(target="group", draws=True))[:, [3, 50, 7]],
    )


def test_an_offset_is_that_of_the_new_rows():
    data = table()
    fit = made_up_fit("y ~ x + offset(log(count)) + (1 | pop)", data)
    some = data.iloc[:4].assign(count=[1, 10, 100, 5])
    found = flat(fit.predict(some, target="population", kind="link", draws=True))
    d = fit.draws
    wanted = (
        d.intercept[:, None] + d.beta @ some[["x"]].to_numpy().T + np.log(some["count"]).to_numpy()
    )
    np.testing.assert_allclose(found, wanted)


def test_thinned_effects(fit, new):
    """Where only some draws have group effects, those draws predict."""
    from dataclasses import replace

    keep = np.arange(5, 120, 10)
    thin = replace(fit.draws, effects={k: v[keep] for k, v in fit.draws.effects.items()}, kept=keep)
    thinned = made_up_fit(FORMULA)
    thinned.__dict__["draws"] = thin
    found = flat(thinned.predict(new, target="group", draws=True))
    np.testing.assert_allclose(found, by_hand(fit, new)[keep])
    assert thinned.predict(new, target="population", draws=True).sizes["draw"] == 60


def test_other_frames_come_in(fit, new):
    import polars as pl

    wanted = fit.predict(new)["estimate"].to_numpy()
    np.testing.assert_allclose(fit.predict(pl.DataFrame(new))["estimate"], wanted)
    np.testing.assert_allclose(fit.predict(new.to_dict("list"))["estimate"], wanted)
    np.testing.assert_allclose(
        fit.predict(new.astype({"f": "category", "year": float}), target="group")["estimate"],
        fit.predict(new, target="group")["estimate"],
    )


@pytest.mark.parametrize(
    ("change", "arguments", "error", "message"),
    [
        ({}, {"target": "groups"}, UnknownNameError, "Valid: group, marginal, new_group"),
        ({}, {"kind": "mu"}, UnknownNameError, "Valid: link, mean, probability, response"),
        ({"x": None}, {}, DataError, r"newdata has no column 'x'.*needs here: x, f\."),
        ({"year": None}, {"target": "group"}, DataError, "no column 'year', which says the level"),
        ({"year": 1990}, {"target": "group"}, DataError, r"not seen: 1990 \(rows r1, r2, r3, r4\)"),
        ({}, {"target": "new_group"}, DataError, "every level of pop, year .* target='group'"),
        ({"f": "lowest"}, {}, DataError, "'f' is 'lowest' .* Known: high, low, mid. Did you mean"),
        ({"x": np.nan}, {}, DataError, "misses 'x' in rows r1, r2, r3, r4"),
        ({"pop": np.nan}, {"target": "new_group"}, DataError, "misses 'pop'"),
        ({"x": "a"}, {}, DataError, "'x' is a number in the fit"),
        ({}, {"groups": "pop"}, None, ""),
        ({}, {"target": "marginal", "groups": "pop"}, UnknownNameError, "goes with target='group'"),
    ],
)
def test_what_cannot_be_predicted_says_so(fit, new, change, arguments, error, message):
    rows = new.assign(**{k: v for k, v in change.items() if v is not None})
    rows = rows.drop(columns=[k for k, v in change.items() if v is None])
    if error is None:
        assert len(fit.predict(rows, **arguments)) == len(rows)
        return
    with pytest.raises(error, match=message):
        fit.predict(rows, **arguments)


def test_own_rows_have_no_new_group(fit):
    with pytest.raises(DataError, match="new levels need newdata"):
        fit.predict(target="new_group")


def test_a_model_without_groups_has_no_new_one():
    with pytest.raises(DataError, match="no grouping factor"):
        made_up_fit("y ~ x").predict(table(), target="new_group")


def test_a_new_response_needs_its_standard_error():
    fit = made_up_fit("y ~ x + (1 | pop)", se="error")
    assert len(fit.predict(kind="response", target="group")) == 120
    with pytest.raises(NotAvailableError, match="standard error"):
        fit.predict(table(), kind="response")


def test_grid_stays_within_each_group(fit):
    data = table()
    grid = fit.grid("x", "pop", n=7)
    assert len(grid) == 7 * 5
    observed = data.groupby("pop")["x"].agg(["min", "max"])
    found = grid.groupby("pop")["x"].agg(["min", "max"])
    assert list(found.index) == list(observed.index)
    np.testing.assert_allclose(found, observed)
    assert set(grid.columns) == {"x", "f", "pop"}
    assert grid["f"].unique() == data["f"].mode().to_numpy()
    assert len(fit.predict(grid, target="group", groups="pop")) == len(grid)


def test_grid_of_several_columns():
    fit = made_up_fit("y ~ x*z + w + f + (x | pop)")
    data = table()
    grid = fit.grid(["x", "z"], n=4, at={"f": "high"})
    assert len(grid) == 4 * 3
    assert set(grid["f"]) == {"high"}
    assert grid["w"].iloc[0] == pytest.approx(data["w"].mean())
    assert "w = " in grid.note
    by_pop = fit.grid("x", "pop", n=2)
    assert by_pop.groupby("pop")["w"].first().tolist() == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert set(fit.grid("f")["f"]) == {"low", "mid", "high"}
    with pytest.raises(UnknownNameError, match="no predictor 'pop'"):
        fit.grid("pop")


def test_lists_of_a_grid_are_crossed(fit):
    grid = fit.grid("x", n=3, at={"f": ["low", "high"]})
    assert len(grid) == 6
    assert grid.groupby("x")["f"].apply(set).tolist() == [{"low", "high"}] * 3
    assert grid.note == ""
    said = fit.grid("x", "pop", at={"x": [6, 9]})
    assert said.groupby("pop")["x"].apply(list).tolist() == [[6, 9]] * 5
    assert fit.grid("x", n=3, at={"x": 7})["x"].tolist() == [7]


def test_a_grid_keeps_the_order_of_categories():
    order = ["low", "mid", "high"]
    data = table().assign(
        f=pd.Categorical(table()["f"], order, ordered=True),
        pop=pd.Categorical(table()["pop"], ["P4", "P3", "P2", "P1", "P0"]),
    )
    fit = made_up_fit("y ~ x + f + (x | pop)", data)
    grid = fit.grid("f", "pop")
    assert grid["f"].tolist() == order * 5
    assert list(grid["pop"].unique()) == ["P4", "P3", "P2", "P1", "P0"]
    means = fit.marginal_means("f")
    assert list(means["f"]) == order
    by_pop = fit.marginal_means("f", by="pop", values=["low"], target="group")
    assert list(by_pop["pop"]) == ["P4", "P3", "P2", "P1", "P0"]


def test_slopes(fit):
    found = fit.slopes("x")
    np.testing.assert_allclose(found["estimate"], np.median(fit.draws.beta[:, 0]), rtol=1e-8)
    by_pop = fit.slopes("x", by="pop", target="group")
    wanted = fit.draws.beta[:, :1] + fit.draws.effects["pop"][:, :, 1]
    np.testing.assert_allclose(by_pop["estimate"], np.median(wanted, axis=0), rtol=1e-7)
    np.testing.assert_allclose(by_pop["upper"], np.quantile(wanted, 0.975, axis=0), rtol=1e-7)
    assert by_pop["pop"].tolist() == ["P0", "P1", "P2", "P3", "P4"]
    with pytest.raises(DataError, match="not a number, so it has no slope"):
        fit.slopes("f")


def test_means_and_contrasts(fit):
    data = table()
    draws = fit.draws
    base = draws.intercept + draws.beta[:, 0] * data["x"].mean()
    at = {
        t: draws.beta[:, fit.design.terms.index(f"f[{t}]")]
        for t in ("low", "mid", "high")
        if f"f[{t}]" in fit.design.terms
    }
    means = fit.marginal_means("f")
    assert means["f"].tolist() == ["high", "low", "mid"]
    for level, estimate in zip(means["f"], means["estimate"], strict=True):
        assert estimate == pytest.approx(np.median(base + at.get(level, 0)))
    contrast = fit.contrasts("f").set_index("contrast")
    assert list(contrast.index) == ["low − high", "mid − high"]
    difference = at.get("mid", 0) - at.get("high", 0)
    assert contrast.loc["mid − high", "estimate"] == pytest.approx(np.median(difference))
    assert contrast.loc["mid − high", "lower"] == pytest.approx(np.quantile(difference, 0.025))
    assert len(fit.contrasts("f", pairs="all")) == 3
    step = fit.contrasts("x", values=(6, 8)).iloc[0]
    assert step["estimate"] == pytest.approx(2 * np.median(draws.beta[:, 0]))
    with pytest.raises(DataError, match="say which to set it to"):
        fit.contrasts("x")


def test_averages_are_of_draws_with_frequencies():
    from hiermodels.fitting import Model
    from hiermodels.results import Fit

    plain = made_up_fit("y ~ x + f + (1 | pop)")
    model = Model("y ~ x + f + (1 | pop)", table(), weights="count")
    weighted = Fit(design=model.design, priors=model.priors, idata=plain.idata)
    w = table()["count"].to_numpy()
    mean_x = np.average(table()["x"], weights=w)
    found = weighted.marginal_means("f").set_index("f").loc["high", "estimate"]
    d = plain.draws
    assert found == pytest.approx(np.median(d.intercept + d.beta[:, 0] * mean_x))
    assert "each as often as its weight says" in weighted.slopes("x").note
    # new rows have no weights: each counts once
    new = table()[["x", "f"]].head(5)
    once = weighted.marginal_means("f", new).set_index("f").loc["high", "estimate"]
    assert once == pytest.approx(np.median(d.intercept + d.beta[:, 0] * new["x"].mean()))
    assert "weight" not in weighted.marginal_means("f", new).note


@pytest.mark.filterwarnings("ignore:For backward compatibility:pandas.errors.Pandas4Warning")
def test_bambi_predicts_the_same():
    """The mean of known levels from the same posterior, which Bambi names otherwise."""
    import bambi as bmb
    import xarray as xr

    data = table()
    fit = made_up_fit("y ~ x + (x || pop)", data)
    post = fit.idata["posterior"].to_dataset()
    model = bmb.Model("y ~ x + (x | pop)", data, center_predictors=False)
    model.build()
    levels = list(fit.design.block("pop").levels)
    theirs = xr.Dataset(
        {
            "Intercept": post["Intercept"],
            "x": post["beta"].sel(term="x", drop=True),
            "1|pop": post["b_pop"]
            .sel(pop_term="Intercept", drop=True)
            .rename(pop="pop__factor_dim"),
            "x|pop": post["b_pop"].sel(pop_term="x", drop=True).rename(pop="pop__factor_dim"),
            "sigma": post["sigma"],
        },
        coords={"pop__factor_dim": levels},
    )
    tree = xr.DataTree.from_dict({"posterior": theirs})
    some = data.iloc[[1, 5, 60]]
    out = model.predict(tree, data=some, inplace=False)
    mu = out["posterior"]["mu"].transpose("chain", "draw", ...).to_numpy()
    ours = fit.predict(some, target="group", draws=True).to_numpy()
    np.testing.assert_allclose(ours, mu)
