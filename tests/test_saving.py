"""A saved and loaded fit says what the fit said; no file that is not one is taken for one."""

from __future__ import annotations

import json
import shutil
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import random_posterior, table

import hiermodels as hm
from hiermodels import saving
from hiermodels.errors import FileError
from hiermodels.fitting import Model
from hiermodels.packing import pack_frame, pack_value, unpack_frame, unpack_value
from hiermodels.results import Fit


def counts() -> pd.DataFrame:
    """Zero-inflated counts, with labels in no alphabetic order and a row index of text."""
    frame = table(n=90)
    rng = np.random.default_rng(4)
    frame["k"] = rng.poisson(2.0, len(frame)) * rng.integers(0, 2, len(frame))
    frame["f"] = pd.Categorical(frame["f"], categories=["low", "mid", "high"])
    return frame.set_axis([f"row {i}" for i in range(len(frame))], axis="index")


def ratings() -> pd.DataFrame:
    frame = table(n=90)
    words = np.array(["bad", "fair", "good"])[np.random.default_rng(5).integers(0, 3, len(frame))]
    frame["rating"] = pd.Categorical(words, categories=["bad", "fair", "good"], ordered=True)
    return frame


def gaussian() -> Fit:
    """Sampled, with moments beside the draws and rows that were dropped."""
    frame = table(n=90)
    frame.loc[[3, 7], "x"] = np.nan
    formula = "y ~ scale(x) + poly(z, 2) + f + within(z, pop) + (x | pop/patch)"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hm.MissingDataWarning)
        model = Model(formula, frame, priors={"beta": hm.Prior("Normal", mu=0, sigma=3)})
    return model.fit(draws=500, chains=2, random_seed=3, keep="moments", progressbar=False)


def bambi() -> Fit:
    """As `hm.from_bambi` makes it: correlated bars, read as independent ones."""
    model = Model("y ~ x + (x | pop)", table(n=90))
    groups = tuple(replace(g, correlated=False) for g in model.formula.groups)
    formula = replace(model.formula, groups=groups)
    from hiermodels.design import build_design
    from hiermodels.priors import build_priors

    design = build_design(formula, model.design.rows, model.design.family)
    return random_posterior(Model.of(design, build_priors(design)))


MODELS: dict[str, Callable[[], Fit]] = {
    "gaussian": gaussian,
    "known errors": lambda: random_posterior(
        Model("y ~ between(x, pop) + x + (0 + x || year)", table(n=90), se="error")
    ),
    "zeros": lambda: random_posterior(
        Model(
            "k ~ bs(x, df=4) + f + offset(log(count)) + (1 | pop) + (1 | year)",
            counts(),
            family="zi_negbinomial",
            zi="~ x + (1 | pop)",
            weights="count",
        )
    ),
    "ordinal": lambda: random_posterior(
        Model("rating ~ x * f + (x | pop)", ratings(), family="ordinal")
    ),
    "bambi": bambi,
}


