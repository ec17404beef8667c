"""A fitted model: the values of all stages, and methods that call the modules that know.

fit = hm.fit("y ~ x + (x | site)", data)
fit.summary(), fit.variance_table(), fit.coef("site"), fit.plot.forest("site")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hiermodels import tables
from hiermodels.design import Block, Design
from hiermodels.diagnostics import Diagnostics, diagnose
from hiermodels.draws import Draws, stack_draws
from hiermodels.errors import NotAvailableError
from hiermodels.printing import Table
from hiermodels.priors import Priors
from hiermodels.shrinkage import reliability
from hiermodels.summary import Summary, build_summary

if TYPE_CHECKING:
    import xarray as xr

    from hiermodels.plots import Plots

__all__ = ["CI_PROB", "Fit"]

#: Ours, not ArviZ's 0.89: what users of lme4 and brms expect.
CI_PROB = 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A posterior with the model it belongs to. Made by `fit`, read by the user.

    Every report takes ``ci_prob``, the probability of its equal-tailed intervals. ``idata`` is the
    `xarray.DataTree` with the groups ``posterior``, ``sample_stats`` and ``observed_data``, for
    everything that ArviZ does.
    """

    design: Design
    priors: Priors
    idata: xr.DataTree

    @cached_property
    def draws(self) -> Draws:
        """The posterior as arrays, chains stacked."""
        return stack_draws(self.idata, self.design)

    @cached_property
    def diagnostics(self) -> Diagnostics:
        """R-hat, effective sample sizes and divergences."""
        return diagnose(self.idata, self.design)

    @cached_property
    def _reliability(self) -> dict[str, np.ndarray]:
        return {b.name: reliability(self.design, self.draws, b) for b in self.design.blocks}

    @property
    def plot(self) -> Plots:
        """The pictures: ``fit.plot.forest("site")``, ``fit.plot.shrinkage("site")``."""
        from hiermodels.plots import Plots

        return Plots(self)

    def __repr__(self) -> str:
        return self.summary().text()

    def _repr_html_(self) -> str:
        return self.summary().html()

    def _blocks(self, group: str | None) -> tuple[Block, ...]:
        if not self.design.blocks:
            raise NotAvailableError(f"{self.design.formula} has no group term, such as (1 | site)")
        return self.design.blocks if group is None else (self.design.block(group),)

    def summary(self, *, ci_prob: float = CI_PROB) -> Summary:
        """A page in the order of lme4's: groups, common effects, sampler diagnostics, priors."""
        return build_summary(
            self.design,
            self.priors,
            self.draws,
            self.diagnostics,
            attributes={str(k): v for k, v in self.idata["posterior"].attrs.items()},
            ci_prob=ci_prob,
        )

    def fixef(self, *, ci_prob: float = CI_PROB) -> Table:
        """Common effects: term, estimate (posterior mean), sd, lower, upper."""
        return tables.fixef_table(self.design, self.draws, ci_prob=ci_prob)

    def ranef(self, group: str | None = None, *, ci_prob: float = CI_PROB) -> Table:
        """Group effects b of each level: their deviation from the common effects.

        ``shrinkage`` is 1 - reliability: 0 leaves a level its own estimate, 1 gives it the common
        one. ``group=None`` takes all factors.
        """
        return stacked(
            [
                tables.ranef_table(self.draws, b, self._reliability[b.name], ci_prob=ci_prob)
                for b in self._blocks(group)
            ]
        )

    def coef(self, group: str | None = None, *, ci_prob: float = CI_PROB) -> Table:
        """Coefficients of each level: common effects plus its group effects, the intercept at 0."""
        return stacked(
            [
                tables.coef_table(
                    self.design, self.draws, b, self._reliability[b.name], ci_prob=ci_prob
                )
                for b in self._blocks(group)
            ]
        )

    def varcorr(self, *, ci_prob: float = CI_PROB) -> Table:
        """Sds, variances and correlations of each factor and term, and of the residual."""
        return tables.varcorr_table(self.design, self.draws, ci_prob=ci_prob)

    def variance_table(self, *, common: bool = False, ci_prob: float = CI_PROB) -> Table:
        """Variance components: mean, sd, variance, % of the total, CV² = variance / mean².

        ``V_g = mean_i z_i' Sigma_g z_i`` split by term; the total is groups and residual, and the
        common effects with ``common=True``.
        """
        return tables.variance_table(self.design, self.draws, ci_prob=ci_prob, common=common)

    def icc(self, *, ci_prob: float = CI_PROB) -> Table:
        """Intraclass correlation of each factor, cumulative for nested ones, adjusted and not."""
        self._blocks(None)
        return tables.icc_table(self.design, self.draws, ci_prob=ci_prob)

    def shrinkage(self, group: str | None = None, *, ci_prob: float = CI_PROB) -> Table:
        """Raw, completely pooled and partially pooled estimates of each level of a factor."""
        self._blocks(None)
        block = self.design.block(group)
        return tables.shrinkage_table(
            self.design, self.draws, block, self._reliability[block.name], ci_prob=ci_prob
        )

    def squeeze_sensitivity(
        self, constants: Sequence[float] = (0.05, 0.25, 0.5, 1.0), *, progressbar: bool = True
    ) -> Table:
        """A beta model refitted with other constants s in ``hm.squeeze(y, s=s)``.

        `hm.squeeze_sensitivity` has more to choose.
        """
        from hiermodels import squeeze_sensitivity

        return squeeze_sensitivity(self, constants, progressbar=progressbar)

    def save_posterior(self, path: str | Path) -> Path:
        """Write the posterior as netCDF, which ArviZ and xarray read."""
        target = Path(path)
        self.idata.to_netcdf(target, engine="netcdf4")
        return target


def stacked(parts: list[Table]) -> Table:
    """Tables of several factors as one."""
    if len(parts) == 1:
        return parts[0]
    import pandas as pd

    title = parts[0].title.replace(parts[0]["group"].iloc[0], "all factors", 1)
    return Table(pd.concat(parts, ignore_index=True), title=title, note=parts[0].note)
