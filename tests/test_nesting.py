"""Findings about the grouping, on the originals and on rows made to have one."""

import numpy as np
import pandas as pd
import pytest
from made_up import made_up_fit, table

import hiermodels as hm
from hiermodels.errors import GroupingWarning
from hiermodels.fitting import Model
from hiermodels.nesting import find_nesting, slope_probability


def kinds(model):
    return [f.kind for f in model.nesting()]


@pytest.fixture(scope="module")
def blossoms(datasets_dir):
    data = pd.read_csv(datasets_dir / "blossoms.csv")
    return data.dropna(subset=["LBW"])


def test_blossoms_reuse_their_patch_labels(blossoms):
    (finding,) = Model("LBW ~ 1 + (1 | pop) + (1 | patch)", blossoms).nesting()
    per_label = blossoms.groupby("patch")["pop"].nunique()
    assert finding.counts == {
        "labels": 26,
        "recurring": int((per_label > 1).sum()),
        "parents": 9,
        "most": int(per_label.max()),
        "cells": 95,
    }
    assert not finding.certain
    assert "(1 | pop/patch)" in finding.repair
    assert finding.group == "patch"


@pytest.mark.parametrize(
    "formula", ["LBW ~ 1 + (1 | pop/patch)", "LBW ~ 1 + (1 | pop) + (1 | patch) + (1 | pop:patch)"]
)
def test_cells_in_the_formula_answer_the_question(blossoms, formula):
    assert kinds(Model(formula, blossoms)) == []


@pytest.mark.parametrize("order", [("mountainRange", "site"), ("site", "mountainRange")])
def test_dragons_sites_recur_in_whatever_order(datasets_dir, order):
    data = pd.read_csv(datasets_dir / "dragons.csv")
    model = Model(f"testScore ~ bodyLength + (1 | {order[0]}) + (1 | {order[1]})", data)
    recurring = model.nesting().found[0]
    assert recurring.counts == {
        "labels": 3,
        "recurring": 3,
        "parents": 8,
        "most": 8,
        "cells": 24,
    }
    assert "(1 | mountainRange/site)" in recurring.repair
    assert kinds(model) == ["recurring labels", "few levels"]


def test_nothing_on_penicillin():
    model = Model("diameter ~ 1 + (1 | plate) + (1 | sample)", hm.load_dataset("penicillin"))
    assert len(model.nesting()) == 0
    assert repr(model.nesting()) == "Nothing to say about the grouping."


def test_nothing_about_hours():
    data = hm.load_dataset("rehab")
    model = Model("incidents ~ treatment + hours + (treatment | center)", data)
    assert len(model.nesting()) == 0


def test_a_slope_needs_a_column_that_varies_within_levels():
    (finding,) = [
        f for f in Model("y ~ w + (w | pop)", table()).nesting() if f.kind == "constant slope"
    ]
    assert finding.certain
    assert finding.repair == "Leave it out of the bar: w + (1 | pop)."
    assert "constant slope" not in kinds(Model("y ~ x + (x | pop)", table()))


@pytest.mark.parametrize("few", [4, 5])
def test_few_levels(few):
    data = table()
    data = data[data["pop"].isin([f"P{j}" for j in range(few)])]
    assert ("few levels" in kinds(Model("y ~ x + (1 | pop)", data))) == (few < 5)


def test_a_group_that_is_a_common_effect_too():
    found = Model("y ~ pop + (1 | pop)", table()).nesting().found
    assert [f.kind for f in found] == ["collinear with the group"]
    assert "4 more" not in found[0].message


def test_a_predictor_with_a_value_for_each_of_few_levels():
    assert kinds(Model("y ~ w + (1 | pop)", table())) == ["predictor of few levels"]
    two_values = table().assign(w=lambda d: (d["w"] > 0.4).astype(float))
    assert kinds(Model("y ~ w + (1 | pop)", two_values)) == []


def clustered(*, contextual: float, seed: int) -> pd.DataFrame:
    """30 groups of 12; the level mean of x has an effect of its own."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(30), 12)
    means = rng.normal(0, 1, 30)
    x = means[group] + rng.normal(0, 1, len(group))
    effect = rng.normal(0, 1, 30) + contextual * means
    y = x + effect[group] + rng.normal(0, 1, len(group))
    return pd.DataFrame({"y": y, "x": x, "g": [f"g{j:02d}" for j in group]})


def test_a_contextual_effect_is_found_and_repaired():
    data = clustered(contextual=3, seed=0)
    (finding,) = Model("y ~ x + (1 | g)", data).nesting()
    assert not finding.certain
    assert finding.repair == "Both: within(x, g) + between(x, g)."
    assert kinds(Model("y ~ within(x, g) + between(x, g) + (1 | g)", data)) == []


def test_without_a_contextual_effect_there_are_no_more_findings_than_the_level_says():
    found = [
        len(find_nesting(Model("y ~ x + (1 | g)", clustered(contextual=0, seed=s)).design))
        for s in range(200)
    ]
    # 200 tests at 0.01: more than 7 happens once in a thousand times
    assert sum(found) <= 7


def test_slope_probability_is_that_of_the_regression():
    from scipy.stats import linregress

    rng = np.random.default_rng(3)
    x = rng.normal(size=9)
    y = 0.4 * x + rng.normal(size=9)
    assert slope_probability(y, x) == pytest.approx(linregress(x, y).pvalue, rel=1e-10)


def test_faults_warn_before_a_fit_and_notes_do_not(monkeypatch):
    stop = RuntimeError("no draw is needed")

    def no_sampling(*args, **kwargs):
        raise stop

    monkeypatch.setattr(Model, "_sample", no_sampling)
    with (
        pytest.raises(RuntimeError, match="no draw"),
        pytest.warns(GroupingWarning, match="'year' has 3 levels") as told,
    ):
        Model("y ~ x + (1 | year)", table().query("year < 2003")).fit()
    assert len(told) == 1
    with pytest.raises(RuntimeError, match="no draw"):  # a warning would be an error
        Model("y ~ x + (1 | pop) + (1 | year)", table()).fit()


def test_notes_stand_in_the_summary():
    fit = made_up_fit("y ~ x + (1 | pop) + (1 | year)")
    assert "Note: 6 of the 6 labels of 'year' recur" in fit.summary().text()


def test_table():
    found = Model("y ~ w + (w | pop)", table()).nesting().table()
    assert list(found.columns) == ["finding", "group", "weight", "message", "repair"]
    assert set(found["weight"]) == {"warning"}
