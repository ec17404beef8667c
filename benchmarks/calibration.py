"""The long calibration: ``python -m benchmarks.calibration --replications 1000``.

Simulation-based calibration of the compiled engines, for the Gaussian models that `structures` of
`hiermodels.workflows.calibration` makes and for those of other families, of `every_family` and
`family_structures`. Prints the p-value of every quantity. A replication takes about a tenth of a
second of a Gaussian model, half a second of another.
"""

from __future__ import annotations

import argparse
import sys
import time

from hiermodels.workflows.calibration import calibrate, every_family, family_structures, structures

ALPHA = 1e-3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=1000)
    parser.add_argument("--random-seed", type=int, default=1)
    parser.add_argument("--only", default="", help="part of the names of the models")
    arguments = parser.parse_args()
    models = structures() | every_family() | family_structures()
    wrong = 0
    for name, model in models.items():
        if arguments.only not in name:
            continue
        start = time.perf_counter()
        found = calibrate(
            model, replications=arguments.replications, random_seed=arguments.random_seed
        )
        verdict = "uniform" if found.uniform(ALPHA) else "NOT UNIFORM"
        wrong += verdict != "uniform"
        print(
            f"{name}: {verdict} at {ALPHA:g}, {arguments.replications} replications, "
            f"{time.perf_counter() - start:.0f} s"
        )
        for quantity, p in zip(found.quantities, found.p_values, strict=True):
            print(f"    {quantity:24} p = {p:.3f}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
