"""A fit into one file and back, without pickle: a zip archive of one JSON text and plain arrays.

    fit.json            format, versions, formulas, family, priors, the rows, where each array is
    arrays/0.npy, ...   the arrays in NumPy's own format, without Python objects

The design is not written but made again from its formula and rows when the file is read, which
brings back all that predictions of new rows need; levels, centres and scales are written beside it
and must come out the same. Priors are written as they were, whatever the defaults become. So a file
can be read by every later version of the package, and nothing in it is ever run.
"""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hiermodels.data import Rows
from hiermodels.design import Design, Predictor, build_design
from hiermodels.errors import HierModelsError, NotAvailableError, SavedFitError, did_you_mean
from hiermodels.families import family as find_family
from hiermodels.files import replacing
from hiermodels.formula import Formula, parse, parse_predictor
from hiermodels.packing import (
    pack_dataset,
    pack_frame,
    pack_value,
    unpack_dataset,
    unpack_frame,
    unpack_value,
)
from hiermodels.posterior import with_keys
from hiermodels.priors import ParameterPrior, PredictorPriors, Prior, Priors

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT_VERSION", "read_fit", "versions_here", "write_fit", "write_netcdf"]

type Array = np.ndarray
type Plain = Any

FORMAT = "hiermodels fit"
#: Counted up when an older version could no longer read what is written.
FORMAT_VERSION = 1
CONTENT, ARRAYS = "fit.json", "arrays/{}.npy"
#: Every file in an archive has the same date, so that equal fits make equal files.
DATE = (1980, 1, 1, 0, 0, 0)
#: Groups of the posterior that are made anew when they are asked for.
REMADE = ("log_likelihood",)
#: What is told of the place where a fit was made.
PACKAGES = ("numpy", "scipy", "pandas", "formulae", "numba", "nutpie", "pymc")
ROUNDING = 1e-9


def versions_here() -> dict[str, str]:
    """Python, the machine, and the packages that numbers depend on."""
    from importlib.metadata import PackageNotFoundError, version

    from hiermodels import __version__

    found = {"python": platform.python_version(), "machine": machine(), "hiermodels": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # nothing of it was used then
            continue
    return found


def machine() -> str:
    return f"{platform.system()} {platform.machine()}"


def write_fit(path: str | Path, design: Design, priors: Priors, tree: xr.DataTree) -> Path:
    """Write the model, its rows and its posterior to one file, which `read_fit` reads.

    The file is complete or is not there: it is written beside its place and then put into it.

    Raises
    ------
    NotAvailableError
        A design that is not that of its formula, as the fixed-effect fits of `pooling`; a label of
        a type that the file cannot hold.
    FileError
        A place that cannot be written; the fit is as it was.
    """
    arrays: list[Array] = []
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions_here(),
        "model": pack_model(design),
        "priors": pack_priors(priors),
        "rows": pack_rows(design.rows, arrays),
        "tree": {
            str(name): pack_dataset(node.to_dataset(), arrays)
            for name, node in tree.children.items()
            if name not in REMADE
        },
    }
    check_remakes(design, content["model"])
    target = Path(path)
    with replacing(target) as place:
        write_archive(place, content, arrays)
    return target


def write_netcdf(target: Path, tree: xr.DataTree) -> Path:
    """Write a tree as netCDF, complete or not at all; errors are those of `write_fit`."""
    with replacing(target) as place, netcdf_place(place) as written:
        try:
            tree.to_netcdf(written, engine="netcdf4")
        except RuntimeError as error:  # HDF5's, as of a full disk
            raise OSError(str(error)) from error
    return target


@contextmanager
def netcdf_place(place: Path) -> Iterator[Path]:
    """A path that netCDF can write to: it takes a backslash for a slash, on any system."""
    if os.sep == "\\" or "\\" not in str(place.absolute()):
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="hiermodels-") as folder:
        written = Path(folder) / "posterior.nc"
        yield written
        shutil.copyfile(written, place)


def write_archive(place: Path, content: Plain, arrays: Sequence[Array]) -> None:
    with zipfile.ZipFile(place, "w", allowZip64=True) as archive:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        archive.writestr(member(CONTENT, packed=True), text.encode("utf-8"))
        for k, array in enumerate(arrays):
            # digits of draws are random, and packing them only takes time
            info = member(ARRAYS.format(k), packed=array.dtype.kind != "f")
            with archive.open(info, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)


def member(name: str, *, packed: bool) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=DATE)
    info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    return info


def read_fit(path: str | Path) -> tuple[Design, Priors, xr.DataTree]:
    """The model, its priors and its posterior from a file of `write_fit`.

    Raises
    ------
    SavedFitError
        No such file; a file of something else; damaged; of a newer version; or of a version that
        read the formula otherwise.
    """
    target = Path(path)
    content, arrays = read_archive(target)
    try:
        return unpack_fit(content, arrays, target)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, SavedFitError):
            raise
        why = f"{type(error).__name__}: {error}"
        raise damaged(target, f"its content does not fit together ({why})") from error


