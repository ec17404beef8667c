"""Data sets by name: the shipped ones, and the tutorials' originals from their public homes.

Shipped files stand in ``data/`` of the repository and in ``hiermodels/_data`` of a wheel. The
originals are measured data of others, which we may not ship: they are downloaded once, checked
against a SHA-256 and kept in the user's cache. A folder named by the environment variable
``HIERMODELS_DATA`` is asked first, so that a class or a test needs no network.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hiermodels.errors import DatasetError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DATASETS", "Dataset", "Download", "list_datasets", "load_dataset"]

FOLDER_VARIABLE = "HIERMODELS_DATA"
"""The environment variable that names a folder with the originals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """The public home of an original, written in :data:`DATASETS`, read by `load_dataset`."""

    url: str
    sha256: str
    read: Callable[[Path, Dataset], pd.DataFrame]
    """Reads the file as it is there; a file in ``HIERMODELS_DATA`` is always a CSV."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One data set, written in :data:`DATASETS`, read by `load_dataset` and `list_datasets`."""

    file: str
    """The CSV, in the shipped folder or in that of ``HIERMODELS_DATA``."""
    rows: int | None
    """How many, or ``None`` where that is not known before the download."""
    about: str
    labels: tuple[str, ...] = ()
    """Columns whose numbers are labels, read as text."""
    encoding: str = "utf-8"
    download: Download | None = None
    """Where it is to be had; ``None`` for a shipped one."""


def load_dataset(name: str) -> pd.DataFrame:
    """The data set of that name, one row per observation, labels as text.

    Shipped ones come from the package. The originals come from the folder named by
    ``HIERMODELS_DATA`` if it has them, else from the cache, else from their public home, where
    their SHA-256 is checked.

    Raises `DatasetError` for a name that `list_datasets` does not list, and for a download that
    failed or is not the file that was meant.
    """
    dataset = _find(name)
    if dataset.download is None:
        return _read_csv(_shipped_folder() / dataset.file, dataset)
    local = _local_file(dataset)
    if local is not None:
        return _read_csv(local, dataset)
    return dataset.download.read(_fetch(name, dataset, dataset.download), dataset)


