"""The point estimate: medians everywhere, means where they are asked for and exist."""

from __future__ import annotations

import inspect
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hiermodels as hm
from hiermodels import Model, Prior
from hiermodels.errors import UnknownNameError
from hiermodels.numbers.draws import POINTS, Moments, level_interval, summarise
from hiermodels.numbers.tails import good_k, heavy_sds, pareto_k
from hiermodels.printing import Table, format_interval
from hiermodels.priors import build_priors
from hiermodels.results import Fit
from tests.made_up import made_up_fit, random_posterior
from tests.made_up_families import family_fit

INFINITE = "infinite under the HalfStudentT prior of"


def squares(fit: Fit, z: np.ndarray, factor: str = "site") -> np.ndarray:
    """V = z' Sigma z of each draw, from the posterior itself."""
    post = fit.idata["posterior"].to_dataset().stack(s=("chain", "draw"))
    sd = post[f"sd_{factor}"].transpose("s", ...).to_numpy()
    cor = np.broadcast_to(np.eye(sd.shape[1]), (len(sd), sd.shape[1], sd.shape[1]))
    if f"cor_{factor}" in post:
        cor = post[f"cor_{factor}"].transpose("s", ...).to_numpy()
    return np.einsum("k,sk,skl,sl,l->s", z, sd, cor, sd, z)


def line(fit: Fit, x: float) -> np.ndarray:
    """eta of a group with effects of zero, (S,)."""
    post = fit.idata["posterior"].to_dataset().stack(s=("chain", "draw"))
    return post["Intercept"].to_numpy() + x * post["beta"].sel(term="x").to_numpy()


@pytest.fixture(scope="module")
def sites() -> Fit:
    data = hm.load_dataset("sites_nb")
    model = Model("y ~ x + (x | site)", data, family="negbinomial")
    return model.fit(random_seed=1, progressbar=False)


# --- a mean that does not exist -------------------------------------------------------------------


def test_a_mean_over_groups_on_a_log_link_is_a_median(sites):
    """E[y] = exp(eta + V / 2) in closed form, of which the average of the draws is noise."""
    values = np.exp(line(sites, 10.0) + squares(sites, np.array([1.0, 10.0])) / 2)
    new = pd.DataFrame({"x": [10.0]})
    found = sites.predict(new, target="marginal")
    assert "posterior median" in found.title
    # the quadrature of the largest spreads is not exact; the median is of moderate ones
    assert found["estimate"].item() == pytest.approx(np.median(values), rel=1e-3)
    assert values.mean() > 10 * np.median(values), "or nothing is shown"
    assert np.isnan(found["sd"].item())
    mean = sites.predict(new, target="marginal", point="mean")
    assert np.isnan(mean["estimate"].item())
    assert f"{INFINITE} sd_site[Intercept], sd_site[x]; point='median'" in mean.note
    assert "– [" in str(mean)
    assert mean["lower"].item() == found["lower"].item()


def test_the_data_scale_has_medians(sites):
    found = sites.variance_table(scale="data")
    parts = sites.components(scale="data")
    assert found["variance"].iloc[-1] == pytest.approx(np.median(parts.total))
    assert "median" in found.title
    mean = sites.variance_table(scale="data", point="mean")
    assert mean[["sd", "variance", "cv2"]].isna().all(axis=None)
    shares = parts.groups[:, 0] / parts.total
    assert mean["percent"].iloc[0] == pytest.approx(100 * shares.mean())
    assert INFINITE in mean.note
    latent = sites.variance_table(scale="latent", point="mean")
    assert latent["variance"].notna().all()
    assert latent["cv2"].isna().all()


@pytest.mark.parametrize("target", ["marginal", "new_group"])
def test_a_prior_as_light_as_a_normal_one_has_a_mean(target):
    """E[exp(sd^2 / 2)] is finite under HalfNormal(0.3), and infinite under a HalfCauchy."""
    made = family_fit("poisson", "y ~ x + (1 | g)", draws=400)
    new = pd.DataFrame({"x": [1.0], "g": ["new"]})
    for prior, exists in ((Prior("HalfNormal", sigma=0.3), True), (Prior("HalfCauchy", beta=1), 0)):
        fit = replace(made, priors=build_priors(made.design, {"sd_g": prior}))
        found = fit.predict(new, target=target, point="mean")
        draws = fit.predict(new, target=target, draws=True).to_numpy().ravel()
        assert (pareto_k(draws[:, None]) < good_k(400)).all(), "or k would say so, too"
        wanted = draws.mean() if exists else np.nan
        assert found["estimate"].item() == pytest.approx(wanted, nan_ok=True)
        assert ("HalfCauchy prior of sd_g[Intercept]" in found.note) is not bool(exists)
        # of a known group, or of effects at zero, nothing is averaged over groups
        other = fit.predict(pd.DataFrame({"x": [1.0]}), point="mean")
        assert np.isfinite(other["estimate"]).all()


