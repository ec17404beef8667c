"""What can fit a case: this package with either engine, Bambi, and from R lme4, glmmTMB, rstanarm.

The clock of a program of Python runs from formula and frame to a finished DataTree of 4 x 1000
draws. R's programs run in a process of their own (`r_programs.R`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .cases import Case

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["PROGRAMS", "Program"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Written in `PROGRAMS`. ``fit`` takes case, data and seed; None for one of R.

    ``same_model``: with our priors, so that its means must be those of the long run.
    """

    fit: Callable[[Case, pd.DataFrame, int], xr.DataTree] | None
    same_model: bool
    note: str


def fit_ours(case: Case, data: pd.DataFrame, seed: int, **settings: str) -> xr.DataTree:
    import hiermodels as hm

    return hm.fit(
        case.formula, data, family=case.family, random_seed=seed, progressbar=False, **settings
    ).idata


def fit_hiermodels(case: Case, data: pd.DataFrame, seed: int) -> xr.DataTree:
    return fit_ours(case, data, seed)


def fit_pymc(case: Case, data: pd.DataFrame, seed: int) -> xr.DataTree:
    return fit_ours(case, data, seed, engine="pymc")


def fit_bambi(case: Case, data: pd.DataFrame, seed: int, *, method: str = "pymc") -> xr.DataTree:
    """Bambi's defaults, but four chains on all cores, where PyMC would take half of them."""
    import bambi

    family = BAMBI_NAMES.get(case.family, case.family)
    return bambi.Model(case.formula, data, family=family).fit(
        chains=4,
        cores=os.cpu_count(),
        random_seed=seed,
        progressbar=False,
        inference_method=method,
    )


def fit_bambi_nutpie(case: Case, data: pd.DataFrame, seed: int) -> xr.DataTree:
    return fit_bambi(case, data, seed, method="nutpie")


BAMBI_NAMES = {"negbinomial": "negativebinomial"}
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
    "lme4": Program(
        fit=None, same_model=False, note="lmer, REML, or glmer: estimates, no posterior"
    ),
    "glmmTMB": Program(fit=None, same_model=False, note="estimates, no posterior"),
    "rstanarm": Program(
        fit=None,
        same_model=False,
        note="stan_lmer or stan_glmer, its own priors: means are not compared",
    ),
    "brms": Program(
        fit=None,
        same_model=False,
        note="brm, its own priors: means are not compared; compiles C++ at every fit",
    ),
}
"""By the name that ``--with`` takes; Bambi, rstanarm and brms have priors of their own."""