def list_datasets() -> pd.DataFrame:
    """The names that `load_dataset` knows: ``name, rows, source, about``.

    ``source`` is ``shipped``, ``download``, or ``folder`` for an original that the folder named
    by ``HIERMODELS_DATA`` has.
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "name": list(DATASETS),
            "rows": pd.array([d.rows for d in DATASETS.values()], dtype="Int64"),
            "source": [_source(d) for d in DATASETS.values()],
            "about": [d.about for d in DATASETS.values()],
        }
    )


def _find(name: str) -> Dataset:
    if name in DATASETS:
        return DATASETS[name]
    shipped = ", ".join(n for n, d in DATASETS.items() if d.download is None)
    originals = ", ".join(n for n, d in DATASETS.items() if d.download is not None)
    raise DatasetError(
        f"no data set {name!r}.{did_you_mean(name, DATASETS)}\n"
        f"shipped: {shipped}\n"
        f"to be downloaded: {originals}"
    )


def _source(dataset: Dataset) -> str:
    if dataset.download is None:
        return "shipped"
    return "download" if _local_file(dataset) is None else "folder"


def _shipped_folder() -> Path:
    """``hiermodels/_data`` of an installed wheel, or ``data`` beside the package in a work tree."""
    package = Path(__file__).parent
    inside = package / "_data"
    return inside if inside.is_dir() else package.parent / "data"


def _local_file(dataset: Dataset) -> Path | None:
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return None
    path = Path(folder) / dataset.file
    return path if path.is_file() else None


def _fetch(name: str, dataset: Dataset, download: Download) -> Path:
    """The downloaded file, from the cache when it is there."""
    import pooch
    import requests

    try:
        return Path(
            pooch.retrieve(
                url=download.url,
                known_hash=f"sha256:{download.sha256}",
                fname=f"{name}{Path(download.url).suffix}",
                path=pooch.os_cache("hiermodels"),
            )
        )
    # requests' errors are OSErrors; pooch raises a ValueError for a wrong checksum
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, requests.ConnectionError):  # its own words are a page
            reason = f"no connection to {urlsplit(download.url).hostname}"
        raise DatasetError(
            f"the data set {name!r} could not be downloaded: {reason}\n"
            f"    {download.url}\n"
            f"    SHA-256 {download.sha256}\n"
            f"With a network, try again. Without one, put it as {dataset.file} (a CSV) into a "
            f"folder and name that folder in the environment variable {FOLDER_VARIABLE}."
        ) from None


def _read_csv(path: Path, dataset: Dataset) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(path, encoding=dataset.encoding, dtype=dict.fromkeys(dataset.labels, "str"))


def _read_rdata(path: Path, dataset: Dataset) -> pd.DataFrame:
    """The one data frame of an R data file, its factors as text, as its CSV would be read."""
    import pandas as pd
    import rdata

    values = rdata.read_rda(path)
    frames = [v for v in values.values() if isinstance(v, pd.DataFrame)]
    if len(frames) != 1:
        raise DatasetError(f"{path} holds {len(frames)} data frames, one was expected")
    frame = frames[0].reset_index(drop=True)
    factors = frame.select_dtypes("category").columns
    return frame.astype(dict.fromkeys([*factors, *dataset.labels], "str"))


_BIOS14 = (
    "https://raw.githubusercontent.com/oysteiop/BIOS14_QuantitativeAnalysis/"
    "2809f0cd7b9fb29b8d6bc177e5f2b3b5463c3e39/Lecture%20notes/datasets"
)

DATASETS: dict[str, Dataset] = {
    "variance_sim": Dataset(
        file="variance_sim.csv",
        rows=200,
        about="simulated: y on x1 in 10 groups of 20",
    ),
    "sites": Dataset(
        file="sites.csv",
        rows=160,
        about="simulated: y on x in 16 sites, intercepts and slopes correlated",
    ),
    "sites_nb": Dataset(
        file="sites_nb.csv",
        rows=160,
        about="simulated: counts, negative binomial, in the same 16 sites",
    ),
    "rehab": Dataset(
        file="rehab.csv",
        rows=1000,
        about="simulated: incidents in cardiac rehabilitation, 110 centres",
    ),
    "dragons_sim": Dataset(
        file="dragons_sim.csv",
        rows=480,
        about="simulated: scores and lengths of dragons, 8 ranges of 3 sites",
    ),
    "bats_sim": Dataset(
        file="bats_sim.csv",
        rows=150,
        about="simulated: masses of bats of 3 species in 15 sites, slopes of forest differ",
    ),
    "blossoms_sim": Dataset(
        file="blossoms_sim.csv",
        rows=205,
        about="simulated: widths of bracts of blossoms, patches in 9 populations",
    ),
    "bees_sim": Dataset(
        file="bees_sim.csv",
        rows=178,
        about="simulated: counts of bees, negative binomial, in 72 study areas",
    ),
    "plots_sim": Dataset(
        file="plots_sim.csv",
        rows=400,
        about="simulated: biomass of 20 plots crossed with 10 years",
    ),
    "sleepstudy": Dataset(
        file="sleepstudy.csv",
        rows=180,
        about="reaction times of 18 subjects over 10 days of short sleep",
        labels=("Subject",),
    ),
    "penicillin": Dataset(
        file="penicillin.csv",
        rows=144,
        about="zones of inhibition, 24 plates crossed with 6 samples",
    ),
    "dragons": Dataset(
        file="dragons.csv",
        rows=480,
        about="scores and lengths of dragons, 8 ranges of 3 sites",
        download=Download(
            url=(
                "https://raw.githubusercontent.com/ourcodingclub/CC-Linear-mixed-models/"
                "00ce776eed837c8cc0653287f2d79430667d3b92/dragons.RData"
            ),
            sha256="d7bef4cb9ebcf1bb9861388f18bb7f4a0634cf43d8baa3c1ddb207c1719f0cbc",
            read=_read_rdata,
        ),
    ),
    "blossoms": Dataset(
        file="blossoms.csv",
        rows=205,
        about="measures of Dalechampia blossoms, patches in 9 populations",
        download=Download(
            url=f"{_BIOS14}/blossoms/blossoms.csv",
            sha256="a8fdeb7aa7840e8be31d7408e480d91a2f3012a184af21b027cca63d2fe0972f",
            read=_read_csv,
        ),
    ),
    "eulaema": Dataset(
        file="Eulaema.csv",
        rows=178,
        about="counts of orchid bees in 72 study areas",
        encoding="latin-1",
        download=Download(
            url=f"{_BIOS14}/Eulaema.csv",
            sha256="50b658bea24d61bd4d7dfcedc7f75ff28ef973a40a33db4f05051228297fdc59",
            read=_read_csv,
        ),
    ),
    "bats": Dataset(
        file="batMass.csv",
        rows=None,
        about="masses of bats in sites",
        download=Download(
            url=(
                "https://raw.githubusercontent.com/samuelVJrobinson/ecoStatsLectures/"
                "423fb73d3297086e5bb569dff0fba4f8cdaa7c8a/10%20Mixed%20effects/batMass.csv"
            ),
            sha256="22e22d5943d69fbd1578657a955bd048e12bce987521f89ab513d3e479993949",
            read=_read_csv,
        ),
    ),
}
"""Every data set by name, in the order in which `list_datasets` shows them."""
