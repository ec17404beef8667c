"""Names of the user's columns where a posterior, a netCDF file and PyMC can have them.

A factor has a *key*, which stands in the names of variables, ``sd_key``, and a *dim*, the dimension
of its levels. Both are the factor's name but for two things. The key has no "/", which parts the
groups of a tree, no control character and no outer blank, which netCDF refuses; it is in Unicode's
NFC, as netCDF writes it, and not too long. The dim has ``_level`` behind it where a variable or
another dimension of some posterior could have that name: ``sigma_level``, ``school_term_level``.
Neither depends on what else is in the model.

Source: the netCDF User's Guide, "NetCDF Names": a first letter, digit or "_", or not of ASCII.
"""

from __future__ import annotations

import re
import unicodedata
import zlib

from hiermodels.families import FAMILIES

__all__ = ["dim_of", "key_of", "variable_of"]

#: What no name has: control characters, lone surrogates, line separators; blanks at its ends.
REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|^\s|\s$")
#: The bytes of a key; netCDF has 256 for a whole name.
LONGEST = 200

PARAMETERS = sorted({p.name for family in FAMILIES.values() for p in family.parameters})
#: What names of variables and of their terms begin with, here and in PyMC.
BEGINNINGS = (
    *("Intercept", "beta", "sd", "cor", "b", "z", "Z", "cpc", "level"),
    *("effects", "coef", "pooled"),
    *PARAMETERS,
)
ENDINGS = ("_term", "_term_bis")
#: Dimensions beside which no variable can have their name; ArviZ's and PyMC's own with them.
DIMENSIONS = frozenset(
    {"chain", "draw", "row", "term", "cut", "moment", "component", "factor", "category"}
    | {"sample", "__sample__"}
)
VARIABLES = frozenset({"Intercept", "beta", "X", "offset", "se", "weights", *PARAMETERS})


def key_of(name: str) -> str:
    """A factor's name within the names of variables."""
    text = REFUSED.sub("_", unicodedata.normalize("NFC", name)).replace("/", "∕")
    coded = text.encode()
    if len(coded) <= LONGEST:
        return text
    return f"{coded[:LONGEST].decode(errors='ignore')}_{zlib.crc32(coded):08x}"


def dim_of(name: str) -> str:
    """The dimension of a factor's levels."""
    key = with_first(key_of(name))
    return f"{key}_level" if is_taken(key) else key


def variable_of(name: str) -> str:
    """The variable of a response, or of a coefficient, beside the dimensions of rows and draws."""
    key = with_first(key_of(name))
    return f"{key}_" if key in DIMENSIONS else key


def with_first(key: str) -> str:
    """The key with a first character that netCDF can have."""
    first = key[:1]
    return key if not first.isascii() or first.isalnum() or first == "_" else f"_{key}"


def is_taken(key: str) -> bool:
    """Whether something else could have this name; no two keys make one dim."""
    return (
        key in DIMENSIONS | VARIABLES
        or key.startswith(tuple(f"{beginning}_" for beginning in BEGINNINGS))
        or key.endswith(ENDINGS)
        or (key.endswith("_level") and is_taken(key.removesuffix("_level")))
    )