def test_which_sds_have_no_mean():
    data = pd.DataFrame({"y": [1, 2, 3, 4.0], "x": [0.0, 1, 0, 2], "g": list("aabb")})
    counts = data.assign(y=data["y"].astype(int))
    cases = {
        ("gaussian", "y ~ x + (1 | g)"): {},
        ("poisson", "y ~ x + (x || g)"): dict.fromkeys(
            ("sd_g[Intercept]", "sd_g[x]"), "HalfStudentT"
        ),
        ("gamma", "y ~ x + (1 | g)"): {"sd_g[Intercept]": "HalfStudentT"},
        ("lognormal", "y ~ x"): {"sigma": "HalfStudentT"},
    }
    for (family, formula), wanted in cases.items():
        model = Model(formula, counts if family == "poisson" else data, family=family)
        assert heavy_sds(model.design, model.priors) == wanted
    priors = {"sd_g": Prior("Weibull", alpha=1.5, beta=1)}
    model = Model("y ~ (1 | g)", counts, family="poisson", priors=priors)
    assert list(heavy_sds(model.design, model.priors)) == ["sd_g[Intercept]"]


def test_the_ratio_of_two_means_exists_where_what_is_infinite_cancels():
    """exp(beta dx) with intercepts alone, exp(beta dx + (V_1 - V_0) / 2) with slopes."""
    data = pd.DataFrame({"y": np.tile([0, 2, 1, 4], 15), "x": np.tile([0.0, 1, 2], 20)})
    data["site"] = np.repeat(list("abcdef"), 10)
    ask = {"values": (0, 1), "comparison": "ratio", "target": "marginal"}
    fit = random_posterior(Model("y ~ x + (1 | site)", data, family="poisson"), draws=2000)
    ratio = np.exp(line(fit, 1.0) - line(fit, 0.0))
    assert fit.contrasts("x", **ask)["estimate"].item() == pytest.approx(np.median(ratio))
    mean = fit.contrasts("x", point="mean", **ask)
    assert mean["estimate"].item() == pytest.approx(ratio.mean())
    fit = random_posterior(Model("y ~ x + (x | site)", data, family="poisson"))
    spreads = [squares(fit, np.array([1.0, x])) for x in (0.0, 1.0)]
    ratio = np.exp(line(fit, 1.0) - line(fit, 0.0) + (spreads[1] - spreads[0]) / 2)
    # quadrature with 41 nodes of sds near 1
    assert fit.contrasts("x", **ask)["estimate"].item() == pytest.approx(np.median(ratio), rel=1e-6)
    mean = fit.contrasts("x", point="mean", **ask)
    assert np.isnan(mean["estimate"].item())
    assert INFINITE in mean.note
    difference = fit.contrasts("x", point="mean", **{**ask, "comparison": "difference"})
    assert np.isnan(difference["estimate"].item())


def test_draws_that_cannot_be_averaged_are_told_by_pareto_k():
    """Pareto tails with P(X > x) = x^-a have k = 1 / a; ours is that of ArviZ."""
    assert good_k(4000) == 0.7
    assert good_k(100) == pytest.approx(0.5)
    rng = np.random.default_rng(0)
    draws = np.column_stack([rng.pareto(1.0, 4000), -rng.pareto(1.0, 4000), rng.normal(size=4000)])
    found = summarise(draws, point="mean", ci_prob=0.95)
    np.testing.assert_array_equal(np.isnan(found.estimate), [True, True, False])
    assert found.estimate[2] == pytest.approx(draws[:, 2].mean())
    assert np.isfinite(found.lower).all()
    # the sd of k from 190 values of a tail is (1 + k) / sqrt(190); the prior of ArviZ pulls to 1/2
    for k in (1.0, 1.4):
        wanted = (190 * k + 10 * 0.5) / 200
        fitted = pareto_k(rng.pareto(1 / k, (4000, 20))).mean()
        assert fitted == pytest.approx(wanted, abs=4 * (1 + k) / np.sqrt(190 * 20) + 0.05)
    rare = np.column_stack([rng.random(4000) < 0.01, rng.poisson(0.1, 4000), np.ones(4000)])
    assert np.isfinite(summarise(rare, point="mean", ci_prob=0.9).estimate).all()


