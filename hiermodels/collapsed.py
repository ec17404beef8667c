"""A design and its priors for the compiled density, and its draws back on the user's scale.

Everything but the sds, correlations and sigma integrates out exactly where the coefficients have
normal priors; NUTS then moves in a few dimensions at any number of rows, and the coefficients are
drawn from their exact conditional (`density`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hiermodels.density import (
    BlockData,
    CrossProducts,
    GaussianProblem,
    PositivePrior,
    combination_moments,
)
from hiermodels.density.priors import POSITIVE_PRIORS
from hiermodels.design import INTERCEPT, Block, Design, Predictor, coarser
from hiermodels.posterior import coefficient_terms
from hiermodels.priors import ParameterPrior, Prior, Priors

__all__ = [
    "LARGEST_REST",
    "coefficient_priors",
    "draw_moments",
    "effect_maps",
    "estimated_seconds",
    "gaussian_problem",
    "level_moments",
    "not_collapsed",
    "not_compiled",
    "user_scale",
]

type Array = np.ndarray

#: Effects beside the largest factor, beyond which their dense cross-products take gigabytes.
LARGEST_REST = 15_000
#: Measured on one core: floating-point operations of a dense factorisation, and nonzero
#: cross-products of a non-centred gradient, in a second.
FACTORISED, PASSED = 1.6e10, 2.2e8
#: Draws of the sds and correlations over which conditional moments are averaged.
MOMENT_DRAWS = 200
#: The same where a draw costs a dense inverse. Measured with 3,000 levels crossed with 1,100: means
#: differ from those of 200 draws by 0.4 % of a posterior sd at most, sds by 0.1 %.
FEW_MOMENT_DRAWS = 50


def rest_size(design: Design) -> int:
    """Effects of the factors beside the largest, which the density does not eliminate."""
    sizes = sorted(block.n_levels * len(block.terms) for block in design.blocks)
    return sum(sizes[:-1])


def estimated_seconds(design: Design) -> dict[str, float]:
    """What 4 x 1000 draws take about, by engine, from measurements on two cores.

    Collapsed: a pass over the levels a gradient, some 7 of them a draw; with a large rest of m
    effects two factorisations, m^3 / 3 operations each, for each of a quarter of the draws.
    Non-centred: 31 gradients a draw and as many draws of tuning, each over the nonzero
    cross-products, those of the common columns among them.
    """
    m, terms = rest_size(design), sum(len(block.terms) for block in design.blocks)
    levels = sum(block.n_levels for block in design.blocks)
    passes = 0.05 + 4 * 1200 * 7 / 2 * levels * terms**2 * 5e-9
    factorisations = 1000 * 2 * m**3 / 3 / FACTORISED
    nonzeros = min(design.n, levels**2) * terms**2 + len(design.terms) ** 2
    return {
        "collapsed": passes + factorisations,
        "noncentred": 4 * 2000 / 2 * 31 * nonzeros / PASSED,
    }


def not_compiled(design: Design, priors: Priors) -> str:
    """Why the kernels cannot have this model at all, or nothing."""
    for prior in scale_priors(priors):
        if not compiled_prior(prior.inside):
            return f"the prior of {prior.parameter!r}, {prior.given}, is not a compiled one"
    if rest_size(design) > LARGEST_REST:
        return (
            f"the factors beside the largest have {rest_size(design)} effects, more than "
            f"{LARGEST_REST}"
        )
    return ""


def not_collapsed(design: Design, priors: Priors) -> str:
    """Why the common coefficients cannot be integrated out exactly, or nothing."""
    for prior in coefficient_priors(priors):
        if prior.inside.name != "Normal":
            return f"the prior of {prior.parameter!r} is {prior.given.name}, not Normal"
    return not_compiled(design, priors)


def coefficient_priors(priors: Priors) -> Iterator[ParameterPrior]:
    if priors.intercept is not None:
        yield priors.intercept
    yield from priors.beta


def scale_priors(priors: Priors) -> Iterator[ParameterPrior]:
    for sds in priors.sd:
        yield from sds
    yield from priors.auxiliary


def compiled_prior(prior: Prior) -> bool:
    """Whether the kernels have this prior of an sd; a truncated normal only from zero on."""
    if prior.name == "TruncatedNormal":
        return prior.parameters.get("lower", 0.0) == 0.0 and "upper" not in prior.parameters
    return prior.name.lower() in POSITIVE_PRIORS


def positive_prior(prior: Prior) -> PositivePrior:
    a, b, *_ = (*prior.parameters.values(), 0.0)
    return PositivePrior(kind=prior.name.lower(), a=a, b=b)


def gaussian_problem(design: Design, priors: Priors) -> GaussianProblem:
    """The arrays that the density needs, standardised; rows of weight zero are left out."""
    kept = slice(None) if design.weights is None else design.weights > 0
    y = (design.response - design.offset if design.offset.any() else design.response)[kept]
    blocks = tuple(block_data(block, kept) for block in design.blocks)
    sd_priors = tuple(tuple(positive_prior(p.inside) for p in sds) for sds in priors.sd)
    etas = tuple(
        (1.0 if cor is None else cor.inside.parameters["eta"],) * len(block.parts)
        for block, cor in zip(design.blocks, priors.cor, strict=True)
    )
    normal = [normal_prior(prior.inside) for prior in coefficient_priors(priors)]
    return GaussianProblem(
        y=y,
        X=common_columns(design)[kept],
        blocks=blocks or (no_group(len(y)),),
        beta_mean=np.array([mean for mean, _ in normal]),
        beta_sd=np.array([sd for _, sd in normal]),
        sd_priors=sd_priors or ((PositivePrior(kind="lognormal", a=0.0, b=1.0),),),
        lkj_eta=etas or ((1.0,),),
        sigma_prior=positive_prior(priors.auxiliary[0].inside) if design.se is None else None,
        weights=None if design.weights is None else design.weights[kept],
        se=None if design.se is None else design.se[kept],
    )


def normal_prior(prior: Prior) -> tuple[float, float]:
    """Mean and sd; of any other prior a stand-in, which the non-centred engine does not read."""
    if prior.name != "Normal":
        return 0.0, 1.0
    return prior.parameters["mu"], prior.parameters["sigma"]


def no_group(n: int) -> BlockData:
    """A factor of one level with no effect on any row, for a model without groups.

    The density eliminates a factor; of this one nothing is left but the prior of its sd, which is
    independent of all else and not reported.
    """
    return BlockData(
        name="", index=np.zeros(n, np.int32), n_levels=1, Z=np.zeros((n, 1)), parts=((0,),)
    )


def common_columns(design: Design | Predictor) -> Array:
    """Standardised X, with the column of ones first where there is an intercept."""
    first = int(design.intercept)
    columns = np.empty((design.n, first + len(design.terms)))
    columns[:, :first] = 1.0
    np.subtract(design.common.values, design.common.center, out=columns[:, first:])
    columns[:, first:] /= design.common.scale
    return columns


def block_data(block: Block, kept: Any) -> BlockData:
    return BlockData(
        name=block.key,
        index=block.index[kept].astype(np.int32, copy=False),
        n_levels=block.n_levels,
        Z=block.columns.standardised[kept],
        parts=block.parts,
    )


def effect_maps(design: Design) -> tuple[Array, ...]:
    """T of each block: effects become T b_std while they are drawn (`density.Store`)."""
    return tuple(block.transform for block in design.blocks) or (np.eye(1),)


def user_scale(design: Design, found: dict[str, Any]) -> dict[str, Array]:
    """Draws of the standardised parameters, (chains, draws, ...), on the scale of the data.

    beta = beta_std / scale, Intercept = Intercept_std - beta center, Sigma = T Sigma_std T'.
    b = T b_std already, by `effect_maps`.
    """
    values: dict[str, Array] = {}
    first = int(design.intercept)
    beta = found["beta"][..., first:] / design.common.scale
    if design.intercept:
        values["Intercept"] = found["beta"][..., 0] - beta @ design.common.center
    if design.terms:
        values["beta"] = beta
    for block in design.blocks:
        values |= block_values(block, found)
    if "sigma" in found:
        values["sigma"] = found["sigma"]
    return values


def block_values(block: Block, found: dict[str, Any]) -> dict[str, Array]:
    """sd_g, cor_g and b_g of one factor, the last as it is."""
    name = block.key
    sd, effects = found[f"sd_{name}"], found[f"b_{name}"]
    to_raw = block.transform
    if (to_raw == np.diag(np.diag(to_raw))).all():  # scaled alone: correlations stay
        scale = np.diag(to_raw)
        values = {f"sd_{name}": sd * scale, f"b_{name}": effects}
        return values | ({f"cor_{name}": found[f"cor_{name}"]} if block.correlated else {})
    factor = to_raw * sd[..., None, :]
    covariance = factor @ found[f"cor_{name}"] @ np.swapaxes(factor, -1, -2)
    raw_sd = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    outer = raw_sd[..., :, None] * raw_sd[..., None, :]
    correlation = np.divide(covariance, outer, out=np.zeros_like(outer), where=outer > 0)
    correlation[..., range(len(to_raw)), range(len(to_raw))] = 1.0
    return {f"sd_{name}": raw_sd, f"cor_{name}": correlation, f"b_{name}": effects}


def level_moments(
    design: Design, products: CrossProducts, theta: Array, *, cores: int | None
) -> dict[str, tuple[Array, Array]]:
    """Exact posterior mean and variance of what is reported of each level, (J, K) each.

    ``theta`` is (chains, draws, d); evenly spread draws of it are enough (`MOMENT_DRAWS`), as
    conditional means vary little beside the effects themselves. A factor that is nested in
    another has no ``pooled``: there its coefficients include its parents' effects.
    """
    flat = theta.reshape(-1, theta.shape[-1])
    most = FEW_MOMENT_DRAWS if products.sparse else MOMENT_DRAWS
    some = flat[np.linspace(0, len(flat) - 1, min(len(flat), most)).astype(int)]
    wanted = [combinations(design, block) for block in design.blocks]
    stacked = [
        (np.vstack([a for a, _ in each.values()]), np.vstack([d for _, d in each.values()]))
        for each in wanted
    ]
    moments = combination_moments(products, some, stacked, cores=cores)
    found: dict[str, tuple[Array, Array]] = {}
    for block, of_block, (mean, variance) in zip(design.blocks, wanted, moments, strict=True):
        stops = np.cumsum([len(rows) for rows, _ in of_block.values()])[:-1]
        pairs = zip(np.split(mean, stops, axis=1), np.split(variance, stops, axis=1), strict=True)
        found |= dict(zip([f"{q}_{block.key}" for q in of_block], pairs, strict=True))
    return found


def draw_moments(design: Design, values: dict[str, Array]) -> dict[str, tuple[Array, Array]]:
    """Mean and variance over draws of what is reported of each level, as `level_moments`.

    For engines that sample the effects; ``values`` are on the scale of the data.
    """
    shape = next(iter(values.values())).shape[:2]
    common = np.concatenate(
        [
            np.zeros((*shape, 0)),
            *([values["Intercept"][..., None]] if design.intercept else []),
            *([values["beta"]] if design.terms else []),
        ],
        axis=-1,
    )
    standard = common @ np.linalg.inv(raw_coefficients(design)).T
    found: dict[str, tuple[Array, Array]] = {}
    for block in design.blocks:
        to_standard, effects = np.linalg.inv(block.transform), values[f"b_{block.key}"]
        for quantity, (on_effects, on_common) in combinations(design, block).items():
            mean, variance = np.empty((2, block.n_levels, len(on_effects)))
            for k, (a, d) in enumerate(zip(on_effects @ to_standard, on_common, strict=True)):
                each = effects @ a + (standard @ d)[..., None]
                mean[:, k], variance[:, k] = each.mean(axis=(0, 1)), each.var(axis=(0, 1), ddof=1)
            found[f"{quantity}_{block.key}"] = mean, variance
    return found


def combinations(design: Design, block: Block) -> dict[str, tuple[Array, Array]]:
    """What a user reads of a level as A b + D beta of the standardised coefficients."""
    to_raw, raw_common = block.transform, raw_coefficients(design)
    terms, q = coefficient_terms(design, block), len(block.terms)
    effects = np.zeros((len(terms), q))
    common = np.zeros((len(terms), raw_common.shape[1]))
    common[: len(raw_common)] = raw_common
    for k, term in enumerate(block.terms):
        effects[terms.index(term)] = to_raw[k]
    found = {"effects": (to_raw, np.zeros((q, common.shape[1]))), "coef": (effects, common)}
    if not coarser(design, block):
        found["pooled"] = at_the_mean(design, block)
    return found


def raw_coefficients(design: Design) -> Array:
    """Intercept and beta on the user's scale as combinations of the standardised ones."""
    slopes = np.diag(1 / design.common.scale)
    if not design.intercept:
        return slopes
    first = np.concatenate([[1.0], -design.common.center / design.common.scale])
    return np.vstack([first, np.column_stack([np.zeros(len(slopes)), slopes])])


def at_the_mean(design: Design, block: Block) -> tuple[Array, Array]:
    """Coefficients with the intercept at the mean of the predictors, slopes per unit of x."""
    scale = np.where([t == INTERCEPT for t in block.terms], 1.0, 1 / block.columns.scale)
    first = int(design.intercept)
    common = np.zeros((len(block.terms), first + len(design.terms)))
    for k, term in enumerate(block.terms):
        if term == INTERCEPT and design.intercept:
            common[k, 0] = 1.0
        elif term in design.terms:
            at = design.terms.index(term)
            common[k, first + at] = 1 / design.common.scale[at]
    return np.diag(scale), common
