"""The command line: what it prints and writes, and that a user never sees a traceback.

`Model.fit` is replaced by a posterior made up for the model; one test at the end fits.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made_up import posterior, random_posterior, table
from typer.main import get_command
from typer.testing import CliRunner, Result

import hiermodels as hm
from hiermodels.command import cli, outputs
from hiermodels.command.settings import KINDS
from hiermodels.errors import HierModelsWarning, InterruptedSamplingError
from hiermodels.fitting import Model
from hiermodels.report import pictures
from hiermodels.report.code import python_code
from hiermodels.results import Fit

RUN = CliRunner()
#: The commands that take a file of settings.
RUN_COMMANDS: dict[str, Any] = {name: get_command(cli.app).commands[name] for name in cli.SETTINGS}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """`Model.fit` without a sampler; the arguments of each call."""
    seen: list[dict[str, Any]] = []

    def quick(self: Model, **settings: Any) -> Fit:
        seen.append(settings)
        tree = xr.DataTree.from_dict({"posterior": posterior(self.design)})
        return Fit(design=self.design, priors=self.priors, idata=tree)

    monkeypatch.setattr(Model, "fit", quick)
    return seen


@pytest.fixture
def short_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports without their pictures, which take seconds; `test_report` looks at whole ones."""

    def brief(self: Fit, path: Path, **more: Any) -> Path:
        path.write_text(f"{self.design.formula} {more}", encoding="utf-8")
        return path

    monkeypatch.setattr(Fit, "report", brief)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a table."""
    monkeypatch.chdir(tmp_path)
    table().to_csv("table.csv", index=False)
    return tmp_path


@pytest.fixture(autouse=True)
def _backend() -> Iterator[None]:
    """Figures are closed behind each test."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def run(*arguments: str) -> Result:
    result = RUN.invoke(cli.app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def refusal(*arguments: str) -> str:
    """The message of a user error."""
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr.rstrip("\n")


# what it says of itself


def test_version() -> None:
    assert run("--version").stdout == f"hiermodels {hm.__version__}\n"


def test_help_teaches_formulas() -> None:
    result = run("fit", "--help")
    assert result.exit_code == 0
    for formula in ("(1 | site)", "(x | site)", "(x || site)", "(1 | pop/patch)"):
        assert formula in result.stdout


def test_datasets_are_listed() -> None:
    found = run("datasets").stdout
    assert found.splitlines()[1].split(maxsplit=2)[:2] == ["sites", "shipped"]
    assert all(name in found for name in hm.list_datasets()["name"])


# what a fit prints and writes


@pytest.mark.usefixtures("calls", "short_report")
def test_report_is_printed_and_written(here: Path) -> None:
    result = run("fit", "table.csv", "y ~ x + (x | pop)", "--out", "deep/report")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert result.stdout.startswith("y ~ x + (x | pop): 120 rows.\n")
    assert "Variance components" in result.stdout
    names = (
        "fit.hm posterior.nc fixef.csv varcorr.csv variance_table.csv icc.csv ranef.csv coef.csv "
        "shrinkage_pop.csv forest_pop.png shrinkage_pop.png summary.md report.html"
    ).split()
    assert result.stdout.split("Written:\n")[1].split() == [f"deep/report/{n}" for n in names]
    assert {p.name for p in (here / "deep/report").iterdir()} == set(names)


@pytest.mark.usefixtures("calls", "short_report")
def test_written_files_hold_the_numbers(here: Path) -> None:
    run("fit", "table.csv", "y ~ x + (1 | pop/patch)", "--out", "r")
    fit = Model("y ~ x + (1 | pop/patch)", table()).fit()
    coef = pd.read_csv("r/coef.csv")
    assert list(coef["group"].unique()) == ["pop", "pop:patch"]
    pd.testing.assert_frame_equal(coef, pd.DataFrame(fit.coef()), check_dtype=False)
    for name in ("forest_pop_patch.png", "shrinkage_pop_patch.png"):
        assert (here / "r" / name).read_bytes().startswith(b"\x89PNG")
    with xr.open_datatree("r/posterior.nc", engine="netcdf4") as tree:
        np.testing.assert_array_equal(tree["posterior"]["sd_pop"], fit.idata["posterior"]["sd_pop"])
    page = (here / "r/summary.md").read_text(encoding="utf-8")
    assert page.startswith("# y ~ x + (1 | pop/patch)\n")
    for title in ("Groups", "Common effects", "Variance components", "Intraclass correlation"):
        assert f"**{title}" in page
    assert "![Shrinkage of pop:patch](shrinkage_pop_patch.png)" in page


@pytest.mark.usefixtures("calls", "short_report")
def test_a_model_without_groups(here: Path) -> None:
    assert run("fit", "table.csv", "y ~ x", "--out", "r").exit_code == 0
    assert {p.name for p in (here / "r").iterdir()} == {
        "fit.hm",
        "report.html",
        "posterior.nc",
        "fixef.csv",
        "varcorr.csv",
        "variance_table.csv",
        "summary.md",
    }


@pytest.mark.usefixtures("here")
def test_options_reach_the_sampler(calls: list[dict[str, Any]]) -> None:
    options = "--draws 7 --tune 8 --chains 3 --cores 2 --seed 5 --target-accept 0.9 --engine pymc"
    result = run("fit", "table.csv", "y ~ 1 + (1 | pop)", *options.split(), "--quiet")
    assert calls == [
        {
            "draws": 7,
            "tune": 8,
            "chains": 3,
            "cores": 2,
            "random_seed": 5,
            "target_accept": 0.9,
            "engine": "pymc",
            "progressbar": False,
        }
    ]
    assert result.stdout.startswith("\ny ~ 1 + (1 | pop)\n")


@pytest.mark.usefixtures("calls", "short_report")
def test_encoding(here: Path) -> None:
    frame = table().assign(pop=lambda d: d["pop"].replace("P0", "Malmö"))
    frame.to_csv("latin.csv", index=False, encoding="latin-1")
    run("fit", "latin.csv", "y ~ 1 + (1 | pop)", "--encoding", "latin-1", "--out", "r")
    assert "Malmö" in (here / "r/coef.csv").read_text(encoding="utf-8")


@pytest.mark.usefixtures("calls", "here")
def test_a_warning_is_one_line() -> None:
    frame = table()
    frame.loc[[2, 5], "x"] = np.nan
    frame.to_csv("table.csv", index=False)
    result = run("fit", "table.csv", "y ~ x + (1 | pop)")
    assert result.stderr == "Warning: 2 of 120 rows dropped, missing values: 2 in 'x'\n"


def test_warnings_of_others_stay_as_they_are() -> None:
    with warnings.catch_warnings(record=True) as caught, cli.clean_errors():
        warnings.simplefilter("always")
        warnings.warn("of another library", DeprecationWarning, stacklevel=1)
    assert [str(w.message) for w in caught] == ["of another library"]
    assert issubclass(hm.MissingDataWarning, HierModelsWarning)


@pytest.mark.usefixtures("calls", "short_report")
def test_demo(here: Path) -> None:
    result = run("demo")
    assert result.exit_code == 0
    command = 'hiermodels fit report/sites.csv "y ~ x + (x | site)" --seed 1 --out report'
    assert command in result.stdout
    assert 'fit = hm.fit("y ~ x + (x | site)", data, random_seed=1)' in result.stdout
    assert (here / "report/forest_site.png").is_file()
    pd.testing.assert_frame_equal(pd.read_csv("report/sites.csv"), hm.load_dataset("sites"))


def test_file_names_are_safe_and_different() -> None:
    factors = ("pop:patch", "pop_patch", "Pop/patch", "π", "::")
    names = ("pop_patch", "pop_patch_2", "Pop_patch_3", "π", "group")
    assert tuple(outputs.file_names(factors).values()) == names


def test_paths_with_blanks_are_quoted() -> None:
    assert cli.quoted(Path("my data/a.csv")) == '"my data/a.csv"'
    assert cli.quoted(Path("data/a-1.csv")) == "data/a-1.csv"


# settings from a file

SETTINGS = """\
data = "table.csv"
formula = "y ~ x + (1 | pop)"
seed = 4
draws = 50
target-accept = 0.9
quiet = true

[priors]
x = "Normal(mu=0, sigma=2)"
"sd_pop[Intercept]" = "Exponential(lam=1)"

[compare]
formulas = { without = "y ~ 1 + (1 | pop)", with = "y ~ x + (1 | pop)" }

[pooling]
group = "pop"
draws = 60
"""


@pytest.fixture
def settings_file(here: Path) -> Path:
    """In a folder of its own, beside its data."""
    folder = here / "study"
    folder.mkdir()
    (here / "table.csv").rename(folder / "table.csv")
    path = folder / "analysis.toml"
    path.write_text(SETTINGS, encoding="utf-8")
    return Path("study/analysis.toml")


def test_settings_reach_the_fit(calls: list[dict[str, Any]], settings_file: Path) -> None:
    result = run("fit", "--config", str(settings_file))
    assert result.exit_code == 0
    assert (calls[0]["random_seed"], calls[0]["draws"], calls[0]["target_accept"]) == (4, 50, 0.9)
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert any(line.startswith("x Normal(mu=0, sigma=2) ") for line in lines)
    assert any(line.startswith("sd_pop[Intercept] Exponential(lam=1) ") for line in lines)


def test_the_command_line_goes_before_the_file(
    calls: list[dict[str, Any]], settings_file: Path
) -> None:
    other = ["--seed", "5", "--prior", "x=Normal(mu=0, sigma=9)"]
    result = run("fit", "study/table.csv", "y ~ x + z", *other, "--config", str(settings_file))
    assert (calls[0]["random_seed"], calls[0]["draws"]) == (5, 50)
    assert result.stdout.startswith("\ny ~ x + z\n")
    assert "Normal(mu=0, sigma=9)" in result.stdout
    assert "Exponential" not in result.stdout


def test_a_table_of_one_command(calls: list[dict[str, Any]], settings_file: Path) -> None:
    """Settings of compare do not reach fit, and go before those above them."""
    found = run("compare", "--config", str(settings_file)).stdout
    assert [call["draws"] for call in calls] == [50, 50]
    assert "LOO, one row left out of 120" in found
    assert {line.split()[0] for line in found.splitlines()[3:5]} == {"with", "without"}


WRONG_SETTINGS = {
    "unknown": ("sed = 1", "no setting 'sed' in 'a.toml'. Possible: by, chains, "),
    "unknown in a table": ("[fit]\ngroup = 'pop'", "no setting 'group' in [fit] of 'a.toml'."),
    "kind": ("draws = 2.5", "draws = 2.5 in 'a.toml': it is a whole number"),
    "truth": ("draws = true", "draws = True in 'a.toml': it is a whole number"),
    "formula": ("formula = 3", "formula = 3 in 'a.toml': it is text in quotes"),
    "toml": ("formula = y ~ x", "'a.toml' is not TOML: Invalid value (at line 1, column 11)"),
    "prior": (
        "data = 'table.csv'\nformula = 'y ~ x'\npriors = ['x=Normal(0, 1)']",
        "'0' in the prior 'x=Normal(0, 1)' is not a parameter and its number",
    ),
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("case", WRONG_SETTINGS)
def test_wrong_settings(case: str) -> None:
    text, message = WRONG_SETTINGS[case]
    Path("a.toml").write_text(text, encoding="utf-8")
    found = refusal("fit", "--config", "a.toml")
    assert found.startswith(("SettingsError: ", "PriorError: "))
    assert message in found


@pytest.mark.usefixtures("here")
def test_the_possible_settings_are_suggested() -> None:
    Path("a.toml").write_text("sead = 1", encoding="utf-8")
    message = refusal("fit", "--config", "a.toml")
    assert message.endswith("tables: [fit], [compare], [pooling]. Did you mean 'seed'?")
    assert refusal("fit", "--config", "b.toml").endswith("Did you mean 'a.toml'?")


def test_every_option_can_be_a_setting() -> None:
    """And no setting is one that its command does not have."""
    names = {"prior": "priors"}
    for command in RUN_COMMANDS:
        kinds = cli.SETTINGS[command]
        parameters = {names.get(p.name, p.name) for p in RUN_COMMANDS[command].params}
        assert set(kinds) == parameters - {"help", "config"}
        assert set(kinds.values()) <= set(KINDS)


# the other commands


@pytest.mark.usefixtures("calls", "here")
def test_compare_takes_formulas_with_names() -> None:
    assert cli.named(["a: y ~ x", "y ~  z"]) == {"a": "y ~ x", "y ~ z": "y ~  z"}
    result = run("compare", "table.csv", "slope: y ~ x", "y ~ z", "--out", "c")
    assert result.exit_code == 0
    names = ["comparison.csv", "comparison.md", "slope.hm", "y_z.hm"]
    assert result.stdout.split("Written:\n")[1].split() == [f"c/{name}" for name in names]
    assert hm.load("c/slope.hm").design.formula.text == "y ~ x"
    assert set(pd.read_csv("c/comparison.csv").iloc[:, 0]) == {"slope", "y ~ z"}


@pytest.mark.usefixtures("calls", "here")
def test_compared_are_the_rows_that_all_formulas_have() -> None:
    frame = pd.read_csv("table.csv")
    frame.loc[[1, 4, 8], "z"] = None
    frame.loc[[4, 5], "x"] = None
    frame.to_csv("gaps.csv", index=False)
    result = run("compare", "gaps.csv", "y ~ x", "y ~ z", "--out", "c", "--quiet")
    assert f"Compared on the {len(frame) - 4} rows that are complete" in result.stderr
    for name in ("y_x", "y_z"):
        kept = hm.load(f"c/{name}.hm").design.rows.frame
        assert list(kept.index) == [k + 2 for k in frame.drop([1, 4, 5, 8]).index]  # lines


@pytest.mark.usefixtures("calls", "here", "short_report")
def test_semicolons_and_decimal_commas() -> None:
    frame = pd.read_csv("table.csv").rename(columns={"x": "größe (cm)"})
    frame.to_csv("a.csv", index=False, sep=";", decimal=",", encoding="cp1252")
    marks = ["--separator", ";", "--decimal", ",", "--encoding", "cp1252"]
    run("fit", "a.csv", "y ~ `größe (cm)` + (1 | pop)", *marks, "--out", "r")
    found = hm.load("r/fit.hm")
    np.testing.assert_allclose(found.design.response, frame["y"])
    expected = 'pd.read_csv("a.csv", sep=";", decimal=",", encoding="cp1252")'
    assert expected in python_code(found, data_file="a.csv")


@pytest.mark.usefixtures("calls", "here")
def test_a_prior_that_one_of_the_formulas_has() -> None:
    prior = ["--prior", "z=Normal(mu=0, sigma=1)"]
    assert run("compare", "table.csv", "y ~ x", "y ~ x + z", *prior).exit_code == 0
    message = refusal("compare", "table.csv", "y ~ x", "y ~ x + w", *prior, "--quiet")
    assert message == "PriorError: no parameter 'z'. Parameters: Intercept, x, w, sigma."


@pytest.mark.usefixtures("here")
def test_pooling_writes_its_tables_and_its_picture() -> None:
    options = ["--draws", "100", "--chains", "2", "--seed", "1", "--quiet", "--out", "p"]
    result = run("pooling", "table.csv", "y ~ x + (1 | pop)", *options)
    assert result.exit_code == 0
    assert "Why not use pop as a fixed effect?" in result.stdout
    assert set(pd.read_csv("p/pooling.csv")["level"].dropna()) == {"P0", "P1", "P2", "P3", "P4"}
    assert list(pd.read_csv("p/scores.csv")["pooling"]) == ["complete", "no", "partial"]
    assert "Why not use pop" in Path("p/pooling.md").read_text(encoding="utf-8")
    assert Path("p/pooling.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("here")
def test_compare_of_one_formula() -> None:
    message = "SettingsError: a comparison takes at least two formulas, each in quotes: "
    assert refusal("compare", "table.csv", "y ~ x").startswith(message)
    assert "two of the formulas are called 'a'" in refusal(
        "compare", "table.csv", "a: y ~ x", "a: y ~ z"
    )


def test_report_of_a_saved_fit(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        pictures, "draw_picture", lambda *a, **k: pictures.Drawn(data=b"", suffix="svg", width=1)
    )
    model = Model("y ~ x + (1 | pop)", table(n=60))
    model.fit(draws=100, random_seed=1, progressbar=False).save("fit.hm")
    result = run("report", "fit.hm", "--out", "new/page.md", "--rows", "plants")
    assert (result.exit_code, result.stdout) == (0, "new/page.md\n")
    page = (here / "new/page.md").read_text(encoding="utf-8")
    assert page.startswith("# `y ~ x + (1 | pop)`\n")
    assert "Among plants of a level of pop" in page


@pytest.mark.usefixtures("here")
def test_report_refuses() -> None:
    assert refusal("report", "fit.hm").startswith("SavedFitError: no file 'fit.hm'.")
    assert "is not a saved fit; it is no archive" in refusal("report", "table.csv")
    random_posterior(Model("y ~ x", table(n=60)), draws=10).save("fit.hm")
    assert refusal("report", "fit.hm", "--out", "a.docx") == (
        "UnknownNameError: no format of a report '.docx'. Valid: .htm, .html, .md, .tex."
    )
    assert "a probability between 0 and 1" in refusal("report", "fit.hm", "--ci-prob", "95")


@pytest.mark.parametrize("command", ["fit", "compare", "pooling", "report"])
def test_help_has_examples_and_exit_codes(command: str) -> None:
    found = run(command, "--help").stdout
    assert f"hiermodels {command} " in found
    assert "something to mend in the command" in found
    assert ("[priors]" in found) == (command in cli.SETTINGS)


def test_examples_of_help_fit_80_columns() -> None:
    """Lines that are kept as they are have one blank at either side."""
    kept = [text for text in vars(cli).values() if isinstance(text, str) and "\b\n" in text]
    assert len(kept) == 7
    for line in "\n".join(kept).replace("\\[", "[").splitlines():
        assert len(line) <= 78, line


# what a user can do wrong

FORMULA = "y ~ x + (1 | pop)"
REFUSED = {
    "no file": (
        ["tables.csv", FORMULA],
        "DataError: no file 'tables.csv'. Did you mean 'table.csv'?",
    ),
    "folder": ([".", FORMULA], "DataError: '.' is a folder; name a file in it"),
    "encoding": (
        ["latin.csv", FORMULA],
        "DataError: 'latin.csv' is not text in utf-8: byte 9 (0xf6) in line 2 cannot be decoded. "
        "Try --encoding latin-1, or save the file as UTF-8.",
    ),
    "column": (
        ["table.csv", "y ~ x + (1 | popp)"],
        """\
FormulaError: no column 'popp' in the data
    y ~ x + (1 | popp)
                 ^^^^
columns: y, x, z, w, f, pop, patch, year, count, error. Did you mean 'pop'?""",
    ),
    "engine": (
        ["table.csv", FORMULA, "--engine", "stan"],
        "UnknownNameError: no engine 'stan'. Valid: auto, collapsed, noncentred, pymc.",
    ),
    "draws": (
        ["table.csv", FORMULA, "--draws", "0"],
        "SamplingError: draws=0; it is a whole number from 4",
    ),
    "missing": (
        ["table.csv", FORMULA, "--missing", "ignore"],
        "DataError: missing='ignore'; valid: 'drop', 'error'.",
    ),
    "out is a file": (
        ["table.csv", FORMULA, "--out", "table.csv"],
        "cannot write to the folder 'table.csv': it is a file. Nothing was fitted; choose --out.",
    ),
    "out below a file": (
        ["table.csv", FORMULA, "--out", "table.csv/report"],
        "cannot write to the folder 'table.csv/report': Not a directory. "
        "Nothing was fitted; choose --out.",
    ),
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    Path("latin.csv").write_bytes("y,pop\n1,Sö\n".encode("latin-1"))
    arguments, message = REFUSED[case]
    assert refusal("fit", *arguments, "--quiet") == message


@pytest.mark.usefixtures("here")
def test_interrupt_before_the_first_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Model, **settings: Any) -> Fit:
        raise KeyboardInterrupt

    monkeypatch.setattr(Model, "fit", interrupted)
    result = run("fit", "table.csv", FORMULA, "--quiet")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "\nInterrupted.\n"


@pytest.mark.usefixtures("here")
def test_interrupt_before_there_were_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Model, **settings: Any) -> Fit:
        raise InterruptedSamplingError("interrupted: no chain had 4 draws, so there is nothing")

    monkeypatch.setattr(Model, "fit", interrupted)
    result = run("fit", "table.csv", FORMULA, "--quiet")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr == "\nInterrupted: no chain had 4 draws, so there is nothing.\n"


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`Model.fit` as Ctrl-C in the first of the chains leaves it; the formulas that were fitted."""
    seen: list[str] = []

    def short(self: Model, **settings: Any) -> Fit:
        seen.append(str(self.formula))
        few = posterior(self.design, chains=1, draws=30)
        few.attrs["interrupted"] = 1
        tree = xr.DataTree.from_dict({"posterior": few})
        return Fit(design=self.design, priors=self.priors, idata=tree)

    monkeypatch.setattr(Model, "fit", short)
    return seen


INTERRUPTED = "\nInterrupted: these are results of fewer draws than asked for.\n"


@pytest.mark.usefixtures("stopped", "here", "short_report")
def test_an_interrupted_fit_is_reported(tmp_path: Path) -> None:
    result = run("fit", "table.csv", FORMULA, "--out", "r")
    assert result.exit_code == 130
    assert result.stderr == INTERRUPTED
    assert "Interrupted: only the draws that were made by then." in result.stdout
    assert "One chain: " in result.stdout
    assert {"fit.hm", "report.html", "summary.md", "fixef.csv"} <= {
        path.name for path in (tmp_path / "r").iterdir()
    }
    assert hm.load("r/fit.hm").draws.n == 30


@pytest.mark.usefixtures("here")
def test_an_interrupt_ends_a_comparison(stopped: list[str]) -> None:
    """The models after it are not begun; what was fitted is kept."""
    result = run("compare", "table.csv", "a: y ~ x + (1 | pop)", "b: y ~ 1 + (1 | pop)", "--out=r")
    assert (result.exit_code, result.stderr, len(stopped)) == (130, INTERRUPTED, 1)
    assert [path.name for path in Path("r").iterdir()] == ["a.hm"]


@pytest.mark.usefixtures("calls", "here")
def test_a_fit_that_cannot_be_written_is_rescued(monkeypatch: pytest.MonkeyPatch) -> None:
    save = Fit.save

    def full(self: Fit, path: Path) -> Path:
        if path.parent.name == "r":
            raise OSError(28, "No space left on device")
        return save(self, path)

    monkeypatch.setattr(Fit, "save", full)
    message = refusal("fit", "table.csv", FORMULA, "--out", "r", "--quiet")
    start = "cannot write to the folder 'r': No space left on device. The fit is in "
    assert message.startswith(start)
    rescued = Path(message.removeprefix(start).removesuffix("; hm.load reads it."))
    assert hm.load(rescued).design.n == 120
    rescued.unlink()
    rescued.parent.rmdir()


@pytest.mark.usefixtures("calls", "here")
def test_where_nothing_can_be_written_the_results_are_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(self: Fit, path: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Fit, "save", full)
    monkeypatch.setattr(cli.tempfile, "mkdtemp", lambda **more: "nowhere")
    result = run("fit", "table.csv", FORMULA, "--out", "r", "--quiet")
    assert result.exit_code == 2
    assert "Common effects (posterior median, 95 % interval)" in result.stdout
    assert result.stderr == (
        "cannot write to the folder 'r': No space left on device. Nor can any other folder be "
        "written: of the draws only the summary above is left.\n"
    )


@pytest.mark.usefixtures("calls", "here", "short_report")
def test_a_folder_with_a_backslash(tmp_path: Path) -> None:
    """NetCDF takes it for a slash."""
    assert run("fit", "table.csv", FORMULA, "--out", "a\\b", "--quiet").exit_code == 0
    tree = xr.open_datatree(shutil.copy(tmp_path / "a\\b" / "posterior.nc", tmp_path / "plain.nc"))
    assert tree["posterior"].sizes["draw"] == 60


@pytest.mark.usefixtures("calls", "here")
def test_a_table_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device", "r/summary.md")

    monkeypatch.setattr(outputs, "write_summary", full)
    result = run("fit", "table.csv", FORMULA, "--out", "r", "--quiet")
    assert result.exit_code == 2
    assert result.stderr == (
        "cannot write 'r/summary.md': No space left on device. "
        f"The fit is in {Path('r/fit.hm')}; hm.load reads it.\n"
    )
    assert Path("r/posterior.nc").is_file()


@pytest.mark.usefixtures("here")
def test_a_terminal_that_lacks_characters() -> None:
    """A level called π, on a terminal in cp1252, is a question mark and not a traceback."""
    arguments = "sys.argv = ['', 'fit', '\u03c0.csv', 'y ~ x']"
    code = f"import sys; from hiermodels.command.cli import main; {arguments}"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; main()"],
        capture_output=True,
        text=True,
        env={"PYTHONIOENCODING": "cp1252", "PYTHONPATH": str(Path(hm.__file__).parents[1])},
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "DataError: no file '?.csv'.\n"


# one real fit


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_the_main_job() -> None:
    hm.load_dataset("sites").to_csv("sites.csv", index=False)
    options = ["--out", "report", "--seed", "1", "--draws", "100", "--chains", "2"]
    result = run("fit", "sites.csv", "y ~ x + (x | site)", *options)
    assert result.exit_code == 0
    assert result.stderr == ""
    coef = pd.read_csv("report/coef.csv")
    assert len(coef) == 32
    assert coef["estimate"].notna().all()
