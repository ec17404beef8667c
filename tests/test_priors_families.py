"""Default and given priors of families' own parameters, with formulas and without."""

from __future__ import annotations

import numpy as np
import pytest
from test_equations_families import RESPONSES
from test_response import rows

from hiermodels.errors import PriorError
from hiermodels.families import FAMILIES
from hiermodels.fitting import Model
from hiermodels.priors import Prior

DEFAULTS = {
    "nu": Prior("Gamma", alpha=2, beta=0.1),
    "alpha": Prior("LogNormal", mu=1, sigma=1.5),
    "zi": Prior("Beta", alpha=1, beta=1),
    "zoi": Prior("Beta", alpha=1, beta=1),
    "coi": Prior("Beta", alpha=1, beta=1),
    "threshold": Prior("Normal", mu=0, sigma=3),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_defaults_of_every_family(family):
    response = RESPONSES.get(family, "count")
    model = Model(f"{response} ~ x + (1 | pop)", rows(), family=family)
    names = [p.parameter for p in model.priors.auxiliary]
    assert names == [p.name for p in FAMILIES[family].parameters]
    for prior in model.priors.auxiliary:
        assert prior.default
        assert prior.given == prior.inside
        if prior.parameter in DEFAULTS:
            assert prior.given == DEFAULTS[prior.parameter]
        assert prior.parameter in repr(model.priors)


def test_coefficients_of_counts_have_the_scale_of_the_log():
    data = rows()
    priors = Model("count ~ x + offset(log(effort)) + (1 | pop)", data, family="poisson").priors
    m = np.log((data["count"].sum() + 0.5) / data["effort"].sum())
    s = max(1, (np.log(data["count"] + 0.5) - np.log(data["effort"])).std())
    found = priors["Intercept"].inside.parameters
    assert found["mu"] == pytest.approx(m, rel=1e-12)
    assert found["sigma"] == pytest.approx(2.5 * s, rel=1e-12)
    assert priors["sd_pop[Intercept]"].inside.parameters["sigma"] == pytest.approx(s)


def zero_inflated(**priors: Prior) -> Model:
    return Model(
        "count ~ x + (1 | pop)",
        rows(),
        family="zi_negbinomial",
        zi="~ x + offset(w) + (x | pop)",
        dispersion="~ z",
        priors=priors,
    )


def test_coefficients_of_own_parameters():
    data, priors = rows(), zero_inflated().priors
    assert [p.parameter for p in priors.extras["zi"]] == [
        *("zi_Intercept", "zi_x", "zi_sd_pop[Intercept]", "zi_sd_pop[x]", "zi_cor_pop")
    ]
    assert priors.auxiliary == ()
    assert priors["alpha_Intercept"].inside == Prior("Normal", mu=1, sigma=1.5)
    middle = priors["zi_Intercept"].inside.parameters["mu"]
    assert middle == pytest.approx(-data["w"].mean())
    assert priors["zi_x"].given.parameters["sigma"] == pytest.approx(1.5 / data["x"].std(ddof=0))
    assert priors["zi_sd_pop[Intercept]"].inside == Prior("HalfStudentT", nu=3, sigma=1)


def test_given_priors_of_own_parameters():
    model = zero_inflated(
        zi_x=Prior("Normal", mu=0, sigma=2),
        alpha_beta=Prior("Normal", mu=0, sigma=1),
        zi_sd_pop=Prior("HalfNormal", sigma=1),
        zi_cor_pop=Prior("LKJ", eta=3),
    )
    scale = rows()["x"].std(ddof=0)
    assert model.priors["zi_x"].inside.parameters["sigma"] == pytest.approx(2 * scale)
    assert model.priors["x"].default
    assert model.priors["alpha_z"].given == Prior("Normal", mu=0, sigma=1)
    assert [p.default for p in model.priors.extras["zi"].sd[0]] == [False, False]
    assert model.priors["zi_cor_pop"].given == Prior("LKJ", eta=3)


#: family, parameter, prior, what is told.
REFUSED = [
    ("zi_poisson", "zi", Prior("Normal", mu=0, sigma=1), "is a probability"),
    ("zi_poisson", "zi", Prior("Uniform", lower=0, upper=2), "is a probability"),
    ("negbinomial", "alpha", Prior("Normal", mu=0, sigma=1), "is positive"),
    ("negbinomial", "phi", Prior("LogNormal", mu=0, sigma=1), "no parameter 'phi'"),
    ("poisson", "x", Prior("Beta", alpha=1, beta=1), "no other unit"),
    ("ordinal", "threshold", Prior("HalfNormal", sigma=1), "has bounds"),
    ("ordinal", "Intercept", Prior("Normal", mu=0, sigma=1), "no parameter 'Intercept'"),
]


@pytest.mark.parametrize(("family", "name", "prior", "told"), REFUSED)
def test_priors_that_a_parameter_cannot_have(family, name, prior, told):
    response = RESPONSES.get(family, "count")
    with pytest.raises(PriorError) as error:
        Model(f"{response} ~ x", rows(), family=family, priors={name: prior})
    assert told in str(error.value)


def test_probabilities_within_zero_and_one_are_taken():
    for prior in (Prior("Beta", alpha=2, beta=5), Prior("Uniform", lower=0, upper=0.5)):
        model = Model("count ~ x", rows(), family="zip", priors={"zi": prior})
        assert model.priors["zi"].inside == prior


def test_a_response_with_the_name_of_a_parameter():
    data = rows().assign(alpha=lambda d: d["count"], pop_=lambda d: d["pop"])
    built = Model("alpha ~ x + (1 | pop)", data, family="negbinomial").to_pymc()
    assert [rv.name for rv in built.observed_RVs] == ["alpha_"]
