"""What the pictures of the chains show is what the chains have."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from made_up import made_up_fit, table

from hiermodels.errors import UnknownNameError
from hiermodels.numbers.diagnostics import labelled_draws, rank_counts
from hiermodels.pictures.sampler import draw_trace
from hiermodels.results import Fit

mpl.use("Agg")


@pytest.fixture(scope="module")
def fit() -> Fit:
    return made_up_fit("y ~ x + (x | pop)", table())


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_ranks_are_counted_among_all_chains() -> None:
    values = np.random.default_rng(3).normal(size=(3, 40))
    below = (values[..., None, None] > values).sum(axis=(2, 3))  # how many are lower
    expected = [np.bincount(chain // 6, minlength=20) for chain in below]
    np.testing.assert_array_equal(rank_counts(values), expected)


def test_labels_have_their_draws(fit: Fit) -> None:
    found = labelled_draws(fit.idata, fit.design)
    assert tuple(found) == fit.diagnostics.parameters
    posterior = fit.idata["posterior"]
    np.testing.assert_array_equal(found["sigma"], posterior["sigma"])
    np.testing.assert_array_equal(
        found["b_pop[P2, x]"], posterior["b_pop"].sel(pop="P2", pop_term="x")
    )


def test_the_worst_are_drawn_first(fit: Fit) -> None:
    ess = dict(zip(fit.diagnostics.parameters, fit.diagnostics.ess_bulk, strict=True))
    worst = sorted(ess, key=lambda name: ess[name])[:4]
    axes = fit.plot.trace()
    assert [row[0].get_title(loc="left") for row in axes] == worst
    assert all(row[1].get_title(loc="left").startswith("R-hat") for row in axes)


def test_lines_and_bars_are_those_of_the_chains(fit: Fit) -> None:
    ((left, right),) = fit.plot.trace("beta[x]")
    values = fit.idata["posterior"]["beta"].sel(term="x").transpose("chain", "draw").to_numpy()
    for line, chain in zip(left.lines, values, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), chain)
    counts = rank_counts(values)
    heights = np.array([bar.get_height() for bar in right.patches]).reshape(counts.shape)
    # the rows of all chains have one scale
    np.testing.assert_allclose(heights / heights.max(), counts / counts.max())
    assert [t.get_text() for t in right.get_yticklabels()] == ["chain 1", "chain 2"]


def test_ranks_do_not_reach_the_next_chain() -> None:
    chains = np.arange(60.0).reshape(3, 20)  # as far apart as chains can be
    ((_, right),) = draw_trace({"a": chains})
    rows = np.repeat([2, 1, 0], len(right.patches) // 3)
    for bar, row in zip(right.patches, rows, strict=True):
        assert row <= bar.get_y() <= bar.get_y() + bar.get_height() <= row + 1


def test_given_axes_take_one_parameter(fit: Fit, tmp_path: Path) -> None:
    figure, pair = plt.subplots(1, 2)
    assert list(fit.plot.trace("sigma", ax=pair)[0]) == list(pair)
    figure.savefig(tmp_path / "trace.png")
    with pytest.raises(UnknownNameError, match="the two panels of one"):
        fit.plot.trace(["sigma", "beta[x]"], ax=pair)


def test_an_unknown_parameter(fit: Fit) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'sd_pop\\[x\\]'"):
        fit.plot.trace("sd_pop[xx]")
