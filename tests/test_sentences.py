"""What the sentences compare, given what, and the ratios they tell."""

import re

import numpy as np
import pytest
from made_up import made_up_fit, random_posterior, table
from scipy import stats
from scipy.special import expit

from hiermodels.fitting import Model
from hiermodels.labels.sentences import article, direction, median_ratio
from hiermodels.printing import format_interval

#: Phi^-1(0.9): 80 % of a normal distribution lie within so many sds.
REACH = stats.norm.ppf(0.9)


def sentence(fit, *words, rows="rows"):
    """The one sentence with all these words."""
    found = [s for s in fit.describe(rows=rows) if all(w in s for w in words)]
    assert len(found) == 1, (words, list(fit.describe()))
    return found[0]


def median(values):
    """As it is printed, by NumPy's quantiles."""
    return format_interval(*map(float, np.quantile(values, [0.5, 0.025, 0.975])))


def data():
    """Columns for every family."""
    frame = table()
    low, high = frame["y"].min(), frame["y"].max()
    return frame.assign(
        sites=frame["pop"],
        switch=(frame["x"] > 10).astype(int),
        share=(frame["y"] - low + 0.5) / (high - low + 1),
        zeros=frame["count"] - 1,
        trials=4,
        success=np.where(frame["z"] > 1, "yes", "no"),
        rating=frame["count"],
        hours=2.0,
    )


def fit(formula, family="gaussian", **options):
    return random_posterior(Model(formula, data(), family=family, **options))


def draws(made, term):
    return made.draws.beta[:, made.design.terms.index(term)]


def test_median_ratio_is_that_of_random_pairs():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1.1, (2, 400_001))
    larger = np.exp(np.abs(a - b))
    # the standard error of a median of 4e5 is about 0.5 %
    assert np.median(larger) == pytest.approx(float(median_ratio(np.array(1.1))), rel=0.02)


# --- families -------------------------------------------------------------------------------------

#: Response, family, link: what one more of x multiplies, and what the quotient is called.
MULTIPLIED = [
    ("y", "lognormal", None, "median y", "ratio of medians"),
    ("y", "gamma", None, "mean y", "ratio of means"),
    ("share", "beta", None, "ratio of mean share to 1 − mean share", ""),
    ("share", "zi_beta", None, "ratio of mean share to 1 − mean share where share is not 0", ""),
    (
        "share",
        "zoi_beta",
        None,
        "ratio of mean share to 1 − mean share where share is neither 0 nor 1",
        "",
    ),
    ("switch", "bernoulli", None, "odds of switch", "odds ratio"),
    ("success", "bernoulli", None, "odds of success = yes", "odds ratio"),
    ("count / trials", "binomial", None, "odds of count", "odds ratio"),
    ("count / trials", "betabinomial", None, "odds of count", "odds ratio"),
    ("zeros", "poisson", None, "expected zeros", "rate ratio"),
    ("zeros", "negbinomial", None, "expected zeros", "rate ratio"),
    ("zeros", "zi_poisson", None, "expected zeros where there is no structural zero", "rate ratio"),
    (
        "zeros",
        "hurdle_negbinomial1",
        None,
        "expected zeros before truncation at zero",
        "rate ratio",
    ),
    ("rating", "ordinal", None, "odds of a higher rating", "odds ratio"),
]


@pytest.mark.parametrize(("y", "family", "link", "what", "ratio"), MULTIPLIED)
def test_what_is_multiplied(y, family, link, what, ratio):
    made = fit(f"{y} ~ x + (1 | sites)", family, link=link)
    beta = draws(made, "x")
    named = f"{ratio}; " if ratio else ""
    assert sentence(made, "increase in x") == (
        f"Within a level of sites, a one-unit increase in x goes with {median(np.exp(beta))} times "
        f"the {what} ({named}{direction(beta)})."
    )
    told = sentence(made, "Of all levels of sites")
    assert ("odds" in told) == ("odds" in what)
    assert "rate" not in told.replace("rating", "") or "rate" in ratio


@pytest.mark.parametrize(
    ("y", "family", "link", "what"),
    [
        ("y", "gaussian", None, "mean y"),
        ("y", "student", None, "median y"),
        ("share", "beta", "probit", "probit of mean share"),
        ("switch", "bernoulli", "probit", "probit of the probability of switch"),
        (
            "switch",
            "bernoulli",
            "cloglog",
            "complementary log-log of the probability of switch",
        ),
        ("rating", "ordinal", "probit", "probit of the probability of a higher rating"),
    ],
)
def test_what_is_added(y, family, link, what):
    made = fit(f"{y} ~ x + (1 | sites)", family, link=link)
    beta = draws(made, "x")
    way, signed = ("higher", beta) if np.median(beta) >= 0 else ("lower", -beta)
    size = median(signed)
    # the variance report divides by a mean that some made-up draws put at 0
    with np.errstate(invalid="ignore"):
        found = sentence(made, "increase in x")
    assert found == (
        f"Within a level of sites, a one-unit increase in x goes with {article(size)} {size} {way} "
        f"{what} ({direction(beta)})."
    )


