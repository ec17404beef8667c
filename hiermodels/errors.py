"""What can go wrong, as a tree: each class is also the built-in that a user would catch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

__all__ = [
    "DataError",
    "DatasetError",
    "FormulaError",
    "GroupingWarning",
    "HierModelsError",
    "HierModelsWarning",
    "ImportanceWarning",
    "MissingDataWarning",
    "ModesWarning",
    "NotAvailableError",
    "PriorError",
    "SamplingError",
    "SavedFitError",
    "SettingsError",
    "UnknownNameError",
]

#: Labels of rows that a message lists.
SHOWN = 5


class HierModelsError(Exception):
    """Everything that hiermodels raises on purpose."""


class FormulaError(HierModelsError, ValueError):
    """The formula cannot be read, or names something that the data do not have."""


class DataError(HierModelsError, ValueError):
    """The data do not fit the model."""


class PriorError(HierModelsError, ValueError):
    """A prior that names nothing in the model, or that its parameter cannot have."""


class UnknownNameError(HierModelsError, LookupError):
    """A name that is not among the valid ones."""


class DatasetError(UnknownNameError):
    """A data set that is neither shipped nor to be had."""


class SamplingError(HierModelsError, RuntimeError):
    """The sampler could not start, or made no draw."""


class SavedFitError(HierModelsError, ValueError):
    """A file that is no saved fit, is damaged, or is of a newer version."""


class SettingsError(HierModelsError, ValueError):
    """A file of settings, or an option of the command line, that cannot be read."""


class NotAvailableError(HierModelsError, NotImplementedError):
    """Something that has no answer for this model, or that is not built yet."""


class HierModelsWarning(UserWarning):
    """Everything that hiermodels warns of."""


class GroupingWarning(HierModelsWarning):
    """A fault of the grouping factors that no sampler can repair."""


class ImportanceWarning(HierModelsWarning):
    """Importance sampling has too few effective draws for some of what is left out."""


class MissingDataWarning(HierModelsWarning):
    """Rows were dropped because they miss a value."""


class ModesWarning(HierModelsWarning):
    """The posterior has several modes, and the chains do not go between them."""


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """``" Did you mean 'subject'?"``, or nothing when no valid name is near."""
    near = get_close_matches(name, [str(v) for v in valid], n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


def lookup[T](name: str, table: dict[str, T], *, what: str) -> T:
    """The entry of a registry, or an error that lists the valid names."""
    try:
        return table[name]
    except (KeyError, TypeError):
        valid = ", ".join(sorted(table))
        raise UnknownNameError(
            f"no {what} {name!r}. Valid: {valid}.{did_you_mean(str(name), table)}"
        ) from None


def some_rows(labels: Sequence[Any]) -> str:
    """``rows 3, 8, 11, 20, 31 and 4 more``."""
    shown = ", ".join(str(label) for label in labels[:SHOWN])
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    return f"row{'s' if len(labels) > 1 else ''} {shown}{more}"


def counted(n: int, what: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def underline(text: str, start: int, stop: int) -> str:
    """The text, and below it carets under ``text[start:stop]``, both indented by four."""
    return f"    {text}\n    {' ' * start}{'^' * max(1, stop - start)}"
