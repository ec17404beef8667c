"""The pictures of the concept pages, from shipped data: ``python docs/make_images.py``.

Everything drawn is a number of a fit; the one thing computed here are the coordinates that the
engines use, written out densely for a model small enough for that.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt

import hiermodels as hm

IMAGES = Path(__file__).parent / "images"
BLUE, GREY = "#0072B2", "#777777"
SEED = 1


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(IMAGES / name, dpi=110, bbox_inches="tight")
    plt.close(figure)
    print(name)


def shrinkage() -> None:
    """Intercept and slope of each site at once."""
    fit = hm.fit("y ~ x + (x | site)", hm.load_dataset("sites"), random_seed=SEED)
    axis = fit.plot.plane("site")
    save(axis.figure, "concept_shrinkage.png")


def icc_scales() -> None:
    """The same counts, their variance shared out on two scales."""
    fit = hm.fit(
        "incidents ~ treatment + (1 | center)",
        hm.load_dataset("rehab"),
        family="poisson",
        random_seed=SEED,
    )
    figure, axes = plt.subplots(2, 1, figsize=(8, 5.6), layout="constrained")
    for axis, scale in zip(axes, ("latent", "data"), strict=True):
        fit.plot.variance(scale=scale, ax=axis)
        axis.set_title(f'scale="{scale}"', loc="left", fontsize=11)
    save(figure, "concept_icc_scales.png")


def targets() -> None:
    """The same model asked for a site in the middle, and for the average over sites."""
    fit = hm.fit(
        "y ~ x + (1 | site)",
        hm.load_dataset("sites_nb"),
        family="negbinomial",
        random_seed=SEED,
    )
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), sharey=True, layout="constrained")
    fit.plot.predictions("x", group="site", points=False, ax=axes[0])
    fit.plot.predictions("x", target="marginal", interval=True, points=False, ax=axes[1])
    save(figure, "concept_targets.png")


def coordinates(y: np.ndarray, index: np.ndarray, fit: hm.Fit, se: np.ndarray) -> dict:
    """One level's effect in three coordinates, at draws of the posterior: b, z and u.

    ``M = Lambda'C Lambda + D0,  R R' = M,  u = R'w - R^-1 r`` with w = (z, Intercept), densely.
    """
    posterior = fit.idata["posterior"].to_dataset().stack(s=("chain", "draw")).isel(s=slice(0, 1500))
    name = fit.design.blocks[0].name
    sd = posterior[f"sd_{name}"].to_numpy().reshape(-1)
    effects = posterior[f"b_{name}"].transpose("s", name, f"{name}_term").to_numpy()[:, :, 0]
    intercept = posterior["Intercept"].to_numpy()
    sigma = posterior["sigma"].to_numpy() if "sigma" in posterior else np.ones(len(sd))
    prior = fit.priors["Intercept"].inside.parameters
    levels = effects.shape[1]
    W = np.column_stack([np.eye(levels)[index], np.ones(len(y))])
    D0 = np.diag([*np.ones(levels), prior["sigma"] ** -2.0])
    m = np.array([*np.zeros(levels), prior["mu"]])
    u = np.empty(len(sd))
    for s in range(len(sd)):
        Lambda = np.diag([*np.full(levels, sd[s]), 1.0])
        weight = 1 / (se * sigma[s]) ** 2
        M = Lambda @ (W.T * weight) @ W @ Lambda + D0
        R = np.linalg.cholesky(M)
        w = np.array([*(effects[s] / sd[s]), intercept[s]])
        r = Lambda @ (W.T * weight) @ y + D0 @ m
        u[s] = (R.T @ w - np.linalg.solve(R, r))[0]
    return {
        "log sd": np.log(sd),
        "effect b": effects[:, 0],
        "non-centred z = b / sd": effects[:, 0] / sd,
        "informed u": u,
    }


def engines() -> None:
    """Where the data say little of a level, and where they say much."""
    schools = {
        "school": list("ABCDEFGH"),
        "effect": [28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0],
        "se": [15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0],
    }
    few = hm.fit(
        "effect ~ 1 + (1 | school)", schools, se="se", random_seed=SEED, engine="collapsed"
    )
    data = hm.load_dataset("variance_sim")
    many = hm.fit("y ~ 1 + (1 | groupID)", data, random_seed=SEED, engine="collapsed")
    y = data["y"].to_numpy(float)
    rows = {
        "little: one estimate each of 8 schools": coordinates(
            np.array(schools["effect"]), np.arange(8), few, np.array(schools["se"])
        ),
        "much: 20 rows in each of 10 groups": coordinates(
            y, many.design.blocks[0].index, many, np.ones(len(y))
        ),
    }
    figure, axes = plt.subplots(2, 3, figsize=(9.5, 5.6), layout="constrained")
    for panels, (words, found) in zip(axes, rows.items(), strict=True):
        log_sd = found.pop("log sd")
        for axis, (name, values) in zip(panels, found.items(), strict=True):
            axis.plot(values, log_sd, ".", color=BLUE, alpha=0.25, markersize=3, rasterized=True)
            axis.set_xlabel(name)
            axis.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("log sd of the levels")
        panels[0].set_title(f"The data say {words}", loc="left", fontsize=10)
    save(figure, "concept_engines.png")


if __name__ == "__main__":
    shrinkage()
    icc_scales()
    targets()
    engines()
