"""What a formula computes is what NumPy computes in float64, whatever the columns are kept as."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hiermodels.design import new_common
from hiermodels.fitting import Model
from hiermodels.numbers.prediction import encode_rows

#: What a frame can keep whole numbers as.
KEPT = {
    **{name: name for name in ("int8", "uint8", "int16", "int32", "int64", "uint64")},
    **{name: name for name in ("float16", "float32", "Int8", "UInt8", "Int64", "Float32")},
    "arrow int8": pd.ArrowDtype(pa.int8()),
    "arrow int64": pd.ArrowDtype(pa.int64()),
}
#: expression: what it is, of the columns x and z in float64.
EXPRESSIONS = {
    "x": lambda x, z: x,
    "x:z": lambda x, z: x * z,
    "I(x * z)": lambda x, z: x * z,
    "I(x * z * x * z * x * z * x * z * x * z)": lambda x, z: (x * z) ** 5,
    "I(x ** 2)": lambda x, z: x**2,
    "I(x ** -1)": lambda x, z: 1 / x,
    "I(x - z)": lambda x, z: x - z,
    "I(-x)": lambda x, z: -x,
    "I(x / z)": lambda x, z: x / z,
    "log(x)": lambda x, z: np.log(x),
    "np.exp(x / 100)": lambda x, z: np.exp(x / 100),
    "sqrt(x * z)": lambda x, z: np.sqrt(x * z),
    "square(x)": lambda x, z: x * x,
    "abs(x - z)": lambda x, z: np.abs(x - z),
    "center(x)": lambda x, z: x - x.mean(),
    "scale(x)": lambda x, z: (x - x.mean()) / x.std(),
    "scale(I(x * z))": lambda x, z: (x * z - (x * z).mean()) / (x * z).std(),
    "within(x, g)": lambda x, z: x - np.repeat(x.reshape(4, -1).mean(axis=1), 5),
    "I((x > 100) + (z > 60))": lambda x, z: (x > 100) * 1.0 + (z > 60) * 1.0,
    "log1p(x > 100)": lambda x, z: np.log1p((x > 100) * 1.0),
}


def frame(dtype: object = "float64", *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {"x": rng.integers(90, 125, 20), "z": rng.integers(50, 125, 20)}
    data = pd.DataFrame({k: pd.Series(v).astype(dtype) for k, v in columns.items()})
    return data.assign(y=rng.normal(size=20), g=np.repeat(np.arange(4, dtype="int8"), 5))


@pytest.mark.parametrize("dtype", KEPT)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_is_that_of_float64(dtype, expression):
    """To the rounding of one function; the least precise dtype here has three digits."""
    data = frame(KEPT[dtype])
    x, z = (data[c].to_numpy(dtype=float) for c in "xz")
    right = EXPRESSIONS[expression](x, z)
    design = Model(f"y ~ {expression}", data).design
    assert design.common.values[:, 0] == pytest.approx(right, rel=1e-13, abs=1e-13)
    # new rows, and of another dtype than those of the fit
    assert new_common(design, data)[:, 0] == pytest.approx(right, rel=1e-13, abs=1e-13)
    fitted = Model(f"y ~ {expression}", frame()).design
    new = encode_rows(
        fitted, data, target="population", kind="link", factors=frozenset(), redraw=False
    )
    assert new.parts[0].common[:, 0] == pytest.approx(right, rel=1e-13, abs=1e-13)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([name for name in KEPT if "int" in name.lower()]),
    st.lists(st.sampled_from("+-*"), min_size=1, max_size=4),
    st.integers(0, 1000),
)
def test_any_arithmetic_of_integers(dtype, operators, seed):
    data = frame(KEPT[dtype], seed=seed)
    names = ["x", *(("z", "x")[k % 2] for k in range(len(operators)))]
    text = names[0] + "".join(f" {o} {n}" for o, n in zip(operators, names[1:], strict=True))
    right = eval(text, {c: data[c].to_numpy(dtype=float) for c in "xz"})
    response = Model(f"{text} ~ 1 + (1 | g)", data.assign(x=data["x"], z=data["z"])).design.response
    assert response == pytest.approx(right, rel=1e-13)


def test_bars_offsets_trials_weights_and_parameters():
    """Every other place of a number."""
    data = frame("int8")
    x, z = (data[c].to_numpy(dtype=float) for c in "xz")
    model = Model("y ~ offset(x * z) + (x:z | g)", data, dispersion="~ x:z", weights=data["x"] // 8)
    assert np.asarray(model.design.offset) == pytest.approx(x * z)
    assert model.design.blocks[0].columns.values[:, 1] == pytest.approx(x * z)
    assert model.design.extras["sigma"].common.values[:, 0] == pytest.approx(x * z)
    shares = Model("x / (x + z) ~ 1", data, family="binomial").design
    assert shares.trials == pytest.approx(x + z)
    assert Model("x * z ~ 1", data, family="poisson").design.response == pytest.approx(x * z)


def test_a_plain_table_of_large_numbers():
    """int64, as pandas reads a text file: beyond 2^63, where a product wraps around."""
    data = frame("int64").assign(gdp=lambda d: 10**12 * d["x"], population=lambda d: 10**7 * d["z"])
    design = Model("y ~ gdp:population + I(gdp ** 2)", data).design
    gdp, population = (data[c].to_numpy(dtype=float) for c in ("gdp", "population"))
    assert design.common.values == pytest.approx(np.column_stack([gdp * population, gdp**2]))


def test_a_table_of_polars():
    data = pl.from_pandas(frame("int8"))
    right = data["x"].to_numpy().astype(float) * data["z"].to_numpy().astype(float)
    assert Model("y ~ x:z", data).design.common.values[:, 0] == pytest.approx(right)


def test_true_and_false_are_one_and_zero():
    rng = np.random.default_rng(1)
    data = frame().assign(a=rng.random(20) < 0.5, b=rng.random(20) < 0.5)
    a, b = (data[c].to_numpy(dtype=float) for c in "ab")
    design = Model("y ~ I(a + b) + I(a - b) + a:b", data).design
    assert design.common.values == pytest.approx(np.column_stack([a + b, a - b, a * b]))


def test_labels_stay_as_they_are():
    """Also beyond 2^53, where float64 has not every whole number."""
    big = 2**60 + np.repeat(np.arange(4), 5)
    data = frame("int8").assign(
        big=big, huge=pd.array(big.astype("uint64") + 2**63, dtype="UInt64")
    )
    formula = "y ~ C(g) + S(g) + C(g * 2) + C(x > 100) + between(x, big) + (1 | big) + (1 | huge)"
    design = Model(formula, data).design
    assert design.terms[:3] == ("C(g)[1]", "C(g)[2]", "C(g)[3]")
    assert "C(g * 2)[2]" in design.terms
    assert "C(x > 100)[True]" in design.terms
    means = np.repeat(data["x"].to_numpy(dtype=float).reshape(4, 5).mean(axis=1), 5)
    assert design.common.values[:, -1] == pytest.approx(means)
    assert design.block("big").levels == tuple(2**60 + k for k in range(4))
    assert design.block("huge").levels == tuple(2**60 + 2**63 + k for k in range(4))


def test_new_rows_of_a_nullable_column_that_miss_a_value_are_named():
    fit = Model("y ~ x", frame("Int8")).design
    rows = pd.DataFrame({"x": pd.array([100, None], dtype="Int8")})
    with pytest.raises(ValueError, match="misses 'x' in row 1"):
        encode_rows(fit, rows, target="population", kind="mean", factors=frozenset(), redraw=False)


def test_bambi_is_given_float64():
    """Its matrix is ours; the labels of a factor stay whole numbers."""
    data = frame("int8").assign(h=np.repeat(np.arange(2, dtype="int8"), 10))
    model = Model("y ~ x:z + C(h) + (1 | g)", data)
    bambi = model.to_bambi()
    common = np.asarray(bambi.parameters["mu"].design.common.design_matrix)
    assert common[:, 1:] == pytest.approx(model.design.common.values)
    assert bambi.data["g"].tolist() == data["g"].tolist()
