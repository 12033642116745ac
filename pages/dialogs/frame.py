"""What all dialogs have in common, and the one that asks whether one is sure."""

from collections.abc import Iterator
from contextlib import contextmanager

from nicegui import ui

from pages.elements import button, heading, text


@contextmanager
def dialog(title: str, *, about: str = "") -> Iterator[ui.dialog]:
    """Open a dialog around the elements that are made inside; once closed it is deleted.

    Awaiting it gives what is submitted, or None when it was dismissed.

    :param title: its heading, which also names it for screen readers.
    :param about: a sentence below the heading.
    """
    with ui.dialog(value=True) as box, ui.element("div").classes("dialog"):
        box.props["aria-label"] = title
        box.on("hide", box.delete)
        heading(title, level=2)
        if about:
            text(about)
        yield box


async def confirmed(title: str, *, about: str, action: str, grave: bool = True) -> bool:
    """Ask whether one is sure.

    :param action: what the button that goes ahead says.
    :param grave: whether the action cannot be undone.
    :return: whether that button was pressed.
    """
    with dialog(title, about=about) as box, ui.element("div").classes("actions"):
        button("Cancel", on_click=box.close, look="quiet").props("autofocus")
        button(action, on_click=lambda: box.submit(True), look="danger" if grave else "primary").mark("confirm")
    return bool(await box)
