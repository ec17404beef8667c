"""Simulation-based calibration: is the posterior that comes out the posterior of the model?

Parameters drawn from their priors, a response drawn from the parameters, and a fit: the rank of
each true value among M independent draws of its posterior is uniform on 0, ..., M where the
posterior is right. Uniformity is tested by chi-square on `BINS` equal bins, and the smallest of K
p-values is held against alpha / K.

Source: Talts, Betancourt, Simpson, Vehtari & Gelman 2018, arXiv 1804.06788.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from hiermodels.design import Design
from hiermodels.errors import GroupingWarning
from hiermodels.families import FAMILIES
from hiermodels.fitting import Model
from hiermodels.prior_predictive import draw_priors, draw_responses
from hiermodels.priors import Prior

__all__ = [
    "Calibration",
    "Truth",
    "calibrate",
    "draw_truth",
    "every_family",
    "family_structures",
    "structures",
]

type Array = np.ndarray

BINS = 10
#: Draws of the posterior to which a truth is compared; BINS divides RANKED + 1.
RANKED = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One draw of all parameters from their priors, on the user's scale, and of a response.

    ``values`` has the names and shapes of the posterior variables.
    """

    values: dict[str, Array]
    response: Array


def draw_truth(model: Model, rng: np.random.Generator) -> Truth:
    """Parameters from the priors of a model of any family, and a response from them."""
    drawn = draw_priors(model.design, model.priors, rng, size=1)
    response = draw_responses(model.design, drawn, rng)[0]
    return Truth(values={name: v[0] for name, v in drawn.values.items()}, response=response)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Ranks of the truth, (replications, K), by quantity. Made by `calibrate`."""

    quantities: tuple[str, ...]
    ranks: Array

    @property
    def p_values(self) -> Array:
        """Chi-square of each quantity's ranks in `BINS` bins against uniform: (K,)."""
        counts = np.stack(
            [np.bincount(r * BINS // (RANKED + 1), minlength=BINS) for r in self.ranks.T]
        )
        return np.array([stats.chisquare(c).pvalue for c in counts])

    def uniform(self, alpha: float) -> bool:
        """Whether no quantity is off; a right posterior fails with a probability of ``alpha``."""
        return bool(self.p_values.min() >= alpha / len(self.quantities))


def calibrate(
    model: Model,
    *,
    replications: int,
    random_seed: int,
    engine: str = "auto",
    simulate: Callable[[Model, np.random.Generator], Truth] = draw_truth,
) -> Calibration:
    """Ranks of parameters drawn from their priors among the draws of their posteriors.

    The priors of ``model`` must not depend on its response: give each of them. Of the group
    effects the first level is ranked.
    """
    rng = np.random.default_rng(random_seed)
    rows: list[list[int]] = []
    names: list[str] = []
    for number in range(replications):
        truth = simulate(model, rng)
        design = replace(model.design, response=truth.response)
        with warnings.catch_warnings():
            # a response that was drawn may leave out a category
            warnings.simplefilter("ignore", GroupingWarning)
            fit = Model.of(design, model.priors).fit(
                random_seed=number, engine=engine, draws=500, progressbar=False
            )
        posterior = fit.idata["posterior"]
        pairs = list(ranked_quantities(design, truth.values))
        names = [name for name, _, _ in pairs]
        rows.append(
            [
                rank(posterior[variable].transpose("chain", "draw", ...).to_numpy(), at, value)
                for name, (variable, at), value in pairs
            ]
        )
    return Calibration(quantities=tuple(names), ranks=np.array(rows))


def ranked_quantities(
    design: Design, values: dict[str, Array]
) -> Iterator[tuple[str, tuple[str, tuple[int, ...]], float]]:
    """Label, variable and place of every parameter; of b the first level, of cor one half."""
    every = [(p.prefix, b.key) for p in design.predictors for b in p.blocks]
    effects = {f"{prefix}b_{name}" for prefix, name in every}
    correlations = {f"{prefix}cor_{name}" for prefix, name in every}
    for name, value in values.items():
        for at in np.ndindex(value.shape):
            if name in effects and at[0] > 0:
                continue
            if name in correlations and at[0] <= at[1]:
                continue
            yield f"{name}{list(at) if at else ''}", (name, at), float(value[at])


def rank(draws: Array, at: tuple[int, ...], value: float) -> int:
    """How many of `RANKED` evenly spread draws (chains, draws, ...) lie below a value."""
    flat = np.moveaxis(draws, (0, 1), (-2, -1))[at].ravel()
    some = flat[np.linspace(0, len(flat) - 1, RANKED).astype(int)]
    return int((some < value).sum())


def structures() -> dict[str, Model]:
    """Small unbalanced designs with priors that do not depend on the response."""
    import pandas as pd

    rng = np.random.default_rng(2026)
    n = 60
    data = pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(2, 3, n),
            "g": rng.choice(8, n, p=rng.dirichlet(np.full(8, 5.0))),
            "h": rng.choice(5, n, p=rng.dirichlet(np.full(5, 5.0))),
        }
    )
    one = {
        "Intercept": Prior("Normal", mu=1, sigma=2),
        "sigma": Prior("HalfNormal", sigma=1),
    }
    slope = {"x": Prior("Normal", mu=0, sigma=0.5)}
    half = Prior("HalfNormal", sigma=1)
    return {
        "(1 | g)": Model("y ~ x + (1 | g)", data, priors=one | slope | {"sd_g": half}),
        "(x | g)": Model(
            "y ~ x + (x | g)",
            data,
            priors=one
            | slope
            | {
                "sd_g[Intercept]": half,
                "sd_g[x]": Prior("HalfStudentT", nu=3, sigma=0.3),
                "cor_g": Prior("LKJ", eta=2),
            },
        ),
        "(1 | g/h)": Model("y ~ 1 + (1 | g/h)", data, priors=one | {"sd_g": half, "sd_g:h": half}),
        "(1 | g) + (x | h)": Model(
            "y ~ x + (1 | g) + (x | h)",
            data,
            priors=one | slope | {"sd_g": half, "sd_h": Prior("Exponential", lam=2)},
        ),
    }


