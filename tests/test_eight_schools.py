"""Eight schools (Rubin 1981, J. Educ. Stat. 6) in one line, against its published posterior.

With mu ~ Normal(0, 5) and tau ~ HalfCauchy(5), the usual priors of the example, the posterior means
are 4.4 for mu and 3.6 for tau (posteriordb, ``eight_schools-eight_schools_noncentered``, 10,000
draws). Both engines are also held against integrals over tau on a grid, where mu and the effects
are normal.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import hiermodels as hm

EFFECTS = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
ERRORS = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
PRIORS = {
    "Intercept": hm.Prior("Normal", mu=0, sigma=5),
    "sd_school": hm.Prior("HalfCauchy", beta=5),
}


@pytest.fixture(scope="module", params=["collapsed", "noncentred"])
def fitted(request):
    data = {"effect": EFFECTS, "error": ERRORS, "school": list("ABCDEFGH")}
    return hm.fit(
        "effect ~ 1 + (1 | school)",
        data,
        se="error",
        priors=PRIORS,
        engine=request.param,
        draws=4000,
        random_seed=1,
        progressbar=False,
    )


def integrals() -> tuple[float, float]:
    """E[mu | y] and E[tau | y] by quadrature: y_j | mu, tau ~ Normal(mu, se_j^2 + tau^2)."""
    tau = np.linspace(1e-3, 120, 40_001)
    variance = ERRORS**2 + tau[:, None] ** 2
    precision = 1 / 25 + (1 / variance).sum(axis=1)
    mean = (EFFECTS / variance).sum(axis=1) / precision
    log = stats.halfcauchy.logpdf(tau, scale=5) - 0.5 * np.log(variance).sum(axis=1)
    log += -0.5 * np.log(precision) - 0.5 * (EFFECTS**2 / variance).sum(axis=1)
    log += 0.5 * mean**2 * precision
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    return float(weight @ mean), float(weight @ tau)


def test_the_published_posterior(fitted):
    assert fitted.draws.intercept.mean() == pytest.approx(4.4, abs=0.15)
    assert fitted.draws.sd["school"].mean() == pytest.approx(3.6, abs=0.15)


def test_the_integrals(fitted):
    """Within 4 Monte Carlo errors, at half the effective draws that were made."""
    mu, tau = integrals()
    for values, expected in ((fitted.draws.intercept, mu), (fitted.draws.sd["school"][:, 0], tau)):
        error = values.std() / np.sqrt(fitted.diagnostics.ess_bulk.min())
        assert abs(values.mean() - expected) <= 4 * error
