"""The templates of the live part, as one module of JavaScript that browsers keep.

In the page itself they would be most of it, and NiceGUI escapes a page's elements: that took a third of the time the
page takes.
"""

import hashlib
from typing import Final

from fastapi import Response
from msgspec import json
from nicegui import app, ui
from nicegui.dependencies import register_importmap_override

from pages.headers import FOREVER
from pages.live import chat_list, composer, conversation, members, notices

PAGE: Final = """
<div class="chat-page">
  <chat-list></chat-list>
  <section><conversation></conversation><composer></composer></section>
  <member-panel></member-panel>
  <notices></notices>
</div>
"""
"""Where the parts are; Quasar's page around it is the main landmark."""

PARTS: Final = {
    "chat-list": chat_list.TEMPLATE,
    "conversation": conversation.TEMPLATE,
    "composer": composer.TEMPLATE,
    "member-panel": members.TEMPLATE,
    "notices": notices.TEMPLATE,
}
"""The templates by the names of their elements, in Vue's template language with Quasar's components.

Each sees ``state``, what is computed from it, the actions, and ``emit(name, value)``, which asks the Python behind
the page for something. A template is a constant of this program: people's text never becomes part of one.
"""

MODULE: Final = "parley-markup"
"""What ``live.js`` imports."""


def _script() -> bytes:
    # White space between elements means nothing to Vue; runs of it would only be longer to send.
    short = {name: " ".join(template.split()) for name, template in {"page": PAGE, **PARTS}.items()}
    return b"export const { page, ...parts } = " + json.encode(short) + b";\n"


_SCRIPT: Final = _script()
_ADDRESS: Final = f"/live/markup.{hashlib.sha256(_SCRIPT).hexdigest()[:12]}.js"


def serve_markup() -> None:
    """Serve the templates, to be kept by browsers until their address changes."""

    @app.get(_ADDRESS)
    def markup() -> Response:
        return Response(_SCRIPT, media_type="text/javascript", headers={"Cache-Control": FOREVER})

    register_importmap_override(MODULE, _ADDRESS)


def fetch_markup_early() -> None:
    """Have the browser of the page that is being built fetch the templates beside the script that imports them."""
    ui.add_head_html(f'<link rel="modulepreload" href="{_ADDRESS}">')
