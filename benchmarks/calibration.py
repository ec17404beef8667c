"""The long calibration: ``python -m benchmarks.calibration --replications 1000``.

Simulation-based calibration of the collapsed engine, for the models that
`hiermodels.calibration.structures` makes. Prints the p-value of every quantity; takes about a tenth
of a second for each replication.
"""

from __future__ import annotations

import argparse
import sys
import time

from hiermodels.calibration import calibrate, structures

ALPHA = 1e-3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=1000)
    parser.add_argument("--random-seed", type=int, default=1)
    arguments = parser.parse_args()
    wrong = 0
    for name, model in structures().items():
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
