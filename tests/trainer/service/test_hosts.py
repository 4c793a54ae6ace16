"""The service answers to its own names alone."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from tests.trainer.service.test_auth import every_route
from trainer.schema import ErrorBody
from trainer.settings import Settings, SettingsError


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "10.0.0.1", ""])
def test_no_route_answers_under_a_name_of_a_stranger(app: FastAPI, client: httpx.Client, host: str) -> None:
    """Not even to the right token, nor /health."""
    for method, path in every_route(app):
        answer = client.request(method, path, headers={"Host": host})
        assert answer.status_code == 421, (method, path)
        ErrorBody.model_validate_json(answer.content)


def test_the_names_of_loopback_are_known(client: httpx.Client) -> None:
    for host in ("localhost", "127.0.0.1:1", "[::1]:8763", "unfold.localhost"):
        assert client.get("/health", headers={"Host": host}).status_code == 200


def test_further_names_come_from_the_environment() -> None:
    given = {"UNFOLD_HOST": "0.0.0.0", "UNFOLD_ALLOWED_HOSTS": "trainer, *.lab.example"}
    hosts = Settings.read(environ=given).hosts
    assert hosts.accept("trainer:8000")
    assert hosts.accept("a.lab.example")
    assert hosts.accept("192.168.1.7")
    assert not hosts.accept("evil.example")


@pytest.mark.parametrize("token", ["a", "fifteen letters"])
def test_a_secret_that_can_be_guessed_is_none_where_others_can_try(token: str) -> None:
    with pytest.raises(SettingsError, match=f"only {len(token)} character"):
        Settings.read(environ={"UNFOLD_HOST": "0.0.0.0", "UNFOLD_TOKEN": token}).check_bind()
    Settings.read(environ={"UNFOLD_HOST": "127.0.0.1", "UNFOLD_TOKEN": token}).check_bind()
