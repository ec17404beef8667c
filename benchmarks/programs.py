"""What can fit a case: this package with either engine, Bambi, and from R lme4 and rstanarm.

The clock of a program of Python runs from formula and frame to a finished DataTree of 4 x 1000
draws. R's programs run in a process of their own (`r_programs.R`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["PROGRAMS", "Program"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Written in `PROGRAMS`. ``fit`` takes formula, data and seed; None for one of R.

    ``same_model``: with our priors, so that its means must be those of the long run.
    """

    fit: Callable[[str, pd.DataFrame, int], xr.DataTree] | None
    same_model: bool
    note: str


def fit_hiermodels(formula: str, data: pd.DataFrame, seed: int) -> xr.DataTree:
    import hiermodels as hm

    return hm.fit(formula, data, random_seed=seed, progressbar=False).idata


def fit_pymc(formula: str, data: pd.DataFrame, seed: int) -> xr.DataTree:
    import hiermodels as hm

    return hm.fit(formula, data, random_seed=seed, progressbar=False, engine="pymc").idata


def fit_bambi(formula: str, data: pd.DataFrame, seed: int, *, method: str = "pymc") -> xr.DataTree:
    """Bambi's defaults, but four chains on all cores, where PyMC would take half of them."""
    import bambi

    return bambi.Model(formula, data).fit(
        chains=4,
        cores=os.cpu_count(),
        random_seed=seed,
        progressbar=False,
        inference_method=method,
    )


def fit_bambi_nutpie(formula: str, data: pd.DataFrame, seed: int) -> xr.DataTree:
    return fit_bambi(formula, data, seed, method="nutpie")


BAMBI = "its own priors, and correlated effects as independent ones: means are not compared"
PROGRAMS: dict[str, Program] = {
    "hiermodels": Program(fit=fit_hiermodels, same_model=True, note="default settings"),
    "pymc": Program(
        fit=fit_pymc,
        same_model=True,
        note="hiermodels with engine='pymc': model, compilation and sampling",
    ),
    "bambi": Program(fit=fit_bambi, same_model=False, note=f"Bambi, NUTS of PyMC; {BAMBI}"),
    "bambi_nutpie": Program(
        fit=fit_bambi_nutpie, same_model=False, note=f"Bambi, NUTS of nutpie; {BAMBI}"
    ),
    "lme4": Program(fit=None, same_model=False, note="lmer, REML: estimates, no posterior"),
    "rstanarm": Program(
        fit=None, same_model=False, note="stan_lmer, its own priors: means are not compared"
    ),
}
"""By the name that ``--with`` takes; Bambi and rstanarm have priors of their own."""
