"""A file that cannot be written: the message, what stays, and kernels that cannot be kept."""

from __future__ import annotations

import errno
import importlib
import resource
from collections.abc import Iterator

import numpy as np
import pytest
import xarray as xr
from made_up import made_up_fit
from numba.core.caching import CacheImpl

import hiermodels as hm
from hiermodels import sampling
from hiermodels.density import ahead, compilation
from hiermodels.density.compilation import _CacheFile
from hiermodels.errors import FileError, HierModelsWarning
from hiermodels.results import Fit
from hiermodels.sampling import FIRST_USE, SamplerSettings, tell_compiling


@pytest.fixture(scope="module")
def fit() -> Fit:
    return made_up_fit("y ~ x + (x | pop)")


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may be larger than 10 kB: the system's own refusal, in the middle of writing."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


WRITERS = {
    "fit.hm": lambda fit, path: fit.save(path),
    "posterior.nc": lambda fit, path: fit.save_posterior(path),
    "table.md": lambda fit, path: hm.printing.Table({"a": ["b" * 20_000]}).to_markdown(path),
}


@pytest.mark.parametrize("name", ["fit.hm", "posterior.nc", "table.md"])
@pytest.mark.usefixtures("small_disk")
def test_a_full_disk_leaves_nothing_half_written(fit, tmp_path, name):
    with pytest.raises(FileError) as caught:
        WRITERS[name](fit, tmp_path / name)
    assert str(caught.value).startswith(f"cannot write {str(tmp_path / name)!r}: ")
    assert str(caught.value).endswith(". Nothing in memory is lost.")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["fit.hm", "posterior.nc", "table.md"])
def test_a_folder_that_is_not_there(fit, tmp_path, name):
    with pytest.raises(OSError, match=r"there is no folder '.*nowhere'\. Nothing") as caught:
        WRITERS[name](fit, tmp_path / "nowhere" / name)
    assert caught.value.errno == errno.ENOENT
    assert ".hm-" not in str(caught.value)  # the name of the user, not that of the place beside it


def test_a_name_that_is_a_folder(fit, tmp_path):
    with pytest.raises(FileError, match="it is a folder"):
        fit.save(tmp_path)


@pytest.mark.parametrize("place", ["a\\b/posterior.nc", "back\\slash.nc"])
def test_a_backslash_is_part_of_a_name(fit, tmp_path, place):
    target = tmp_path / place
    target.parent.mkdir(exist_ok=True)
    fit.save_posterior(target)
    plain = target.rename(tmp_path / "plain.nc")
    with xr.open_datatree(plain) as tree:
        np.testing.assert_array_equal(tree["posterior"]["sigma"], fit.idata["posterior"]["sigma"])
    fit.save(tmp_path / "back\\slash.hm")
    assert hm.load(tmp_path / "back\\slash.hm").draws.n == fit.draws.n


# kernels


KERNEL = """
from hiermodels.density.compilation import kernel
@kernel
def treble(x):
    return 3 * x
"""


@pytest.fixture
def kernel_module(tmp_path, monkeypatch):
    """The name of a module with a kernel of its own, and no memory of what could not be kept."""
    monkeypatch.setattr(compilation, "_unkept", [])
    monkeypatch.syspath_prepend(tmp_path)
    name = f"kernels_of_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(KERNEL)
    return name


def test_a_disk_that_is_full_when_kernels_are_kept(kernel_module, monkeypatch):
    def full(self: object, *args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_CacheFile, "_save_data", full)
    module = importlib.import_module(kernel_module)
    with pytest.warns(HierModelsWarning, match="each process compiles them anew") as told:
        assert module.treble(2.0) == 6.0
    assert len(told) == 1
    assert module.treble(2) == 6  # compiled anew, and not told again
    assert "No space left on device" in str(told[0].message)
    assert not compilation.kept_on_disk()


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"\x80\x04"])
def test_a_cache_that_a_crash_left_unreadable(kernel_module, tmp_path, content):
    module = importlib.import_module(kernel_module)
    assert module.treble(2.0) == 6.0
    for damaged in ("*.nbi", "*.nbc"):
        for path in tmp_path.rglob(damaged):
            path.write_bytes(content)
        assert importlib.reload(module).treble(2.0) == 6.0


def test_without_a_folder_for_kernels_it_is_said(kernel_module, monkeypatch, capsys):
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    monkeypatch.setattr(
        "hiermodels.density.compilation.FunctionCache._impl_class._locator_classes", []
    )
    assert importlib.import_module(kernel_module).treble(2.0) == 6.0
    settings = SamplerSettings(
        draws=4,
        tune=0,
        chains=1,
        cores=1,
        target_accept=0.8,
        random_seed=1,
        progressbar=True,
    )
    tell_compiling(FIRST_USE, settings)
    told = capsys.readouterr().err
    assert told == FIRST_USE.format(once=sampling.EACH_TIME) + "\n"
    assert "in every process" in told
    assert "NUMBA_CACHE_DIR" in told
    assert ahead.start() is None  # a second process would compile for itself alone
