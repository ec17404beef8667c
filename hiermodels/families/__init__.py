"""What is known of each family of responses: one entry in `FAMILIES` each.

A family has its links, its own parameters with their priors, its support, and the arithmetic of its
distribution; the modules here are by kind of response. Adding one is a class with the methods of
`Family`, an entry below, and an entry in the tables of its tests.
"""

from __future__ import annotations

from hiermodels.errors import UnknownNameError, lookup

from .continuous import (
    Beta,
    Gamma,
    Gaussian,
    LogNormal,
    Student,
    ZeroInflatedBeta,
    ZeroOneBeta,
)
from .counts import Hurdle, NegBinomial, NegBinomial1, Poisson, ZeroInflated
from .family import Family, Meaning, Parameter
from .links import LINKS, Link
from .ordinal import Ordinal
from .parameters import (
    ALPHA,
    COI,
    EXCESS,
    NU,
    PRECISION,
    SIGMA,
    STRUCTURAL,
    THRESHOLD,
    ZI,
    ZOI,
)
from .successes import Bernoulli, BetaBinomial, Binomial
from .supports import Observed, squeeze

__all__ = [
    "ALIASES",
    "FAMILIES",
    "LINKS",
    "Family",
    "Link",
    "Meaning",
    "Observed",
    "Parameter",
    "family",
    "squeeze",
]

IDENTITY, LOG = ("identity",), ("log",)
SHARE, LATENT = ("logit", "probit", "cloglog"), ("logit", "probit")

COUNTS: tuple[Poisson, ...] = (
    Poisson(name="poisson", link="log", links=LOG, discrete=True),
    NegBinomial(name="negbinomial", link="log", links=LOG, parameters=(ALPHA,), discrete=True),
    NegBinomial1(name="negbinomial1", link="log", links=LOG, parameters=(EXCESS,), discrete=True),
)


def with_zeros(kind: type[ZeroInflated], prefix: str, base: Poisson, zeros: Parameter) -> Family:
    """A family of counts with its zeros added to, or replaced."""
    return kind(
        name=f"{prefix}_{base.name}",
        link=base.link,
        links=base.links,
        parameters=(*base.parameters, zeros),
        discrete=True,
        base=base,
    )


ENTRIES: tuple[Family, ...] = (
    Gaussian(
        name="gaussian", link="identity", links=IDENTITY, parameters=(SIGMA,), residual="sigma"
    ),
    Student(
        name="student", link="identity", links=IDENTITY, parameters=(SIGMA, NU), residual="sigma"
    ),
    LogNormal(
        name="lognormal", link="identity", links=IDENTITY, parameters=(SIGMA,), residual="sigma"
    ),
    Gamma(name="gamma", link="log", links=LOG, parameters=(ALPHA,)),
    Beta(name="beta", link="logit", links=SHARE, parameters=(PRECISION,)),
    ZeroInflatedBeta(name="zi_beta", link="logit", links=SHARE, parameters=(PRECISION, ZI)),
    ZeroOneBeta(name="zoi_beta", link="logit", links=SHARE, parameters=(PRECISION, ZOI, COI)),
    Bernoulli(name="bernoulli", link="logit", links=SHARE, discrete=True),
    Binomial(name="binomial", link="logit", links=SHARE, trials=True, discrete=True),
    BetaBinomial(
        name="betabinomial",
        link="logit",
        links=SHARE,
        parameters=(PRECISION,),
        trials=True,
        discrete=True,
    ),
    *COUNTS,
    *(with_zeros(ZeroInflated, "zi", base, STRUCTURAL) for base in COUNTS),
    *(with_zeros(Hurdle, "hurdle", base, ZI) for base in COUNTS),
    Ordinal(
        name="ordinal",
        link="logit",
        links=LATENT,
        parameters=(THRESHOLD,),
        discrete=True,
        categories=True,
    ),
)
FAMILIES: dict[str, Family] = {entry.name: entry for entry in ENTRIES}

#: What other packages call them, in small letters without ``_``, ``-`` and spaces.
ALIASES: dict[str, str] = {
    **{name.replace("_", ""): name for name in FAMILIES},
    **dict.fromkeys(("normal",), "gaussian"),
    **dict.fromkeys(("t", "studentt"), "student"),
    **dict.fromkeys(("binary", "logistic"), "bernoulli"),
    **dict.fromkeys(("nbinom", "nbinom2", "negativebinomial", "negbin", "nb"), "negbinomial"),
    **dict.fromkeys(("nbinom1", "negativebinomial1", "nb1"), "negbinomial1"),
    **dict.fromkeys(("zip", "zeroinflatedpoisson"), "zi_poisson"),
    **dict.fromkeys(
        ("zinb", "zinb2", "zeroinflatednegativebinomial", "zeroinflatednegbinomial"),
        "zi_negbinomial",
    ),
    **dict.fromkeys(("zinb1",), "zi_negbinomial1"),
    **dict.fromkeys(("hurdlenegativebinomial", "hurdlenb"), "hurdle_negbinomial"),
    **dict.fromkeys(("zeroinflatedbeta", "zibeta"), "zi_beta"),
    **dict.fromkeys(("zib", "zoib", "zerooneinflatedbeta", "zeroonebeta"), "zoi_beta"),
    **dict.fromkeys(("cumulative", "ordered", "clm", "polr"), "ordinal"),
}


def family(name: str | Family, *, link: str | None = None) -> Family:
    """The family of that name or alias; ``link=None`` takes its usual link.

    Raises
    ------
    UnknownNameError
        With the valid names.
    """
    if isinstance(name, Family):
        return name if link is None else family(name.name, link=link)
    plain = str(name).lower().translate(str.maketrans("", "", "_- "))
    found = lookup(ALIASES.get(plain, str(name)), FAMILIES, what="family")
    if link is None:
        return found
    if link not in found.links:
        raise UnknownNameError(
            f"no link {link!r} for family {found.name!r}. Valid: {', '.join(found.links)}."
        )
    return found.with_link(link)
