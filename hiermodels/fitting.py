"""The pipeline: formula and data to design, priors, model, posterior and fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hiermodels.data import select_rows
from hiermodels.design import SE, WEIGHTS, Design, build_design, parameter_formulas
from hiermodels.engines import Choice, choose_engine, row_by_row
from hiermodels.errors import FormulaError, lookup
from hiermodels.exactness import check_not_exact
from hiermodels.families import family as find_family
from hiermodels.findings import Findings, warn_of
from hiermodels.formula import Formula, parse
from hiermodels.keywords import known_elsewhere
from hiermodels.nesting import find_nesting
from hiermodels.numbers.diagnostics import diagnose, warn_of_modes
from hiermodels.posterior import check_names, reported_names
from hiermodels.prior_predictive import prior_predictive
from hiermodels.priors import Priors, build_priors
from hiermodels.progress import tell
from hiermodels.response import check_gaps
from hiermodels.results import Fit
from hiermodels.sampling import (
    KEEPS,
    SamplerSettings,
    compile_pymc,
    sample_collapsed,
    sample_noncentred,
    sample_pymc,
    sample_rows,
)
from hiermodels.saving import versions_here
from hiermodels.seeds import Seed, as_seed

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr

    from hiermodels.labels.equations import Equations
    from hiermodels.labels.r_code import RCode
    from hiermodels.pictures.graphs import PlateDiagram

__all__ = ["Model", "fit"]

COMPILING = "Compiling the PyMC model: 10 to 20 s, two minutes for the first on a machine."


class Model:
    """A hierarchical model of data, before a draw is made.

    ``eta_i = offset_i + Intercept + x_i' beta + sum_g z_i' b_{g, level(i)}``

    Parameters
    ----------
    formula
        ``"y ~ x + (x | site)"``: common effects, and in bars the columns that differ between the
        levels of a grouping factor.
    data
        A pandas, polars or pyarrow table, or a dictionary of columns.
    family, link
        A key of `families.FAMILIES` or one of its aliases; ``link=None`` is its usual one. The
        response of ``"binomial"`` and ``"betabinomial"`` is ``successes / trials``; that of
        ``"ordinal"`` has whole numbers, or is an ordered ``pandas.Categorical``, which also says
        which categories there are beside those of the rows.
    dispersion, zi
        Formulas such as ``"~ x + (1 | site)"`` of the family's dispersion (sigma, alpha, phi) on
        the log scale, and of the probability of its zeros on the logit scale.
    priors
        By the name of a parameter, on the scale of the data: ``{"x": hm.Prior("Normal", mu=0,
        sigma=1), "sd_site": hm.Prior("Exponential", lam=1)}``.
    weights
        Frequencies: a row counts w times, its log-density is multiplied. Not lme4's weights, which
        divide the variance. A column's name, or values.
    se
        Known standard errors of the response, instead of sigma; ``"gaussian"`` and ``"student"``.
        A column's name, or values.
    missing
        ``"drop"`` fits the complete rows and warns with counts; ``"error"`` refuses.

    Raises
    ------
    FormulaError, DataError, PriorError
        Each says where, and what is possible.
    """

    @known_elsewhere
    def __init__(
        self,
        formula: str,
        data: Any,
        *,
        family: str = "gaussian",
        link: str | None = None,
        dispersion: str | None = None,
        zi: str | None = None,
        priors: Mapping[str, Any] | None = None,
        weights: Any = None,
        se: Any = None,
        missing: str = "drop",
    ) -> None:
        formula, data = in_order(formula, data)
        parsed, chosen = parse(formula), find_family(family, link=link)
        extras = parameter_formulas(chosen, dispersion=dispersion, zi=zi)
        extra = {
            WEIGHTS: given_once(parsed, "weights", weights, parsed.weights),
            SE: given_once(parsed, "se", se, parsed.se),
        }
        rows = select_rows(
            parsed,
            data,
            others=extras.values(),
            missing=missing,
            extra={name: v for name, v in extra.items() if v is not None},
        )
        self.design: Design = build_design(parsed, rows, chosen, extras=extras)
        check_names(self.design)
        if chosen.categories:
            check_gaps(parsed, rows.frame, self.design.categories or ())
        check_not_exact(self.design)
        self.priors: Priors = build_priors(self.design, priors)
        self._is_users = True

    @classmethod
    def of(cls, design: Design, priors: Priors) -> Model:
        """A model of a design that was made otherwise: what there is to say of it was said."""
        model = cls.__new__(cls)
        model.design, model.priors, model._is_users = design, priors, False
        return model

    @property
    def formula(self) -> Formula:
        return self.design.formula

    def __repr__(self) -> str:
        return f"{self.formula}\n{self.priors!r}"

    def _repr_html_(self) -> str:
        return self.equations().html() + self.priors._repr_html_()

    def to_pymc(self) -> pm.Model:
        """The model in PyMC: non-centred, named dims and coords, to be read, drawn and extended."""
        from hiermodels.model import build_pymc

        return build_pymc(self.design, self.priors)

    def graph(self, *, pymc: bool = False) -> PlateDiagram:
        """The plate diagram, in the words of the posterior; with ``pymc`` that of `to_pymc`.

        To see it outside a notebook, ``.render("model")``.
        """
        from hiermodels.pictures.graphs import plate_diagram, pymc_diagram

        return pymc_diagram(self.to_pymc()) if pymc else plate_diagram(self.design, self.priors)

    def equations(self, *, priors: bool = True) -> Equations:
        """The model in LaTeX, with its priors or without; a notebook shows it typeset."""
        from hiermodels.labels.equations import build_equations

        found = build_equations(self.design, self.priors)
        return found if priors else replace(found, priors=())

    def to_bambi(self) -> Any:
        """The same model in Bambi, with the same priors: a `bambi.Model`, ready to fit.

        `hm.from_bambi` brings its posterior back.

        Raises
        ------
        NotAvailableError
            What Bambi does not have: a correlated block, of which the nearest is named; weights;
            known standard errors; formulas of other parameters; some families.
        """
        from hiermodels.labels.bambi_model import build_bambi

        return build_bambi(self.design, self.priors)

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

    def nesting(self) -> Findings:
        """What may not be meant about the grouping: labels that recur, few levels, and more.

        Findings have counts and the term that repairs. Certain faults warn before every fit; the
        rest are notes of the summary.
        """
        return find_nesting(self.design)

    def prior_predictive(
        self, *, draws: int = 500, random_seed: Seed = None, rows: int = 2000
    ) -> xr.DataTree:
        """Draws from the priors, and of the response and the variances that they imply.

        Groups ``prior`` (the parameters), ``prior_predictive`` (the response, of at most ``rows``
        rows evenly spread), ``prior_variance`` (``variance`` of each component on the scale of the
        link, and ``icc`` where the model has a residual or latent error), ``observed_data``.
        Nothing is compiled.
        """
        return prior_predictive(
            self.design, self.priors, draws=draws, random_seed=random_seed, rows=rows
        )

    @cached_property
    def _compiled(self) -> Any:
        """Compiled once for all fits of this model."""
        return compile_pymc(self.to_pymc(), reported_names(self.design))

    @property
    def _is_compiled(self) -> bool:
        return "_compiled" in self.__dict__

    @known_elsewhere
    def fit(
        self,
        *,
        draws: int = 1000,
        tune: int | None = None,
        chains: int = 4,
        cores: int | None = None,
        random_seed: Seed = None,
        engine: str = "auto",
        keep: str = "auto",
        target_accept: float | None = None,
        progressbar: bool = True,
    ) -> Fit:
        """Sample the posterior with NUTS.

        ``engine`` is ``"auto"`` or a key of `engines.ENGINES`; ``tune=None`` and
        ``target_accept=None`` are the engine's own. ``keep`` is ``"draws"`` for every draw of
        every group effect (in single precision above 200 MB), ``"moments"`` for the means and sds
        of every level and a few draws, ``"auto"`` for draws up to 400 MB; every report works from
        either. The engine ``"collapsed"`` always has the moments, exact given the sds, correlations
        and sigma; those of the others are of all draws. An interrupt keeps the draws made so far.
        The same ``random_seed`` gives the same draws on the same machine: a whole number, a list of
        them, or a `numpy.random.Generator`; None takes a new one, which the summary tells.

        Where transitions diverge and no ``target_accept`` was given, the model is sampled once more
        with shorter steps; the summary has the figures of both tries.

        The search for the mode is repeated from draws of the prior and from a few of the rows. A
        further mode that is found gets chains of its own, and if these stay there `ModesWarning`
        says that the weights of the modes are not estimated.
        """
        choice = choose_engine(self.design, self.priors, engine)
        if self._is_users:
            warn_of(self.nesting())
        settings = SamplerSettings(
            draws=draws,
            tune=choice.engine.tune if tune is None else tune,
            chains=chains,
            cores=cores,
            random_seed=as_seed(random_seed),
            target_accept=choice.engine.target_accept if target_accept is None else target_accept,
            progressbar=progressbar,
        )
        idata = self._sample(choice, settings, keep=keep)
        if target_accept is None:
            idata = self._second_try(choice, settings, idata, keep=keep)
        idata["posterior"].attrs |= {
            "engine": choice.name,
            "engine_reason": choice.reason,
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": json.dumps(versions_here()),
        }
        fitted = Fit(design=self.design, priors=self.priors, idata=idata)
        if idata["posterior"].attrs.get("mode_of_chain"):
            warn_of_modes(fitted.diagnostics)
        return fitted

    def _second_try(
        self, choice: Choice, settings: SamplerSettings, first: xr.DataTree, *, keep: str
    ) -> xr.DataTree:
        """After divergences once more with shorter steps; of the two that with fewer of them."""
        before = first["posterior"].attrs
        if before["divergences"] == 0 or before["interrupted"]:
            return first
        shorter = replace(settings, target_accept=(1 + settings.target_accept) / 2)
        second = self._sample(choice, shorter, keep=keep)
        after = second["posterior"].attrs
        better = after["divergences"] < before["divergences"]
        # the words of `Diagnostics` begin with R-hat, effective draws and divergences
        figures = [diagnose(tree, self.design).words()[0] for tree in (first, second)]
        told = (
            f"Sampled twice: first at target_accept {settings.target_accept:g} ({figures[0]}), "
            f"then at {shorter.target_accept:g} ({figures[1]}); "
            f"these are the draws of the {'second' if better else 'first'} try."
        )
        kept = second if better else first
        kept["posterior"].attrs |= {"second_try": told}
        return kept

    def _sample(self, choice: Choice, settings: SamplerSettings, *, keep: str) -> xr.DataTree:
        lookup(keep, dict.fromkeys(KEEPS), what="keep")
        if choice.name == "collapsed":
            return sample_collapsed(self.design, self.priors, settings, keep=keep)
        if choice.name == "noncentred" and row_by_row(self.design):
            return sample_rows(self.design, self.priors, settings, keep=keep)
        if choice.name == "noncentred":
            return sample_noncentred(self.design, self.priors, settings, keep=keep)
        if not self._is_compiled:
            tell(COMPILING, progressbar=settings.progressbar)
        return sample_pymc(self._compiled, self.design, settings, keep=keep)


def in_order(formula: Any, data: Any) -> tuple[Any, Any]:
    """Formula and data, also where they are given the other way round."""
    return (data, formula) if isinstance(data, str) and "~" in data else (formula, data)


def given_once(formula: Formula, name: str, argument: Any, in_formula: str | None) -> Any:
    """The argument, or the column that ``y | name(column)`` names in its place."""
    if argument is not None and in_formula is not None:
        raise FormulaError(f"{name} stand in the formula ({in_formula}) and in {name}=: give one")
    return in_formula if argument is None else argument


@known_elsewhere
def fit(
    formula: str,
    data: Any,
    *,
    family: str = "gaussian",
    link: str | None = None,
    dispersion: str | None = None,
    zi: str | None = None,
    priors: Mapping[str, Any] | None = None,
    weights: Any = None,
    se: Any = None,
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    random_seed: Seed = None,
    engine: str = "auto",
    keep: str = "auto",
    target_accept: float | None = None,
    missing: str = "drop",
    progressbar: bool = True,
) -> Fit:
    """Fit a hierarchical model: ``hm.fit("y ~ x + (x | site)", data)``.

    The arguments are those of `Model` and of `Model.fit`.
    """
    model = Model(
        formula,
        data,
        family=family,
        link=link,
        dispersion=dispersion,
        zi=zi,
        priors=priors,
        weights=weights,
        se=se,
        missing=missing,
    )
    return model.fit(
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        random_seed=random_seed,
        engine=engine,
        keep=keep,
        target_accept=target_accept,
        progressbar=progressbar,
    )
