"""Does every name give the data it says, and does every failure say what to do?"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest
import rdata
import requests

from hiermodels.datasets import DATASETS, list_datasets, load_dataset
from hiermodels.errors import DatasetError

SHIPPED = [name for name, dataset in DATASETS.items() if dataset.download is None]
ORIGINALS = [name for name, dataset in DATASETS.items() if dataset.download is not None]
COLUMNS = {
    "variance_sim": ["y", "x1", "groupID"],
    "sites": ["y", "x", "site"],
    "sites_nb": ["y", "x", "site"],
    "rehab": ["center", "treatment", "gender", "hours", "incidents"],
    "dragons_sim": ["testScore", "bodyLength", "mountainRange", "site"],
    "bats_sim": ["mass", "species", "forest", "sites"],
    "blossoms_sim": ["pop", "patch", "LBW", "UBW"],
    "bees_sim": ["Eulaema_nigrita", "SA", "MAP"],
    "plots_sim": ["biomass", "plot", "year"],
    "sleepstudy": ["Reaction", "Days", "Subject"],
    "penicillin": ["diameter", "plate", "sample"],
}


@pytest.fixture
def no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HIERMODELS_DATA", raising=False)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped(name: str) -> None:
    frame = load_dataset(name)
    assert list(frame) == COLUMNS[name]
    assert len(frame) == DATASETS[name].rows
    assert not frame.isna().any(axis=None)


def test_the_shipped_folder_holds_the_shipped_data_and_nothing_else() -> None:
    folder = Path(__file__).parent.parent / "data"
    files = {path.name for path in folder.iterdir()}
    assert files == {DATASETS[name].file for name in SHIPPED} | {"README.md"}


def test_the_readme_of_the_data_has_a_section_for_each() -> None:
    readme = (Path(__file__).parent.parent / "data" / "README.md").read_text(encoding="utf-8")
    assert [name for name in SHIPPED if f"\n## {name}\n" not in readme] == []


def test_subjects_are_labels_and_days_are_numbers() -> None:
    sleep = load_dataset("sleepstudy")
    assert sleep["Subject"].iloc[0] == "308"
    assert pd.api.types.is_integer_dtype(sleep["Days"])


@pytest.mark.parametrize("name", ["variance_sim", "sites", "sites_nb", "rehab", "penicillin"])
def test_shipped_files_equal_those_the_tests_were_given(name: str, datasets_dir: Path) -> None:
    given = pd.read_csv(datasets_dir / f"{name}.csv")
    pd.testing.assert_frame_equal(load_dataset(name), given)


def test_list(no_folder: None) -> None:
    names = list_datasets().set_index("name")
    assert list(names) == ["rows", "source", "about"]
    assert list(names.index) == list(DATASETS)
    assert set(names.loc[SHIPPED, "source"]) == {"shipped"}
    assert set(names.loc[ORIGINALS, "source"]) == {"download"}


def test_list_says_what_the_folder_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "blossoms.csv").write_text("pop\n")
    monkeypatch.setenv("HIERMODELS_DATA", str(tmp_path))
    sources = list_datasets().set_index("name")["source"]
    assert sources["blossoms"] == "folder"
    assert sources["dragons"] == "download"


def test_unknown_name() -> None:
    with pytest.raises(DatasetError) as caught:
        load_dataset("dragon")
    assert str(caught.value) == (
        "no data set 'dragon'. Did you mean 'dragons'?\n"
        "shipped: variance_sim, sites, sites_nb, rehab, dragons_sim, bats_sim, blossoms_sim, "
        "bees_sim, plots_sim, sleepstudy, penicillin\n"
        "to be downloaded: dragons, blossoms, eulaema, bats"
    )


@pytest.mark.parametrize("name", ["dragons", "blossoms", "eulaema"])
def test_originals_come_from_the_folder(name: str, datasets_dir: Path) -> None:
    if not (datasets_dir / DATASETS[name].file).is_file():
        pytest.skip(f"{datasets_dir} has no {DATASETS[name].file}")
    assert len(load_dataset(name)) == DATASETS[name].rows


def test_eulaema_is_read_as_latin_1(datasets_dir: Path) -> None:
    if not (datasets_dir / "Eulaema.csv").is_file():
        pytest.skip(f"{datasets_dir} has no Eulaema.csv")
    assert load_dataset("eulaema")["SA"].str.startswith("Estação").any()


@pytest.mark.parametrize("name", ["blossoms", "eulaema"])
def test_the_given_originals_are_the_files_of_the_checksums(name: str, datasets_dir: Path) -> None:
    path = datasets_dir / DATASETS[name].file
    if not path.is_file():
        pytest.skip(f"{datasets_dir} has no {path.name}")
    download = DATASETS[name].download
    assert download is not None
    assert hashlib.sha256(path.read_bytes()).hexdigest() == download.sha256


def test_a_download_is_read_and_asked_for_by_checksum(
    tmp_path: Path, no_folder: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def retrieve(*, url: str, known_hash: str, fname: str, path: object) -> str:
        asked.update(url=url, known_hash=known_hash, fname=fname)
        file = tmp_path / fname
        file.write_bytes("SA,SU\nÁrea,1-1\n".encode("latin-1"))
        return str(file)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert load_dataset("eulaema").to_dict("list") == {"SA": ["Área"], "SU": ["1-1"]}
    download = DATASETS["eulaema"].download
    assert download is not None
    assert asked == {
        "url": download.url,
        "known_hash": f"sha256:{download.sha256}",
        "fname": "eulaema.csv",
    }


def test_dragons_are_read_from_an_r_data_file(
    tmp_path: Path, no_folder: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "dragons.RData"
    frame = pd.DataFrame(
        {
            "testScore": np.array([16.5, 100.0]),
            "mountainRange": pd.Categorical(["Bavarian", "Southern"]),
        }
    )
    rdata.write_rda(file, {"dragons": frame})
    monkeypatch.setattr(pooch, "retrieve", lambda **_: str(file))
    dragons = load_dataset("dragons")
    assert list(dragons["mountainRange"]) == ["Bavarian", "Southern"]
    assert dragons["mountainRange"].dtype == "str"
    assert list(dragons["testScore"]) == [16.5, 100.0]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("no route to host\nmore"), "no route to host"),
        (ValueError("SHA256 hash does not match"), "SHA256 hash does not match"),
        (
            requests.ConnectionError("HTTPSConnectionPool(...): Max retries exceeded ..."),
            "no connection to raw.githubusercontent.com",
        ),
    ],
)
def test_no_download_says_where_it_is_and_what_to_do(
    error: Exception, reason: str, no_folder: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def retrieve(**_: object) -> str:
        raise error

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    download = DATASETS["blossoms"].download
    assert download is not None
    with pytest.raises(DatasetError) as caught:
        load_dataset("blossoms")
    assert str(caught.value) == (
        f"the data set 'blossoms' could not be downloaded: {reason}\n"
        f"    {download.url}\n"
        f"    SHA-256 {download.sha256}\n"
        "With a network, try again. Without one, put it as blossoms.csv (a CSV) into a folder "
        "and name that folder in the environment variable HIERMODELS_DATA."
    )
