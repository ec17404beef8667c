"""Row problems of every structure, and their log-density by NumPy and scipy from the definition."""

from __future__ import annotations

from dataclasses import replace

import dense
import numpy as np
from scipy import special, stats
from strategies import make_problem
from test_likelihoods import reference

from hiermodels.density import BlockData, GaussianProblem, PositivePrior
from hiermodels.density.coefficientpriors import CoefficientPrior
from hiermodels.density.likelihoods import likelihood
from hiermodels.density.rows import Link, RowPredictor, RowProblem
from hiermodels.families import family

#: Priors by a name of our own: name and parameters in PyMC, and scipy's.
PRIORS = {
    "normal": ("Normal", {"mu": 0.4, "sigma": 1.5}, stats.norm(0.4, 1.5)),
    "studentt": ("StudentT", {"nu": 4.0, "mu": -0.3, "sigma": 0.8}, stats.t(4, -0.3, 0.8)),
    "laplace": ("Laplace", {"mu": 0.1, "b": 0.6}, stats.laplace(0.1, 0.6)),
    "truncated": (
        "TruncatedNormal",
        {"mu": 1.0, "sigma": 2.0, "lower": -2.0, "upper": 3.0},
        stats.truncnorm(-1.5, 1, 1, 2),
    ),
    "halfnormal": ("HalfNormal", {"sigma": 1.3}, stats.halfnorm(scale=1.3)),
    "exponential": ("Exponential", {"lam": 0.6}, stats.expon(scale=1 / 0.6)),
    "gamma": ("Gamma", {"alpha": 2.0, "beta": 0.5}, stats.gamma(2, scale=2)),
    "lognormal": ("LogNormal", {"mu": 1.0, "sigma": 0.7}, stats.lognorm(0.7, scale=np.exp(1))),
    "from 0.2 to 5": ("Uniform", {"lower": 0.2, "upper": 5.0}, stats.uniform(0.2, 4.8)),
    "beta": ("Beta", {"alpha": 1.3, "beta": 2.0}, stats.beta(1.3, 2)),
    "from 0.1 to 0.8": ("Uniform", {"lower": 0.1, "upper": 0.8}, stats.uniform(0.1, 0.7)),
    "above a half": (
        "TruncatedNormal",
        {"mu": 1.0, "sigma": 2.0, "lower": 0.5},
        stats.truncnorm(-0.25, np.inf, 1, 2),
    ),
}
ONE, TWO, THREE = ((0,),), ((0, 1),), ((0, 1, 2),)
APART, MIXED = ((0,), (1,)), ((0, 2), (1,))


def from_line(name, t):
    """The coefficient at t, and log |d coefficient / d t|: PyMC's map of the line to a support."""
    lower, upper = PRIORS[name][2].support()
    if np.isinf(lower) and np.isinf(upper):
        return t, 0.0
    if np.isinf(upper):
        return lower + np.exp(t), t
    share = special.expit(t)
    return lower + (upper - lower) * share, np.log((upper - lower) * share * (1 - share))


def predictor(
    rng, n, *, factors=(), nested=False, priors=("normal",), link=Link.IDENTITY, ordered=False
):
    """Common columns, the first of ones, and `factors` = (levels, parts) as `make_problem` has."""
    columns = [np.ones(n), *rng.normal(size=(max(len(priors) - 1, 0), n))]
    constant = link != Link.IDENTITY or ordered
    made = RowPredictor(
        offset=np.zeros(n) if constant else 0.1 * rng.normal(size=n),
        X=np.column_stack(columns)[:, : len(priors)],
        priors=tuple(
            CoefficientPrior(name=PRIORS[name][0], parameters=PRIORS[name][1]) for name in priors
        ),
        start=np.array([from_line(name, 0.2)[0] for name in priors]),
        link=link,
        ordered=ordered,
    )
    if not factors:
        return made
    groups = make_problem(int(rng.integers(10**6)), factors=factors, n_rows=n, nested=nested)
    return replace(made, blocks=groups.blocks, sd_priors=groups.sd_priors, lkj_eta=groups.lkj_eta)


