"""What the collapsed engine is asked: a Gaussian hierarchical model, as arrays.

The model, on standardised columns, for row i with frequency w_i:

    y_i = x_i' beta + sum_g z_gi' b_{g, level_g(i)} + e_i,      e_i ~ Normal(0, sigma^2 or se_i^2)
    b_gj = diag(sd_g) L_g z_gj,    z_gj ~ Normal(0, I),    L_g L_g' = cor_g,    beta_k ~ Normal(m_k,
    s_k^2)

A `GaussianProblem` is made by whoever has a design and priors; `cross_products` reads it once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BlockData", "GaussianProblem", "PositivePrior"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PositivePrior:
    """A prior of a standard deviation; the kinds and their (a, b) are the keys of
    `priors.POSITIVE_PRIORS`."""

    kind: str
    a: float
    b: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockData:
    """One grouping factor: the level of each row (N,), and the columns (N, q) that vary by level.

    `parts` are the sets of columns that are correlated with each other; parts are independent:
    ``((0, 1),)`` for ``(x | g)``, ``((0,), (1,))`` for ``(x || g)``.
    """

    name: str
    index: NDArray[np.int32]
    n_levels: int
    Z: NDArray[np.float64]
    parts: tuple[tuple[int, ...], ...]

    @property
    def n_columns(self) -> int:
        """q, the number of columns that vary by level."""
        return self.Z.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianProblem:
    """A Gaussian hierarchical model with normal priors on the common coefficients.

    `sd_priors` has a prior per block and column, `lkj_eta` a number per block and part. With `se`
    the residual sd of row i is known, and `sigma_prior` must be None.
    """

    y: NDArray[np.float64]
    X: NDArray[np.float64]
    blocks: tuple[BlockData, ...]
    beta_mean: NDArray[np.float64]
    beta_sd: NDArray[np.float64]
    sd_priors: tuple[tuple[PositivePrior, ...], ...]
    lkj_eta: tuple[tuple[float, ...], ...]
    sigma_prior: PositivePrior | None
    weights: NDArray[np.float64] | None = None
    se: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together: the kernels check nothing."""
        _check_rows(self)
        _check_priors(self)
        for block in self.blocks:
            _check_block(block)


def _check_rows(problem: GaussianProblem) -> None:
    n_rows = len(problem.y)
    lengths = {"X": len(problem.X)} | {block.name: len(block.Z) for block in problem.blocks}
    lengths |= {f"index of {block.name}": len(block.index) for block in problem.blocks}
    for name in ("weights", "se"):
        values = getattr(problem, name)
        if values is not None:
            lengths[name] = len(values)
    wrong = {name: length for name, length in lengths.items() if length != n_rows}
    if wrong:
        raise ValueError(f"y has {n_rows} rows, but {wrong}")
    if not problem.blocks:
        raise ValueError("a hierarchical model needs at least one grouping factor")
    if problem.weights is not None and not np.all(problem.weights > 0):
        raise ValueError("frequencies must be positive; drop the rows with weight zero")
    if problem.se is not None and not np.all(problem.se > 0):
        raise ValueError("known standard errors must be positive")


def _check_priors(problem: GaussianProblem) -> None:
    p = problem.X.shape[1]
    if len(problem.beta_mean) != p or len(problem.beta_sd) != p:
        raise ValueError(f"X has {p} columns: give beta_mean and beta_sd {p} numbers each")
    if not np.all((problem.beta_sd > 0) & np.isfinite(problem.beta_sd)):
        raise ValueError("beta_sd must be positive and finite")
    if (problem.se is None) == (problem.sigma_prior is None):
        raise ValueError("give either se, or sigma_prior")
    for block, sds, etas in zip(problem.blocks, problem.sd_priors, problem.lkj_eta, strict=True):
        if len(sds) != block.n_columns or len(etas) != len(block.parts):
            raise ValueError(f"{block.name}: one sd prior per column and one lkj_eta per part")
        if not all(eta > 0 for eta in etas):
            raise ValueError(f"{block.name}: lkj_eta must be positive")


def _check_block(block: BlockData) -> None:
    columns = sorted(column for part in block.parts for column in part)
    if columns != list(range(block.n_columns)):
        raise ValueError(
            f"{block.name}: parts {block.parts} do not divide {block.n_columns} columns"
        )
    if len(block.index) and not 0 <= block.index.min() <= block.index.max() < block.n_levels:
        raise ValueError(f"{block.name}: index outside 0..{block.n_levels - 1}")
