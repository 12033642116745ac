"""The generic live element: a Vue template bound to what the page's WebSocket brings."""

from nicegui.element import Element


class Live(Element, component="live.js"):
    """A part of the page that shows and changes the live state.

    Every instance on a page shares the one connection and the one store of ``live.js``. The template sees
    ``state``, what is computed from it, the actions, and ``emit(name, value)``, which reaches ``.on(name, ...)``.
    A template is a constant of this program: people's text never becomes part of one.
    """

    def __init__(self, template: str) -> None:
        """Show a template.

        :param template: the inner markup, in Vue's template language with Quasar's components.
        """
        super().__init__()
        self.add_slot("default", template)
