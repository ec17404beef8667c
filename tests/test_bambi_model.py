"""Is the Bambi model the same model: the same priors, and the same log-density of the data?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made_up import table

import hiermodels as hm
from hiermodels.fitting import Model
from hiermodels.workflows.bridge import read_priors

pytest.importorskip("bambi")

pytestmark = [
    #: Bambi's own use of pandas.
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),
]


def given_priors(model: Model) -> dict[str, hm.Prior]:
    return {p.parameter: p.given for p in model.priors}


MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "nested": ("y ~ x + f + (1 | pop) + (1 | pop:patch)", {}),
    "independent": ("y ~ x + (x || pop)", {}),
    "given": (
        "y ~ x + (1 | pop)",
        {
            "priors": {
                "x": hm.Prior("Laplace", mu=0, b=2),
                "sd_pop": hm.Prior("Gamma", alpha=2, beta=3),
            }
        },
    ),
    "within": ("y ~ within(x, pop) + between(x, pop) + log(x) + (1 | pop)", {}),
    "student": ("y ~ x + (1 | pop)", {"family": "student"}),
    "negbinomial": ("count ~ x + (1 | year)", {"family": "negbinomial"}),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_priors_are_those_given_and_come_back(name: str) -> None:
    formula, settings = MODELS[name]
    model = Model(formula, table(), **settings)
    bambi_model = model.to_bambi()
    bambi_model.build()
    back = {p.parameter: p.given for p in read_priors(model.design, bambi_model)}
    ours = given_priors(model)
    assert back.keys() == ours.keys()
    for parameter, prior in ours.items():
        assert back[parameter].name == prior.name
        assert back[parameter].parameters == pytest.approx(prior.parameters)


def test_the_prior_of_zi_is_that_of_one_minus_psi() -> None:
    model = Model(
        "count ~ x + (1 | pop)",
        table(),
        family="zi_poisson",
        priors={"zi": hm.Prior("Beta", alpha=2, beta=5)},
    )
    psi = model.to_bambi().marginal_parameters["psi"].prior
    assert psi.args == {"alpha": 5.0, "beta": 2.0}


def density(model: Any, point: dict[str, Any]) -> float:
    """The log-density at values of the parameters themselves, without transforms."""
    from pymc.model.transform.conditioning import remove_value_transforms

    plain = remove_value_transforms(model)
    function = plain.compile_logp(jacobian=False)
    values = plain.initial_point()
    assert set(point) == set(values)
    return float(function({k: np.reshape(v, values[k].shape) for k, v in point.items()}))


@pytest.mark.filterwarnings("ignore::UserWarning")  # of PyTensor's slow but quick to compile mode
def test_the_log_density_is_the_same_up_to_a_constant() -> None:
    import pytensor

    model = Model("y ~ x + (x || pop)", table())
    other = model.to_bambi()
    other.build()
    block = model.design.blocks[0]
    x_scale, slope_scale = model.design.common.scale[0], block.columns.scale[1]
    rng, differences = np.random.default_rng(4), []
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        for _ in range(3):
            intercept, beta, sigma = rng.normal(20, 1), rng.normal(), rng.gamma(4)
            sd, z = rng.gamma(4, 0.3, 2), rng.normal(size=(block.n_levels, 2))
            ours = {
                "Intercept_std": intercept,
                "beta_std": [beta],
                "sd_pop_std": sd,
                "z_pop": z,
                "sigma": sigma,
            }
            theirs = {
                "Intercept": intercept,
                "x": beta / x_scale,
                "1|pop_sigma": sd[0],
                "1|pop_offset": z[:, 0],
                "x|pop_sigma": sd[1] / slope_scale,
                "x|pop_offset": z[:, 1],
                "sigma": sigma,
            }
            differences.append(
                density(model.to_pymc(), ours) - density(other.backend.model, theirs)
            )
    assert np.ptp(differences) < 1e-8


LACKING: dict[str, tuple[str, dict[str, Any], str]] = {
    "correlation": ("y ~ x + (x | pop)", {}, r"the nearest it has is \(x \|\| pop\)"),
    "weights": ("y ~ x + (1 | pop)", {"weights": "count"}, "no weights"),
    "se": ("y ~ x + (1 | pop)", {"se": "error"}, "no known standard errors"),
    "formula": ("y ~ x + (1 | pop)", {"dispersion": "~ x"}, "no formulas of other"),
    "family": ("count ~ x + (1 | pop)", {"family": "negbinomial1"}, "no family 'negbinomial1'"),
}


@pytest.mark.parametrize("name", LACKING)
def test_what_bambi_lacks_is_an_error(name: str) -> None:
    formula, settings, message = LACKING[name]
    with pytest.raises(hm.NotAvailableError, match=message):
        Model(formula, table(), **settings).to_bambi()
