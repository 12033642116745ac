"""Plain HTML elements with Parley's look, for pages and dialogs."""

from collections.abc import Callable
from typing import Any, Literal

from nicegui import ui
from nicegui.element import Element

Look = Literal["primary", "quiet", "danger", "link"]


class Text(ui.label):
    """A piece of text in an element of one's choice; a label, so that it can be found by what it says."""

    def __init__(self, content: str, *, tag: str = "p") -> None:
        super().__init__(content)
        self.tag = tag


def text(content: str, *, tag: str = "p", look: str = "") -> Text:
    """Show a text.

    :param content: the text; it is never read as HTML.
    :param tag: the HTML element.
    :param look: classes of the style sheet.
    """
    shown = Text(content, tag=tag)
    shown.classes(look)
    return shown


def heading(content: str, *, level: Literal[1, 2] = 1) -> Text:
    """Show a heading."""
    return text(content, tag=f"h{level}")


def icon(name: str) -> Element:
    """Show an icon of the outlined Material set, hidden from screen readers."""
    return ui.element("q-icon").props(f'name=o_{name} aria-hidden="true"')


def button(content: str, *, on_click: Callable[..., Any] | None = None, look: Look | str = "primary") -> Text:
    """Show a button; without ``on_click`` it submits its form.

    :param content: what it says.
    :param look: one of the looks above, or other classes of the style sheet.
    """
    shown = text(content, tag="button", look=look)
    shown.props["type"] = "button" if on_click else "submit"
    if on_click:
        shown.on("click", lambda _: on_click(), args=[])
    return shown


def icon_button(symbol: str, label: str, *, on_click: Callable[..., Any]) -> Element:
    """Show a button with only an icon.

    :param label: what it does, for screen readers and as its tooltip.
    """
    shown = ui.element("button").classes("icon-button").on("click", lambda _: on_click(), args=[])
    shown.props.update({"type": "button", "aria-label": label, "title": label})
    with shown:
        icon(symbol)
    return shown


def link(content: str, target: str, *, look: str = "") -> Text:
    """Show a link to a page of our own."""
    shown = text(content, tag="a", look=look)
    shown.props["href"] = target
    return shown


def field(
    name: str,
    label: str,
    *,
    value: str = "",
    kind: str = "text",
    autocomplete: str = "off",
    hint: str = "",
    error: str = "",
    focused: bool = False,
    required: bool = True,
) -> Element:
    """Show an input of a real HTML form, with its label, and its hint or its error.

    :param name: under which the form sends it.
    :param kind: the HTML input's type.
    :param autocomplete: what password managers go by.
    :param error: what was wrong with it the last time.
    :return: the input.
    """
    with ui.element("div").classes("field"):
        text(label, tag="label").props["for"] = f"field-{name}"
        entry = ui.element("input")
        entry.props.update({"id": f"field-{name}", "name": name, "type": kind, "autocomplete": autocomplete})
        entry.props.update({"aria-describedby": f"about-{name}", "aria-invalid": str(bool(error)).lower()})
        entry.props.update({"value": value} if value else {})
        entry.props.update({"required": required, "autofocus": focused})
        if name == "username":
            entry.props.update({"autocapitalize": "none", "spellcheck": "false"})
        note = text(error or hint, look="field-error" if error else "hint")
        note.props["id"] = f"about-{name}"
    return entry
