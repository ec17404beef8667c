"""After divergences a fit is tried again with shorter steps, and both tries are told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm


@pytest.fixture
def model():
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(6), 10)
    y = rng.normal(size=6)[g] + rng.normal(size=60)
    return hm.Model("y ~ 1 + (1 | g)", pd.DataFrame({"y": y, "g": [f"g{k}" for k in g]}))


def diverging(model, monkeypatch, counts):
    """The model, whose tries report these numbers of divergences; the settings it used."""
    used, sample = [], model._sample

    def pretend(choice, settings, *, keep):
        found = sample(choice, replace(settings, target_accept=0.8), keep=keep)
        found["posterior"].attrs["divergences"] = counts[len(used)]
        used.append(settings)
        return found

    monkeypatch.setattr(model, "_sample", pretend)
    return used


def test_without_divergences_there_is_one_try(model, monkeypatch):
    used = diverging(model, monkeypatch, [0])
    found = model.fit(draws=20, random_seed=1, progressbar=False)
    assert len(used) == 1
    assert "second_try" not in found.idata["posterior"].attrs


@pytest.mark.parametrize(("counts", "kept"), [((5, 2), "second"), ((5, 7), "first")])
def test_the_try_with_fewer_divergences_is_kept(model, monkeypatch, counts, kept):
    used = diverging(model, monkeypatch, counts)
    found = model.fit(draws=20, random_seed=1, progressbar=False)
    assert [s.target_accept for s in used] == pytest.approx([0.8, 0.9])
    assert found.diagnostics.divergences == min(counts)
    text = " ".join(found.summary().text().split())
    first, second = text.split("Sampled twice: first at target_accept 0.8 (")[1].split(
        "then at 0.9 ("
    )
    assert "R-hat" in first
    assert "divergences 5)" in first
    assert f"divergences {counts[1]})" in second
    assert f"the draws of the {kept} try" in text


def test_a_given_target_is_obeyed(model, monkeypatch):
    used = diverging(model, monkeypatch, [5])
    found = model.fit(draws=20, random_seed=1, target_accept=0.7, progressbar=False)
    assert len(used) == 1
    assert found.diagnostics.divergences == 5
