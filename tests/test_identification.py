"""What the rows cannot tell apart: collinear columns, equal factors, separation, empty cells."""

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

import hiermodels as hm
from hiermodels.design import new_common
from hiermodels.findings import Finding
from hiermodels.fitting import Model
from hiermodels.rank import in_words, relations

#: Kinds of findings that these modules make.
OURS = {
    "collinear columns",
    "more coefficients than rows",
    "equal factors",
    "one level",
    "empty cell",
    "complete separation",
    "quasi-complete separation",
}


def rows(n: int = 120, *, seed: int = 0) -> pd.DataFrame:
    """Two numbers, categories of 3 and 2, six groups that have other names in ``g2``."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "z": rng.normal(size=n),
            "f": np.repeat(["a", "b", "c"], n // 3),
            "h": np.tile(["u", "v"], n // 2),
            "g": np.tile(list("pqrstu"), n // 6),
            "one": "k",
            "success": rng.integers(0, 2, n),
            "count": rng.poisson(2, n),
        }
    )
    data["g2"] = data["g"].map(dict(zip("pqrstu", "FEDCBA", strict=True)))
    data["y"] = data["x"] + rng.normal(size=n)
    return data


def found(formula: str, data: pd.DataFrame, **options: object) -> list[Finding]:
    return [f for f in Model(formula, data, **options).nesting() if f.kind in OURS]


COLLINEAR = {
    "y ~ x + x2": "x2 = 1 + 2 x",
    "y ~ x + z + both": "both = x - 0.5 z",
    "y ~ d1 + d2 + d3": "d3 = 1 - d1 - d2",
    "y ~ f + d2": "d2 = f[b]",
    "y ~ C(f) + f": "f[b] = C(f)[b]; f[c] = C(f)[c]",
    "y ~ within(x, g) + between(x, g) + x + (1 | g)": "x = within(x, g) + between(x, g)",
    "y ~ x + (x + x2 | g)": "x2 = 1 + 2 x",
}


def collinear_rows() -> pd.DataFrame:
    data = rows()
    return data.assign(
        x2=2 * data.x + 1,
        both=data.x - 0.5 * data.z,
        **{f"d{k}": (data.f == c).astype(float) for k, c in enumerate("abc", 1)},
    )


@pytest.mark.parametrize("formula", COLLINEAR)
def test_collinear_columns_are_named_with_their_relation(formula):
    (finding,) = found(formula, collinear_rows())
    assert finding.kind == "collinear columns"
    assert finding.certain
    assert finding.message.startswith(COLLINEAR[formula] + " in every row")


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x + poly(z, 2)",
        "y ~ 0 + d1 + d2 + d3",
        "y ~ x + near",
        "y ~ f * h",
        "y ~ year + square",
    ],
)
def test_columns_that_are_not_collinear_raise_no_alarm(formula):
    data = collinear_rows()
    data["near"] = data.x + 1e-5 * data.z
    data["year"] = 2000.0 + np.arange(len(data)) % 20
    data["square"] = data.year**2
    assert found(formula, data) == []


@pytest.mark.parametrize("intercept", [True, False])
def test_relations_are_those_of_the_singular_values(intercept):
    """As many as the rank says, and each holds in every row."""
    rng = np.random.default_rng(3)
    free = rng.normal(5, 2, size=(80, 4))
    mixed = free @ rng.normal(size=(4, 3)) + (2.0 if intercept else 0.0)
    columns = np.column_stack([free[:, :2], mixed[:, :1], free[:, 2:], mixed[:, 1:]])
    got = relations(columns, intercept=intercept)
    whole = np.column_stack([np.ones(80), columns]) if intercept else columns
    assert len(got) == whole.shape[1] - np.linalg.matrix_rank(whole)
    for j, a in got.items():
        # sums of ten numbers of the size of ten, to rounding
        np.testing.assert_allclose(columns[:, j], a[0] + columns @ a[1:], atol=1e-9)


def test_relations_read_as_equations():
    assert in_words("x2", np.array([1.0, 2, 0]), ["x", "x2"]) == "x2 = 1 + 2 x"
    assert in_words("b", np.array([0.0, -1, 0]), ["a", "b"]) == "b = -a"
    assert in_words("c", np.array([-0.25, 1, -1.5]), ["a", "b"]) == "c = -0.25 + a - 1.5 b"


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ x + (1 | g) + (1 | g2)",
        "y ~ x + (x | g) + (1 | g2)",
        "y ~ x + (1 | g:f) + (1 | g2:f)",
        "y ~ x + (0 + first | g) + (0 + first | elsewhere)",
    ],
)
def test_factors_that_are_one_under_other_labels(formula):
    data = rows().assign(first=lambda d: (d.f == "a").astype(float))
    # as g2 where the dummy is 1, and another grouping where no effect reaches
    data["elsewhere"] = np.where(data.f == "a", data.g2, data.h)
    (finding,) = found(formula, data)
    assert finding.kind == "equal factors"
    assert "under other labels" in finding.message


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ arm_a + (0 + arm_a | clinic) + (0 + arm_b | therapist)",
        "y ~ arm_a + (0 + arm_a | g) + (0 + arm_b | g2)",
        "y ~ arm_a + (0 + arm_a | g) + (0 + arm_b | g)",
        "y ~ x + (1 | g) + (0 + x | g2)",
        "y ~ x + (1 + arm_a + arm_b || g)",
    ],
)
def test_no_false_alarm_on_a_dummy_for_each_arm(formula):
    data = rows(240)
    data["arm_a"] = np.tile(np.repeat([1.0, 0.0], 12), 10)
    data["arm_b"] = 1 - data.arm_a
    data["clinic"] = np.where(data.arm_a == 1, data.g, "none")
    data["therapist"] = np.where(data.arm_b == 1, "t" + (data.index % 7).astype(str), "none")
    assert list(Model(formula, data).nesting()) == []


def test_a_column_of_one_label_is_told_and_a_product_with_it_refused():
    (finding,) = found("y ~ one + x", rows())
    assert finding.kind == "one level"
    assert finding.message.startswith("'one' has the same label in every row")
    assert [f.kind for f in found("y ~ x + (one | g)", rows())] == ["one level"]
    with pytest.raises(hm.FormulaError, match="'one' is 'k' in every row"):
        Model("y ~ x * one", rows())


@pytest.mark.parametrize(
    ("formula", "cell"),
    [
        ("y ~ f * h", ("b", "u")),
        ("y ~ f * h", ("c", "v")),
        ("y ~ f * h * x", ("b", "v")),
        ("y ~ C(f) * h", ("a", "u")),
        ("y ~ 0 + f:h", ("b", "u")),
    ],
)
def test_an_empty_cell_leaves_as_many_columns_as_the_rank(formula, cell):
    """Those that are left span what all of them span; the empty cell cannot be predicted."""
    data = rows()
    here = (data.f == cell[0]) & (data.h == cell[1])
    model = Model(formula, data[~here])
    (note,) = found(formula, data[~here])
    assert note.kind == "empty cell"
    assert not note.certain
    design = model.design
    columns = design.common.values
    whole = np.column_stack([np.ones(len(columns)), columns]) if design.intercept else columns
    cells = pd.get_dummies(data[~here].f + data[~here].h).to_numpy(dtype=float)
    expected = np.column_stack([cells, cells * data[~here][["x"]].to_numpy()])
    expected = expected if "x" in formula else cells
    assert whole.shape[1] == np.linalg.matrix_rank(whole) == np.linalg.matrix_rank(expected)
    assert np.linalg.matrix_rank(np.column_stack([whole, expected])) == whole.shape[1]
    np.testing.assert_array_equal(new_common(design, data[~here]), columns)
    with pytest.raises(hm.DataError, match="in a cell that no row of the data has"):
        new_common(design, data[here])


def test_a_fit_with_an_empty_cell_predicts_and_is_saved(tmp_path):
    data = rows()
    data = data[~((data.f == "b") & (data.h == "u"))]
    fit = hm.fit("y ~ f * h", data, draws=100, tune=100, random_seed=1, progressbar=False, cores=1)
    assert "f[b]:h[v]" not in fit.design.terms
    fit.save(tmp_path / "fit.zip")
    again = hm.load(tmp_path / "fit.zip")
    new = pd.DataFrame({"f": ["b", "c"], "h": ["v", "u"]})
    one, other = (f.predict(new, target="population") for f in (fit, again))
    pd.testing.assert_frame_equal(pd.DataFrame(one), pd.DataFrame(other))


SEPARATED = {
    "x": ("bernoulli", "higher ~ x + z", "complete separation", "x separates"),
    "both": ("bernoulli", "line ~ x + z", "complete separation", "x and z together separate"),
    "category": (
        "bernoulli",
        "always ~ f + x",
        "quasi-complete separation",
        "always is 1 in all 40 rows with f = 'b'",
    ),
    "reference": (
        "bernoulli",
        "never ~ f + x",
        "quasi-complete separation",
        "never is 0 in all 40 rows with f = 'a'",
    ),
    "trials": (
        "binomial",
        "all_of / trials ~ f",
        "quasi-complete separation",
        "all trials succeed in all 40 rows with f = 'b'",
    ),
    "beta-binomial": (
        "betabinomial",
        "all_of / trials ~ f + z",
        "quasi-complete separation",
        "all trials succeed in all 40 rows with f = 'b'",
    ),
    "ordinal": ("ordinal", "graded ~ x", "complete separation", "x separates the categories"),
    "ordinal category": (
        "ordinal",
        "top ~ f",
        "quasi-complete separation",
        "top is 3 in all 40 rows with f = 'c'",
    ),
    "counts": (
        "negbinomial",
        "none ~ f + x",
        "quasi-complete separation",
        "none is 0 in all 40 rows with f = 'b'",
    ),
}


def separated_rows() -> pd.DataFrame:
    data, rng = rows(), np.random.default_rng(5)
    n = len(data)
    return data.assign(
        higher=(data.x > 0.1).astype(int),
        line=(data.x + data.z > 0).astype(int),
        always=np.where(data.f == "b", 1, data.success),
        never=np.where(data.f == "a", 0, data.success),
        trials=5,
        all_of=np.where(data.f == "b", 5, rng.integers(0, 6, n)),
        graded=np.digitize(data.x, [-1, 0, 1]),
        top=np.where(data.f == "c", 3, rng.integers(0, 4, n)),
        none=np.where(data.f == "b", 0, data["count"]),
    )


@pytest.mark.parametrize("case", SEPARATED)
def test_separation_names_columns_and_cause(case):
    family, formula, kind, words = SEPARATED[case]
    (finding,) = found(formula, separated_rows(), family=family)
    assert finding.kind == kind
    assert finding.message.startswith(words)
    assert "the likelihood has no maximum" in finding.message


@pytest.mark.parametrize("seed", range(30))
def test_separation_is_found_where_the_likelihood_has_no_maximum(seed):
    """Few rows, so that some are separated: there a maximum under ever wider penalties runs away.

    With a ridge of 1e-6 the coefficients of separated rows are several times those with 1e-3; of
    others the same.
    """
    rng = np.random.default_rng([seed, 11])
    data = pd.DataFrame({"x": rng.normal(size=14), "z": rng.normal(size=14)})
    data["y"] = (data.x + 0.7 * rng.logistic(size=14) > 0).astype(int)
    if data.y.nunique() < 2:
        pytest.skip("one outcome only")
    X = sm.add_constant(data[["x", "z"]]).to_numpy()
    size = [np.abs(penalised(X, data.y.to_numpy(), ridge)).max() for ridge in (1e-3, 1e-6)]
    separated = size[1] > 1.5 * size[0]
    assert bool(found("y ~ x + z", data, family="bernoulli")) == separated


def penalised(X: np.ndarray, y: np.ndarray, ridge: float) -> np.ndarray:
    """The maximum of a logistic likelihood less ridge |b|^2 / 2, by damped Newton steps."""

    def value(b: np.ndarray) -> float:
        return float(y @ (X @ b) - np.logaddexp(0, X @ b).sum() - ridge * b @ b / 2)

    b = np.zeros(X.shape[1])
    for _ in range(500):
        mean = 1 / (1 + np.exp(-X @ b))
        information = (X * (mean * (1 - mean))[:, None]).T @ X + ridge * np.eye(len(b))
        step = np.linalg.solve(information, X.T @ (y - mean) - ridge * b)
        while value(b + step) < value(b) and np.abs(step).max() > 1e-12:
            step = step / 2
        b = b + step
    return b


@pytest.mark.parametrize(
    ("formula", "family"),
    [
        ("success ~ x + f + (1 | g)", "bernoulli"),
        ("count ~ x + f", "poisson"),
        ("count ~ x * f", "hurdle_negbinomial"),
        ("graded ~ z", "ordinal"),
    ],
)
def test_no_separation_where_rows_overlap(formula, family):
    assert found(formula, separated_rows(), family=family) == []


def test_a_fit_warns_once_and_has_a_posterior():
    data = collinear_rows()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        fit = hm.fit(
            "y ~ x + x2", data, draws=200, tune=200, random_seed=1, progressbar=False, cores=1
        )
    ours = [w for w in told if issubclass(w.category, hm.IdentificationWarning)]
    assert len(ours) == 1
    assert "x2 = 1 + 2 x" in str(ours[0].message)
    assert "x2 = 1 + 2 x" in str(fit.summary())
    # what the data tell is the sum b + 2 b2: that of least squares, within 4 posterior sds / 10
    beta = np.asarray(fit.draws.beta)
    slope = beta[:, 0] + 2 * beta[:, 1]
    least = np.polyfit(data.x, data.y, 1)[0]
    assert abs(slope.mean() - least) < 0.4 * slope.std()


SHIPPED = [
    ("sites", "y ~ x + (x | site)", {}),
    ("penicillin", "diameter ~ 1 + (1 | plate) + (1 | sample)", {}),
    ("rehab", "incidents ~ treatment + hours + (treatment | center)", {"family": "poisson"}),
    ("rehab", "incidents ~ treatment + gender + (1 | center)", {"family": "negbinomial"}),
    ("rehab", "incidents ~ treatment + gender + (1 | center)", {"family": "zi_poisson"}),
    ("sites", "y ~ x * site", {}),
    ("sites_nb", "y ~ x + (x | site)", {"family": "negbinomial"}),
    ("sleepstudy", "Reaction ~ Days + (Days | Subject)", {}),
    ("bats_sim", "mass ~ species * forest + (forest | sites)", {}),
    ("bees_sim", "Eulaema_nigrita ~ MAP + (1 | SA)", {"family": "negbinomial"}),
    ("blossoms_sim", "UBW ~ LBW + (1 | pop/patch)", {}),
    ("dragons_sim", "testScore ~ bodyLength + (bodyLength | mountainRange/site)", {}),
    ("plots_sim", "biomass ~ 1 + (1 | plot) + (1 | year)", {}),
    ("variance_sim", "y ~ x1 + (1 | groupID)", {}),
]


@pytest.mark.parametrize(("name", "formula", "options"), SHIPPED)
def test_no_alarm_on_shipped_data(name, formula, options):
    assert found(formula, hm.load_dataset(name), **options) == []
