"""The pictures of the concept pages, from shipped and simulated data:
``python docs/make_images.py``.

Everything drawn is a number of a fit; the one thing computed here are the coordinates that the
engines use, written out densely for a model small enough for that.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

import hiermodels as hm

IMAGES = Path(__file__).parent / "images"
BLUE = "#0072B2"
SEED = 1


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(IMAGES / name, dpi=110, bbox_inches="tight")
    plt.close(figure)
    print(name)


def shrinkage() -> None:
    """Intercept and slope of each subject at once."""
    data = hm.load_dataset("sleepstudy")
    fit = hm.fit("Reaction ~ Days + (Days | Subject)", data, random_seed=SEED)
    save(fit.plot.plane("Subject").figure, "concept_shrinkage.png")


def wards(*, wards: int, patients: int, intercept: float, sd: float) -> pd.DataFrame:
    """An event or none in each patient of a ward, more often the longer the stay."""
    rng = np.random.default_rng(SEED)
    ward = np.repeat(np.arange(wards), patients)
    stay = rng.uniform(0, 10, len(ward))
    chance = 1 / (1 + np.exp(-(intercept + 0.5 * (stay - 5) + rng.normal(0, sd, wards)[ward])))
    return pd.DataFrame(
        {
            "event": rng.binomial(1, chance),
            "stay": stay,
            "ward": [f"w{k:02}" for k in ward],
        }
    )


def icc_scales() -> None:
    """The same rare events, their variance shared out on two scales."""
    data = wards(wards=60, patients=40, intercept=-3.5, sd=1.3)
    print("events:", data["event"].mean())
    fit = hm.fit("event ~ 1 + (1 | ward)", data, family="bernoulli", random_seed=SEED)
    figure, axes = plt.subplots(2, 1, figsize=(8, 5.6), layout="constrained")
    for axis, scale in zip(axes, ("latent", "data"), strict=True):
        fit.plot.variance(scale=scale, ax=axis)
        axis.set_title(f'scale="{scale}"', loc="left", fontsize=11)
    save(figure, "concept_icc_scales.png")


def targets() -> None:
    """The same model asked for a ward in the middle, and for the average over wards."""
    data = wards(wards=20, patients=40, intercept=0, sd=2)
    fit = hm.fit("event ~ stay + (1 | ward)", data, family="bernoulli", random_seed=SEED)
    axis = fit.plot.predictions("stay", group="ward", points=False)
    save(axis.figure, "concept_targets.png")


def coordinates(y: np.ndarray, index: np.ndarray, fit: hm.Fit, se: np.ndarray) -> dict:
    """One level's effect in three coordinates, at draws of the posterior: b, z and u.

    ``M = Lambda'C Lambda + D0,  R R' = M,  u = R'w - R^-1 r`` with w = (z, Intercept), densely.
    """
    posterior = (
        fit.idata["posterior"].to_dataset().stack(s=("chain", "draw")).isel(s=slice(0, 1500))
    )
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
    for make in (shrinkage, icc_scales, targets, engines):
        make()
