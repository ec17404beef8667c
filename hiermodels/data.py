"""A user's table into the rows that the model uses.

Other tables than those of pandas come in through narwhals. Only the columns of the formula are
taken; rows that miss a value are dropped and counted; the labels of the rows survive as the index.
"""

from __future__ import annotations

import math
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from hiermodels.errors import DataError, MissingDataWarning, counted, some_rows
from hiermodels.formula import Formula
from hiermodels.kinds import dates_as_text, not_numbers, numbers_in
from hiermodels.levels import as_labels, check_exact, coded, is_text
from hiermodels.roles import Roles, find_roles
from hiermodels.text_numbers import MINUSES, TextNumbers, find_text_numbers

__all__ = ["MISSING", "Rows", "as_category", "has_text", "select_rows", "text_numbers"]

#: What ``missing=`` can say.
MISSING = ("drop", "error")
#: From so many levels on, text that has more of them than this share of the rows is no predictor.
FEW, NEARLY = 6, 0.8
PACKAGE = os.path.dirname(__file__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """The rows and columns that the model uses. Made here, read by `design`.

    ``missing`` counts the missing values per column, ``n_dropped`` the rows that they cost.
    ``sources`` has the user's name of each further column, where it was given as a name.
    """

    frame: pd.DataFrame
    missing: dict[str, int]
    n_dropped: int
    sources: Mapping[str, str] = field(default_factory=dict)


def to_pandas(data: Any, columns: Iterable[str] | None = None) -> pd.DataFrame:
    """The table as pandas, with only these columns; pandas itself keeps its index."""
    if isinstance(data, Mapping):
        data = from_mapping(data)
    if not isinstance(data, pd.DataFrame):
        return other_to_pandas(data, columns)
    if not all(isinstance(name, str) for name in data.columns):  # 2024 is `2024` in a formula
        data = data.set_axis([str(name) for name in data.columns], axis=1)
    if columns is None:
        return pd.DataFrame(data)
    chosen = list(columns)
    check_unique(name for name in data.columns if name in chosen)
    return data[chosen]


def from_mapping(data: Mapping[Any, Any]) -> pd.DataFrame:
    """A dictionary of columns, all with a value for each row."""
    columns = {name: v for name, v in data.items() if not isinstance(v, str | bytes)}
    lengths = {name: len(v) for name, v in columns.items() if hasattr(v, "__len__")}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name!r} has {n}" for name, n in lengths.items())
        raise DataError(f"the columns have different numbers of values: {told}. Give one a row.")
    deep = [name for name, v in data.items() if getattr(v, "ndim", 1) > 1]
    if deep:
        raise DataError(f"{deep[0]!r} has shape {data[deep[0]].shape}: a column has one dimension.")
    if data and not any(hasattr(v, "__iter__") for v in columns.values()):
        raise DataError(
            f"{next(iter(data))!r} is one value, not a column. Give a list of the values of the "
            "rows, {'x': [1, 2]}."
        )
    return pd.DataFrame(dict(data))


def other_to_pandas(data: Any, columns: Iterable[str] | None) -> pd.DataFrame:
    frame = narwhals_frame(data)
    if hasattr(frame, "collect"):
        frame = frame.collect()
    chosen = frame if columns is None else frame.select(list(columns))
    made = pd.DataFrame(chosen.to_pandas())
    for name, dtype in chosen.schema.items():
        if dtype.is_integer() and pd.api.types.is_float_dtype(made[name].dtype):
            made[name] = whole_numbers(chosen[name], unsigned=dtype.is_unsigned_integer())
    return made.assign(**{str(name): numbers_again(made[name]) for name in made.columns})


def whole_numbers(column: Any, *, unsigned: bool) -> pd.arrays.IntegerArray:
    """Whole numbers with gaps as such: as floats, those beyond 2^53 would become others."""
    values = column.fill_null(0).to_numpy().astype("uint64" if unsigned else "int64")
    return pd.arrays.IntegerArray(values, column.is_null().to_numpy().astype(bool))


def narwhals_frame(data: Any) -> Any:
    import narwhals.stable.v2 as nw  # slow to import

    try:
        return nw.from_native(data)
    except TypeError:
        raise DataError(
            f"data is a {type(data).__name__}; give a pandas, polars or pyarrow table, "
            "or a dictionary of columns. A file is read with pandas.read_csv first."
        ) from None


def check_unique(names: Iterable[str]) -> None:
    twice = [repr(name) for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"more than one column is called {', '.join(twice)}: it is not clear which is meant. "
            "Rename or leave out all but one."
        )


