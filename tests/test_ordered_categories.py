"""Ordered categories are the user's: his numbers, or his words, and those without rows, too."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up_families import posterior_of, with_response
from matplotlib import pyplot as plt
from scipy import stats
from scipy.special import expit

import hiermodels as hm
from hiermodels.data import select_rows
from hiermodels.design import build_design
from hiermodels.errors import DataError, GroupingWarning, NotAvailableError
from hiermodels.families import family
from hiermodels.fitting import Model
from hiermodels.formula import parse
from hiermodels.nesting import find_nesting
from hiermodels.priors import build_priors
from hiermodels.results import Fit

#: Four categories, as the user has them, and the numbers that they are.
NUMBERS = {
    "from one": (list(range(1, 5)), [1, 2, 3, 4]),
    "from zero": (list(range(4)), [0, 1, 2, 3]),
    "in tens": ([10, 20, 30, 40], [10, 20, 30, 40]),
    "declared, uneven": (pd.CategoricalDtype([1, 2, 5, 10], ordered=True), [1, 2, 5, 10]),
    "declared, text": (pd.CategoricalDtype(["1", "2", "5", "10"], ordered=True), [1, 2, 5, 10]),
    "not declared, text": (["10", "2", "5", "1"], [1, 2, 5, 10]),
    "in no order": (pd.CategoricalDtype([10, 1, 5, 2]), [1, 2, 5, 10]),
    "the best first": (pd.CategoricalDtype([4, 3, 2, 1], ordered=True), [4, 3, 2, 1]),
    "halves": (pd.CategoricalDtype([0.5, 1.0, 1.5, 2.0], ordered=True), [0.5, 1, 1.5, 2]),
}
WORDS = pd.CategoricalDtype(["low", "mid", "high", "top"], ordered=True)


def frame(labels: object, *, seed: int = 2, n: int = 160) -> pd.DataFrame:
    """Rows of 16 groups, their responses labels of every kind."""
    rng = np.random.default_rng(seed)
    declared = isinstance(labels, pd.CategoricalDtype)
    known = labels.categories.tolist() if declared else labels
    y = pd.Series([known[k] for k in np.arange(n) % 4])
    return pd.DataFrame(
        {
            "y": y.astype(labels) if declared else y,
            "x": rng.normal(size=n),
            "g": [f"g{j:02d}" for j in rng.permutation(n) % 16],
        }
    )


def made(labels: object, *, spread: float = 0.3, draws: int = 60) -> Fit:
    """A fit of made-up draws to these labels."""
    model = Model("y ~ x + (1 | g)", frame(labels), family="ordinal")
    tree = posterior_of(model, seed=4, draws=draws, spread=spread)
    fit = Fit(design=model.design, priors=model.priors, idata=tree)
    return with_response(fit, model.design.response)


def probabilities(fit: Fit, x: np.ndarray, groups: bool = False) -> np.ndarray:
    """P(y = k) from the draws: (S, rows, K)."""
    post = fit.idata["posterior"].to_dataset().isel(chain=0)
    eta = post["beta"].to_numpy() * x
    if groups:
        eta = eta + post["b_g"].to_numpy()[:, fit.design.block("g").index, 0]
    upto = expit(post["threshold"].to_numpy()[:, None, :] - eta[..., None])
    return np.diff(upto, axis=-1, prepend=0, append=1)


@pytest.mark.parametrize("link", ["logit", "probit"])
@pytest.mark.parametrize("scores", [None, (1.0, 2.0, 5.0, 10.0), (4.0, 3.0, 2.0, -1.0)])
def test_moments_are_of_the_scores(link, scores):
    of = replace(family("ordinal", link=link), scores=scores)
    edges = np.array([-np.inf, -1.0, 0.5, 2.0, np.inf])
    upto = {"logit": stats.logistic.cdf, "probit": stats.norm.cdf}[link](edges - 0.4)
    p, s = np.diff(upto), np.arange(4) if scores is None else np.array(scores)
    aux = {"threshold": edges[1:-1]}
    assert of.mean(np.array(0.4), aux) == pytest.approx(p @ s, rel=1e-12)
    assert of.variance(np.array(0.4), aux) == pytest.approx(p @ s**2 - (p @ s) ** 2, rel=1e-12)
    np.testing.assert_array_equal(of.on_scale(np.arange(4.0)), s)


@pytest.mark.parametrize("name", NUMBERS)
def test_means_and_residuals_are_of_the_users_numbers(name):
    labels, numbers = NUMBERS[name]
    fit, s = made(labels), np.array(numbers, dtype=float)
    assert [float(c) for c in fit.design.categories] == numbers
    y = frame(labels)["y"].astype(float).to_numpy()
    rows = pd.DataFrame({"x": [-1.0, 0.3, 2.0]})
    p = probabilities(fit, rows["x"].to_numpy())
    np.testing.assert_allclose(fit.predict(rows, draws=True).to_numpy()[0], p @ s, rtol=1e-12)
    assert set(np.unique(fit.predict(rows, kind="response", draws=True))) <= set(numbers)
    effect = fit.contrasts("x", values=[0, 1], newdata=rows)
    low, high = (probabilities(fit, np.array([v]))[:, 0] @ s for v in (0.0, 1.0))
    assert effect["lower"].iloc[0] == pytest.approx(np.quantile(high - low, 0.025))
    assert effect["upper"].iloc[0] == pytest.approx(np.quantile(high - low, 0.975))
    own = probabilities(fit, frame(labels)["x"].to_numpy(), groups=True)
    mean = (own @ s).mean(axis=0)
    variance = ((own @ s**2) - (own @ s) ** 2).mean(axis=0)
    found = fit.residuals()
    # group effects are kept in single precision
    np.testing.assert_allclose(found["observed"], y)
    np.testing.assert_allclose(found["fitted"], mean, rtol=1e-5)
    np.testing.assert_allclose(found["residual"], y - mean, atol=1e-4)
    pearson = fit.residuals("pearson")["residual"]
    np.testing.assert_allclose(pearson, (y - mean) / np.sqrt(variance), atol=1e-4)
    np.testing.assert_allclose(fit.augment()[".resid"], y - np.median(own @ s, axis=0), atol=1e-4)
    assert set(np.unique(fit.posterior_predictive(20))) <= set(numbers)
    assert fit.ppc()["observed"].iloc[0] == pytest.approx(y.mean())


def test_variance_is_that_of_the_users_numbers():
    """Against quadrature over the groups of each row, at one draw of the parameters."""
    fit = made(NUMBERS["declared, uneven"][0], spread=0.0, draws=40)
    s = np.array([1.0, 2.0, 5.0, 10.0])
    post = fit.idata["posterior"].to_dataset().isel(chain=0, draw=0)
    x = frame(NUMBERS["declared, uneven"][0])["x"].to_numpy()
    sd = float(post["sd_g"].squeeze())
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    weights = weights / weights.sum()
    eta = float(post["beta"].squeeze()) * x[:, None] + sd * nodes
    upto = expit(post["threshold"].to_numpy() - eta[..., None])
    p = np.diff(upto, axis=-1, prepend=0, append=1)
    within = (p @ s**2 - (p @ s) ** 2) @ weights
    between = ((p @ s) ** 2) @ weights - ((p @ s) @ weights) ** 2
    table = fit.variance_table(scale="data").set_index("component")
    assert table.loc["residual", "variance"] == pytest.approx(within.mean(), rel=2e-3)
    assert table.loc["g", "variance"] == pytest.approx(between.mean(), rel=2e-3)
    assert "numbered from 0" not in fit.variance_table(scale="data").title


def test_shrinkage_does_not_depend_on_the_labels():
    found = [
        made(NUMBERS[name][0]).shrinkage("g")["shrinkage"].to_numpy()
        for name in ("from zero", "declared, uneven")
    ]
    np.testing.assert_allclose(*found)


# --- words ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def words():
    return made(WORDS)


def test_words_have_probabilities_and_no_mean(words):
    rows = pd.DataFrame({"x": [-1.0, 0.5]})
    p = probabilities(words, rows["x"].to_numpy()).mean(axis=0)
    found = words.predict(rows)
    assert found["category"].tolist() == list(WORDS.categories) * 2
    np.testing.assert_allclose(found["mean"], p.ravel(), rtol=1e-12)
    assert list(words.contrasts("x", values=[0, 1])["category"]) == list(WORDS.categories)
    for kind in ("mean", "response"):
        with pytest.raises(
            NotAvailableError, match=r"words \(low, mid, high, top\).*'probability'"
        ):
            words.predict(rows, kind=kind)
    for kind in ("response", "pearson"):
        with pytest.raises(NotAvailableError, match="'quantile'"):
            words.residuals(kind)
    with pytest.raises(NotAvailableError, match="'latent'"):
        words.variance_table(scale="data")
    with pytest.raises(NotAvailableError, match="share of each category"):
        words.ppc("sd")


def test_words_in_residuals_and_predictive_checks(words):
    y = frame(WORDS)["y"].astype(str).to_numpy()
    post = words.idata["posterior"].to_dataset().isel(chain=0)
    eta = post["beta"].to_numpy() * frame(WORDS)["x"].to_numpy()
    eta = (eta + post["b_g"].to_numpy()[:, words.design.block("g").index, 0]).mean(axis=0)
    found = words.residuals()
    assert found["observed"].tolist() == y.tolist()
    np.testing.assert_allclose(found["fitted"], eta, atol=1e-5)
    assert ".resid" not in words.augment()
    shares = words.ppc()
    assert shares["statistic"].tolist() == [f"share of {c}" for c in WORDS.categories]
    np.testing.assert_allclose(shares["observed"], [(y == c).mean() for c in WORDS.categories])
    made_y = words.posterior_predictive(60)
    assert set(np.unique(made_y.astype(str))) <= set(WORDS.categories)
    own = words.ppc(lambda v: float(np.mean(v == "low")))
    assert own["observed"].iloc[0] == shares["observed"].iloc[0]
    assert len(words.check().table()) > 5


def test_pictures_of_words(words):
    words.plot.predictions("x", group="g")
    words.plot.predictions("x")
    assert words.plot.residuals().get_xlabel() == "linear predictor"
    words.plot.check()
    plt.close("all")


@pytest.mark.parametrize("labels", [WORDS, NUMBERS["declared, uneven"][0]])
def test_the_picture_of_a_predictive_check_has_the_categories(labels):
    axis = made(labels).plot.ppc()
    assert [t.get_text() for t in axis.get_xticklabels()] == [str(c) for c in labels.categories]
    bars = [bar.get_height() for bar in axis.patches]
    assert bars == frame(labels)["y"].value_counts().reindex(labels.categories).tolist()
    plt.close("all")


# --- categories without rows, and the order -------------------------------------------------------


def ordinal(labels: object) -> Model:
    return Model("y ~ x", frame(labels), family="ordinal")


def test_a_number_between_the_others_is_asked_for():
    with pytest.raises(DataError, match=r"no row has y 3; .* found are 1, 2, 4, 5") as error:
        ordinal([1, 2, 4, 5])
    # either answer is a line
    assert "categories=[1, 2, 3, 4, 5], ordered=True" in str(error.value)
    assert "categories=[1, 2, 4, 5], ordered=True" in str(error.value)
    both = {
        (1, 2, 3, 4, 5): pd.CategoricalDtype([1, 2, 3, 4, 5], ordered=True),
        (1, 2, 4, 5): pd.CategoricalDtype([1, 2, 4, 5], ordered=True),
    }
    for categories, labels in both.items():
        data = frame([1, 2, 4, 5]).assign(y=lambda d, t=labels: d["y"].astype(t))
        assert Model("y ~ x", data, family="ordinal").design.categories == categories


def test_words_without_an_order_are_refused():
    for labels in (pd.CategoricalDtype(list(WORDS.categories)), list(WORDS.categories)):
        with pytest.raises(DataError, match="labels without an order, such as"):
            ordinal(labels)
    with pytest.raises(DataError, match="without an order"):
        ordinal(["1", "2", "3", "more"])


def test_a_declared_category_without_rows_is_kept_and_told():
    five = pd.CategoricalDtype(["low", "mid", "high", "top", "never"], ordered=True)
    design = Model("y ~ x + (1 | g)", frame(five), family="ordinal").design
    assert design.categories == tuple(five.categories)
    assert design.n_thresholds == 4
    (told,) = [f for f in find_nesting(design) if f.kind == "category without rows"]
    assert told.certain
    assert "No row has y never." in str(told)
    assert "remove_unused_categories" in str(told)
    trimmed = frame(five).assign(y=lambda d: d["y"].cat.remove_unused_categories())
    found = find_nesting(Model("y ~ x", trimmed, family="ordinal").design)
    assert not [f for f in found if f.kind == "category without rows"]


def test_the_probability_of_a_category_without_rows():
    """Against quadrature over two thresholds, with their prior: Normal(0, 3), in order."""
    data = pd.DataFrame(
        {"y": pd.Categorical(["a"] * 12 + ["b"] * 18, categories=["a", "b", "c"], ordered=True)}
    )
    with pytest.warns(GroupingWarning, match="No row has y c"):
        fit = hm.fit("y ~ 1", data, family="ordinal", draws=2000, random_seed=1, progressbar=False)
    found = fit.predict(pd.DataFrame(index=[0], data={"any": [0]}), draws=True)
    grid = np.linspace(-8, 16, 2401)
    first, second = np.meshgrid(grid, grid, indexing="ij")
    density = np.where(first < second, 12 * np.log(expit(first)), -np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        density = density + 18 * np.log(expit(second) - expit(first))
    density += stats.norm.logpdf(first, 0, 3) + stats.norm.logpdf(second, 0, 3)
    weights = np.exp(np.where(np.isfinite(density), density - np.nanmax(density), -np.inf))
    right = float((weights * expit(-second)).sum() / weights.sum())
    draws = found.to_numpy()[..., 0, 2]
    # 8000 draws, of which at least 800 count
    assert draws.mean() == pytest.approx(right, abs=4 * draws.std() / np.sqrt(800))
    assert 0.005 < right < 0.05


def test_a_file_with_a_gap_still_opens(tmp_path):
    """Saved before gaps were asked for."""
    formula, of = parse("y ~ x + (1 | g)"), family("ordinal")
    design = build_design(formula, select_rows(formula, frame([1, 2, 4, 5])), of)
    model = Model.of(design, build_priors(design, None))
    tree = posterior_of(model, seed=4, draws=20, spread=0.3)
    fit = Fit(design=design, priors=model.priors, idata=tree)
    fit.save(tmp_path / "old.hm")
    again = hm.load(tmp_path / "old.hm")
    assert again.design.categories == (1, 2, 4, 5)
    rows = pd.DataFrame({"x": [0.0]})
    pd.testing.assert_frame_equal(again.predict(rows), fit.predict(rows))


def test_a_saved_fit_keeps_its_scores(tmp_path, words):
    for k, fit in enumerate((words, made(NUMBERS["declared, uneven"][0]))):
        fit.save(tmp_path / f"{k}.hm")
        again = hm.load(tmp_path / f"{k}.hm")
        assert again.design.categories == fit.design.categories
        assert again.design.family.scores == fit.design.family.scores


def test_r_is_told_the_categories():
    """An integer response of brms has all categories from 1 to its maximum."""
    for labels, told in (([1, 2, 3, 4], "1, 2, 3, 4"), (NUMBERS["in tens"][0], "10, 20, 30, 40")):
        code = str(Model("y ~ x + (1 | g)", frame(labels), family="ordinal").to_r())
        assert "drop_unused_levels" not in code
        assert f"data$y <- factor(data$y, levels = c({told}), ordered = TRUE)" in code
    five = pd.CategoricalDtype(["low", "mid", "high", "top", "never"], ordered=True)
    empty = str(Model("y ~ x + (1 | g)", frame(five), family="ordinal").to_r())
    assert "drop_unused_levels = FALSE" in empty


def test_a_report_of_words(tmp_path):
    fit = hm.fit(
        "y ~ x + (1 | g)",
        frame(WORDS),
        family="ordinal",
        draws=100,
        random_seed=1,
        progressbar=False,
    )
    # of two scales there is one
    assert "latent" in fit.variance_table().title
    fit.report(tmp_path / "page.html")
    assert "Probability of each category along x" in (tmp_path / "page.html").read_text()
