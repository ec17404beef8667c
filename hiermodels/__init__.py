"""Bayesian hierarchical models: the whole posterior, and the variance report.

    import hiermodels as hm
    fit = hm.fit("y ~ x + (x | site)", hm.load_dataset("sites"))
    fit.variance_table()

Names are loaded when they are first used, so that importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hiermodels import exercise as exercise
    from hiermodels import play as play
    from hiermodels.bridge import from_bambi
    from hiermodels.building import build_up
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
    from hiermodels.squeezing import squeeze_sensitivity
    from hiermodels.workflows import compare, pooling

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
    "build_up": "building",
    "compare": "workflows",
    "fit": "fitting",
    "from_bambi": "bridge",
    "list_datasets": "datasets",
    "load": "results",
    "load_dataset": "datasets",
    "pooling": "workflows",
    "squeeze": "families",
    "squeeze_sensitivity": "squeezing",
}


#: Modules that a user names whole: ``hm.exercise.check``, ``hm.play.shrinkage``.
MODULES = ("exercise", "play")


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return import_module(f"hiermodels.{name}")
    if name not in __all__:
        raise AttributeError(f"module 'hiermodels' has no attribute {name!r}")
    value = getattr(import_module(f"hiermodels.{HOME.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted((*__all__, *MODULES))