def family_structures() -> dict[str, Model]:
    """Designs of families beyond the Gaussian, with priors that do not depend on the response.

    The priors keep counts within what an integer holds and shares away from exact 0 and 1.
    """
    import pandas as pd

    rng = np.random.default_rng(2027)
    n = 60
    data = pd.DataFrame(
        {
            "count": rng.poisson(3, n),
            "share": rng.uniform(0.1, 0.9, n),
            "x": rng.normal(2, 3, n),
            "z": rng.normal(size=n),
            "g": rng.choice(8, n, p=rng.dirichlet(np.full(8, 5.0))),
        }
    )
    line = {"Intercept": Prior("Normal", mu=0.5, sigma=0.7), "x": Prior("Normal", mu=0, sigma=0.1)}
    half = Prior("HalfNormal", sigma=0.6)
    slopes = line | {
        "sd_g[Intercept]": half,
        "sd_g[x]": Prior("HalfNormal", sigma=0.15),
        "cor_g": Prior("LKJ", eta=2),
    }
    return {
        "poisson (x | g)": Model("count ~ x + (x | g)", data, family="poisson", priors=slopes),
        "negbinomial (x | g)": Model(
            "count ~ x + (x | g)",
            data,
            family="negbinomial",
            priors=slopes | {"alpha": Prior("LogNormal", mu=0.7, sigma=0.5)},
        ),
        "beta (x | g)": Model(
            "share ~ x + (x | g)",
            data,
            family="beta",
            priors=slopes | {"phi": Prior("LogNormal", mu=3, sigma=0.4)},
        ),
        "beta (1 | g)": Model(
            "share ~ x + (1 | g)",
            data,
            family="beta",
            priors=line | {"sd_g": half, "phi": Prior("LogNormal", mu=3, sigma=0.4)},
        ),
        "zi_negbinomial (1 | g), zi ~ z": Model(
            "count ~ x + (1 | g)",
            data,
            family="zi_negbinomial",
            zi="~ z",
            priors=line
            | {
                "sd_g": half,
                "alpha": Prior("LogNormal", mu=0.7, sigma=0.5),
                "zi_Intercept": Prior("Normal", mu=-1, sigma=0.8),
                "zi_z": Prior("Normal", mu=0, sigma=0.7),
            },
        ),
    }


def every_family(bars: str = "(1 | g)", *, rows: int = 50, levels: int = 7) -> dict[str, Model]:
    """``x`` and ``bars`` for each family, with priors that do not depend on the response.

    ``bars`` may name ``x``, ``g``, and ``h``, of which each level has three of ``g`` within it.
    """
    import pandas as pd

    rng = np.random.default_rng(2028)
    n = rows
    data = pd.DataFrame(
        {
            "y": rng.gamma(2, size=n),
            "count": rng.poisson(3, n),
            "share": rng.uniform(0.1, 0.9, n),
            "seen": rng.integers(0, 2, n),
            "total": rng.integers(3, 12, n),
            "alive": rng.integers(0, 4, n),
            "rating": np.arange(n) % 4,
            "x": rng.normal(size=n),
            "g": rng.choice(levels, n, p=rng.dirichlet(np.full(levels, 5.0))),
        }
    )
    data["h"] = data["g"] // 3
    responses = {
        **dict.fromkeys(("gaussian", "student", "lognormal", "gamma"), "y"),
        **dict.fromkeys(("beta", "zi_beta", "zoi_beta"), "share"),
        **dict.fromkeys(("binomial", "betabinomial"), "alive / total"),
        "bernoulli": "seen",
        "ordinal": "rating",
    }
    own = {
        "sigma": Prior("HalfNormal", sigma=1),
        "nu": Prior("Gamma", alpha=2, beta=0.1),
        "alpha": Prior("LogNormal", mu=0.7, sigma=0.5),
        "zi": Prior("Beta", alpha=2, beta=4),
        "zoi": Prior("Beta", alpha=2, beta=4),
        "coi": Prior("Beta", alpha=2, beta=2),
        "threshold": Prior("Normal", mu=0, sigma=2),
        "Intercept": Prior("Normal", mu=0.3, sigma=0.7),
    }
    common = {"x": Prior("Normal", mu=0, sigma=0.5)}
    half = Prior("HalfNormal", sigma=0.6)
    made: dict[str, Model] = {}
    for name, family in FAMILIES.items():
        # of the share families a precision, of negbinomial1 an excess of the variance
        phi = Prior("LogNormal", mu=0.0 if "negbinomial1" in name else 3.0, sigma=0.4)
        first = () if family.categories else ("Intercept",)
        known = own | {"phi": phi}
        formula = f"{responses.get(name, 'count')} ~ x + {bars}"
        sds = dict.fromkeys(sd_names(Model(formula, data, family=name)), half)
        priors = common | sds | {key: known[key] for key in (*first, *family.auxiliary)}
        made[f"{name} {bars}"] = Model(formula, data, family=name, priors=priors)
    return made


def sd_names(model: Model) -> list[str]:
    """The names of the sds of group effects, as priors take them."""
    return [
        f"sd_{block.name}" + (f"[{term}]" if len(block.terms) > 1 else "")
        for block in model.design.blocks
        for term in block.terms
    ]
