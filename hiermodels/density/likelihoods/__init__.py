"""Densities of single observations and their slopes, one C callback per family and link.

`elementary` (-> `gammas`, `links`) -> `counts`, `probabilities`, `continuous`, `ordinals` ->
`loops` -> `table`. Nothing here reads other kernels: callbacks are called through pointers.
"""

from .table import LIKELIHOODS, Likelihood, likelihood

__all__ = ["LIKELIHOODS", "Likelihood", "likelihood"]
