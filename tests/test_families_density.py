"""The compiled density and reported values of every family are those of its PyMC model.

Points on the line of the compiled engine are put into PyMC's own value variables by the names of
its model: sds by their logarithm, partial correlations by 2 Beta - 1, thresholds by PyMC's ordered
transform, all with PyMC's Jacobians.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from test_response import rows

from hiermodels.density.informed_sampling import (
    evaluate,
    expand,
    first_freeze,
    name_draws,
    without_freeze,
)
from hiermodels.density.layout import Section
from hiermodels.density.rows import row_model
from hiermodels.density.trace import Trace
from hiermodels.families import FAMILIES
from hiermodels.fitting import Model
from hiermodels.priors import Prior
from hiermodels.rowwise import row_problem, row_scale

#: The response of each family in `rows`.
RESPONSES = {
    **dict.fromkeys(("gaussian", "student"), "y"),
    **dict.fromkeys(("lognormal", "gamma"), "effort"),
    **dict.fromkeys(("beta", "zi_beta", "zoi_beta"), "share"),
    "bernoulli": "seen",
    **dict.fromkeys(("binomial", "betabinomial"), "alive / total"),
    "ordinal": "rating",
}
BOTH = {"zi": "~ z + (x | pop)", "dispersion": "~ x + (1 | year)"}
ROLES = {
    name: {role: BOTH[role] for role in ("zi", "dispersion") if found.with_role(role)}
    for name, found in FAMILIES.items()
}
#: name: family, right side, arguments of Model.
MODELS = {
    **{
        f"{name}-{link}": (name, "x + (x | pop) + offset(log(w + 1))", {"link": link})
        for name, found in FAMILIES.items()
        for link in found.links
    },
    **{
        f"{name}, formulas": (name, "x + (1 | pop / patch)", {**own, "weights": "count"})
        for name, own in ROLES.items()
        if own
    },
    "student, errors": ("student", "x + (x || pop)", {"se": "error"}),
    "ordinal, weights": ("ordinal", "x + f + (1 | pop) + (1 | year)", {"weights": "count"}),
    "ordinal, no column": ("ordinal", "1 + (1 | pop)", {}),
    "binomial, crossed": ("binomial", "f + (x + z | pop) + (1 | year)", {"weights": "count"}),
    "poisson, no group": ("poisson", "x + z", {}),
    "poisson, no intercept": ("poisson", "0 + x + (0 + x | pop)", {}),
    "priors": (
        "zi_negbinomial",
        "x + z + (x | pop)",
        {
            "priors": {
                "Intercept": Prior("StudentT", nu=4, mu=0, sigma=2),
                "x": Prior("Laplace", mu=0, b=0.2),
                "z": Prior("TruncatedNormal", mu=0, sigma=1, lower=-1),
                "alpha": Prior("Gamma", alpha=2, beta=0.5),
                "zi": Prior("Beta", alpha=2, beta=5),
                "sd_pop": Prior("Exponential", lam=1),
                "cor_pop": Prior("LKJ", eta=3),
            }
        },
    ),
    "other lines": (
        "zi_poisson",
        "x + (1 | pop)",
        {"priors": {"zi": Prior("Uniform", lower=0.05, upper=0.6)}},
    ),
}


def model_of(name):
    """Forty rows; with zeros and ones for the families that have them."""
    family, right, arguments = MODELS[name]
    data = rows(n=40)
    if family in ("zi_beta", "zoi_beta"):
        data.loc[:5, "share"] = 0.0
        data.loc[6:8, "share"] = 1.0 if family == "zoi_beta" else 0.4
    return Model(f"{RESPONSES.get(family, 'count')} ~ {right}", data, family=family, **arguments)


def named_point(design, layout, theta, t, z):
    """A point by the names of PyMC's free variables, and the number of partial correlations."""
    named, taken, number = {}, 0, 0

    def take(size):
        nonlocal taken
        taken += size
        return t[taken - size : taken]

    for prefix, each in predictors_of(design):
        if isinstance(each, str):
            named["threshold_std" if each == "threshold" else each] = take(
                design.n_thresholds if each == "threshold" else 1
            )
            continue
        named[f"{prefix}Intercept_std"] = take(int(each.intercept))
        named |= together_and_apart(f"{prefix}beta_std", take(len(each.terms)))
        for block in each.blocks:
            places = layout.places[number]
            named |= together_and_apart(f"{prefix}sd_{block.name}_std", theta[places.sd])
            named[f"{prefix}z_{block.name}"] = z[number]
            # Our partial correlation is tanh(t), PyMC's 2 / (1 + exp(-x)) - 1: x = 2 t.
            named[f"{prefix}cpc_{block.name}"] = 2 * theta[places.partial[places.partial >= 0]]
            number += 1
    assert taken == len(t)
    return named


