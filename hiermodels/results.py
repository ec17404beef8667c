"""A fitted model: the values of all stages, and methods that call the modules that know.

fit = hm.fit("y ~ x + (x | site)", data)
fit.summary(), fit.variance_table(), fit.coef("site"), fit.plot.forest("site")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hiermodels.design import Block, Design
from hiermodels.errors import DataError, NotAvailableError
from hiermodels.labels import broom, prediction_tables, tables
from hiermodels.labels.sentences import Sentences, describe
from hiermodels.labels.summary import Summary, build_summary
from hiermodels.names import variable_of
from hiermodels.numbers import checks, comparison, prediction
from hiermodels.numbers.checks import Checks
from hiermodels.numbers.comparison import Elpd
from hiermodels.numbers.diagnostics import Diagnostics, diagnose
from hiermodels.numbers.draws import POINT, Draws, stack_draws
from hiermodels.numbers.expected import is_linear
from hiermodels.numbers.held_out import integrated_groups
from hiermodels.numbers.icc import icc_curves
from hiermodels.numbers.left_out import LeftOut, check_left_out, leave_rows_out
from hiermodels.numbers.prior_density import log_priors
from hiermodels.numbers.ranks import rank_levels
from hiermodels.numbers.remaining import remaining_variance
from hiermodels.numbers.sensitivity import sensitivities, sensitivity_table, sensitivity_tree
from hiermodels.numbers.shrinkage import reliabilities
from hiermodels.numbers.tails import heavy_sds
from hiermodels.numbers.variance import (
    Components,
    components,
    explained_variance,
    intraclass,
    repeatability,
    reportable_scales,
    strata_change,
)
from hiermodels.printing import Table
from hiermodels.priors import Priors
from hiermodels.saving import read_fit, write_fit, write_netcdf
from hiermodels.seeds import as_seed

if TYPE_CHECKING:
    import xarray as xr

    from hiermodels.labels.r_code import RCode
    from hiermodels.pictures.predictions import PredictionPlots
    from hiermodels.workflows.dropped_terms import DroppedTerms
    from hiermodels.workflows.influence import Influence

__all__ = ["CI_PROB", "Fit", "load"]

#: Ours, not ArviZ's 0.89: what users of lme4 and brms expect.
CI_PROB = 0.95
#: Responses made for ArviZ, 80 MB: above it not one for each draw of the posterior.
MOST_MADE = 10_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """A posterior with the model it belongs to. Made by `fit`, read by the user.

    Every table takes ``point``, the estimate of what is a function of the parameters: its
    posterior ``"median"`` or ``"mean"``; and ``ci_prob``, the probability of its equal-tailed
    intervals. A mean that is infinite, or that the draws cannot average, is NaN. ``idata`` is the
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
    def _reliabilities(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        return {b.name: reliabilities(self.design, self.draws, b) for b in self.design.blocks}

    @property
    def _reliability(self) -> dict[str, np.ndarray]:
        """Intercepts at the mean of the predictors, as in `shrinkage` and `ranks`."""
        return {name: at_mean for name, (at_mean, _) in self._reliabilities.items()}

    @property
    def _raw_reliability(self) -> dict[str, np.ndarray]:
        """Intercepts where the predictors are 0, as in `ranef` and `coef`."""
        return {name: at_zero for name, (_, at_zero) in self._reliabilities.items()}

    @cached_property
    def _heavy(self) -> dict[str, str]:
        """The sds for which a mean response over all groups is infinite, with their priors."""
        return heavy_sds(self.design, self.priors)

    @property
    def plot(self) -> PredictionPlots:
        """The pictures, such as ``fit.plot.forest("site")``, ``fit.plot.shrinkage("site")``."""
        from hiermodels.pictures.predictions import PredictionPlots

        return PredictionPlots(self)

    def __repr__(self) -> str:
        return self.summary().text()

    def _repr_html_(self) -> str:
        return self.summary().html()

    def _blocks(self, group: str | None) -> tuple[Block, ...]:
        if not self.design.blocks:
            raise NotAvailableError(f"{self.design.formula} has no group term, such as (1 | site)")
        return self.design.blocks if group is None else (self.design.block(group),)

    def summary(self, *, point: str = POINT, ci_prob: float = CI_PROB) -> Summary:
        """A page in the order of lme4's: groups, common effects, sampler diagnostics, priors."""
        return build_summary(
            self.design,
            self.priors,
            self.draws,
            self.diagnostics,
            attributes={str(k): v for k, v in self.idata["posterior"].attrs.items()},
            point=point,
            ci_prob=ci_prob,
        )

    def fixef(self, *, point: str = POINT, ci_prob: float = CI_PROB) -> Table:
        """Common effects: term, estimate, sd, lower, upper."""
        return tables.fixef_table(self.design, self.draws, point=point, ci_prob=ci_prob)

    def ranef(
        self, group: str | None = None, *, point: str = POINT, ci_prob: float = CI_PROB
    ) -> Table:
        """Group effects b of each level: their deviation from the common effects.

        ``shrinkage`` is 1 - reliability of that effect, the intercept's at 0: 0 where the data
        settle it, 1 where they say nothing of it. ``group=None`` takes all factors.
        """
        return stacked(
            [
                tables.ranef_table(
                    self.draws, b, self._raw_reliability[b.name], point=point, ci_prob=ci_prob
                )
                for b in self._blocks(group)
            ]
        )

    def coef(
        self, group: str | None = None, *, point: str = POINT, ci_prob: float = CI_PROB
    ) -> Table:
        """Coefficients of each level: common effects plus its group effects, the intercept at 0.

        ``shrinkage`` is that of its group effect, as in `ranef`.
        """
        return stacked(
            [
                tables.coef_table(
                    self.design,
                    self.draws,
                    b,
                    self._raw_reliability[b.name],
                    point=point,
                    ci_prob=ci_prob,
                )
                for b in self._blocks(group)
            ]
        )

    def varcorr(self, *, point: str = POINT, ci_prob: float = CI_PROB) -> Table:
        """Sds, variances and correlations of each factor and term, and of the residual."""
        return tables.varcorr_table(self.design, self.draws, point=point, ci_prob=ci_prob)

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
        wide: bool = False,
        variant: str = "lognormal",
        expected: float | np.ndarray | None = None,
        point: str = POINT,
        ci_prob: float = CI_PROB,
    ) -> Table:
        """Each variance component: sd, variance, percent of the total, CV² = variance / mean².

        ``wide=True`` has them in one row, to put those of several responses below each other:
        ``mean``, ``sd`` of the total, ``percent_among``, ``percent_within``, ``cv2_among``,
        ``cv2_within``, ``cv2_total``; with several components ``percent_among_pop`` and so on.
        Medians of shares need not add up to 100, and the note then says so. The mean response is
        in the note and in ``.attrs["mean"]``.

        ``V_g = mean_i z_i' Sigma_g z_i`` split by term; the total is groups and residual, and the
        common effects with ``common=True``. Beyond the Gaussian ``scale`` says of what: "latent",
        the linear predictor, with the noise of the response translated to it as ``variant``
        ("lognormal", "delta", "trigamma") at the mean response, or at ``expected``; or "data", the
        response itself, by the law of total variance.

        Source: Nakagawa, Johnson & Schielzeth 2017.
        """
        parts = self.components(scale=scale, variant=variant, expected=expected)
        return tables.variance_table(
            self.design,
            parts,
            point=point,
            ci_prob=ci_prob,
            common=common,
            wide=wide,
            heavy=self._heavy,
        )

    def icc(
        self,
        *,
        scale: str | None = None,
        at: Mapping[str, Any] | None = None,
        variant: str = "lognormal",
        expected: float | np.ndarray | None = None,
        point: str = POINT,
        ci_prob: float = CI_PROB,
    ) -> Table:
        """Intraclass correlation of each factor, cumulative for nested ones, adjusted and not.

        ``scale``, ``variant`` and ``expected`` as in `variance_table`. With random slopes it
        depends on the predictor: ``at={"x": [0, 5, 10]}`` gives it at these values, all other
        columns at their mean or most frequent value. With known standard errors the residual
        variance is the arithmetic mean of their squares; ``i2`` is I² of meta-analysis, with the
        typical variance of Higgins & Thompson (2002) instead.
        """
        self._blocks(None)
        if at is not None:
            curves = icc_curves(
                self.design, self.draws, at, scale=scale, variant=variant, expected=expected
            )
            return tables.icc_curve_table(self.design, curves, point=point, ci_prob=ci_prob)
        parts = self.components(scale=scale, variant=variant, expected=expected)
        return tables.icc_table(
            self.design, parts, intraclass(self.design, parts), point=point, ci_prob=ci_prob
        )

    def repeatability(
        self,
        n: int = 1,
        *,
        scale: str | None = None,
        variant: str = "lognormal",
        expected: float | np.ndarray | None = None,
        point: str = POINT,
        ci_prob: float = CI_PROB,
    ) -> Table:
        """The adjusted ICC of the mean of n rows of a level, ``V_g / (sum V_g + V_e / n)``."""
        self._blocks(None)
        if n < 1:
            raise DataError(f"n={n}: the rows in a mean are at least one")
        parts = self.components(scale=scale, variant=variant, expected=expected)
        icc = repeatability(self.design, parts, n=n)
        return tables.repeatability_table(
            self.design, parts, icc, n=n, point=point, ci_prob=ci_prob
        )

    def r2(
        self,
        *,
        null: Fit | None = None,
        scale: str | None = None,
        variant: str = "lognormal",
        expected: float | np.ndarray | None = None,
        point: str = POINT,
        ci_prob: float = CI_PROB,
    ) -> Table:
        """Variance explained by common effects (marginal), by these and groups (conditional).

        ``Bayesian`` is that of the fitted values of the data's own rows and groups, on the scale of
        the response (Gelman et al. 2019). ``null``, a fit without predictors to the same rows, adds
        the change of each stratum, ``1 - V / V_null`` of posterior medians, of random intercepts
        alone (Hox 2010). It has no interval: the draws of two fits are not paired.
        """
        parts = self.components(scale=scale, variant=variant, expected=expected)
        change = None
        if null is not None:
            other = null.components(scale=scale, variant=variant, expected=expected)
            change = strata_change(self.design, parts, null.design, other)
        found = explained_variance(self.design, self.draws, parts)
        return tables.r2_table(self.design, parts, found, change, point=point, ci_prob=ci_prob)

    def variance_left(
        self, *, threshold: float | None = None, point: str = POINT, ci_prob: float = CI_PROB
    ) -> Table:
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
        return tables.variance_left_table(rows, point=point, ci_prob=ci_prob)

    def describe(self, *, rows: str = "rows", ci_prob: float = CI_PROB) -> Sentences:
        """The results in sentences that say what each number compares, and given what.

        A sentence for each coefficient: a difference, or on a log or logit link a ratio, of what
        the family says; beside a product where the partner is at its mean, or a category at its
        reference. A sentence for each factor: the range of 80 % of its levels, the median ratio of
        two of them, and their share of the variance. Numbers are posterior medians. ``rows`` is
        what the rows are called, in the plural, such as "patients".
        """
        return describe(self.design, self.draws, self._latent(), rows=rows, ci_prob=ci_prob)

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
        point: str = POINT,
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
        return tables.ranks_table(block, found, point=point, ci_prob=ci_prob)

    def shrinkage(
        self, group: str | None = None, *, point: str = POINT, ci_prob: float = CI_PROB
    ) -> Table:
        """Raw, completely pooled and partially pooled estimates of each level of a factor.

        ``shrinkage`` is 1 - reliability, the share of the variance of an effect that the data
        leave, given the sds. With one effect in each level it is also the part of the way from the
        raw estimate to the common one, but for the rest of the model; with correlated slopes
        effects inform each other, and a level can move elsewhere.
        """
        self._blocks(None)
        block = self.design.block(group)
        return tables.shrinkage_table(
            self.design,
            self.draws,
            block,
            self._reliability[block.name],
            point=point,
            ci_prob=ci_prob,
        )

    def predict(
        self,
        newdata: Any = None,
        *,
        target: str = "population",
        kind: str | None = None,
        groups: str | Sequence[str] | None = None,
        draws: bool = False,
        point: str = POINT,
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
            ``"link"`` the linear predictor, ``"mean"`` E[y], ``"response"`` a new y,
            ``"probability"`` that of each category of an ordinal response: a row for each, or a
            dim ``category`` of the draws. The mean of ordered categories is that of the numbers
            that they are. None is the mean, of categories that are words the probabilities.
        groups
            For ``target="group"``: the factors whose effects count, with those they are nested
            in; None takes all.
        point
            ``"median"`` or ``"mean"`` of the draws. A new response that is counted, and a
            probability, have their average in a column ``mean``.
        draws
            Give the draws, a `xarray.DataArray` (chain, draw, row), instead of a table; its
            ``attrs`` name target and kind.
        random_seed
            None takes that of the fit. An unseen level has the same effects in every call.

        Raises
        ------
        DataError
            A missing column, an unknown category or level, with what is possible.
        """
        kind = prediction.chosen_kind(self.design, kind)
        ask = prediction.predict(
            self.design,
            self.draws,
            newdata,
            target=target,
            kind=kind,
            seed=self._seed(random_seed),
            groups=groups,
            heavy=self._heavy,
        )
        if draws:
            found = (
                self._category_draws(ask)
                if kind == "probability"
                else self._labelled(prediction.all_draws(ask), ask.rows.frame.index)
            )
            return found.assign_attrs(target=target, kind=kind)
        return prediction_tables.predict_table(ask, point=point, ci_prob=ci_prob)

    def _category_draws(self, ask: prediction.Prediction) -> xr.DataArray:
        """The probability of each category, (chain, draw, row, category)."""
        import xarray as xr

        parts = [
            self._labelled(prediction.all_draws(one), ask.rows.frame.index)
            for one in prediction.of_categories(ask)
        ]
        labels = xr.DataArray(list(self.design.categories or ()), dims="category", name="category")
        return xr.concat(parts, dim=labels).transpose("chain", "draw", "row", "category")

    def _seed(self, random_seed: int | None) -> int:
        if random_seed is not None:
            return as_seed(random_seed)
        return int(self.idata["posterior"].attrs.get("random_seed", 0))

    def _labelled(
        self, values: np.ndarray, index: Any, *, chains: int | None = None
    ) -> xr.DataArray:
        """(S, rows) with the chains apart, those of the posterior, and the labels of the rows."""
        import xarray as xr

        chains = chains or self.idata["posterior"].sizes["chain"]
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
        or where ``at={"z": 1.5}`` says. ``at={"z": [0, 1]}`` has all rows at each of these values.
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
        kind: str | None = None,
        point: str = POINT,
        ci_prob: float = CI_PROB,
        random_seed: int | None = None,
    ) -> Table:
        """How the prediction changes per unit of a numeric ``x``, averaged over rows.

        ``mean_i d f_i / d x_i`` in each draw, over the rows of the fit or of ``newdata``, or over
        those with equal values of the columns ``by``.
        """
        kind = prediction.chosen_kind(self.design, kind)
        return prediction_tables.by_category(
            self.design,
            kind,
            lambda category: prediction_tables.slopes_table(
                self.design,
                self.draws,
                x,
                newdata,
                by=by,
                target=target,
                kind=kind,
                seed=self._seed(random_seed),
                point=point,
                ci_prob=ci_prob,
                category=category,
                heavy=self._heavy,
            ),
        )

    def marginal_means(
        self,
        x: str,
        newdata: Any = None,
        *,
        values: Sequence[Any] | None = None,
        by: str | Sequence[str] | None = None,
        target: str = "population",
        kind: str | None = None,
        point: str = POINT,
        ci_prob: float = CI_PROB,
        random_seed: int | None = None,
    ) -> Table:
        """The average prediction with ``x`` set to each value in all rows.

        ``mean_i f(x_i := v)`` in each draw, over the rows of the fit or of ``newdata``: the other
        columns stay as they are, so their distribution is that of the rows.
        """
        kind = prediction.chosen_kind(self.design, kind)
        return prediction_tables.by_category(
            self.design,
            kind,
            lambda category: prediction_tables.means_table(
                self.design,
                self.draws,
                x,
                newdata,
                values=values,
                by=by,
                target=target,
                kind=kind,
                seed=self._seed(random_seed),
                point=point,
                ci_prob=ci_prob,
                category=category,
                heavy=self._heavy,
            ),
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
        kind: str | None = None,
        point: str = POINT,
        ci_prob: float = CI_PROB,
        random_seed: int | None = None,
    ) -> Table:
        """Differences, or ratios, between the `marginal_means` of two values of ``x``.

        ``pairs`` is ``"reference"`` (each against the first), ``"sequential"`` or ``"all"``;
        ``comparison`` is ``"difference"`` or ``"ratio"``, of averages, in each draw.
        """
        kind = prediction.chosen_kind(self.design, kind)
        return prediction_tables.by_category(
            self.design,
            kind,
            lambda category: prediction_tables.contrasts_table(
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
                point=point,
                ci_prob=ci_prob,
                category=category,
                heavy=self._heavy,
            ),
        )

    def residuals(
        self,
        kind: str | None = None,
        *,
        new_group: bool = False,
        random_seed: int | None = None,
    ) -> Table:
        """What the model leaves of each row: observed, fitted, residual.

        ``kind`` is ``"response"``, y - E[y]; ``"pearson"``, that over sd[y]; ``"quantile"``,
        randomised quantile residuals of one posterior draw, independent and standard normal if the
        model is true, with their probabilities ``pit``; ``"loo"``, quantile residuals of each row
        given all others (LOO-PIT), by ArviZ's importance weights. None is ``"response"``, of
        ordered categories that are words ``"quantile"``; what is fitted is then the linear
        predictor. With ``new_group=True`` the groups are drawn anew: the residuals of a level then
        go together.
        """
        kind = kind or ("response" if self.design.family.has_mean else "quantile")
        if kind == "loo":
            return self._left_out_table(new_group=new_group, seed=self._seed(random_seed))
        found = checks.residuals(
            self.design,
            self.draws,
            kind=kind,
            new_group=new_group,
            seed=self._seed(random_seed),
        )
        columns = {
            "observed": self.design.observed,
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

    def _left_out_table(self, *, new_group: bool, seed: int) -> Table:
        """LOO-PIT of each row."""
        if new_group:
            raise NotAvailableError(
                "kind='loo' leaves out a row and keeps its group; logo() leaves groups out, and "
                "kind='quantile' has new_group=True"
            )
        found = self._left_out(seed)
        return Table(
            {
                "observed": self.design.observed,
                "fitted": found.fitted,
                "residual": found.residual,
                "pit": found.pit,
            },
            index=self.design.index,
            title=f"Residuals, given the groups: {checks.RESIDUALS['loo']}",
            note=found.words(self.design),
        )

    def _left_out(self, seed: int) -> LeftOut:
        chains = self.idata["posterior"].sizes["chain"]
        return leave_rows_out(self.design, self.draws, chains=chains, seed=seed)

    def check(self, *, random_seed: int | None = None) -> Checks:
        """Verdicts on the model, with what to do; ``fit.plot.check()`` is their figure.

        Distribution, dispersion, trends and spread of the residuals, along the fitted values, in
        each level and along each predictor, zeros and ones, outliers, the normality of the group
        effects, and the sampler; each against data that the model makes at the same draws. And
        whether rows are predicted well from the others (LOO-PIT), where they are not too many.
        """
        seed = self._seed(random_seed)
        if seed not in self._kept_checks:
            self._kept_checks[seed] = self._checked(seed)
        return self._kept_checks[seed]

    @cached_property
    def _kept_checks(self) -> dict[int, Checks]:
        """Those that were asked for: the table and the pictures share them."""
        return {}

    def _checked(self, seed: int) -> Checks:
        found = checks.check(self.design, self.draws, self.diagnostics, seed=seed)
        try:
            left = self._left_out(seed)
        except NotAvailableError:
            return found
        return replace(
            found,
            checks=(*found.checks, check_left_out(left, seed=seed)),
            left_out=left.residual,
        )

    def ppc(
        self,
        stat: str | Callable[[np.ndarray], Any] | None = None,
        group: str | None = None,
        *,
        new_group: bool = False,
        ci_prob: float = CI_PROB,
        random_seed: int | None = None,
    ) -> Table:
        """A number of the response beside what the model makes of it, in all rows or each level.

        ``stat`` is a name (mean, sd, median, min, max, range, zeros, ones) or a function of a
        vector. None is the mean, of ordered categories that are words the share of each. A row of
        weight w counts as w rows, each with a response of its own.
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

    def tidy(
        self,
        effects: str | Sequence[str] = ("fixed", "ran_pars", "auxiliary"),
        *,
        point: str = POINT,
        ci_prob: float = CI_PROB,
    ) -> pd.DataFrame:
        """One row a parameter, with the columns of R's broom.mixed.

        ``effect, component, group, term, estimate, std.error, conf.low, conf.high``. ``effects``
        are of ``"fixed"``, ``"ran_pars"`` (sds and correlations), ``"auxiliary"`` (the family's
        own), ``"ran_vals"`` (group effects, with a column ``level``), ``"ran_coefs"``.
        ``component`` is ``"cond"``, or the parameter that has a formula, such as ``"zi"``.
        """
        wanted = (effects,) if isinstance(effects, str) else tuple(effects)
        found = self._raw_reliability if {"ran_vals", "ran_coefs"} & set(wanted) else {}
        return broom.tidy_frame(
            self.design, self.draws, found, effects=wanted, point=point, ci_prob=ci_prob
        )

    def glance(self, *, loo: bool = False) -> pd.DataFrame:
        """One row for the model, with the columns of R's broom.mixed.

        ``engine, pss`` (posterior draws), ``nobs, sigma`` (posterior median), ``rhat_max,
        ess_min, divergences``; with ``loo=True`` also ``elpd_loo, se_elpd_loo, p_loo, looic``.
        """
        sigma = self.draws.residual
        found: dict[str, Any] = {
            "engine": self.idata["posterior"].attrs.get("engine", ""),
            "pss": self.draws.n,
            "nobs": self.design.n,
            "sigma": float("nan") if sigma is None else float(np.median(sigma)),
            "rhat_max": self.diagnostics.largest_rhat,
            "ess_min": self.diagnostics.least_bulk,
            "divergences": self.diagnostics.divergences,
        }
        if loo:
            score = self.loo()
            found |= {
                "elpd_loo": score.elpd,
                "se_elpd_loo": score.se,
                "p_loo": score.p,
                "looic": -2 * score.elpd,
            }
        return broom.glance_frame(found)

    def augment(
        self,
        newdata: Any = None,
        *,
        target: str = "group",
        point: str = POINT,
        ci_prob: float = CI_PROB,
    ) -> pd.DataFrame:
        """The rows, each with what the model says of it, in the columns of R's broom.mixed.

        ``.fitted``, ``.se.fit``, ``.conf.low``, ``.conf.high`` are the mean response for the
        row's groups, on the scale of the response (the share, where it is successes of trials);
        ``.fixed`` that with group effects at zero; ``.resid`` the response less ``.fitted``, for
        the rows of the fit. Ordered categories that are words have no mean: these are then linear
        predictors, without ``.resid``. ``newdata`` and ``target`` are those of `predict`.
        """
        numbers = self.design.family.has_mean
        kind = "mean" if numbers else "link"
        fitted = self.predict(newdata, target=target, kind=kind, point=point, ci_prob=ci_prob)
        at_zero = self.predict(newdata, target="population", kind=kind, point=point)["estimate"]
        left = ("estimate", "sd", "lower", "upper")
        if newdata is None:
            rows = broom.plain_names(self.design.rows.frame)
            share = 1.0 if self.design.trials is None else self.design.trials
            observed = self.design.observed / share if numbers else None
            return broom.augment_frame(rows, fitted, at_zero.to_numpy(), observed)
        rows = pd.DataFrame(fitted.drop(columns=list(left)))
        return broom.augment_frame(rows, fitted, at_zero.to_numpy(), None)

    def to_r(self, program: str | None = None, *, data: str = "data") -> RCode:
        """The call of R that fits the same model: lme4, glmmTMB, metafor or brms.

        ``program=None`` takes the first of them that can; ``data`` is the name of the data frame
        in R, with the same columns. For brms with the priors of this model.

        Raises
        ------
        NotAvailableError
            A model that the program cannot fit, with the reason.
        """
        from hiermodels.labels.r_code import build_r

        return build_r(self.design, self.priors, program=program, data=data)

    def posterior_predictive(
        self,
        draws: int = 500,
        *,
        new_group: bool = False,
        random_seed: int | None = None,
    ) -> np.ndarray:
        """Responses that the model makes for the rows of the fit, (draws, rows).

        Ordered categories are the user's, numbers or labels; labels are numbered from 0 in `idata`.
        Those for the groups of the data are also the group ``posterior_predictive`` of ``idata``,
        beside ``observed_data``, where ArviZ looks for them: one for each draw of the posterior, or
        where that is more than 10 million numbers, those that are returned, as of one chain.
        """
        import xarray as xr

        available = self.draws.with_effects.n
        for_arviz = not new_group and "observed_data" in self.idata.children
        every = for_arviz and available * self.design.n <= MOST_MADE
        made = checks.posterior_predictive(
            self.design,
            self.draws,
            at_most=available if every else draws,
            new_group=new_group,
            seed=self._seed(random_seed),
        )
        if for_arviz:
            scaled = self.design.family.on_scale(made)
            rows = np.arange(self.design.n)
            values = self._labelled(scaled, rows, chains=None if every else 1)
            tree = xr.DataTree(values.to_dataset(name=self._response_in_tree))
            self.idata["posterior_predictive"] = tree
        if len(made) > draws:
            made = made[np.linspace(0, len(made) - 1, draws).astype(int)]
        return self.design.in_users_words(made)

    def made_as_counted(self, draws: int, *, new_group: bool) -> tuple[np.ndarray, np.ndarray]:
        """The response and what the model makes, each row as often as it counts, for figures."""
        rows = checks.repeated(self.design)
        if rows is None:
            made = self.posterior_predictive(draws, new_group=new_group)
            return self.design.observed, made
        made = checks.posterior_predictive(
            self.design,
            self.draws,
            at_most=draws,
            new_group=new_group,
            seed=self._seed(None),
            rows=rows,
        )
        return self.design.observed[rows], self.design.in_users_words(made)

    @property
    def _response_in_tree(self) -> str:
        """The name of the response in ``observed_data``, by which ArviZ finds the others."""
        if "observed_data" in self.idata.children:
            return str(next(iter(self.idata["observed_data"].data_vars)))
        return "y"

    def log_likelihood(self) -> xr.DataArray:
        """log p(y_i | parameters) of each draw and row, (chain, draw, row).

        Made when it is first asked for, and then the group ``log_likelihood`` of ``idata``, where
        ArviZ looks for it.
        """
        import xarray as xr

        if "log_likelihood" not in self.idata.children:
            values = comparison.log_likelihood(self.design, self.draws)
            made = self._labelled(values, np.arange(self.design.n))
            self.idata["log_likelihood"] = xr.DataTree(made.to_dataset(name=self._response_in_tree))
        return self.idata["log_likelihood"].to_dataset()[self._response_in_tree]

    def log_prior(self) -> xr.Dataset:
        """log p of each parameter's prior at each draw, (chain, draw) by parameter.

        On the standardised scale, without the group effects, whose distribution is the model's.
        Made when it is first asked for, and then the group ``log_prior`` of ``idata``, where ArviZ
        looks for it.
        """
        import xarray as xr

        if "log_prior" not in self.idata.children:
            chains = self.idata["posterior"].sizes["chain"]
            made = log_priors(self.design, self.priors, self.draws)
            place = ("chain", "draw")
            found = {variable_of(k): (place, v.reshape(chains, -1)) for k, v in made.items()}
            self.idata["log_prior"] = xr.DataTree(xr.Dataset(found))
        return self.idata["log_prior"].to_dataset()

    def sensitivity(
        self,
        *,
        scale: str | None = None,
        alphas: tuple[float, float] = (0.99, 1.01),
        point: str = POINT,
        ci_prob: float = CI_PROB,
    ) -> Table:
        """How much the priors say of what is reported: power-scaling of prior and likelihood.

        ``p(theta)^a p(y | theta)`` and ``p(theta) p(y | theta)^a`` at the two powers ``alphas``,
        by importance weights, and the distance of each posterior from the one at 1 per doubling of
        the power: of coefficients, sds, correlations, ICC and CV². An sd whose ``prior`` is 0.05
        or more is, in part, its prior. ``scale`` is that of ICC and CV² beyond the Gaussian, as in
        `icc`. By ArviZ's ``psense``.

        Source: Kallioinen et al. 2024, Stat. Comput. 34.
        """
        tree = sensitivity_tree(
            self.design,
            self.priors,
            self.draws,
            chains=self.idata["posterior"].sizes["chain"],
            scale=scale,
        )
        note = "" if scale or is_linear(self.design) else "scale= adds ICC and CV²."
        return sensitivity_table(
            sensitivities(tree, alphas=alphas),
            alphas=alphas,
            note=note,
            point=point,
            ci_prob=ci_prob,
        )

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

    def logo(
        self,
        group: str | None = None,
        *,
        refit: bool | None = None,
        random_seed: int | None = None,
    ) -> Elpd:
        """Leave one group out: how well the model predicts a new level with all its rows.

        ``log p(y_j | y_-j)``. In Gaussian models with normal priors of the coefficients these and
        all group effects are integrated out exactly in each draw of the sds, correlations and
        sigma; elsewhere the effects of the level and of the levels within it, numerically in each
        draw. For levels with a Pareto k beyond ArviZ's limit the model is fitted
        again without them, and their part comes from there: ``refit=None`` does so for up to 20
        levels and with a compiled engine, ``True`` always, ``False`` never, and then warns of them.
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
        found = comparison.leave_out(
            values,
            labels=block.levels,
            unit=block.name,
            method="LOGO",
            chains=self.idata["posterior"].sizes["chain"] if whole else 1,
            told=False,
        )
        seed = self._seed(random_seed)
        found = later("workflows.refits").refit_levels(found, self, block, asked=refit, seed=seed)
        comparison.warn_of(found)
        return found

    def influence(
        self,
        group: str | None = None,
        *,
        refit: bool | None = None,
        point: str = POINT,
        ci_prob: float = CI_PROB,
        random_seed: int | None = None,
    ) -> Influence:
        """What each level does to the estimates: common effects, sds, ICC without its rows.

        By importance weights ``1 / p(y_j | y_-j, theta)`` over the draws; where Pareto k is beyond
        ArviZ's limit the model is fitted again without the level, as in `logo` (``refit``).
        ``shift`` is how far an estimate moves, in posterior sds; the rows come in its order.
        Variances that depend on predictors are averaged over all rows, those of the level too.
        ``.plot()`` draws the shifts.

        Source: Vehtari et al. 2024, JMLR 25(72), for the weights.
        """
        self._blocks(None)
        made: Influence = later("workflows.influence").influence(
            self, group, refit=refit, point=point, ci_prob=ci_prob, seed=self._seed(random_seed)
        )
        return made

    def drop_terms(
        self,
        group: str | None = None,
        *,
        rope: float | Mapping[str, float] | None = None,
        likelihood_ratio: bool = False,
        point: str = POINT,
        ci_prob: float = CI_PROB,
        random_seed: int | None = None,
        progressbar: bool = True,
    ) -> DroppedTerms:
        """What each term is worth: the model fitted again without it, with the same settings.

        ``loo`` and ``logo`` are the elpd of the fit less that of the fit without the term, with the
        standard error of the difference: positive where the term helps to predict a row, or a level
        of ``group``, that was left out (None: of the only factor, the finest of nested ones, and of
        each crossed one in a column ``logo[factor]``). Terms within an interaction stay, as does
        the intercept of a group that has slopes; a factor goes with all its columns.

        Parameters
        ----------
        rope
            Half the width of the region around zero in which a coefficient, or an sd of group
            effects, has no practical importance. A number: on the linear predictor, for one sd of a
            numeric column or one category. By term, ``{"x": 0.2}``: in the unit of the coefficient.
            None is a tenth of the sd of the response; with a logit link of pi / sqrt(3), so 0.18,
            with cloglog 0.13, with a log or probit link 0.1.
        likelihood_ratio
            Put beside it a table of likelihood-ratio tests, ``.likelihood_ratio``: maxima of the
            likelihood without priors, exact where the model is Gaussian, else by Laplace's
            approximation.

        Returns a frame with a row for each coefficient, and ``fits``, those without each term.

        Source: Vehtari, Gelman & Gabry 2017; Kruschke 2018 for the region and its tenth.
        """
        made: DroppedTerms = later("workflows.dropped_terms").drop_terms(
            self,
            group,
            rope=rope,
            likelihood_ratio=likelihood_ratio,
            point=point,
            ci_prob=ci_prob,
            seed=self._seed(random_seed),
            progressbar=progressbar,
        )
        return made

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
        FileError
            A place that cannot be written, such as a full disk: save elsewhere.
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
        FileError
            A place that cannot be written.
        """
        from hiermodels.report import write_report

        return write_report(self, path, rows=rows, data_file=data_file, ci_prob=ci_prob)

    def save_posterior(self, path: str | Path) -> Path:
        """Write the posterior as netCDF, which ArviZ and xarray read.

        Raises
        ------
        FileError
            A place that cannot be written.
        """
        return write_netcdf(Path(path), in_text(self.idata))


def in_text(tree: xr.DataTree) -> xr.DataTree:
    """The tree with labels of several types as text, for netCDF has one type in an array."""

    def of(node: xr.Dataset) -> xr.Dataset:
        mixed = {
            name: coordinate.to_numpy()
            for name, coordinate in node.coords.items()
            if coordinate.dtype == object and len(coordinate.dims) == 1
        }
        return node.assign_coords(
            {name: (node[name].dims, texts(labels)) for name, labels in mixed.items()}
        )

    return tree.map_over_datasets(of)


def texts(labels: Iterable[Any]) -> list[str]:
    """Each label as text; 1 and "1" as Python writes them, where there are both."""
    plain = [str(label) for label in labels]
    return plain if len(set(plain)) == len(plain) else [repr(label) for label in labels]


def load(path: str | Path) -> Fit:
    """The fit that ``fit.save(path)`` wrote: every report, prediction and check as of that fit.

    Raises
    ------
    SavedFitError
        No such file, a file of something else, a damaged one, or one of a newer version.
    """
    design, priors, tree = read_fit(path)
    return Fit(design=design, priors=priors, idata=tree)


def later(module: str) -> Any:
    """A module that fits models, and so comes after this one: loaded when it is first needed."""
    return import_module(f"hiermodels.{module}")


def stacked(parts: list[Table]) -> Table:
    """Tables of several factors as one."""
    if len(parts) == 1:
        return parts[0]
    import pandas as pd

    title = parts[0].title.replace(parts[0]["group"].iloc[0], "all factors", 1)
    return Table(pd.concat(parts, ignore_index=True), title=title, note=parts[0].note)
