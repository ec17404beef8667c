"""Is there variance left to explain: probabilities, priors, thresholds, verdicts."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import made_up_fit
from scipy import integrate, stats
from stand_in import fit_of

from hiermodels.numbers.remaining import Left, frozen, remaining_variance
from hiermodels.priors import Prior


def test_each_term_beside_its_threshold():
    fit = made_up_fit("y ~ x + (x | pop) + (1 | year)")
    found = fit.variance_left()
    assert list(found["group"]) == ["pop", "pop", "year"]
    sd = fit.draws.sd["year"][:, 0]
    row = found.iloc[2]
    assert row["p_below"] == (sd < 0.1 * fit.draws.residual).mean()
    assert row["sd"] == pytest.approx(np.median(sd))
    assert row["threshold"] == pytest.approx(0.1 * np.median(fit.draws.residual))
    assert fit.variance_left(threshold=1.0)["p_below"].iloc[2] == (sd < 1.0).mean()
    with pytest.raises(ValueError, match="threshold=-1"):
        fit.variance_left(threshold=-1)


def test_slopes_are_per_sd_of_their_predictor():
    """What x adds to a row one sd from its mean does not depend on the unit of x."""
    fit = made_up_fit("y ~ x + (x | pop)")
    left = remaining_variance(fit.design, fit.priors, fit.draws, fit.draws.residual**2)
    scale = fit.design.block().columns.scale[1]
    np.testing.assert_allclose(left[1].sd, fit.draws.sd["pop"][:, 1] * scale, rtol=1e-9)
    assert left[1].prior == fit.priors["sd_pop[x]"].inside


def test_beyond_the_gaussian_the_latent_residual():
    fit = fit_of("bernoulli", "y ~ 1 + (1 | pop)", sd={"pop": 1.0})
    found = fit.variance_left()
    assert found["threshold"].iloc[0] == pytest.approx(0.1 * np.pi / np.sqrt(3))


@pytest.mark.parametrize(
    ("sds", "verdict", "words"),
    [
        (np.linspace(2, 3, 100), "yes", "worth collecting"),
        (np.linspace(0, 0.05, 100), "no", "nothing to explain"),
        (np.linspace(0, 1, 100), "undecided", "these 7 levels cannot say"),
    ],
)
def test_verdicts(sds, verdict, words):
    left = Left(
        factor="center",
        term="Intercept",
        levels=7,
        sd=sds,
        prior=Prior("HalfNormal", sigma=1),
        threshold=np.full(100, 0.1),
    )
    assert left.verdict == verdict
    assert words in left.sentence
    assert left.prior_p_below == pytest.approx(stats.halfnorm.cdf(0.1))
    assert replace(left, term="hours").sentence.count("the effect of hours") == 1


@pytest.mark.parametrize(
    "prior",
    [
        Prior("HalfStudentT", nu=3, sigma=2),
        Prior("HalfNormal", sigma=2),
        Prior("HalfCauchy", beta=2),
        Prior("Exponential", lam=0.5),
        Prior("Gamma", alpha=2, beta=0.7),
        Prior("InverseGamma", alpha=3, beta=2),
        Prior("LogNormal", mu=0.2, sigma=0.7),
        Prior("Weibull", alpha=1.5, beta=2),
        Prior("Uniform", lower=0, upper=4),
        Prior("TruncatedNormal", mu=1, sigma=2, lower=0),
    ],
    ids=lambda p: p.name,
)
def test_priors_are_pymcs(prior):
    """The median by integrating PyMC's density."""
    import pymc as pm

    given = prior.parameters
    median = frozen(prior).ppf(0.5)
    distribution = getattr(pm, prior.name).dist(**given)
    x = np.linspace(1e-9, median, 20_001)
    density = np.exp(pm.logp(distribution, x).eval())
    density = np.where(np.isfinite(density), density, 0.0)
    assert integrate.simpson(density, x=x) == pytest.approx(0.5, abs=1e-5)
    assert frozen(prior).cdf(median) == pytest.approx(0.5)
