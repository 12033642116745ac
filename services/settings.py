"""The settings: environment variables, read once at start and checked with a clear message."""

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class SettingsError(Exception):
    """A setting is wrong; the message is one line that names it and what it takes."""


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _async_driver(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in {"postgresql", "postgres", "postgresql+asyncpg"}:
        raise ValueError("must look like postgresql://user:password@host:5432/name")
    return f"postgresql+asyncpg://{rest}"


def _redis(url: str) -> str:
    if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("must look like redis://host:6379/0")
    return url


def _origin(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError("must look like https://chat.example.org, without a path")
    return f"{parts.scheme}://{parts.netloc}"


def _setting(description: str, default: Any, **limits: Any) -> Any:
    return Field(default, description=description, **limits)


class Settings(BaseSettings):
    """Every setting of Parley with its default; lengths are in characters, sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_", frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    host: str = _setting("address to listen on", "127.0.0.1")
    port: int = _setting("port to listen on", 8080, ge=1, le=65535)
    data: Path = _setting("folder that holds the embedded database", Path("data"))
    database_url: Annotated[str, AfterValidator(_async_driver)] | None = _setting(
        "PostgreSQL 15 or newer to use instead of the embedded one", None, validation_alias="DATABASE_URL"
    )
    redis_url: Annotated[str, AfterValidator(_redis)] | None = _setting(
        "Redis to share among several nodes", None, validation_alias="REDIS_URL"
    )
    secret: str | None = _setting(
        "signs the session cookies; made once and kept in the database when unset",
        None,
        min_length=16,
        repr=False,
    )
    base_url: Annotated[str, AfterValidator(_origin)] | None = _setting(
        "the address people use, as https://chat.example.org; needed behind a proxy", None
    )
    trusted_proxies: Annotated[tuple[IPNetwork, ...], NoDecode, BeforeValidator(_split)] = _setting(
        "addresses or networks of proxies whose X-Forwarded-For is believed, by comma", ()
    )
    registration: Literal["open", "invite", "closed"] = _setting("who may sign up: open, invite or closed", "open")
    limits: Literal["on", "off"] = _setting("off: no rate limits and no connection caps, for load tests", "on")

    log_format: Literal["text", "json"] = _setting("text for people, or json for machines", "text")
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "what is logged at least: debug, info, warning or error", "info"
    )
    access_log: Literal["on", "off"] = _setting("on: log every request", "off")

    session_hours: float = _setting("hours from sign-in to the end of a session", 7.0, gt=0, le=24 * 365)
    database_pool: int = _setting(
        "database connections of this node, besides nine for sending, greeting and its own watch", 12, ge=2, le=200
    )
    database_timeout: float = _setting("seconds that one database statement may take", 15.0, gt=0)

    min_free_bytes: int = _setting(
        "free bytes on the embedded database's disk below which nothing is written", 128 * 1024 * 1024, ge=0
    )

    max_chat_members: int = _setting("members per chat", 5000, ge=2)
    max_message_length: int = _setting("longest message", 16_000, ge=1)
    max_title_length: int = _setting("longest chat title", 80, ge=1)
    max_display_name_length: int = _setting("longest display name", 64, ge=1)
    min_password_length: int = _setting("shortest password", 8, ge=1)
    max_password_length: int = _setting("longest password", 256, ge=8)
    max_search_length: int = _setting("longest search", 200, ge=1)
    max_page_size: int = _setting("most rows that one page may ask for", 100, ge=1)
    max_sync_changes: int = _setting("changes after which a catch-up starts afresh", 1000, ge=1)
    max_request_bytes: int = _setting("largest request body", 256 * 1024, ge=1024)
    max_frame_bytes: int = _setting("largest WebSocket frame", 256 * 1024, ge=1024)
    max_send_buffer_bytes: int = _setting("unsent bytes after which a slow reader is cut", 4 * 1024 * 1024, ge=65536)
    max_connections_per_person: int = _setting("WebSocket connections per person", 20, ge=1)
    max_sends_waiting: int = _setting("messages that may wait to be stored", 5000, ge=1)
    max_hashes_waiting: int = _setting("sign-ins that may wait for a free password hasher", 16, ge=0)

    frames_per_second: int = _setting("frames per second and connection", 50, ge=1)
    frames_burst: int = _setting("frames that may come at once", 200, ge=1)
    sends_per_second: int = _setting("messages per second and person", 10, ge=1)
    sends_burst: int = _setting("messages that may come at once", 100, ge=1)
    sign_ups_per_hour: int = _setting("sign-ups per hour and address", 20, ge=1)
    failed_sign_ins_per_hour: int = _setting("failed sign-ins per hour and address", 60, ge=1)
    failed_sign_ins_per_account: int = _setting("failed sign-ins per ten minutes, address and account", 10, ge=1)

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read and check the environment.

        :raises SettingsError: a value is malformed or outside its limits.
        """
        try:
            return cls()
        except ValidationError as error:
            first = error.errors()[0]
            name = _variable(str(first["loc"][0]))
            message = first["msg"].removeprefix("Value error, ")
            raise SettingsError(f"{name}: {message}") from None

    @property
    def limited(self) -> bool:
        """Whether rate limits and connection caps are in force."""
        return self.limits == "on"


def _variable(name: str) -> str:
    if name in {"DATABASE_URL", "REDIS_URL"} or name.startswith("PARLEY_"):
        return name
    alias = Settings.model_fields[name].validation_alias if name in Settings.model_fields else None
    return alias if isinstance(alias, str) else f"PARLEY_{name.upper()}"


def settings_table() -> list[tuple[str, str, str]]:
    """Return the variable, the default (empty when unset) and the description of every setting."""
    return [
        (_variable(name), "" if field.default in (None, ()) else str(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]


def describe_settings() -> str:
    """List every setting with its default, one a line, for ``--help``."""
    table = settings_table()
    width = max(len(variable) for variable, _, _ in table)
    return "\n".join(
        f"  {variable:<{width}}  {description} ({default or 'unset'})" for variable, default, description in table
    )
