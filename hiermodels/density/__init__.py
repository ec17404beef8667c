"""Gaussian hierarchical models with their coefficients integrated out, compiled once for all
models.

`problem` -> `crossproducts` -> `pilot` (-> `collapsed`, `coordinates`) -> `nuts` or `independence`
-> `recovery` -> `sampling`.
"""

from .crossproducts import CrossProducts, cross_products
from .problem import BlockData, GaussianProblem, PositivePrior
from .recovery import Coefficients, LevelMoments, conditional_variances, level_moments, recover
from .sampling import sample, sample_theta
from .trace import Trace

__all__ = [
    "BlockData",
    "Coefficients",
    "CrossProducts",
    "GaussianProblem",
    "LevelMoments",
    "PositivePrior",
    "Trace",
    "conditional_variances",
    "cross_products",
    "level_moments",
    "recover",
    "sample",
    "sample_theta",
]
