"""Random problems of every structure, for hypothesis and for loops."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from hiermodels.density import BlockData, GaussianProblem, PositivePrior

PARTS = {
    1: [((0,),)],
    2: [((0, 1),), ((0,), (1,))],
    3: [((0, 1, 2),), ((0, 2), (1,)), ((0,), (1, 2)), ((0,), (1,), (2,))],
}
PRIORS = (
    PositivePrior(kind="halfstudentt", a=3.0, b=2.0),
    PositivePrior(kind="halfnormal", a=1.5),
    PositivePrior(kind="halfcauchy", a=1.0),
    PositivePrior(kind="exponential", a=0.7),
    PositivePrior(kind="gamma", a=2.0, b=1.5),
    PositivePrior(kind="inversegamma", a=2.0, b=1.5),
    PositivePrior(kind="weibull", a=1.5, b=2.0),
    PositivePrior(kind="lognormal", a=0.1, b=0.8),
    PositivePrior(kind="truncatednormal", a=0.5, b=1.0),
    PositivePrior(kind="uniform", a=0.0, b=1e6),
)


def make_problem(
    seed,
    *,
    factors=((6, ((0, 1),)),),
    p=2,
    n_rows=40,
    residual="sigma",
    nested=False,
    collinear=False,
):
    """A problem with `factors` = (levels, parts), crossed at random or each nested in the next."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([np.ones(n_rows), rng.normal(size=(n_rows, max(p - 1, 0)))])[:, :p]
    if collinear and p:
        X = np.column_stack([X, X[:, -1]])
    blocks = []
    index = None
    for number, (levels, parts) in enumerate(factors):
        if nested and index is not None:
            index = rng.integers(levels, size=factors[number - 1][0])[index]
        else:
            index = np.r_[np.arange(levels), rng.integers(levels, size=n_rows)][:n_rows]
        q = sum(map(len, parts))
        Z = np.column_stack([np.ones(n_rows), rng.normal(size=(n_rows, q - 1))])
        if collinear:
            Z[:, -1] = Z[:, 0]
        blocks.append(
            BlockData(
                name=f"g{number}", index=index.astype(np.int32), n_levels=levels, Z=Z, parts=parts
            )
        )
    known = residual == "se"
    pick = lambda: PRIORS[rng.integers(len(PRIORS))]  # noqa: E731
    return GaussianProblem(
        y=10 + 2 * rng.normal(size=n_rows),
        X=X,
        blocks=tuple(blocks),
        beta_mean=rng.normal(size=X.shape[1]) + 5,
        beta_sd=rng.uniform(0.5, 5, size=X.shape[1]),
        sd_priors=tuple(tuple(pick() for _ in range(block.n_columns)) for block in blocks),
        lkj_eta=tuple(tuple(rng.uniform(0.5, 3) for _ in block.parts) for block in blocks),
        sigma_prior=None if known else pick(),
        se=rng.uniform(0.5, 2, size=n_rows) if known else None,
        weights=rng.integers(1, 4, size=n_rows).astype(float) if residual == "weights" else None,
    )


@st.composite
def problems(draw):
    """Single, nested and crossed, q to 3, all parts, weights and known standard errors."""
    n_factors, p = draw(st.integers(1, 3)), draw(st.integers(0, 3))
    levels = sorted((draw(st.integers(2, 12)) for _ in range(n_factors)), reverse=True)
    factors = tuple((n, draw(st.sampled_from(PARTS[draw(st.integers(1, 3))]))) for n in levels)
    return make_problem(
        draw(st.integers(0, 10**6)),
        factors=factors,
        p=p,
        n_rows=draw(st.integers(12, 50)),
        residual=draw(st.sampled_from(["sigma", "weights", "se"])),
        nested=draw(st.booleans()),
        collinear=draw(st.booleans()),
    )
