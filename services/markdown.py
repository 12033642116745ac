"""Turning a message's text into safe HTML, once, when it is written."""

import re
from typing import Final

import nh3
from comrak import ExtensionOptions, RenderOptions, render_markdown

MOST_CELLS: Final = 5_000
"""Cells that the tables of a text may have; beyond it they stay text. Markdown fills short rows up with empty cells,
so that 16,000 characters could make millions."""

DEEPEST: Final = 40
"""Elements inside each other; deeper ones are left out, and their text stays."""


def _extensions(*, table: bool) -> ExtensionOptions:
    options = ExtensionOptions()
    options.autolink = True
    options.strikethrough = True
    options.table = table
    options.tasklist = True
    return options


def _rendering() -> RenderOptions:
    options = RenderOptions()
    options.hardbreaks = True
    options.escape = True
    return options


EXTENSIONS: Final = _extensions(table=True)
WITHOUT_TABLES: Final = _extensions(table=False)
RENDERING: Final = _rendering()

SANITISER: Final = nh3.Cleaner(
    tags={
        "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "input", "li", "ol",
        "p", "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
    },
    attributes={
        "a": {"href", "title"},
        "code": {"class"},
        "input": {"checked", "disabled"},
        "ol": {"start"},
        "td": {"align"},
        "th": {"align"},
    },
    attribute_filter=lambda tag, name, value: (
        None if (tag, name) == ("code", "class") and not value.startswith("language-") else value
    ),
    tag_attribute_values={"input": {"type": {"checkbox"}}},
    set_tag_attribute_values={"a": {"target": "_blank"}, "input": {"disabled": "", "aria-label": "Task"}},
    url_schemes={"http", "https", "mailto"},
    link_rel="noopener noreferrer nofollow",
)  # fmt: skip


# An image would tell a foreign server who reads the chat, and when.
_IMAGE: Final = re.compile(r'<img src="([^"]*)" alt="([^"]*)"[^>]*/>')

_PAIRED_TAG: Final = re.compile(r"<(/?)(?!(?:br|hr|img|input)\b)[a-z][^>]*>")


def render(body: str) -> str:
    """Render Markdown (GitHub's flavour, with every line break kept) to HTML.

    Raw HTML in the text is shown as text, images become links, and the sanitiser has the last word.

    :param body: the text as written.
    :return: HTML of a few harmless tags; links open elsewhere and carry no referrer.
    """
    extensions = EXTENSIONS if _most_cells(body) <= MOST_CELLS else WITHOUT_TABLES
    html = render_markdown(body, extension_options=extensions, render_options=RENDERING)
    return SANITISER.clean(_shallow(_IMAGE.sub(_link_to_image, html)))


def _most_cells(body: str) -> int:
    """Return more cells than the tables of a text can have: the widest row that could head one, times all lines."""
    if "|" not in body:
        return 0
    lines = body.splitlines()
    return len(lines) * max(line.count("|") + 1 for line in lines)


def _shallow(html: str) -> str:
    """Leave out what is nested too deeply for browsers; the renderer closes all that it opens."""
    if html.count("<") <= 2 * DEEPEST:
        return html
    depth = 0

    def keep(tag: re.Match[str]) -> str:
        nonlocal depth
        depth += 0 if tag[1] else 1
        kept = tag[0] if depth <= DEEPEST else ""
        depth -= 1 if tag[1] else 0
        return kept

    return _PAIRED_TAG.sub(keep, html)


def _link_to_image(image: re.Match[str]) -> str:
    address, description = image.groups()
    return f'<a href="{address}">{description or address}</a>'
