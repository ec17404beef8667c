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
    "numba",
    "nutpie",
    "pandas",
    "pymc",
    "pytensor",
    "scipy",
    "xarray",
)

HELP = """
from typer.testing import CliRunner
from hiermodels.cli import app
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
