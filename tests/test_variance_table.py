"""The variance table as it is read: one kind of estimate, and what does not add up is said."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_up import made_up_fit, table
from scipy import stats
from stand_in import fit_of

import hiermodels as hm
from hiermodels.labels.tables import variance_table
from hiermodels.numbers.variance import components, strata_change

#: The standard models of the shipped data: their family, and the scales of their variance.
SHIPPED = [
    ("variance_sim", "y ~ 1 + (1 | groupID)", "gaussian"),
    ("variance_sim", "y ~ x1 + (1 | groupID)", "gaussian"),
    ("sites", "y ~ x + (1 | site)", "gaussian"),
    ("sites", "y ~ x + (x | site)", "gaussian"),
    ("sites", "y ~ x + (x || site)", "gaussian"),
    ("sleepstudy", "Reaction ~ Days + (Days | Subject)", "gaussian"),
    ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", "gaussian"),
    ("dragons_sim", "testScore ~ bodyLength + (1 | mountainRange)", "gaussian"),
    ("dragons_sim", "testScore ~ bodyLength + (bodyLength | mountainRange)", "gaussian"),
    ("dragons_sim", "testScore ~ bodyLength + (1 | mountainRange/site)", "gaussian"),
    ("blossoms_sim", "UBW ~ 1 + (1 | pop/patch)", "gaussian"),
    ("blossoms_sim", "UBW ~ LBW + (1 | pop/patch)", "gaussian"),
    ("plots_sim", "biomass ~ 1 + (1 | plot) + (1 | year) + (1 | plot:year)", "gaussian"),
    ("bats_sim", "mass ~ species * forest + (forest | sites)", "gaussian"),
    ("bees_sim", "Eulaema_nigrita ~ MAP + (1 | SA)", "negbinomial"),
    ("sites_nb", "y ~ x + (x | site)", "negbinomial"),
    ("rehab", "incidents ~ treatment + gender + hours + (treatment | center)", "poisson"),
]


def fit_of_data(data: str, formula: str, family: str = "gaussian", seed: int = 1):
    return hm.fit(
        formula, hm.load_dataset(data), family=family, random_seed=seed, progressbar=False
    )


def read(printed: str) -> dict[tuple[str, str], dict[str, float]]:
    """The numbers that a reader sees, by component and term: sd, variance, percent."""
    lines = printed.splitlines()
    head = next(k for k, line in enumerate(lines) if line.startswith("component"))
    found: dict[tuple[str, str], dict[str, float]] = {}
    last = ""
    for line in lines[head + 1 :]:
        cells = re.split(r" {2,}", line)
        if len(cells) < 4:
            break
        has_term = not re.match(r"^[-\d]", cells[1])
        term = cells[1] if has_term else ""
        last = cells[0] or last
        numbers = [float(c.split(" ")[0]) for c in cells[1 + has_term : 4 + has_term]]
        found[last, term] = dict(zip(("sd", "variance", "percent"), numbers, strict=True))
    return found


def told_gap(note: str) -> float | None:
    found = re.search(r"differs from it by up to ([\d.]+) points", note)
    return float(found[1]) if found else None


@pytest.mark.parametrize(("data", "formula", "family"), SHIPPED)
def test_the_columns_of_a_shipped_table_belong_together(data, formula, family):
    """Printed shares are printed variance / total to 2 points, or the note says by how much."""
    fit = fit_of_data(data, formula, family)
    for scale in fit.scales:
        for common in (False, True):
            made = fit.variance_table(scale=scale, common=common)
            rows = read(made.text())
            total = rows.pop(("total", ""))
            assert len(rows) == len(made) - 1
            assert total["percent"] == 100
            gaps = [
                abs(r["percent"] - 100 * r["variance"] / total["variance"]) for r in rows.values()
            ]
            told = told_gap(made.note)
            if max(gaps) > 2:
                # two digits of the number are printed
                assert told == pytest.approx(max(gaps), rel=0.05)
            else:
                assert told is None
            whole = made["percent"].iloc[:-1].sum()
            said = re.search(r"these give (\d+\.\d)", made.note)
            assert (said is not None) == (abs(whole - 100) >= 0.05)
            assert said is None or float(said[1]) == pytest.approx(whole, abs=0.051)


def skewed(fit, factor: str, spread: float, seed: int = 3):
    """The fit with an sd whose posterior is lognormal with this spread, and sigma = 2."""
    posterior = fit.idata["posterior"].to_dataset()
    sd = posterior[f"sd_{factor}"]
    values = np.exp(spread * np.random.default_rng(seed).normal(size=sd.shape))
    fit.idata["posterior"] = posterior.assign(
        {f"sd_{factor}": (sd.dims, values), "sigma": 0 * posterior["sigma"] + 2}
    )
    return fit


def test_every_number_of_the_table_is_a_median():
    """Of draws that are skewed, so that their means are elsewhere."""
    fit = skewed(made_up_fit("y ~ 1 + (1 | pop)"), "pop", 1.5)
    made = fit.variance_table().set_index("component")
    v = fit.draws.sd["pop"][:, 0] ** 2
    share = 100 * v / (v + 4)
    assert abs(np.median(share) - share.mean()) > 1
    assert made.loc["pop", "sd"] == pytest.approx(np.median(np.sqrt(v)))
    assert made.loc["pop", "variance"] == pytest.approx(np.median(v))
    assert made.loc["pop", "percent"] == pytest.approx(np.median(share))
    mean = fit.components().mean
    assert made.loc["pop", "cv2"] == pytest.approx(np.median(v / mean**2))
    attached = fit.variance_table().attrs["mean"]
    assert attached["estimate"] == pytest.approx(np.median(mean))
    assert attached["upper"] == pytest.approx(np.quantile(mean, 0.975))
    assert "mean" not in made.columns
    assert fit.variance_table().title == "Variance components (posterior median, 95 % interval)"


def test_a_share_that_the_numbers_beside_it_do_not_give_is_told():
    """Two skewed factors: the median of a ratio is not the ratio of the medians."""
    fit = skewed(made_up_fit("y ~ 1 + (1 | pop) + (1 | year)"), "pop", 1.5)
    fit = skewed(fit, "year", 1.5, seed=4)
    made = fit.variance_table()
    rows = read(made.text())
    gaps = {
        name: abs(r["percent"] - 100 * r["variance"] / rows["total", ""]["variance"])
        for name, r in rows.items()
    }
    worst = max(gaps, key=lambda name: gaps[name])
    assert gaps[worst] > 2
    assert told_gap(made.note) == pytest.approx(gaps[worst], rel=0.05)
    assert f"({' '.join(filter(None, worst))})." in made.note
    assert "Medians of shares need not add up to 100: these give" in made.note


def test_the_total_is_all_of_itself():
    made = made_up_fit("y ~ x + (x | pop)").variance_table()
    last = made.iloc[-1]
    assert last["percent"] == 100
    assert np.isnan(last[["percent_lower", "percent_upper"]].to_numpy(dtype=float)).all()
    assert "[100" not in made.text()
    for text in (made.text(), made.markdown(), made.to_html(), made.to_latex()):
        assert re.search(r"(?<![\d.])100(?![\d.])", text)


def test_a_mean_that_was_given_has_no_interval():
    fit = fit_of("poisson", "y ~ 1 + (1 | pop)", sd={"pop": 0.6}, spread=0.2)
    made = fit.variance_table(scale="latent", expected=4.5)
    assert made.note.startswith("Mean of y, as given: 4.50. ")
    assert fit.variance_table(scale="latent").note.startswith("Mean of y over all possible groups")


# --- the one-row table ----------------------------------------------------------------------------


def test_the_one_row_table_of_the_biology_chapter(reference):
    """43.68 % among, 56.32 % within, CV2 0.006, 0.008, 0.014: published, of maximum likelihood.

    It takes the variance among ten groups a tenth too small, as if their mean were known; with nine
    degrees of freedom (REML) it is 10.29, 46.4 %. The posterior of V + sigma^2 / 20, the variance
    of their means, is 9 s^2 / chi2(9) under a flat prior of its logarithm and 9 s^2 / chi2(8) under
    one of its sd, whose median is the larger; the half-t of the model lies between. The residual
    has 190 degrees of freedom: the median of its variance is within 1 % of REML's, and Monte Carlo
    error is as much.
    """
    made = fit_of_data("variance_sim", "y ~ 1 + (1 | groupID)").variance_table(wide=True)
    assert len(made) == 1
    row = made.iloc[0]
    names = [
        "mean",
        "sd",
        "percent_among",
        "percent_within",
        "cv2_among",
        "cv2_within",
        "cv2_total",
    ]
    assert [c for c in made if not c.endswith(("_lower", "_upper"))] == ["response", *names]
    y = hm.load_dataset("variance_sim")["y"]
    assert row["mean"] == pytest.approx(y.mean(), abs=4 * 3.45 / np.sqrt(200) / np.sqrt(1000))
    case = reference["variance_null_reml"]
    among, within = case["random"]["groupID"]["var"][0], case["sigma"] ** 2
    assert row["cv2_within"] * y.mean() ** 2 == pytest.approx(within, rel=0.02)
    low, high = ((among + within / 20) * 9 / stats.chi2(df).median() - within / 20 for df in (9, 8))
    assert low < row["cv2_among"] * y.mean() ** 2 < high
    assert 100 * low / (low + within) < row["percent_among"] < 100 * high / (high + within)
    # two components: medians of a share and of its complement
    assert row["percent_among"] + row["percent_within"] == pytest.approx(100)
    published = {"percent_among": 43.68, "percent_within": 56.32, "sd": 4.602}
    for name, value in published.items():
        assert row[f"{name}_lower"] < value < row[f"{name}_upper"]
    for name, value in {"among": 0.006, "within": 0.008, "total": 0.014}.items():
        # the chapter has three digits after the point
        assert row[f"cv2_{name}_lower"] - 0.0005 <= value <= row[f"cv2_{name}_upper"] + 0.0005


def test_one_row_of_several_components_is_the_table_in_a_row():
    fit = made_up_fit("y ~ x + (x | pop) + (1 | year)")
    long, wide = fit.variance_table(common=True), fit.variance_table(common=True, wide=True)
    names = ["common_effects", "among_pop", "among_pop[x]", "among_year", "within", "total"]
    for quantity in ("percent", "cv2"):
        for end in ("", "_lower", "_upper"):
            for k, name in enumerate(names):
                if (quantity, name) != ("percent", "total"):
                    assert (
                        wide[f"{quantity}_{name}{end}"].iloc[0] == long[f"{quantity}{end}"].iloc[k]
                    )
    assert wide["sd"].iloc[0] == long["sd"].iloc[-1]
    assert "percent_total" not in wide
    assert wide.attrs["mean"] == long.attrs["mean"]
    assert "Medians of shares need not add up" in wide.note


def test_rows_of_several_responses_stand_below_each_other():
    data = table().assign(z=lambda d: d["y"] + 1)
    rows = [made_up_fit(f"{y} ~ 1 + (1 | pop)", data).variance_table(wide=True) for y in "yz"]
    made = pd.concat(rows, ignore_index=True)
    assert list(made["response"]) == ["y", "z"]
    assert made.notna().all(axis=None)


def test_one_row_says_why_there_is_no_cv2():
    fit = fit_of("bernoulli", "y ~ 1 + (1 | pop)", sd={"pop": 0.6})
    made = fit.variance_table(scale="data", wide=True)
    assert not [c for c in made if c.startswith("cv2")]
    assert "No CV²:" in made.note


def test_one_row_of_a_model_without_groups():
    made = made_up_fit("y ~ x").variance_table(wide=True)
    assert made["percent_within"].iloc[0] == 100
    assert "percent_among" not in made


# --- a model against itself -----------------------------------------------------------------------


def grouped(n_groups: int, *, rows: int = 10, seed: int = 5) -> pd.DataFrame:
    """Rows of groups whose sd is that of the rows."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n_groups), rows)
    y = 10 + rng.normal(size=n_groups)[g] + rng.normal(size=g.size)
    return pd.DataFrame({"y": y, "g": [f"g{j}" for j in g], "x": rng.normal(size=g.size)})


