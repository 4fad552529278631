"""Settings are checked when they are read, so that a wrong one is named before anything starts."""

import pytest
from pydantic import ValidationError

from service.settings import Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GANYMEDE_BIND", "8000"),
        ("GANYMEDE_BIND", "::1:8000"),
        ("GANYMEDE_BIND", "127.0.0.1:0"),
        ("GANYMEDE_BIND", "127.0.0.1:70000"),
        ("GANYMEDE_DATABASE_URL", "mysql://somewhere"),
        ("GANYMEDE_REDIS_URL", "amqp://somewhere"),
        ("GANYMEDE_BLOBS_URL", "ftp://somewhere"),
        ("GANYMEDE_SLOTS", "0"),
        ("GANYMEDE_TTL_S", "3.9"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError) as refused:
        Settings(_env_file=None)

    assert [error["loc"] for error in refused.value.errors()] == [(name.removeprefix("GANYMEDE_").lower(),)]


def test_flushes_too_seldom_for_the_time_to_live_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANYMEDE_FLUSH_S", "6")

    with pytest.raises(ValidationError, match="four times GANYMEDE_FLUSH_S"):
        Settings(_env_file=None)


@pytest.mark.parametrize(
    ("bind", "host", "port", "is_loopback"),
    [
        ("127.0.0.1:8000", "127.0.0.1", 8000, True),
        ("localhost:1", "localhost", 1, True),
        ("[::1]:8000", "::1", 8000, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),
        ("gan.example:80", "gan.example", 80, False),
    ],
)
def test_keys_are_required_unless_the_bind_is_loopback(bind: str, host: str, port: int, is_loopback: bool) -> None:
    settings = Settings(bind=bind, _env_file=None)

    assert (settings.host, settings.port) == (host, port)
    assert settings.binds_loopback is is_loopback
    assert settings.keys_required is not is_loopback
