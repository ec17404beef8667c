"""The names by which other packages call an argument, where a user types them here.

What means the same is taken as ours; what does not is an error with what to type.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from hiermodels.errors import ArgumentError, did_you_mean

__all__ = ["known_elsewhere"]

#: Another package's name of an argument that means the same.
SAME = {
    "seed": "random_seed",
    "random_state": "random_seed",
    "warmup": "tune",
    "num_warmup": "tune",
    "num_samples": "draws",
    "num_chains": "chains",
    "ziformula": "zi",
    "dispformula": "dispersion",
    "prior": "priors",
    "progress_bar": "progressbar",
}
REML = (
    "a posterior has no REML: all coefficients are averaged over, as REML does for the sds. "
    "Leave it out"
)
#: What has no such argument here, and what to type.
INSTEAD = {
    "iter": "in brms it counts the warmup; here draws= are kept of each chain, tune= the rest",
    "REML": REML,
    "method": REML,
    "control": "such as hm.fit(..., target_accept=0.95, tune=1000)",
    "adapt_delta": "its name is target_accept",
    "thin": "every draw is kept; fit.idata.sel(draw=slice(None, None, 2)) takes each second one",
    "backend": "its name is engine: 'auto' or one of hiermodels' own",
    "na_action": "its name is missing: 'drop' or 'error'",
    "dropna": "its name is missing: 'drop' or 'error'",
    "offset": "it stands in the formula: y ~ x + offset(log(time))",
    "subset": "choose the rows of the data first",
    "contrasts": "they stand in the formula: T(f, ref='b') for a reference, S(f) for sums",
    "groups": "they stand in the formula: y ~ x + (1 | group)",
    "re_formula": "they stand in the formula: y ~ x + (x | group)",
    "init": "chains start where the posterior is; there is nothing to choose",
    "inits": "chains start where the posterior is; there is nothing to choose",
}


def known_elsewhere[**P, T](function: Callable[P, T]) -> Callable[P, T]:
    """Takes the names of other packages beside those of the function, whose signature stays.

    Raises
    ------
    ArgumentError
        A name without a meaning here, with what to type; one that is given twice.
    """
    own = inspect.signature(function).parameters

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        named: dict[str, Any] = {}
        for name, value in kwargs.items():
            ours = SAME.get(name, name) if name not in own else name
            if ours not in own:
                raise unknown(name, tuple(own))
            if ours in named or (ours != name and ours in kwargs):
                raise ArgumentError(f"{ours}= and {name}= are the same argument: give one of them")
            named[ours] = value
        return function(*args, **named)

    return called


def unknown(name: str, own: tuple[str, ...]) -> ArgumentError:
    if name in INSTEAD:
        return ArgumentError(f"no argument {name}= here: {INSTEAD[name]}.")
    valid = [each for each in own if each != "self"]
    return ArgumentError(
        f"no argument {name}=. Valid: {', '.join(valid)}.{did_you_mean(name, [*valid, *SAME])}"
    )
