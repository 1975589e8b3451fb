"""How Sphinx builds the manual."""

from __future__ import annotations

from docutils.nodes import Element
from sphinx.application import Sphinx
from sphinx.domains.std import GenericObject

from ttagw import __version__

project = "ttagw"
author = "The ttagw developers"
project_copyright = "The ttagw developers"
version = release = __version__

extensions: list[str] = []
exclude_patterns = ["_build"]
nitpicky = True
highlight_language = "none"
html_theme = "furo"
html_title = f"ttagw {release}"
html_show_sourcelink = False


class Problem(GenericObject):
    """`.. problem:: code` describes an error; its anchor is the code itself, which problem documents link to."""

    def add_target_and_index(self, name: str, sig: str, signode: Element) -> None:  # noqa: ARG002 - Sphinx's signature
        """Sphinx would put the kind of object before the name."""
        signode["ids"].append(name)
        self.state.document.note_explicit_target(signode)


def setup(app: Sphinx) -> None:
    """What Sphinx calls."""
    app.add_object_type("problem", "problem", objname="error")
    app.add_directive_to_domain("std", "problem", Problem, override=True)
