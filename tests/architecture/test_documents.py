"""README tells the truth about the tree and the settings; no file tells where it was written."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CODE = ("models", "trainer", "dashboard")


def tree() -> list[str]:
    """Paths in the README's tree: the fenced block whose first line is ``unfold/``, two spaces a level."""
    block = re.search(r"```text\nunfold/\n(.*?)```", README, re.DOTALL)
    assert block, "README has no tree"
    paths: list[str] = []
    folders: list[str] = []
    for line in block[1].splitlines():
        match = re.match(r"^((?:  )+)(\S+)(?: +(\S.*))?$", line)
        assert match, f"not a line of the tree: {line!r}"
        depth, name, text = len(match[1]) // 2, match[2], match[3]
        assert text, f"{name} is not explained"
        folders = [*folders[: depth - 1], name.rstrip("/")]
        paths.append("/".join(folders) + ("/" if name.endswith("/") else ""))
    return paths


def modules() -> list[str]:
    """Every source file that carries a concept: bare package markers and migrations go with their folder."""
    return sorted(
        path.relative_to(ROOT).as_posix()
        for folder in (*CODE, "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if not (path.name == "__init__.py" and is_marker(path)) and "migrations" not in path.parts
    )


def is_marker(path: Path) -> bool:
    """Whether an __init__.py only gathers names; one that defines a registry is a file like any other."""
    return not re.search(r"^[A-Z]\w* *[:=]", path.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_tree_names_only_what_exists() -> None:
    gone = [path for path in tree() if not (ROOT / path).exists()]
    assert not gone, f"in the README's tree, but not there: {gone}"


def test_the_tree_has_one_line_for_every_file() -> None:
    listed = tree()
    missing = [path for path in modules() if path not in listed]
    assert not missing, f"not in the README's tree: {missing}"
    assert len(listed) == len(set(listed))


def settings_in(text: str) -> set[str]:
    return set(re.findall(r"\bUNFOLD_[A-Z_]*[A-Z]\b", text))


def settings_of_tests() -> set[str]:
    """Those that only tests read, which the README names beside them and not in its table."""
    files = (ROOT / "tests" / "browser").rglob("*.py")
    return {setting for path in files for setting in settings_in(path.read_text(encoding="utf-8"))}


def settings_of_code() -> set[str]:
    """Those named in the code, and the fields of Settings, which are read by prefix."""
    from trainer.settings import PREFIX, Settings

    named = {
        setting
        for folder in CODE
        for path in (ROOT / folder).rglob("*.py")
        for setting in settings_in(path.read_text(encoding="utf-8"))
    }
    return named | {PREFIX + field.upper() for field in Settings.model_fields}


def test_every_setting_is_in_the_readme_and_every_one_there_exists() -> None:
    rows = set(re.findall(r"^\| `(UNFOLD_[A-Z_]+)` \|", README, re.MULTILINE))
    assert rows == settings_of_code()
    assert settings_in(README) <= rows | settings_of_tests()


def test_every_make_target_is_in_the_readme_and_every_one_there_exists() -> None:
    targets = set(
        re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    named = set(re.findall(r"`make ([a-z]+)", README)) | set(
        re.findall(r"^make ([a-z]+)", README, re.MULTILINE)
    )
    assert named == targets


def test_every_link_and_picture_of_the_readme_leads_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", README)
    assert [target for target in targets if not (ROOT / target).exists()] == []


def tracked_files() -> list[Path]:
    """What git has or would take: environments and data are left out by .gitignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    files = (ROOT / name for name in listed.split("\0") if name)
    return [path for path in files if path.is_file() and path.suffix not in {".png", ".parquet", ".db"}]


def test_no_file_names_a_place_of_one_machine() -> None:
    """Checkouts of others have no such folder, and a registry's host is the installer's own choice."""
    folders = "|".join(("work", "farm", "root", "Users", "opt", "srv"))
    place = re.compile(
        rf"(?:^|[^A-Za-z0-9_.)/-])/(?:{folders}|home/[a-z]+)/|[/.@]pypi\.|download\.pytorch|pythonhosted"
    )
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tracked_files()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if place.search(line)
    ]
    assert found == []
