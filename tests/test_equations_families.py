"""Equations of every family: likelihood, links, variance, and formulas of own parameters."""

from __future__ import annotations

import pytest
from test_response import rows

from hiermodels.families import FAMILIES
from hiermodels.fitting import Model
from hiermodels.labels.equations import DISTRIBUTIONS

RESPONSES = {"beta": "share", "lognormal": "y", "gamma": "y", "bernoulli": "seen", "student": "y"}
RESPONSES |= {"gaussian": "y", "binomial": "alive / total", "ordinal": "rating"}
RESPONSES |= {"betabinomial": "p(alive, 10)", "zi_beta": "share", "zoi_beta": "share"}

#: Family: its likelihood, variance where it is told, and the left side of its predictor.
WRITTEN = {
    "poisson": (
        r"\text{count}_i &\sim \mathrm{Poisson}\left(\mu_i\right)",
        r"\log\left(\mu_i\right)",
    ),
    "negbinomial": (
        r"\text{count}_i &\sim \mathrm{NegBinomial}\left(\mu_i,\ \alpha\right)",
        r"\mathrm{Var}\left(\text{count}_i\right) &= \mu_i + \mu_i^2 / \alpha",
        r"\log\left(\mu_i\right)",
    ),
    "student": (
        r"\text{y}_i &\sim \mathrm{StudentT}\left(\mu_i,\ \sigma,\ \nu\right)",
        r"\mu_i",
    ),
    "binomial": (
        r"\text{alive}_i &\sim \mathrm{Binomial}\left(\text{total}_i,\ \mu_i\right)",
        r"\mathrm{logit}\left(\mu_i\right)",
    ),
    "betabinomial": (
        r"\text{alive}_i &\sim \mathrm{BetaBinomial}\left(10,\ \mu_i,\ \phi\right)",
        r"\mathrm{Var}\left(\text{alive}_i\right) &= 10\, \mu_i\left(1 - \mu_i\right)"
        r"\left(\phi + 10\right) / \left(\phi + 1\right)",
        r"\mathrm{logit}\left(\mu_i\right)",
    ),
    "ordinal": (
        r"\mathrm{logit}\left(P\left(\text{rating}_i \le k\right)\right) &= c_k - \eta_i,"
        r"\quad k = 1, \dots, 3",
        r"\eta_i",
    ),
}


def lines(family: str, **arguments: str) -> list[str]:
    response = RESPONSES.get(family, "count")
    equations = Model(f"{response} ~ x + (1 | pop)", rows(), family=family, **arguments).equations()
    return [*equations.likelihood, *equations.predictor, *equations.groups, *equations.priors]


@pytest.mark.parametrize("family", WRITTEN)
def test_likelihood_and_link(family):
    *likelihood, left = WRITTEN[family]
    found = lines(family)
    assert found[: len(likelihood)] == likelihood
    assert found[len(likelihood)].startswith(f"{left} &= ")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_written_and_balanced(family):
    assert family in DISTRIBUTIONS or FAMILIES[family].categories
    for line in lines(family):
        assert line.count("{") == line.count("}")
        assert line.count(r"\left(") == line.count(r"\right)")
        assert line.count("&") == 1
    told = "".join(lines(family))
    for parameter in FAMILIES[family].parameters:
        name = {"threshold": "c_k", "zi": "zi", "zoi": "zoi", "coi": "coi"}.get(
            parameter.name, f"\\{parameter.name}"
        )
        assert name in told


def test_own_parameters_with_formulas():
    found = lines("zi_negbinomial", zi="~ z + (x | pop)", dispersion="~ 1")
    assert found[0].endswith(r"\left(\mu_i,\ \alpha_i,\ \text{zi}_i\right)")
    assert r"\log\left(\alpha_i\right) &= \text{Intercept}^{(\alpha)}" in found
    zi = next(line for line in found if line.startswith(r"\mathrm{logit}"))
    assert zi == (
        r"\mathrm{logit}\left(\text{zi}_i\right) &= \text{Intercept}^{(\text{zi})}"
        r" + \beta^{(\text{zi})}_{\text{z}}\, \text{z}_i"
        r" + b^{(\text{zi})}_{\text{Intercept},\,\text{pop}[i]}"
        r" + b^{(\text{zi})}_{\text{x},\,\text{pop}[i]}\, \text{x}_i"
    )
    assert any(line.startswith(r"\Sigma^{(\text{zi})}_{\text{pop}} &= ") for line in found)
    assert any(line.startswith(r"\beta^{(\text{zi})}_{\text{z}} &\sim ") for line in found)


def test_thresholds_have_their_prior_at_the_mean():
    assert lines("ordinal")[-1] == (
        r"c_k - \beta_{\text{x}}\, \overline{\text{x}} &\sim \mathrm{Normal}\left(0,\ 3\right),"
        r"\quad c_1 < c_2 < \dots"
    )
