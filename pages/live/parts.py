"""Small pieces of markup that several live templates share.

The arguments are JavaScript expressions of the templates' own, never text from people.
"""


def avatar(user_id: str, *, size: str = "") -> str:
    """Initials on the colour of a person.

    :param user_id: expression that yields the person's id.
    :param size: ``small`` or nothing.
    """
    return (
        f'<span class="avatar {size}" :style="{{\'--hue\': hue({user_id})}}" aria-hidden="true">'
        f"{{{{ initials(name({user_id})) }}}}</span>"
    )


def icon(name: str) -> str:
    """An icon of the outlined Material set, hidden from screen readers."""
    return f'<q-icon name="o_{name}" aria-hidden="true"></q-icon>'


def icon_button(symbol: str, label: str, click: str, *, extra: str = "") -> str:
    """A button that shows only an icon.

    :param symbol: the icon's name.
    :param label: what it does, for screen readers and as its tooltip.
    :param click: expression to run.
    :param extra: further attributes.
    """
    return (
        f'<button type="button" class="icon-button" aria-label="{label}" title="{label}" '
        f'@click="{click}" {extra}>{icon(symbol)}</button>'
    )


def menu_item(symbol: str, label: str, click: str, *, extra: str = "") -> str:
    """An entry of a menu, which closes it.

    :param symbol: the icon's name.
    :param label: what it says.
    :param click: expression to run.
    :param extra: further attributes, such as ``v-if``.
    """
    return (
        f'<q-item clickable v-close-popup role="menuitem" @click="{click}" {extra}>'
        f"<q-item-section side>{icon(symbol)}</q-item-section>"
        f"<q-item-section>{label}</q-item-section></q-item>"
    )