def error_of_median(fit, name: str) -> float:
    """ArviZ's Monte Carlo standard error of a median, over it; of a variance twice the sd's."""
    from arviz_stats.base import array_stats

    values = fit.idata["posterior"][name].to_numpy()
    values = np.square(values.reshape(*values.shape[:2], -1)[:, :, 0])
    error = array_stats.mcse(values, chain_axis=0, draw_axis=1, method="median")
    return float(error / np.median(values))


@pytest.mark.parametrize("n_groups", [6, 10, 20])
def test_the_same_model_with_another_seed_explains_nothing(n_groups):
    data = grouped(n_groups)
    one, two = (
        hm.fit("y ~ 1 + (1 | g)", data, random_seed=seed, progressbar=False) for seed in (1, 2)
    )
    made = one.r2(null=two).set_index("r2")
    for stratum, name in (("g", "sd_g"), ("residual", "sigma")):
        row = made.loc[f"change of {stratum}"]
        error = np.hypot(error_of_median(one, name), error_of_median(two, name))
        assert abs(row["estimate"]) < 4 * error
        assert np.isnan(row["lower"])
        assert np.isnan(row["upper"])
    # what draws that are not paired say of the same two fits, many Monte Carlo errors off
    unpaired = 1 - (one.draws.sd["g"][:, 0] ** 2 / two.draws.sd["g"][:, 0] ** 2).mean()
    error = np.hypot(error_of_median(one, "sd_g"), error_of_median(two, "sd_g"))
    assert unpaired < -2 * error
    printed = one.r2(null=two).text()
    assert re.search(r"change of g +1 - V / V_null +-?0\.\d+$", printed, flags=re.MULTILINE)
    assert one.r2(null=one).set_index("r2").loc["change of g", "estimate"] == 0


