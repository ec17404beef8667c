"""Bayesian hierarchical models: the whole posterior, and the variance report.

    import hiermodels as hm
    fit = hm.fit("y ~ x + (x | site)", hm.load_dataset("sites"))
    fit.variance_table()

Names are loaded when they are first used, so that importing the package is quick.

The way of the data: `formula` and `data` -> `design` -> `priors` -> `model` or `density` ->
`sampling` -> `results`, strung together by `fitting`. A posterior becomes `numbers`, these become
`labels` (tables, sentences, equations, calls of R), these `pictures` and a `report`. `workflows`
need more than one fit; `teaching` and `command` are for the classroom and for the shell.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hiermodels.datasets import list_datasets, load_dataset
    from hiermodels.errors import (
        DataError,
        DatasetError,
        FormulaError,
        GroupingWarning,
        HierModelsError,
        HierModelsWarning,
        ImportanceWarning,
        MissingDataWarning,
        ModesWarning,
        NotAvailableError,
        PriorError,
        SamplingError,
        SavedFitError,
        SettingsError,
        UnknownNameError,
    )
    from hiermodels.families import squeeze
    from hiermodels.fitting import Model, fit
    from hiermodels.priors import Prior
    from hiermodels.results import Fit, load
    from hiermodels.teaching import exercise as exercise
    from hiermodels.teaching import play as play
    from hiermodels.workflows.bridge import from_bambi
    from hiermodels.workflows.building import build_up
    from hiermodels.workflows.pooling import compare, pooling
    from hiermodels.workflows.squeezing import squeeze_sensitivity

__version__ = "0.1.0.dev0"

__all__ = [
    "DataError",
    "DatasetError",
    "Fit",
    "FormulaError",
    "GroupingWarning",
    "HierModelsError",
    "HierModelsWarning",
    "ImportanceWarning",
    "MissingDataWarning",
    "Model",
    "ModesWarning",
    "NotAvailableError",
    "Prior",
    "PriorError",
    "SamplingError",
    "SavedFitError",
    "SettingsError",
    "UnknownNameError",
    "build_up",
    "compare",
    "fit",
    "from_bambi",
    "list_datasets",
    "load",
    "load_dataset",
    "pooling",
    "squeeze",
    "squeeze_sensitivity",
]

HOME = {
    "Fit": "results",
    "Model": "fitting",
    "Prior": "priors",
    "build_up": "workflows.building",
    "compare": "workflows.pooling",
    "fit": "fitting",
    "from_bambi": "workflows.bridge",
    "list_datasets": "datasets",
    "load": "results",
    "load_dataset": "datasets",
    "pooling": "workflows.pooling",
    "squeeze": "families",
    "squeeze_sensitivity": "workflows.squeezing",
}


#: Modules that a user names whole: ``hm.exercise.check``, ``hm.play.shrinkage``.
MODULES = {"exercise": "teaching.exercise", "play": "teaching.play"}


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return import_module(f"hiermodels.{MODULES[name]}")
    if name not in __all__:
        raise AttributeError(f"module 'hiermodels' has no attribute {name!r}")
    value = getattr(import_module(f"hiermodels.{HOME.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted((*__all__, *MODULES))
