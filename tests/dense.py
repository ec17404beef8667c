"""Brute-force reference: the dense normal marginal, written for complex arguments."""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.special import gammaln

from hiermodels.density.covariance import describe_theta


def log_likelihood(problem, theta):
    """Log of Normal(y; X m, X S X' + sum Z Sigma Z' + residual); frequencies repeat rows."""
    layout = describe_theta(problem)
    repeats = (
        np.ones(len(problem.y), int) if problem.weights is None else problem.weights.astype(int)
    )
    rows = np.repeat(np.arange(len(problem.y)), repeats)
    X, y = problem.X[rows], problem.y[rows]
    V = ((X * problem.beta_sd**2) @ X.T).astype(complex)
    for block, places in zip(problem.blocks, layout.places, strict=True):
        loadings = block.Z[rows] @ lower_factor(theta, places)
        same = block.index[rows][:, None] == block.index[rows][None, :]
        V += (loadings @ loadings.T) * same
    if problem.se is None:
        V += np.exp(2 * theta[layout.log_sigma]) * np.eye(len(rows))
    else:
        V += np.diag(problem.se[rows] ** 2)
    residual = y - X @ problem.beta_mean
    value = -0.5 * (
        residual @ np.linalg.solve(V, residual) + complex_log_det(V) + len(rows) * np.log(2 * np.pi)
    )
    return value


def complex_log_det(V):
    sign, log = np.linalg.slogdet(V)
    return log + 1j * np.angle(sign)


def lower_factor(theta, places):
    """Lambda = diag(sd) L."""
    q = len(places.sd)
    L = np.zeros((q, q), dtype=theta.dtype)
    for i in range(q):
        rest = 1.0
        for j in range(i):
            if places.partial[i, j] >= 0:
                t = theta[places.partial[i, j]]
                L[i, j] = np.tanh(t) * rest
                rest = rest / np.cosh(t)
        L[i, i] = rest
    return np.exp(theta[places.sd])[:, None] * L


POSITIVE = {
    "halfstudentt": lambda a, b: lambda x: np.log(2) + stats.t(a, scale=b).logpdf(x),
    "halfcauchy": lambda a, b: stats.halfcauchy(scale=a).logpdf,
    "halfnormal": lambda a, b: stats.halfnorm(scale=a).logpdf,
    "exponential": lambda a, b: stats.expon(scale=1 / a).logpdf,
    "gamma": lambda a, b: stats.gamma(a, scale=1 / b).logpdf,
    "inversegamma": lambda a, b: stats.invgamma(a, scale=b).logpdf,
    "weibull": lambda a, b: stats.weibull_min(a, scale=b).logpdf,
    "lognormal": lambda a, b: stats.lognorm(b, scale=np.exp(a)).logpdf,
    "truncatednormal": lambda a, b: stats.truncnorm(-a / b, np.inf, loc=a, scale=b).logpdf,
    "uniform": lambda a, b: stats.uniform(a, b - a).logpdf,
}


def log_prior(problem, theta):
    """Log prior of theta: densities of sds, LKJ through the matrix itself, Jacobians by finite
    formula."""
    layout = describe_theta(problem)
    value = 0.0
    for block, places, sds, etas in zip(
        problem.blocks, layout.places, problem.sd_priors, problem.lkj_eta, strict=True
    ):
        for place, prior in zip(places.sd, sds, strict=True):
            value += POSITIVE[prior.kind](prior.a, prior.b)(np.exp(theta[place])) + theta[place]
        L = lower_factor(theta, places) / np.exp(theta[places.sd])[:, None]
        for part, eta in zip(block.parts, etas, strict=True):
            columns = sorted(part)
            cor = (L @ L.T)[np.ix_(columns, columns)]
            value += lkj_log_density(cor, eta) + partial_jacobian(theta, places, columns)
    if layout.log_sigma >= 0:
        prior = problem.sigma_prior
        value += (
            POSITIVE[prior.kind](prior.a, prior.b)(np.exp(theta[layout.log_sigma]))
            + theta[layout.log_sigma]
        )
    return value


def lkj_log_density(cor, eta):
    """LKJ 2009, eq. 16: density of the correlation matrix, normalised."""
    K = len(cor)
    log_constant = 0.0
    for k in range(1, K):
        a = eta + (K - 1 - k) / 2
        log_constant += (2 * eta - 2 + K - k) * (K - k) * np.log(2)
        log_constant += (K - k) * (2 * gammaln(a) - gammaln(2 * a))
    return (eta - 1) * np.linalg.slogdet(cor)[1] - log_constant


def partial_jacobian(theta, places, columns):
    """Log |d cor / d t| by complex steps of the map of partial correlations to correlations."""
    pairs = [(i, j) for n, i in enumerate(columns) for j in columns[:n]]
    if not pairs:
        return 0.0
    jacobian = np.empty((len(pairs), len(pairs)))
    for column, pair in enumerate(pairs):
        moved = theta.astype(complex)
        moved[places.partial[pair]] += 1e-30j
        L = lower_factor(moved, places) / np.exp(moved[places.sd])[:, None]
        cor = L @ L.T
        jacobian[:, column] = [cor[pair].imag / 1e-30 for pair in pairs]
    return np.linalg.slogdet(jacobian)[1]


def log_density(problem, theta):
    return log_likelihood(problem, theta).real + log_prior(problem, theta)


def likelihood_gradient(problem, theta):
    """Complex-step gradient of the log-likelihood."""
    steps = theta.astype(complex)[None] + 1e-30j * np.eye(len(theta))
    return np.array([log_likelihood(problem, step).imag / 1e-30 for step in steps])
