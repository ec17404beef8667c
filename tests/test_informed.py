"""The compiled density of any family in informed coordinates, against dense linear algebra.

The coordinates are computed here as they are defined, from a design matrix of all coefficients and
NumPy's Cholesky factor; the density at the coefficients that come out is a sum over rows by scipy.
"""

from __future__ import annotations

from dataclasses import replace

import dense
import numpy as np
import pytest
from row_problems import (
    APART,
    MIXED,
    ONE,
    THREE,
    TWO,
    groups_of,
    log_density,
    owners_of,
    row_problem,
)
from scipy import linalg, special, stats

from hiermodels.density import informed_sampling, rows
from hiermodels.density.coordinates import PLAIN, PROBIT, SOFT, bend
from hiermodels.density.information import (
    Point,
    approximate_priors,
    expected_information,
    freeze,
)
from hiermodels.density.informed_sampling import (
    Frozen,
    _choose_coordinates,
    _plain_coordinates,
    evaluate,
    expand,
    first_freeze,
    pilot,
    without_freeze,
)
from hiermodels.density.layout import Section
from hiermodels.density.mode import find_mode
from hiermodels.density.pilot import unbent
from hiermodels.density.rows import Link, row_model

LOG, LOGIT = {"link": Link.LOG}, {"link": Link.LOGIT}
POSITIVE, SHARE = {"priors": ("lognormal",), **LOG}, {"priors": ("beta",), **LOGIT}
SLOPE = ("normal", "studentt")
#: name: family, link, arguments of `row_problem`.
STRUCTURES = {
    "no group": ("poisson", "log", {"mean": {"priors": SLOPE}}),
    "no column": ("poisson", "log", {"mean": {"priors": (), "factors": ((5, TWO),)}}),
    "one column": ("poisson", "log", {"mean": {"factors": ((6, ONE),)}, "counts": True}),
    "two columns": (
        "negbinomial",
        "log",
        {"mean": {"factors": ((6, TWO),), "priors": SLOPE}, "own": (POSITIVE,)},
    ),
    "three columns": (
        "binomial",
        "probit",
        {"mean": {"factors": ((6, THREE),), "priors": ("truncated", "laplace")}, "counts": True},
    ),
    "independent columns": (
        "bernoulli",
        "logit",
        {"mean": {"factors": ((5, APART), (4, MIXED)), "priors": SLOPE}},
    ),
    "nested": (
        "gamma",
        "log",
        {
            "mean": {"factors": ((9, ONE), (3, TWO)), "nested": True},
            "own": ({"priors": ("from 0.2 to 5",), **LOG},),
        },
    ),
    "crossed, second is larger": (
        "student",
        "identity",
        {
            "mean": {"factors": ((4, TWO), (9, THREE)), "priors": SLOPE},
            "own": (
                {"priors": ("halfnormal",), **LOG},
                {"priors": ("gamma",), **LOG},
            ),
        },
    ),
    "two predictors with groups": (
        "zi_negbinomial",
        "log",
        {
            "mean": {"factors": ((6, TWO), (3, ONE)), "priors": SLOPE},
            "own": (
                {"priors": ("above a half",), **LOG},
                {"factors": ((7, TWO),), "priors": SLOPE},
            ),
        },
    ),
    "every predictor with groups": (
        "zoi_beta",
        "logit",
        {
            "mean": {"factors": ((4, TWO),)},
            "own": (
                {"factors": ((3, ONE),), "priors": ("normal",)},
                {"factors": ((5, ONE),), "priors": ("normal",)},
                {"priors": ("from 0.1 to 0.8",), **LOGIT},
            ),
            "n": 60,
        },
    ),
    "thresholds": (
        "ordinal",
        "logit",
        {
            "mean": {"priors": (), "factors": ((6, TWO),)},
            "own": tuple({"priors": ("normal",), "ordered": True} for _ in range(3)),
            "counts": True,
        },
    ),
    "zero inflation": ("zi_poisson", "log", {"mean": {"factors": ((8, ONE),)}, "own": (SHARE,)}),
    "large rest": (
        "poisson",
        "log",
        {"mean": {"factors": ((90, ONE), (70, ONE)), "priors": SLOPE}, "n": 180},
    ),
    "many levels": (
        "poisson",
        "log",
        {"mean": {"factors": ((130, TWO),), "priors": SLOPE}, "n": 200},
    ),
}
#: Nearly as many effects as rows, so that the Laplace mode is at a residual sd of zero.
SATURATED = "crossed, second is larger"
STORAGES = ("lanes", "panels")


