"""Draws of the levels of a factor into ranks, with what is known of them.

    rank_j = 1 + #{j': value_j' > value_j}        at each draw, so that a rank has an interval

A level's value is what partial pooling says of it, at the mean of the predictors: its common
coefficient, the effects of the factors it is nested in, and its own.

Source: Goldstein & Spiegelhalter 1996, J. R. Stat. Soc. A 159, on league tables; Adams et al. 2010,
N. Engl. J. Med. 362, on the reliability that they need.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from hiermodels.design import Block, Design
from hiermodels.errors import UnknownNameError, lookup
from hiermodels.numbers.draws import ENOUGH, Draws
from hiermodels.numbers.shrinkage import partial_pooling

__all__ = ["BEST", "Ranking", "rank_levels"]

type Array = np.ndarray

BEST = {"highest": -1.0, "lowest": 1.0}
#: What a league table needs: the reliability of its levels, and the pairs that it can tell apart.
RELIABLE, DECIDED = 0.7, 0.5
#: A pair is too close to call where neither order has this probability.
SURE = 0.95
#: Comparisons of all pairs at all draws; and levels beyond which normal distributions are compared.
WORK, MANY = 4e8, 2000
#: Draws made of exact moments where too few are kept.
DRAWS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """Ranks of the levels of one factor by one term. Made by `rank_levels`, read by `tables`.

    ``values``, ``rank`` (S, J); ``p_best``, ``p_top``, ``reliability`` (J,); ``too_close`` (J,)
    the levels from which each cannot be told; ``approximate`` says that the draws are those of a
    normal distribution with the exact moments.
    """

    term: str
    best: str
    top: int
    values: Array
    rank: Array
    p_best: Array
    p_top: Array
    too_close: Array
    reliability: Array
    approximate: bool

    @property
    def decided(self) -> float:
        """The share of pairs whose order has a probability of at least `SURE`."""
        j = len(self.too_close)
        return 1.0 - float(self.too_close.sum()) / max(j * (j - 1), 1)

    @property
    def supported(self) -> bool:
        """Whether the levels can be told apart well enough for a table of ranks."""
        return bool(self.reliability.mean() >= RELIABLE and self.decided >= DECIDED)

    def words(self, factor: str) -> list[str]:
        """What may and may not be read from the table."""
        j = len(self.too_close)
        pairs, close = j * (j - 1) // 2, int(self.too_close.sum()) // 2
        found = [
            f"{close} of {pairs} pairs are too close to call (no order has a probability of "
            f"{SURE:g}); mean reliability {self.reliability.mean():.2f}."
        ]
        if not self.supported:
            found.append(
                f"These data do not support a league table of {factor}: it needs a reliability of "
                f"{RELIABLE:g}, and {100 * DECIDED:.0f} % of the pairs told apart."
            )
        if self.approximate:
            found.append("Ranks are of normal draws with the exact moments of each level.")
        return found


def rank_levels(
    design: Design,
    draws: Draws,
    block: Block,
    reliability: Array,
    *,
    term: str | None = None,
    top: int | None = None,
    best: str = "highest",
    random_seed: int = 0,
) -> Ranking:
    """Rank the levels of a factor by one of its terms; ``reliability`` (draws, J, q).

    Raises
    ------
    UnknownNameError
        No such term; ``best`` or ``top`` that cannot be.
    """
    sign = lookup(best, BEST, what="best")
    terms = {name: k for k, name in enumerate(block.terms)}
    chosen = block.terms[0] if term is None else term
    k = lookup(chosen, terms, what="term")
    j = block.n_levels
    top = default_top(j) if top is None else top
    if not 1 <= top <= j:
        raise UnknownNameError(f"top={top}: {block.name} has {j} levels, so 1 to {j}")
    values, approximate = level_values(design, draws, block, k, random_seed=random_seed)
    order = np.argsort(sign * values, axis=1)
    rank = np.empty(values.shape, dtype=np.int32)
    np.put_along_axis(rank, order, np.arange(1, j + 1, dtype=np.int32)[None], axis=1)
    return Ranking(
        term=chosen,
        best=best,
        top=top,
        values=values,
        rank=rank,
        p_best=(rank == 1).mean(axis=0),
        p_top=(rank <= top).mean(axis=0),
        too_close=close_pairs(values),
        reliability=np.median(reliability[:, :, k], axis=0),
        approximate=approximate,
    )


def default_top(levels: int) -> int:
    """A quarter of the levels, at most ten."""
    return int(np.clip(round(levels / 4), 1, 10))


def level_values(
    design: Design, draws: Draws, block: Block, k: int, *, random_seed: int
) -> tuple[Array, bool]:
    """What is ranked, (S, J), and whether it is drawn from moments."""
    moments = draws.moments.get(block.name, {}).get("pooled")
    if moments is None or draws.with_effects.n >= ENOUGH:
        return partial_pooling(design, draws, block)[:, :, k], False
    rng = np.random.default_rng(random_seed)
    mean, sd = moments.mean[:, k], moments.sd[:, k]
    size = int(np.clip(WORK / len(mean), ENOUGH, DRAWS))
    return rng.normal(mean, sd, (size, len(mean))), True


def close_pairs(values: Array) -> Array:
    """With how many others the order of each level is not sure: (J,)."""
    n, j = values.shape
    if j > MANY:
        return close_normal(values.mean(axis=0), values.var(axis=0, ddof=1))
    kept = values[np.linspace(0, n - 1, int(np.clip(WORK / j**2, min(100, n), n))).astype(int)]
    count = np.empty(j, dtype=int)
    for a in range(j):
        above = (kept[:, a, None] > kept).mean(axis=0)
        unsure = np.maximum(above, 1 - above) < SURE
        unsure[a] = False
        count[a] = unsure.sum()
    return count


def close_normal(mean: Array, variance: Array) -> Array:
    """The same from means and variances of independent normal levels."""
    count = np.empty(len(mean), dtype=int)
    for a in range(len(mean)):
        z = np.abs(mean - mean[a]) / np.sqrt(variance + variance[a])
        count[a] = int((ndtr(z) < SURE).sum()) - 1
    return count
