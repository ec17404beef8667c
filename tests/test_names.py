"""Names of columns wherever a name goes: formula, posterior, netCDF, saved fits, PyMC."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from made_up import random_posterior
from numpy.testing import assert_allclose

import hiermodels as hm
from hiermodels.errors import DataError, FormulaError
from hiermodels.families import FAMILIES
from hiermodels.names import dim_of, key_of, variable_of
from hiermodels.numbers.prior_density import log_priors
from hiermodels.posterior import coordinates, dimensions

BLANKS = ["my  site", "my\N{NO-BREAK SPACE}site", "my\nsite", "my\tsite", " site", "site "]
PARAMETERS = sorted({p.name for f in FAMILIES.values() for p in f.parameters})
LIKE_OTHERS = [
    *PARAMETERS,
    *("Intercept", "beta", "b_x", "sd_x", "zi_x", "g_term", "x_term_bis"),
    *("chain", "draw", "row", "term", "cut", "moment", "sample", "__sample__"),
    *("offset", "se", "weights", "X", "z_x", "level_x", "columns", "level", "component"),
]
ODD = ["a/b", "True", "None", "2024", ".g", "-g", "e\u0301", "x" * 300, "a:b", "a|b", "g[1]"]


def table(**renamed: str) -> pd.DataFrame:
    """y, x and the factors g (12 levels) and h (10), some renamed."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "y": rng.normal(size=120),
            "x": rng.normal(size=120),
            "g": np.repeat([f"L{k}" for k in range(12)], 10),
            "h": np.tile([f"H{k}" for k in range(10)], 12),
        }
    )
    return frame.rename(columns=renamed)


def model(formula: str, data: pd.DataFrame, **settings) -> hm.Model:
    return hm.Model(formula, data, **settings)


@pytest.mark.parametrize("name", [*BLANKS, *LIKE_OTHERS, *ODD])
def test_a_factor_can_have_any_name(name, tmp_path):
    made = model(f"y ~ x + (x | `{name}`)", table(g=name))
    fit = random_posterior(made)
    fit.save_posterior(tmp_path / "posterior.nc")
    with xr.open_datatree(tmp_path / "posterior.nc") as tree:
        written = tree["posterior"].to_dataset()
    assert set(written.data_vars) == set(dimensions(made.design))
    effects = written[f"b_{key_of(name)}"]
    assert list(effects[dim_of(name)].to_numpy()) == list(made.design.blocks[0].levels)
    again = hm.load(fit.save(tmp_path / "fit.hm"))
    assert_allclose(again.draws.effects[name], fit.draws.effects[name])
    assert set(again.ranef()["group"]) == {name}
    made.prior_predictive(draws=5)


@pytest.mark.parametrize("name", [*LIKE_OTHERS, *ODD, "site", "range:site"])
def test_no_dimension_is_a_variable_of_any_posterior(name):
    """Whatever the family, and beside another factor whose dimension the name could be."""
    others = [n for n in ("g", "x") if n != name]
    variables = {*PARAMETERS, "Intercept", "beta", "chain", "draw", "row", "term", "cut"}
    variables |= {f"{kind}_{n}" for kind in ("sd", "cor", "b") for n in (*others, key_of(name))}
    variables |= {f"{n}_term{end}" for n in others for end in ("", "_bis")}
    assert dim_of(name) not in variables


def test_an_ordinary_name_stays():
    for name in ("site", "my site", "range:site", "b", "levels", "terms", "rowan", "größe"):
        assert key_of(name) == dim_of(name) == name
    assert variable_of("y") == "y"
    assert variable_of("row") == "row_"  # beside its own dimension
    assert variable_of("dead / total") == "dead ∕ total"
    assert dim_of("sigma") == "sigma_level"
    assert dim_of("sigma_level") == "sigma_level_level"  # so that no two make one


def test_a_factor_called_like_the_dimension_of_another():
    data = table(g="school", h="school_term")
    design = model("y ~ x + (x | school) + (1 | school_term)", data).design
    dims = dimensions(design)
    assert dims["b_school"] == ("school", "school_term")
    assert dims["b_school_term"] == ("school_term_level", "school_term_level_term")
    assert coordinates(design)["school_term"] == ["Intercept", "x"]
    assert list(coordinates(design)["school_term_level"]) == sorted(set(data["school_term"]))


