"""What users of R, brms and patsy write, into this package's own formulas.

    factor(x)                        C(x)
    relevel(f, ref = "b")            T(f, ref="b")       likewise C(f, Treatment("b"))
    C(f, contr.sum)                  S(f)
    cbind(dead, alive) ~ x           p(dead, dead + alive) ~ x
    y | trials(n) ~ x                p(y, n) ~ x
    y | se(s) + weights(w) ~ x       y ~ x, with se="s" and weights="w"
    us(x | g), diag(x | g)           (x | g), (x || g)
    I(x^2)                           I(x**2)

Each has one meaning there and the same here. What has another meaning, or none yet, is an error
with what to type, or with the package that has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn

from hiermodels.errors import FormulaError, underline
from hiermodels.tokens import CLOSING, OPENING, Token, closed_by, split_tokens

__all__ = ["Call", "Translated", "calls_of", "translate"]

FACTORS = ("factor", "as.factor", "as_factor", "ordered", "as.ordered")
RELEVEL = ("relevel", "fct_relevel")
TREATMENT = ("Treatment", "contr.treatment")
SUMS = ("Sum", "contr.sum")
#: Structures of group effects that are not here yet: what they are, and who has them.
NOT_HERE = {
    "gr": ("group effects with a known covariance, by or dist", "brms or MCMCglmm"),
    "mm": ("multiple membership", "brms"),
    **dict.fromkeys(("s", "te", "ti", "t2"), ("a penalised smooth", "mgcv or brms")),
    "gp": ("a Gaussian process", "brms"),
    "mo": ("a monotonic effect", "brms"),
    **dict.fromkeys(("me", "mi"), ("a predictor with measurement error", "brms")),
    **dict.fromkeys(("car", "sar"), ("a spatial structure", "brms or INLA")),
    **dict.fromkeys(
        ("ar1", "ou", "toep", "cs", "rr", "mat", "hetar1", "homcs", "propto"),
        ("this covariance of group effects", "glmmTMB"),
    ),
    **dict.fromkeys(("ar", "ma", "arma", "cosy", "unstr"), ("autocorrelation of rows", "brms")),
}
INSTEAD = {"s": "a spline with fixed knots is bs(x, df=4)"}
#: What brms writes behind the response, and what to do about it here.
BESIDE_RESPONSE = {
    "rate": "write offset(log(time)) among the predictors",
    "cens": "censored responses are not here yet; brms has them",
    "trunc": "truncated responses are not here yet; brms has them",
    "mi": "missing responses are not here yet; brms has them",
    "subset": "choose the rows of the data first",
    "dec": "decisions of a Wiener model are not here; brms has them",
    "cat": "thresholds are those of the categories that occur",
    "thres": "thresholds are those of the categories that occur",
}
ORDER = (
    "the reference is chosen by T(f, ref='b'), the order of all levels in the data: "
    "data['f'] = pandas.Categorical(data['f'], categories=['b', 'a'])"
)
#: Rewriting ends after so many steps: each takes one call away.
MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Translated:
    """A formula in our own words. Made by `translate`, read by `formula.parse`.

    ``additions`` has the columns behind the response's bar: ``{"se": "s", "weights": "w"}``.
    """

    text: str
    additions: dict[str, str] = field(default_factory=dict)


def translate(text: str) -> Translated:
    """The formula without the habits of others; what is already ours is left as it stands.

    Raises
    ------
    FormulaError
        For what has another meaning here or none, underlined.
    """
    found = beside_response(text)
    for _ in range(MOST):
        shorter = one_step(found.text)
        if shorter == found.text:
            return found
        found = replace(found, text=shorter)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function with its arguments as they stand in the text. Made by `calls`."""

    text: str
    name: str
    arguments: tuple[str, ...]
    start: int
    stop: int
    grouped: bool

    @property
    def source(self) -> str:
        return self.text[self.start : self.stop]

    def fail(self, message: str, repair: str) -> NoReturn:
        fail(self.text, self.start, self.stop, message, repair)

    def named(self, at: int, *names: str) -> str | None:
        """The argument at a place or of a name; None where there is none."""
        plain = []
        for each in self.arguments:
            name, equal, value = each.partition("=")
            if equal and name.strip() in names and not value.startswith("="):
                return value.strip()
            if not re.match(r"[\w.]+\s*=(?!=)", each):
                plain.append(each)
        return plain[at] if at < len(plain) else None