def read_archive(target: Path) -> tuple[Plain, list[Array]]:
    """The JSON text, checked for its format, and the arrays."""
    check_is_archive(target)
    try:
        with zipfile.ZipFile(target) as archive:
            names = archive.namelist()
            if CONTENT not in names:
                raise foreign(target, "a zip archive of something else")
            content = json.loads(archive.read(CONTENT))
            check_format(content, target)
            count = sum(name.startswith("arrays/") for name in names)
            return content, [read_array(archive, ARRAYS.format(k)) for k in range(count)]
    except (zipfile.BadZipFile, EOFError, KeyError, ValueError, OSError) as error:
        if isinstance(error, SavedFitError):
            raise
        raise damaged(target, str(error)) from error


def read_array(archive: zipfile.ZipFile, name: str) -> Array:
    return np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)


def check_is_archive(target: Path) -> None:
    try:
        with target.open("rb") as file:
            start = file.read(4)
    except FileNotFoundError:
        raise SavedFitError(f"no file {str(target)!r}.{similar_file(target)}") from None
    except IsADirectoryError:
        raise SavedFitError(f"{str(target)!r} is a folder; name the file of a fit in it") from None
    except OSError as error:
        raise SavedFitError(f"cannot read {str(target)!r}: {error.strerror or error}") from None
    if not start:
        raise damaged(target, "it is empty")
    if not start.startswith(b"PK"):
        raise foreign(target, KINDS.get(start, "no archive"))
    if not zipfile.is_zipfile(target):
        raise damaged(target, "its end is missing, as after a copy that broke off")


#: How other files that hold fits begin.
KINDS = {
    b"\x89HDF": "netCDF, as of fit.save_posterior: xarray.open_datatree reads it",
    b"CDF\x01": "netCDF: xarray reads it",
    b"CDF\x02": "netCDF: xarray reads it",
    b"\x1f\x8b\x08\x00": "compressed by gzip, perhaps R's",
}


def similar_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f" There is no folder {str(path.parent)!r} either."
    return did_you_mean(path.name, [p.name for p in path.parent.iterdir() if p.is_file()])


def foreign(target: Path, what: str) -> SavedFitError:
    return SavedFitError(
        f"{str(target)!r} is not a saved fit; it is {what}. A saved fit is what "
        "fit.save(path) wrote."
    )


def damaged(target: Path, why: str) -> SavedFitError:
    return SavedFitError(
        f"{str(target)!r} is damaged: {why}. Copy it again, or fit and save again."
    )


def check_format(content: Plain, target: Path) -> None:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise foreign(target, "a zip archive of something else")
    version = content.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise damaged(target, f"its format version is {version!r}")
    if version > FORMAT_VERSION:
        from hiermodels import __version__

        written = content.get("versions", {}).get("hiermodels", "a newer version")
        raise SavedFitError(
            f"{str(target)!r} was written by hiermodels {written} in format {version}; this is "
            f"hiermodels {__version__}, which reads formats up to {FORMAT_VERSION}. "
            "Upgrade it: pip install --upgrade hiermodels"
        )


def unpack_fit(
    content: Plain, arrays: Sequence[Array], target: Path
) -> tuple[Design, Priors, xr.DataTree]:
    import xarray as xr

    design = remade(content["model"], unpack_rows(content["rows"], arrays))
    if differs := difference(content["model"], pack_model(design)):
        written = content["versions"].get("hiermodels")
        raise SavedFitError(
            f"{str(target)!r} was written by hiermodels {written}, whose {differs} of "
            f"{design.formula} is not the one that is made here. Its draws are safe: "
            "install that version, with formulae "
            f"{content['versions'].get('formulae')}, and load it there."
        )
    tree = xr.DataTree.from_dict(
        {
            name: with_keys(design, unpack_dataset(group, arrays))
            for name, group in content["tree"].items()
        }
    )
    return design, unpack_priors(content["priors"]), tree


# --- the model ------------------------------------------------------------------------------------


def pack_model(design: Design) -> Plain:
    """The formulas and the family, and what must come out of them again."""
    return {
        "formula": pack_formula(design.formula),
        "family": design.family.name,
        "link": design.family.link,
        "extras": {name: pack_formula(p.formula) for name, p in design.extras.items()},
        "response": design.response_name,
        "rows": design.n,
        "predictors": {p.parameter: pack_predictor(p) for p in design.predictors},
    }


def pack_formula(formula: Formula) -> Plain:
    return {"text": formula.text, "correlated": [g.correlated for g in formula.groups]}


def unpack_formula(plain: Plain, *, response: bool) -> Formula:
    """A formula whose bars are correlated as they were: Bambi's never are."""
    formula = parse(plain["text"]) if response else parse_predictor(plain["text"])
    groups = zip(formula.groups, plain["correlated"], strict=True)
    return replace(formula, groups=tuple(replace(g, correlated=c) for g, c in groups))