def made(name, seed=1):
    family, link, arguments = STRUCTURES[name]
    names = [each.get("priors", ("normal",)) for each in parts_of(arguments)]
    return row_problem(seed, family, link=link, **arguments), (names, family, link)


def parts_of(arguments):
    return [arguments["mean"], *arguments.get("own", ())]


@pytest.fixture
def storage(request, monkeypatch):
    """Level by level or all levels at once, whatever the size."""
    monkeypatch.setattr(rows, "DENSE_UP_TO", 10**6 if request.param == "lanes" else 0)
    return request.param


def cases(*names):
    return pytest.mark.parametrize(
        ("name", "storage"),
        [(name, storage) for name in names or STRUCTURES for storage in STORAGES],
        indirect=["storage"],
    )


def some_point(model, rng):
    """Coefficients to freeze at, small so that no response is out of the reach of scipy."""
    shapes = [(block.n_levels, block.n_columns) for block in model.blocks]
    t = rng.normal(scale=0.2, size=model.n_common)
    return Point(model, t, tuple(rng.normal(scale=0.2, size=shape) for shape in shapes))


def frozen_at(model, at, seed):
    return Frozen(model=model, sections=_plain_coordinates(model) | freeze(model, at, seed=seed))


class Dense:
    """The approximation frozen at a point, as matrices over (head, others, common)."""

    def __init__(self, model, at, seed):
        n = len(model.problem.y)
        K = len(model.problem.predictors)
        widths = [block.n_levels * block.n_columns for block in model.blocks]
        W = np.zeros((K, n, sum(widths) + model.n_common))
        start = 0
        for block, owner, width in zip(model.blocks, model.predictor_of, widths, strict=True):
            for i in range(n):
                first = start + block.index[i] * block.n_columns
                W[owner, i, first : first + block.n_columns] = block.Z[i]
            start += width
        for k, owner in enumerate(model.common_predictor):
            W[owner, :, start + k] = at.slopes[k] * model.common[k]
        a = np.concatenate([*(b.ravel() for b in at.effects), at.t])
        natural = np.concatenate([*(b.ravel() for b in at.effects), at.common / at.slopes])
        eta = model.offsets + W @ natural
        problem = model.problem
        score = problem.evaluate(problem.y, problem.trials, eta)[1] * problem.counts
        information = expected_information(model, eta, np.random.default_rng(seed))
        self.C = np.einsum("kni,nkl,lnj->ij", W, information, W, optimize=True)
        self.c = np.einsum("kni,kn->i", W, score) + self.C @ a
        self.mean, self.precision = approximate_priors(model, at.t)
        self.model = model

    def factor(self, theta):
        """R and R^-1 r."""
        model = self.model
        factors = [dense.lower_factor(theta, model.theta.places[k]) for k in model.order]
        each = [np.kron(np.eye(b.n_levels), L) for b, L in zip(model.blocks, factors, strict=True)]
        Lambda = linalg.block_diag(*each, np.eye(model.n_common))
        p = model.n_common
        D0 = np.diag(np.r_[np.ones(len(Lambda) - p), self.precision])
        R = np.linalg.cholesky(Lambda.T @ self.C @ Lambda + D0)
        prior = D0 @ np.r_[np.zeros(len(Lambda) - p), self.mean]
        return R, linalg.solve_triangular(R, Lambda.T @ self.c + prior, lower=True)

    def split(self, w):
        """z (J, q) by block of the problem, and t."""
        found, start = {}, 0
        for number, block in zip(self.model.order, self.model.blocks, strict=True):
            size = block.n_levels * block.n_columns
            found[number] = w[start : start + size].reshape(block.n_levels, block.n_columns)
            start += size
        return [found[k] for k in range(len(found))], w[start:]

    def coefficients(self, theta, u):
        """w, and log|R|; u is (rest, head)."""
        R, h = self.factor(theta)
        u = np.r_[u[self.model.rest_size :], u[: self.model.rest_size]]
        return linalg.solve_triangular(R.T, h + u), np.log(np.diag(R)).sum()

    def coordinates(self, theta, w):
        """u = R'w - R^-1 r, as (rest, head), and log|R|."""
        R, h = self.factor(theta)
        u, head = R.T @ w - h, len(w) - self.model.rest_size
        return np.r_[u[head:], u[:head]], np.log(np.diag(R)).sum()


