"""One buffer of 8-byte words that holds everything a kernel reads.

NUTS runs outside Python and passes each kernel one pointer. The buffer starts with a table of
(offset, length) per section; floats and integers share the words. It is made by `pack`, and is
never written to while chains run: kernels allocate their own scratch.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from .compilation import kernel

__all__ = [
    "COLUMN_START",
    "LEVELS",
    "PLACE_START",
    "WIDTH",
    "Scalar",
    "Section",
    "Size",
    "floats",
    "integers",
    "pack",
]


class Section(IntEnum):
    """What the buffer holds; shapes in terms of `Size`."""

    SIZES = 0
    SCALARS = 1
    PRIOR_FORMS = 2  # (d,) form of each element's prior
    PRIOR_NUMBERS = 3  # (d, 4) constant, a, b, c
    FACTORS = (
        4  # (F, 4) levels, width, first column in the rest, start in PLACES; row 0 is eliminated
    )
    PLACES = 5  # per factor: q places of log sds, q x q of partial correlations
    COMMON_MEAN = 6  # (p,) prior means, moved with y
    COMMON_PRECISION = 7  # (p,) 1 / prior variance
    REST = 8  # (n + 1, n + 1) cross-products of [other factors, X, y]
    OWN = 9  # Z_j' W Z_j: (q, q, J) if dense, (J, q, q) if sparse
    PANELS = 10  # Z_j' W [rest, y]: (q, n + 1, J) if dense, ragged (q, width of j) if sparse
    POINTERS = 11  # (J + 1,) where a level's COLUMNS start (sparse)
    COLUMNS = 12  # columns of the rest that occur with a level (sparse)
    CENTRE = 13  # (d,) centre of the sampler's coordinates
    SCALE = 14  # (d, d) linear map of the sampler's coordinates
    BENDS = 15  # (d,) forms of the elementwise map
    KNEES = 16  # (d,) where that map bends
    # What follows is of models whose rows are not summed up in cross-products (`rows`).
    RESPONSE = 17  # (N,)
    TRIALS = 18  # (N,)
    COUNTS = 19  # (N,) how often a row counts
    OFFSETS = 20  # (K, N) of each predictor
    CONSTANT = 21  # (K,) whether a predictor is the same in all rows
    COMMON_COLUMNS = 22  # (p, N)
    COMMON_PREDICTORS = 23  # (p,) which predictor a common column is of
    COMMON_FORMS = 24  # (p, 4) line, form, inner form of each coefficient's prior, and its link
    COMMON_NUMBERS = 25  # (p, 6) constant, a, b, c, lower, upper
    GROUP_COLUMNS = 26  # (sum of q, N)
    GROUP_LEVELS = 27  # (F, N) level of each row
    GROUP_PREDICTORS = 28  # (F,)


class Size(IntEnum):
    """Integers of `Section.SIZES`."""

    PARAMETERS = 0
    COMMON = 1
    LOG_SIGMA = 2
    POTRF = 3
    POTRI = 4
    SPARSE = 5
    VALUE_ONLY = 6  # the gradient is not wanted (sparse)
    ROWS = 7
    PREDICTORS = 8
    LIKELIHOOD = 9  # address
    ORDERED = 10  # first of the coefficients that are ordered thresholds, or p


class Scalar(IntEnum):
    """Floats of `Section.SCALARS`."""

    N = 0
    YY = 1
    CONSTANT = 2


# A section's number reaches the kernels as np.int64: for a Python int numba would compile `floats`
# and `integers` once more per section, as for every literal argument; flags are np.bool_ for
# the same reason.

# Columns of Section.FACTORS, as plain integers for the kernels.
LEVELS, WIDTH, COLUMN_START, PLACE_START = range(4)


def pack(sections: dict[Section, NDArray]) -> NDArray[np.float64]:
    """Lay the sections one after the other behind the table of where they start."""
    offset = 2 * len(Section)
    table = np.zeros((len(Section), 2), dtype=np.int64)
    for section in Section:
        length = sections[section].size if section in sections else 0
        table[section] = offset, length
        offset += length
    words = np.zeros(offset)
    words.view(np.int64)[: table.size] = table.ravel()
    for section, values in sections.items():
        target = words if np.issubdtype(values.dtype, np.floating) else words.view(np.int64)
        start, length = table[section]
        target[start : start + length] = values.ravel()
    return words


@kernel
def integers(words, section):
    """The integers of a section, as a view."""
    table = words.view(np.int64)
    start = table[2 * section]
    return table[start : start + table[2 * section + 1]]


@kernel
def floats(words, section):
    """The floats of a section, as a view."""
    table = words.view(np.int64)
    start = table[2 * section]
    return words[start : start + table[2 * section + 1]]