@pytest.fixture(scope="module", params=MODELS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A fit, and what comes back from its file."""
    fit = MODELS[request.param]()
    path = tmp_path_factory.mktemp("saved") / "fit.hm"
    assert fit.save(path) == path
    return fit, hm.load(path)


def reports(fit: Fit) -> dict[str, Any]:
    """All that a fit says, or why it does not."""
    scale = fit.scales[0]
    new = fit.design.rows.frame.iloc[::7]
    asked: dict[str, Callable[[], Any]] = {
        "summary": lambda: fit.summary().text(),
        "equations": lambda: Model.of(fit.design, fit.priors).equations().latex,
        "nesting": lambda: Model.of(fit.design, fit.priors).nesting().lines(),
        "priors": lambda: repr(fit.priors),
        "fixef": fit.fixef,
        "ranef": fit.ranef,
        "coef": fit.coef,
        "varcorr": fit.varcorr,
        "variance": lambda: fit.variance_table(scale=scale),
        "icc": lambda: fit.icc(scale=scale),
        "r2": lambda: fit.r2(scale=scale),
        "left": fit.variance_left,
        "describe": lambda: str(fit.describe()),
        "ranks": lambda: fit.ranks(fit.design.factors[0]),
        "shrinkage": lambda: fit.shrinkage(fit.design.factors[0]),
        "predict": fit.predict,
        "predict new rows": lambda: fit.predict(new, target="group"),
        "predict draws": lambda: fit.predict(
            new, target="marginal", kind="response", draws=True
        ).to_numpy(),
        "grid": lambda: fit.grid("x"),
        "residuals": lambda: fit.residuals("quantile"),
        "check": lambda: fit.check().table(),
        "ppc": fit.ppc,
        "log_likelihood": lambda: fit.log_likelihood().to_numpy(),
    }
    if fit.idata["posterior"].attrs["engine"] == "collapsed":
        # importance sampling takes no made-up draws
        asked["loo"] = lambda: repr(fit.loo())
        asked["logo"] = lambda: repr(fit.logo(fit.design.factors[0]))
    found: dict[str, Any] = {}
    for name, ask in asked.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", hm.ImportanceWarning)
                found[name] = ask()
        except hm.HierModelsError as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


def test_every_report_is_the_same(pair: tuple[Fit, Fit]) -> None:
    before, after = (reports(fit) for fit in pair)
    answered = [name for name, found in before.items() if not isinstance(found, str)]
    assert len(answered) >= 12, "most reports have numbers, not a refusal"
    for name, found in before.items():
        if isinstance(found, pd.DataFrame):
            pd.testing.assert_frame_equal(after[name], found, check_exact=True)
            assert (after[name].title, after[name].note) == (found.title, found.note)
        elif isinstance(found, np.ndarray):
            np.testing.assert_array_equal(after[name], found, err_msg=name)
        else:
            assert after[name] == found, name


def test_every_group_of_the_posterior_is_the_same(pair: tuple[Fit, Fit]) -> None:
    before, after = (fit.idata for fit in pair)
    kept = [name for name in before.children if name != "log_likelihood"]
    assert [name for name in after.children if name != "log_likelihood"] == kept
    for name in kept:
        node = after[name]
        xr.testing.assert_identical(node.to_dataset(), before[name].to_dataset())
        for variable, values in node.data_vars.items():
            assert values.dtype == before[name][variable].dtype


def test_the_rows_are_the_same(pair: tuple[Fit, Fit]) -> None:
    before, after = (fit.design.rows for fit in pair)
    pd.testing.assert_frame_equal(after.frame, before.frame)
    assert (after.missing, after.n_dropped) == (before.missing, before.n_dropped)
    assert after.sources == before.sources


def test_a_loaded_fit_can_be_saved_again(pair: tuple[Fit, Fit], tmp_path: Path) -> None:
    again = hm.load(pair[1].save(tmp_path / "again.hm"))
    xr.testing.assert_identical(
        again.idata["posterior"].to_dataset(), pair[0].idata["posterior"].to_dataset()
    )


# the values in a file

LABELS = st.one_of(
    st.text(max_size=5),
    st.integers(-(2**60), 2**60),
    st.booleans(),
    st.dates(),
    st.floats(allow_nan=False),
    st.datetimes(),
    st.none(),
)


@settings(max_examples=50, deadline=None)
@given(LABELS)
def test_a_label_comes_back(value: Any) -> None:
    text = json.dumps(pack_value(value, where="a label"), allow_nan=False)
    assert unpack_value(json.loads(text)) == value


COLUMNS = {
    "numbers": [0.1, np.inf, -0.0],
    "whole": np.array([2**53 + 1, 0, -1]),
    "single": np.array([0.1, 0.2, 0.3], dtype=np.float32),
    "truth": [True, False, True],
    "text": ["b", "a", "b"],
    "mixed": pd.Series([1, "a", None], dtype=object),
    "categories": pd.Categorical(["b", None, "a"], categories=["b", "a", "never"]),
    "ordered": pd.Categorical([3, 1, 3], categories=[3, 1], ordered=True),
    "times": pd.to_datetime(["2026-01-01 03:04", "2026-01-02 00:00", None]),
    "zoned": pd.to_datetime(["2026-01-01", "2026-06-01", "2026-01-01"]).tz_localize("UTC"),
    "spans": pd.to_timedelta(["1 h", "2 D", "1 h"]),
    "intervals": pd.cut([1.0, 2.0, 3.0], 2),
    "years": pd.period_range("2020", periods=3, freq="Y"),
}
INDICES = {
    "counted": pd.RangeIndex(5, 20, 5),
    "text": pd.Index(["c", "a", "b"], name="plot"),
    "numbers": pd.Index([7, 7, 8]),
    "two": pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["site", None]),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_a_frame_comes_back(index: pd.Index) -> None:
    frame = pd.DataFrame(COLUMNS).set_axis(index, axis="index")
    arrays: list[np.ndarray] = []
    plain = json.loads(json.dumps(pack_frame(frame, arrays), allow_nan=False))
    assert all(array.dtype.kind in "biufmM" for array in arrays)
    pd.testing.assert_frame_equal(unpack_frame(plain, arrays), frame, check_exact=True)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=3), st.integers(-9, 9)), min_size=1, max_size=9))
def test_labels_of_several_types_come_back(labels: list[Any]) -> None:
    frame = pd.DataFrame({"g": pd.Series(labels, dtype=object)})
    arrays: list[np.ndarray] = []
    back = unpack_frame(pack_frame(frame, arrays), arrays)
    assert [(type(v), v) for v in back["g"]] == [(type(v), v) for v in labels]


def test_a_label_that_no_file_can_hold() -> None:
    frame = pd.DataFrame({"g": [object()]})
    with pytest.raises(hm.NotAvailableError, match=r"the column 'g' has a object, .*Make text"):
        pack_frame(frame, [])


# files that are no saved fits


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fit = random_posterior(Model("y ~ x + (1 | pop)", table(n=60)), draws=20)
    return fit.save(tmp_path_factory.mktemp("one") / "fit.hm")


def rewritten(saved: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The file with another JSON text."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "fit.json":
                content = json.loads(data)
                change(content)
                data = json.dumps(content).encode()
            new.writestr(name, data)
    return target


def refusal(path: Path) -> str:
    with pytest.raises(hm.SavedFitError) as caught:
        hm.load(path)
    return str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.98, 0.9999])
def test_a_truncated_file(saved: Path, tmp_path: Path, share: float) -> None:
    data = saved.read_bytes()
    path = tmp_path / "cut.hm"
    path.write_bytes(data[: int(share * len(data))])
    message = refusal(path)
    assert message.startswith(f"{str(path)!r} is damaged: ")
    assert message.endswith("Copy it again, or fit and save again.")


def test_a_changed_byte(saved: Path, tmp_path: Path) -> None:
    data = bytearray(saved.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path = tmp_path / "changed.hm"
    path.write_bytes(data)
    assert "is damaged: Bad CRC-32" in refusal(path)


def test_files_of_something_else(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.hm"
    path.write_text("y,x\n1,2\n", encoding="utf-8")
    assert "is not a saved fit; it is no archive" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<a/>")
    assert "it is a zip archive of something else" in refusal(path)
    hm.load(saved).save_posterior(path)
    assert "xarray.open_datatree reads it" in refusal(path)


def test_no_file(saved: Path) -> None:
    near = saved.with_name("fti.hm")
    assert refusal(near) == f"no file {str(near)!r}. Did you mean 'fit.hm'?"
    assert refusal(saved.parent).endswith("is a folder; name the file of a fit in it")


def test_a_newer_file(saved: Path, tmp_path: Path) -> None:
    def newer(content: dict[str, Any]) -> None:
        content["format_version"] = saving.FORMAT_VERSION + 1
        content["versions"]["hiermodels"] = "9.1"

    assert refusal(rewritten(saved, tmp_path / "new.hm", newer)) == (
        f"{str(tmp_path / 'new.hm')!r} was written by hiermodels 9.1 in format 2; this is "
        f"hiermodels {hm.__version__}, which reads formats up to 1. "
        "Upgrade it: pip install --upgrade hiermodels"
    )


def test_a_design_that_comes_out_otherwise(saved: Path, tmp_path: Path) -> None:
    """As if another version of formulae had named or centred the columns otherwise."""

    def other(content: dict[str, Any]) -> None:
        content["model"]["predictors"][""]["center"][0] += 0.001

    message = refusal(rewritten(saved, tmp_path / "other.hm", other))
    assert "whose center of y ~ x + (1 | pop) is not the one that is made here" in message


@pytest.mark.parametrize("part", ["model", "priors", "rows", "tree"])
def test_a_file_without_a_part(saved: Path, tmp_path: Path, part: str) -> None:
    path = rewritten(saved, tmp_path / "part.hm", lambda content: content.pop(part))
    assert "its content does not fit together (KeyError" in refusal(path)


def test_arrays_with_objects_are_refused(saved: Path, tmp_path: Path) -> None:
    """A pickle in the place of an array is not run."""
    path = tmp_path / "pickled.hm"
    shutil.copy(saved, path)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            evil = name == "arrays/0.npy"
            new.writestr(name, (tmp_path / "objects.npy").read_bytes() if evil else old.read(name))
    assert "is damaged: Object arrays cannot be loaded" in refusal(path)


def test_the_file_is_plain(saved: Path) -> None:
    """JSON and arrays that any program can read."""
    with zipfile.ZipFile(saved) as archive:
        content = json.loads(archive.read("fit.json"))
        kinds = {Path(name).suffix for name in archive.namelist()}
    assert (content["format"], content["format_version"]) == ("hiermodels fit", 1)
    assert content["versions"]["hiermodels"] == hm.__version__
    assert kinds == {".json", ".npy"}


def test_a_failed_save_leaves_the_old_file(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fit.hm"
    shutil.copy(saved, path)
    fit = hm.load(path)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving, "write_archive", full)
    with pytest.raises(FileError, match="No space left"):
        fit.save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["fit.hm"]
    assert path.read_bytes() == saved.read_bytes()


def test_a_design_that_is_not_of_its_formula() -> None:
    """The fixed-effect fits of `hm.pooling` have columns that no formula of theirs makes."""
    model = Model("y ~ x + (1 | pop)", table(n=60))
    design = replace(model.design, blocks=())
    priors = replace(model.priors, sd=(), cor=())
    fit = random_posterior(Model.of(design, priors), draws=5)
    with pytest.raises(hm.NotAvailableError, match=r"its formula .*Fits that hm.fit made"):
        fit.save("never.hm")
    assert not Path("never.hm").exists()
