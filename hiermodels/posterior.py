"""The layout of a posterior: its names, dims and coordinates, the same for every engine.

``Intercept``; ``beta`` (term); for each factor g ``sd_g`` (g_term), ``cor_g`` (g_term, g_term_bis),
``b_g`` (g, g_term); and the family's own, ``sigma``, ``zi``, ..., ``threshold`` (cut). Where
one of them has a formula its name precedes all names of its coefficients and of their terms:
``zi_Intercept``, ``zi_beta`` (zi_term), ``zi_sd_g`` (zi_g_term), ``zi_b_g`` (g, zi_g_term), on the
scale of its link. All on the scale of the user's data. What stands for g where a factor's name
could be that of something else: `names`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from hiermodels.design import INTERCEPT, Block, Design, Predictor
from hiermodels.errors import DataError

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "check_names",
    "coordinates",
    "dimensions",
    "label_draws",
    "label_moments",
    "reported_names",
    "with_keys",
]

type Array = np.ndarray

ROW, TERM = "row", "term"
#: The thresholds of an ordinal response, and the dim that they have: PyMC allows no name twice.
THRESHOLD, CUT = "threshold", "cut"
#: What has exact moments for each level where the draws of its effects are not all kept: the group
#: effects, the coefficients, and the coefficients with the intercept at the mean of the predictors.
QUANTITIES = ("effects", "coef", "pooled")


def dimensions(design: Design) -> dict[str, tuple[str, ...]]:
    """The dims of every posterior variable, in the order in which they are reported."""
    dims = predictor_dimensions(design.mean)
    for parameter in design.parameters:
        if parameter.name in design.extras:
            dims |= predictor_dimensions(design.extras[parameter.name])
        else:
            dims[parameter.name] = (CUT,) if parameter.name == THRESHOLD else ()
    return dims


def predictor_dimensions(predictor: Predictor) -> dict[str, tuple[str, ...]]:
    """The dims of the coefficients of a linear predictor."""
    prefix = predictor.prefix
    dims: dict[str, tuple[str, ...]] = {}
    if predictor.intercept:
        dims[f"{prefix}Intercept"] = ()
    if predictor.terms:
        dims[f"{prefix}beta"] = (f"{prefix}{TERM}",)
    for block in predictor.blocks:
        term = f"{prefix}{block.dim}_term"
        dims[f"{prefix}sd_{block.key}"] = (term,)
        if block.correlated:
            dims[f"{prefix}cor_{block.key}"] = (term, f"{term}_bis")
        dims[f"{prefix}b_{block.key}"] = (block.dim, term)
    return dims


def check_names(design: Design) -> None:
    """Refuse factors whose names no posterior can tell apart, before anything is sampled.

    Raises
    ------
    DataError
        With the two factors.
    """
    owners: dict[str, tuple[Any, str]] = dict.fromkeys(dimensions(design), (None, "another"))
    for predictor in design.predictors:
        for block in predictor.blocks:
            mine = [
                (block.dim, block.factor),
                (f"{predictor.prefix}sd_{block.key}", None),
                (f"{predictor.prefix}{block.dim}_term", (predictor.prefix, block.factor)),
                (f"the key {block.key}", block.factor),
            ]
            for name, owner in mine:
                other, of = owners.setdefault(name, (owner, repr(block.name)))
                if other != owner:
                    raise DataError(
                        f"the grouping factor {block.name!r} and {of} cannot be told apart in the "
                        f"posterior, where both are {name.removeprefix('the key ')!r}. "
                        "Rename one of the columns."
                    )


def with_keys(design: Design, dataset: xr.Dataset) -> xr.Dataset:
    """A saved group whose variables have the factors' names as they were, before they had keys."""
    kinds = ("sd", "cor", "b", *QUANTITIES)
    renamed = {
        f"{p.prefix}{kind}_{b.name}": f"{p.prefix}{kind}_{b.key}"
        for p in design.predictors
        for b in p.blocks
        if b.key != b.name
        for kind in kinds
    }
    return dataset.rename({old: new for old, new in renamed.items() if old in dataset})


def reported_names(design: Design) -> tuple[str, ...]:
    """The posterior variables."""
    return tuple(dimensions(design))


def coordinates(design: Design) -> dict[str, Any]:
    """The labels of every dimension, by its name."""
    coords: dict[str, Any] = {}
    for predictor in design.predictors:
        prefix = predictor.prefix
        if predictor.terms:
            coords[f"{prefix}{TERM}"] = list(predictor.terms)
        for block in predictor.blocks:
            coords[block.dim] = level_labels(block)
            coords[f"{prefix}{block.dim}_term"] = list(block.terms)
            if block.correlated:
                coords[f"{prefix}{block.dim}_term_bis"] = list(block.terms)
    if design.n_thresholds:
        coords[CUT] = [f"{a}|{b}" for a, b in pairwise(design.categories or ())]
    return coords


def level_labels(block: Block) -> Array:
    """The levels as NumPy has them without change: 1 and "1" apart, ids beyond 2^63 exact."""
    kinds = {type(level) for level in block.levels}
    if kinds == {int} and max(block.levels) >= 2**63 and min(block.levels) >= 0:
        return np.array(block.levels, dtype=np.uint64 if max(block.levels) < 2**64 else object)
    return np.array(block.levels, dtype=None if len(kinds) == 1 else object)


def label_draws(design: Design, values: Mapping[str, Array]) -> xr.Dataset:
    """Arrays (chains, draws, ...) as a dataset with the user's labels."""
    import xarray as xr

    dims = dimensions(design)
    chains, draws = next(iter(values.values())).shape[:2]
    used = {d for name in values for d in dims[name]}
    coords = {name: labels for name, labels in coordinates(design).items() if name in used}
    return xr.Dataset(
        {name: (("chain", "draw", *dims[name]), values[name]) for name in dims if name in values},
        coords={"chain": np.arange(chains), "draw": np.arange(draws), **coords},
    )


def label_moments(design: Design, moments: Mapping[str, tuple[Array, Array]]) -> xr.Dataset:
    """Exact means and sds of every level, ``quantity_g`` (moment, g, term of the quantity)."""
    import xarray as xr

    found = {}
    for block in design.blocks:
        for quantity in QUANTITIES:
            if (name := f"{quantity}_{block.key}") in moments:
                mean, variance = moments[name]
                terms = f"{block.dim}_coef_term" if quantity == "coef" else f"{block.dim}_term"
                found[name] = (("moment", block.dim, terms), np.stack([mean, np.sqrt(variance)]))
    labels = coordinates(design)
    for block in design.blocks:
        labels[f"{block.dim}_coef_term"] = list(coefficient_terms(design, block))
    used = {dim for dims, _ in found.values() for dim in dims}
    coords = {k: v for k, v in labels.items() if k in used}
    return xr.Dataset(found, coords={"moment": ["mean", "sd"], **coords})


def coefficient_terms(design: Design, block: Block) -> tuple[str, ...]:
    """The terms of a level's coefficients: the common ones, then those only the factor has."""
    common = (INTERCEPT, *design.terms) if design.intercept else design.terms
    return (*common, *(t for t in block.terms if t not in common))
