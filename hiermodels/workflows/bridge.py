"""A Bambi model and its posterior into a fit of ours, so that it gets the whole report.

Bambi's names, and ours:

    Intercept, x, f[dim f_dim]              Intercept, beta (term)
    1|g_sigma, x|g_sigma                    sd_g (g_term)
    1|g, x|g [dim g__factor_dim]            b_g (g, g_term)
    sigma, alpha, kappa, nu, psi            sigma, alpha, phi, nu, zi = 1 - psi

Bambi's group terms are independent, so ``(x | g)`` there is ``(x || g)`` here. The levels of a
nested factor that have no rows are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hiermodels.data import select_rows
from hiermodels.design import INTERCEPT, Block, Design, build_design
from hiermodels.errors import DataError, NotAvailableError, PriorError
from hiermodels.families import family as find_family
from hiermodels.formula import parse
from hiermodels.posterior import label_draws, reported_names
from hiermodels.priors import Prior, Priors, build_priors
from hiermodels.results import Fit

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["from_bambi"]

type Array = np.ndarray

#: Our name of a family's own parameter, Bambi's, and what makes ours of it.
PARAMETERS: dict[str, tuple[str, Any]] = {
    "sigma": ("sigma", lambda v: v),
    "nu": ("nu", lambda v: v),
    "alpha": ("alpha", lambda v: v),
    "phi": ("kappa", lambda v: v),
    "zi": ("psi", lambda v: 1 - v),
    "threshold": ("threshold", lambda v: v),
}


def from_bambi(model: Any, idata: Any) -> Fit:
    """The fit of a Bambi model, for every report and picture of this package.

    ``model`` is a `bambi.Model`, ``idata`` what its ``fit`` returned.

    Raises
    ------
    NotAvailableError
        A formula for a parameter other than the mean, or a term that has no place here.
    DataError
        A posterior that is not of this model.
    """
    if model.formula.additionals:
        told = ", ".join(map(str, model.formula.additionals))
        raise NotAvailableError(f"formulas of other parameters ({told}) are not read from Bambi")
    formula = parse(str(model.formula.main))
    formula = replace(formula, groups=tuple(replace(g, correlated=False) for g in formula.groups))
    parent = model.family.likelihood.parent
    family = find_family(model.family.name, link=model.family.link[parent].name)
    design = build_design(formula, select_rows(formula, model.data), family)
    posterior = dataset(idata, "posterior")
    values = {name: own_values(design, model, posterior, name) for name in reported_names(design)}
    draws = label_draws(design, values)
    draws.attrs |= attributes(idata, posterior)
    return Fit(design=design, priors=read_priors(design, model), idata=as_tree(draws, idata))


def dataset(idata: Any, group: str) -> xr.Dataset:
    """A group of a DataTree, or of ArviZ's older container."""
    found = idata[group]
    return found.to_dataset() if hasattr(found, "to_dataset") else found


def as_tree(draws: xr.Dataset, idata: Any) -> xr.DataTree:
    import xarray as xr

    groups = {"posterior": draws}
    names = idata.children if hasattr(idata, "children") else idata.groups()
    for name in ("sample_stats", "observed_data"):
        if name in names:
            groups[name] = dataset(idata, name)
    return xr.DataTree.from_dict(groups)


def attributes(idata: Any, posterior: xr.Dataset) -> dict[str, Any]:
    """What the summary tells of the sampler."""
    names = idata.children if hasattr(idata, "children") else idata.groups()
    divergences = 0
    if "sample_stats" in names and "diverging" in dataset(idata, "sample_stats"):
        divergences = int(dataset(idata, "sample_stats")["diverging"].sum())
    found = {
        "engine": "pymc",
        "engine_reason": "fitted by Bambi",
        "chains": posterior.sizes["chain"],
        "draws_made": posterior.sizes["draw"],
        "divergences": divergences,
    }
    if "sampling_time" in posterior.attrs:
        found["sampling_seconds"] = float(posterior.attrs["sampling_time"])
    return found


def own_values(design: Design, model: Any, posterior: xr.Dataset, name: str) -> Array:
    """One of our posterior variables, (chains, draws, ...), from Bambi's."""
    if name == INTERCEPT:
        return raw(posterior, INTERCEPT)
    if name == "beta":
        found = dict(common_columns(model, posterior))
        return np.stack([need(found, term) for term in design.terms], axis=-1)
    for block in design.blocks:
        if name in (f"sd_{block.key}", f"b_{block.key}"):
            found = dict(group_columns(block, posterior, effects=name.startswith("b_")))
            return np.stack([need(found, term) for term in block.terms], axis=-1)
    if name not in PARAMETERS:
        raise NotAvailableError(f"no place in Bambi's posterior is known for {name!r}")
    theirs, change = PARAMETERS[name]
    return np.asarray(change(raw(posterior, theirs)))


