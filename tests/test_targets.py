"""The targets of a prediction, for five families: by hand, quadrature, brute force and Bambi."""

import numpy as np
import pandas as pd
import pytest
from made_up import made_up_fit, table
from made_up_families import family_fit
from numpy.polynomial.hermite import hermgauss
from scipy import stats
from scipy.special import expit

from hiermodels.errors import NotAvailableError

INVERSE = {
    "gaussian": lambda eta: eta,
    "poisson": np.exp,
    "bernoulli": expit,
    "gamma": np.exp,
    "beta": expit,
}
X = np.array([-0.7, 0.2, 0.9])


def flat(array):
    return array.to_numpy().reshape(-1, array.sizes["row"])


@pytest.fixture(scope="module", params=INVERSE)
def case(request):
    return request.param, family_fit(request.param, draws=40)


def population(fit):
    """Plugging in: Intercept + x beta of each draw, (S, 3)."""
    post = fit.idata["posterior"].to_dataset().isel(chain=0)
    slope = post["beta"].sel(term="x").to_numpy()
    return post["Intercept"].to_numpy()[:, None] + slope[:, None] * X


def variances(fit):
    """z' Sigma z of each draw, (S, 3)."""
    post = fit.idata["posterior"].to_dataset().isel(chain=0)
    sd, cor = post["sd_g"].to_numpy(), post["cor_g"].to_numpy()
    sigma = cor * sd[:, :, None] * sd[:, None, :]
    z = np.column_stack([np.ones(3), X])
    return np.einsum("nq,sqr,nr->sn", z, sigma, z)


def test_population_is_the_mean_at_zero_effects(case):
    name, fit = case
    found = flat(fit.predict(pd.DataFrame({"x": X}), draws=True))
    np.testing.assert_allclose(found, INVERSE[name](population(fit)), rtol=1e-10)


def test_marginal_is_the_integral_by_gauss_and_hermite(case):
    name, fit = case
    found = flat(fit.predict(pd.DataFrame({"x": X}), target="marginal", draws=True))
    nodes, weights = hermgauss(120)
    moved = population(fit)[..., None] + np.sqrt(2 * variances(fit))[..., None] * nodes
    wanted = (INVERSE[name](moved) * weights).sum(axis=-1) / np.sqrt(np.pi)
    # ours has 41 nodes
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_new_group_is_brute_force(case):
    """Means of new levels of one draw against those of effects drawn by NumPy from its Sigma."""
    name, fit = case
    n, s = 1500, 7
    rows = pd.DataFrame({"x": X[2], "g": [f"new{j}" for j in range(n)]})
    found = flat(fit.predict(rows, target="new_group", draws=True))[s]
    post = fit.idata["posterior"].to_dataset().isel(chain=0, draw=s)
    sd = post["sd_g"].to_numpy()
    sigma = post["cor_g"].to_numpy() * np.outer(sd, sd)
    b = np.random.default_rng(1).multivariate_normal([0, 0], sigma, size=n)
    brute = INVERSE[name](population(fit)[s, 2] + b @ [1, X[2]])
    assert stats.ks_2samp(found, brute).pvalue > 0.001
    assert len(np.unique(found)) > 0.99 * n


def test_on_a_link_the_difference_of_targets_is_told_and_seen(case):
    name, fit = case
    rows = pd.DataFrame({"x": X})
    at_zero, averaged = (fit.predict(rows, target=t) for t in ("population", "marginal"))
    assert "target population" in at_zero.title
    assert "target marginal" in averaged.title
    if name == "gaussian":
        assert at_zero.note == ""
        np.testing.assert_allclose(at_zero["estimate"], averaged["estimate"])
    else:
        assert "is not the mean over groups: that is target='marginal'" in at_zero.note
        draws = (fit.predict(rows, target=t, draws=True) for t in ("population", "marginal"))
        zero, over = (d.mean(("chain", "draw")).to_numpy() for d in draws)
        assert (np.abs(zero - over) > 1e-3).all()


def test_the_title_of_a_plot_names_the_target():
    fit = family_fit("poisson")
    for target in ("population", "marginal"):
        axis = fit.plot.predictions("x", target=target)
        assert f"target {target}" in axis.get_title(loc="left")
    axis = fit.plot.predictions("x", group="g")
    assert "target group: levels of g, and population" in " ".join(
        axis.get_title(loc="left").split()
    )
    axes = fit.plot.predictions("x", group="g", panels=True)
    (legend,) = axes[0].figure.legends
    assert "target group" in legend.get_title().get_text()


def test_on_a_link_the_plot_shows_both():
    fit = family_fit("poisson")
    axis = fit.plot.predictions("x")
    marginal = fit.predict(fit.grid("x", n=60), target="marginal")["estimate"]
    (dashed,) = [a for a in axis.get_lines() if a.get_linestyle() == "--"]
    np.testing.assert_allclose(dashed.get_ydata(), marginal)
    assert "marginal: the mean over groups" in [t.get_text() for t in axis.get_legend().get_texts()]
    straight = family_fit("gaussian").plot.predictions("x")
    assert not [a for a in straight.get_lines() if a.get_linestyle() == "--"]


# --- categories -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ordinal():
    return family_fit("ordinal", draws=40)


