"""Cleaning and checking of what people type, with errors that name the field and the limit."""

import re
import unicodedata

from services.errors import ValidationFailed
from services.settings import Settings

USERNAME = re.compile(r"[a-z0-9_.-]{3,32}")

_BLANK_CATEGORIES = frozenset({"Cc", "Cf", "Zl", "Zp", "Zs"})
"""Unassigned characters (Cn) are none of them: a newer Unicode than Python's may have made them emoji."""

_BLANK_LETTERS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""What is drawn as nothing though its category says otherwise: fillers, variation selectors (Unicode's
``Default_Ignorable_Code_Point``) and the empty Braille pattern."""

_DIRECTION_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_username(text: str) -> str:
    """Check a user name.

    :raises ValidationFailed: it is not 3 to 32 characters of ``a-z0-9_.-``.
    """
    if not USERNAME.fullmatch(text):
        raise ValidationFailed("username", "must be 3 to 32 characters of a-z, 0-9, _, . and -")
    return text


def check_password(field: str, password: str, *, settings: Settings) -> None:
    """Check the length of a new password.

    :raises ValidationFailed: it is outside its limits.
    """
    shortest, longest = settings.min_password_length, settings.max_password_length
    if not shortest <= len(password) <= longest:
        raise ValidationFailed(field, f"must be {shortest} to {longest} characters")


def clean_nonce(text: str) -> str:
    """Check a nonce.

    :raises ValidationFailed: it is not 1 to 64 printable ASCII characters.
    """
    if not 1 <= len(text) <= 64 or not text.isascii() or not text.isprintable():
        raise ValidationFailed("nonce", "must be 1 to 64 printable ASCII characters")
    return text


def clean_line(field: str, text: str, *, longest: int) -> str:
    """Trim and check a name or title, which stands in one line among others.

    :raises ValidationFailed: it is empty or too long, or could disturb the text around it: control characters and
        direction overrides (Unicode Standard Annex 9) are refused.
    """
    trimmed = _bounded(field, text, longest)
    if any(unicodedata.category(char) == "Cc" or char in _DIRECTION_OVERRIDES for char in trimmed):
        raise ValidationFailed(field, "must not contain control characters")
    _refuse_blank(field, trimmed)
    return trimmed


def clean_body(field: str, text: str, *, longest: int) -> str:
    """Trim and check a text of several lines.

    :raises ValidationFailed: it is empty or too long, shows nothing, or contains NUL, which PostgreSQL cannot store.
    """
    trimmed = _bounded(field, text, longest)
    if "\x00" in trimmed:
        raise ValidationFailed(field, "must not contain NUL characters")
    _refuse_blank(field, trimmed)
    return trimmed


def _bounded(field: str, text: str, longest: int) -> str:
    trimmed = text.strip()
    if not 1 <= len(trimmed) <= longest:
        raise ValidationFailed(field, f"must be 1 to {longest} characters after trimming, not {len(trimmed)}")
    return trimmed


def _refuse_blank(field: str, text: str) -> None:
    if all(unicodedata.category(char) in _BLANK_CATEGORIES or _BLANK_LETTERS.match(char) for char in text):
        raise ValidationFailed(field, "must contain something visible")
