"""Reports of a fit, on a made-up posterior."""

import numpy as np
import pytest
from made_up import made_up_fit, table

from hiermodels.errors import NotAvailableError, UnknownNameError


@pytest.fixture(scope="module")
def fit():
    return made_up_fit("y ~ x + w + (x | pop) + (1 | year)")


def test_fixef(fit):
    found = fit.fixef()
    assert list(found["term"]) == ["Intercept", "x", "w"]
    assert found["estimate"].iloc[1] == pytest.approx(np.median(fit.draws.beta[:, 0]))
    assert found["lower"].iloc[0] == pytest.approx(np.quantile(fit.draws.intercept, 0.025))
    narrow = fit.fixef(ci_prob=0.5)
    assert (narrow["upper"] - narrow["lower"] < found["upper"] - found["lower"]).all()
    assert narrow.title == "Common effects (posterior median, 50 % interval)"


def test_ranef_and_coef(fit):
    effects, coefficients = fit.ranef("pop"), fit.coef("pop")
    assert list(effects.columns) == [
        *("group", "level", "term", "estimate", "sd", "lower", "upper", "n", "shrinkage")
    ]
    assert list(coefficients["term"].unique()) == ["Intercept", "x", "w"]
    row = coefficients[(coefficients["level"] == "P2") & (coefficients["term"] == "x")].iloc[0]
    draws = fit.draws.beta[:, 0] + fit.draws.effects["pop"][:, 2, 1]
    assert row["estimate"] == pytest.approx(np.median(draws))
    assert row["n"] == (table()["pop"] == "P2").sum()
    common = coefficients[coefficients["term"] == "w"]
    assert common["estimate"].nunique() == 1
    assert common["shrinkage"].isna().all()


def test_without_a_factor_all_of_them(fit):
    found = fit.ranef()
    assert list(found["group"].unique()) == ["pop", "year"]
    assert len(found) == 5 * 2 + 6
    assert found.title == "Group effects of all factors (posterior median, 95 % interval)"


def test_term_that_only_the_factor_has():
    fit = made_up_fit("y ~ 1 + (x | pop)")
    found = fit.coef("pop")
    x = found[found["term"] == "x"]["estimate"].to_numpy()
    np.testing.assert_allclose(x, np.median(fit.draws.effects["pop"][:, :, 1], axis=0))


def test_unknown_factor(fit):
    with pytest.raises(UnknownNameError, match=r"Valid: pop, year. Did you mean 'pop'?"):
        fit.coef("popp")


def test_factor_must_be_named_where_there_are_two(fit):
    with pytest.raises(ValueError, match="say which grouping factor: pop, year"):
        fit.shrinkage()


def test_no_groups():
    fit = made_up_fit("y ~ x")
    assert "no group" not in fit.summary().text()
    for report in (fit.ranef, fit.coef, fit.icc, fit.shrinkage):
        with pytest.raises(NotAvailableError, match=r"has no group term, such as \(1 \| site\)"):
            report()
    assert list(fit.variance_table()["component"]) == ["residual", "total"]


def test_summary_reads_like_lme4s(fit):
    text = fit.summary().text()
    for line in (
        "y ~ x + w + (x | pop) + (1 | year)",
        "120 rows; pop 5 levels, year 6 levels",
        "Groups (posterior median, 95 % interval)",
        "Common effects (posterior median, 95 % interval)",
        "Sampler",
        "Priors",
    ):
        assert line in text
    assert text.index("Groups (") < text.index("Common effects") < text.index("Sampler")
    assert repr(fit) == text


def test_summary_for_other_readers(fit):
    page = fit.summary()
    assert page.markdown().startswith("# y ~ x + w + (x | pop) + (1 | year)")
    assert "<table" in page._repr_html_()
    assert fit._repr_html_() == page.html()


def test_user_text_is_escaped_in_html():
    data = table().assign(pop=lambda d: "<script>" + d["pop"])
    html = made_up_fit("y ~ 1 + (1 | pop)", data).coef()._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_dropped_rows_stand_in_the_summary():
    from hiermodels.errors import MissingDataWarning

    data = table()
    data.loc[3, "x"] = np.nan
    with pytest.warns(MissingDataWarning):
        fit = made_up_fit("y ~ x + (1 | pop)", data)
    assert "1 row dropped, missing values: 1 in 'x'" in fit.summary().text()


def test_diagnostics_in_words():
    fit = made_up_fit("y ~ x + (1 | pop)")
    posterior = fit.idata["posterior"].to_dataset()
    stuck = posterior["sigma"] + 10 * posterior["chain"]
    attributes = {**posterior.attrs, "divergences": 3}
    fit.idata["posterior"] = posterior.assign(sigma=stuck).assign_attrs(attributes)
    words = fit.diagnostics.words()
    assert "(sigma)" in words[0]
    assert any(w.startswith("The chains do not agree") for w in words)
    assert any(w.startswith("Few effective draws") for w in words)
    assert any("transitions diverged" in w for w in words)
    assert not fit.diagnostics.good


def test_posterior_is_written_and_read(fit, tmp_path):
    import xarray as xr

    fit.save_posterior(tmp_path / "posterior.nc")
    with xr.open_datatree(tmp_path / "posterior.nc", engine="netcdf4") as tree:
        np.testing.assert_array_equal(tree["posterior"]["b_pop"], fit.idata["posterior"]["b_pop"])


def test_tables_are_frames_that_print(fit):
    found = fit.coef("pop")
    part = found[found["term"] == "x"].sort_values("estimate")
    assert type(part) is type(found)
    assert part["estimate"].is_monotonic_increasing
    assert "[" in repr(part)
    assert found.markdown().count("\n") >= len(found)


@pytest.mark.parametrize(
    ("value", "lower", "upper", "text"),
    [
        (0.6612, 0.1643, 1.1532, "0.66 [0.16, 1.15]"),
        (43.68, 20.1, 66.7, "44 [20, 67]"),
        (1234.4, 1100.2, 1366.6, "1234 [1100, 1367]"),
        (0.00047, 0.00003, 0.00252, "0.00047 [0.00003, 0.00252]"),
        (-0.001, -0.4, 0.4, "0.00 [-0.40, 0.40]"),
        (5.0, 5.0, 5.0, "5 [5, 5]"),
    ],
)
def test_digits_follow_the_interval(value, lower, upper, text):
    from hiermodels.printing import format_interval

    assert format_interval(value, lower, upper) == text
