"""Frames and datasets into JSON and plain arrays, and back: what a file can hold without pickle.

A value with a type that JSON has not is an object with one key, its type: ``{"date": ...}``. An
array is a number: its place in a list of arrays, none of which has Python objects in it. Labels are
kept once each, with the array of their places.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hiermodels.errors import NotAvailableError

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "pack_dataset",
    "pack_frame",
    "pack_value",
    "unpack_dataset",
    "unpack_frame",
    "unpack_value",
]

type Array = np.ndarray
#: What JSON can say.
type Plain = Any

#: Kinds of NumPy arrays that stand in a file as they are: truth, whole, real, complex, times.
NUMERIC = "biufcmM"


def pack_value(value: Any, *, where: str) -> Plain:
    """A label, a number or an attribute as JSON."""
    if isinstance(value, np.generic):
        value = value.item() if value.dtype.kind not in "mM" else pd.Timestamp(value)
    if value is None or isinstance(value, bool | str | int):
        return value
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, float):
        return value if math.isfinite(value) else {"number": repr(value)}
    if isinstance(value, pd.Timestamp | datetime.datetime):
        return {"time": value.isoformat()}
    if isinstance(value, datetime.date):
        return {"date": value.isoformat()}
    if isinstance(value, tuple | list | np.ndarray):
        return {"list": [pack_value(v, where=where) for v in value]}
    if isinstance(value, pd.Interval):
        ends = [pack_value(v, where=where) for v in (value.left, value.right)]
        return {"interval": [*ends, value.closed]}
    if isinstance(value, pd.Period):
        return {"period": [str(value), value.freqstr]}
    raise NotAvailableError(
        f"{where} has a {type(value).__name__}, {value!r}, which a file of a fit cannot hold. "
        "Make text or numbers of it before the fit."
    )


def unpack_value(plain: Plain) -> Any:
    if not isinstance(plain, dict):
        return plain
    ((kind, value),) = plain.items()
    if kind == "number":
        return float(value)
    if kind == "time":
        return pd.Timestamp(value)
    if kind == "date":
        return datetime.date.fromisoformat(value)
    if kind == "interval":
        left, right, closed = value
        return pd.Interval(unpack_value(left), unpack_value(right), closed=closed)
    if kind == "period":
        return pd.Period(value[0], freq=value[1])
    if kind == "list":
        return [unpack_value(v) for v in value]
    raise ValueError(f"a value of kind {kind!r}")


def keep(array: Array, arrays: list[Array]) -> int:
    arrays.append(array)
    return len(arrays) - 1


def pack_labels(values: Any, arrays: list[Array], *, where: str) -> Plain:
    """Labels of any type: each once, and which of them stands where; none is -1."""
    codes, labels = pd.factorize(np.asarray(values, dtype=object), use_na_sentinel=True)
    return {
        "codes": keep(codes.astype(np.int32), arrays),
        "labels": [pack_value(v, where=where) for v in labels],
    }


def unpack_labels(plain: Plain, arrays: Sequence[Array]) -> Array:
    labels = np.empty(len(plain["labels"]) + 1, dtype=object)
    labels[:] = [*map(unpack_value, plain["labels"]), None]
    return labels[arrays[plain["codes"]]]


def pack_column(column: pd.Series | pd.Index, arrays: list[Array], *, where: str) -> Plain:
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        codes = pd.Series(column).cat.codes.to_numpy()
        return {
            "kind": "categories",
            "codes": keep(codes, arrays),
            "categories": pack_column(pd.Index(dtype.categories), arrays, where=where),
            "ordered": bool(dtype.ordered),
        }
    if isinstance(dtype, np.dtype) and dtype.kind in NUMERIC:
        return {"kind": "numbers", "values": keep(column.to_numpy(), arrays)}
    return {"kind": "labels", "dtype": str(dtype), **pack_labels(column, arrays, where=where)}


def unpack_column(plain: Plain, arrays: Sequence[Array]) -> pd.Series:
    if plain["kind"] == "numbers":
        return pd.Series(arrays[plain["values"]])
    if plain["kind"] == "categories":
        categories = pd.Index(unpack_column(plain["categories"], arrays))
        dtype = pd.CategoricalDtype(categories, ordered=plain["ordered"])
        return pd.Series(pd.Categorical.from_codes(arrays[plain["codes"]], dtype=dtype))
    values = pd.Series(unpack_labels(plain, arrays), dtype=object)
    try:
        return values.astype(plain["dtype"])
    except (TypeError, ValueError):  # a dtype of a library that is not here
        return values.infer_objects()


def pack_frame(frame: pd.DataFrame, arrays: list[Array]) -> Plain:
    """The columns and the row labels of a frame; its arrays are added to ``arrays``."""
    return {
        "columns": [
            {
                "name": str(name),
                **pack_column(frame[name], arrays, where=f"the column {str(name)!r}"),
            }
            for name in frame.columns
        ],
        "index": pack_index(frame.index, arrays),
    }


def pack_index(index: pd.Index, arrays: list[Array]) -> Plain:
    where = "the row labels"
    if isinstance(index, pd.RangeIndex):
        return {
            "range": [index.start, index.stop, index.step],
            "names": [pack_value(index.name, where=where)],
        }
    parts = [index.get_level_values(k) for k in range(index.nlevels)]
    return {
        "parts": [pack_column(part, arrays, where=where) for part in parts],
        "names": [pack_value(name, where=where) for name in index.names],
    }


def unpack_index(plain: Plain, arrays: Sequence[Array]) -> pd.Index:
    names = [unpack_value(name) for name in plain["names"]]
    if "range" in plain:
        return pd.RangeIndex(*plain["range"], name=names[0])
    parts = [pd.Index(unpack_column(part, arrays)) for part in plain["parts"]]
    if len(parts) == 1:
        return parts[0].rename(names[0])
    return pd.MultiIndex.from_arrays(parts, names=names)


def unpack_frame(plain: Plain, arrays: Sequence[Array]) -> pd.DataFrame:
    """The frame of `pack_frame`."""
    columns = {c["name"]: unpack_column(c, arrays) for c in plain["columns"]}
    frame = pd.DataFrame(columns)
    return frame.set_axis(unpack_index(plain["index"], arrays), axis="index")


def pack_dataset(dataset: xr.Dataset, arrays: list[Array]) -> Plain:
    """The variables, coordinates and attributes of a dataset."""

    def packed(names: Any) -> list[Plain]:
        return [pack_variable(str(n), dataset[n], arrays) for n in names]

    return {
        "variables": packed(dataset.data_vars),
        "coordinates": packed(dataset.coords),
        "attributes": pack_attributes(dataset.attrs),
    }


def pack_attributes(attributes: Any) -> Plain:
    return [
        [str(k), pack_value(v, where=f"the attribute {str(k)!r}")] for k, v in attributes.items()
    ]


def pack_variable(name: str, variable: xr.DataArray, arrays: list[Array]) -> Plain:
    values = variable.to_numpy()
    found: dict[str, Plain] = {"name": name, "dims": [str(d) for d in variable.dims]}
    if values.dtype.kind in NUMERIC:
        return found | {"values": keep(values, arrays)}
    labels = pack_labels(values.ravel(), arrays, where=f"the variable {name!r}")
    return found | {"shape": list(values.shape), "dtype": values.dtype.str, **labels}


def unpack_variable(plain: Plain, arrays: Sequence[Array]) -> tuple[tuple[str, ...], Array]:
    if "values" in plain:
        return tuple(plain["dims"]), arrays[plain["values"]]
    values = unpack_labels(plain, arrays).reshape(plain["shape"])
    texts = plain["dtype"].startswith(("<U", ">U"))
    return tuple(plain["dims"]), values.astype(plain["dtype"]) if texts else values


def unpack_dataset(plain: Plain, arrays: Sequence[Array]) -> xr.Dataset:
    """The dataset of `pack_dataset`."""
    import xarray as xr

    return xr.Dataset(
        {v["name"]: unpack_variable(v, arrays) for v in plain["variables"]},
        coords={v["name"]: unpack_variable(v, arrays) for v in plain["coordinates"]},
        attrs={name: unpack_value(value) for name, value in plain["attributes"]},
    )
