"""I^2 beside the ICC where standard errors are known: by hand, and against metafor."""

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.fitting import Model
from hiermodels.numbers.variance import typical_error

SCHOOLS = {
    "effect": [28.0, 8, -3, 7, -1, 1, 18, 12],
    "error": [15.0, 10, 16, 11, 9, 11, 10, 18],
    "school": list("ABCDEFGH"),
}
#: Vaccinated with tuberculosis and without, not vaccinated with and without: metafor's dat.bcg
#: (Colditz et al. 1994, JAMA 271).
BCG = np.array(
    [
        [4, 119, 11, 128],
        [6, 300, 29, 274],
        [3, 228, 11, 209],
        [62, 13536, 248, 12619],
        [33, 5036, 47, 5761],
        [180, 1361, 372, 1079],
        [8, 2537, 10, 619],
        [505, 87886, 499, 87892],
        [29, 7470, 45, 7232],
        [17, 1699, 65, 1600],
        [186, 50448, 141, 27197],
        [5, 2493, 3, 2338],
        [27, 16886, 29, 17825],
    ]
)


def test_metafor_has_the_same_heterogeneity_of_the_bcg_vaccine():
    """metafor's documentation: rma(yi, vi, data=dat) has tau^2 = 0.3132 and I^2 = 92.22 %."""
    a, b, c, d = BCG.T
    variance = 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)
    data = pd.DataFrame(
        {
            "y": np.log(a / (a + b)) - np.log(c / (c + d)),
            "error": np.sqrt(variance),
            "trial": np.arange(13),
        }
    )
    typical = typical_error(Model("y ~ 1 + (1 | trial)", data, se="error").design)
    # tau^2 has four digits
    assert 0.3132 / (0.3132 + typical) == pytest.approx(0.9222, abs=1e-4)


def test_eight_schools_by_hand():
    fit = hm.fit(
        "effect ~ 1 + (1 | school)",
        SCHOOLS,
        se="error",
        draws=500,
        random_seed=1,
        progressbar=False,
        cores=1,
    )
    w = [1 / e**2 for e in SCHOOLS["error"]]
    typical = 7 * sum(w) / (sum(w) ** 2 - sum(v * v for v in w))
    tau2 = fit.draws.sd["school"][:, 0] ** 2
    table = fit.icc()
    lower, middle, upper = np.quantile(tau2 / (tau2 + typical), [0.025, 0.5, 0.975])
    assert table["i2"].iloc[0] == pytest.approx(middle, rel=1e-9)
    bounds = table[["i2_lower", "i2_upper"]].iloc[0]
    np.testing.assert_allclose(bounds, [lower, upper], rtol=1e-9)
    arithmetic = np.mean(np.square(SCHOOLS["error"]))
    assert f"arithmetic mean of se², {arithmetic:.4g}" in str(table)
    assert f"typical variance {typical:.4g}" in str(table)
    assert "arithmetic mean of se²" in str(fit.variance_table())


def test_equal_errors_have_one_variance_and_weights_are_rows():
    data = pd.DataFrame(SCHOOLS)
    equal = Model("effect ~ 1 + (1 | school)", data.assign(error=12.0), se="error").design
    assert typical_error(equal) == pytest.approx(144)
    data["w"] = [1, 2, 1, 3, 1, 1, 2, 1]
    weighted = Model("effect ~ 1 + (1 | school)", data, se="error", weights="w").design
    repeated = data.loc[data.index.repeat(data.w)]
    again = Model("effect ~ 1 + (1 | school)", repeated, se="error").design
    assert typical_error(weighted) == pytest.approx(typical_error(again))