def test_a_table_says_that_the_draws_cannot_average():
    fit = made_up_fit("y ~ x + (1 | pop)")
    heavy = np.random.default_rng(0).pareto(0.7, fit.draws.n)
    # the property keeps what it was asked for first
    fit.__dict__["draws"] = replace(fit.draws, intercept=heavy)
    found = fit.fixef(point="mean")
    assert found["estimate"].isna().tolist() == [True, False]
    assert "A dash stands for a mean that these draws cannot average" in found.note
    assert fit.fixef()["estimate"].iloc[0] == np.median(heavy)
    assert fit.fixef().note == ""


# --- one word -------------------------------------------------------------------------------------

#: What tells a story, with medians in it, or has no estimate.
WITHOUT_POINT = {"describe", "ppc", "report"}


def public_tables(fit: Fit, point: str) -> dict[str, Table]:
    """Every table of estimates that needs no other fit."""
    asked = {
        "marginal_means": ("x", {"values": (0.0, 1.0)}),
        "contrasts": ("x", {"values": (0.0, 1.0)}),
        "slopes": ("x", {}),
    }
    made = {}
    for name, method in inspect.getmembers(Fit, inspect.isfunction):
        if "point" not in inspect.signature(method).parameters or name in (
            *("tidy", "augment", "drop_terms", "influence"),
        ):
            continue
        x, more = asked.get(name, (None, {}))
        given = () if x is None else (x,)
        if "group" in inspect.signature(method).parameters:
            more = {**more, "group": "pop"}
        found = method(fit, *given, point=point, **more)
        made |= (
            {f"{name} {k}": t for k, t in enumerate(found.tables) if len(t)}
            if name == "summary"
            else {name: found}
        )
    return made


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("formula", ["y ~ x + (x | pop)", "y ~ x + (1 | pop/patch)"])
def test_every_title_has_the_word(point, formula):
    tables = public_tables(made_up_fit(formula), point)
    assert len(tables) > 15
    other = next(p for p in POINTS if p != point)
    for name, table in tables.items():
        assert f"(posterior {point}, 95 % interval)" in table.title, name
        assert f"posterior {other}" not in table.title, name


def test_every_method_with_an_interval_has_a_point():
    for name, method in inspect.getmembers(Fit, inspect.isfunction):
        parameters = inspect.signature(method).parameters
        if "ci_prob" in parameters and name not in WITHOUT_POINT:
            assert parameters["point"].default == "median", name
    for function in (hm.pooling, hm.squeeze_sensitivity):
        assert inspect.signature(function).parameters["point"].default == "median"


def test_another_point_is_an_error_that_lists_both():
    fit = made_up_fit("y ~ x + (1 | pop)")
    for call in (
        lambda: fit.fixef(point="mode"),
        lambda: fit.tidy(point="mode"),
        lambda: fit.drop_terms(point="mode"),
        lambda: fit.influence(point="mode"),
        lambda: fit.plot.forest("pop", point="mode"),
        lambda: fit.predict(point="mode"),
    ):
        with pytest.raises(UnknownNameError, match=r"no point .mode.\. Valid: mean, median"):
            call()


def test_means_are_those_of_the_draws():
    fit = made_up_fit("y ~ x + (x | pop)")
    beta = fit.draws.beta[:, 0]
    assert fit.fixef(point="mean")["estimate"].iloc[1] == pytest.approx(beta.mean())
    assert fit.tidy("fixed", point="mean")["estimate"].iloc[1] == pytest.approx(beta.mean())
    assert fit.slopes("x", point="mean")["estimate"].item() == pytest.approx(beta.mean())
    rows = fit.predict(target="group", draws=True).mean(("chain", "draw"))
    np.testing.assert_allclose(fit.augment(point="mean")[".fitted"], rows)
    axis = fit.plot.forest("pop", term="x", point="mean")
    assert "posterior mean and 95 % interval" in axis.get_xlabel()


