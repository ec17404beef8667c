"""The plate diagram of a model: parameters, groups and rows, by the names that the tables have.

    sd_site, cor_site  ->  b_site (a plate with as many levels)  ->  y (a plate with as many rows)

An ellipse has a distribution, a grey one was observed, a grey box are the predictors. It is drawn
from the design, in the words of the posterior; `pymc_diagram` is PyMC's own, with the standardised
parameters and coordinates that stand between. graphviz's program ``dot`` draws both; where it is
missing, a notebook is told what to install instead of showing a traceback.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import graphviz

from hiermodels.design import INTERCEPT, Block, Design, Predictor
from hiermodels.labels.equations import DISTRIBUTIONS
from hiermodels.priors import ParameterPrior, PredictorPriors, Priors

if TYPE_CHECKING:
    import pymc as pm

__all__ = ["PlateDiagram", "plate_diagram", "pymc_diagram"]

WITHOUT_DOT = (
    "The plate diagram needs the program dot of graphviz: apt-get install graphviz, "
    "brew install graphviz or conda install graphviz. Its text is in .source"
)
FONT = {"fontname": "Helvetica", "fontsize": "11"}
#: Columns that a node lists; more are counted.
LISTED = 4


class PlateDiagram(graphviz.Source):
    """A diagram with a plate for every factor. Made by `plate_diagram`, shown by a notebook."""

    def __repr__(self) -> str:
        return 'PlateDiagram: a notebook shows it, .render("model") writes it, .source is its text'

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> Any:
        if shutil.which("dot") is None:
            return {"text/plain": WITHOUT_DOT}
        return super()._repr_mimebundle_(include, exclude)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One quantity: its name, the columns it has, its distribution, and how it looks."""

    name: str
    columns: tuple[str, ...] = ()
    distribution: str = ""
    observed: bool = False

    @property
    def label(self) -> str:
        listed = ", ".join(self.columns[:LISTED])
        if len(self.columns) > LISTED:
            listed += f" and {len(self.columns) - LISTED} more"
        parts = (self.name, listed, f"~ {self.distribution}" if self.distribution else "")
        return "\n".join(graphviz.escape(part) for part in parts if part)

    @property
    def style(self) -> dict[str, str]:
        shape = "ellipse" if self.distribution else "box"
        filled = {"style": "filled", "fillcolor": "#E4E4E4"} if self.observed else {}
        return {"shape": shape, "label": self.label} | filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """Nodes that are repeated, ``size`` times each."""

    name: str
    size: int
    nodes: tuple[Node, ...]


def plate_diagram(design: Design, priors: Priors) -> PlateDiagram:
    """The diagram of a model, in the words of its posterior."""
    own = list(parameters(design, priors))
    plates = [
        group_plate(block, predictor, given)
        for predictor, given in zip(design.predictors, priors.predictors, strict=True)
        for block in predictor.blocks
    ]
    response = Node(
        name=design.response_name,
        distribution=DISTRIBUTIONS.get(design.family.name, "Cumulative"),
        observed=True,
    )
    columns = tuple(dict.fromkeys(known_columns(design)))
    data = (Node(name="columns", columns=columns, observed=True),) if columns else ()
    rows = Plate(name="rows", size=design.n, nodes=(*data, response))
    edges = [(node, response) for node in (*own, *data)]
    for above, plate in plates:
        edges += [(node, plate.nodes[0]) for node in above] + [(plate.nodes[0], response)]
    every = [*own, *(node for above, _ in plates for node in above)]
    return drawn(every, [*(plate for _, plate in plates), rows], edges)


def pymc_diagram(model: pm.Model) -> PlateDiagram:
    """The diagram of `Model.to_pymc`, as PyMC draws it."""
    import pymc as pm

    return PlateDiagram(pm.model_to_graphviz(model).source)


def parameters(design: Design, priors: Priors) -> Iterator[Node]:
    """Intercepts, coefficients, and the family's own parameters."""
    for predictor, given in zip(design.predictors, priors.predictors, strict=True):
        if given.intercept is not None:
            yield Node(
                name=f"{predictor.prefix}{INTERCEPT}", distribution=given.intercept.given.name
            )
        if given.beta:
            yield Node(
                name=f"{predictor.prefix}beta",
                columns=predictor.terms,
                distribution=kinds(given.beta),
            )
    for prior in priors.auxiliary:
        yield Node(name=prior.parameter, distribution=prior.given.name)


def group_plate(
    block: Block, predictor: Predictor, given: PredictorPriors
) -> tuple[tuple[Node, ...], Plate]:
    """What the effects of a factor have their distribution from, and their plate."""
    at = [b.name for b in predictor.blocks].index(block.name)
    name = f"{predictor.prefix}{{}}_{block.name}"
    above = [
        Node(name=name.format("sd"), columns=terms(block), distribution=kinds(given.sd[at])),
    ]
    cor = given.cor[at]
    if cor is not None:
        above.append(Node(name=name.format("cor"), distribution=cor.given.name))
    effects = Node(
        name=name.format("b"),
        columns=terms(block),
        distribution="MultivariateNormal" if block.correlated else "Normal",
    )
    return tuple(above), Plate(name=block.name, size=block.n_levels, nodes=(effects,))


def terms(block: Block) -> tuple[str, ...]:
    """None where the intercept is all there is."""
    return () if block.terms == (INTERCEPT,) else block.terms


def kinds(priors: Iterable[ParameterPrior]) -> str:
    """The distributions of several parameters, each once."""
    return ", ".join(dict.fromkeys(prior.given.name for prior in priors))


def known_columns(design: Design) -> Iterator[str]:
    """What is observed of a row beside its response."""
    for predictor in design.predictors:
        yield from predictor.terms
        for block in predictor.blocks:
            yield from (term for term in block.terms if term != INTERCEPT)
    if design.se is not None:
        yield "se"
    if design.trials is not None and design.family.name != "bernoulli":
        yield "trials"


def drawn(
    free: Sequence[Node], plates: Sequence[Plate], edges: Sequence[tuple[Node, Node]]
) -> PlateDiagram:
    """The text of graphviz. Nodes are numbered: a colon in a name would mean a port."""
    numbers: dict[int, str] = {}

    def number(node: Node) -> str:
        return numbers.setdefault(id(node), f"n{len(numbers)}")

    graph = graphviz.Digraph(
        graph_attr={**FONT, "ranksep": "0.35", "nodesep": "0.2"},
        node_attr={**FONT, "margin": "0.05,0.03"},
        edge_attr={"arrowsize": "0.6"},
    )
    for node in free:
        graph.node(number(node), **node.style)
    for k, plate in enumerate(plates):
        with graph.subgraph(name=f"cluster{k}") as inside:
            inside.attr(
                label=graphviz.escape(f"{plate.name} ({plate.size})"),
                labeljust="r",
                labelloc="b",
                style="rounded",
                color="#888888",
            )
            for node in plate.nodes:
                inside.node(number(node), **node.style)
    for start, end in edges:
        graph.edge(number(start), number(end))
    return PlateDiagram(graph.source)
