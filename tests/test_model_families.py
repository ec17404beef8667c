"""The PyMC model of families with formulas of their own parameters, against scipy row by row."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import special, stats
from test_response import rows

from hiermodels.fitting import Model
from hiermodels.numbers.draws import stack_draws
from hiermodels.posterior import coordinates, dimensions, label_draws, reported_names

MODELS = {
    "zi_negbinomial": (
        "count ~ x + offset(log(effort)) + (x | pop)",
        {"zi": "~ z + (1 | pop) + (1 | year)", "dispersion": "~ x"},
    ),
    "binomial": ("alive / total ~ x + (1 | pop)", {"weights": "count"}),
    "ordinal": ("rating ~ x + f + (x | pop)", {}),
    "student": ("y ~ x + (1 | pop)", {"se": "error"}),
    "zoi_beta": ("share ~ x + (1 | pop)", {"zi": "~ x"}),
}


def model_of(name: str) -> Model:
    formula, arguments = MODELS[name]
    return Model(formula, rows(), family=name, **arguments)


def random_point(model: pm.Model, *, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    point = {}
    for rv in model.free_RVs:
        shape = tuple(rv.shape.eval())
        if "cpc_" in rv.name or rv.name in ("zi", "zoi", "coi"):
            point[rv.name] = rng.uniform(0.2, 0.8, shape)
        elif "sd_" in rv.name or rv.name in ("nu", "phi", "alpha"):
            point[rv.name] = rng.gamma(6, 0.2, shape)
        elif rv.name == "threshold_std":
            point[rv.name] = np.sort(rng.normal(0, 1, shape))
        else:
            point[rv.name] = rng.normal(0, 0.7, shape)
    return point


def log_density(model: pm.Model, point: dict[str, np.ndarray]) -> float:
    compiled = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    values = {}
    for rv in model.free_RVs:
        transform, value = model.rvs_to_transforms[rv], point[rv.name]
        if transform is not None:
            value = transform.forward(pm.math.constant(value), *rv.owner.inputs).eval()
        values[model.rvs_to_values[rv].name] = value
    return float(compiled(values))


def frozen(prior):
    p = prior.parameters
    return {
        "Normal": lambda: stats.norm(p["mu"], p["sigma"]).logpdf,
        "HalfStudentT": lambda: lambda v: np.log(2) + stats.t(p["nu"], scale=p["sigma"]).logpdf(v),
        "Gamma": lambda: stats.gamma(p["alpha"], scale=1 / p["beta"]).logpdf,
        "LogNormal": lambda: stats.lognorm(p["sigma"], scale=np.exp(p["mu"])).logpdf,
        "Beta": lambda: stats.beta(p["alpha"], p["beta"]).logpdf,
    }[prior.name]()


def predictor(design, priors, point) -> tuple[np.ndarray, float]:
    """The linear predictor of each row, and the log-density of its coefficients."""
    prefix, total = design.prefix, 0.0
    eta = np.array(design.offset, dtype=float)
    if priors.intercept is not None:
        eta = eta + point[f"{prefix}Intercept_std"]
        total += frozen(priors.intercept.inside)(point[f"{prefix}Intercept_std"])
    if design.terms:
        beta = point[f"{prefix}beta_std"]
        eta = eta + design.common.standardised @ beta
        total += sum(frozen(p.inside)(b) for p, b in zip(priors.beta, beta, strict=True))
    for block, sds, cor in zip(design.blocks, priors.sd, priors.cor, strict=True):
        sd, z = point[f"{prefix}sd_{block.name}_std"], point[f"{prefix}z_{block.name}"]
        total += sum(frozen(p.inside)(s) for p, s in zip(sds, sd, strict=True))
        total += stats.norm.logpdf(z).sum()
        chol = np.eye(len(sd))
        if cor is not None:  # two columns: LKJ(1) is uniform between -1 and 1
            r = 2 * point[f"{prefix}cpc_{block.name}"][0] - 1
            chol = np.array([[1, 0], [r, np.sqrt(1 - r**2)]])
        b = z @ (sd[:, None] * chol).T
        eta = eta + (block.columns.standardised * b[block.index]).sum(axis=1)
    return eta, float(total)


def rows_of(name: str, design, eta, own, point) -> np.ndarray:
    """The log-density of each row."""
    y = design.response
    if name == "binomial":
        return stats.binom.logpmf(y, design.trials, special.expit(eta))
    if name == "student":
        return stats.t.logpdf(y, point["nu"], eta, design.se)
    if name == "zoi_beta":
        zoi, phi, mu = special.expit(own["zoi"]), point["phi"], special.expit(eta)
        assert ((y > 0) & (y < 1)).all()
        return np.log1p(-zoi) + stats.beta.logpdf(y, mu * phi, (1 - mu) * phi)
    if name == "ordinal":
        edges = np.array([-np.inf, *point["threshold_std"], np.inf])
        k = y.astype(int)
        return np.log(special.expit(edges[k + 1] - eta) - special.expit(edges[k] - eta))
    zi, alpha, mu = special.expit(own["zi"]), np.exp(own["alpha"]), np.exp(eta)
    f = stats.nbinom(alpha, alpha / (alpha + mu))
    return np.log(np.where(y == 0, zi, 0) + (1 - zi) * f.pmf(y))


@pytest.mark.parametrize("name", MODELS)
def test_log_density_is_the_sum_written_with_scipy(name):
    model = model_of(name)
    design, built = model.design, model.to_pymc()
    point = random_point(built, seed=8)
    eta, total = predictor(design.mean, model.priors.mean, point)
    for prior in model.priors.auxiliary:
        key = "threshold_std" if prior.parameter == "threshold" else prior.parameter
        total += frozen(prior.inside)(point[key]).sum()
    own = {}
    for parameter, extra in design.extras.items():
        own[parameter], more = predictor(extra, model.priors.extras[parameter], point)
        total += more
    weights = 1 if design.weights is None else design.weights
    total += float((weights * rows_of(name, design, eta, own, point)).sum())
    assert log_density(built, point) == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_names_and_dims_of_the_posterior_are_those_of_the_model(name):
    model = model_of(name)
    built = model.to_pymc()
    for variable, dims in dimensions(model.design).items():
        assert tuple(built.named_vars_to_dims.get(variable, ())) == dims
    for dim, labels in coordinates(model.design).items():
        assert list(built.coords[dim]) == list(labels)


def test_names_of_a_zero_inflated_model():
    design = model_of("zi_negbinomial").design
    assert reported_names(design) == (
        *("Intercept", "beta", "sd_pop", "cor_pop", "b_pop"),
        *("alpha_Intercept", "alpha_beta"),
        *("zi_Intercept", "zi_beta", "zi_sd_pop", "zi_b_pop", "zi_sd_year", "zi_b_year"),
    )
    assert dimensions(design)["zi_b_pop"] == ("pop", "zi_pop_term")
    assert coordinates(design)["zi_term"] == ["z"]


def test_thresholds_are_reported_where_every_predictor_is_zero():
    """P(y <= k) = F(threshold_k - eta) with eta of the raw columns and reported coefficients."""
    model = model_of("ordinal")
    design, built = model.design, model.to_pymc()
    point = random_point(built, seed=2)
    names = ["threshold", "beta", "b_pop"]
    compiled = pm.compile(
        list(built.free_RVs),
        [built[n] for n in names],
        mode="FAST_COMPILE",
        on_unused_input="ignore",
    )
    found = dict(zip(names, compiled(*[point[v.name] for v in built.free_RVs]), strict=True))
    inside, _ = predictor(design.mean, model.priors.mean, point)
    block = design.blocks[0]
    raw = design.common.values @ found["beta"]
    raw += (block.columns.values * found["b_pop"][block.index]).sum(axis=1)
    np.testing.assert_allclose(
        found["threshold"] - raw[:, None], point["threshold_std"] - inside[:, None], atol=1e-10
    )
    assert coordinates(design)["cut"] == ["1|2", "2|3", "3|4"]


@pytest.mark.parametrize("name", MODELS)
def test_draws_of_every_layout_are_stacked(name):
    """Names and shapes only: a posterior of random numbers goes in and comes out."""
    design, rng = model_of(name).design, np.random.default_rng(1)
    coords, made = coordinates(design), {}
    for variable, dims in dimensions(design).items():
        made[variable] = rng.normal(size=(2, 5, *(len(coords[d]) for d in dims)))
    tree = xr.DataTree.from_dict({"posterior": label_draws(design, made)})
    draws = stack_draws(tree, design)
    assert draws.n == 10
    for parameter in design.constants:
        np.testing.assert_array_equal(
            draws.auxiliary[parameter.name],
            made[parameter.name].reshape(draws.n, *made[parameter.name].shape[2:]),
        )
    for parameter, predictor_ in design.extras.items():
        own = draws.extras[parameter]
        np.testing.assert_array_equal(own.intercept, made[f"{parameter}_Intercept"].ravel())
        assert set(own.effects) == {b.name for b in predictor_.blocks}
    thin = draws.thinned(4)
    assert thin.n == 4
    assert all(v.n == 4 for v in thin.extras.values())
    assert all(len(v) == 4 for v in thin.auxiliary.values())