def test_probabilities_of_categories_by_hand(ordinal):
    rows = pd.DataFrame({"x": X}, index=["r1", "r2", "r3"])
    found = ordinal.predict(rows, kind="probability", draws=True)
    assert found.dims == ("chain", "draw", "row", "category")
    post = ordinal.idata["posterior"].to_dataset().isel(chain=0)
    eta = post["beta"].sel(term="x").to_numpy()[:, None] * X
    upto = expit(post["threshold"].to_numpy()[:, None, :] - eta[..., None])
    wanted = np.diff(upto, axis=-1, prepend=0, append=1)
    np.testing.assert_allclose(found.to_numpy()[0], wanted, atol=1e-12)
    frame = ordinal.predict(rows, kind="probability")
    assert list(frame.index) == list(np.repeat(rows.index, 4))
    assert frame["category"].tolist() == list(ordinal.design.categories) * 3
    np.testing.assert_allclose(frame["mean"], wanted.mean(axis=0).ravel())
    # E[y] is the mean of the numbers of the categories
    mean = ordinal.predict(rows, draws=True).to_numpy()[0]
    np.testing.assert_allclose(wanted @ np.arange(1, 5), mean)


def test_probabilities_of_the_other_targets(ordinal):
    row = pd.DataFrame({"x": X[:1]})
    marginal = ordinal.predict(row, target="marginal", kind="probability", draws=True).to_numpy()
    np.testing.assert_allclose(marginal.sum(axis=-1), 1)
    n = 1000
    many = pd.DataFrame({"x": X[0], "g": [f"new{j}" for j in range(n)]})
    new = ordinal.predict(many, target="new_group", kind="probability", draws=True).to_numpy()[0]
    error = 5 * new.std(axis=1) / np.sqrt(n) + 1e-9
    np.testing.assert_array_less(np.abs(new.mean(axis=1) - marginal[0, :, 0]), error)
    drawn = ordinal.predict(target="group", kind="probability")
    shares = drawn.groupby("category")["mean"].mean()
    assert shares.sum() == pytest.approx(1)


def test_averages_of_probabilities(ordinal):
    slopes = ordinal.slopes("x", kind="probability")
    assert slopes["category"].tolist() == list(ordinal.design.categories)
    assert slopes["mean"].sum() == pytest.approx(0, abs=1e-8)
    contrast = ordinal.contrasts("x", values=(-1, 1), kind="probability")
    means = ordinal.marginal_means("x", values=(-1, 1), kind="probability")
    gap = means.query("x == 1")["mean"].to_numpy() - means.query("x == -1")["mean"]
    np.testing.assert_allclose(contrast["mean"], gap.to_numpy())
    with pytest.raises(NotAvailableError, match="kind='mean'"):
        family_fit("poisson").predict(kind="probability")


def test_the_plot_of_probabilities(ordinal):
    axis = ordinal.plot.predictions("x", kind="probability")
    frame = ordinal.predict(ordinal.grid("x", n=60), kind="probability")
    for line, (_, part) in zip(axis.get_lines(), frame.groupby("category"), strict=True):
        np.testing.assert_allclose(line.get_ydata(), part["mean"])
    assert len(axis.get_legend().get_texts()) == 4
    with pytest.raises(Exception, match="panels=True"):
        ordinal.plot.predictions("x", kind="probability", group="g")
    axes = ordinal.plot.predictions("x", kind="probability", group="g", panels=True)
    assert len(axes) == 24


# --- Bambi ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:For backward compatibility:pandas.errors.Pandas4Warning")
def test_bambis_interpret_says_the_same_of_known_levels():
    """Predictions, a comparison and a slope for named levels, where its target is our group."""
    import bambi as bmb
    import xarray as xr

    data = table()
    fit = made_up_fit("y ~ x + (x || pop)", data)
    post = fit.idata["posterior"].to_dataset()
    model = bmb.Model("y ~ x + (x | pop)", data, center_predictors=False)
    model.build()
    renamed = {"pop": "pop__factor_dim"}
    theirs = xr.Dataset(
        {
            "Intercept": post["Intercept"],
            "x": post["beta"].sel(term="x", drop=True),
            "1|pop": post["b_pop"].sel(pop_term="Intercept", drop=True).rename(renamed),
            "x|pop": post["b_pop"].sel(pop_term="x", drop=True).rename(renamed),
            "sigma": post["sigma"],
        },
        coords={"pop__factor_dim": list(fit.design.block("pop").levels)},
    )
    observed = xr.Dataset(
        {"y": ("__obs__", data["y"].to_numpy())}, coords={"__obs__": np.arange(len(data))}
    )
    tree = xr.DataTree.from_dict({"posterior": theirs, "observed_data": observed})
    at = {"x": [6.0, 12.0], "pop": ["P1", "P3"]}
    rows = pd.DataFrame({"x": [6.0, 6.0, 12.0, 12.0], "pop": ["P1", "P3", "P1", "P3"]})

    def summary(result):
        return getattr(result, "summary", result)

    found = summary(bmb.interpret.predictions(model, tree, conditional=at))
    ours = fit.predict(rows, target="group", point="mean").merge(
        found, on=["x", "pop"], suffixes=("", "_b")
    )
    assert len(ours) == 4
    np.testing.assert_allclose(ours["estimate"], ours["estimate_b"])
    step = summary(
        bmb.interpret.comparisons(
            model, tree, contrast={"x": [6.0, 12.0]}, conditional={"pop": ["P1", "P3"]}
        )
    )
    mine = fit.contrasts("x", rows, values=(6.0, 12.0), by="pop", target="group", point="mean")
    np.testing.assert_allclose(np.sort(step["estimate"]), np.sort(mine["estimate"]))
    slope = summary(bmb.interpret.slopes(model, tree, wrt={"x": 8.0}, conditional={"pop": ["P1"]}))
    slopes = fit.slopes("x", rows, by="pop", target="group", point="mean")
    one = slopes.set_index("pop").loc["P1", "estimate"]
    # a finite difference, theirs of a step of 1e-4
    assert slope["estimate"].iloc[0] == pytest.approx(one, rel=1e-5)
