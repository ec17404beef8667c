"""Designs and posteriors made up, so that reports are tested without sampling."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from hiermodels.design import Design
from hiermodels.fitting import Model
from hiermodels.posterior import coordinates, dimensions, label_draws
from hiermodels.results import Fit


def table(*, seed: int = 0, n: int = 120) -> pd.DataFrame:
    """Rows with two nested factors (pop, patch), a crossed one (year), numbers and categories."""
    rng = np.random.default_rng(seed)
    pop = rng.integers(0, 5, n)
    patch = rng.integers(0, 3, n)
    return pd.DataFrame(
        {
            "y": 20 + pop + 0.5 * patch + rng.normal(size=n),
            "x": rng.uniform(5, 15, n),
            "z": rng.uniform(-2, 5, n),
            "w": np.linspace(0, 1, 5)[pop],
            "f": np.array(["low", "mid", "high"])[rng.integers(0, 3, n)],
            "pop": np.array(["P0", "P1", "P2", "P3", "P4"])[pop],
            "patch": np.array(["a", "b", "c"])[patch],
            "year": 2000 + rng.integers(0, 6, n),
            "count": rng.integers(1, 4, n),
            "error": rng.uniform(0.5, 1.5, n),
        }
    )


def standard_draws(design: Design, *, seed: int, size: int) -> dict[str, np.ndarray]:
    """Random values of the standardised parameters: sds and factors of correlation matrices."""
    rng = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    for block in design.blocks:
        q = len(block.terms)
        sd = rng.gamma(4, 0.25, (size, q))
        chol = np.tile(np.eye(q), (size, 1, 1))
        for part in block.parts:
            for i, row in enumerate(part):
                raw = np.append(rng.normal(size=(size, i)), np.ones((size, 1)), axis=1)
                unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
                for j in range(i + 1):
                    chol[:, row, part[j]] = unit[:, j]
        factor = sd[:, :, None] * chol
        z = rng.normal(size=(size, block.n_levels, q))
        found[f"factor_{block.name}"] = factor
        found[f"b_{block.key}"] = np.einsum("sqk,sjk->sjq", factor, z)
    return found


def posterior(design: Design, *, seed: int = 1, chains: int = 2, draws: int = 60) -> xr.Dataset:
    """Random draws in the layout of a real posterior; correlations and sds fit together."""
    rng = np.random.default_rng(seed + 100)
    size = chains * draws
    made: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    if design.intercept:
        made["Intercept"] = ((), rng.normal(20, 1, size))
    if design.terms:
        made["beta"] = (("term",), rng.normal(0, 0.2, (size, len(design.terms))))
    hidden = standard_draws(design, seed=seed, size=size)
    for block in design.blocks:
        term = f"{block.dim}_term"
        factor = block.transform @ hidden[f"factor_{block.name}"]
        covariance = factor @ factor.transpose(0, 2, 1)
        sd = np.sqrt(np.einsum("sqq->sq", covariance))
        made[f"sd_{block.key}"] = ((term,), sd)
        if block.correlated:
            cor = covariance / (sd[:, :, None] * sd[:, None, :])
            made[f"cor_{block.key}"] = ((term, f"{term}_bis"), cor)
        effects = hidden[f"b_{block.key}"] @ block.transform.T
        made[f"b_{block.key}"] = ((block.dim, term), effects)
    if design.se is None:
        made["sigma"] = ((), rng.gamma(20, 0.05, size))
    coords = {b.dim: coordinates(design)[b.dim] for b in design.blocks}
    coords |= {f"{b.dim}_term": list(b.terms) for b in design.blocks}
    coords |= {f"{b.dim}_term_bis": list(b.terms) for b in design.blocks if b.correlated}
    if design.terms:
        coords["term"] = list(design.terms)
    return xr.Dataset(
        {
            name: (("chain", "draw", *dims), values.reshape(chains, draws, *values.shape[1:]))
            for name, (dims, values) in made.items()
        },
        coords={"chain": np.arange(chains), "draw": np.arange(draws), **coords},
        attrs={
            "engine": "pymc",
            "chains": chains,
            "engine_reason": "made up",
            "random_seed": seed,
            "divergences": 0,
            "draws_made": draws,
        },
    )


def made_up_fit(
    formula: str, data: pd.DataFrame | None = None, *, seed: int = 1, se: str | None = None
) -> Fit:
    """A fit with a random posterior."""
    model = Model(formula, table() if data is None else data, se=se)
    tree = xr.DataTree.from_dict({"posterior": posterior(model.design, seed=seed)})
    return Fit(design=model.design, priors=model.priors, idata=tree)


def random_posterior(model: Model, *, seed: int = 1, chains: int = 2, draws: int = 60) -> Fit:
    """A fit of any family with numbers of the right sign and shape, not a posterior of anything."""
    rng, design = np.random.default_rng(seed), model.design
    coords, made = coordinates(design), {}
    for name, dims in dimensions(design).items():
        values = rng.normal(size=(chains, draws, *(len(coords[d]) for d in dims)))
        if "sd_" in name or name in ("sigma", "nu", "alpha", "phi"):
            values = np.exp(0.2 * values)
        elif "cor_" in name:
            q = values.shape[-1]
            values = np.where(np.eye(q) > 0, 1.0, np.tanh(values[..., :1, :1]) / q)
        elif name in ("zi", "zoi", "coi"):
            values = 1 / (1 + np.exp(-values))
        elif name == "threshold":
            values = np.sort(values, axis=-1)
        made[name] = values
    dataset = label_draws(design, made)
    dataset.attrs = {
        "engine": "pymc",
        "chains": chains,
        "engine_reason": "made up",
        "random_seed": seed,
        "divergences": 0,
        "draws_made": draws,
    }
    tree = xr.DataTree.from_dict({"posterior": dataset})
    return Fit(design=design, priors=model.priors, idata=tree)
