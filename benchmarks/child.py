"""A process of its own for one program and one case; started by `processes`, not by hand.

``python -m benchmarks.child REQUEST OUT``: both JSON, the first the text, the second a file.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from .cases import CASES
from .measurement import make_long_run, measure
from .programs import PROGRAMS
from .validity import LongRun

__all__ = ["main"]


def main(request: str, out: str) -> None:
    asked = json.loads(request)
    case = CASES[asked["case"]]
    if asked["program"] == "long run":
        found = asdict(make_long_run(case, fits=case.fits))
    else:
        long_run = LongRun(**json.loads(Path(asked["long_run"]).read_text()))
        program = PROGRAMS[asked["program"]]
        measured = measure(
            case, program, repeats=asked["repeats"], seed=asked["seed"], long_run=long_run
        )
        found = asdict(measured)
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
