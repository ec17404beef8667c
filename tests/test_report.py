"""The report is whole, inert and small; what a user wrote in it is text and nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
import warnings
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from made_up import made_up_fit, random_posterior, table

import hiermodels as hm
from hiermodels.fitting import Model
from hiermodels.labels.equations import build_equations
from hiermodels.printing import Table
from hiermodels.report import content, pictures
from hiermodels.report.blocks import Bullets, Code, Numbers, Picture, Report
from hiermodels.report.code import data_hash, python_code
from hiermodels.report.graph import draw_graph, graph_words
from hiermodels.report.latex import latex_page
from hiermodels.report.markdown import markdown_page
from hiermodels.report.mathml import math_lines
from hiermodels.report.page import html_page
from hiermodels.report.pictures import Drawn, draw_picture
from hiermodels.results import Fit

mpl.use("Agg")

SECTIONS = [
    *("summary", "data", "grouping", "model", "effects", "variance", "levels", "checks"),
    *("sampler", "reproduction"),
]
#: What a user may write into a label or a name.
NASTY = "<script>alert('1')</script> & \"q\" $x_1$ 100% #a {b} \\c ~d ^e `f` |g *h*"


class Page(HTMLParser):
    """Tags and texts of a page, and whether every tag is closed."""

    VOID = ("meta", "img", "br", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def fit() -> Fit:
    frame = table(n=90)
    frame.loc[[3, 7], "x"] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hm.MissingDataWarning)
        model = Model(
            "y ~ x + f + (x | pop)",
            frame,
            priors={"x": hm.Prior("Normal", mu=0, sigma=2)},
        )
    return model.fit(draws=100, chains=4, random_seed=2, progressbar=False)


@pytest.fixture(scope="module")
def written(fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the report in its three formats; the page alone draws its pictures."""
    folder = tmp_path_factory.mktemp("reports")
    for suffix, kind in (("html", ""), ("md", "svg"), ("tex", "pdf")):
        target = folder / f"a b.{suffix}"
        with pytest.MonkeyPatch.context() as patch:
            if kind:
                drawn = Drawn(data=b"%PDF or <svg>", suffix=kind, width=9)
                patch.setattr(pictures, "draw_picture", lambda draw, d=drawn, **more: d)
            assert fit.report(target, data_file="data/my table.csv") == target
    assert plt.get_fignums() == []
    return folder


@pytest.fixture(scope="module")
def page(written: Path) -> Page:
    found = Page((written / "a b.html").read_text(encoding="utf-8"))
    assert found.open == []
    return found


# the page


def test_every_section_is_there_and_in_the_contents(page: Page) -> None:
    assert [a["id"] for a in page.of("section")] == SECTIONS
    links = [a["href"] for a in page.of("a")]
    assert links[: len(SECTIONS)] == [f"#{key}" for key in SECTIONS]
    assert {str(link)[1:] for link in links} <= set(SECTIONS)


def test_the_page_needs_nothing_from_outside(written: Path, page: Page) -> None:
    text = (written / "a b.html").read_text(encoding="utf-8")
    assert not page.of("script")
    assert not page.of("link")
    assert not re.search(r"(?:src|href)\s*=\s*[\"'](?!data:|#)", text)
    assert "http" not in re.sub(r"base64,[\w+/=]+|http-equiv|http://www.w3.org\S*", "", text)
    assert not re.search(r"@import|url\(", text)
    policy = next(a for a in page.of("meta") if "http-equiv" in a)["content"]
    assert str(policy).startswith("default-src 'none'")


def test_every_picture_has_words_and_a_file(page: Page) -> None:
    pictures = page.of("img")
    assert len(pictures) == 8
    for picture in pictures:
        assert len(str(picture["alt"])) > 30
        kind, data = re.fullmatch(r"data:(image/\S+?);base64,(\S+)", str(picture["src"])).groups()  # type: ignore[union-attr]
        start = base64.b64decode(data)[:8]
        assert start == b"\x89PNG\r\n\x1a\n" if kind == "image/png" else start.startswith(b"<?xml")


def test_it_says_what_the_issue_of_a_report_is(fit: Fit, page: Page) -> None:
    """Rows, missing values, priors, verdicts, sentences, sampler, versions, seed, hash, code."""
    told = " ".join(page.texts)
    assert "The model uses 88 rows of 90" in told
    assert "2 in x" in told
    for sentence in fit.describe():
        assert sentence in told
    for check in fit.check():
        assert check.name in page.texts
    assert {"✓", "Normal(mu=0, sigma=2)", "yours"} <= set(page.texts)
    assert fit.diagnostics.words()[0] in told
    assert data_hash(fit.design.rows.frame) in told
    assert 'data = pd.read_csv("data/my table.csv")' in told
    for name in ("python", "hiermodels", "numpy", "nutpie"):
        assert name in page.texts
    assert "random_seed=2," in told