def test_where_some_draws_were_kept_the_median_has_their_shape():
    """A gamma scaled to other moments: its median is that of the moments it was given."""
    fit = made_up_fit("y ~ x + (1 | pop)")
    n, shape = 4000, 3.0
    at = (np.arange(n) + 0.5) / n
    some = np.repeat(stats.gamma.ppf(at, shape)[:, None, None], 5, axis=1)
    mean, sd = np.full((5, 1), 10.0), np.full((5, 1), 2.0)
    draws = replace(
        fit.draws.without_effects(np.resize(np.arange(fit.draws.n), n)),
        effects={"pop": some},
        kept=np.arange(n),
        moments={"pop": {"effects": Moments(mean=mean, sd=sd)}},
    )
    found = level_interval(draws, "pop", "effects", lambda: some, ci_prob=0.95)
    wanted = 10 + 2 * (stats.gamma.ppf([0.025, 0.5, 0.975], shape) - shape) / np.sqrt(shape)
    # the sd of 4,000 midpoints is a little below that of the distribution
    for end, value in zip((found.lower, found.estimate, found.upper), wanted, strict=True):
        np.testing.assert_allclose(end, value, rtol=3e-3)
    exact = level_interval(draws, "pop", "effects", lambda: some, point="mean", ci_prob=0.95)
    np.testing.assert_array_equal(exact.estimate, mean)


# --- expectations by definition -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bernoulli", "binomial", "poisson", "zi_poisson", "ordinal"])
def test_a_new_response_that_is_counted_has_its_average(name):
    fit = family_fit(name, draws=400)
    found = fit.predict(target="group", kind="response")
    draws = fit.predict(target="group", kind="response", draws=True)
    assert "estimate" not in found
    np.testing.assert_allclose(found["mean"], draws.mean(("chain", "draw")))
    assert "posterior mean" in found.title
    assert found.cells(max_rows=5)[0][-2:] == ("mean", "sd")
    assert "estimate" in fit.predict(target="group")


def test_a_new_response_that_is_measured_has_its_median():
    fit = family_fit("gamma")
    found = fit.predict(target="group", kind="response")
    draws = fit.predict(target="group", kind="response", draws=True)
    np.testing.assert_allclose(found["estimate"], draws.median(("chain", "draw")))
    assert "posterior median" in found.title


def test_probabilities_of_categories_add_up():
    found = family_fit("ordinal").predict(target="group", kind="probability")
    assert "posterior mean" in found.title
    np.testing.assert_allclose(found["mean"].to_numpy().reshape(-1, 4).sum(axis=1), 1)


def test_a_count_over_all_groups_has_no_average_either():
    found = family_fit("poisson").predict(target="marginal", kind="response")
    assert found["mean"].isna().all()
    assert "kind='mean' has the median of the mean response" in found.note
    bounded = family_fit("bernoulli").predict(target="marginal", kind="response")
    assert bounded["mean"].notna().all()


# --- in print -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "lower", "upper", "text"),
    [
        (298.2, 28.3, 50182.4, "298 [28, 50180]"),
        (1030578.0, 28.0, 50182.4, "1031000 [28, 50000]"),
        (np.nan, 28.3, 50182.4, "– [28, 50000]"),
        (-298.2, -50182.4, -28.3, "-298 [-50180, -28]"),
        (440.2, 40.1, 73960.0, "440 [40, 73960]"),
        (0.66, 0.0031, 1.32, "0.66 [0.0031, 1.32]"),
        (-0.66, -1.32, -0.0031, "-0.66 [-1.32, -0.0031]"),
        (0.02, 0.0034, 1.5, "0.0200 [0.0034, 1.50]"),
        (0.5, 0.0, 1.04, "0.50 [0.00, 1.04]"),
        (0.5, 1e-9, 1.04, "0.50 [1e-9, 1.04]"),
        (0.5, 1e-17, 1.04, "0.50 [0.00, 1.04]"),
        (12345.6, 4.2, 23456.7, "12300 [4.2, 23500]"),
        (3.1e12, 28.3, 5.2e13, "3.1e12 [28, 5.2e13]"),
        (0.01, -0.4, 0.4, "0.01 [-0.40, 0.40]"),
    ],
)
def test_rounding_hides_no_end(value, lower, upper, text):
    assert format_interval(value, lower, upper) == text


def test_an_end_is_zero_in_print_only_where_it_is_zero():
    """Of intervals of any size, sign and skewness: what is printed is near what was rounded."""
    rng = np.random.default_rng(3)
    for _ in range(3000):
        sizes = 10.0 ** rng.uniform(-5, 8, 2)
        signs = rng.choice([-1.0, 1.0], 2)
        lower, upper = sorted(sizes * signs)
        value = rng.uniform(lower, upper)
        text = format_interval(value, lower, upper)
        low, high = (float(end) for end in text.split("[")[1].rstrip("]").split(", "))
        for printed, end in ((low, lower), (high, upper)):
            assert printed * end > 0, text
            assert abs(printed - end) <= 0.26 * abs(end), text