def column_names(data: Any) -> list[str]:
    if isinstance(data, (Mapping, pd.DataFrame)):
        return [str(name) for name in data]
    return list(narwhals_frame(data).collect_schema().names())


def select_rows(
    formula: Formula,
    data: Any,
    *,
    others: Iterable[Formula] = (),
    missing: str = "drop",
    extra: Mapping[str, Any] | None = None,
) -> Rows:
    """The complete rows of the columns that the formula uses, and ``others`` with it.

    ``extra`` are further columns by the name they shall have (weights, standard errors), given as
    the name of a column or as an array with one value for each row.

    Raises
    ------
    FormulaError
        A name that is no column, underlined in the formula.
    DataError
        Infinite values, or nothing left.
    """
    if missing not in MISSING:
        raise DataError(f"missing={missing!r}; valid: {', '.join(map(repr, MISSING))}.")
    valid = column_names(data)
    formulas = (formula, *others)
    for each in formulas:
        for name in each.columns:
            if name.name not in valid:
                raise each.unknown_column(name, valid)
    frame = to_pandas(data, dict.fromkeys(c for each in formulas for c in each.column_names))
    for column, value in (extra or {}).items():
        frame[column] = extra_column(column, value, data, valid, len(frame))
    if frame.empty:
        raise DataError("the data have no rows")
    sources = {name: value for name, value in (extra or {}).items() if isinstance(value, str)}
    roles = find_roles(formulas)
    check_numbers(frame, roles, sources, extra or ())
    response = formula.response.strip("`")
    for column in roles.labels:
        check_exact(frame[column], column)
    plain = converted(frame, plain_dtype, declared=response)
    for each in formulas:
        for text in (each.common, *(term.terms for term in each.groups)):
            check_kinds(each, text, plain)
    rows = complete(plain, missing=missing, declared=response)
    check_many_levels(rows.frame, roles)
    return replace(rows, frame=labelled(rows.frame, roles), sources=sources)


def labelled(frame: pd.DataFrame, roles: Roles) -> pd.DataFrame:
    """Grouping factors as labels, and text as categories, sorted as people sort.

    What stands on the left of the formula alone stays as it is: the order of a response is not that
    of its words.
    """
    changed = {name: as_labels(frame[name]) for name in frame.columns if name in roles.labels}
    changed |= {
        name: coded(frame[name])
        for name in frame.columns
        if name in roles.predictors | roles.categories
        and name not in roles.labels
        and is_text(frame[name])
    }
    return frame.assign(**changed) if changed else frame


def has_text(column: pd.Series) -> bool:
    """Whether values are text, all or some; categories are what they are."""
    if isinstance(column.dtype, pd.CategoricalDtype) or is_plain(column):
        return False
    if column.dtype == object:
        return any(isinstance(value, str) for value in column)
    return bool(pd.api.types.is_string_dtype(column.dtype))


def text_numbers(
    column: pd.Series, *, decimal: str = ".", decimals_seen: bool = False
) -> tuple[TextNumbers, Any] | None:
    """What keeps a column of text from being numbers, and the label of the first such row."""
    if not has_text(column):
        return None
    counts = column.dropna().value_counts(sort=False)
    found = find_text_numbers(
        dict(zip(counts.index, counts.tolist(), strict=True)),
        decimal=decimal,
        decimals_seen=decimals_seen,
    )
    if found is None:
        return None
    return found, column.index[int(np.argmax((column == found.value).to_numpy()))]


def check_kinds(formula: Formula, text: str, frame: pd.DataFrame) -> None:
    """Refuse dates and the like where a number is meant; ``C(day)`` asks for labels."""
    for name in dict.fromkeys(numbers_in(text)):
        if name not in frame.columns or is_plain(frame[name]):
            continue
        if (found := not_numbers(frame[name])) is not None:
            what, repair = found
            told = f"column {name!r} holds {what} ({frame[name].dtype}); a formula takes numbers"
        elif "~" not in text and (text_dates := dates_as_text(frame[name])) is not None:
            count, repair = text_dates
            told = f"column {name!r} is text with {count} dates: each would have a coefficient"
        else:
            continue
        at = next((c for c in formula.columns if c.name == name), formula.columns[0])
        if "would" in told:
            repair += f"; or C({formula.text[at.start : at.stop]}) for a coefficient each"
        raise formula.error(told, start=at.start, stop=at.stop, repair=repair)


