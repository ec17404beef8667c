"""How the documentation is built: ``sphinx-build -W -b html docs build/docs``.

Notebooks keep the outputs that they are stored with; nothing is executed. The tutorials stand in
``tutorials/`` beside ``docs/``, and Sphinx reads one folder: they are copied into ``_tutorials``,
links that leave their folder turned to the pages here.
"""

from __future__ import annotations

import re
import shutil
from importlib.util import find_spec
from pathlib import Path

from hiermodels import __version__

HERE = Path(__file__).parent
ROOT = HERE.parent

project = "hiermodels"
author = "the authors of hiermodels"
release = version = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "**.ipynb_checkpoints"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"
# A widget or a table in a form that HTML has no use for stands beside one that it has.
suppress_warnings = ["mystnb.unknown_mime_type"]

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = False

html_static_path = ["_static"]
html_css_files = ["notebooks.css"]
# MathJax in one file, fonts included, so that formulas need no network; without the package
# Sphinx links to the one on the web.
if (mathjax := find_spec("mathjax")) and mathjax.origin:
    html_static_path.append(str(Path(mathjax.origin).parent / "static/mathjax/es5/tex-svg-full.js"))
    mathjax_path = "tex-svg-full.js"

html_theme = "pydata_sphinx_theme"
html_title = "hiermodels"
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "header_links_before_dropdown": 7,
}
#: Pages that stand alone have no section to navigate.
html_sidebars: dict[str, list[str]] = {
    page: [] for page in ("index", "getting_started", "mathematics")
}

#: What a notebook links to outside its folder, and the page that it is here.
LINKS = (
    (r"\]\(\.\./docs/", "](../"),
    (r"\]\(\.\./data/README\.md", "](../data.md"),
    (r"\]\((?:\.\./)?README\.md", "](../index.md"),
)


def copy_tutorials() -> None:
    """The notebooks as they stand, into the folder that Sphinx reads."""
    target = HERE / "_tutorials"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for notebook in sorted((ROOT / "tutorials").glob("*.ipynb")):
        text = notebook.read_text(encoding="utf-8")
        for link, page in LINKS:
            text = re.sub(link, page, text)
        (target / notebook.name).write_text(text, encoding="utf-8")


copy_tutorials()