def predictors_of(design):
    """Linear predictors with their prefixes, and names of parameters without a formula."""
    yield "", design.mean
    constants = [parameter.name for parameter in design.constants]
    for parameter in design.parameters:
        if parameter.name in design.extras:
            yield f"{parameter.name}_", design.extras[parameter.name]
        else:
            assert parameter.name in constants
            yield "", parameter.name


def together_and_apart(name, values):
    """A vector under its name, and each element under its own: PyMC's priors may differ."""
    return {name: values, **{f"{name}_{k}": value for k, value in enumerate(values)}}


def compiled_pymc(model):
    """From values by name to the log-density and what is reported.

    FAST_COMPILE without C takes 1 to 2 s a model.
    """
    reported = model.deterministics
    function = model.compile_fn(
        [model.logp(), *model.replace_rvs_by_values(reported)],
        mode="FAST_COMPILE",
        on_unused_input="ignore",
    )

    def evaluate_at(named):
        point = {}
        for rv in model.free_RVs:
            value = model.rvs_to_values[rv]
            known = np.asarray(named[rv.name], float)
            point[value.name] = known.reshape(known.shape[known.ndim - value.ndim :])
        log_density, *values = function(point)
        return float(log_density), dict(zip([v.name for v in reported], values, strict=True))

    return evaluate_at


def plain_point(model, frozen, rng, scale):
    """x of plain non-centring, with theta, t, z by block of the problem, and log |dt / dx|."""
    theta = np.log(scale) + rng.normal(scale=0.5, size=model.n_theta)
    t = rng.normal(scale=scale, size=model.n_common)
    z = {
        k: rng.normal(size=(block.n_levels, block.n_columns))
        for k, block in zip(model.order, model.blocks, strict=True)
    }
    flat = [z[k].ravel() for k in model.order]
    mean, precision = (frozen.sections[s] for s in (Section.COMMON_MEAN, Section.COMMON_PRECISION))
    x = np.concatenate([theta, *flat[1:], (t - mean) * np.sqrt(precision), flat[0]])
    return x, theta, t, [z[k] for k in range(len(z))], -0.5 * np.log(precision).sum()


@pytest.mark.parametrize("name", MODELS)
def test_density_and_reported_values_are_those_of_pymc(name):
    fitted = model_of(name)
    design = fitted.design
    model = row_model(row_problem(design, fitted.priors))
    frozen, pymc = without_freeze(model), compiled_pymc(fitted.to_pymc())
    rng = np.random.default_rng(1)
    # PyMC has exp(-exp(eta)) as a difference from 1, without digits where eta is large
    scale = 0.2 if design.family.link == "cloglog" else 0.6
    nobody = not any(each.blocks for each in design.predictors)
    for _ in range(3):
        x, theta, t, z, log_scale = plain_point(model, frozen, rng, scale)
        named = named_point(design, model.theta, theta, t, z)
        expected, reported = pymc(named)
        n_partial = sum((places.partial >= 0).sum() for places in model.theta.places)
        expected += n_partial * np.log(2) + log_scale
        if nobody:  # a factor that no row sees: its sd and its effect are standard normal
            expected += stats.norm.logpdf([theta[0], z[0].item()]).sum()
        assert evaluate(x, frozen.words)[0] == pytest.approx(expected, rel=1e-9)
        trace = Trace(
            theta=expand(x, frozen.words)[None, None],
            statistics={},
            method="plain",
            tuning_steps=0,
            interrupted=False,
        )
        found = row_scale(design, name_draws(model, trace))
        for variable, value in found.items():
            if variable in reported:
                np.testing.assert_allclose(
                    value[0, 0], reported[variable], rtol=1e-9, atol=1e-9, err_msg=variable
                )
        assert set(reported) <= set(found) | {"beta_std"}


@pytest.mark.parametrize("name", MODELS)
def test_the_first_freeze_has_a_finite_density(name):
    fitted = model_of(name)
    frozen = first_freeze(row_model(row_problem(fitted.design, fitted.priors)))
    value, gradient = evaluate(np.zeros(frozen.model.dimension), frozen.words)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0
