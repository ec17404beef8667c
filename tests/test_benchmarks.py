"""The rule by which a benchmark shows a time, and that the commands run; no time is asserted."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # the benchmarks are no part of the package
    sys.path.append(str(ROOT))

from benchmarks import engines, reference, tables  # noqa: E402
from benchmarks.cases import CASES, Perturbed, find_cases  # noqa: E402
from benchmarks.measurement import Measurement, Run, gradients_per_draw  # noqa: E402
from benchmarks.memory import watch_memory  # noqa: E402
from benchmarks.processes import what_went_wrong  # noqa: E402
from benchmarks.programs import PROGRAMS  # noqa: E402
from benchmarks.validity import (  # noqa: E402
    LongRun,
    estimate,
    is_effect,
    pool,
    refusals,
    scalars,
)
from hiermodels.errors import UnknownNameError  # noqa: E402

LEVELS = 12


def made_up_tree(seed: int, *, shift: float = 0.0, chain_shift: float = 0.0) -> xr.DataTree:
    """Independent draws of a posterior that is known: every mean is zero, but for the shifts."""
    rng = np.random.default_rng(seed)
    shape = (4, 500)
    correlation = np.broadcast_to(np.eye(2), (*shape, 2, 2)).copy()
    correlation[..., 0, 1] = correlation[..., 1, 0] = np.tanh(rng.normal(size=shape))
    intercept = rng.normal(size=shape) + shift
    intercept[0] += chain_shift
    posterior = xr.Dataset(
        {
            "Intercept": (("chain", "draw"), intercept),
            "sd_g": (("chain", "draw", "g_term"), rng.normal(size=(*shape, 2))),
            "cor_g": (("chain", "draw", "g_term", "g_term_bis"), correlation),
            "b_g": (("chain", "draw", "g", "g_term"), rng.normal(size=(*shape, LEVELS, 2))),
        },
        coords={"g_term": ["Intercept", "x"], "g_term_bis": ["Intercept", "x"]},
        attrs={"draws_made": 1000, "engine": "collapsed"},
    )
    posterior = posterior.assign_coords(g=[f"l{j}" for j in range(LEVELS)])
    stats = xr.Dataset(
        {
            "n_steps": (("chain", "draw"), np.full(shape, 3)),
            "diverging": (("chain", "draw"), np.zeros(shape, dtype=bool)),
        }
    )
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats})


@pytest.fixture(scope="module")
def long_run() -> LongRun:
    return pool([estimate(made_up_tree(seed)) for seed in range(100, 105)])


def test_a_good_row_is_shown(long_run):
    assert refusals(estimate(made_up_tree(1)), long_run) == ()


def test_a_wrong_mean_is_refused(long_run):
    found = estimate(made_up_tree(1, shift=0.3))
    (said,) = refusals(found, long_run)
    assert "Monte Carlo errors off (Intercept)" in said


def test_a_program_with_other_priors_is_not_compared_in_its_means():
    assert refusals(estimate(made_up_tree(1, shift=0.3)), None) == ()


def test_chains_that_do_not_agree_are_refused(long_run):
    said = refusals(estimate(made_up_tree(1, chain_shift=2.0)), None)
    assert len(said) == 1
    assert said[0].startswith("R-hat")


def test_a_mean_that_is_no_number_is_refused(long_run):
    found = estimate(made_up_tree(1))
    found = replace(found, mean=np.where(found.effect, np.nan, found.mean))
    assert any("mean nan" in said for said in refusals(found, long_run))


def test_other_parameters_are_refused(long_run):
    fewer = LongRun(
        mean={k: v for k, v in long_run.mean.items() if k != "Intercept"}, mcse=long_run.mcse
    )
    (said,) = refusals(estimate(made_up_tree(1)), fewer)
    assert said.endswith("Intercept")


def test_distance_is_in_errors_of_both():
    found = estimate(made_up_tree(1))
    first = found.names.index("Intercept")
    long_run = LongRun(
        mean=dict(zip(found.names, found.mean, strict=True)),
        mcse=dict(zip(found.names, found.mcse, strict=True)),
    )
    both = np.sqrt(2) * found.mcse[first]
    for errors, refused in ((3.9, False), (4.1, True)):
        mean = found.mean.copy()
        mean[first] += errors * both
        assert bool(refusals(replace(found, mean=mean), long_run)) == refused


def test_of_many_levels_some_are_looked_at():
    import xarray as xr

    values = np.zeros((4, 20, 300, 1))
    posterior = xr.Dataset(
        {"b_g": (("chain", "draw", "g", "g_term"), values)},
        coords={"g": np.arange(300), "g_term": ["Intercept"]},
    )
    names = [name for name, _, _ in scalars(xr.DataTree.from_dict({"posterior": posterior}))]
    assert len(names) == 100
    assert (names[0], names[-1]) == ("b_g[0, Intercept]", "b_g[299, Intercept]")


def test_what_is_looked_at():
    found = estimate(made_up_tree(1))
    assert [n for n, e in zip(found.names, found.effect, strict=True) if not e] == [
        "Intercept",
        "sd_g[Intercept]",
        "sd_g[x]",
        "cor_g[Intercept, x]",
    ]
    assert found.effect.sum() == 2 * LEVELS
    assert found.least(effects=True)[0] <= found.least(effects=False)[0]


def test_group_effects_by_name():
    names = ("b_site", "1|site", "x|site", "1|site_sigma", "sd_site", "beta", "sigma")
    assert [name for name in names if is_effect(name)] == ["b_site", "1|site", "x|site"]


def test_pooled_fits_have_a_smaller_error(long_run):
    one = estimate(made_up_tree(100))
    ratio = [long_run.mcse[n] / e for n, e in zip(one.names, one.mcse, strict=True)]
    assert np.mean(ratio) == pytest.approx(5**-0.5, rel=0.1)


def test_gradients_of_thinned_draws():
    tree = made_up_tree(1)
    assert gradients_per_draw(tree) == 3  # the collapsed engine has added up what it thinned
    tree["posterior"].attrs["engine"] = "pymc"
    assert gradients_per_draw(tree) == 3 * 1000 / 500
    del tree["sample_stats"]["n_steps"]
    assert gradients_per_draw(tree) is None


def test_the_response_differs_each_time_and_hardly():
    case = CASES["sites"]
    original = case.load()
    data = Perturbed(case)
    first, second = (data.draw(seed)["y"].to_numpy(copy=True) for seed in (1, 2))
    assert (first != second).all()
    for values in (first, second):
        assert np.abs(values - original["y"]).max() < 1e-5 * original["y"].std()
    assert (data.frame["x"] == original["x"]).all()


def test_unknown_case_is_refused():
    with pytest.raises(UnknownNameError, match="sites"):
        find_cases(["site"])


def test_every_case_has_the_columns_of_its_formula():
    for case in CASES.values():
        if case.fits == 10 and not case.missing():
            frame = case.load()
            assert case.response in frame
            assert frame.notna().all().all()


def test_memory_of_a_large_array():
    with watch_memory() as peak:
        np.ones(10_000_000)
    assert peak.megabytes is None or 70 < peak.megabytes < 200


def result(*runs: Run, program: str = "hiermodels") -> dict[str, tables.CaseResult]:
    return {
        "sites": tables.CaseResult(
            case=CASES["sites"], measurements={program: Measurement(runs=runs)}, fresh=[3.0]
        )
    }


def text(table: Table) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


GOOD = Run(seconds=0.125, rhat=1.001, ess=(3000.0, 2000.0), ess_effects=(2500.0, 1900.0))


def test_a_refused_row_shows_no_time():
    shown = text(tables.time_table(result(GOOD)))
    assert "0.125" in shown
    bad = replace(GOOD, refusals=("mean 9.0 Monte Carlo errors off (sigma)",))
    refused = text(tables.time_table(result(GOOD, bad)))
    assert "0.125" not in refused
    assert "1 of 2 runs refused" in refused
    assert "24,000" in text(tables.draws_table(result(GOOD)))
    assert "24,000" not in text(tables.draws_table(result(GOOD, bad)))


def test_ratios_need_two_valid_rows():
    both = result(GOOD)
    other = Measurement(runs=(replace(GOOD, seconds=12.5),))
    both["sites"].measurements["bambi"] = other
    table = tables.ratio_table(both)
    assert table.row_count == 1
    assert text(table).count("100") == 2
    both["sites"].measurements["bambi"] = Measurement(error="it stopped")
    assert tables.ratio_table(both).row_count == 0


def test_every_result_can_be_written_as_json():
    written = engines.as_json(result(GOOD), None, engines.describe_machine())
    assert json.loads(json.dumps(written))["cases"]["sites"]["programs"]["hiermodels"]["runs"]


def test_arguments():
    quick = engines.parse_arguments(["--quick"])
    assert (quick.cases, quick.repeats, quick.others) == (["variance_sim", "sites"], 2, [])
    asked = engines.parse_arguments(["--cases", "sites", "--with", "bambi,pymc"])
    assert (asked.cases, asked.repeats, asked.others) == (["sites"], 5, ["bambi", "pymc"])
    assert set(PROGRAMS) > set(asked.others)
    assert engines.parse_arguments([]).cases == list(CASES)


def test_unknown_program_is_told():
    with pytest.raises(SystemExit, match="lme4"):
        engines.main(["--with", "lme5"])


def test_what_went_wrong_is_one_line():
    assert what_went_wrong("Error in f() : no g\nCalls: f\nExecution halted\n").endswith("no g")
    assert what_went_wrong("Traceback\n  File x\nValueError: no\n") == "ValueError: no"
    assert what_went_wrong("killed\n") == "killed"
    assert what_went_wrong("") == ""


@pytest.mark.slow
def test_the_command_runs(tmp_path):
    out = tmp_path / "out.json"
    command = ["--quick", "--cases", "sites", "--repeats", "1", "--json", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.engines", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "sites" in done.stdout
    (run,) = json.loads(out.read_text())["cases"]["sites"]["programs"]["hiermodels"]["runs"]
    assert run["seconds"] > 0
    assert run["gradients_per_draw"] >= 1
    assert run["largest_distance"] is not None


@pytest.mark.slow
def test_the_reference_command_runs(capsys):
    reference.main(["--cases", "sites_slope", "--engines", "collapsed", "--seeds", "1"])
    assert "sites_slope" in capsys.readouterr().out