def test_tables_are_those_of_the_fit(fit: Fit, page: Page) -> None:
    for report in (fit.fixef(), fit.variance_table(), fit.icc(), fit.coef("pop"), fit.ranks("pop")):
        _, rows = report.cells(max_rows=len(report))
        for row in rows:
            assert set(filter(None, row)) <= set(page.texts)


def test_a_loaded_fit_has_the_same_report(fit: Fit, written: Path, tmp_path: Path) -> None:
    again = hm.load(fit.save(tmp_path / "fit.hm"))
    before, after = (
        content.build_report(f, rows="rows", ci_prob=0.95, data_file="data/my table.csv")
        for f in (fit, again)
    )

    def without_pictures(report: Report) -> str:
        return markdown_page(report, picture=lambda p: p.name)

    assert without_pictures(after) == without_pictures(before)
    assert html_of_one(after, "graph") == html_of_one(before, "graph")


def html_of_one(report: Report, name: str) -> bytes:
    blocks = [b for s in report.sections for b in s.blocks]
    picture = next(b for b in blocks if isinstance(b, Picture) and b.name == name)
    return draw_picture(picture.draw).data


# what a user wrote


def nasty_report(fit: Fit) -> Report:
    """The report of a fit whose names and labels are what no page should run."""
    return content.build_report(fit, rows=NASTY, ci_prob=0.9, data_file=f"{NASTY}.csv")


@pytest.fixture(scope="module")
def nasty() -> Fit:
    frame = table(n=60).rename(columns={"x": NASTY.replace("`", "'")})
    frame["pop"] = frame["pop"].replace("P0", NASTY)
    name = NASTY.replace("`", "'")
    model = Model(f"y ~ `{name}` + (1 | pop)", frame)
    return model.fit(draws=50, random_seed=1, progressbar=False)


def test_html_of_nasty_names(nasty: Fit) -> None:
    report = nasty_report(nasty)
    parsed = Page(html_page(without(report, Picture)))
    assert parsed.open == []
    assert not parsed.of("script")
    assert NASTY in parsed.texts, "the label stands as the user wrote it"


def test_alternative_text_of_nasty_names(nasty: Fit) -> None:
    sections = nasty_report(nasty).sections
    graph = [b for s in sections for b in s.blocks if isinstance(b, Picture) and b.name == "graph"]
    picture = Picture(name="a", draw=graph[0].draw, alt=NASTY, caption=NASTY)
    parsed = Page(html_page(one_block(picture)))
    assert [a["alt"] for a in parsed.of("img")] == [NASTY]
    assert not parsed.of("script")
    assert NASTY in parsed.texts


def one_block(block: Any) -> Report:
    from hiermodels.report.blocks import Section

    section = Section(key="a", title="A", blocks=(block,))
    return Report(title=NASTY, subtitle=NASTY, sections=(section,))


def without(report: Report, kind: type) -> Report:
    from hiermodels.report.blocks import Section

    return Report(
        title=report.title,
        subtitle=report.subtitle,
        sections=tuple(
            Section(
                key=s.key,
                title=s.title,
                blocks=tuple(b for b in s.blocks if not isinstance(b, kind)),
            )
            for s in report.sections
        ),
    )


