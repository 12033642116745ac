import os

import pytest

from services.settings import Settings, SettingsError, describe_settings

OURS = ("PARLEY_", "DATABASE_URL", "REDIS_URL")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(OURS):
            monkeypatch.delenv(name)


def test_everything_has_a_default() -> None:
    settings = Settings.from_environment()
    assert (settings.host, settings.port, str(settings.data)) == ("127.0.0.1", 8080, "data")
    assert settings.database_url is settings.redis_url is settings.secret is settings.base_url is None
    assert settings.registration == "open"
    assert settings.limited
    assert settings.session_hours == 7


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("PARLEY_PORT", "9000", "port", 9000),
        ("DATABASE_URL", "postgresql://u:p@h:1/n", "database_url", "postgresql+asyncpg://u:p@h:1/n"),
        ("DATABASE_URL", "postgres://h/n", "database_url", "postgresql+asyncpg://h/n"),
        ("DATABASE_URL", "postgresql+asyncpg://h/n", "database_url", "postgresql+asyncpg://h/n"),
        ("REDIS_URL", "rediss://h:1/0", "redis_url", "rediss://h:1/0"),
        ("PARLEY_BASE_URL", "https://chat.example.org/", "base_url", "https://chat.example.org"),
        ("PARLEY_LIMITS", "off", "limited", False),
        ("PARLEY_MAX_SEARCH_LENGTH", "7", "max_search_length", 7),
        ("PARLEY_PORT", "", "port", 8080),
    ],
)
def test_a_variable_sets_its_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str, expected: object
) -> None:
    monkeypatch.setenv(name, value)
    assert getattr(Settings.from_environment(), field) == expected


def test_trusted_proxies_are_addresses_and_networks_by_comma(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_TRUSTED_PROXIES", "10.0.0.1, 172.16.0.0/12,::1")
    proxies = Settings.from_environment().trusted_proxies
    assert [str(proxy) for proxy in proxies] == ["10.0.0.1/32", "172.16.0.0/12", "::1/128"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PARLEY_PORT", "http"),
        ("PARLEY_PORT", "0"),
        ("PARLEY_PORT", "65536"),
        ("DATABASE_URL", "mysql://h/n"),
        ("DATABASE_URL", "nonsense"),
        ("REDIS_URL", "http://h"),
        ("PARLEY_SECRET", "short"),
        ("PARLEY_BASE_URL", "chat.example.org"),
        ("PARLEY_BASE_URL", "https://chat.example.org/parley"),
        ("PARLEY_BASE_URL", "https://["),
        ("PARLEY_TRUSTED_PROXIES", "10.0.0.1,proxy"),
        ("PARLEY_REGISTRATION", "maybe"),
        ("PARLEY_LIMITS", "some"),
        ("PARLEY_SESSION_HOURS", "0"),
        ("PARLEY_SESSION_HOURS", "nan"),
        ("PARLEY_DATABASE_POOL", "1"),
        ("PARLEY_MAX_PAGE_SIZE", "-1"),
        ("PARLEY_SENDS_PER_SECOND", "1.5"),
    ],
)
def test_a_wrong_value_is_told_in_one_line_that_begins_with_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as told:
        Settings.from_environment()
    assert str(told.value).startswith(f"{name}: ")
    assert len(str(told.value)) > len(f"{name}: ")
    assert "\n" not in str(told.value)


def test_a_wrong_secret_is_not_repeated_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_SECRET", "tell-nobody")
    with pytest.raises(SettingsError) as told:
        Settings.from_environment()
    assert "tell-nobody" not in str(told.value)


def test_the_secret_is_not_shown_with_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_SECRET", "a secret of some length")
    assert "a secret of some length" not in repr(Settings.from_environment())


def test_settings_cannot_be_changed_once_read() -> None:
    settings = Settings.from_environment()
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


def test_the_help_lists_every_setting_in_a_line_of_its_own_with_its_default() -> None:
    lines = describe_settings().splitlines()
    assert len(lines) == len(Settings.model_fields)
    names = [line.split()[0] for line in lines]
    assert {"PARLEY_HOST", "PARLEY_PORT", "DATABASE_URL", "REDIS_URL", "PARLEY_MAX_FRAME_BYTES"} <= set(names)
    assert any(line.split()[0] == "PARLEY_PORT" and line.endswith("(8080)") for line in lines)
    assert any(line.split()[0] == "PARLEY_SECRET" and line.endswith("(unset)") for line in lines)
    assert any(line.split()[0] == "PARLEY_TRUSTED_PROXIES" and line.endswith("(unset)") for line in lines)
