"""Turning a message's text into safe HTML, once, when it is written."""

import re
from typing import Final

import nh3
from comrak import ExtensionOptions, RenderOptions, render_markdown


def _extensions() -> ExtensionOptions:
    options = ExtensionOptions()
    options.autolink = True
    options.strikethrough = True
    options.table = True
    options.tasklist = True
    return options


def _rendering() -> RenderOptions:
    options = RenderOptions()
    options.hardbreaks = True
    options.escape = True
    return options


EXTENSIONS: Final = _extensions()
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
    set_tag_attribute_values={"a": {"target": "_blank"}, "input": {"disabled": ""}},
    url_schemes={"http", "https", "mailto"},
    link_rel="noopener noreferrer nofollow",
)  # fmt: skip


# An image would tell a foreign server who reads the chat, and when.
_IMAGE: Final = re.compile(r'<img src="([^"]*)" alt="([^"]*)"[^>]*/>')


def render(body: str) -> str:
    """Render Markdown (GitHub's flavour, with every line break kept) to HTML.

    Raw HTML in the text is shown as text, images become links, and the sanitiser has the last word.

    :param body: the text as written.
    :return: HTML of a few harmless tags; links open elsewhere and carry no referrer.
    """
    html = render_markdown(body, extension_options=EXTENSIONS, render_options=RENDERING)
    return SANITISER.clean(_IMAGE.sub(_link_to_image, html))


def _link_to_image(image: re.Match[str]) -> str:
    address, description = image.groups()
    return f'<a href="{address}">{description or address}</a>'