def test_factors_of_two_predictors_whose_prefixed_names_are_equal():
    """``zi_g`` of the mean and ``g`` of zi, sampled: each has its own effects."""
    rng = np.random.default_rng(1)
    counts = np.where(rng.uniform(size=120) < 0.3, 0, rng.poisson(3, size=120))
    data = table(h="zi_g").assign(y=counts)
    fit = hm.fit(
        "y ~ 1 + (1 | zi_g)",
        data,
        family="zi_poisson",
        zi="~ x + (x | g)",
        draws=50,
        random_seed=1,
        progressbar=False,
    )
    posterior = fit.idata["posterior"].to_dataset()
    assert posterior["b_zi_g"].sizes["zi_g_level"] == 10
    assert posterior["zi_b_g"].dims[2:] == ("g", "zi_g_term")
    assert posterior["zi_b_g"].shape[2:] == (12, 2)


@pytest.mark.parametrize(("first", "second"), [("a/b", "a∕b"), ("s ", "s\n"), ("x_level", "sd_x")])
def test_names_that_a_posterior_cannot_tell_apart_are_refused_before_sampling(first, second):
    with pytest.raises(DataError, match="Rename one"):
        model(f"y ~ x + (1 | `{first}`) + (1 | `{second}`)", table(g=first, h=second))


def test_a_column_called_as_cells_of_others_is_refused_as_a_second_factor():
    data = table().assign(k=lambda d: d["h"].str[1].astype(int) % 2, **{"g:k": lambda d: d["g"]})
    with pytest.raises(DataError, match="Rename one"):
        model("y ~ x + (1 | g:k) + (1 | `g:k`)", data)


PREDICTORS = [
    *(*BLANKS, *ODD, "sigma", "beta", "row", "1", "0", "x+z", "log", "C", "_x", "x[1]", "True"),
]


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_predictor_can_have_any_name(name):
    data = table(x=name)
    made = model(f"y ~ `{name}` + (`{name}` | g)", data)
    assert made.design.terms == (name,)
    assert_allclose(made.design.common.values[:, 0], data[name])
    squared = model(f"y ~ I(`{name}`**2) + (1 | g)", data).design
    assert_allclose(squared.common.values[:, 0], data[name] ** 2)
    fit = random_posterior(made)
    assert len(fit.predict(data.head(3), target="group")) == 3


@pytest.mark.parametrize("formula", ["y ~ Intercept + x + (1 | g)", "y ~ `Intercept`*x + (1 | g)"])
def test_a_column_called_intercept_is_not_the_intercept(formula):
    data = table().assign(Intercept=np.arange(120.0))
    design = model(formula, data).design
    assert design.intercept
    assert design.terms[:2] == ("`Intercept`", "x")
    assert_allclose(design.common.values[:, 0], np.arange(120.0))
    new = data.tail(5).assign(Intercept=[5.0, 6, 7, 8, 9])
    encoded = np.hstack([encode(new) for encode in design.common.encoders])
    assert_allclose(encoded[:, :2], np.column_stack([np.ones(5), [5, 6, 7, 8, 9]]))


def test_without_an_intercept_the_column_stays():
    data = table().assign(Intercept=np.arange(120.0))
    design = model("y ~ 0 + Intercept + (0 + Intercept | g)", data).design
    assert not design.intercept
    assert design.terms == design.blocks[0].terms == ("`Intercept`",)


def test_a_coefficient_called_like_a_parameter_has_its_own_prior():
    data = table(x="sigma")
    narrow, wide = hm.Prior("Exponential", lam=2), hm.Prior("Normal", mu=0, sigma=9)
    made = model("y ~ sigma + (1 | g)", data, priors={"sigma": narrow, "beta[sigma]": wide})
    given = {p.parameter: str(p.given) for p in made.priors}
    assert given["sigma"] == str(narrow)
    assert given["beta[sigma]"] == str(wide)
    fit = random_posterior(made)
    densities = log_priors(fit.design, fit.priors, fit.draws)
    beta = fit.draws.beta[:, 0]
    normal = -0.5 * (beta / 9) ** 2 - np.log(9 * np.sqrt(2 * np.pi))
    scale = fit.design.common.scale[0]  # of the standardised coefficient
    assert_allclose(densities["beta[sigma]"], normal - np.log(scale), rtol=1e-10)
    assert {"sigma", "beta[sigma]"} <= set(fit.log_prior().data_vars)
    assert {"sigma", "beta[sigma]"} <= set(fit.sensitivity()["estimand"])


def test_beta_with_a_term_is_a_name_of_any_coefficient():
    wide = hm.Prior("Normal", mu=0, sigma=9)
    found = {p.parameter: p for p in model("y ~ x", table(), priors={"beta[x]": wide}).priors}
    assert str(found["x"].given) == str(wide)


def test_priors_of_names_with_a_stroke_are_shown_as_they_are():
    fit = random_posterior(model("y ~ `a/b` + (1 | `c/d`)", table(x="a/b", g="c/d")))
    assert {"a/b", "sd_c/d[Intercept]"} <= set(fit.sensitivity()["estimand"])
    assert "sd_c∕d[Intercept]" in fit.log_prior()