def check_numbers(
    frame: pd.DataFrame, roles: Roles, sources: Mapping[str, str], further: Iterable[str]
) -> None:
    """Refuse numbers that are text, for then each would be a category of its own."""
    own = {name: sources.get(name, name.strip("_")) for name in further}
    used = {str(name): str(name) for name in frame.columns if name in roles.values}
    for name, shown in (used | own).items():
        found = text_numbers(frame[name])
        if found and found[0].kind == "number" and name not in roles.predictors | set(own):
            continue  # the family says whether its response is of labels
        if found:
            raise DataError(why_text(shown, *found, labels=name in roles.predictors))


def why_text(name: str, found: TextNumbers, row: Any, *, labels: bool) -> str:
    """What is wrong, and the line of Python that repairs it."""
    column, value = f"data[{name!r}]", str(found.value).strip()
    more = f" (as {found.rows - 1} more do)" if found.rows > 1 else ""
    start = f"{name!r} is text that mostly reads as numbers, but row {row} has {value!r}{more}."
    if found.kind == "number":
        start = f"{name!r} is text that reads as numbers, such as {value!r} in row {row}."
    return f"{start} {repair(column, found, value)}" + (
        f" If the values are labels, write {as_category(name)} in the formula." if labels else ""
    )


def repair(column: str, found: TextNumbers, value: str) -> str:
    """The line of Python that makes numbers of such a column."""
    if found.kind == "number":
        return f"Make numbers of it: {column} = pandas.to_numeric({column})."
    if found.kind == "decimal":
        thousands = f", thousands={found.mark!r}" if found.mark else ""
        return f"Read the file with pandas.read_csv(..., decimal=','{thousands})."
    if found.kind == "thousands":
        return f"Read the file with pandas.read_csv(..., thousands={found.mark!r})."
    if found.kind == "either":
        return (
            f"Read the file with pandas.read_csv(..., thousands={found.mark!r}), or with "
            f"decimal={found.mark!r} where that is the decimal mark."
        )
    if found.kind == "minus":
        dash = next(c for c in value if c in MINUSES)
        return (
            f"That dash is no minus: {column} = "
            f"pandas.to_numeric({column}.str.replace({dash!r}, '-'))."
        )
    if found.kind == "unit":
        return (
            f"Take the unit off: {column} = "
            f"pandas.to_numeric({column}.str.replace({found.mark!r}, ''))."
        )
    absent = ", ".join(map(repr, found.absent[:3]))
    return (
        "Correct it, or, where it means missing, read the file with "
        f"pandas.read_csv(..., na_values=[{absent}])."
    )


def as_category(name: str) -> str:
    """``C(x)``, with backquotes around a name that needs them."""
    return f"C({name})" if name.isidentifier() else f"C(`{name}`)"


def check_many_levels(frame: pd.DataFrame, roles: Roles) -> None:
    """Refuse text as a predictor that is nearly another in each row."""
    for name in frame.columns:
        if name not in roles.predictors or name not in roles.values or not has_text(frame[name]):
            continue
        levels = frame[name].nunique()
        if levels >= FEW and levels > NEARLY * len(frame):
            raise DataError(
                f"the predictor {name!r} is text with {levels} different values in "
                f"{counted(len(frame), 'row')}, such as {frame[name].iloc[0]!r}: each would be a "
                "coefficient, and hardly one could be told from the noise. Leave it out, or "
                "take it as a grouping factor that has several rows in each level."
            )


def converted(
    frame: pd.DataFrame, convert: Callable[[pd.Series], pd.Series], *, declared: str = ""
) -> pd.DataFrame:
    """The frame with the columns that need it converted; the others are not copied.

    The categories of ``declared`` are left as they are, with their order or without: those of a
    response are possible without rows.
    """
    changed = {
        str(name): convert(frame[name])
        for name in frame.columns
        if not is_plain(frame[name])
        and not (name == declared and isinstance(frame[name].dtype, pd.CategoricalDtype))
    }
    return frame.assign(**changed) if changed else frame


def is_plain(column: pd.Series) -> bool:
    """NumPy's integers and float64, which need nothing."""
    return isinstance(column.dtype, np.dtype) and (
        column.dtype.kind in "iu" or column.dtype == np.float64
    )


def extra_column(name: str, value: Any, data: Any, valid: list[str], n: int) -> np.ndarray:
    """Weights and the like, from the name of a column or from values."""
    what = name.strip("_")
    if isinstance(value, str):
        if value not in valid:
            raise DataError(f"{what}={value!r} is no column. Columns: {', '.join(valid)}.")
        value = to_pandas(data, [value])[value]
    values = np.asarray(value)
    if values.shape != (n,):
        raise DataError(f"{what} has shape {values.shape}; it needs one value for each of {n} rows")
    return values


