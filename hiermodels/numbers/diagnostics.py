"""Whether the sampler can be trusted: R-hat, effective sample size, divergences, energy.

Labelled and put into words; the first two are computed in `convergence`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hiermodels.convergence import average_ranks, bulk_ess, rank_rhat, tail_ess
from hiermodels.design import Design
from hiermodels.errors import ModesWarning

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "Diagnostics",
    "ModesFound",
    "diagnose",
    "labelled_draws",
    "rank_counts",
    "warn_of_modes",
]

PACKAGE = str(Path(__file__).parents[1])

#: What Vehtari et al. ask for.
RHAT, ESS = 1.01, 400
#: Betancourt 2016 (arXiv 1604.00695): below it a chain does not reach the tails; ArviZ's limit.
BFMI = 0.3
#: More group effects than this are not looked at one by one.
MAX_EFFECTS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModesFound:
    """Modes of the posterior, and the chains in each where they stay in theirs.

    Made by `modes_found`, read by `Diagnostics`. ``parameter`` is the one whose medians, ``values``
    by mode, differ most beside its spread within a mode.
    """

    number: int = 1
    chains: tuple[tuple[int, ...], ...] = ()
    parameter: str = ""
    values: tuple[float, ...] = ()

    @property
    def apart(self) -> bool:
        return bool(self.chains)

    def words(self) -> list[str]:
        """That there are several, and what the fit cannot say of them; nothing of one."""
        if self.number < 2:
            return []
        several = f"{COUNTED.get(self.number, str(self.number))} modes"
        if not self.apart:
            return [f"{several} were found; the chains go between them."]
        if len(self.chains) > 1:
            places = zip(self.chains, self.values, strict=True)
            where = "; ".join(f"{named(c)} near {v:.3g}" for c, v in places)
            seen = f"each chain stays in one ({self.parameter}: {where})"
        else:
            seen = "the chains stay in one of them and show nothing of the others"
        return [
            f"{several}: the posterior has separate peaks, and {seen}. Their weights are not "
            "estimated: estimates and probabilities over all chains depend on how many chains are "
            "in each. Look at each chain by itself (fit.idata), or decide by a prior or another "
            "model."
        ]


COUNTED = {2: "Two", 3: "Three", 4: "Four", 5: "Five", 6: "Six", 7: "Seven"}


def named(chains: tuple[int, ...]) -> str:
    """``chain 0``, ``chains 0, 1``: as in ``fit.idata``."""
    return f"chain{'s' if len(chains) > 1 else ''} {', '.join(map(str, chains))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostics:
    """Made by `diagnose`, read by the summary.

    ``parameters`` are labels such as ``sd_site[x]``; ``rhat``, ``ess_bulk``, ``ess_tail`` (K,).
    ``bfmi`` (chains,) is how well each chain explores its energy; empty where that was not kept.
    ``modes`` are those of the posterior, as far as searches found them.
    """

    parameters: tuple[str, ...]
    rhat: np.ndarray
    ess_bulk: np.ndarray
    ess_tail: np.ndarray
    divergences: int
    draws_made: int
    bfmi: np.ndarray = field(default_factory=lambda: np.empty(0))
    modes: ModesFound = field(default_factory=lambda: ModesFound())

    @property
    def good(self) -> bool:
        return bool(
            self.divergences == 0
            and not self.modes.apart
            and np.nanmax(self.rhat, initial=1.0) <= RHAT
            and np.nanmin(self.ess_bulk, initial=np.inf) >= ESS
            and np.nanmin(self.bfmi, initial=np.inf) >= BFMI
        )

    def of(self, parameter: str) -> tuple[float, float]:
        """R-hat and bulk ESS of one parameter."""
        at = self.parameters.index(parameter)
        return float(self.rhat[at]), float(self.ess_bulk[at])

    def fewest(self, most: int) -> tuple[int, ...]:
        """The places of the parameters with the fewest effective draws, those first."""
        order = sorted(range(len(self.parameters)), key=lambda k: (self.ess_bulk[k], k))
        return tuple(order[:most])

    def words(self) -> list[str]:
        """One sentence for each finding, with what to do."""
        rhat = np.where(np.isnan(self.rhat), -np.inf, self.rhat)  # of one chain there is none
        worst, least = int(np.argmax(rhat)), int(np.nanargmin(self.ess_bulk))
        found = [
            f"largest R-hat {self.rhat[worst]:.3f} ({self.parameters[worst]}), "
            f"smallest bulk ESS {self.ess_bulk[least]:.0f} ({self.parameters[least]}), "
            f"smallest tail ESS {np.nanmin(self.ess_tail):.0f}, divergences {self.divergences}"
        ]
        found += self.modes.words()
        if self.modes.apart:
            pass  # more draws would not bring the chains together
        elif np.isinf(self.rhat[worst]):
            found.append(
                f"A chain never moved in half of its draws ({self.parameters[worst]}): the data "
                "may not determine the model (as many coefficients as rows). Leave out terms, or "
                "give narrower priors."
            )
        elif self.rhat[worst] > RHAT:
            found.append(f"The chains do not agree (R-hat above {RHAT}): double draws and tune.")
        if self.ess_bulk[least] < ESS and not self.modes.apart:
            found.append(f"Few effective draws (below {ESS}): double draws for stable intervals.")
        if self.divergences:
            found.append(
                f"{self.divergences} of {self.draws_made} transitions diverged: the sampler may "
                "miss a part of the posterior. Try target_accept=0.99."
            )
        low = int((self.bfmi < BFMI).sum())
        if low:
            found.append(
                f"The energy of {low} of {len(self.bfmi)} chains mixes slowly (BFMI "
                f"{np.nanmin(self.bfmi):.2f}, below {BFMI}): tails are not reached, as of an sd "
                "near zero. Double tune, or give that sd a narrower prior."
            )
        return found


def diagnose(tree: xr.DataTree, design: Design) -> Diagnostics:
    """Diagnostics of every reported parameter, of the group effects where they are not too many."""
    posterior = tree["posterior"].to_dataset()
    chosen = chosen_parameters(posterior, design)
    values = np.stack([v for _, v in chosen])  # (K, chains, draws)
    return Diagnostics(
        parameters=tuple(name for name, _ in chosen),
        rhat=np.where(stuck(values), np.inf, rank_rhat(values)),
        ess_bulk=bulk_ess(values),
        ess_tail=tail_ess(values),
        divergences=int(posterior.attrs["divergences"]),
        draws_made=int(posterior.attrs["draws_made"]) * posterior.sizes["chain"],
        bfmi=energies(tree),
        modes=modes_found(posterior.attrs, tuple(name for name, _ in chosen), values),
    )


def modes_found(
    attributes: Mapping[str, Any], parameters: tuple[str, ...], values: np.ndarray
) -> ModesFound:
    """What the sampler kept of the modes, on the scale of the data; ``values`` (K, chains, draws).

    The PyMC engine does not look for modes, and older files have nothing of them.
    """
    number, of_chain = int(attributes.get("modes", 1)), str(attributes.get("mode_of_chain", ""))
    if not of_chain:
        return ModesFound(number=number)
    mode_of = np.array(of_chain.split(), int)
    chains = tuple(tuple(np.flatnonzero(mode_of == k).tolist()) for k in np.unique(mode_of))
    medians = np.stack([np.median(values[:, list(c)], axis=(1, 2)) for c in chains])
    spread = np.mean([values[:, list(c)].std(axis=(1, 2)) for c in chains], axis=0)
    differ = np.ptp(medians, axis=0) / np.where(spread > 0, spread, np.inf)
    most = int(np.argmax(differ))
    return ModesFound(
        number=number,
        chains=chains,
        parameter=parameters[most],
        values=tuple(medians[:, most].tolist()),
    )


def warn_of_modes(found: Diagnostics) -> None:
    """One Python warning where the chains stay in separate modes."""
    if found.modes.apart:
        warnings.warn(found.modes.words()[0], ModesWarning, skip_file_prefixes=(PACKAGE,))


def stuck(values: np.ndarray) -> np.ndarray:
    """Which parameters (K,) have a chain that never moved in one of its halves, though some did.

    ``values`` (K, chains, draws). R-hat of them may be 0 / 0, which is no good sign.
    """
    halves = np.array_split(values, 2, axis=2)
    still = np.stack([np.ptp(half, axis=2) == 0 for half in halves if half.shape[2] > 1])
    varied = np.ptp(values.reshape(len(values), -1), axis=1) > 0
    return np.asarray(still.any(axis=(0, 2)) & varied)


def energies(tree: xr.DataTree) -> np.ndarray:
    """BFMI of each chain, of all draws that were made, for thinned ones look better.

    ``mean((E_t - E_t-1)^2) / var(E)``, of the energy E. Source: Betancourt 2016, arXiv 1604.00695.
    """
    posterior = tree["posterior"].to_dataset()
    whole = int(posterior.attrs["draws_made"]) == posterior.sizes["draw"]
    if not whole or "sample_stats" not in tree.children or "energy" not in tree["sample_stats"]:
        return np.empty(0)
    energy = tree["sample_stats"]["energy"].transpose("chain", "draw").to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):  # of a chain that never moved
        return np.asarray(np.square(np.diff(energy)).mean(axis=1) / energy.var(axis=1, ddof=1))


def labelled_draws(tree: xr.DataTree, design: Design) -> dict[str, np.ndarray]:
    """The draws (chains, draws) of each parameter that is diagnosed, by its label."""
    return dict(chosen_parameters(tree["posterior"].to_dataset(), design))


def rank_counts(values: np.ndarray, *, bins: int = 20) -> np.ndarray:
    """How many draws of each chain have a rank in each bin, (chains, bins).

    The ranks are among the draws of all chains, in bins of equal width, so that chains that agree
    have about draws / bins in each.

    Source: Vehtari et al. 2021, Bayesian Analysis 16(2), section 4.
    """
    rank = average_ranks(values.reshape(1, -1)).reshape(values.shape)
    edges = np.linspace(0.5, values.size + 0.5, bins + 1)
    return np.array([np.histogram(chain, edges)[0] for chain in rank])


def chosen_parameters(posterior: xr.Dataset, design: Design) -> list[tuple[str, np.ndarray]]:
    """Label and (chains, draws) of each scalar; of a correlation matrix the part below."""
    found = []
    correlations = {f"{p.prefix}cor_{b.name}" for p in design.predictors for b in p.blocks}
    effects = {f"{p.prefix}b_{b.name}" for p in design.predictors for b in p.blocks}
    for name, variable in posterior.data_vars.items():
        values = variable.transpose("chain", "draw", ...)
        if name in correlations:
            terms = posterior[values.dims[2]].to_numpy()
            found += [
                (f"{name}[{terms[j]}, {terms[i]}]", values.to_numpy()[:, :, i, j])
                for i in range(len(terms))
                for j in range(i)
                if np.ptp(values.to_numpy()[:, :, i, j]) > 0
            ]
            continue
        if name in effects and values[0, 0].size > MAX_EFFECTS:
            continue
        flat = values.to_numpy().reshape(*values.shape[:2], -1)
        labels = element_labels(str(name), variable)
        found += [(label, flat[:, :, k]) for k, label in enumerate(labels)]
    return found


def element_labels(name: str, variable: xr.DataArray) -> list[str]:
    dims = [d for d in variable.dims if d not in ("chain", "draw")]
    if not dims:
        return [name]
    grids = np.meshgrid(*[variable[d].to_numpy().astype(object) for d in dims], indexing="ij")
    return [
        f"{name}[{', '.join(map(str, cell))}]"
        for cell in zip(*[g.ravel() for g in grids], strict=True)
    ]
