"""The first use on a machine, with an installation that cannot be written to."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

import hiermodels
import hiermodels as hm
from hiermodels import density
from hiermodels.density import ahead
from hiermodels.density.compilation import Callback
from hiermodels.sampling import FIRST_OF_ITS_KIND, ONCE

FIT = """
import hiermodels as hm
print(hm.__file__)
print(hm.fit("y ~ x + (x | site)", hm.load_dataset("sites"), random_seed=1).summary())
"""
TOLD = "Compiling the sampler's kernels, once for this machine: about half a minute.\n"


@pytest.mark.slow
def test_kernels_are_compiled_once_into_the_users_cache(tmp_path):
    """A file in the place of the folder for bytecode keeps even root from writing there."""
    package = Path(hiermodels.__file__).parent
    copy = tmp_path / "installed" / "hiermodels"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(package.parent / "data", copy / "_data")
    (copy / "density" / "__pycache__").write_text("not a folder")
    home = tmp_path / "home"
    environment = {
        **{k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"},
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "MPLCONFIGDIR": matplotlib.get_cachedir(),  # or it tells of its own cache of fonts
        "PYTHONPATH": str(copy.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", FIT],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )

    first, second = run(), run()
    assert first.stdout.startswith(str(copy))
    assert first.stderr == TOLD
    assert list(home.rglob("*.nbi"))
    assert second.stderr == ""
    without_time = [
        [line for line in page.stdout.splitlines() if "random_seed" not in line]
        for page in (first, second)
    ]
    assert without_time[0] == without_time[1]


@pytest.fixture
def crossed():
    """More columns beside the largest factor than dense kernels take."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(90, size=400), rng.integers(70, size=400)
    y = rng.normal(size=90)[a] + rng.normal(size=70)[b] + rng.normal(size=400)
    return pd.DataFrame({"y": y, "a": a, "b": b})


def fit_few(data, **settings):
    hm.fit("y ~ 1 + (1 | a) + (1 | b)", data, draws=10, tune=10, random_seed=1, **settings)


def test_kernels_for_a_large_rest_are_announced(monkeypatch, capsys, crossed):
    monkeypatch.setattr(density, "first_use", lambda *, sparse=False: sparse)
    fit_few(crossed, engine="collapsed")
    assert capsys.readouterr().err == FIRST_OF_ITS_KIND.format(once=ONCE) + "\n"
    fit_few(crossed, engine="collapsed", progressbar=False)
    assert capsys.readouterr().err == ""


def test_kernels_of_the_engine_that_keeps_coefficients_are_announced(monkeypatch, capsys, crossed):
    fit_few(crossed, engine="noncentred", progressbar=False)  # compiled, and so found in the cache
    fit_few(crossed, engine="noncentred")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(Callback, "is_cached", lambda callback: False)
    fit_few(crossed, engine="noncentred")
    assert capsys.readouterr().err == FIRST_OF_ITS_KIND.format(once=ONCE) + "\n"


def test_the_second_process_compiles_what_a_fit_calls():
    """Its argument types are those of fits of both kinds, or it would compile in vain."""
    hm.fit("y ~ x + (x | site)", hm.load_dataset("sites"), draws=10, tune=10, random_seed=1)
    hm.fit(
        *("diameter ~ 1 + (1 | plate) + (1 | sample)", hm.load_dataset("penicillin")),
        **{"draws": 10, "tune": 10, "random_seed": 1},
    )
    for kernel, signature in ahead.SIGNATURES.items():
        cached = kernel._cache._cache_file._load_index()
        assert {types for types, *_ in cached} == {signature}


def test_an_error_ends_the_second_process(monkeypatch):
    started = []

    def start():
        started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return started[-1]

    monkeypatch.setattr(ahead, "start", start)
    with pytest.raises(ValueError, match="of the fit"), ahead.compiled_beside():
        raise ValueError("of the fit")
    assert started[0].returncode not in (None, 0)


@pytest.mark.parametrize("program", ["", "/usr/bin/notebook", "/no/such/folder/python"])
def test_a_fit_goes_on_without_the_second_process(monkeypatch, program):
    monkeypatch.setattr(sys, "executable", program)
    reached = False
    with ahead.compiled_beside():
        reached = True
    assert reached
    assert ahead.start() is None
