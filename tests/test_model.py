"""The PyMC model against the same density written in NumPy, and its invariance."""

import re

import numpy as np
import pymc as pm
import pytest
from made_up import table
from scipy import stats

from hiermodels.fitting import Model
from hiermodels.posterior import reported_names
from hiermodels.priors import Prior

STRUCTURES = [
    "y ~ x",
    "y ~ 0 + x",
    "y ~ 1 + (1 | pop)",
    "y ~ x + (x | pop)",
    "y ~ x + (0 + x | pop)",
    "y ~ x + (x || pop)",
    "y ~ x + (1 | pop/patch)",
    "y ~ x + (1 | pop:patch)",
    "y ~ x + (1 | pop) + (1 | year)",
    "y ~ x + z + (x + z | pop)",
    "y ~ f + (f | pop)",
    "y ~ x*w + (x | pop) + offset(z)",
    "y ~ (1 | pop) + (0 + x + z | pop) + (x | year)",
    "y ~ within(x, pop) + between(x, pop) + (1 | pop)",
]


def random_point(model: pm.Model, *, seed: int) -> dict[str, np.ndarray]:
    """Values of the free parameters, on their own scale, inside every support."""
    rng = np.random.default_rng(seed)
    point = {}
    for rv in model.free_RVs:
        shape = tuple(rv.shape.eval())
        if rv.name.startswith("cpc_"):
            point[rv.name] = rng.uniform(0.05, 0.95, shape)
        elif rv.name.startswith("sd_") or rv.name == "sigma":
            point[rv.name] = rng.gamma(3, 0.5, shape)
        elif rv.name == "Intercept_std":
            point[rv.name] = np.asarray(rng.normal(20, 2))
        else:
            point[rv.name] = rng.normal(0, 1, shape)
    return point


def log_densities(model: pm.Model, points: list[dict[str, np.ndarray]]) -> list[float]:
    """PyMC's, without the Jacobians of its transforms."""
    compiled = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    transformed = []
    for point in points:
        values = {}
        for rv in model.free_RVs:
            transform = model.rvs_to_transforms[rv]
            value = point[rv.name]
            if transform is not None:
                value = transform.forward(pm.math.constant(value), *rv.owner.inputs).eval()
            values[model.rvs_to_values[rv].name] = value
        transformed.append(values)
    return [float(compiled(v)) for v in transformed]


def frozen(prior: Prior):
    p = prior.parameters
    return {
        "Normal": lambda: stats.norm(p["mu"], p["sigma"]),
        "HalfStudentT": lambda: (
            stats.foldnorm(0) if p["nu"] == np.inf else HalfStudentT(p["nu"], p["sigma"])
        ),
        "Exponential": lambda: stats.expon(scale=1 / p["lam"]),
    }[prior.name]()


class HalfStudentT:
    def __init__(self, nu, sigma):
        self.full = stats.t(nu, scale=sigma)

    def logpdf(self, value):
        return np.log(2) + self.full.logpdf(value)


def numpy_density(model: Model, point: dict[str, np.ndarray]) -> float:
    """The sum of log-densities of DESIGN section 4, row by row and level by level."""
    design, priors = model.design, model.priors
    total, eta = 0.0, design.offset.copy()
    if design.terms:
        beta = point["beta_std"]
        total += sum(frozen(p.inside).logpdf(b) for p, b in zip(priors.beta, beta, strict=True))
        eta = eta + design.common.standardised @ beta
    if design.intercept:
        total += frozen(priors.intercept.inside).logpdf(point["Intercept_std"])
        eta = eta + point["Intercept_std"]
    for block, sds, cor in zip(design.blocks, priors.sd, priors.cor, strict=True):
        sd, z = point[f"sd_{block.name}_std"], point[f"z_{block.name}"]
        total += sum(frozen(p.inside).logpdf(s) for p, s in zip(sds, sd, strict=True))
        total += stats.norm.logpdf(z).sum()
        chol = np.eye(len(sd))
        for number, part in enumerate(block.parts):
            if len(part) < 2:
                continue
            suffix = "" if len(block.parts) == 1 else f"_{number}"
            free = iter(point[f"cpc_{block.name}{suffix}"])
            for i in range(len(part)):
                for j in range(i):
                    value = next(free)
                    a = cor.inside.parameters["eta"] + (len(part) - 2 - j) / 2
                    total += stats.beta(a, a).logpdf(value)
                    rest = 1 - (chol[part[i], list(part[:j])] ** 2).sum()
                    chol[part[i], part[j]] = (2 * value - 1) * np.sqrt(rest)
                chol[part[i], part[i]] = np.sqrt(1 - (chol[part[i], list(part[:i])] ** 2).sum())
        b = z @ (sd[:, None] * chol).T
        for row in range(design.n):
            eta[row] += block.columns.standardised[row] @ b[block.index[row]]
    if design.se is None:
        total += frozen(priors.auxiliary[0].inside).logpdf(point["sigma"])
    rows = stats.norm(eta, point["sigma"] if design.se is None else design.se)
    weights = 1 if design.weights is None else design.weights
    return float(total + (weights * rows.logpdf(design.response)).sum())