RESPONSES = [
    ".y",
    "my  y",
    "my\ny",
    "a/b",
    "Intercept",
    "sigma",
    "True",
    "2024",
    "1",
    "row",
    "draw",
]


@pytest.mark.parametrize("name", RESPONSES)
def test_a_response_can_have_any_name(name, tmp_path):
    data = table(y=name)
    made = model(f"`{name}` ~ x + (1 | g)", data)
    assert made.design.response_name == name
    assert_allclose(made.design.response, data[name])
    prior = made.prior_predictive(draws=5)
    prior.to_netcdf(tmp_path / "prior.nc", engine="netcdf4")
    with xr.open_datatree(tmp_path / "prior.nc") as tree:
        assert list(tree["observed_data"].data_vars) == [variable_of(name)]
        assert_allclose(tree["observed_data"][variable_of(name)], data[name])


def test_a_sampled_fit_of_a_response_with_a_point_is_written(tmp_path):
    fit = hm.fit(
        "`.y` ~ x + (1 | alpha)",
        table(y=".y", g="alpha").assign(**{".y": np.random.default_rng(2).poisson(3, 120)}),
        family="negbinomial",
        draws=50,
        random_seed=1,
        progressbar=False,
    )
    fit.posterior_predictive(draws=10)
    fit.save_posterior(tmp_path / "posterior.nc")
    with xr.open_datatree(tmp_path / "posterior.nc") as tree:
        assert list(tree["observed_data"].data_vars) == ["_.y"]
        assert tree["posterior"]["b_alpha"].sizes["alpha_level"] == 12
        assert tree["posterior"]["alpha"].dims == ("chain", "draw")


@pytest.mark.parametrize("name", [2024, True, 2.5, (1, 2)])
def test_names_that_are_no_text_are_their_text(name):
    data = table()
    data[name] = data["x"]
    made = model(f"y ~ `{name}` + (1 | g)", data)
    assert made.design.terms == (str(name),)
    prediction = random_posterior(made).predict(data.head(2), target="group")
    assert len(prediction) == 2


def test_a_number_and_its_text_are_not_two_columns():
    data = table().assign(**{"2024": 1.0})
    data[2024] = data["x"]
    with pytest.raises(DataError, match="more than one column is called '2024'"):
        model("y ~ `2024` + (1 | g)", data)


@pytest.mark.parametrize("other", ["x:z", "f[b]"])
def test_a_column_called_as_a_term_of_others_is_refused(other):
    """formulae would keep one of the two."""
    data = table().assign(z=np.arange(120.0), f=np.tile(["a", "b"], 60), **{other: 1.0})
    data[other] = np.random.default_rng(3).normal(size=120)
    with pytest.raises(FormulaError, match="two terms are called"):
        model(f"y ~ `{other}` + x:z + f + (1 | g)", data)


def test_labels_in_a_formula_keep_their_blanks():
    data = table().assign(f=np.tile(["a", "b  c"], 60))
    design = model("y ~ T(f,   ref='b  c')  +\n (1 | g)", data).design
    assert [t.rpartition("[")[2] for t in design.terms] == ["a]"]


def test_an_error_shows_a_name_with_a_line_break_on_one_line():
    with pytest.raises(FormulaError) as error:
        model("y ~ `my\nx` + nothing", table(x="my\nx"))
    assert "    y ~ `my x` + nothing\n                 ^^^^^^^" in str(error.value)


@pytest.mark.parametrize("name", ["sigma", "Intercept", "row", "a/b", "my\nsite", "z_x", "x_term"])
def test_pymc_takes_the_names(name):
    made = model(f"y ~ x + (x | `{name}`) + (1 | x)", table(g=name).assign(x=np.tile([1.0, 2], 60)))
    names = set(made.to_pymc().named_vars)
    assert {f"sd_{key_of(name)}", f"b_{key_of(name)}"} <= names


def test_a_fit_saved_before_factors_had_keys_opens(tmp_path, monkeypatch):
    """Then the variables had the factor's name as it was, here with an outer blank."""
    made = model("y ~ x + (x | `site `)", table(g="site "))
    fit = random_posterior(made)
    was = {f"{kind}_site_": f"{kind}_site " for kind in ("sd", "cor", "b")}
    old = fit.idata["posterior"].to_dataset().rename(was)
    fit.idata["posterior"] = xr.DataTree(old)
    again = hm.load(fit.save(tmp_path / "old.hm"))
    assert_allclose(again.draws.effects["site "], old["b_site "].to_numpy().reshape(120, 12, 2))