def test_the_error_of_a_change_is_that_of_its_repetition():
    """Of lognormal draws: the median of n has the error sqrt(pi / 2) s / sqrt(n) of itself."""
    fit = made_up_fit("y ~ 1 + (1 | pop)")
    parts, rng, n = fit.components(), np.random.default_rng(0), 4000
    spreads, errors = (0.7, 0.4), []
    for _ in range(30):
        one, two = (
            replace(parts, groups=np.exp(s * rng.normal(size=(n, 1))), residual=np.ones(n))
            for s in spreads
        )
        found = strata_change(fit.design, one, fit.design, two)
        errors.append(found["pop"].error)
        assert found["residual"].error == 0
        assert abs(found["pop"].estimate) < 5 * found["pop"].error
    truth = np.sqrt(np.pi / 2) * np.hypot(*spreads) / np.sqrt(n)
    # the mean of 30 sds of 20 medians each: 3 %; of 200 draws, a median is 1 % from its limit
    assert np.mean(errors) == pytest.approx(truth, rel=0.1)


def test_the_note_has_the_monte_carlo_error_of_a_change():
    fit, null = made_up_fit("y ~ x + (1 | pop)"), made_up_fit("y ~ 1 + (1 | pop)", seed=5)
    note = fit.r2(null=null).note
    assert "no interval" in note
    assert float(re.search(r"at most ([\d.]+)\.", note)[1]) > 0