def calls_of(text: str, name: str) -> list[Call]:
    """The calls of a function in an expression."""
    tokens = split_tokens(text)
    return [c for c in found_calls(text, tokens, closed_by(tokens)) if c.name == name]


def fail(text: str, start: int, stop: int, message: str, repair: str) -> NoReturn:
    raise FormulaError("\n".join([message, underline(text, start, stop), repair]))


def one_step(text: str) -> str:
    """The text with its first foreign piece in our words."""
    tokens = split_tokens(text)
    closed = closed_by(tokens)
    calls = found_calls(text, tokens, closed)
    for call in reversed(calls):  # the innermost first
        if (new := rewritten(call)) is not None:
            return text[: call.start] + new + text[call.stop :]
    for i, token in enumerate(tokens):
        if token.text in ("^", "**"):
            inside = any(c.start < token.start < c.stop for c in calls)
            check_power(text, tokens, i, inside=inside)
            if token.text == "^":
                return f"{text[: token.start]}**{text[token.stop :]}"
    return text


def check_power(text: str, tokens: Sequence[Token], i: int, *, inside: bool) -> None:
    """Outside a call a power is one of terms, and that of one term is the term itself."""
    base = tokens[i - 1] if i else None
    if inside or base is None or base.kind not in ("name", "quoted"):
        return
    stop = tokens[min(i + 1, len(tokens) - 1)].stop
    power = text[tokens[i].stop : stop].strip()
    fail(
        text,
        base.start,
        stop,
        "a power outside a function is one of terms: of one term it is that term",
        f"the square of a column is I({base.text}**{power})",
    )


def found_calls(text: str, tokens: Sequence[Token], closed: dict[int, int]) -> list[Call]:
    bars = [i for i, t in enumerate(tokens) if t.text in ("|", "||")]
    found = []
    for i, token in enumerate(tokens[:-1]):
        if token.kind != "name" or tokens[i + 1].text != "(" or i + 1 not in closed:
            continue
        stop = closed[i + 1]
        around = [o for o in closed if o < i and closed[o] > stop and tokens[o].text == "("]
        within_bar = any(o < bar < i for bar in bars for o in around)
        found.append(
            Call(
                text=text,
                name=token.text,
                arguments=split_arguments(text, tokens[i + 1 : stop + 1]),
                start=token.start,
                stop=tokens[stop].stop,
                grouped=within_bar,
            )
        )
    return found


def split_arguments(text: str, tokens: Sequence[Token]) -> tuple[str, ...]:
    """The arguments between two brackets, split at the commas outside further brackets."""
    depth, begin = 0, tokens[0].stop
    found = []
    for token in tokens:
        depth += (token.text in OPENING) - (token.text in CLOSING)
        if (depth == 1 and token.text == ",") or depth == 0:
            found.append(text[begin : token.start].strip())
            begin = token.stop
    return tuple(each for each in found if each)


def rewritten(call: Call) -> str | None:
    """What stands for a call, or None where it is ours already."""
    if call.name in FACTORS:
        return as_categories(call)
    if call.name in RELEVEL:
        return with_reference(call, call.named(1, "ref"))
    if call.name == "C" and len(call.arguments) > 1:
        return contrasts(call)
    if call.name in STRUCTURES and len(call.arguments) == 1 and "|" in call.arguments[0]:
        return STRUCTURES[call.name](call.arguments[0])
    if call.name == "gr" and len(call.arguments) == 1:
        return call.arguments[0]
    if call.name in NOT_HERE:
        what, who = NOT_HERE[call.name]
        instead = f"; {INSTEAD[call.name]}" if call.name in INSTEAD else ""
        call.fail(f"{call.name}(...), {what}, is not here yet", f"{who} has it{instead}")
    if call.name == "cbind":
        call.fail(
            "cbind() stands alone before the '~'",
            "successes and failures: cbind(dead, alive) ~ x; several responses are not here",
        )
    return None


def independent(inside: str) -> str:
    return f"({re.sub(r'[|]+', '||', inside, count=1)})"


#: glmmTMB's names of the two covariances that are here.
STRUCTURES: dict[str, Callable[[str], str]] = {
    "us": lambda inside: f"({inside})",
    "diag": independent,
}


