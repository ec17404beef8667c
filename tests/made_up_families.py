"""Designs of any family with a made-up posterior, and responses drawn from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr
from made_up import standard_draws

import hiermodels as hm
from hiermodels.fitting import Model
from hiermodels.numbers.diagnostics import Diagnostics
from hiermodels.numbers.draws import stack_draws
from hiermodels.numbers.prediction import linear_predictors, predict
from hiermodels.numbers.predictive import draw, given
from hiermodels.posterior import coordinates, dimensions
from hiermodels.results import Fit

#: A response within the support of each family, to build the design; it is then drawn anew.
SUPPORT = {
    "gaussian": lambda rng, n: rng.normal(size=n),
    "student": lambda rng, n: rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(size=n),
    "gamma": lambda rng, n: rng.gamma(2, size=n),
    "beta": lambda rng, n: rng.beta(2, 2, size=n),
    "zi_beta": lambda rng, n: rng.beta(2, 2, size=n) * (rng.uniform(size=n) > 0.2),
    "zoi_beta": lambda rng, n: np.round(rng.beta(2, 2, size=n), 1) ** (rng.uniform(size=n) > 0.1),
    "bernoulli": lambda rng, n: rng.integers(0, 2, n),
    "ordinal": lambda rng, n: rng.integers(1, 5, n),
}
#: The family's own parameters: a typical value on the natural scale.
TYPICAL = {
    "sigma": 0.8,
    "nu": 5.0,
    "alpha": 2.5,
    "phi": 6.0,
    "zi": 0.25,
    "zoi": 0.2,
    "coi": 0.4,
    "threshold": np.array([-1.0, 0.3, 1.4]),
}


def rows(*, seed: int, n: int = 240, groups: int = 24) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "x": rng.uniform(-1, 1, n),
            "f": np.array(["low", "mid", "high"])[rng.integers(0, 3, n)],
            "g": [f"g{j:02d}" for j in np.arange(n) % groups],
            "total": rng.integers(3, 12, n),
        }
    )


def model_of(name: str, formula: str, data: pd.DataFrame, *, seed: int, **more: str) -> Model:
    """A model of the family on rows whose response is merely allowed."""
    rng = np.random.default_rng(seed)
    made = SUPPORT.get(name, lambda rng, n: rng.poisson(2, n))(rng, len(data))
    if name in ("binomial", "betabinomial"):
        made = np.minimum(made, data["total"])
        formula = formula.replace("y ~", "y / total ~")
    return Model(formula, data.assign(y=made), family=name, **more)


def posterior_of(model: Model, *, seed: int, draws: int, spread: float) -> xr.DataTree:
    """Random parameters in the layout of a posterior; ``spread`` 0 repeats one draw."""
    rng = np.random.default_rng(seed)
    design = model.design
    made: dict[str, np.ndarray] = {}
    for number, predictor in enumerate(design.predictors):
        prefix = predictor.prefix
        if predictor.intercept:
            made[f"{prefix}Intercept"] = 0.4 - 1.2 * bool(prefix) + spread * rng.normal(size=draws)
        if predictor.terms:
            made[f"{prefix}beta"] = 0.4 + spread * rng.normal(size=(draws, len(predictor.terms)))
        hidden = standard_draws(
            replace(design, blocks=predictor.blocks), seed=seed + number, size=draws
        )
        if not spread:
            hidden = {k: np.repeat(v[:1], draws, axis=0) for k, v in hidden.items()}
        for block in predictor.blocks:
            factor = 0.5 * block.transform @ hidden[f"factor_{block.name}"]
            covariance = factor @ factor.transpose(0, 2, 1)
            sd = np.sqrt(np.einsum("sqq->sq", covariance))
            made[f"{prefix}sd_{block.name}"] = sd
            if block.correlated:
                cor = covariance / (sd[:, :, None] * sd[:, None, :])
                made[f"{prefix}cor_{block.name}"] = cor
            effects = 0.5 * hidden[f"b_{block.name}"] @ block.transform.T
            made[f"{prefix}b_{block.name}"] = effects
    for parameter in design.constants:
        typical = np.asarray(TYPICAL[parameter.name])
        moved = np.exp(spread * 0.2 * rng.normal(size=(draws, *[1] * typical.ndim)))
        made[parameter.name] = typical * moved
    dims, coords = dimensions(design), coordinates(design)
    used = {d for name in made for d in dims[name]}
    data = xr.Dataset(
        {k: (("chain", "draw", *dims[k]), v[None]) for k, v in made.items()},
        coords={
            "chain": [0],
            "draw": np.arange(draws),
            **{k: v for k, v in coords.items() if k in used},
        },
        attrs={"random_seed": seed, "divergences": 0, "draws_made": draws, "chains": 1},
    )
    return xr.DataTree.from_dict({"posterior": data})


def family_fit(
    name: str,
    formula: str = "y ~ x + (x | g)",
    *,
    seed: int = 0,
    draws: int = 80,
    spread: float = 0.3,
    data: pd.DataFrame | None = None,
    **more: str,
) -> Fit:
    """A fit of made-up draws, to a response drawn from the first of them."""
    data = rows(seed=seed) if data is None else data
    model = model_of(name, formula, data, seed=seed, **more)
    tree = posterior_of(model, seed=seed, draws=draws, spread=spread)
    some = stack_draws(tree, model.design)
    ask = predict(model.design, some, target="group", kind="mean", seed=0)
    (_, etas), *_ = linear_predictors(ask)
    of = given(model.design, some, trials=model.design.trials)
    response = draw(np.random.default_rng(seed + 1), etas, of)[0]
    design = replace(model.design, response=response)
    return with_response(Fit(design=design, priors=model.priors, idata=tree), response)


def with_response(fit: Fit, response: np.ndarray) -> Fit:
    """The same draws beside another response, and a sampler that was good."""
    design = replace(fit.design, response=response.astype(float))
    made = Fit(design=design, priors=fit.priors, idata=fit.idata)
    good = np.ones(1)
    made.__dict__["diagnostics"] = Diagnostics(
        parameters=("Intercept",),
        rhat=good,
        ess_bulk=1000 * good,
        ess_tail=1000 * good,
        divergences=0,
        draws_made=1000,
        chains=4,
    )
    return made


def fit_nested_counts(*, draws: int) -> Fit:
    """A posterior, sampled: Poisson counts of 20 levels within 5."""
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(20), 6)
    eta = 1.0 + rng.normal(0, 0.6, 5)[g // 4] + rng.normal(0, 0.4, 20)[g]
    x = rng.normal(size=len(g))
    y = rng.poisson(np.exp(eta + 0.3 * x))
    data = pd.DataFrame({"y": y, "x": x, "f": g // 4, "g": g % 4}).astype({"f": str, "g": str})
    formula = "y ~ x + (1 | f/g)"
    return hm.fit(formula, data, family="poisson", draws=draws, random_seed=1, progressbar=False)