def differences(x, words, step=1e-3):
    """The gradient by five points; truncation error step^4."""
    found = np.empty(len(x))
    for k in range(len(x)):
        ends = []
        for times in (1, -1, 2, -2):
            moved = x.copy()
            moved[k] += times * step
            ends.append(evaluate(moved, words)[0])
        found[k] = (8 * (ends[0] - ends[1]) - (ends[2] - ends[3])) / (12 * step)
    return found


def some_x(model, rng, scale=0.4):
    return rng.normal(scale=scale, size=model.dimension)


@cases()
def test_value_is_that_of_dense_algebra(name, storage):
    problem, what = made(name)
    model, rng = row_model(problem), np.random.default_rng(2)
    assert model.sparse == (storage == "panels")
    for seed in range(3):
        at = some_point(model, rng)
        frozen, brute = frozen_at(model, at, seed), Dense(model, at, seed)
        x = some_x(model, rng)
        theta, u = np.split(x, [model.n_theta])
        w, log_R = brute.coefficients(theta, u)
        z, t = brute.split(w)
        expected = log_density(problem, *what, theta, t, z) - log_R
        assert evaluate(x, frozen.words)[0] == pytest.approx(expected, rel=1e-9)


@cases()
def test_stored_draw_is_the_coefficients_of_dense_algebra(name, storage):
    problem, _ = made(name)
    model, rng = row_model(problem), np.random.default_rng(3)
    at = some_point(model, rng)
    x = some_x(model, rng)
    theta, u = np.split(x, [model.n_theta])
    brute = Dense(model, at, 5)
    z, t = brute.split(brute.coefficients(theta, u)[0])
    effects = [
        each @ dense.lower_factor(theta, places).T
        for each, places in zip(z, model.theta.places, strict=True)
    ]
    in_order = [effects[k].ravel() for k in model.order]
    expected = np.concatenate([theta, t, *in_order[1:], in_order[0]])
    found = expand(x, frozen_at(model, at, 5).words)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@cases()
def test_gradient_is_that_of_differences(name, storage):
    """Relative 1e-6 of each element, or 1e-7 of the largest, where the differences end."""
    problem, _ = made(name)
    model, rng = row_model(problem), np.random.default_rng(4)
    at = some_point(model, rng)
    frozen = frozen_at(model, at, 1).changed(
        {
            Section.CENTRE: 0.1 * rng.normal(size=model.dimension),
            Section.SCALE: np.eye(model.n_theta) + 0.2 * rng.normal(size=(model.n_theta,) * 2),
        }
    )
    for _ in range(2):
        x = some_x(model, rng)
        value, gradient = evaluate(x, frozen.words)
        assert np.isfinite(value)
        np.testing.assert_allclose(
            gradient,
            differences(x, frozen.words),
            rtol=1e-6,
            atol=1e-7 * max(1.0, np.abs(gradient).max()),
        )


@cases()
def test_the_posterior_does_not_depend_on_what_was_frozen(name, storage):
    """log p(x) + log|R| is the log-density of theta and w, here from four approximations."""
    problem, _ = made(name)
    model, rng = row_model(problem), np.random.default_rng(5)
    theta = rng.normal(scale=0.5, size=model.n_theta)
    w = rng.normal(scale=0.5, size=model.dimension - model.n_theta)
    found = []
    for seed in range(3):
        at = some_point(model, rng)
        u, log_R = Dense(model, at, seed).coordinates(theta, w)
        found.append(evaluate(np.r_[theta, u], frozen_at(model, at, seed).words)[0] + log_R)
    plain = without_freeze(model)
    x, log_scale = plain_coordinates(model, plain, theta, w)
    found.append(evaluate(x, plain.words)[0] + log_scale)
    np.testing.assert_allclose(found, found[0], rtol=1e-9)


