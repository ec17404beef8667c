"""Log-densities of hierarchical models, compiled once for all models.

Gaussian ones, the coefficients integrated out: `problem` -> `crossproducts` -> `pilot` (->
`collapsed`, `coordinates`) -> `nuts` or `independence` -> `recovery` (-> `drawing`,
`combinations`; `ahead`) -> `sampling`; with any prior of the coefficients `joint` -> `conditional`,
`noncentred` -> `noncentred_sampling`.

Every other family, row by row: `rows` -> `information` -> `informed` (-> `rowdensity`,
`likelihoods`; `informed_lanes` or `informed_panels`) -> `informed_sampling`.
"""

from .ahead import compiled_beside
from .combinations import combination_moments
from .coordinates import first_use
from .crossproducts import CrossProducts, cross_products
from .drawing import Coefficients, Store
from .problem import BlockData, GaussianProblem, PositivePrior
from .recovery import recover
from .sampling import name_draws, sample, sample_theta
from .trace import Trace

__all__ = [
    "BlockData",
    "Coefficients",
    "CrossProducts",
    "GaussianProblem",
    "PositivePrior",
    "Store",
    "Trace",
    "combination_moments",
    "compiled_beside",
    "cross_products",
    "first_use",
    "name_draws",
    "recover",
    "sample",
    "sample_theta",
]
