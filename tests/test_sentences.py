"""What the sentences compare, given what, and the ratios they tell."""

import numpy as np
import pytest
from made_up import made_up_fit, table
from stand_in import fit_of

from hiermodels.labels.sentences import median_ratio
from hiermodels.printing import format_interval


def sentence(fit, *words, rows="rows"):
    """The one sentence with all these words."""
    found = [s for s in fit.describe(rows=rows) if all(w in s for w in words)]
    assert len(found) == 1, found
    return found[0]


def test_median_ratio_is_that_of_random_pairs():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1.1, (2, 400_001))
    larger = np.exp(np.abs(a - b))
    # the standard error of a median of 4e5 is about 0.5 %
    assert np.median(larger) == pytest.approx(float(median_ratio(np.array(1.1))), rel=0.02)
    assert float(median_ratio(np.array(1.0))) == pytest.approx(
        np.exp(np.sqrt(2) * 0.6745), rel=1e-4
    )


def test_rows_of_one_group_are_compared():
    fit = made_up_fit("y ~ x + z + (1 | pop)")
    found = sentence(fit, "one more of x", rows="patients")
    assert found.startswith(
        "Among patients of the same pop and with the same z, one more of x goes"
    )
    beta = fit.draws.beta[:, 0]
    lower, upper = np.quantile(beta, [0.025, 0.975])
    assert (
        f"a difference of {format_interval(np.median(beta), lower, upper)} in the mean of y"
        in found
    )


def test_a_predictor_of_groups_compares_groups():
    """w is constant within pop; of the nested factors the coarse one is named."""
    fit = made_up_fit("y ~ w + (1 | pop/patch)")
    found = sentence(fit, "one more of w")
    assert found.startswith("Between levels of pop with the same group effects, one more of w")


def test_rate_ratios():
    fit = fit_of("poisson", "y ~ x + (1 | pop)", sd={"pop": 1.1})
    found = sentence(fit, "one more of x")
    beta = fit.draws.beta[:, 0]
    ratio = format_interval(*np.exp(np.quantile(beta, [0.5, 0.025, 0.975])))
    assert f"expected y multiplied by {ratio} (rate ratio; probability" in found
    assert "between 0.24 and 4.1 times that of the typical one" in sentence(fit, "have a rate")
    assert "2.856" in sentence(fit, "median rate ratio")


def test_odds_ratios():
    fit = fit_of("bernoulli", "y ~ x + (1 | pop)", sd={"pop": 1.0})
    assert "odds of y multiplied by" in sentence(fit, "one more of x")
    assert "2.596" in sentence(fit, "median odds ratio")


def test_products_and_where_their_parts_are_zero():
    fit = made_up_fit("y ~ x*z + (1 | pop)")
    assert "where z is 0" in sentence(fit, "one more of x goes")
    assert sentence(fit, "One more of z changes the effect of x by")


def test_categories_and_switches():
    data = table().assign(treated=lambda d: (d["x"] > 10).astype(int))
    fit = made_up_fit("y ~ f + treated + (1 | pop)", data)
    assert sentence(fit, "treated 1 rather than 0")
    found = sentence(fit, "f[low] rather than high")
    assert "f[mid]" not in found


def test_the_columns_of_a_category_are_held_as_one():
    found = sentence(made_up_fit("y ~ f + x + (1 | pop)"), "one more of x")
    assert "with the same f, one more of x" in found


def test_slopes_have_a_range():
    fit = made_up_fit("y ~ x + (x | pop)")
    found = sentence(fit, "one more of x")
    sd, mean = np.median(fit.draws.sd["pop"][:, 1]), fit.draws.beta[:, 0].mean()
    assert f"between {mean - 1.2816 * sd:.2g} and {mean + 1.2816 * sd:.2g}." in found


def test_levels_lie_in_a_range():
    """80 % of normal effects are within 1.2816 sds, of nested ones within their parent."""
    fit = made_up_fit("y ~ x + (1 | pop/patch)")
    sd = np.median(fit.draws.sd["pop:patch"][:, 0])
    assert f"lie within {1.2816 * sd:.2g} of" in sentence(fit, "levels of pop:patch in one pop")


def test_no_groups():
    found = made_up_fit("y ~ x").describe()
    assert len(found) == 2
    assert next(iter(found)) == "y of 120 rows (gaussian model, identity link)."


def test_text_is_escaped():
    data = table().rename(columns={"y": "a<b"})
    html = made_up_fit("`a<b` ~ x + (1 | pop)", data).describe()._repr_html_()
    assert "a&lt;b" in html
    assert "a<b" not in html


def test_what_is_left_is_told():
    found = made_up_fit("y ~ x + (1 | pop)").describe()
    assert "worth collecting" in str(found)
    assert found.markdown().count("\n- ") == len(found) - 1
