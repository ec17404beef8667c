"""Each kernel is compiled once, whatever arrays come in, and also in a read-only package."""

import importlib
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from strategies import make_problem

import hiermodels
from hiermodels.density import cross_products, crossproducts

INTERCEPT = ((0,),)
FACTORS = {"single": ((6, INTERCEPT),), "crossed": ((6, INTERCEPT), (4, INTERCEPT))}


def frozen(problem):
    """The same problem in read-only arrays, as pandas hands them out."""
    arrays = {name: getattr(problem, name).copy() for name in ("y", "X")}
    blocks = [replace(b, index=b.index.copy(), Z=b.Z.copy()) for b in problem.blocks]
    for array in [*arrays.values(), *(b.index for b in blocks), *(b.Z for b in blocks)]:
        array.flags.writeable = False
    return replace(problem, blocks=tuple(blocks), **arrays)


@pytest.mark.parametrize("factors", FACTORS.values(), ids=FACTORS)
def test_read_only_arrays_are_no_other_type(factors):
    problem = make_problem(1, factors=factors)
    expected = cross_products(problem)
    kernels = (
        crossproducts._common_products,
        crossproducts._add_single,
        crossproducts._add_several,
    )
    before = [len(kernel.signatures) for kernel in kernels]
    read_only = frozen(problem)
    np.testing.assert_array_equal(cross_products(read_only).words, expected.words)
    assert [len(kernel.signatures) for kernel in kernels] == before
    assert not read_only.y.flags.writeable


COMPILE = """
from hiermodels.density.coordinates import expansion_callback
made = expansion_callback()
print(made.cache_hits, getattr(made._cache, "cache_path", None))
"""


def run_from_read_only_package(folder, home):
    """How often a kernel came from the cache, and where that is; root drops its powers first."""
    as_root = os.geteuid() == 0
    if as_root and shutil.which("setpriv") is None:
        pytest.skip("root may write anywhere, and there is no setpriv to prevent it")
    powers = "-dac_override,-dac_read_search"
    limited = ["setpriv", "--bounding-set", powers, "--inh-caps", powers] if as_root else []
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "XDG_"))}
    done = subprocess.run(
        [*limited, sys.executable, "-c", COMPILE],
        env={**kept, "HOME": str(home), "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    hits, path = done.stdout.split()
    return int(hits), path


@pytest.fixture
def read_only_package(tmp_path):
    site = tmp_path / "site"
    ignored = shutil.ignore_patterns("__pycache__", "_data")
    shutil.copytree(Path(hiermodels.__file__).parent, site / "hiermodels", ignore=ignored)
    folders = [site, *(path for path in site.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    yield site
    for folder in folders:
        folder.chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_read_only_package_is_cached_in_the_users_folder(read_only_package, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    first, where = run_from_read_only_package(read_only_package, home)
    again, there = run_from_read_only_package(read_only_package, home)
    assert Path(where).is_relative_to(home)
    assert (first, again, there) == (0, 1, where)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_without_any_folder_to_write_to_kernels_compile_all_the_same(read_only_package):
    hits, where = run_from_read_only_package(read_only_package, read_only_package / "no home")
    assert (hits, where) == (0, "None")


SMALL = """
from hiermodels.density.compilation import kernel
@kernel
def double(x):
    return x + x
"""


def test_variants_never_share_a_file(tmp_path, monkeypatch):
    """As when two processes compile one each and neither has seen the other's index."""
    (tmp_path / "small_kernel.py").write_text(SMALL)
    monkeypatch.syspath_prepend(tmp_path)
    for argument in (1.5, np.ones(2)):
        module = importlib.import_module("small_kernel")
        np.testing.assert_array_equal(module.double(argument), 2 * argument)
        (index,) = tmp_path.rglob("*.nbi")
        index.unlink()
        del sys.modules["small_kernel"]
    assert len(list(tmp_path.rglob("*.nbc"))) == 2