@pytest.mark.parametrize("formula", STRUCTURES)
def test_log_density_is_the_sum_written_in_numpy(formula):
    model = Model(formula, table())
    built = model.to_pymc()
    points = [random_point(built, seed=s) for s in range(3)]
    expected = [numpy_density(model, p) for p in points]
    np.testing.assert_allclose(log_densities(built, points), expected, rtol=1e-10)


@pytest.mark.parametrize("extra", [{"weights": "count"}, {"se": "error"}], ids=str)
def test_log_density_with_weights_and_known_errors(extra):
    model = Model("y ~ x + (x | pop)", table(), **extra)
    built = model.to_pymc()
    points = [random_point(built, seed=s) for s in range(3)]
    expected = [numpy_density(model, p) for p in points]
    np.testing.assert_allclose(log_densities(built, points), expected, rtol=1e-10)


def test_mixed_priors_of_one_vector():
    given = {"x": Prior("Exponential", lam=1)}
    model = Model("y ~ x + z + (1 | pop)", table(), priors=given)
    built = model.to_pymc()
    assert {rv.name for rv in built.free_RVs} >= {"beta_std_0", "beta_std_1"}


def reported(model: Model, points: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
    """The reported parameters at points of the free ones, by PyMC's own graph."""
    built = model.to_pymc()
    names = [n for n in reported_names(model.design) if n != "sigma"]
    compiled = pm.compile(
        list(built.free_RVs),
        [built[n] for n in names],
        mode="FAST_COMPILE",
        on_unused_input="ignore",
    )
    return [
        dict(zip(names, compiled(*[p[rv.name] for rv in built.free_RVs]), strict=True))
        for p in points
    ]


#: formula, (a, b) of x' = a x + b; a change of origin only where the model is invariant to it.
CHANGES = [
    ("y ~ x + (x | pop)", 10.0, 0.0),
    ("y ~ x + (x | pop)", 1.0, 1000.0),
    ("y ~ x + z + (x + z | pop) + (1 | year)", 10.0, 1000.0),
    ("y ~ x + f + (x + f | pop)", 10.0, 1000.0),
    ("y ~ x + (1 | pop/patch)", 10.0, 1000.0),
    ("y ~ x + (x || pop)", 10.0, 0.0),
    ("y ~ x + (0 + x | pop)", 10.0, 0.0),
    ("y ~ 0 + x + (1 | pop)", 10.0, 0.0),
    ("y ~ x*z + (x | pop)", 10.0, 0.0),
]


@pytest.mark.parametrize(("formula", "a", "b"), CHANGES)
def test_unit_and_origin_do_not_matter(formula, a, b):
    """One point of the standardised parameters is the same model in both units.

    Equal log-density, equal linear predictor from the reported parameters, equal sds of the
    group effects at any x.
    """
    one = Model(formula, table())
    other = Model(formula, table().assign(x=lambda d: a * d["x"] + b))
    built = one.to_pymc()
    points = [random_point(built, seed=s) for s in range(3)]
    np.testing.assert_allclose(
        log_densities(built, points), log_densities(other.to_pymc(), points), rtol=1e-9
    )
    for here, there in zip(reported(one, points), reported(other, points), strict=True):
        np.testing.assert_allclose(predictor(one, here), predictor(other, there), rtol=1e-9)
        for block, changed in zip(one.design.blocks, other.design.blocks, strict=True):
            np.testing.assert_allclose(
                row_variances(block, here), row_variances(changed, there), rtol=1e-7
            )
        if "beta" in here:
            factor = np.where([t.split(":")[0] == "x" for t in one.design.terms], a, 1.0)
            np.testing.assert_allclose(here["beta"], there["beta"] * factor, rtol=1e-9)


def predictor(model: Model, values: dict[str, np.ndarray]) -> np.ndarray:
    """eta from the reported parameters and the raw columns."""
    design = model.design
    eta = design.offset + values.get("Intercept", 0.0)
    if design.terms:
        eta = eta + design.common.values @ values["beta"]
    for block in design.blocks:
        eta = eta + (block.columns.values * values[f"b_{block.name}"][block.index]).sum(axis=1)
    return eta


def row_variances(block, values: dict[str, np.ndarray]) -> np.ndarray:
    """z_i' Sigma z_i from the reported sds and correlations and the raw columns."""
    sd = values[f"sd_{block.name}"]
    cor = values.get(f"cor_{block.name}", np.eye(len(sd)))
    z = block.columns.values
    return np.einsum("nq,qr,nr->n", z, cor * np.outer(sd, sd), z)


def test_a_prior_of_a_tenth_of_the_scale_for_ten_x():
    """``10 x`` with a prior of a tenth of the scale is the same model (DESIGN section 4)."""
    one = Model(
        "y ~ x + (x | pop)",
        table(),
        priors={
            "x": Prior("Normal", mu=0.2, sigma=1),
            "sd_pop[x]": Prior("Exponential", lam=2),
        },
    )
    ten = Model(
        "y ~ x + (x | pop)",
        table().assign(x=lambda d: 10 * d["x"]),
        priors={
            "x": Prior("Normal", mu=0.02, sigma=0.1),
            "sd_pop[x]": Prior("Exponential", lam=20),
        },
    )
    built = one.to_pymc()
    points = [random_point(built, seed=s) for s in range(3)]
    np.testing.assert_allclose(
        log_densities(built, points), log_densities(ten.to_pymc(), points), rtol=1e-9
    )


def test_dims_and_coordinates_are_the_users_words():
    built = Model("y ~ x + (x | year) + (1 | pop/patch)", table()).to_pymc()
    assert list(built.coords["year"]) == [2000, 2001, 2002, 2003, 2004, 2005]
    assert list(built.coords["year_term"]) == ["Intercept", "x"]
    assert built.coords["pop:patch"][0] == "P0:a"
    assert built.named_vars_to_dims["b_year"] == ("year", "year_term")
    assert built.named_vars_to_dims["cor_year"] == ("year_term", "year_term_bis")
    assert built.named_vars_to_dims["beta"] == ("term",)


def arrows(model):
    """(from, to) by the first line of the labels."""
    source = model.graph().source
    names = dict(re.findall(r'^\s*(n\d+) \[label="([^\n"\\]+)', source, flags=re.MULTILINE))
    return {(names[a], names[b]) for a, b in re.findall(r"(n\d+) -> (n\d+)", source)}


def test_graph_has_the_words_of_the_posterior():
    model = Model("y ~ x + (x | pop) + (1 | pop:patch)", table())
    assert arrows(model) == {
        *((name, "y") for name in ("Intercept", "beta", "sigma", "columns")),
        *((f"{name}_pop", "b_pop") for name in ("sd", "cor")),
        ("sd_pop:patch", "b_pop:patch"),
        ("b_pop", "y"),
        ("b_pop:patch", "y"),
    }
    names = {name for pair in arrows(model) for name in pair} - {"y", "columns"}
    assert names <= set(model.to_pymc().named_vars)


def test_a_graph_in_a_terminal_says_what_can_be_done_with_it():
    model = Model("y ~ x + (x | pop)", table())
    assert '.render("model")' in repr(model.graph())


def test_graph_of_zero_inflation_without_predictors():
    data = table().assign(y=lambda d: d["y"].rank() % 4)
    model = Model("y ~ 1 + (1 | pop)", data, family="zi_poisson", zi="~ 1 + (1 | pop)")
    assert arrows(model) == {
        ("Intercept", "y"),
        ("zi_Intercept", "y"),
        ("sd_pop", "b_pop"),
        ("zi_sd_pop", "zi_b_pop"),
        ("b_pop", "y"),
        ("zi_b_pop", "y"),
    }


def test_the_diagram_of_pymc_has_what_stands_between():
    assert "sd_pop_std" in Model("y ~ x + (x | pop)", table()).graph(pymc=True).source


def test_without_dot_a_notebook_is_told_what_to_install(monkeypatch):
    graph = Model("y ~ x + (x | pop)", table()).graph()
    monkeypatch.setenv("PATH", "")
    (text,) = graph._repr_mimebundle_().values()
    assert "graphviz" in text


def test_equations_without_priors_keep_the_rest():
    model = Model("y ~ x + (x | pop)", table())
    whole, short = model.equations(), model.equations(priors=False)
    assert str(whole).startswith(str(short).removesuffix("\n\\end{aligned}"))
    assert "StudentT" in str(whole)
    assert "StudentT" not in str(short)
