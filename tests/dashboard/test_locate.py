"""Finding the service: by environment, by its announcement, or by starting one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import slow_start
from fake_service import TOKEN, FakeService, served

from dashboard import locate
from dashboard.client import ServiceAway
from trainer.schema import ServiceAddress


def announce(folder: Path, url: str, token: str = TOKEN) -> None:
    address = ServiceAddress(url=url, token=token, pid=1)
    (folder / "service.json").write_text(address.model_dump_json(), encoding="utf-8")


def test_the_address_in_the_environment_goes_first(fake: FakeService, tmp_path: Path) -> None:
    announce(tmp_path, "http://127.0.0.1:9")
    with served(fake.app) as url:
        client = locate.connect(
            {"UNFOLD_URL": f"{url}/", "UNFOLD_TOKEN": f" {TOKEN}\n", "UNFOLD_DATA": str(tmp_path)}
        )
        assert client.runs().total == 0, "the token was used"
        client.close()


def test_the_token_may_lie_in_a_file(fake: FakeService, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(TOKEN + "\n", encoding="utf-8")
    with served(fake.app) as url:
        client = locate.connect({"UNFOLD_URL": url, "UNFOLD_TOKEN_FILE": str(secret)})
        assert client.runs().total == 0
        client.close()


def test_a_configured_service_that_is_away_is_not_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locate, "_start", lambda *_: pytest.fail("started one"))
    with pytest.raises(ServiceAway, match="UNFOLD_URL"):
        locate.connect({"UNFOLD_URL": "http://127.0.0.1:9", "UNFOLD_DATA": str(tmp_path)})


def test_a_service_that_announced_itself_is_used(fake: FakeService, tmp_path: Path) -> None:
    with served(fake.app) as url:
        announce(tmp_path, url)
        client = locate.connect({"UNFOLD_DATA": str(tmp_path)})
        assert client.address.url == url
        client.close()


def test_a_stale_announcement_is_passed_over_and_a_service_is_started(
    fake: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in command writes the announcement as the service does: when it listens, not at once."""
    announce(tmp_path, "http://127.0.0.1:9")
    with served(fake.app) as url:
        monkeypatch.setattr(locate, "COMMAND", slow_start(tmp_path, url))
        waits: list[float] = []
        client = locate.connect({"UNFOLD_DATA": str(tmp_path)}, waiting=waits.append)
        assert client.address.url == url
        assert waits == sorted(waits)
        assert waits, "whoever waits is told"
        client.close()


def test_a_service_back_at_its_old_address_is_not_taken_by_its_old_token(
    fake: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It listens a moment before it replaces what the one before it, killed, had announced."""
    with served(fake.app) as url:
        announce(tmp_path, url, token="of the one before")
        monkeypatch.setattr(locate, "COMMAND", (sys.executable, "-c", "import time; time.sleep(5)"))
        seen: list[float] = []

        def waiting(seconds: float) -> None:
            seen.append(seconds)
            if len(seen) == 2:
                announce(tmp_path, url)

        client = locate.connect({"UNFOLD_DATA": str(tmp_path)}, waiting=waiting)
        assert client.runs().total == 0, "with the new token"
        assert len(seen) == 2
        client.close()


def test_a_service_that_cannot_start_leaves_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (sys.executable, "-c", "import sys; sys.exit('no room on the disk')")
    monkeypatch.setattr(locate, "COMMAND", command)
    with pytest.raises(ServiceAway) as caught:
        locate.connect({"UNFOLD_DATA": str(tmp_path / "new")}, patience=2.0)
    assert "did not start" in caught.value.message
    assert "exit code 1" in caught.value.message
    assert "no room on the disk" in caught.value.remedy