def plain_coordinates(model, frozen, theta, w):
    """x of plain non-centring: common coefficients in units of their own prior; log of those."""
    mean, precision = (frozen.sections[s] for s in (Section.COMMON_MEAN, Section.COMMON_PRECISION))
    head, t = model.n_head, w[len(w) - model.n_common :]
    others = w[head : head + model.n_others]
    x = np.concatenate([theta, others, (t - mean) * np.sqrt(precision), w[:head]])
    return x, 0.5 * np.log(precision).sum()


@cases()
def test_plain_coordinates_are_theta_z_and_standardised_coefficients(name, storage):
    problem, what = made(name)
    model, rng = row_model(problem), np.random.default_rng(6)
    frozen = without_freeze(model)
    theta = rng.normal(scale=0.5, size=model.n_theta)
    w = rng.normal(scale=0.5, size=model.dimension - model.n_theta)
    x, log_scale = plain_coordinates(model, frozen, theta, w)
    z, t = Dense.split(type("Model", (), {"model": model})(), w)
    expected = log_density(problem, *what, theta, t, z) - log_scale
    value, gradient = evaluate(x, frozen.words)
    assert value == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(
        gradient,
        differences(x, frozen.words),
        rtol=1e-6,
        atol=1e-7 * max(1.0, np.abs(gradient).max()),
    )
    found = expand(x, frozen.words)
    np.testing.assert_allclose(found[: len(theta)], theta, rtol=1e-14)
    np.testing.assert_allclose(found[len(theta) :][: len(t)], t, rtol=1e-12, atol=1e-14)


@cases("two columns", "crossed, second is larger", "two predictors with groups")
@pytest.mark.parametrize("log_sd", [np.log(1e-12), 4.0])
def test_boundaries(name, storage, log_sd):
    """An sd of nothing or 50, correlations of 0.9999."""
    problem, what = made(name)
    model, rng = row_model(problem), np.random.default_rng(7)
    at = some_point(model, rng)
    frozen, brute = frozen_at(model, at, 2), Dense(model, at, 2)
    x = some_x(model, rng, 0.2)
    for places in model.theta.places:
        x[places.partial[places.partial >= 0]] = 5.0
    x[model.theta.places[0].sd] = log_sd
    theta, u = np.split(x, [model.n_theta])
    w, log_R = brute.coefficients(theta, u)
    z, t = brute.split(w)
    value, gradient = evaluate(x, frozen.words)
    # the dense matrix has a condition number of 1e7 here
    assert value == pytest.approx(log_density(problem, *what, theta, t, z) - log_R, rel=1e-7)
    np.testing.assert_allclose(
        gradient,
        differences(x, frozen.words),
        rtol=1e-6,
        atol=1e-6 * max(1.0, np.abs(gradient).max()),
    )


@cases("two columns", "nested")
def test_bends_change_coordinates_alone(name, storage):
    """The density gains log |d theta / d x|, here by differences of the stored theta."""
    problem, _ = made(name)
    model, rng = row_model(problem), np.random.default_rng(8)
    d = model.n_theta
    plain = frozen_at(model, some_point(model, rng), 0)
    bends = np.full(d, SOFT)
    for places in model.theta.places:
        bends[places.partial[places.partial >= 0]] = PROBIT
    knees = rng.normal(size=d)
    bent = plain.changed({Section.BENDS: bends, Section.KNEES: knees})
    x, h = some_x(model, rng), 1e-5
    theta = expand(x, bent.words)[:d]
    steps = h * np.eye(model.dimension)[:d]
    slopes = [
        (expand(x + e, bent.words)[k] - expand(x - e, bent.words)[k]) / (2 * h)
        for k, e in enumerate(steps)
    ]
    straight = evaluate(np.r_[theta, x[d:]], plain.words)[0]
    value, gradient = evaluate(x, bent.words)
    # central differences with h = 1e-5
    assert value == pytest.approx(straight + np.log(slopes).sum(), rel=1e-8)
    np.testing.assert_allclose(
        gradient,
        differences(x, bent.words),
        rtol=1e-6,
        atol=1e-7 * max(1.0, np.abs(gradient).max()),
    )


# --- where the approximation is exact -----------------------------------------------------------


