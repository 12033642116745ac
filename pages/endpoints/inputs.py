"""What request bodies are declared with."""

from typing import Any

from pydantic import BaseModel, field_validator


class Input(BaseModel):
    """A request's body; its texts are Unicode that can be stored.

    JSON can escape half of a surrogate pair (RFC 8259, section 8.2), which no encoding of Unicode can express.
    """

    @field_validator("*", check_fields=False)
    @classmethod
    def _can_be_stored(cls, value: Any) -> Any:
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("must not contain surrogates") from None
        return value
