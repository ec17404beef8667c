r"""The LaTeX of `equations` into MathML, which browsers set without a script.

Read is what that module writes and no more: ``\text``, ``\mathrm``, ``\left( \right)``, scripts,
``pmatrix``, ``\overline``, Greek letters, operators. A line is cut at its top-level plus signs and
commas into pieces between which a narrow screen can break it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

__all__ = ["math_lines"]

TOKEN = re.compile(
    r"""\\(?:text|mathrm)\{(?P<words>[^{}]*)\}
      | (?P<begin>\\begin\{pmatrix\}) | (?P<end>\\end\{pmatrix\})
      | (?P<row>\\\\)
      | (?P<left>\\left)\s*(?P<open>\\[{|]|.) | (?P<right>\\right)\s*(?P<close>\\[}|]|.)
      | \\(?P<command>[A-Za-z]+|[^A-Za-z])
      | (?P<number>\d+(?:\.\d+)?)
      | (?P<space>\s+)
      | (?P<char>.)""",
    re.VERBOSE | re.DOTALL,
)
LETTERS = {
    **{"alpha": "α", "beta": "β", "eta": "η", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν"},
    **{"phi": "φ", "pi": "π", "psi": "ψ", "sigma": "σ", "tau": "τ", "theta": "θ"},
    **{"Phi": "Φ", "Sigma": "Σ", "log": "log", "exp": "exp"},
}
OPERATORS = {
    **{"sim": "∼", "mid": "∣", "le": "≤", "ge": "≥", "times": "×", "cdot": "⋅", "in": "∈"},
    **{"sum": "∑", "prod": "∏", "dots": "…", "infty": "∞", "backslash": "\\", "wedge": "^"},
    **{"vert": "|", "prime": "′", "{": "{", "}": "}", "|": "‖"},
}
SPACES = {" ": 0.33, ",": 0.17, ";": 0.28, "quad": 1.0, "!": -0.17}
#: Commands that change nothing here.
NOTHING = ("textstyle", "displaystyle")
#: What has space on both sides.
RELATIONS = ("=", "∼", "+", "−", "≤", "∣")


def math_lines(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Left and right of the ``&`` of each line, each as MathML in pieces that can be broken."""
    for line in lines:
        left, _, right = re.sub(r"(?<!\\)&", "\0", line, count=1).partition("\0")
        yield pieces(left), pieces(right)


def pieces(latex: str) -> str:
    """One ``math`` element for each part between top-level plus signs and commas."""
    parsed = Parser(latex).sequence()
    parts: list[list[str]] = [[]]
    for node in parsed:
        if node == operator("+") and parts[-1]:
            parts.append([])
        parts[-1].append(node)
        if node == operator(","):
            parts.append([])
    return " ".join(f"<math>{''.join(part)}</math>" for part in parts if part)


def operator(text: str) -> str:
    """An operator and what it is: at the edge of a piece a browser would take it for a sign."""
    if text in RELATIONS:
        return f'<mo form="infix" lspace="0.28em" rspace="0.28em">{escape(text)}</mo>'
    if text in ("[", "]"):
        form = "prefix" if text == "[" else "postfix"
        return f'<mo form="{form}" stretchy="false" lspace="0" rspace="0">{text}</mo>'
    if text == "…":
        return "<mi>…</mi>"
    return f"<mo>{escape(text)}</mo>"


def fence(text: str) -> str:
    return f'<mo fence="true" stretchy="true">{escape(text)}</mo>'


class Parser:
    """Reads one side of one line; lives for the time of `pieces`."""

    def __init__(self, latex: str) -> None:
        self.tokens = [m for m in TOKEN.finditer(latex) if not m["space"]]
        self.at = 0

    def peek(self) -> re.Match[str] | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def sequence(self) -> list[str]:
        """Nodes up to what closes them."""
        nodes: list[str] = []
        while (token := self.peek()) is not None:
            if token["right"] or token["end"] or token["row"] or token["char"] == "}":
                break
            if token["char"] in ("_", "^"):
                nodes.append(self.scripts(nodes.pop() if nodes else "<mrow></mrow>"))
            elif node := self.atom():
                nodes.append(node)
        return nodes

    def scripts(self, base: str) -> str:
        """What stands below and above a base, in either order."""
        found: dict[str, str] = {}
        while (token := self.peek()) is not None and token["char"] in ("_", "^"):
            self.at += 1
            found[token["char"]] = self.atom()
        if len(found) == 2:
            return f"<msubsup>{base}{found['_']}{found['^']}</msubsup>"
        kind = "msub" if "_" in found else "msup"
        return f"<{kind}>{base}{''.join(found.values())}</{kind}>"

    def atom(self) -> str:
        token = self.peek()
        if token is None:
            raise ValueError("the equation ends where something is missing")
        self.at += 1
        if token["words"] is not None:
            inside = escape(token["words"]).replace(" ", "\u00a0")
            return f"<mtext>{inside}</mtext>"
        if token["left"]:
            return self.fenced(token["open"])
        if token["begin"]:
            return self.matrix()
        if token["number"]:
            return f"<mn>{token['number']}</mn>"
        if token["command"]:
            return self.command(token["command"])
        return self.character(token["char"])

    def character(self, char: str) -> str:
        if char == "{":
            inside = "".join(self.sequence())
            self.at += 1
            return f"<mrow>{inside}</mrow>"
        if char.isalpha():
            return f"<mi>{escape(char)}</mi>"
        return operator("−" if char == "-" else char)

    def fenced(self, opening: str) -> str:
        inside = "".join(self.sequence())
        closing = self.tokens[self.at]["close"]
        self.at += 1
        return f"<mrow>{fence(opening[-1])}{inside}{fence(closing[-1])}</mrow>"

    def matrix(self) -> str:
        rows = [self.sequence()]
        while (token := self.peek()) is not None and token["row"]:
            self.at += 1
            rows.append(self.sequence())
        self.at += 1
        body = "".join(f"<mtr><mtd>{''.join(row)}</mtd></mtr>" for row in rows)
        return f"<mrow>{fence('(')}<mtable>{body}</mtable>{fence(')')}</mrow>"

    def command(self, name: str) -> str:
        if name == "overline":
            # the bar of a mover is not drawn everywhere; a border is
            return f'<mrow class="mean">{self.atom()}</mrow>'
        if name in LETTERS:
            return f"<mi>{LETTERS[name]}</mi>"
        if name in OPERATORS:
            return operator(OPERATORS[name])
        if name in SPACES:
            return f'<mspace width="{SPACES[name]}em"></mspace>'
        if name in NOTHING:
            return ""
        if len(name) == 1:
            return operator(name)
        raise ValueError(f"no MathML for \\{name}")
