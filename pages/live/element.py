"""The generic live element: a Vue template bound to what the page's WebSocket brings."""

from functools import cache
from typing import Literal

from nicegui.element import Element


class Live(Element, component="live.js"):
    """A part of the page that shows and changes the live state.

    Every instance on a page shares the one connection and the one store of ``live.js``. The template sees
    ``state``, what is computed from it, the actions, and ``emit(name, value)``, which reaches ``.on(name, ...)``.
    A template is a constant of this program: people's text never becomes part of one.
    """

    def __init__(self, template: str, *, tag: Literal["div", "nav", "aside"] = "div", label: str = "") -> None:
        """Show a template.

        :param template: the inner markup, in Vue's template language with Quasar's components.
        :param tag: the element around it.
        :param label: what that element is called, for screen readers.
        """
        super().__init__()
        self.props["root"] = {"is": tag, "label": label or None}
        self.add_slot("default", _compact(template))


@cache
def _compact(template: str) -> str:
    """Make a template cheaper to put into each page: no indentation, and other characters as references.

    NiceGUI escapes the whole page, which takes a third of the time when all of it is ASCII; Vue folds white space.
    """
    return " ".join(template.split()).encode("ascii", "xmlcharrefreplace").decode()
