"""Variance components, per draw, so that every share of them has an interval.

    V_g = mean_i z_i' Sigma_g z_i        the variance that factor g brings (Johnson 2014)
    V_f = var_i (x_i' beta)              of the common effects
    V_e                                  residual
    ICC_g = V_g / (sum V_g + V_e)        CV2 = V / (mean response)^2

V_e is sigma^2 for a Gaussian response. Beyond it there are two scales.

Latent scale, that of the linear predictor: V_e is the variance of the distribution, and for a count
that of its observation on the scale of the link,

    log link    lognormal  log(1 + Var(y) / lambda^2),    delta  Var(y) / lambda^2,
                trigamma   psi1(lambda^2 / Var(y))
    logit  pi^2 / 3      probit  1      cloglog  pi^2 / 6      beta  Var(y) / (d mu / d eta)^2

at the mean lambda of the response. Data scale, that of the response: the law of total variance,

    Var(y | x) = Var(E[y | b_g]) + ... + what the factors bring together + E[Var(y | b)]

averaged over the rows (`expected`).

Source: Johnson 2014, Methods Ecol. Evol. 5; Nakagawa, Johnson & Schielzeth 2017, J. R. Soc.
Interface 14; Houle 1992, Genetics 130, for CV2; Gelman, Goodrich, Gabry & Vehtari 2019, Am. Stat.
73, for Bayesian R2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import polygamma

from hiermodels.design import INTERCEPT, Block, Design, nesting_chains, no_numbers
from hiermodels.errors import NotAvailableError, UnknownNameError, lookup
from hiermodels.numbers.draws import Draws, standard_covariance
from hiermodels.numbers.expected import (
    few_draws,
    fitted_variances,
    is_linear,
    latent_noise,
    marginal_mean,
    mean_exists,
    quadrature_points,
    residual_variance,
    shared_variances,
)
from hiermodels.numbers.points import Points, extras_of, row_weights

__all__ = [
    "ICC",
    "SCALES",
    "VARIANTS",
    "Change",
    "Components",
    "RSquared",
    "change_of",
    "components",
    "cv2",
    "explained_variance",
    "heterogeneity",
    "intraclass",
    "mean_is_meaningful",
    "monte_carlo_error",
    "repeatability",
    "reportable_scales",
    "strata_change",
    "typical_error",
]

type Array = np.ndarray

SCALES = {
    "latent": "the scale of the linear predictor",
    "data": "the scale of the response",
}
#: Observation-level variance of counts and positive responses on the log scale, from Var(y)/mean^2.
VARIANTS: dict[str, Callable[[Array], Array]] = {
    "lognormal": np.log1p,
    "delta": lambda ratio: ratio,
    "trigamma": lambda ratio: polygamma(1, 1 / ratio),
}
#: Variance of the distribution whose quantiles the link is.
LINK_VARIANCES = {"logit": np.pi**2 / 3, "probit": 1.0, "cloglog": np.pi**2 / 6}

#: Mixtures of shares with exact zeros and ones, which have no place on the scale of a link.
NO_LATENT = ("zi_beta", "zoi_beta")


def chosen_scale(design: Design, scale: str | None) -> str:
    """The scale asked for; for a linear model with normal noise there is but one.

    Raises
    ------
    UnknownNameError
        None was named, and the two differ.
    """
    if scale is not None:
        lookup(scale, SCALES, what="scale")
        return "linear" if is_linear(design) else scale
    if is_linear(design):
        return "linear"
    if not design.family.has_mean:
        return "latent"
    raise UnknownNameError(
        f"with a {design.family.link} link or the family {design.family.name}, shares of variance "
        "depend on the scale; say which:\n"
        f"  scale='latent'  of the linear predictor ({latent_words(design)}), where effects add; "
        "the noise of the response is translated to it\n"
        f"  scale='data'    of {design.response_name} itself, as it is observed"
    )


def reportable_scales(design: Design) -> tuple[str | None, ...]:
    """The scales that have an answer for a model; None alone for a linear one."""
    if is_linear(design):
        return (None,)
    latent = () if design.family.name in NO_LATENT else ("latent",)
    data = ("data",) if mean_exists(design) and design.family.has_mean else ()
    return (*latent, *data)


def latent_words(design: Design) -> str:
    return {"log": "log", "identity": f"log of {design.response_name}"}.get(
        design.family.link, design.family.link
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """The variances of a model. Made by `components`, read by `intraclass`, `cv2` and `tables`.

    ``labels`` are (factor, term); ``groups`` (S, K) their variances; ``between`` (S,) what the
    factors bring together beyond their sum, on the data scale of a non-linear link; ``residual``,
    ``common`` and ``mean`` (S,) the residual variance, V_f, and the mean response over the rows;
    ``mean_of`` are the draws that the mean is of, where not all have group effects.
    ``sets`` are the variances of sets of factors, where they are not sums; ``relative`` (S, K + 1)
    and ``relative_between`` are CV2 where they are not variances over the squared mean.

    ``beyond`` (S,) are the draws whose variances are too large for a number: they are in a unit of
    their own there, in which shares are right. No ``mean`` is above `BEYOND`, which stands for it.
    """

    labels: tuple[tuple[str, str], ...]
    groups: Array
    residual: Array
    common: Array
    mean: Array
    between: Array
    scale: str
    sets: dict[tuple[str, ...], Array] = field(default_factory=dict)
    relative: Array | None = None
    relative_total: Array | None = None
    mean_of: Array | None = None
    beyond: Array | None = None

    @property
    def n(self) -> int:
        return len(self.residual)

    @property
    def total(self) -> Array:
        """Groups and residual, without the common effects."""
        return self.groups.sum(axis=1) + self.between + self.residual

    def factor(self, name: str) -> Array:
        """V_g of one factor, all its terms: (S,)."""
        at = [k for k, (factor, _) in enumerate(self.labels) if factor == name]
        return self.groups[:, at].sum(axis=1)

    def together(self, names: Sequence[str]) -> Array:
        """The variance that a set of factors brings: (S,)."""
        if tuple(names) in self.sets:
            return self.sets[tuple(names)]
        return np.sum([self.factor(n) for n in names], axis=0)


def term_variances(block: Block, draws: Draws, weights: Array) -> Array:
    """V_g split between the terms of a factor: (S, q), with the sum V_g.

    The intercept has the variance where every column is at its mean, a' Sigma a with
    a = mean_i z_i; a slope has V_gk = sum_l Sigma_kl cov(z_k, z_l): its variance times that of its
    column, and half of what it shares with the other slopes, which can be negative. Without an
    intercept mean squares take the place of the covariances.
    """
    z, sigma = block.columns.standardised, standard_covariance(draws, block)
    moments = (z * weights[:, None]).T @ z
    if INTERCEPT not in block.terms:
        return (sigma * moments).sum(axis=2)
    mean = weights @ z
    split = (sigma * (moments - np.outer(mean, mean))).sum(axis=2)
    split[:, block.terms.index(INTERCEPT)] = np.einsum("q,sqr,r->s", mean, sigma, mean)
    return split


def components(
    design: Design,
    draws: Draws,
    *,
    scale: str | None = None,
    variant: str = "lognormal",
    expected: float | Array | None = None,
    points: Points | None = None,
) -> Components:
    """All variances of a model, from its draws.

    ``scale`` as in `SCALES`, None for a linear model; ``variant`` as in `VARIANTS`, for the latent
    scale of a log link; ``expected`` the mean response at which the noise is translated to the
    latent scale, instead of the model's own; ``points`` other rows than those of the data.
    """
    chosen = chosen_scale(design, scale)
    if chosen == "data":
        return data_components(design, draws, points or quadrature_points(design, draws))
    groups, common = linear_parts(design, draws, points)
    labels = tuple((b.name, t) for b in design.blocks for t in b.terms)
    if points is not None:
        labels = tuple((b.name, "") for b in design.blocks)
    mean_of = None
    if chosen == "linear":
        residual = residual_variance(design, draws)
        mean = mean_response(design, draws, row_weights(design))
        mean_of = draws.kept
    else:
        mean = latent_mean(design, draws, expected)
        residual = latent_residual(design, draws, mean, variant=variant)
    return Components(
        labels=labels,
        groups=groups,
        residual=residual,
        common=common,
        mean=mean,
        between=np.zeros(draws.n),
        scale=chosen,
        mean_of=mean_of,
    )


def linear_parts(design: Design, draws: Draws, points: Points | None) -> tuple[Array, Array]:
    """V of each factor and term, and V_f, of the linear predictor: (S, K), (S,)."""
    if points is None:
        weights = row_weights(design)
        groups = [term_variances(b, draws, weights) for b in design.blocks]
        common = design.common.values
    else:
        weights, common = points.weights, points.common
        groups = [
            np.einsum("n,nq,sqr,nr->s", weights, z, draws.covariance(g), z, optimize=True)[:, None]
            for g, z in points.groups.items()
        ]
    fitted = draws.beta @ (common - weights @ common).T
    stacked = np.hstack(groups) if groups else np.zeros((draws.n, 0))
    return stacked, (fitted**2) @ weights


def data_components(design: Design, draws: Draws, points: Points) -> Components:
    """The law of total variance on the scale of the response; fewer draws than there are.

    Raises
    ------
    NotAvailableError
        For a response without a finite mean.
    """
    if not mean_exists(design):
        raise NotAvailableError(
            "a log-normal response whose sigma differs between groups has no finite mean among "
            "all possible groups, and so no variance; scale='latent' has an answer"
        )
    if not design.family.has_mean:
        raise NotAvailableError(
            f"{no_numbers(design)} and no variance; scale='latent' has an answer"
        )
    some = few_draws(draws, points)
    names = all_factors(design)
    singles = [(name,) for name in names]
    nested = nested_sets(design)
    everything = names
    wanted = list(dict.fromkeys([*singles, *nested, *([everything] if everything else [])]))
    found = shared_variances(design, some, points, wanted)
    zero = np.zeros(some.n)
    groups = np.array([found.sets[s] for s in singles]).reshape(len(singles), some.n).T
    whole = found.sets.get(everything, zero)
    relative = np.array([found.relative[s] for s in singles]).reshape(len(singles), some.n).T
    relative_whole = found.relative.get(everything, zero)
    return Components(
        labels=tuple((name, "") for name in names),
        groups=groups,
        residual=found.noise,
        common=found.common,
        mean=found.mean,
        # rounding can leave a single factor a little more than the whole
        between=np.maximum(whole - groups.sum(axis=1), 0.0) if len(singles) > 1 else zero,
        scale="data",
        sets={s: found.sets[s] for s in nested},
        relative=np.column_stack(
            [relative, relative_whole - relative.sum(axis=1), found.relative_noise]
        ),
        relative_total=relative_whole + found.relative_noise,
        beyond=found.beyond,
    )


def all_factors(design: Design) -> tuple[str, ...]:
    """Those of the mean, then those that only a parameter of the family has."""
    extra = [b.name for p in extras_of(design).values() for b in p.blocks]
    return tuple(dict.fromkeys([*design.factors, *extra]))


def nested_sets(design: Design) -> tuple[tuple[str, ...], ...]:
    """The factors of each nesting from the coarsest down, two and more at a time."""
    return tuple(
        tuple(block.name for block in chain[:depth])
        for chain in nesting_chains(design)
        for depth in range(2, len(chain) + 1)
    )


def latent_mean(design: Design, draws: Draws, expected: float | Array | None) -> Array:
    """Where the noise is translated to the latent scale: (S,); not a number without one."""
    if expected is not None:
        return np.broadcast_to(np.asarray(expected, dtype=float), (draws.n,))
    if design.family.name == "ordinal" or not mean_exists(design):
        return np.full(draws.n, np.nan)
    return marginal_mean(design, draws)


def latent_residual(design: Design, draws: Draws, mean: Array, *, variant: str) -> Array:
    """The variance of the response translated to the scale of the linear predictor: (S,).

    Raises
    ------
    NotAvailableError
        For a mixture of two linear predictors, which no published translation covers.
    """
    translate = lookup(variant, VARIANTS, what="variant")
    name, link = design.family.name, design.family.link
    if name in ("lognormal", "student"):
        return residual_variance(design, draws)
    if name in NO_LATENT:
        raise NotAvailableError(
            f"{name} mixes proportions with exact zeros or ones, which have no place on the "
            f"{link} scale; scale='data' has an answer"
        )
    if link == "log":
        noise, at = latent_noise(design, draws, mean)
        return np.asarray(translate(noise / at**2))
    distribution = np.full(draws.n, LINK_VARIANCES[link])
    if name in ("bernoulli", "binomial", "ordinal"):
        return distribution
    noise, at = latent_noise(design, draws, mean, single=True)
    delta = noise / link_slope(link, at) ** 2
    return np.asarray(delta if name == "beta" else distribution + delta)


def link_slope(link: str, mean: Array) -> Array:
    """d mu / d eta where the mean is mu."""
    from scipy.special import ndtri

    if link == "logit":
        return mean * (1 - mean)
    if link == "probit":
        return np.asarray(np.exp(-0.5 * ndtri(mean) ** 2) / np.sqrt(2 * np.pi))
    return np.asarray(-(1 - mean) * np.log1p(-mean))


def mean_response(design: Design, draws: Draws, weights: Array) -> Array:
    """The mean over the rows of eta, (S,): of the draws that have group effects."""
    full = draws.with_effects
    level = weights @ design.offset + full.beta @ (weights @ design.common.values)
    effects = sum((effect_means(b, full, weights) for b in design.blocks), np.zeros(full.n))
    return np.asarray(full.intercept + level + effects)


def effect_means(block: Block, draws: Draws, weights: Array) -> Array:
    """mean_i z_i' b_level(i), each draw: (S,)."""
    sums = np.zeros((block.n_levels, len(block.terms)))
    np.add.at(sums, block.index, block.columns.values * weights[:, None])
    return np.einsum("sjq,jq->s", draws.effects[block.name], sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class ICC:
    """Intraclass correlations. Made by `intraclass` and `repeatability`, read by `tables`.

    ``labels`` say which factors count; ``kinds`` whether alone ("single"), added up along a nesting
    ("cumulative"), as what a nested factor adds to the coarser ones ("sequential"), or what they
    bring together ("interaction"); ``adjusted`` and ``unadjusted`` are (S, K).
    """

    labels: tuple[str, ...]
    kinds: tuple[str, ...]
    adjusted: Array
    unadjusted: Array


def intraclass(design: Design, parts: Components) -> ICC:
    """V_g / total for each factor, and for nested factors the sum from the coarsest down.

    The cumulative one is the correlation of two rows that share all those levels: of one patch,
    (V_pop + V_patch) / total. Adjusted for the common effects: V_f is not in the total;
    unadjusted: it is.
    """
    return shares(design, parts, total=parts.total)


def repeatability(design: Design, parts: Components, *, n: int = 1) -> ICC:
    """The adjusted ICC of the mean of n rows that share their levels: V_g / (sum V_g + V_e / n).

    With one factor V_g / (V_g + V_e / n); with n = 1 that of `intraclass`.
    """
    return shares(design, parts, total=parts.total - parts.residual * (1 - 1 / n))


def typical_error(design: Design) -> float:
    """What known standard errors have for one variance in a meta-analysis, with w_i = 1 / se_i^2:

        s^2 = (k - 1) sum w / ((sum w)^2 - sum w^2)

    a harmonic kind of mean, so that few imprecise rows do not make all others look alike, as they
    do in the arithmetic mean. Source: Higgins & Thompson 2002, Statistics in Medicine 21, eq. 9.
    """
    counts = np.ones(design.n) if design.weights is None else design.weights
    w = 1 / np.asarray(design.se) ** 2
    total = float(counts @ w)
    return (float(counts.sum()) - 1) * total / (total**2 - float(counts @ w**2))


def heterogeneity(design: Design, parts: Components) -> ICC:
    """I^2 of each factor, V_g / (sum V_g + s^2): `intraclass` with the typical error for V_e.

    With nested factors the share of each level (Nakagawa & Santos 2012, Evolutionary Ecology 26).
    """
    arithmetic = float(row_weights(design) @ np.asarray(design.se) ** 2)
    # a student's residual variance is a multiple of se^2
    residual = parts.residual * (typical_error(design) / arithmetic)
    return shares(design, parts, total=parts.total - parts.residual + residual)


def shares(design: Design, parts: Components, *, total: Array) -> ICC:
    names = dict.fromkeys(factor for factor, _ in parts.labels)
    rows = [(name, "single", parts.factor(name)) for name in names]
    for chain in nested_sets(design):
        variance = parts.together(chain)
        if parts.scale == "data":
            added = variance - parts.together(chain[:-1])
            rows.append((f"{chain[-1]} within {chain[-2]}", "sequential", added))
        rows.append((" + ".join(chain), "cumulative", variance))
    if parts.scale == "data" and len(names) > 1:
        rows.append(("between factors", "interaction", parts.between))
    variances = np.array([v for *_, v in rows]).reshape(len(rows), parts.n).T
    return ICC(
        labels=tuple(label for label, *_ in rows),
        kinds=tuple(kind for _, kind, _ in rows),
        adjusted=variances / total[:, None],
        unadjusted=variances / (total + parts.common)[:, None],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RSquared:
    """Shares of variance explained, each draw (S,). Made by `explained_variance`.

    ``marginal`` by the common effects, ``conditional`` by these and the groups; ``bayesian`` the
    variance of the fitted values over it plus the noise, for the rows and groups of the data.
    """

    marginal: Array
    conditional: Array
    bayesian: Array


def explained_variance(design: Design, draws: Draws, parts: Components) -> RSquared:
    """R2 = V_f / V, (V_f + sum V_g) / V with V = V_f + sum V_g + V_e; and that of Gelman et al."""
    whole = parts.total + parts.common
    fitted, noise = fitted_variances(design, draws)
    return RSquared(
        marginal=parts.common / whole,
        conditional=(whole - parts.residual) / whole,
        bayesian=fitted / (fitted + noise),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of variance between two fits. Made by `change_of`, read by `tables`.

    ``error`` is its Monte Carlo standard error, by which it differs from one run to the next.
    """

    estimate: float
    error: float


def strata_change(
    design: Design, parts: Components, null_design: Design, null: Components
) -> dict[str, Change]:
    """1 - V / V_null of each stratum: what the predictors explain of it (Hox 2010).

    Negative where a predictor brings out a difference between groups that another one had hidden.

    Raises
    ------
    NotAvailableError
        Random slopes, for which a stratum has no single variance; other factors or rows.
    """
    for one in (design, null_design):
        if any(b.terms != (INTERCEPT,) for b in one.blocks):
            raise NotAvailableError(
                f"{one.formula} has random slopes: the variance of a stratum then depends on the "
                "predictor, and its change on where it is taken. Compare models of intercepts."
            )
    if design.factors != null_design.factors or design.n != null_design.n:
        raise NotAvailableError(
            f"the null model needs the same factors and rows: {design.formula} has {design.n} "
            f"rows, {null_design.formula} {null_design.n}. Fit both to the complete rows of one "
            "table."
        )
    found = {g: change_of(parts.factor(g), null.factor(g)) for g in design.factors}
    return {**found, "residual": change_of(parts.residual, null.residual)}


def change_of(variance: Array, null: Array) -> Change:
    """1 - median V / median V_null, of the draws of two fits, of any number each.

    The two posteriors are independent: nothing says which draw of one belongs to which of the
    other. The ratio of two unpaired draws has a distribution, but not of a change: with both fits
    the same model, the mean of V / V_null is E[V] E[1 / V] > 1 (Jensen), and its spread that of two
    ignorances about one number. So the medians are compared, and there is no interval.
    """
    ratio = float(np.median(variance) / np.median(null))
    errors = [monte_carlo_error(v, of=np.median)[0] for v in (variance, null)]
    relative = np.divide(errors, [np.median(variance), np.median(null)])
    return Change(estimate=1 - ratio, error=ratio * float(np.hypot(*relative)))


def mean_is_meaningful(design: Design, parts: Components) -> str:
    """Why a CV2 means nothing here, or nothing: it needs a ratio scale with a mean off zero."""
    link = design.family.link
    if design.family.name == "ordinal":
        return "categories are in order, and have no zero"
    if link in LINK_VARIANCES:
        return (
            f"the {link} scale has no zero, and the variance of a share depends on its mean"
            if parts.scale == "latent"
            else "a share has two ends: it and its complement would differ"
        )
    if link == "log" or design.family.name == "lognormal":
        return ""
    if design.response.min() < 0:
        return "the response has negative values, so its zero is not the absence of the quantity"
    if np.abs(parts.mean).min() < 1e-6 * np.abs(parts.mean).max():
        return "the mean response is near zero"
    return ""


def cv2(variance: Array, mean: Array) -> Array:
    """Squared coefficient of variation, variance / mean^2, unchanged when the unit changes."""
    return variance / mean**2


def monte_carlo_error(values: Array, *, of: Callable[..., Array] = np.mean) -> Array:
    """Standard error of the mean, or median, of draws, from those of 20 stretches of them: (K,)."""
    values = np.asarray(values).reshape(len(values), -1)
    k = 20
    length = len(values) // k
    if length < 2:
        return np.asarray(values.std(axis=0, ddof=1) / np.sqrt(len(values)))
    found = of(values[: k * length].reshape(k, length, -1), axis=1)
    return np.asarray(found.std(axis=0, ddof=1) / np.sqrt(k))
