"""The data folder is its user's alone, one from an earlier version too; a shared folder keeps its mode."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from trainer.private import protect_folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """As an earlier version left it, with everything open to all."""
    data = tmp_path / "data"
    for folder in (data, data / "logs", data / "workers"):
        folder.mkdir()
        folder.chmod(0o777)
    for name in (
        "unfold.db",
        "unfold.db-wal",
        "unfold.db-shm",
        "service.json",
        "service.log",
        "logs/a-1.log",
    ):
        (data / name).touch()
        (data / name).chmod(0o666)
    return data


def test_a_folder_of_an_earlier_version_is_closed_with_all_that_is_in_it(data: Path) -> None:
    protect_folder(data)
    for path in (data, *data.rglob("*")):
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path


def test_what_was_stricter_stays_so(data: Path) -> None:
    (data / "unfold.db").chmod(0o400)
    protect_folder(data)
    assert mode(data / "unfold.db") == 0o400


@pytest.mark.parametrize("how", ["sticky", "home", "other folders"])
def test_a_folder_that_others_use_keeps_its_mode_but_not_what_is_ours_in_it(
    data: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data.chmod(0o755)
    if how == "sticky":
        data.chmod(0o1777)
    elif how == "home":
        monkeypatch.setattr(Path, "home", lambda: data)
    else:
        (data / "photographs").mkdir(mode=0o755)
    before = mode(data)
    protect_folder(data)
    assert mode(data) == before
    assert mode(data / "unfold.db") == 0o600
    assert mode(data / "logs") == 0o700
    if how == "other folders":
        assert mode(data / "photographs") == 0o755
