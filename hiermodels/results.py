"""A fitted model: the values of all stages, and methods that call the modules that know.

fit = hm.fit("y ~ x + (x | site)", data)
fit.summary(), fit.variance_table(), fit.coef("site"), fit.plot.forest("site")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hiermodels import checks, comparison, prediction, prediction_tables, tables
from hiermodels.checks import Checks
from hiermodels.comparison import Elpd
from hiermodels.design import Block, Design
from hiermodels.diagnostics import Diagnostics, diagnose
from hiermodels.draws import Draws, stack_draws
from hiermodels.errors import DataError, NotAvailableError
from hiermodels.expected import is_linear
from hiermodels.held_out import integrated_groups
from hiermodels.icc import icc_curves
from hiermodels.printing import Table
from hiermodels.priors import Priors
from hiermodels.ranks import rank_levels
from hiermodels.remaining import remaining_variance
from hiermodels.saving import read_fit, write_fit
from hiermodels.sentences import Sentences, describe
from hiermodels.shrinkage import reliability
from hiermodels.summary import Summary, build_summary
from hiermodels.variance import (
    Components,
    components,
    explained_variance,
    intraclass,
    repeatability,
    reportable_scales,
    strata_change,
)

if TYPE_CHECKING:
    import xarray as xr

    from hiermodels.prediction_plots import PredictionPlots

__all__ = ["CI_PROB", "Fit", "load"]

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
    def plot(self) -> PredictionPlots:
        """The pictures: ``fit.plot.forest("site")``, ``fit.plot.shrinkage("site")``."""
        from hiermodels.prediction_plots import PredictionPlots

        return PredictionPlots(self)

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

    @property
    def scales(self) -> tuple[str | None, ...]:
        """What ``scale`` can be in the variance report: None where there is but one."""
        return reportable_scales(self.design)

    def components(
        self,
        *,
        scale: str | None = None,
        variant: str = "lognormal",
        expected: float | np.ndarray | None = None,
    ) -> Components:
        """The draws behind the variance report, as arrays."""
        key = (scale, variant, expected)
        if isinstance(expected, np.ndarray):
            return components(
                self.design, self.draws, scale=scale, variant=variant, expected=expected
            )
        if key not in self._kept_components:
            self._kept_components[key] = components(
                self.design, self.draws, scale=scale, variant=variant, expected=expected
            )
        return self._kept_components[key]

    @cached_property
    def _kept_components(self) -> dict[Any, Components]:
        """Those that were asked for: several reports share them."""
        return {}

    def variance_table(
        self,
        *,
        scale: str | None = None,
        common: bool = False,
        variant: str = "lognormal",
        expected: float | np.ndarray | None = None,
        ci_prob: float = CI_PROB,
    ) -> Table:
        """Each variance component: sd, variance, percent of the total, CV² = variance / mean².

        ``V_g = mean_i z_i' Sigma_g z_i`` split by term; the total is groups and residual, and the
        common effects with ``common=True``. Beyond the Gaussian ``scale`` says of what: "latent",
        the linear predictor, with the noise of the response translated to it as ``variant``
        ("lognormal", "delta", "trigamma") at the mean response, or at ``expected``; or "data", the
        response itself, by the law of total variance.

        Source: Nakagawa, Johnson & Schielzeth 2017.
        """
        parts = self.components(scale=scale, variant=variant, expected=expected)
        return tables.variance_table(self.design, self.draws, parts, ci_prob=ci_prob, common=common)

    def icc(
        self,
        *,
        scale: str | None = None,
        at: Mapping[str, Any] | None = None,
        variant: str = "lognormal",
        expected: float | np.ndarray | None = None,
        ci_prob: float = CI_PROB,
    ) -> Table:
        """Intraclass correlation of each factor, cumulative for nested ones, adjusted and not.

        ``scale``, ``variant`` and ``expected`` as in `variance_table`. With random slopes it
        depends on the predictor: ``at={"x": [0, 5, 10]}`` gives it at these values, all other
        columns at their mean or most frequent value.
        """
        self._blocks(None)
        if at is not None:
            curves = icc_curves(
                self.design, self.draws, at, scale=scale, variant=variant, expected=expected
            )
            return tables.icc_curve_table(self.design, curves, ci_prob=ci_prob)
        parts = self.components(scale=scale, variant=variant, expected=expected)
        return tables.icc_table(self.design, parts, intraclass(self.design, parts), ci_prob=ci_prob)

    def repeatability(
        self,
        n: int = 1,
        *,
        scale: str | None = None,
        variant: str = "lognormal",
        expected: float | np.ndarray | None = None,
        ci_prob: float = CI_PROB,
    ) -> Table:
        """The adjusted ICC of the mean of n rows of a level, ``V_g / (sum V_g + V_e / n)``."""
        self._blocks(None)
        if n < 1:
            raise DataError(f"n={n}: the rows in a mean are at least one")
        parts = self.components(scale=scale, variant=variant, expected=expected)
        icc = repeatability(self.design, parts, n=n)
        return tables.repeatability_table(self.design, parts, icc, n=n, ci_prob=ci_prob)

    def r2(
        self,
        *,
        null: Fit | None = None,
        scale: str | None = None,
        variant: str = "lognormal",
        expected: float | np.ndarray | None = None,
        ci_prob: float = CI_PROB,
    ) -> Table:
        """Variance explained by common effects (marginal), by these and groups (conditional).

        ``Bayesian`` is that of the fitted values of the data's own rows and groups, on the scale of
        the response (Gelman et al. 2019). ``null``, a fit without predictors to the same rows, adds
        the change of each stratum, ``1 - V / V_null``, of random intercepts alone (Hox 2010).
        """
        parts = self.components(scale=scale, variant=variant, expected=expected)
        change = None
        if null is not None:
            other = null.components(scale=scale, variant=variant, expected=expected)
            change = strata_change(self.design, parts, null.design, other)
        found = explained_variance(self.design, self.draws, parts)
        return tables.r2_table(self.design, parts, found, change, ci_prob=ci_prob)

    def variance_left(self, *, threshold: float | None = None, ci_prob: float = CI_PROB) -> Table:
        """Is there variance left to explain? Each sd, its prior, and P(sd < threshold).

        ``threshold`` is an sd on the scale of the linear predictor; None is a tenth of the residual
        sd, beyond the Gaussian of the latent one.
        """
        self._blocks(None)
        residual = None
        if threshold is None:
            scale = None if is_linear(self.design) else "latent"
            residual = self.components(scale=scale).residual
        rows = remaining_variance(
            self.design, self.priors, self.draws, residual, threshold=threshold
        )
        return tables.variance_left_table(rows, ci_prob=ci_prob)

    def describe(self, *, rows: str = "rows", ci_prob: float = CI_PROB) -> Sentences:
        """The results in sentences that say what each number compares, and given what.

        Rate ratios on a log link, odds ratios on a logit one; for each factor the range of 80 % of
        its levels, and the median ratio of two of them. ``rows`` is what the rows are called, in
        the plural, such as "patients".
        """
        parts = self._latent()
        left = (
            remaining_variance(self.design, self.priors, self.draws, parts.residual)
            if parts is not None
            else ()
        )
        return describe(self.design, self.draws, parts, left, rows=rows, ci_prob=ci_prob)

    def _latent(self) -> Components | None:
        """The components on the scale of the linear predictor; None without noise on it."""
        scale = None if is_linear(self.design) else "latent"
        try:
            return self.components(scale=scale)
        except NotAvailableError:
            return None

    def ranks(
        self,
        group: str | None = None,
        *,
        term: str | None = None,
        top: int | None = None,
        best: str = "highest",
        ci_prob: float = CI_PROB,
    ) -> Table:
        """Rank of each level with its interval, P(best), P(among the ``top``), and pairs too close.

        Levels are ranked by ``term`` (the first of the factor) at the mean of the predictors.
        ``too_close`` counts the levels from which each cannot be told; the note says whether these
        data support a table of ranks.
        """
        block = self._blocks(group)[0] if group else self.design.block(group)
        found = rank_levels(
            self.design,
            self.draws,
            block,
            self._reliability[block.name],
            term=term,
            top=top,
            best=best,
        )
        return tables.ranks_table(block, found, ci_prob=ci_prob)

    def shrinkage(self, group: str | None = None, *, ci_prob: float = CI_PROB) -> Table:
        """Raw, completely pooled and partially pooled estimates of each level of a factor."""
        self._blocks(None)
        block = self.design.block(group)
        return tables.shrinkage_table(
            self.design, self.draws, block, self._reliability[block.name], ci_prob=ci_prob
        )

    def predict(
        self,
        newdata: Any = None,
        *,
        target: str = "population",
        kind: str = "mean",
        groups: str | Sequence[str] | None = None,
        draws: bool = False,
        ci_prob: float = CI_PROB,
        random_seed: int | None = None,
    ) -> Any:
        """Predictions, for the rows of the fit or for new ones.

        Parameters
        ----------
        newdata
            A table with the columns of the formula; None takes the rows of the fit.
        target
            ``"population"``: group effects at zero. ``"group"``: known levels keep their effects;
            an unseen one is an error. ``"new_group"``: a label that was not seen, or an absent
            column, gets one new effect per level and draw, shared by its rows; seen labels keep
            theirs. ``"marginal"``: averaged over the distribution of the group effects, in each
            draw.
        kind
            ``"link"`` the linear predictor, ``"mean"`` E[y], ``"response"`` a new y.
        groups
            For ``target="group"``: the factors whose effects count, with those they are nested
            in; None takes all.
        draws
            Give the draws, a `xarray.DataArray` (chain, draw, row), instead of a table.
        random_seed
            None takes that of the fit. An unseen level has the same effects in every call.

        Raises
        ------
        DataError
            A missing column, an unknown category or level, with what is possible.
        """
        ask = prediction.predict(
            self.design,
            self.draws,
            newdata,
            target=target,
            kind=kind,
            seed=self._seed(random_seed),
            groups=groups,
        )
        if draws:
            return self._labelled(prediction.all_draws(ask), ask.rows.frame.index)
        return prediction_tables.predict_table(ask, ci_prob=ci_prob)

    def _seed(self, random_seed: int | None) -> int:
        if random_seed is not None:
            return int(random_seed)
        return int(self.idata["posterior"].attrs.get("random_seed", 0))

    def _labelled(self, values: np.ndarray, index: Any) -> xr.DataArray:
        """(S, rows) with the chains apart and the labels of the rows."""
        import xarray as xr

        chains = self.idata["posterior"].sizes["chain"]
        shaped = values.reshape(chains, -1, values.shape[1])
        return xr.DataArray(
            shaped,
            dims=("chain", "draw", "row"),
            coords={
                "chain": np.arange(chains),
                "draw": np.arange(shaped.shape[1]),
                "row": np.asarray(index),
            },
        )

    def grid(
        self,
        x: str | Sequence[str],
        group: str | None = None,
        *,
        n: int = 50,
        at: Mapping[str, Any] | None = None,
    ) -> Table:
        """Rows to predict for: ``x`` over its observed range, in each level of ``group`` its own.

        The first of several columns is followed in ``n`` steps; other columns stand at their mean,
        at the level's own value where it is constant within levels, at the most frequent category,
        or where ``at={"z": 1.5}`` says.
        """
        return prediction_tables.grid_table(
            *prediction.make_grid(self.design, x, group, n=n, at=at)
        )

    def slopes(
        self,
        x: str,
        newdata: Any = None,
        *,
        by: str | Sequence[str] | None = None,
        target: str = "population",
        kind: str = "mean",
        ci_prob: float = CI_PROB,
        random_seed: int | None = None,
    ) -> Table:
        """How the prediction changes per unit of a numeric ``x``, averaged over rows.

        ``mean_i d f_i / d x_i`` in each draw, over the rows of the fit or of ``newdata``, or over
        those with equal values of the columns ``by``.
        """
        return prediction_tables.slopes_table(
            self.design,
            self.draws,
            x,
            newdata,
            by=by,
            target=target,
            kind=kind,
            seed=self._seed(random_seed),
            ci_prob=ci_prob,
        )

    def marginal_means(
        self,
        x: str,
        newdata: Any = None,
        *,
        values: Sequence[Any] | None = None,
        by: str | Sequence[str] | None = None,
        target: str = "population",
        kind: str = "mean",
        ci_prob: float = CI_PROB,
        random_seed: int | None = None,
    ) -> Table:
        """The average prediction with ``x`` set to each value in all rows.

        ``mean_i f(x_i := v)`` in each draw, over the rows of the fit or of ``newdata``: the other
        columns stay as they are, so their distribution is that of the rows.
        """
        return prediction_tables.means_table(
            self.design,
            self.draws,
            x,
            newdata,
            values=values,
            by=by,
            target=target,
            kind=kind,
            seed=self._seed(random_seed),
            ci_prob=ci_prob,
        )

    def contrasts(
        self,
        x: str,
        newdata: Any = None,
        *,
        values: Sequence[Any] | None = None,
        pairs: str = "reference",
        comparison: str = "difference",
        by: str | Sequence[str] | None = None,
        target: str = "population",
        kind: str = "mean",
        ci_prob: float = CI_PROB,
        random_seed: int | None = None,
    ) -> Table:
        """Differences, or ratios, between the `marginal_means` of two values of ``x``.

        ``pairs`` is ``"reference"`` (each against the first), ``"sequential"`` or ``"all"``;
        ``comparison`` is ``"difference"`` or ``"ratio"``, of averages, in each draw.
        """
        return prediction_tables.contrasts_table(
            self.design,
            self.draws,
            x,
            newdata,
            values=values,
            pairs=pairs,
            comparison=comparison,
            by=by,
            target=target,
            kind=kind,
            seed=self._seed(random_seed),
            ci_prob=ci_prob,
        )

    def residuals(
        self,
        kind: str = "response",
        *,
        new_group: bool = False,
        random_seed: int | None = None,
    ) -> Table:
        """What the model leaves of each row: observed, fitted, residual.

        ``kind`` is ``"response"``, y - E[y]; ``"pearson"``, that over sd[y]; ``"quantile"``,
        randomised quantile residuals of one posterior draw, independent and standard normal if the
        model is true, with their probabilities ``pit``. With ``new_group=True`` the groups are
        drawn anew: the residuals of a level then go together.
        """
        found = checks.residuals(
            self.design,
            self.draws,
            kind=kind,
            new_group=new_group,
            seed=self._seed(random_seed),
        )
        columns = {
            "observed": self.design.response,
            "fitted": found.fitted,
            "residual": found.residual,
        }
        if found.pit is not None:
            columns["pit"] = found.pit
        groups = "new groups" if new_group else "given the groups"
        return Table(
            columns,
            index=self.design.index,
            title=f"Residuals, {groups}: {checks.RESIDUALS[kind]}",
        )

    def check(self, *, random_seed: int | None = None) -> Checks:
        """Verdicts on the model, with what to do; ``fit.plot.check()`` is their figure.

        Distribution, dispersion, trends and spread of the residuals, along the fitted values, in
        each level and along each predictor, zeros and ones, outliers, the normality of the group
        effects, and the sampler; each against data that the model makes at the same draws.
        """
        return checks.check(self.design, self.draws, self.diagnostics, seed=self._seed(random_seed))

    def ppc(
        self,
        stat: str | Callable[[np.ndarray], Any] = "mean",
        group: str | None = None,
        *,
        new_group: bool = False,
        ci_prob: float = CI_PROB,
        random_seed: int | None = None,
    ) -> Table:
        """A number of the response beside what the model makes of it, in all rows or each level.

        ``stat`` is a name (mean, sd, median, min, max, range, zeros, ones) or a function of a
        vector.
        """
        return checks.ppc_table(
            self.design,
            self.draws,
            stat,
            group,
            new_group=new_group,
            seed=self._seed(random_seed),
            ci_prob=ci_prob,
        )

    def posterior_predictive(
        self,
        draws: int = 500,
        *,
        new_group: bool = False,
        random_seed: int | None = None,
    ) -> np.ndarray:
        """Responses that the model makes for the rows of the fit, (draws, rows)."""
        return checks.posterior_predictive(
            self.design,
            self.draws,
            at_most=draws,
            new_group=new_group,
            seed=self._seed(random_seed),
        )

    def log_likelihood(self) -> xr.DataArray:
        """log p(y_i | parameters) of each draw and row, (chain, draw, row).

        Made when it is first asked for, and then the group ``log_likelihood`` of ``idata``, where
        ArviZ looks for it.
        """
        import xarray as xr

        if "log_likelihood" not in self.idata.children:
            values = comparison.log_likelihood(self.design, self.draws)
            made = self._labelled(values, np.arange(self.design.n))
            self.idata["log_likelihood"] = xr.DataTree(made.to_dataset(name="y"))
        return self.idata["log_likelihood"].to_dataset()["y"]

    def loo(self) -> Elpd:
        """Leave one row out: expected log predictive density.

        By Pareto-smoothed importance sampling, as ArviZ does it. Warns of rows with a Pareto k
        beyond ArviZ's limit.
        """
        values = self.log_likelihood().transpose("chain", "draw", "row").to_numpy()
        return comparison.leave_out(
            values.reshape(-1, self.design.n),
            labels=list(self.design.index),
            unit="row",
            method="LOO",
            chains=self.idata["posterior"].sizes["chain"],
        )

    def logo(self, group: str | None = None, *, random_seed: int | None = None) -> Elpd:
        """Leave one group out: how well the model predicts a new level with all its rows.

        ``log p(y_j | y_-j)``. In Gaussian models with normal priors of the coefficients these and
        all group effects are integrated out exactly in each draw of the sds, correlations and
        sigma; elsewhere the effects of the level, by importance sampling in each draw, of the
        finest factor. Warns of levels with a Pareto k beyond ArviZ's limit.
        """
        self._blocks(None)
        block = self.design.block(group)
        if comparison.not_exact(self.design, self.priors):
            values = integrated_groups(
                self.design, self.draws, block.name, seed=self._seed(random_seed)
            )
        else:
            draws = comparison.thinned_for_groups(self.design, self.draws)
            values = comparison.held_out_groups(self.design, draws, self.priors, block)
        whole = len(values) == self.draws.n
        return comparison.leave_out(
            values,
            labels=block.levels,
            unit=block.name,
            method="LOGO",
            chains=self.idata["posterior"].sizes["chain"] if whole else 1,
        )

    def squeeze_sensitivity(
        self, constants: Sequence[float] = (0.05, 0.25, 0.5, 1.0), *, progressbar: bool = True
    ) -> Table:
        """A beta model refitted with other constants s in ``hm.squeeze(y, s=s)``.

        `hm.squeeze_sensitivity` has more to choose.
        """
        from hiermodels import squeeze_sensitivity

        return squeeze_sensitivity(self, constants, progressbar=progressbar)

    def save(self, path: str | Path) -> Path:
        """Write the whole fit to one file, which `hm.load` reads: ``fit.save("fit.hm")``.

        The rows, formula, family, priors and the posterior with all its groups, as JSON and plain
        arrays in a zip archive: no pickle, nothing in it is ever run, and later versions of the
        package read it. The group ``log_likelihood`` is left out, and made anew when asked for.

        Raises
        ------
        NotAvailableError
            A fit that its formula alone does not make: a fixed-effect fit of `hm.pooling`.
        """
        return write_fit(path, self.design, self.priors, self.idata)

    def report(
        self,
        path: str | Path,
        *,
        rows: str = "rows",
        data_file: str | None = None,
        ci_prob: float = CI_PROB,
    ) -> Path:
        """Write the whole report: ``fit.report("report.html")``.

        One page that needs no network: data, grouping, equations with priors, graph, tables,
        pictures, checks, the results in sentences, the sampler, and the code, seed, versions and
        data hash that reproduce it. With ``.md`` and ``.tex`` the pictures are in a folder beside
        it. ``rows`` is what the rows are called, in the plural; ``data_file`` the file that the
        code reads.

        Raises
        ------
        UnknownNameError
            An end of the name that is no format.
        """
        from hiermodels.report import write_report

        return write_report(self, path, rows=rows, data_file=data_file, ci_prob=ci_prob)

    def save_posterior(self, path: str | Path) -> Path:
        """Write the posterior as netCDF, which ArviZ and xarray read."""
        target = Path(path)
        self.idata.to_netcdf(target, engine="netcdf4")
        return target


def load(path: str | Path) -> Fit:
    """The fit that ``fit.save(path)`` wrote: every report, prediction and check as of that fit.

    Raises
    ------
    SavedFitError
        No such file, a file of something else, a damaged one, or one of a newer version.
    """
    design, priors, tree = read_fit(path)
    return Fit(design=design, priors=priors, idata=tree)


def stacked(parts: list[Table]) -> Table:
    """Tables of several factors as one."""
    if len(parts) == 1:
        return parts[0]
    import pandas as pd

    title = parts[0].title.replace(parts[0]["group"].iloc[0], "all factors", 1)
    return Table(pd.concat(parts, ignore_index=True), title=title, note=parts[0].note)