def known_errors(seed, factors):
    """A Gaussian model with known errors, and with responses whose information is exact."""
    problem = row_problem(
        seed,
        "gaussian",
        mean={"factors": factors, "priors": ("normal", "normal")},
        own=({"priors": ()},),
    )
    n = len(problem.y)
    return replace(problem, counts=1.0 + np.arange(n) % 3, simulate=up_and_down())


def up_and_down():
    """Draws of eta + sigma and eta - sigma in turn: their scores squared are 1 / sigma^2."""
    sign = 1.0

    def simulate(rng, predictors, trials):
        nonlocal sign
        sign = -sign
        return predictors[0] + sign * np.exp(predictors[1])

    return simulate


@pytest.mark.parametrize("storage", STORAGES, indirect=True)
@pytest.mark.parametrize(
    "factors", [((6, TWO),), ((8, ONE), (4, THREE)), ((5, APART), (9, ONE))], ids=str
)
def test_of_a_gaussian_model_u_is_standard_normal(storage, factors):
    """p(theta, u | y) is p(y | theta) p(theta) Normal(u; 0, I), with the dense marginal density.

    The precision of the priors is by differences with steps of 1e-4: 1e-7 relative.
    """
    problem = known_errors(3, factors)
    model, rng = row_model(problem), np.random.default_rng(9)
    mean, error = problem.predictors
    marginal = replace(
        groups_of(problem),
        y=problem.y - mean.offset,
        X=mean.X,
        beta_mean=np.full(2, 0.4),
        beta_sd=np.full(2, 1.5),
        weights=problem.counts,
        se=np.exp(error.offset),
    )
    for seed in range(3):
        frozen = frozen_at(model, some_point(model, rng), seed)
        x = some_x(model, rng)
        theta, u = np.split(x, [model.n_theta])
        expected = dense.log_density(marginal, theta) + stats.norm.logpdf(u).sum()
        value, gradient = evaluate(x, frozen.words)
        assert value == pytest.approx(expected, rel=1e-7)
        np.testing.assert_allclose(gradient[model.n_theta :], -u, atol=1e-5)


# --- the freeze and the pilot -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["one column", "three columns", "zero inflation"])
def test_information_is_that_of_the_family(name):
    """Poisson mu, binomial through the derivative of its link; five Monte Carlo errors, n rows."""
    problem, (_, family, _) = made(name)
    model = row_model(problem)
    eta = 0.3 * np.random.default_rng(1).normal(size=model.offsets.shape)
    found = (
        expected_information(model, eta, np.random.default_rng(2))
        / model.problem.counts[:, None, None]
    )
    np.testing.assert_allclose(found, np.swapaxes(found, 1, 2))
    assert np.linalg.eigvalsh(found).min() > -1e-12
    if family == "poisson":
        exact = np.exp(eta[0])
    elif family == "binomial":
        p = special.ndtr(eta[0])
        exact = model.problem.trials * stats.norm.pdf(eta[0]) ** 2 / (p * (1 - p))
    else:  # E[s^2] by the sum over all counts that occur
        y = np.arange(60.0)
        exact = np.empty(len(eta[0]))
        for i in range(len(exact)):
            at = np.repeat(eta[:, i : i + 1], len(y), axis=1)
            log_f, slope = model.problem.evaluate(y, np.ones(len(y)), np.ascontiguousarray(at))
            exact[i] = np.sum(np.exp(log_f) * slope[0] ** 2)
    ratio = found[:, 0, 0] / exact
    # 100 draws a row, scores squared of an sd of up to 2.5 times their mean
    assert ratio.mean() == pytest.approx(1.0, abs=5 * 2.5 / np.sqrt(100 * len(exact)))


@pytest.mark.parametrize("name", [name for name in STRUCTURES if name != SATURATED])
def test_the_pilot_is_at_a_mode(name):
    """x = 0 is the mode: its gradient is small beside that a standard deviation away, sqrt(D)."""
    problem, _ = made(name)
    frozen = pilot(row_model(problem))
    zero = np.zeros(frozen.model.dimension)
    value, gradient = evaluate(zero, frozen.words)
    assert np.linalg.norm(gradient) < 0.1 * np.sqrt(len(zero))
    rng = np.random.default_rng(10)
    for _ in range(5):
        assert evaluate(0.5 * rng.normal(size=len(zero)), frozen.words)[0] < value


