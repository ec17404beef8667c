"""Pictures of the sampler: the draws of each chain, and their ranks among those of all chains.

Chains that agree look alike: the lines of a parameter lie on one another, and each chain has about
as many draws of every rank. Nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from hiermodels.errors import UnknownNameError, lookup
from hiermodels.numbers.diagnostics import labelled_draws, rank_counts
from hiermodels.pictures.groups import BLUE, FONT, GREY, INK, LONGEST_TERM, VERMILION, shorten
from hiermodels.pictures.variance import VariancePlots, plain

__all__ = ["SamplerPlots", "draw_trace"]

type Array = np.ndarray

#: Chains, in colours and in lightness; each also has a row of its own in the panel of ranks.
CHAINS = (BLUE, "#E69F00", "#009E73", VERMILION, "#56B4E9", "#CC79A7", INK, "#999999")
#: How much of a row the ranks of a chain fill where they are spread evenly.
EVEN = 0.4
#: Parameters that are drawn where none is asked for.
MOST = 4


@dataclass(frozen=True)
class SamplerPlots(VariancePlots):
    """The pictures of a fit, those of its chains among them. Made by `Fit.plot`."""

    def trace(
        self,
        parameter: str | Sequence[str] | None = None,
        *,
        ax: Sequence[Axes] | None = None,
    ) -> Array:
        """The draws of each chain one after another, and their ranks among those of all chains.

        ``parameter`` is one or several of ``fit.diagnostics.parameters``, such as ``"sd_site[x]"``;
        None takes the four with the fewest effective draws. Returns an array of `Axes`, a row with
        two for each parameter; ``ax`` takes the two of one.
        """
        found = self.fit.diagnostics
        draws = labelled_draws(self.fit.idata, self.fit.design)
        if parameter is None:
            names = [found.parameters[k] for k in found.fewest(MOST if ax is None else 1)]
        else:
            names = [parameter] if isinstance(parameter, str) else list(parameter)
        chosen = {name: lookup(name, draws, what="parameter") for name in names}
        told = {
            name: f"R-hat {rhat:.3f}, ESS {ess:.0f}"
            for name in names
            for rhat, ess in [found.of(name)]
        }
        return draw_trace(chosen, told=told, ax=ax)


def draw_trace(
    draws: Mapping[str, Array],
    *,
    told: Mapping[str, str] | None = None,
    ax: Sequence[Axes] | None = None,
) -> Array:
    """Two panels for each parameter of ``draws``, (chains, draws); ``told`` stands above the ranks.

    Raises
    ------
    UnknownNameError
        No parameter, or several of them for the two panels of ``ax``.
    """
    if not draws or (ax is not None and (len(draws) != 1 or len(ax) != 2)):
        raise UnknownNameError("trace draws a parameter at least; ax= takes the two panels of one")
    axes = new_panels(len(draws)) if ax is None else np.asarray(ax, dtype=object).reshape(1, 2)
    for (name, values), (left, right) in zip(draws.items(), axes, strict=True):
        draw_chains(left, values)
        draw_ranks_of_chains(right, rank_counts(values))
        title(left, shorten(name, LONGEST_TERM), weight="bold")
        title(right, (told or {}).get(name, ""), weight="normal")
    axes[-1, 0].set_xlabel("draw", fontsize=FONT)
    axes[-1, 1].set_xlabel("rank among the draws of all chains", fontsize=FONT)
    return axes


def new_panels(n: int) -> Array:
    size = (7.4, 0.5 + 1.55 * n)
    ratio = {"width_ratios": (1.5, 1)}
    return plt.subplots(n, 2, figsize=size, squeeze=False, gridspec_kw=ratio, layout="constrained")[
        1
    ]


def draw_chains(axis: Axes, values: Array) -> None:
    """The draws in their order, a line for each chain."""
    for k, chain in enumerate(values):
        axis.plot(chain, color=CHAINS[k % len(CHAINS)], linewidth=0.5, alpha=0.75)
    axis.set_xlim(0, max(values.shape[1] - 1, 1))
    plain(axis)
    axis.tick_params(axis="y", labelsize=FONT - 0.5)
    axis.grid(visible=False)


def draw_ranks_of_chains(axis: Axes, counts: Array) -> None:
    """A row for each chain: bars of its ranks about the line of an even spread."""
    chains, bins = counts.shape
    expected = counts.sum(axis=1, keepdims=True) / bins
    heights = EVEN * counts / np.maximum(expected, 1)
    scale = min(1.0, 0.95 / max(float(heights.max()), EVEN))
    for k, row in enumerate(heights * scale):
        bottom = float(chains - 1 - k)
        color = CHAINS[k % len(CHAINS)]
        axis.bar(np.arange(bins), row, width=1.0, align="edge", bottom=bottom, color=color, lw=0)
        axis.hlines(bottom + EVEN * scale, 0, bins, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
    step = -(-chains // 10)
    shown = range(0, chains, step)
    axis.set_yticks([chains - 1 - k + EVEN * scale / 2 for k in shown])
    axis.set_yticklabels([f"chain {k + 1}" for k in shown])
    axis.set_xlim(0, bins)
    axis.set_ylim(0, chains)
    plain(axis)
    axis.tick_params(axis="y", labelsize=FONT - 1.5)
    axis.grid(visible=False)
    axis.set_xticks([0, bins], ["lowest", "highest"])


def title(axis: Axes, text: str, *, weight: str) -> None:
    color = INK if weight == "bold" else GREY
    axis.set_title(
        text, loc="left", fontsize=FONT, fontweight=weight, color=color, parse_math=False
    )
