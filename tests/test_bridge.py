"""A small Bambi fit, and made-up posteriors in Bambi's layout."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made_up import table

import hiermodels as hm
from hiermodels.errors import DataError, NotAvailableError
from hiermodels.workflows.bridge import from_bambi

bambi = pytest.importorskip("bambi")

#: Bambi's own use of pandas.
pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")

#: Chains, draws.
SHAPE = (2, 60)


def bambi_model(formula="y ~ x + f + (x | pop) + (1 | pop:patch)", data=None):
    return bambi.Model(formula, table() if data is None else data)


def made_up_posterior(model, *, seed=0):
    """Random draws under Bambi's names and dims, without compiling anything."""
    rng, found, coords = np.random.default_rng(seed), {}, {}
    component = model.parameters[model.family.likelihood.parent]
    dims = ("chain", "draw")
    found["Intercept"] = (dims, rng.normal(20, 1, SHAPE))
    for name, term in component.common_terms.items():
        own = list(term.coords)
        size = [len(term.coords[d]) for d in own]
        coords |= term.coords
        found[name] = ((*dims, *own), rng.normal(0, 0.3, (*SHAPE, *size)))
    for name, term in component.group_specific_terms.items():
        own = dict(term.coords)
        coords |= own
        inner = [d for d in own if d.endswith("expr_dim")]
        outer = [d for d in own if d.endswith("factor_dim")]
        sd = rng.gamma(4, 0.2, (*SHAPE, *[len(own[d]) for d in inner]))
        found[f"{name}_sigma"] = ((*dims, *inner), sd)
        levels = [len(own[d]) for d in (*inner, *outer)]
        found[name] = ((*dims, *inner, *outer), rng.normal(0, 0.5, (*SHAPE, *levels)))
    found["sigma"] = (dims, rng.gamma(20, 0.05, SHAPE))
    return xr.DataTree.from_dict({"posterior": xr.Dataset(found, coords=coords)})


@pytest.fixture(scope="module")
def model():
    built = bambi_model()
    built.build()
    return built


@pytest.fixture(scope="module")
def fit(model):
    return from_bambi(model, made_up_posterior(model))


def test_linear_predictor_is_bambis(model, fit):
    """eta by our design and draws, and by Bambi's own matrices and draws."""
    from hiermodels.numbers.effects import linear_predictor

    posterior = made_up_posterior(model)["posterior"]
    design = model.parameters["mu"].design
    common = design.common.as_dataframe()
    size = SHAPE[0] * SHAPE[1]
    eta = posterior["Intercept"].to_numpy().reshape(size, 1) + np.outer(
        posterior["x"].to_numpy().ravel(), common["x"]
    )
    for level in ("low", "mid"):
        effect = posterior["f"].sel(f_dim=level).to_numpy().reshape(size, 1)
        eta = eta + effect * common[f"f[{level}]"].to_numpy()
    data = table()
    cell = data["pop"] + ":" + data["patch"]
    for name, factor, labels, column in (
        ("1|pop", "pop__factor_dim", data["pop"], np.ones(len(data))),
        ("x|pop", "pop__factor_dim", data["pop"], data["x"]),
        ("1|pop:patch", "pop:patch__factor_dim", cell, np.ones(len(data))),
    ):
        chosen = posterior[name].sel({factor: list(labels)}).to_numpy().reshape(size, -1)
        eta = eta + chosen * np.asarray(column)
    np.testing.assert_allclose(linear_predictor(fit.design, fit.draws, groups=True), eta)


def test_the_whole_report(fit):
    assert list(fit.variance_table()["component"]) == [
        "pop",
        "pop",
        "pop:patch",
        "residual",
        "total",
    ]
    assert fit.varcorr()["quantity"].isin(["sd", "variance"]).all()
    for report in (fit.icc, fit.r2, fit.repeatability, fit.variance_left, fit.describe):
        assert len(report()) > 1
    for group in ("pop", "pop:patch"):
        assert len(fit.ranks(group)) == fit.design.block(group).n_levels
        assert len(fit.shrinkage(group)) > 0
    assert "fitted by Bambi" in fit.summary().text()
    assert fit.coef("pop")["shrinkage"].notna().any()