def raw(posterior: xr.Dataset, name: str) -> Array:
    if name not in posterior:
        known = ", ".join(map(str, posterior.data_vars))
        raise DataError(
            f"the posterior has no {name!r}, so it is of another model. It has: {known}"
        )
    return posterior[name].transpose("chain", "draw", ...).to_numpy()


def need(found: Mapping[str, Array], term: str) -> Array:
    if term not in found:
        raise DataError(
            f"the posterior has no coefficient {term!r}, so it is of another model. "
            f"It has: {', '.join(found)}"
        )
    return found[term]


def common_columns(model: Any, posterior: xr.Dataset) -> Iterator[tuple[str, Array]]:
    """Each common coefficient by the label of its column, which formulae gave to both."""
    component = model.parameters[model.family.likelihood.parent]
    for name, term in component.design.common.terms.items():
        if name == INTERCEPT or name not in posterior:
            continue
        values = raw(posterior, name)
        values = values.reshape(*values.shape[:2], -1)
        yield from zip(term.labels, np.moveaxis(values, -1, 0), strict=True)


def group_columns(
    block: Block, posterior: xr.Dataset, *, effects: bool
) -> Iterator[tuple[str, Array]]:
    """Each column of a block: the sd (chains, draws), or the effects of our levels."""
    factor = f"{block.name}__factor_dim"
    for name in map(str, posterior.data_vars):
        expression, bar, rest = name.partition("|")
        if bar != "|" or rest != (block.name if effects else f"{block.name}_sigma"):
            continue
        found = posterior[name]
        if effects:
            found = found.isel({factor: level_positions(block, found[factor].to_numpy())})
        inner = [d for d in found.dims if d not in ("chain", "draw", factor)]
        last = [factor] if effects else []
        values = found.transpose("chain", "draw", *last, *inner).to_numpy()
        if not inner:
            yield (INTERCEPT if expression == "1" else expression), values
            continue
        for k, label in enumerate(found[inner[0]].to_numpy()):
            yield f"{expression}[{label}]", values[..., k]


def level_positions(block: Block, theirs: Array) -> list[int]:
    """Where each of our levels stands among theirs."""
    at = {str(label): k for k, label in enumerate(theirs)}
    missing = [str(level) for level in block.levels if str(level) not in at]
    if missing:
        raise DataError(
            f"the posterior has no level {missing[0]!r} of {block.name!r}: it is of other data"
        )
    return [at[str(level)] for level in block.levels]


def read_priors(design: Design, model: Any) -> Priors:
    """Bambi's priors in the place of our defaults, as far as both have the distribution."""
    component = model.parameters[model.family.likelihood.parent]
    given: dict[str, Prior] = {}
    if design.intercept and component.intercept_term is not None:
        given |= translated(INTERCEPT, component.intercept_term.prior, 0)
    for name, term in component.common_terms.items():
        labels = component.design.common.terms[name].labels
        for k, label in enumerate(labels):
            given |= translated(label, term.prior, k)
    for name, term in component.group_specific_terms.items():
        expression, _, factor = name.partition("|")
        sd = term.prior.args.get("sigma")
        block = next((b for b in design.blocks if b.name == factor), None)
        own = INTERCEPT if expression == "1" else expression
        columns = [t for t in block.terms if own in (t, t.partition("[")[0])] if block else []
        for k, column in enumerate(columns):
            given |= translated(f"sd_{factor}[{column}]", sd, k)
    for name, constant in model.marginal_parameters.items():
        if PARAMETERS.get(name, ("", None))[0] == name:
            given |= translated(name, constant.prior, 0)
    return build_priors(design, given)


def translated(parameter: str, prior: Any, k: int) -> dict[str, Prior]:
    """One entry for `build_priors`, or none where we have no such distribution."""
    if not hasattr(prior, "args"):
        return {}
    arguments = {name: np.ravel(v) for name, v in prior.args.items()}
    try:
        numbers = {name: float(v[min(k, len(v) - 1)]) for name, v in arguments.items()}
        return {parameter: Prior(prior.name, **numbers)}
    except (PriorError, TypeError, ValueError):
        return {}
