"""What every page has in common before anything is on it: the style sheet and the chosen colour scheme."""

import hashlib
from pathlib import Path
from typing import Final, Literal, get_args

from fastapi import Request
from nicegui import app, ui

Scheme = Literal["system", "light", "dark"]

COOKIE: Final = "parley_theme"
"""Set by ``live.js``, read here: so the first byte of a page has the chosen colours, and no script has to."""

FOLDER: Final = Path(__file__).parent / "static"
_STYLES: Final = FOLDER / "parley.css"
_VERSION: Final = hashlib.sha256(_STYLES.read_bytes()).hexdigest()[:12]
_LINK: Final = f'<link rel="stylesheet" href="/static/parley.css?v={_VERSION}">'


def serve_styles() -> None:
    """Serve the style sheet, to be kept by browsers until its address changes."""
    app.add_static_files("/static", FOLDER, max_cache_age=365 * 24 * 3600)


def chosen(request: Request) -> Scheme:
    """The colour scheme that this browser's person chose, ``system`` unless they did."""
    choice = request.cookies.get(COOKIE)
    return next((scheme for scheme in get_args(Scheme) if scheme == choice), "system")


def dress(request: Request) -> None:
    """Put the look on the page that is being built."""
    scheme = chosen(request)
    ui.add_head_html(_LINK)
    if scheme != "system":
        ui.add_head_html(f"<style>:root {{ color-scheme: {scheme} }}</style>")