FAR = (1e4, 1e200, np.inf, np.nan)


@pytest.mark.parametrize("name", sorted(STRUCTURES))
@pytest.mark.parametrize("far", FAR)
def test_what_is_not_finite_is_asked_before_it_is_used(name, far):
    """Whatever the search for a mode returns: finite sections, or an error and no warning."""
    model = row_model(made(name)[0])
    shapes = [(block.n_levels, block.n_columns) for block in model.blocks]
    at = Point(model, np.full(model.n_common, far), tuple(np.full(s, -far) for s in shapes))
    try:
        sections = freeze(model, at)
    except FloatingPointError:
        return
    assert np.isfinite(far)
    for section in (Section.OWN, Section.PANELS, Section.REST, Section.COMMON_MEAN):
        assert np.all(np.isfinite(sections[section]))


@pytest.mark.parametrize("far", FAR)
def test_where_no_mode_is_found_coordinates_are_plain(monkeypatch, far):
    """Whether a search fails depends on the processor's rounding: here it always does."""
    model = row_model(made(SATURATED)[0])
    monkeypatch.setattr(informed_sampling, "find_mode", lambda x, *_, **__: np.full_like(x, far))
    with pytest.raises(FloatingPointError):
        pilot(model)
    (only,), used = _choose_coordinates(model, "informed", seed=1)
    assert used == "plain"
    x = np.zeros(model.dimension)
    assert evaluate(x, only.coordinates.words)[0] == evaluate(x, without_freeze(model).words)[0]
    with pytest.raises(ValueError, match=r"informed.*plain"):
        _choose_coordinates(model, "centred", seed=1)


def test_a_search_that_leaves_the_numbers_is_an_error():
    with pytest.raises(FloatingPointError, match="left the numbers"):
        find_mode(np.zeros(2), lambda x: (np.nan, x))
    with pytest.raises(FloatingPointError, match="left the numbers"):
        find_mode(np.zeros(2), lambda x: (-np.inf, np.zeros(2)))


def test_a_mode_at_the_boundary_is_found_or_not_without_a_warning():
    _, used = _choose_coordinates(row_model(made(SATURATED)[0]), "informed", seed=1)
    assert used in ("informed", "plain")


def test_first_freeze_is_at_the_start():
    problem, _ = made("two columns")
    model = row_model(problem)
    t = np.array([0.2, 0.2, 0.2])
    same = frozen_at(model, Point.without_effects(model, t), 0)
    x = some_x(model, np.random.default_rng(11))
    assert evaluate(x, first_freeze(model).words)[0] == pytest.approx(
        evaluate(x, same.words)[0], rel=1e-12
    )


def test_rows_in_any_order_are_the_same_model():
    problem, _ = made("crossed, second is larger")
    rows_ = np.random.default_rng(12).permutation(len(problem.y))
    moved = replace(
        problem,
        y=problem.y[rows_],
        counts=problem.counts[rows_],
        trials=problem.trials[rows_],
        predictors=tuple(
            replace(
                part,
                X=part.X[rows_],
                offset=part.offset[rows_],
                blocks=tuple(replace(b, index=b.index[rows_], Z=b.Z[rows_]) for b in part.blocks),
            )
            for part in problem.predictors
        ),
    )
    models = [row_model(each) for each in (problem, moved)]
    x = some_x(models[0], np.random.default_rng(13))
    found = [evaluate(x, without_freeze(model).words)[0] for model in models]
    assert found[0] == pytest.approx(found[1], rel=1e-12)
    assert owners_of(problem) == [0, 0]


@pytest.mark.parametrize("form", [PLAIN, SOFT, PROBIT])
@pytest.mark.parametrize("theta", [-6.0, -0.5, 0.0, 3.0])
@pytest.mark.parametrize("knee", [-3.0, 0.0, 2.0])
def test_a_bend_is_undone(form, theta, knee):
    (t,) = unbent(np.array([form]), np.array([theta]), np.array([knee]))
    assert bend.py_func(form, t, knee)[0] == pytest.approx(theta, abs=1e-9)