def row_problem(seed, name, *, mean, own=(), link=None, n=40, counts=False):
    """`mean` and `own` are the arguments of `predictor`, of eta and of the family's parameters."""
    rng = np.random.default_rng(seed)
    found = family(name, link=link)
    parts = tuple(predictor(rng, n, **each) for each in (mean, *own))
    for number, part in enumerate(parts):
        renamed = tuple(replace(b, name=f"{b.name}_of_{number}") for b in part.blocks)
        parts = (*parts[:number], replace(part, blocks=renamed), *parts[number + 1 :])
    compiled = likelihood(found.name, found.link)
    trials = rng.integers(2, 9, n).astype(float) if found.trials else np.ones(n)
    if found.categories:
        trials = np.full(n, len(own) + 1.0)

    def simulate(rng, predictors, trials):
        mu, rest = found.inverse_link(predictors[0]), predictors[1:]
        if found.categories:
            aux = {p.name: p.inverse(rest.T) for p in found.parameters}
        else:
            aux = {p.name: p.inverse(row) for p, row in zip(found.parameters, rest, strict=True)}
        return np.asarray(found.draw(rng, mu, aux, trials), dtype=float)

    eta = 0.5 * rng.normal(size=(len(parts), n))
    return RowProblem(
        y=simulate(rng, eta, trials),
        trials=trials,
        counts=rng.integers(1, 4, n).astype(float) if counts else np.ones(n),
        predictors=parts,
        likelihood=compiled.address,
        evaluate=compiled.evaluate,
        simulate=simulate,
    )


def groups_of(problem):
    """Blocks and priors of all predictors; of a model without any, one level that no row sees."""
    n = len(problem.y)
    blocks = [b for part in problem.predictors for b in part.blocks]
    sd_priors = [p for part in problem.predictors for p in part.sd_priors]
    etas = [e for part in problem.predictors for e in part.lkj_eta]
    if not blocks:
        index, Z = np.zeros(n, np.int32), np.zeros((n, 1))
        blocks = [BlockData(name="", index=index, n_levels=1, Z=Z, parts=ONE)]
        sd_priors, etas = [(PositivePrior(kind="lognormal", a=0.0, b=1.0),)], [(1.0,)]
    return GaussianProblem(
        y=np.zeros(n),
        X=np.zeros((n, 0)),
        blocks=tuple(blocks),
        beta_mean=np.empty(0),
        beta_sd=np.empty(0),
        sd_priors=tuple(sd_priors),
        lkj_eta=tuple(etas),
        sigma_prior=None,
        se=np.ones(n),
    )


def owners_of(problem):
    """The predictor of each block."""
    return [k for k, part in enumerate(problem.predictors) for _ in part.blocks] or [0]


def log_density(problem, names, family_name, link, theta, t, z):
    """log p(y, z, t, theta): sum over the rows, priors and Jacobians.

    `names` are the priors of each predictor's coefficients, `z` (J, q) by block of the problem.
    """
    groups = groups_of(problem)
    layout = dense.describe_theta(groups)
    value = dense.log_prior(groups, theta)
    eta = np.stack([part.offset for part in problem.predictors])
    start, threshold = 0, None
    for k, (part, own) in enumerate(zip(problem.predictors, names, strict=True)):
        for column, name in zip(part.X.T, own, strict=True):
            line, log_slope = from_line(name, t[start])
            if part.ordered:
                threshold = t[start] if threshold is None else threshold + np.exp(t[start])
                first = k == 0 or not problem.predictors[k - 1].ordered
                value += PRIORS[name][2].logpdf(threshold) + (0.0 if first else t[start])
            else:
                value += PRIORS[name][2].logpdf(line) + log_slope
            through = {Link.LOG: np.log, Link.LOGIT: special.logit}.get(part.link, lambda b: b)
            eta[k] += through(line) * column
            start += 1
    assert start == len(t)
    for owner, block, places, each in zip(
        owners_of(problem), groups.blocks, layout.places, z, strict=True
    ):
        b = each @ dense.lower_factor(theta, places).T
        eta[owner] += np.sum(block.Z * b[block.index], axis=1)
        value += stats.norm.logpdf(each).sum()
    return value + np.sum(
        problem.counts * reference(family_name, link, problem.y, problem.trials, eta)
    )
