"""What `import hiermodels` and the quick commands load; how long they take is in benchmarks/."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "arviz",
    "arviz_base",
    "arviz_plots",
    "arviz_stats",
    "bambi",
    "formulae",
    "matplotlib",
    "narwhals",
    "numba",
    "nutpie",
    "pandas",
    "pymc",
    "pytensor",
    "scipy",
    "scipy.stats",
    "xarray",
)

HELP = """
from typer.testing import CliRunner
from hiermodels.command.cli import app
assert CliRunner().invoke(app, ["--help"]).exit_code == 0
assert CliRunner().invoke(app, ["fit", "--help"]).exit_code == 0
"""
SHIPPED_NAMES = """
import hiermodels as hm
assert "fit" in dir(hm)
assert hm.FormulaError.__name__ == "FormulaError"
"""
MODEL = """
import pandas as pd
import hiermodels as hm
data = pd.DataFrame({"y": [1.0, 2, 4, 3, 5, 9], "x": [1.0, 2, 3, 4, 5, 7], "g": list("aabbcc")})
hm.Model("y ~ x + (1 | g)", data)
"""
FIT = """
import hiermodels as hm
fit = hm.fit("y ~ x + (x | site)", hm.load_dataset("sites"), draws=50, tune=50, random_seed=1)
str(fit.summary())
"""


def loaded_after(code: str) -> set[str]:
    """The heavy modules that a fresh process has loaded after running the code."""
    ask = f"import sys\n{code}\nprint(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("code", ["import hiermodels", SHIPPED_NAMES, HELP])
def test_nothing_heavy_is_loaded(code: str) -> None:
    assert loaded_after(code) == set()


def test_a_model_without_a_fit_loads_no_sampler() -> None:
    assert loaded_after(MODEL) & {"pymc", "pytensor", "nutpie", "arviz", "matplotlib"} == set()


def test_a_fit_and_its_summary_load_nothing_that_draws() -> None:
    used = {"numba", "nutpie", "pandas", "scipy", "xarray"}
    assert loaded_after(FIT) == used


def test_after_a_fit_all_of_arviz_is_there() -> None:
    """For the user, and for nutpie, which imported a stand-in."""
    code = f"""{FIT}
nutpie = sys.modules["nutpie.sample"]
import arviz as az
import sys
assert nutpie.arviz.from_dict is az.from_dict
assert az is sys.modules["arviz"] and az.__file__ and callable(az.plot_forest)
assert az.summary(fit.idata, var_names=["sigma"]).shape[0] == 1
"""
    assert "arviz_plots" in loaded_after(code)


def test_a_module_in_a_block_of_later_imports_is_imported_when_used() -> None:
    code = """
import sys
from hiermodels.late_imports import imported_later
with imported_later("colorsys", "no_such_module"):
    import colorsys, no_such_module
    first = colorsys
assert "colorsys" not in sys.modules and "no_such_module" not in sys.modules
assert first.rgb_to_hls(0, 0, 0) == (0, 0, 0)
assert sys.modules["colorsys"].rgb_to_hls is first.rgb_to_hls
try:
    no_such_module.anything
except ModuleNotFoundError as error:
    assert error.name == "no_such_module"
else:
    raise AssertionError
"""
    assert loaded_after(code) == set()
