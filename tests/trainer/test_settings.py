"""The environment: what it may say, and how a mistake in it is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainer.settings import Settings, SettingsError, cores


def test_an_empty_environment_gives_a_service_for_this_machine_alone() -> None:
    settings = Settings.read(environ={})
    assert (settings.host, settings.port, settings.token, settings.url) == ("127.0.0.1", 8763, None, None)
    assert settings.data.name == ".unfold"
    assert settings.database == f"sqlite:///{settings.data}/unfold.db"
    assert settings.slots == cores()
    assert 1 <= cores() <= (os.cpu_count() or 1)


def test_variables_are_read_and_options_go_first() -> None:
    environ = {
        "UNFOLD_PORT": "9000",
        "UNFOLD_SLOTS": "3",
        "UNFOLD_STORE": "postgresql://host/db",
        "PORT": "1",
    }
    settings = Settings.read({"port": 0, "slots": None}, environ)
    assert (settings.port, settings.slots, settings.database) == (0, 3, "postgresql://host/db")


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.read(environ={"UNFOLD_TOKEN": "", "UNFOLD_PORT": " "}).token is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UNFOLD_PORT", "http"),
        ("UNFOLD_PORT", "70000"),
        ("UNFOLD_SLOTS", "0"),
        ("UNFOLD_URL", "localhost:8763"),
        ("UNFOLD_TOKEN_FILE", "/nowhere/token"),
    ],
)
def test_a_wrong_value_is_told_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is '{value}'"):
        Settings.read(environ={name: value})


def test_the_token_comes_from_a_file_unless_it_is_given(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("from a file\n")
    environ = {"UNFOLD_TOKEN_FILE": str(secret)}
    token = Settings.read(environ=environ).token
    assert token is not None
    assert token.get_secret_value() == "from a file"
    token = Settings.read(environ=environ | {"UNFOLD_TOKEN": "given"}).token
    assert token is not None
    assert token.get_secret_value() == "given"
    secret.write_text(" \n")
    with pytest.raises(SettingsError, match="empty"):
        Settings.read(environ=environ)


def test_the_token_does_not_show_when_settings_are_printed() -> None:
    assert "hush" not in repr(Settings.read(environ={"UNFOLD_TOKEN": "hush"}))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_needs_no_token(host: str) -> None:
    Settings.read(environ={"UNFOLD_HOST": host}).check_bind()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_an_address_that_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(SettingsError, match="Set UNFOLD_TOKEN"):
        Settings.read(environ={"UNFOLD_HOST": host}).check_bind()
    Settings.read(environ={"UNFOLD_HOST": host, "UNFOLD_TOKEN": "sixteen-letters-"}).check_bind()


def test_every_setting_says_what_it_is() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name
