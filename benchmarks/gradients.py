"""What a gradient costs: Poisson, `(1 | g)`, beside NumPy's ``exp`` of as many numbers.

    python -m benchmarks.gradients [--rows 10000,100000,1000000] [--levels 1000]

One evaluation of log-density and gradient reads every row: linear predictor, likelihood with its
slope, and their sums by level. It should grow in proportion to the rows, and take at most three
times what ``numpy.exp`` takes for them. Both are the best of several passes, on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

import hiermodels as hm
from hiermodels.density.informed_sampling import evaluate, first_freeze
from hiermodels.density.rows import row_model
from hiermodels.rowwise import row_problem

__all__ = ["main"]

PASSES, SECONDS = 15, 0.1
AT_MOST = 3.0


def best(call: Callable[[], object]) -> float:
    """Seconds of one call, the least of several passes of some tenth of a second each."""
    call()
    start = time.perf_counter()
    call()
    repeats = max(1, int(SECONDS / (time.perf_counter() - start)))
    found = []
    for _ in range(PASSES):
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        found.append((time.perf_counter() - start) / repeats)
    return min(found)


def measure(rows: int, levels: int) -> tuple[float, float]:
    """Seconds of a gradient, and of ``exp`` of as many linear predictors."""
    rng = np.random.default_rng([rows, levels])
    x, g = rng.normal(size=rows), rng.integers(levels, size=rows)
    eta = 1.0 + 0.3 * x + 0.5 * rng.normal(size=levels)[g]
    data = {"y": rng.poisson(np.exp(eta)), "x": x, "g": g}
    model = hm.Model("y ~ x + (1 | g)", data, family="poisson")
    frozen = first_freeze(row_model(row_problem(model.design, model.priors)))
    at, words = np.full(frozen.model.dimension, 0.1), frozen.words
    return best(lambda: evaluate(at, words)), best(lambda: np.exp(eta))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gradients")
    parser.add_argument("--rows", default="10000,100000,1000000")
    parser.add_argument("--levels", type=int, default=1000)
    asked = parser.parse_args(arguments)
    print(f"{'rows':>9}  {'gradient':>11}  {'per row':>8}  {'numpy.exp':>11}  ratio (at most 3)")
    for rows in map(int, asked.rows.split(",")):
        gradient, exponential = measure(rows, asked.levels)
        print(
            f"{rows:>9}  {gradient * 1e3:>8.3f} ms  {gradient / rows * 1e9:>5.1f} ns"
            f"  {exponential * 1e3:>8.3f} ms  {gradient / exponential:.2f}"
        )


if __name__ == "__main__":
    main()
