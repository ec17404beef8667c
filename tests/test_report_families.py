"""The whole report of every family, on random posteriors of its own design."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from made_up import random_posterior, table

from hiermodels.errors import NotAvailableError, UnknownNameError
from hiermodels.families import FAMILIES
from hiermodels.fitting import Model

mpl.use("Agg")

import matplotlib.pyplot as plt

LINEAR = ("gaussian", "student")
FORMULA = "{} ~ z + (z | pop) + (1 | pop:patch)"


def data_of(family):
    """Rows with a response in the support of the family."""
    rng, data = np.random.default_rng(0), table()
    n = len(data)
    share = rng.beta(2, 3, n)
    counts = rng.poisson(3, n)
    y = {
        "beta": share,
        "zi_beta": np.where(rng.uniform(size=n) < 0.2, 0, share),
        "zoi_beta": np.where(rng.uniform(size=n) < 0.2, rng.integers(0, 2, n), share),
        "bernoulli": rng.integers(0, 2, n),
        "binomial": rng.integers(0, 5, n),
        "betabinomial": rng.integers(0, 5, n),
        "ordinal": rng.integers(0, 4, n),
        "gamma": rng.gamma(2, 1, n),
        "lognormal": rng.lognormal(0, 1, n),
        **dict.fromkeys(LINEAR, rng.normal(20, 2, n)),
    }.get(family, counts)
    return data.assign(y=y, trials=rng.integers(5, 9, n))


def fit_of(family, formula=FORMULA, **more):
    left = "y / trials" if FAMILIES[family].trials else "y"
    model = Model(formula.format(left), data_of(family), family=family, **more)
    return random_posterior(model, seed=3, draws=15)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_every_report(family):
    fit = fit_of(family)
    scales = (None,) if family in LINEAR else ("latent", "data")
    assert set(fit.scales) <= set(scales)
    for scale in scales:
        try:
            icc = fit.icc(scale=scale)
        except NotAvailableError:
            assert (family, scale) in {("zi_beta", "latent"), ("zoi_beta", "latent")}
            assert scale not in fit.scales
            continue
        numbers = icc[["icc", "icc_lower", "icc_upper"]]
        assert ((numbers >= 0) & (numbers <= 1)).all(axis=None)
        found = fit.variance_table(scale=scale, common=True)
        assert found["percent"].between(-1e-6, 100 + 1e-6).all()
        assert fit.variance_table(scale=scale, wide=True)["percent_within"].notna().all()
        assert fit.r2(scale=scale)["estimate"].between(0, 1).all()
        assert fit.repeatability(4, scale=scale)["repeatability"].between(0, 1).all()
        assert len(fit.icc(scale=scale, at={"z": [0.0, 1.0]})) == 2 * len(icc)
    if family not in LINEAR:
        with pytest.raises(UnknownNameError, match="say which"):
            fit.icc()
    assert len(fit.ranks("pop")) == 5
    assert fit.coef("pop")["shrinkage"].dropna().between(0, 1).all()
    shrunk = fit.shrinkage("pop")
    assert shrunk["raw"].notna().any()
    assert len(fit.describe()) > 3
    assert len(fit.varcorr())
    assert len(fit.variance_left(threshold=0.1)) == 3
    fit.plot.plane("pop")
    plt.close("all")


@pytest.mark.parametrize("family", ["zi_poisson", "hurdle_negbinomial", "zoi_beta"])
def test_zero_inflation_with_groups(family):
    fit = fit_of(family, zi="~ z + (1 | year)")
    found = fit.icc(scale="data")
    assert "year" in set(found["component"])
    assert found["icc_upper"].max() <= 1
    assert fit.r2(scale="data")["estimate"].between(0, 1).all()
    assert len(fit.ranks("pop")) == 5


@pytest.mark.parametrize("family", ["gaussian", "negbinomial", "beta", "lognormal"])
def test_dispersion_with_groups(family):
    fit = fit_of(family, dispersion="~ (1 | pop)")
    scale = None if family == "gaussian" else "latent"
    assert fit.icc(scale=scale)["icc"].between(0, 1).all()
    assert fit.shrinkage("pop")["shrinkage"].between(0, 1).all()
    assert isinstance(fit.describe()._repr_html_(), str)
    if family == "lognormal":
        with pytest.raises(NotAvailableError, match="no finite mean"):
            fit.icc(scale="data")
    elif family != "gaussian":
        assert fit.icc(scale="data")["icc"].between(0, 1).all()
    assert isinstance(fit.coef("pop"), pd.DataFrame)


def test_the_command_line_writes_both_scales(tmp_path):
    from hiermodels.command.outputs import write_summary, write_tables

    fit = fit_of("poisson")
    names = {path.stem for path in write_tables(fit, tmp_path)}
    assert {"variance_table_latent", "icc_latent", "variance_table_data", "icc_data"} <= names
    page = write_summary(fit, tmp_path).read_text(encoding="utf-8")
    assert "latent scale (log)" in page
    assert "data scale (y)" in page
