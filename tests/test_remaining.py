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


def left_of(sds, *, levels=7, scale=1.0, term="Intercept"):
    return Left(
        factor="sites",
        term=term,
        levels=levels,
        sd=sds,
        prior=Prior("HalfStudentT", nu=3, sigma=scale),
        threshold=np.full(len(sds), 0.1),
    )


@pytest.mark.parametrize(
    ("sds", "levels", "verdict", "words"),
    [
        (np.linspace(2, 3, 100), 7, "yes", "The intercepts differ between levels of sites"),
        (np.linspace(0, 0.12, 100), 7, "no", "next to nothing is left"),
        (np.linspace(0, 1, 100), 7, "undecided", "7 levels of sites do not tell whether"),
        (np.linspace(2, 3, 100), 4, "undecided", "4 levels of sites are too few to tell"),
        (np.linspace(0, 0.12, 100), 4, "undecided", "their sd rests on its prior"),
    ],
)
def test_verdicts(sds, levels, verdict, words):
    left = left_of(sds, levels=levels)
    assert left.verdict == verdict
    assert words in left.sentence
    assert "worth" not in left.sentence
    assert left.prior_p_below == pytest.approx(2 * stats.t.cdf(0.1, 3) - 1)
    assert replace(left, term="hours").sentence.count("the effects of hours") <= 1
    assert "effects of hours" in replace(left, term="hours").sentence


def test_the_evidence_is_a_bayes_factor():
    """Marginal likelihoods of the sd below and above the threshold, by integrating both."""
    data_sd, n = 0.4, 30

    def likelihood(t):
        return stats.norm.pdf(0.15, 0, np.hypot(t, data_sd) / np.sqrt(n))

    prior = stats.t(3)
    below = integrate.quad(lambda t: 2 * prior.pdf(t) * likelihood(t), 0, 0.1)[0]
    above = integrate.quad(lambda t: 2 * prior.pdf(t) * likelihood(t), 0.1, 50, limit=200)[0]
    q = 2 * prior.cdf(0.1) - 1
    # the posterior on a grid, and draws at its quantiles, 1e-4 apart
    grid = np.linspace(0, 50, 2_000_001)
    cdf = np.cumsum(prior.pdf(grid) * likelihood(grid))
    sds = np.interp((np.arange(20_000) + 0.5) / 20_000, cdf / cdf[-1], grid)
    # p of about 0.1 has a step of 5e-5: 1e-3 of the odds
    assert left_of(sds).evidence == pytest.approx(below / q / (above / (1 - q)), rel=2e-3)
    lognormal = replace(left_of(sds), prior=Prior("Uniform", lower=1, upper=2))
    assert np.isnan(lognormal.evidence)
    assert lognormal.verdict_at(0.05) != "no"


def verdicts(*, truth, levels, n, datasets, seed=1):
    """How often each verdict, residual sd 1 and known, n rows in each level: (yes, no, undecided).

    The group means say all: S / (t^2 + 1 / n) is chi-squared, the posterior of t on a grid.
    """
    rng = np.random.default_rng(seed)
    t = np.concatenate([np.linspace(0, 0.5, 501)[1:], np.geomspace(0.5, 20, 201)[1:]])
    scale = np.hypot(1, truth)  # the default: the sd of the response
    prior = stats.t.logpdf(t / scale, 3) + np.log(np.gradient(t))
    found = []
    for s in (truth**2 + 1 / n) * rng.chisquare(levels - 1, datasets):
        v = t**2 + 1 / n
        log = prior - (levels - 1) / 2 * np.log(v) - s / (2 * v)
        cdf = np.cumsum(np.exp(log - log.max()))
        sds = np.interp((np.arange(1000) + 0.5) / 1000, cdf / cdf[-1], t)
        found.append(left_of(sds, levels=levels, scale=scale).verdict)
    return tuple(found.count(v) / datasets for v in ("yes", "no", "undecided"))


@pytest.mark.parametrize(("levels", "n"), [(8, 20), (20, 10), (50, 5), (50, 20)])
def test_how_often_the_verdicts_are_right(levels, n):
    """No more than 5 % wrong, and each verdict is possible; 400 sets have a standard error of 1 %.

    At the threshold itself neither answer is wrong.
    """
    sure = 0.05 + 3 * 0.011
    none = verdicts(truth=0.0, levels=levels, n=n, datasets=400)
    some = verdicts(truth=0.3, levels=levels, n=n, datasets=400)
    much = verdicts(truth=1.0, levels=levels, n=n, datasets=400)
    assert none[0] <= sure
    assert some[1] <= sure
    assert much[0] > 0.9
    assert much[1] == 0
    if levels * n >= 1000:
        assert none[1] > 0.3  # a rule that cannot say no is no rule


def test_few_levels_have_no_verdict():
    assert verdicts(truth=1.0, levels=4, n=50, datasets=50) == (0, 0, 1)


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