def as_categories(call: Call) -> str:
    """``factor(x)``; after a bar a column is one already."""
    if len(call.arguments) != 1:
        call.fail(f"{call.name}() takes one column here", ORDER)
    column = call.arguments[0]
    return column if call.grouped else f"C({column})"


def bare(column: str) -> str:
    """The column in ``C(column)``."""
    return re.sub(r"^C\(([^(),]*)\)$", r"\1", column)


def with_reference(call: Call, label: str | None) -> str:
    column = call.named(0, "x", ".f")
    if column is None or label is None:
        call.fail(f"{call.name}() takes a column and its reference", "such as T(f, ref='b')")
    return f"T({bare(column)}, ref={label})"


def contrasts(call: Call) -> str:
    """patsy's and R's names of contrasts in ``C(f, ...)``."""
    second = call.named(1, "contrast", "contr", "contrasts")
    if second is None or second.startswith("["):
        call.fail("levels are not chosen in a formula", ORDER)
    name, _, rest = second.partition("(")
    inside = rest.removesuffix(")").strip()
    label = re.sub(r"^(reference|ref|base)\s*=\s*", "", inside)
    if name in SUMS:
        return f"S({bare(call.arguments[0])})"
    if name in TREATMENT and not label:
        return f"C({bare(call.arguments[0])})"
    if name in TREATMENT and label[0] in "\"'":
        return f"T({bare(call.arguments[0])}, ref={label})"
    call.fail(
        f"contrasts {second} are not read",
        "treatment contrasts with a reference of your choice: T(f, ref='b'); sum contrasts: S(f)",
    )


def beside_response(text: str) -> Translated:
    """``cbind(a, b) ~`` and what stands between the response's bar and the '~'."""
    tokens = split_tokens(text)
    tilde = next((i for i, t in enumerate(tokens) if t.text == "~"), None)
    if not tilde:
        return Translated(text=text)
    closed = closed_by(tokens)
    right = text[tokens[tilde].start :]
    if tokens[0].text == "cbind" and closed.get(1) == tilde - 1:
        first, *others = split_arguments(text, tokens[1:tilde])
        if len(others) == 1:
            return Translated(text=f"p({first}, {total(first, others[0])}) {right}")
    bar = next((i for i in range(tilde) if tokens[i].text == "|" and not inside(i, closed)), None)
    if bar is None:
        return Translated(text=text)
    response = text[: tokens[bar].start].strip()
    additions: dict[str, str] = {}
    i = bar + 1
    while i < tilde:
        i = read_addition(text, tokens, closed, i, additions)
    if trials := additions.pop("trials", None):
        response = f"p({response}, {trials})"
    return Translated(text=f"{response} {right}", additions=additions)


def total(successes: str, failures: str) -> str:
    """The trials of R's two columns: ``n`` where the failures are ``n - s``."""
    left = re.fullmatch(rf"(.*\S)\s*-\s*{re.escape(successes)}", failures)
    return left[1] if left else f"{successes} + {failures}"


def inside(i: int, closed: dict[int, int]) -> bool:
    return any(start < i < stop for start, stop in closed.items())


def read_addition(
    text: str, tokens: Sequence[Token], closed: dict[int, int], i: int, additions: dict[str, str]
) -> int:
    """One ``se(s)`` or ``+ weights(w)``; returns where the next one begins."""
    if tokens[i].text == "+":
        return i + 1
    name = tokens[i].text
    stop = closed.get(i + 1)
    start, end = tokens[i].start, tokens[stop if stop is not None else i].stop
    if name in BESIDE_RESPONSE:
        fail(text, start, end, f"{name}() behind the response", BESIDE_RESPONSE[name])
    if stop is None or name not in ("se", "weights", "trials"):
        fail(
            text,
            start,
            end,
            "behind the response's bar stand se(s), weights(w) or trials(n)",
            "such as y | se(s) ~ x; a group term stands after the '~': y ~ x + (1 | site)",
        )
    arguments = split_arguments(text, tokens[i + 1 : stop + 1])
    if len(arguments) != 1 or (name != "trials" and stop != i + 3):
        fail(
            text,
            start,
            end,
            f"{name}() takes the name of a column and nothing else",
            f"hm.fit(..., {name}=values) takes values; brms has the rest",
        )
    additions[name] = arguments[0].strip("`") if name != "trials" else arguments[0]
    return stop + 1
