"""The live element: all of the chat page that shows and changes the live state."""

from typing import Any

from nicegui.element import Element


class Live(Element, component="live.js"):
    """Shows the templates of :mod:`pages.live.markup`, bound to what the page's WebSocket brings.

    It emits one event, ``act``, with the name of what a person asks for and, for some, a value; see :meth:`asked`.
    One element serves the whole page, because each costs the server time and memory for every page that is open.
    """

    @staticmethod
    def asked(sent: Any) -> tuple[str, Any]:
        """Read what came with ``act``, which may have come from anything that has a page's socket.

        :return: the name and the value.
        """
        name, value = (*sent, None, None)[:2] if isinstance(sent, list) else (sent, None)
        return str(name), value