def read_type(column: pd.Series) -> pd.Series:
    """Arrow's dictionaries as categories, decimals and fractions as numbers."""
    if isinstance(column.dtype, pd.ArrowDtype):
        arrow = str(column.dtype.pyarrow_dtype)
        if arrow.startswith("dictionary"):
            values = column.array.__arrow_array__().unify_dictionaries().to_pandas()
            return numbers_again(pd.Series(values.array, index=column.index, name=column.name))
        if not arrow.startswith("decimal"):
            return column
        column = column.astype(object)
    return exact_numbers(column) if column.dtype == object else column


def numbers_again(column: pd.Series) -> pd.Series:
    """Fractional numbers that a dictionary only stores once each; others are categories."""
    categories = getattr(column.dtype, "categories", None)
    measured = categories is not None and categories.dtype.kind == "f"
    return column.astype("float64") if measured else column


def exact_numbers(column: pd.Series) -> pd.Series:
    """Decimals and fractions, as databases have them; whole ones keep all digits of an id."""
    missing = column.isna().to_numpy()
    present = column[~missing]
    exact = any(isinstance(v, Decimal | Fraction) for v in present)
    if not exact or not all(isinstance(v, Decimal | Real) for v in present):
        return column
    if all(math.isfinite(v) and v == int(v) for v in present):
        whole = pd.Series([None if pd.isna(v) else int(v) for v in column], dtype=object)
        return whole.set_axis(column.index).rename(column.name)
    return pd.Series(
        [np.nan if gone else float(v) for v, gone in zip(column, missing, strict=True)],
        index=column.index,
        name=column.name,
        dtype="float64",
    )


def plain_dtype(column: pd.Series) -> pd.Series:
    """Other floats as float64; categories that do not occur are gone."""
    column = read_type(column)
    if isinstance(column.dtype, pd.CategoricalDtype):
        # formulae sorts what is not ordered; the order of the user's categories is to be kept
        return column.cat.remove_unused_categories().cat.as_ordered()
    if column.dtype == object:
        return column.infer_objects()
    # a step of a slope, or a sum, has too few digits in less; integers can be labels
    return column.astype("float64") if column.dtype.kind == "f" else column


def complete(frame: pd.DataFrame, *, missing: str, declared: str = "") -> Rows:
    counts = {str(name): int(n) for name, n in frame.isna().sum().items() if n}
    told = ", ".join(f"{n} in {name.strip('_')!r}" for name, n in counts.items())
    kept = frame
    if counts and missing == "error":
        where = "; ".join(
            f"{name.strip('_')!r} in {some_rows(frame.index[frame[name].isna()])}"
            for name in counts
        )
        raise DataError(f"missing values: {where}. missing='drop' fits the complete rows.")
    if counts:
        kept = frame.dropna()
    if kept.empty:
        raise DataError(
            f"no complete row is left of {len(frame)}: missing values: {told}. "
            "Fill in or leave out a column that is mostly missing."
        )
    dropped = len(frame) - len(kept)
    if dropped:
        warnings.warn(
            f"{dropped} of {counted(len(frame), 'row')} dropped, missing values: {told}",
            MissingDataWarning,
            skip_file_prefixes=(PACKAGE,),
        )
    kept = converted(kept, to_numpy_dtype, declared=declared)
    for name in kept.columns:
        check_finite(kept[name], name)
    return Rows(frame=kept, missing=counts, n_dropped=dropped)


def to_numpy_dtype(column: pd.Series) -> pd.Series:
    """Nullable and Arrow numbers as NumPy's; everything else, as it is after losing rows."""
    column = read_type(column)
    types, dtype = pd.api.types, column.dtype
    if types.is_bool_dtype(dtype):
        return column if column.hasnans else column.astype(bool)
    if not (types.is_extension_array_dtype(dtype) and types.is_numeric_dtype(dtype)):
        return plain_dtype(column)
    whole = types.is_integer_dtype(dtype) and not column.hasnans
    unsigned = types.is_unsigned_integer_dtype(dtype)
    return column.astype(("uint64" if unsigned else "int64") if whole else "float64")


def check_finite(column: pd.Series, name: str) -> None:
    values = column.to_numpy()
    if not pd.api.types.is_float_dtype(column.dtype) or all_finite(values):
        return
    infinite = ~np.isfinite(values)
    if infinite.any():
        raise DataError(
            f"infinite values in {name.strip('_')!r}, {some_rows(column.index[infinite])}. "
            "Correct them, or make them missing."
        )


def all_finite(values: np.ndarray) -> bool:
    """Whether every number is finite, without a mask of the size of the numbers."""
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(np.isfinite(values.sum()))