def ratio_of(what, made, x):
    """The quotient of a functional of the response at x + 1 and at x, each draw: (S,)."""
    beta, b0 = draws(made, "x"), made.draws.intercept
    return what(b0 + beta * (x + 1)) / what(b0 + beta * x)


def test_what_is_multiplied_is_so_by_brute_force():
    """Of densities in scipy: the ratio told is that of the quantity, not of another."""
    made = fit("zeros ~ x + (1 | sites)", "zi_poisson", zi="~ x")
    k = np.arange(400)[:, None]

    def counted(eta):
        mu = np.exp(np.clip(eta, -8, 4))
        return (k * stats.poisson.pmf(k, mu)).sum(axis=0)

    # etas within the clip, so that the sum over 400 counts is all
    small = np.abs(made.draws.intercept) + 2 * np.abs(draws(made, "x")) < 3.5
    told = np.exp(draws(made, "x"))
    np.testing.assert_allclose(ratio_of(counted, made, 0.0)[small], told[small], rtol=1e-9)
    # that of the expected response, structural zeros counted, is another
    zi = made.draws.extras["zi"]

    def zeros(x):
        return 1 - expit(zi.intercept + zi.beta[:, 0] * x)

    whole = ratio_of(counted, made, 0.0) * zeros(1.0) / zeros(0.0)
    assert abs(np.median(whole[small]) / np.median(told[small]) - 1) > 0.02
    assert median(told) in sentence(made, "no structural zero", "increase in x")
    assert median(np.exp(zi.beta[:, 0])) in sentence(made, "the odds of a structural zero of zeros")


def test_an_exposure_makes_a_rate():
    made = fit("zeros ~ x + offset(np.log(hours)) + (1 | sites)", "poisson")
    assert "times the rate of zeros (rate ratio" in sentence(made, "increase in x")
    gaussian = fit("y ~ x + offset(hours + x) + (1 | sites)")
    assert "and with the same offset, a one-unit" in sentence(gaussian, "increase in x")


def test_the_other_parameters_are_told():
    made = fit("y ~ x + (1 | sites)", dispersion="~ f")
    ratio = np.exp(made.draws.extras["sigma"].beta[:, 0])
    assert f"Among rows, f = low rather than high goes with {median(ratio)} times" in sentence(
        made, "the residual sd of y", "f = low"
    )


# --- predictors -----------------------------------------------------------------------------------


def test_rows_of_one_level_are_compared():
    made = made_up_fit("y ~ x + z + (1 | pop)")
    found = sentence(made, "increase in x", rows="patients")
    assert found.startswith(
        "Among patients of a level of pop and with the same z, a one-unit increase in x goes with"
    )


def test_crossed_factors_are_both_held():
    found = sentence(made_up_fit("y ~ x + (1 | pop/patch) + (1 | year)"), "increase in x")
    assert found.startswith("Within a level of pop:patch and of year, a one-unit")


def test_a_predictor_of_levels_compares_levels():
    """w is constant within pop; of the nested factors the coarse one is named."""
    found = sentence(made_up_fit("y ~ w + (1 | pop/patch)"), "higher w")
    assert found.startswith(
        "Between levels of pop with the same group effects, a one-unit higher w"
    )


def test_means_and_deviations():
    made = made_up_fit("y ~ within(x, pop) + between(x, pop) + (1 | pop)")
    assert sentence(
        made, "Within a level of pop and with the same mean of x in pop, a one-unit inc"
    )
    assert sentence(made, "Between levels of pop", "a one-unit higher mean of x in pop goes")


@pytest.mark.parametrize("formula", ["y ~ x*f + (1 | pop)", "y ~ f*x + (1 | pop)"])
def test_a_product_with_a_category_in_both_orders(formula):
    made = fit(formula)
    frame, (low,) = data(), [t for t in made.design.terms if ":" in t and "low" in t]
    beta = draws(made, low)
    assert sentence(made, "Where f = low") == (
        f"Where f = low rather than high, the effect of x on mean y changes by {median(beta)} "
        f"({direction(beta)})."
    )
    assert "Within a level of pop, where f = high, a one-unit" in sentence(made, "increase in x")
    at_mean = draws(made, "f[low]") + beta * frame["x"].mean()
    found = sentence(made, "f = low rather than high goes")
    assert f"where x is at its mean ({frame['x'].mean():.2f})," in found
    assert median(np.sign(np.median(at_mean)) * at_mean) in found


