"""How the site is made: `uv run --group docs sphinx-build -W docs site`. Nothing is fetched."""

import re
from importlib.metadata import version as version_of

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

project = "pal-plugin"
version = release = version_of("pal-plugin")
project_copyright = "the authors of pal-plugin, MIT licence"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme = "furo"
html_title = "pal-plugin"
html_show_sphinx = False
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
html_math_renderer = "mathml"  # what browsers draw themselves: MathJax would be fetched by every reader
myst_heading_anchors = 3
default_role = "code"  # docstrings write code in single backticks
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True


def setup(app):
    """Name files of the repository outside of docs/, which links lead to on GitHub and the site does not have."""
    outside = re.compile(r"(?<!!)\[([^\]]+)\]\((?:\.\./)+([^)]+)\)")

    def named(app, page, source):
        below = page.count("/")  # links between pages of docs/ stay
        source[0] = outside.sub(
            lambda found: found[0] if found[0].count("../") <= below else f"{found[1]} (`{found[2]}`)", source[0]
        )

    def inline(translator, node):
        translator.body.append(tex2mathml(node.astext()))
        raise SkipNode

    def block(translator, node):
        translator.body.append(tex2mathml(node.astext(), as_block=True))
        raise SkipNode

    app.connect("source-read", named)
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
