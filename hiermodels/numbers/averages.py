"""Averages over a normal linear predictor, at any sd: eta ~ Normal(f, V).

The mean of h(eta), as a sum over nodes that lie where the function changes:

    V small     trapezoids in u = (eta - f) / sqrt(V)
    V large     trapezoids in eta itself, less a multiple of Phi(eta), whose mean is known
    h ~ e^eta   h = (1 + e^eta) p with p bounded:  E[h] = E[p(eta)] + e^(f + V/2) E[p(eta + V)]

The covariance of h at two predictors that share a part V_A of their variance, of links that are the
distribution function of a mixture of normal distributions (probit, and closely logit and cloglog):

    h(x) = sum_k w_k Phi((x - m_k) / t_k)
    E[h] = sum_k w_k Phi(a_k),                 a_k = (f - m_k) / sqrt(V + t_k^2)
    Cov  = sum_kl w_k w_l int_0^r phi_2(a_k, a_l; t) dt,    r = V_A / sqrt((V + t_k^2)(V + t_l^2))

Source: Monahan & Stefanski 1992, in Balakrishnan, Handbook of the Logistic Distribution, for the
mixture; Plackett 1954, Biometrika 41, for the integral.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtr

from hiermodels.families import Family

__all__ = [
    "BEYOND",
    "LINEAR",
    "MIXING",
    "MIXTURES",
    "Mixture",
    "averaged",
    "bounded_mean",
    "growing_mean",
    "share_covariance",
    "share_mean",
]

type Array = np.ndarray

#: Nodes in u, of which sds up to one take every other; those in eta, and the sd from which on.
IN_SDS = np.linspace(-7.2, 7.2, 49)
REACH, STEP, WIDE = 40.0, 0.5, 2.5
#: A number whose square still is one. A mean beyond it is this one, and is told in words.
BEYOND = 1e150
#: Beyond these the exponential is taken for its value there.
LARGEST = 700.0
#: Nodes of the integral over correlations; of the dispersion of a hurdle, in sds.
CORRELATIONS, DISPERSION = 20, 15
#: The parameters that mix a point mass in: a mean is linear in them. Families linear in eta.
MIXING, LINEAR = ("zi", "zoi"), ("gaussian", "student")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """A distribution function sum_k w_k Phi((x - m_k) / t_k). An entry of `MIXTURES`.

    ``weights``, ``means``, ``sds`` (K,); the weights need not add up to one.
    """

    weights: Array
    means: Array
    sds: Array

    def shifted(self, by: Array) -> Mixture:
        """sum_j h(x - c_j)."""
        return Mixture(
            weights=np.tile(self.weights, len(by)),
            means=np.add.outer(by, self.means).ravel(),
            sds=np.tile(self.sds, len(by)),
        )


def mixture(weights: list[float], means: list[float], sds: list[float]) -> Mixture:
    w = np.array(weights)
    return Mixture(weights=w / w.sum(), means=np.array(means), sds=np.array(sds))


#: Fitted to the links by least squares between -25 and 25: within 6e-6 of logit, 7e-5 of cloglog.
MIXTURES = {
    "probit": mixture([1.0], [0.0], [1.0]),
    "logit": mixture(
        [0.10975694814041538, 0.46052636749992176, 0.36983866941981747, 0.059878014939845264],
        [0.0] * 4,
        [0.9812621715395919, 1.4372013511507966, 2.1118071456515177, 3.120310350647329],
    ),
    "cloglog": mixture(
        [0.012157006720585393, 0.07097141648201231, 0.179309670977061, 0.2775273088129192,
         0.27238959036253635, 0.1527241505876582, 0.034920856057227605],
        [-4.289696827573528, -2.676196631817215, -1.5430548194344715, -0.6844277738601366,
         0.006983486834250142, 0.5935987329744468, 1.1194534860249146],
        [1.8722148869157693, 1.2701275875060334, 0.9391627747205678, 0.7246461299361533,
         0.5751284919835112, 0.4656500183779426, 0.38056983048549714],
    ),
}  # fmt: skip


def share_mean(h: Mixture, f: Array, variance: Array) -> Array:
    """E[h(eta)] of a link: the shape of ``f``."""
    scaled = (f[..., None] - h.means) / np.sqrt(variance[..., None] + h.sds**2)
    return np.asarray(ndtr(scaled) @ h.weights)


def share_covariance(h: Mixture, f: Array, variance: Array, shared: Array) -> Array:
    """Cov(h(eta), h(eta')) of predictors that share a part of their variance: (n,)."""
    first, second = np.triu_indices(len(h.weights))
    times = np.where(first == second, 1.0, 2.0) * h.weights[first] * h.weights[second]
    total = variance[:, None] + h.sds**2
    a = (f[:, None] - h.means) / np.sqrt(total)
    nodes, weights = np.polynomial.legendre.leggauss(CORRELATIONS)
    share = np.divide(shared, variance, out=np.zeros_like(f), where=variance > 0)
    # in the angle the integrand stays smooth up to a correlation of one
    top = np.arcsin(np.minimum(share, 1.0))
    angle = top[:, None] * (nodes + 1) / 2
    jacobian = top[:, None] / 2 * weights * np.cos(angle)
    scale = variance[:, None] / np.sqrt(total[:, first] * total[:, second])
    r = scale[:, :, None] * np.sin(angle)[:, None, :]
    free = 1 - r**2
    a, b = a[:, first, None], a[:, second, None]
    density = np.exp(-(a * a - 2 * r * a * b + b * b) / (2 * free)) / np.sqrt(free)
    integral = (density @ jacobian[:, :, None])[:, :, 0]
    return np.asarray((integral * scale) @ times / (2 * np.pi))


def bounded_mean(
    h: Callable[[Array], Array], f: Array, variance: Array, *, reach: float = REACH
) -> Array:
    """E[h(eta)] of a bounded function that is constant beyond +-``reach``: the shape of ``f``."""
    sd = np.sqrt(variance)
    wide = sd > WIDE
    if not wide.any():
        return mean_in_sds(h, f, sd)
    far = mean_in_eta(h, f, np.maximum(sd, WIDE), reach)
    return far if wide.all() else np.where(wide, far, mean_in_sds(h, f, np.minimum(sd, WIDE)))


def mean_in_sds(h: Callable[[Array], Array], f: Array, sd: Array) -> Array:
    nodes = IN_SDS[:: 1 if sd.max(initial=0.0) > 1 else 2]
    weights = np.exp(-0.5 * nodes**2)
    total = np.zeros_like(f)
    for node, weight in zip(nodes, weights / weights.sum(), strict=True):
        total += weight * h(f + node * sd)
    return total


def mean_in_eta(h: Callable[[Array], Array], f: Array, sd: Array, reach: float) -> Array:
    low, high = h(np.full_like(f, -reach)), h(np.full_like(f, reach))
    rise = high - low
    total = np.zeros_like(f)
    for x in np.arange(-reach + STEP, reach, STEP):
        weight = STEP / np.sqrt(2 * np.pi) * np.exp(-0.5 * ((x - f) / sd) ** 2) / sd
        total += weight * (h(np.full_like(f, x)) - low - rise * ndtr(x))
    return total + low + rise * ndtr(f / np.sqrt(1 + sd**2))


def growing_mean(
    h: Callable[[Array], Array], f: Array, variance: Array, *, reach: float = REACH
) -> Array:
    """E[h(eta)] of a function that grows as e^eta; infinite where there is no such number."""

    def bounded(eta: Array) -> Array:
        eta = np.clip(eta, -LARGEST, LARGEST)
        return h(eta) * expit(-eta)

    with np.errstate(over="ignore"):
        mean = np.exp(f + variance / 2)
    return bounded_mean(bounded, f, variance, reach=reach) + mean * bounded_mean(
        bounded, f + variance, variance, reach=reach
    )


def averaged(
    moment: Callable[[Mapping[str, Array]], Array],
    etas: Mapping[str, Array],
    variances: Mapping[str, Array],
    family: Family,
    *,
    cuts: Array | None = None,
) -> Array:
    """The mean of a moment over Normal(eta, V) of each linear predictor, at most `BEYOND`.

    ``moment`` is the mean of the response, or another that is linear in zi and zoi and depends on
    eta as the mean does; ``cuts`` are thresholds, beyond which nothing changes.
    """
    found = dict(etas)
    wide = [name for name, v in variances.items() if (v > 0).any()]
    for name in wide:
        if name in MIXING:
            found[name] = logit(
                bounded_mean(expit, *np.broadcast_arrays(etas[name], variances[name]))
            )
    f, variance = etas[""], np.broadcast_to(variances.get("", 0.0), etas[""].shape)
    hurdle = "hurdle" in family.name

    def inner(other: Mapping[str, Array]) -> Array:
        def h(eta: Array) -> Array:
            return moment({**found, **other, "": eta})

        if family.name in LINEAR or "" not in wide:
            return h(f)
        if hurdle:
            return growing_mean(h, f, variance)
        if family.link == "log" or family.name == "lognormal":
            return h(f + variance / 2)
        reach = REACH + (0.0 if cuts is None else float(np.abs(cuts).max()))
        return bounded_mean(h, f, variance, reach=reach)

    dispersion = [name for name in wide if hurdle and name and name not in MIXING]
    if not dispersion:
        return np.minimum(inner({}), BEYOND)
    (name,) = dispersion
    nodes, weights = np.polynomial.hermite_e.hermegauss(DISPERSION)
    sd = np.sqrt(variances[name])
    parts = [w * inner({name: etas[name] + x * sd}) for x, w in zip(nodes, weights, strict=True)]
    return np.minimum(np.sum(parts, axis=0) / weights.sum(), BEYOND)