def test_steps_of_a_build_up_are_ratios_of_medians():
    """Also of slopes, and a predictor of nothing explains nothing."""
    rng = np.random.default_rng(2)
    data = grouped(20)
    slope = rng.normal(size=20)[np.repeat(np.arange(20), 10)]
    data["y"] += (1 + slope) * data["x"]
    data["z"] = rng.normal(size=20)[np.repeat(np.arange(20), 10)]
    made = hm.build_up(
        "y ~ 1 + (1 | g)",
        data,
        level1="x",
        level2="z",
        logo=False,
        draws=500,
        random_seed=1,
        progressbar=False,
    )
    rows, fits = made.set_index("step"), made.fits
    null, one, two = (fits[k] for k in ("1 intercepts", "2 level 1", "3 level 2"))
    for step, fit in (("2 level 1", one), ("3 level 2", two)):
        medians = [np.median(f.draws.sd["g"] ** 2) for f in (fit, null)]
        assert rows.loc[step, "explained_groups"] == pytest.approx(1 - medians[0] / medians[1])
        medians = [np.median(f.draws.residual**2) for f in (fit, null)]
        assert rows.loc[step, "explained_rows"] == pytest.approx(1 - medians[0] / medians[1])
    last, before = fits["6 cross-level"], fits["5 slopes"]
    medians = [np.median(f.draws.sd["g"][:, 1] ** 2) for f in (last, before)]
    wanted = 1 - medians[0] / medians[1]
    assert rows.loc["6 cross-level", "explained_slopes"] == pytest.approx(wanted)
    assert not [c for c in made if c.startswith("explained") and c.endswith(("lower", "upper"))]
    assert "draws of two fits are not paired" in made.note
    head, cells = made.cells(max_rows=60)
    at = head.index("explained_groups")
    assert all("[" not in row[at] for row in cells)


def test_cv2_has_the_mean_and_the_variance_of_the_same_draw():
    """Where only some draws have group effects, the mean is of these, and so is its CV²."""
    whole = made_up_fit("y ~ x + (1 | pop)")
    keep = np.arange(0, whole.draws.n, 3)
    effects = {k: v[keep] for k, v in whole.draws.effects.items()}
    design, draws = whole.design, replace(whole.draws, effects=effects, kept=keep)
    parts = components(design, draws)
    b = effects["pop"][:, design.blocks[0].index, 0]
    eta = draws.intercept[keep, None] + draws.beta[keep] @ design.common.values.T + b
    np.testing.assert_allclose(parts.mean, eta.mean(axis=1))
    found = variance_table(design, parts, ci_prob=0.95)
    expected = np.median(draws.sd["pop"][keep, 0] ** 2 / eta.mean(axis=1) ** 2)
    assert found["cv2"].iloc[0] == pytest.approx(expected)
    assert found["variance"].iloc[0] == pytest.approx(np.median(draws.sd["pop"][:, 0] ** 2))