def test_markdown_of_nasty_names() -> None:
    nasty = Table({"level": [NASTY], "estimate": [1.0]}, title=NASTY, note=NASTY)
    report = one_block(Numbers(table=nasty))
    found = markdown_page(report, picture=lambda p: "x.svg")
    lines = found.splitlines()
    assert lines[0] == f"# `` {NASTY} ``" or lines[0] == f"# ``{NASTY}``"
    for line in lines[1:]:
        assert "<script>" not in line
        unescaped = re.sub(r"\\.", "", line)
        assert not re.search(r"[`$_\[\]]", unescaped)
    row = next(line for line in lines if line.startswith("| &lt;"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 3


def test_latex_of_nasty_names() -> None:
    nasty = Table({"level": [NASTY], "estimate": [1.0]}, title=NASTY, note=NASTY)
    found = latex_page(one_block(Numbers(table=nasty)), picture=lambda p: "x.pdf")
    body = found.partition(r"\begin{document}")[2]
    user = [line for line in body.splitlines() if "alert" in line]
    assert len(user) == 5
    for line in user:
        for sign in ("$x", "_1", '& "', "100%", "#a", "{b}", "^e", "~d"):
            bare = re.search(r"(?<!\\)" + re.escape(sign), line.replace("~", " "))
            assert bare is None or sign == "{b}", (sign, line)
    inside = found.replace(r"\{", "").replace(r"\}", "")
    assert inside.count("{") == inside.count("}")


def test_code_cannot_leave_its_quotes() -> None:
    fit = made_up_fit("y ~ `a'b` + (1 | pop)", table(n=60).rename(columns={"x": "a'b"}))
    code = python_code(fit, data_file='it\'s "here".csv')
    compile(code, "report", "exec")


# the other formats


def test_pictures_stand_beside_markdown_and_latex(written: Path) -> None:
    text = (written / "a b.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\((a%20b_files/[\w.]+)\)", text)
    assert len(links) == 8
    assert all((written / link.replace("%20", " ")).is_file() for link in links)
    latex = (written / "a b.tex").read_text(encoding="utf-8")
    paths = re.findall(r"\\includegraphics\[[^]]*\]\{(.*?)\}", latex)
    assert len(paths) == 8
    assert all((written / path).read_bytes().startswith(b"%PDF") for path in paths)


def test_latex_is_balanced(written: Path) -> None:
    latex = (written / "a b.tex").read_text(encoding="utf-8")
    begun = re.findall(r"\\begin\{(\w+)\}", latex)
    ended = re.findall(r"\\end\{(\w+)\}", latex)
    assert sorted(begun) == sorted(ended)


def test_an_unknown_format(fit: Fit, tmp_path: Path) -> None:
    with pytest.raises(hm.UnknownNameError, match=r"no format of a report '\.docx'.*\.tex"):
        fit.report(tmp_path / "a.docx")
    assert list(tmp_path.iterdir()) == []


# reproduction


def test_the_code_makes_the_same_draws(
    fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Fit, "report", lambda self, path: Path(path))
    fit.design.rows.frame.to_csv("rows.csv", index=False)
    names: dict[str, Any] = {}
    exec(python_code(fit, data_file="rows.csv"), names)
    for name, values in fit.idata["posterior"].data_vars.items():
        np.testing.assert_array_equal(names["fit"].idata["posterior"][name], values)


def test_the_code_names_all_that_is_not_default() -> None:
    frame = table(n=60).assign(k=lambda d: d["count"])
    priors = {"sd_pop": hm.Prior("Exponential", lam=0.5), "x": hm.Prior("Normal", mu=0, sigma=1)}
    model = Model(
        "k ~ x + (1 | pop)",
        frame,
        family="zi_negbinomial",
        zi="~ x",
        priors=priors,
        weights="count",
    )
    code = python_code(random_posterior(model, draws=8), data_file="a.tsv")
    for part in (
        'family="zi_negbinomial"',
        'zi="~ x"',
        'weights="count"',
        '"sd_pop[Intercept]": hm.Prior("Exponential", lam=0.5)',
        '"x": hm.Prior("Normal", mu=0, sigma=1)',
        "draws=8",
        "chains=2",
        'sep="\\t"',
    ):
        assert part in code
    assert "link=" not in code


def test_the_hash_is_that_of_the_note() -> None:
    """What the report tells its reader to compute."""
    frame = table(n=60)[["y", "pop"]]
    expected = hashlib.sha256(frame.to_csv(index=False, lineterminator="\n").encode()).hexdigest()
    assert data_hash(frame) == expected
    assert data_hash(frame.assign(y=frame["y"] + 1e-12)) != expected


def test_the_hash_is_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = table(n=60)
    whole = data_hash(frame)
    monkeypatch.setattr("hiermodels.report.code.CHUNK", 7)
    assert data_hash(frame) == whole


# equations and the graph

FORMULAS = {
    "gaussian": ("y ~ x*z + f + (x | pop) + (0 + z || year)", {}),
    "weights": ("y ~ x + offset(z) + (1 | pop/patch)", {"weights": "count", "se": "error"}),
    "zeros": ("count ~ bs(x, df=4)", {"family": "zi_negbinomial", "zi": "~ x + (x | pop)"}),
    "ordinal": ("count ~ x + (x | pop)", {"family": "ordinal"}),
    "binomial": ("count / 3 ~ x + (1 | pop)", {"family": "betabinomial", "link": "probit"}),
    "names": ("y ~ `a_b {c} <d> & 5%` + (1 | pop)", {}),
}


@pytest.mark.parametrize("case", FORMULAS)
def test_equations_become_mathml(case: str) -> None:
    """Well formed, with every word and number of the LaTeX, and no command left."""
    formula, more = FORMULAS[case]
    model = Model(formula, table(n=90).rename(columns={"w": "a_b {c} <d> & 5%"}), **more)
    found = build_equations(model.design, model.priors)
    lines = [*found.likelihood, *found.predictor, *found.groups, *found.priors]
    made = list(math_lines(lines))
    assert len(made) == len(lines)
    for line, sides in zip(lines, made, strict=True):
        root = ET.fromstring(f"<div>{sides[0]}<hr/>{sides[1]}</div>")
        assert all(piece.tag in ("math", "hr") for piece in root)
        text = "".join(root.itertext()).replace("\u00a0", " ")
        assert "\\mathrm" not in text
        words = re.findall(r"\\(?:text|mathrm)\{([^{}]*)\}", line)
        numbers = re.findall(r"(?<![\w.])\d+(?:\.\d+)?", line)
        for part in (*words, *numbers):
            assert part in text, (part, line)
        depth = [len(root.findall(f".//{tag}")) for tag in ("msub", "msup", "msubsup")]
        scripts = len(re.findall(r"(?<!\\)[_^]", re.sub(r"\\text\{[^{}]*\}", "", line)))
        assert depth[0] + depth[1] + 2 * depth[2] == scripts


def test_an_unknown_command_is_not_dropped() -> None:
    with pytest.raises(ValueError, match="no MathML for"):
        list(math_lines([r"\frac{1}{2} &= x"]))


@pytest.mark.parametrize("case", FORMULAS)
def test_the_graph_names_every_parameter(case: str) -> None:
    formula, more = FORMULAS[case]
    model = Model(formula, table(n=90).rename(columns={"w": "a_b {c} <d> & 5%"}), **more)
    axes = draw_graph(model.design)
    texts = [t.get_text() for t in axes.texts]
    plt.close(axes.figure)
    for predictor in model.design.predictors:
        for block in predictor.blocks:
            assert f"{predictor.prefix}b_{block.name}" in texts
            assert f"{predictor.prefix}sd_{block.name}" in texts
            assert (f"{predictor.prefix}cor_{block.name}" in texts) == block.correlated
            assert f"{block.n_levels} levels" in graph_words(model.design)
    for parameter in model.design.constants:
        assert parameter.name in texts
    assert f"{model.design.n} rows" in texts


def test_nothing_overlaps_in_the_graph() -> None:
    model = Model(
        "count ~ x + z + (x | pop/patch) + (1 | year)",
        table(n=90),
        family="zi_negbinomial",
        zi="~ x + (1 | pop)",
    )
    axes = draw_graph(model.design)
    axes.figure.canvas.draw()
    boxes = [t.get_window_extent() for t in axes.texts if t.get_text()]
    inside = axes.figure.bbox
    plt.close(axes.figure)
    assert all(inside.x0 <= b.x0 and b.x1 <= inside.x1 for b in boxes)
    for k, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[k + 1 :])


# size


@pytest.mark.slow
def test_a_report_of_many_levels_is_small(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    site = np.repeat(np.arange(500), 8)
    x = rng.normal(size=len(site))
    y = rng.normal(size=500)[site] + rng.normal(1, 0.5, 500)[site] * x + rng.normal(size=len(site))
    frame = pd.DataFrame({"y": y, "x": x, "site": [f"site number {s}" for s in site]})
    fit = hm.fit("y ~ x + (x | site)", frame, random_seed=1, draws=100, progressbar=False)
    path = fit.report(tmp_path / "report.html")
    assert path.stat().st_size < 5_000_000
    parsed = Page(path.read_text(encoding="utf-8"))
    assert parsed.open == []
    folded = parsed.of("details")
    assert len(folded) == 2, "coefficients and ranks are opened by the reader"
    assert sum(text == "site number 499" for text in parsed.texts) == 3


def test_a_longer_table_is_cut_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "MOST_ROWS", 3)
    found = content.numbers(lambda: Table({"a": range(9)}, title="T", note="N."), what="T")
    assert isinstance(found, Numbers)
    assert len(found.table) == 3
    assert found.table.note == "The first 3 of 9 rows; fit has all. N."


def test_what_is_not_available_says_why() -> None:
    def refuse() -> Table:
        raise hm.NotAvailableError("no ICC of this")

    assert "no ICC of this" in str(content.numbers(refuse, what="ICC"))


def test_a_model_without_groups() -> None:
    report = content.build_report(
        made_up_fit("y ~ x", table(n=60)), rows="rows", ci_prob=0.95, data_file=None
    )
    keys = [s.key for s in report.sections]
    assert keys == [k for k in SECTIONS if k not in ("grouping", "variance", "levels")]
    blocks = [b for s in report.sections for b in s.blocks]
    assert any(isinstance(b, Bullets) for b in blocks)
    assert any(isinstance(b, Code) and "your_file.csv" in b.text for b in blocks)