def test_a_bambi_fit_is_saved_and_loaded(fit, tmp_path):
    """With Bambi's independent bars and priors, which no formula of ours would make again."""
    again = hm.load(fit.save(tmp_path / "bambi.hm"))
    assert again.summary().text() == fit.summary().text()
    assert again.priors.rows() == fit.priors.rows()
    for one, other in zip(again.design.blocks, fit.design.blocks, strict=True):
        assert (one.parts, one.levels) == (other.parts, other.levels)
    new = fit.design.rows.frame.iloc[::9]
    pd.testing.assert_frame_equal(
        again.predict(new, target="group"), fit.predict(new, target="group"), check_exact=True
    )


def test_priors_are_bambis(fit):
    assert fit.priors["sd_pop[x]"].given.name == "HalfNormal"
    assert not fit.priors["sd_pop[x]"].default
    assert fit.priors["sigma"].given.parameters["nu"] == 4
    assert fit.priors["f[mid]"].given.parameters["sigma"] > 0
    left = fit.variance_left()
    assert (left["prior_upper"] > left["prior"]).all()


def test_slopes_of_categories():
    model = bambi_model("y ~ f + (f | pop)")
    model.build()
    tree = made_up_posterior(model)
    fit = from_bambi(model, tree)
    assert fit.design.block().terms == ("Intercept", "f[low]", "f[mid]")
    theirs = tree["posterior"]["f|pop"].sel(f__expr_dim="mid", pop__factor_dim="P3")
    np.testing.assert_array_equal(fit.draws.effects["pop"][:, 3, 2], theirs.to_numpy().ravel())


def test_numeric_levels_are_found():
    model = bambi_model("y ~ 1 + (1 | year)")
    model.build()
    fit = from_bambi(model, made_up_posterior(model))
    assert fit.ranef()["level"].tolist() == list(range(2000, 2006))


def test_another_models_posterior(model):
    tree = made_up_posterior(model)
    less = tree["posterior"].to_dataset().drop_vars("x|pop_sigma")
    with pytest.raises(DataError, match="no coefficient 'x', so it is of another model"):
        from_bambi(model, xr.DataTree.from_dict({"posterior": less}))
    less = tree["posterior"].to_dataset().isel(pop__factor_dim=[0, 1, 2, 3])
    with pytest.raises(DataError, match="no level 'P4' of 'pop'"):
        from_bambi(model, xr.DataTree.from_dict({"posterior": less}))
    less = tree["posterior"].to_dataset().drop_vars("sigma")
    with pytest.raises(DataError, match="no 'sigma'"):
        from_bambi(model, xr.DataTree.from_dict({"posterior": less}))


def test_distributional_formulas_are_refused():
    formula = SimpleNamespace(additionals=("sigma ~ x",), main="y ~ x")
    with pytest.raises(NotAvailableError, match="sigma ~ x"):
        from_bambi(SimpleNamespace(formula=formula), None)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_real_fit():
    """The intercept of Bambi's posterior is where every predictor is zero, as ours."""
    model = bambi.Model("y ~ x + (1 | pop)", table())
    idata = model.fit(draws=400, tune=400, chains=2, cores=1, random_seed=1, progressbar=False)
    fit = from_bambi(model, idata)
    import hiermodels as hm

    ours = hm.fit("y ~ x + (1 | pop)", table(), random_seed=1, progressbar=False)
    theirs, mine = fit.fixef(), ours.fixef()
    # 4 Monte Carlo errors of some 300 effective draws, and two defaults of the sd's prior
    np.testing.assert_allclose(
        theirs["estimate"], mine["estimate"], atol=(4 / np.sqrt(300) + 0.15) * mine["sd"].max()
    )
    assert abs(theirs["estimate"] - mine["estimate"]).iloc[1] < 0.4 * mine["sd"].iloc[1]
    assert fit.diagnostics.divergences >= 0
    assert "fitted by Bambi" in repr(fit)