def pack_predictor(predictor: Predictor) -> Plain:
    return {
        "intercept": predictor.intercept,
        "terms": list(predictor.terms),
        "center": predictor.common.center.tolist(),
        "scale": predictor.common.scale.tolist(),
        "offset": float(np.mean(predictor.offset)),
        "blocks": [
            {
                "factor": list(block.factor),
                "terms": list(block.terms),
                "levels": [pack_value(v, where=f"the factor {block.name!r}") for v in block.levels],
                "parts": [list(part) for part in block.parts],
                "center": block.columns.center.tolist(),
                "scale": block.columns.scale.tolist(),
            }
            for block in predictor.blocks
        ],
    }


def remade(model: Plain, rows: Rows) -> Design:
    """The design of the formulas and the rows."""
    return build_design(
        unpack_formula(model["formula"], response=True),
        rows,
        find_family(model["family"], link=model["link"]),
        extras={
            name: unpack_formula(plain, response=False) for name, plain in model["extras"].items()
        },
    )


def check_remakes(design: Design, model: Plain) -> None:
    """Refuse a design that its formula does not make, such as a fixed-effect fit of `pooling`."""
    try:
        found = pack_model(remade(model, design.rows))
    except HierModelsError as error:
        raise NotAvailableError(f"this fit cannot be saved: {error}") from error
    if differs := difference(model, found):
        raise NotAvailableError(
            f"this fit cannot be saved: its {differs} is not that of its formula "
            f"{design.formula}. Fits that hm.fit made can be."
        )


def difference(written: Plain, made: Plain, where: str = "design") -> str:
    """Where two descriptions differ beyond rounding, in words; nothing where they do not."""
    if isinstance(written, Mapping) and isinstance(made, Mapping):
        if set(written) != set(made):
            return where
        parts = (difference(v, made[k], k or "the mean") for k, v in written.items())
        return next((found for found in parts if found), "")
    if isinstance(written, list) and isinstance(made, list):
        if len(written) != len(made):
            return where
        parts = (difference(a, b, where) for a, b in zip(written, made, strict=True))
        return next((found for found in parts if found), "")
    if isinstance(written, float) and isinstance(made, float | int):
        return "" if np.isclose(written, made, rtol=ROUNDING, atol=1e-300) else where
    return "" if written == made else where


# --- rows and priors ------------------------------------------------------------------------------


def pack_rows(rows: Rows, arrays: list[Array]) -> Plain:
    return {
        "frame": pack_frame(rows.frame, arrays),
        "missing": rows.missing,
        "n_dropped": rows.n_dropped,
        "sources": dict(rows.sources),
    }


def unpack_rows(plain: Plain, arrays: Sequence[Array]) -> Rows:
    return Rows(
        frame=unpack_frame(plain["frame"], arrays),
        missing=plain["missing"],
        n_dropped=plain["n_dropped"],
        sources=plain["sources"],
    )


def pack_priors(priors: Priors) -> Plain:
    return {
        **pack_predictor_priors(priors.mean),
        "auxiliary": [pack_parameter(p) for p in priors.auxiliary],
        "extras": {name: pack_predictor_priors(own) for name, own in priors.extras.items()},
    }


def pack_predictor_priors(priors: PredictorPriors) -> Plain:
    return {
        "intercept": pack_parameter(priors.intercept),
        "beta": [pack_parameter(p) for p in priors.beta],
        "sd": [[pack_parameter(p) for p in sds] for sds in priors.sd],
        "cor": [pack_parameter(p) for p in priors.cor],
    }


def pack_parameter(prior: ParameterPrior | None) -> Plain:
    if prior is None:
        return None
    return {
        "parameter": prior.parameter,
        "given": pack_prior(prior.given),
        "inside": pack_prior(prior.inside),
        "default": prior.default,
    }


def pack_prior(prior: Prior) -> Plain:
    values = {k: pack_value(v, where=repr(prior)) for k, v in prior.parameters.items()}
    return {"name": prior.name, "parameters": values}


def unpack_priors(plain: Plain) -> Priors:
    mean = unpack_predictor_priors(plain)
    return Priors(
        intercept=mean.intercept,
        beta=mean.beta,
        sd=mean.sd,
        cor=mean.cor,
        auxiliary=some_parameters(plain["auxiliary"]),
        extras={name: unpack_predictor_priors(own) for name, own in plain["extras"].items()},
    )


def unpack_predictor_priors(plain: Plain) -> PredictorPriors:
    return PredictorPriors(
        intercept=unpack_parameter(plain["intercept"]),
        beta=some_parameters(plain["beta"]),
        sd=tuple(some_parameters(sds) for sds in plain["sd"]),
        cor=tuple(unpack_parameter(p) for p in plain["cor"]),
    )


def some_parameters(plain: Plain) -> tuple[ParameterPrior, ...]:
    return tuple(p for p in map(unpack_parameter, plain) if p is not None)


def unpack_parameter(plain: Plain) -> ParameterPrior | None:
    if plain is None:
        return None
    return ParameterPrior(
        parameter=plain["parameter"],
        given=unpack_prior(plain["given"]),
        inside=unpack_prior(plain["inside"]),
        default=plain["default"],
    )


def unpack_prior(plain: Plain) -> Prior:
    return Prior(plain["name"], **{k: unpack_value(v) for k, v in plain["parameters"].items()})
