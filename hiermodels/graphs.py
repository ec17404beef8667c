"""The plate diagram of a PyMC model, which says so where it cannot be drawn.

graphviz writes the text of a diagram and asks the program ``dot`` to draw it. A notebook on a
machine without ``dot`` would show a traceback; here it shows what to install.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import graphviz

if TYPE_CHECKING:
    import pymc as pm

__all__ = ["PlateDiagram", "plate_diagram"]

WITHOUT_DOT = (
    "The plate diagram needs the program dot of graphviz: apt-get install graphviz, "
    "brew install graphviz or conda install graphviz. Its text is in .source"
)


class PlateDiagram(graphviz.Source):
    """A diagram with a plate for every factor. Made by `plate_diagram`, shown by a notebook."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None, **_: Any) -> Any:
        if shutil.which("dot") is None:
            return {"text/plain": WITHOUT_DOT}
        return super()._repr_mimebundle_(include, exclude)


def plate_diagram(model: pm.Model) -> PlateDiagram:
    """The diagram of a model, as PyMC draws it."""
    import pymc as pm

    return PlateDiagram(pm.model_to_graphviz(model).source)
