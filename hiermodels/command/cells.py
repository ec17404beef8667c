"""The cells of a table: labels as they stand, what is missing, and numbers that are text."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hiermodels.command.sources import Source
from hiermodels.data import as_category, has_text, text_numbers
from hiermodels.errors import LINE, DataError, MissingDataWarning, counted
from hiermodels.roles import Roles
from hiermodels.text_numbers import TextNumbers, kind_of, to_number

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Marks",
    "Taken",
    "check_not_twice",
    "labels_of",
    "row_word",
    "tell_missing",
    "with_numbers",
    "without_missing",
]

#: What is missing if the user says nothing: what pandas and R write where nothing is.
USUAL_NA = (
    *("NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "<NA>"),
    *("#N/A", "#NA", "#N/A N/A", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
#: A float keeps fifteen digits.
DIGITS = 16
#: By column the texts that were taken as missing, and in how many rows.
type Taken = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """How a file is to be read. Made by `read_table`.

    ``na`` are the texts that mean missing, beside an empty cell; None for the usual ones.
    """

    encoding: str
    separator: str | None
    decimal: str
    thousands: str | None
    na: tuple[str, ...] | None

    @property
    def missing(self) -> tuple[str, ...]:
        return USUAL_NA if self.na is None else self.na


def row_word(frame: pd.DataFrame) -> str:
    """What a row of the frame is called: ``line`` where its index has those of the file."""
    return LINE if frame.index.name == LINE else "row"


def labels_of(column: pd.Series, *, label: bool) -> pd.Series:
    """Labels as they stand in the file; as whole numbers where that is what they are.

    ``01`` and ``1`` are two labels, ``1`` and ``2`` are numbers. Fractions that all differ are
    numbers, too, which a grouping factor refuses as measurements.
    """
    import pandas as pd

    codes, labels = pd.factorize(column)
    different = pd.Series(labels, dtype=column.dtype)
    if different.str.fullmatch(r"0|-?[1-9]\d{0,17}").all():
        # whole also where one is missing: as floats, labels of 17 digits would become equal
        whole = pd.array(different.astype("int64"), dtype="Int64")
        found = pd.Series(whole.take(codes, allow_fill=True), index=column.index)
        return found if (codes < 0).any() else found.astype("int64")
    plain = different.str.fullmatch(r"-?(0|[1-9]\d*)(\.\d*)?").all()
    if plain and different.str.len().max() < DIGITS:
        numbers = pd.to_numeric(different)
        if not label or numbers.is_unique:
            return pd.to_numeric(column)
    return column


# what is missing


def without_missing(frame: pd.DataFrame, absent: tuple[str, ...]) -> tuple[pd.DataFrame, Taken]:
    """The frame of a file with types without texts that mean missing, and what they were."""
    import pandas as pd

    taken: Taken = {}
    columns = []
    for k, name in enumerate(frame.columns):
        column = frame.iloc[:, k]
        gone = column.isin(["", *absent]) if has_text(column) else None
        if gone is not None and gone.any():
            counts = column[gone & (column != "")].value_counts()
            taken[str(name)] = {str(text): int(n) for text, n in counts.items()}
            column = column.mask(gone, None)
        columns.append(column)
    return (pd.concat(columns, axis=1) if columns else frame), taken


def tell_missing(taken: Taken, roles: Roles | None) -> None:
    """Say by column what was taken as missing, beside empty cells."""
    told = "; ".join(
        f"{text!r} in {counted(n, 'row')} of {name!r}"
        for name, counts in taken.items()
        for text, n in counts.items()
    )
    if not told:
        return
    hint = ""
    named = [name for name in taken if roles and name in roles.labels | roles.categories]
    if named and taken[named[0]]:
        hint = (
            f" If {next(iter(taken[named[0]]))!r} is a label, list with --na what is missing; "
            "--na '' for empty cells alone."
        )
    warnings.warn(f"taken as missing: {told}.{hint}", MissingDataWarning, stacklevel=3)


def check_not_twice(source: Source, frame: pd.DataFrame, used: list[str]) -> None:
    """Refuse a name that two columns have, where the model uses it."""
    names = [str(name) for name in frame.columns]
    twice = [repr(name) for name in used if names.count(name) > 1]
    if twice:
        raise DataError(
            f"{source.shown}: more than one column is called {', '.join(twice)}. "
            "Rename all but one in the header."
        )


# numbers that are text


def with_numbers(
    source: Source, frame: pd.DataFrame, marks: Marks, roles: Roles | None, *, taken: Taken
) -> pd.DataFrame:
    """The frame with text that is numbers as numbers; text that is nearly so is refused."""
    names = [str(name) for name in frame.columns]
    used = [n for n in names if names.count(n) == 1 and (roles is None or n in roles.values)]
    changed = {name: as_numbers(frame[name], marks) for name in used if has_text(frame[name])}
    frame = frame.assign(**{name: column for name, column in changed.items() if column is not None})
    point = example_of_decimals(source, frame, used, marks)
    for name in used:
        found = text_numbers(frame[name], decimal=marks.decimal, decimals_seen=point is not None)
        if found:
            check_first_row(source, frame, used, marks)
            raise DataError(why_text(source, frame, name, found, marks, roles, taken, point))
    return frame


def as_numbers(column: pd.Series, marks: Marks) -> pd.Series | None:
    """A column of text as numbers, if every value of it is one."""
    import pandas as pd

    values = {
        value: to_number(value, decimal=marks.decimal, thousands=marks.thousands)
        if isinstance(value, str)
        else value
        for value in column.dropna().unique()
    }
    if not values or any(number is None for number in values.values()):
        return None
    return pd.Series(pd.to_numeric(column.map(values)), index=column.index)


def example_of_decimals(
    source: Source, frame: pd.DataFrame, used: list[str], marks: Marks
) -> str | None:
    """A column of a text file that has numbers with the decimal mark."""
    if frame.index.name != LINE:
        return None
    for name in used:
        if frame[name].dtype.kind == "f":
            values = frame[name].dropna()
            if (values % 1 != 0).any():
                return name
    return None


def check_first_row(source: Source, frame: pd.DataFrame, used: list[str], marks: Marks) -> None:
    """Refuse a second line of the header: units below names."""
    first = {}
    for name in used:
        value = frame[name].iloc[0]
        if isinstance(value, str) and kind_of(value, marks.decimal) in ("text", "absent"):
            found = text_numbers(frame[name], decimal=marks.decimal)
            if found and found[0].rows == 1:
                first[name] = value.strip()
    if any(kind_of(value, marks.decimal) == "text" for value in first.values()):
        told = ", ".join(f"{value!r} in {name!r}" for name, value in first.items())
        raise DataError(
            f"{source.shown}, {row_word(frame)} {frame.index[0]}: {told}, above numbers, looks "
            "like a row of units. Delete it, or write the units into the header."
        )


def why_text(
    source: Source,
    frame: pd.DataFrame,
    name: str,
    found: tuple[TextNumbers, Any],
    marks: Marks,
    roles: Roles | None,
    taken: Taken,
    point: str | None,
) -> str:
    """Where a column of numbers has something else, and the option that repairs it."""
    text, row = found
    value = str(text.value).strip()
    more = f" and {text.rows - 1} more" if text.rows > 1 else ""
    where = f"{source.shown}, {row_word(frame)} {row}{more}: {value!r} in {name!r}"
    if value == name:
        return f"{where} repeats the header. Delete that line."
    other = "," if marks.decimal == "." else "."
    if text.kind == "decimal":
        return f"{where} {other_decimal(frame, name, text, marks, point)}"
    if text.kind == "thousands":
        start = f"{where} has a mark between thousands. Give --thousands {text.mark!r}."
        slip = f" If {text.mark!r} stands for {marks.decimal!r} there, correct it."
        return start + (slip if 2 * text.rows < frame[name].count() else "")
    if text.kind == "either":
        plain, fraction = value.replace(text.mark, ""), value.replace(text.mark, marks.decimal)
        return (
            f"{where} can be {plain} or {fraction}. Give --thousands {text.mark!r} for "
            f"{plain}, or --decimal {other!r} for {fraction}."
        )
    labels = roles is None or name in roles.predictors
    end = f" If the values are labels, write {as_category(name)} in the formula." if labels else ""
    return f"{where} {why_not(text, taken)}{end}"


def other_decimal(
    frame: pd.DataFrame, name: str, found: TextNumbers, marks: Marks, point: str | None
) -> str:
    other = "," if marks.decimal == "." else "."
    words = {",": "comma", ".": "point"}
    if found.mark:  # as in 1.234,5 or 1.234.567
        return (
            f"has {found.mark!r} between thousands. "
            f"Give --thousands {found.mark!r} --decimal {other!r}."
        )
    mixed = name if has_decimal(frame[name], marks.decimal) else point
    if mixed is None:
        return f"has a decimal {words[other]}. Give --decimal {other!r}."
    return (
        f"has a decimal {words[other]}, but numbers of {mixed!r} have a decimal "
        f"{words[marks.decimal]}. Write all numbers of the file with the same mark."
    )


def has_decimal(column: pd.Series, decimal: str) -> bool:
    """Whether some of the values are plain numbers with the decimal mark."""
    return any(
        decimal in str(value) and kind_of(value, decimal) == "number"
        for value in column.dropna().unique()
    )


def why_not(found: TextNumbers, taken: Taken) -> str:
    """Why a value is no number, and what to do."""
    if found.kind == "minus":
        return "has a dash that is not the minus of a keyboard, U+002D. Replace it in the file."
    if found.kind == "unit":
        return f"has a unit, {found.mark!r}. Write numbers alone, and the unit into the header."
    # what was missing without the option stays so only if it is named
    usual = dict.fromkeys(text for counts in taken.values() for text in counts)
    texts = dict.fromkeys([*found.absent[:3], *usual])
    options = " ".join(f"--na {text!r}" for text in texts)
    start = (
        "is a bound, not a number. Write a number for it"
        if found.kind == "bound"
        else ("is no number, but the other values are. Correct it")
    )
    return f"{start}, or, where it means missing, give {options}."