def test_slopes_of_each_category():
    """Without x by itself each category has its slope, which is no difference."""
    made = fit("y ~ x:f + (1 | pop)")
    assert len(made.describe()) == 5
    assert sentence(made, "where f = high, a one-unit increase in x goes with")


def test_a_category_without_a_reference():
    """0 + f: the mean of each, where the other predictors are at theirs."""
    made = fit("y ~ 0 + f + x + (1 | pop)")
    values = draws(made, "f[high]") + draws(made, "x") * data()["x"].mean()
    found = sentence(made, "f = high", "a typical level of pop has")
    assert f"has {median(values)} as its mean y." in found
    assert "x is at its mean" in found


def test_products_of_numbers_are_told_at_means():
    made = made_up_fit("y ~ x*z + (1 | pop)")
    z = table()["z"].mean()
    values = draws(made, "x") + draws(made, "x:z") * z
    found = sentence(made, "increase in x goes")
    assert f"where z is at its mean ({z:.3f})" in found
    assert median(np.sign(np.median(values)) * values) in found
    assert median(draws(made, "x:z")) in sentence(made, "For each one-unit increase in z")


def test_three_at_once():
    made = fit("y ~ x*z*f + (1 | pop)")
    frame = data()
    values = draws(made, "x:f[low]") + draws(made, "x:z:f[low]") * frame["z"].mean()
    found = sentence(made, "Where f = low rather than high and z is at its mean", "effect of x")
    assert median(values) in found
    assert sentence(made, "Where f = mid rather than high, the interaction of x and z in mean y")


def test_categories_and_switches():
    made = fit("y ~ f*switch + C(year) + (1 | pop)")
    assert sentence(made, "where f = high, switch = 1 rather than 0 goes with")
    assert sentence(made, "where switch = 0, f = low rather than high goes with")
    assert sentence(made, "Where switch = 1 rather than 0, the effect of f (low rather than high)")
    assert sentence(made, "C(year) = 2001 rather than 2000")


@pytest.mark.parametrize("curve", ["bs(x, df=4)", "poly(x, 2)", "x + I(x**2)", "x + np.log(x)"])
def test_curves_are_not_read_one_by_one(curve):
    made = fit(f"y ~ {curve} + z + (1 | pop)")
    assert len(made.describe()) == 4
    assert sentence(made, "say only together")
    assert sentence(made, "increase in z")


def test_a_transform_alone_is_a_number():
    assert sentence(fit("y ~ np.log(x) + (1 | pop)"), "a one-unit increase in np.log(x) goes")


# --- levels ---------------------------------------------------------------------------------------


def test_slopes_have_a_range_with_intervals_at_the_mean_of_the_partner():
    made = made_up_fit("y ~ x*z + (x | pop)")
    beta = draws(made, "x") + draws(made, "x:z") * table()["z"].mean()
    sd = made.draws.sd["pop"][:, 1]
    low, high = median(beta - REACH * sd), median(beta + REACH * sd)
    found = sentence(made, "increase in x goes on average with")
    assert found.endswith(
        f"; in 80 % of all levels of pop the difference is between {low} and {high}."
    )
    assert "where z is at its mean" in found


def test_slopes_of_products_have_the_variance_of_their_sum():
    made = made_up_fit("y ~ x*z + (x*z | pop)")
    block, z = made.design.block(), table()["z"].mean()
    beta = draws(made, "x") + draws(made, "x:z") * z
    own = [block.terms.index(t) for t in ("x", "x:z")]
    effects = made.draws.covariance("pop")[:, own][:, :, own]
    sd = np.sqrt(effects[:, 0, 0] + 2 * z * effects[:, 0, 1] + z**2 * effects[:, 1, 1])
    assert median(beta - REACH * sd) in sentence(made, "increase in x goes")


def test_slopes_without_a_common_one():
    made = made_up_fit("y ~ z + (x | pop)")
    sd = made.draws.sd["pop"][:, 1]
    assert f"between {median(-REACH * sd)} and {median(REACH * sd)}" in sentence(
        made, "a one-unit increase in x goes with no difference on average"
    )


