"""R-hat and effective sample size of many parameters at once.

ArviZ computes them one parameter at a time, some 12 ms each, which for a hundred group effects is
longer than their sampling. The definitions are the same, and tests hold the figures to ArviZ's.

Source: Vehtari et al. 2021, Bayesian Analysis 16(2), sections 3 and 4; Geyer 1992, Statistical
Science 7(4), for where the sum of autocorrelations ends.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

__all__ = ["FEWEST_DRAWS", "TAIL", "average_ranks", "bulk_ess", "rank_rhat", "tail_ess"]

Array = NDArray[np.float64]

#: The quantiles whose effective sample sizes are that of the tails.
TAIL = (0.05, 0.95)
#: Fewer draws of a chain than this have no figures.
FEWEST_DRAWS = 4
#: Parameters that are looked at together: their Fourier transforms take 20 MB at 4 × 1000 draws.
BLOCK = 64


def rank_rhat(values: Array) -> Array:
    """Rank-normalised split R-hat (K,) of ``values`` (K, chains, draws), the larger of two.

    ``sqrt((n - 1) / n + var(chain means) / mean(chain variances))`` of the halves of the chains, n
    draws each, of normal scores: those of the values, and those of |value - median|. One chain has
    two halves, and so an R-hat, which ArviZ leaves out. NaN where a value is, and of fewer than 4
    draws.
    """

    def larger(block: Array) -> Array:
        halves = split_chains(block)
        middle = np.median(halves, axis=(1, 2), keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):  # of a chain that never moved, 0 / 0
            return np.fmax(
                rhat_of_scores(normal_scores(halves)),
                rhat_of_scores(normal_scores(np.abs(halves - middle))),
            )

    return in_blocks(larger, values)


def bulk_ess(values: Array) -> Array:
    """Effective sample size (K,) of the normal scores of ``values`` (K, chains, draws).

    NaN where a value is, and of fewer than 4 draws.
    """
    return in_blocks(lambda block: ess_of_scores(normal_scores(split_chains(block))), values)


def tail_ess(values: Array) -> Array:
    """The smaller effective sample size (K,) of the two quantiles of `TAIL`.

    Of the indicator of being at most the quantile; ``values`` (K, chains, draws). NaN where a value
    is, and of fewer than 4 draws.
    """

    def smaller(block: Array) -> Array:
        flat = block.reshape(len(block), -1)
        low, high = (
            ess_of_scores(split_chains((block <= quantile[:, None, None]).astype(float)))
            for quantile in np.quantile(flat, TAIL, axis=1)
        )
        return np.minimum(low, high)

    return in_blocks(smaller, values)


def average_ranks(values: Array) -> Array:
    """Ranks from 1 to N of each row of ``values`` (K, N); equal values share the mean of theirs."""
    order = np.argsort(values, axis=1)
    in_order = np.take_along_axis(values, order, axis=1)
    n = values.shape[1]
    of_sorted = np.broadcast_to(np.arange(1.0, n + 1), values.shape).copy()
    equal = in_order[:, 1:] == in_order[:, :-1]
    for k in np.flatnonzero(equal.any(axis=1)):
        starts = np.flatnonzero(np.r_[True, ~equal[k]])
        counts = np.diff(np.r_[starts, n])
        of_sorted[k] = np.repeat(starts + (counts + 1) / 2, counts)
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, of_sorted, axis=1)
    return ranks


def in_blocks(figure: Callable[[Array], Array], values: Array) -> Array:
    """The figure of those parameters that have one, a block of them at a time."""
    found = np.full(len(values), np.nan)
    if values.shape[2] < FEWEST_DRAWS:
        return found
    known = np.flatnonzero(~np.isnan(values).any(axis=(1, 2)))
    for begin in range(0, len(known), BLOCK):
        block = known[begin : begin + BLOCK]
        found[block] = figure(values[block])
    return found


def split_chains(values: Array) -> Array:
    """The first and the last half of each chain, (K, 2 chains, draws // 2)."""
    half = values.shape[2] // 2
    return np.concatenate([values[:, :, :half], values[:, :, -half:]], axis=1)


def normal_scores(values: Array) -> Array:
    """Normal quantiles of the ranks among all chains, of the shape of ``values``.

    ``Phi^-1((rank - 3/8) / (N + 1/4))``.
    """
    flat = values.reshape(len(values), -1)
    n = flat.shape[1]
    halves = np.arange(2, 2 * n + 1)  # twice the rank, for ranks of equal values may end in .5
    quantiles = ndtri((halves / 2 - 3 / 8) / (n + 1 / 4))
    return quantiles[(2 * average_ranks(flat)).astype(int) - 2].reshape(values.shape)


def rhat_of_scores(scores: Array) -> Array:
    n = scores.shape[2]
    between = n * scores.mean(axis=2).var(axis=1, ddof=1)
    within = scores.var(axis=2, ddof=1).mean(axis=1)
    return np.sqrt((between / within + n - 1) / n)


def ess_of_scores(scores: Array) -> Array:
    """Draws by autocorrelation time, ``N / (-1 + 2 sum of P_j)``, ``P_j = rho_2j + rho_2j+1``.

    The pairs end before the first that is not positive, and none is larger than one before it; of
    the pair after the last, rho_2j is added once where it is positive. N log10(N) at most.
    """
    chains, n = scores.shape[1:]
    total = chains * n
    covariance = mean_autocovariance(scores)
    within = covariance[:, :1] * n / (n - 1)
    overall = within[:, 0] * (n - 1) / n
    if chains > 1:
        overall = overall + scores.mean(axis=2).var(axis=1, ddof=1)
    moved = np.ptp(scores, axis=(1, 2)) >= np.finfo(float).resolution
    rho = 1 - (within - covariance) / np.where(moved, overall, 1.0)[:, None]
    rho[:, 0] = 1.0
    count = max(1, (n - 1) // 2)
    even, odd = rho[:, : 2 * count : 2], rho[:, 1 : 2 * count : 2]
    pairs = even + odd
    ends = pairs <= 0
    last = np.where(ends.any(axis=1), ends.argmax(axis=1), pairs.shape[1] - 1)
    before = np.arange(pairs.shape[1]) < last[:, None]
    whole = np.minimum.accumulate(pairs, axis=1).sum(axis=1, where=before)
    at = np.arange(len(rho))
    extra = np.where(ends[at, last], np.maximum(even[at, last], 0.0), even[at, last])
    time = np.maximum(-1 + 2 * whole + extra, 1 / np.log10(total))
    return np.where(moved, total / time, total)


def mean_autocovariance(scores: Array) -> Array:
    """Autocovariance at each lag (K, draws), the mean of the chains."""
    n = scores.shape[2]
    length = 2 ** int(np.ceil(np.log2(2 * n)))
    centred = scores - scores.mean(axis=2, keepdims=True)
    spectrum = np.fft.rfft(centred, n=length, axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=1)
    return np.fft.irfft(power, n=length, axis=1)[:, :n] / n