@pytest.mark.parametrize("formula", ["y ~ x + (x | pop)", "y ~ x + (x || pop)"])
def test_levels_lie_in_a_range_at_the_mean(formula):
    """sd of b0 + b1 m, whether or not the block is centred inside."""
    made = made_up_fit(formula)
    m, sigma = table()["x"].mean(), made.draws.covariance("pop")
    sd = np.sqrt(sigma[:, 0, 0] + 2 * m * sigma[:, 0, 1] + m**2 * sigma[:, 1, 1])
    found = sentence(made, "Where x is at its mean (10.39), 80 % of all levels of pop lie within")
    assert f"within {median(REACH * sd)} of the typical one in mean y (sd {median(sd)})" in found


def test_nested_levels_lie_within_their_parent():
    made = made_up_fit("y ~ x + (1 | pop/patch)")
    sd = made.draws.sd["pop:patch"][:, 0]
    found = sentence(made, "Of all levels of pop:patch in a level of pop, 80 % lie within")
    assert median(REACH * sd) in found
    share = 100 * sd**2 / (sd**2 + made.draws.sd["pop"][:, 0] ** 2 + made.draws.residual**2)
    assert f"{median(share)} % of the variance that the common effects leave." in found


def test_levels_of_counts_and_odds():
    made = fit("zeros ~ x + (1 | sites)", "poisson")
    sd = made.draws.sd["sites"][:, 0]
    low, high = median(np.exp(-REACH * sd)), median(np.exp(REACH * sd))
    found = sentence(made, "Of all levels of sites")
    assert f"have between {low} and {high} times the expected zeros of the typical one" in found
    two = median(np.exp(np.sqrt(2) * stats.norm.ppf(0.75) * sd))
    assert f"of two at random one has {two} times that of the other (median rate ratio)" in found
    odds = sentence(fit("switch ~ x + (1 | sites)", "bernoulli"), "Of all levels of sites")
    assert "times the odds of switch of the typical one" in odds
    assert "(median odds ratio)" in odds


# --- English --------------------------------------------------------------------------------------

#: What is no English whatever a factor is called, and what was false.
FORBIDDEN = re.compile(
    r"\b(a|an|one|each|every|same|new) (sites|range:sites)\b|\bone more of\b|where \S+\[|"
    r"worth collecting|^[a-z]\S* [a-z]+ of all|\.\.|  |,,| a [8aei]|\ban [0-79](?!1|8)"
)

MODELS = [
    (f"{y} ~ {common} + {groups}", family, options)
    for y, family, options in (
        ("y", "gaussian", {}),
        ("y", "gamma", {}),
        ("share", "beta", {}),
        ("zeros", "zi_negbinomial", {"zi": "~ x + f"}),
        ("rating", "ordinal", {}),
    )
    for common in ("x*f", "f*x", "x*z + w", "switch*f + np.log(z + 3)")
    for groups in ("(x | sites)", "(1 | sites/patch) + (1 | year)")
]


@pytest.mark.parametrize(("formula", "family", "options"), MODELS)
def test_sentences_are_english_whatever_the_names(formula, family, options):
    made = fit(formula, family, **options)
    told = list(made.describe())
    for one in told:
        assert not FORBIDDEN.search(one), one
        assert one[0].isupper() or one.startswith(made.design.response_name)
        assert one.endswith(".")
    terms = sum(len(p.terms) for p in made.design.predictors)
    blocks = sum(len(p.blocks) for p in made.design.predictors)
    # one of each coefficient and factor at most, and the opening; (x | sites) beside no x has one
    alone = sum(t not in made.design.terms for b in made.design.blocks for t in b.terms[1:])
    assert len(set(told)) == len(told) <= 1 + terms + blocks + alone


@pytest.mark.parametrize(
    ("number", "word"),
    [
        ("0.64 [0.1, 1]", "a"),
        ("8.1", "an"),
        ("11 [9, 12]", "an"),
        ("18.2", "an"),
        ("110", "a"),
        ("1.8", "a"),
        ("80", "an"),
        ("-8", "a"),
    ],
)
def test_articles(number, word):
    assert article(number) == word


def test_no_groups():
    found = made_up_fit("y ~ x").describe()
    assert len(found) == 2
    assert next(iter(found)) == "y of 120 rows (gaussian model, identity link)."


def test_text_is_escaped():
    frame = table().rename(columns={"y": "a<b"})
    html = made_up_fit("`a<b` ~ x + (1 | pop)", frame).describe()._repr_html_()
    assert "a&lt;b" in html
    assert "a<b" not in html


def test_a_list_for_markdown():
    found = made_up_fit("y ~ x + (1 | pop)").describe()
    assert found.markdown().count("\n- ") == len(found) - 1
