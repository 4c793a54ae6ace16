"""docker-compose.yml and the Dockerfiles without a container engine: read, checked, then done by hand."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def instructions(service: str) -> list[tuple[str, str]]:
    """The Dockerfile of a service as (INSTRUCTION, arguments), continued lines joined."""
    text = (ROOT / SERVICES[service]["build"]["dockerfile"]).read_text(encoding="utf-8")
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return [(name.upper(), arguments) for name, arguments in pairs]


def copies(service: str) -> list[tuple[list[str], str]]:
    """(sources, destination) of each COPY."""
    found = [shlex.split(arguments) for name, arguments in instructions(service) if name == "COPY"]
    return [(words[:-1], words[-1]) for words in found]


def environment(service: str) -> dict[str, str | None]:
    """The image's ENV, then compose's: what the service's process sees. None is taken from the shell."""
    seen: dict[str, str | None] = {}
    for name, arguments in instructions(service):
        if name == "ENV":
            seen |= dict(word.split("=", 1) for word in shlex.split(arguments))
    return seen | SERVICES[service].get("environment", {})


# --- What it says ------------------------------------------------------------------------------------


def test_the_file_meets_the_compose_specification() -> None:
    """Against the schema that the specification publishes, which check-jsonschema carries with it."""
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_everything_a_service_refers_to_exists(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    volumes = {volume.split(":")[0] for volume in service.get("volumes", [])}
    assert volumes <= set(COMPOSE["volumes"])
    assert set(service["secrets"]) <= set(COMPOSE["secrets"])
    assert (ROOT / service["build"]["context"]).resolve() == ROOT
    for sources, _ in copies(name):
        assert [source for source in sources if not (ROOT / source).exists()] == []


@pytest.mark.parametrize("name", SERVICES)
def test_the_builder_is_sent_what_the_dockerfile_copies(name: str) -> None:
    """.dockerignore leaves everything out and names what is let in."""
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in rules
    admitted = [rule.removeprefix("!").rstrip("/") for rule in rules if rule.startswith("!")]
    for sources, _ in copies(name):
        for source in sources:
            parts = Path(source).parts
            assert any(Path(parts[0]).match(rule) for rule in admitted), f"{source} is not sent"


def test_every_dependency_waits_for_health() -> None:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] == "service_healthy", name
            assert "healthcheck" in SERVICES[other]


def test_each_profile_brings_one_trainer() -> None:
    """Two would fight for one data folder; a plain `docker compose up` takes the profile that .env names."""
    trainers = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert sorted(trainers.values()) == [["cpu"], ["gpu"]]
    assert "COMPOSE_PROFILES=cpu" in (ROOT / ".env").read_text(encoding="utf-8").splitlines()
    dependencies = SERVICES["dashboard"]["depends_on"]
    assert set(dependencies) == set(trainers)
    assert not any(how["required"] for how in dependencies.values())
    address = environment("dashboard")["UNFOLD_URL"]
    for name in trainers:
        assert SERVICES[name]["networks"]["default"]["aliases"] == ["trainer"]
        assert address == f"http://trainer:{environment(name)['UNFOLD_PORT']}"


def test_the_gpu_profile_differs_only_in_its_devices() -> None:
    only = {"profiles", "deploy"}
    cpu, gpu = (
        {k: v for k, v in SERVICES[name].items() if k not in only} for name in ("trainer", "trainer-gpu")
    )
    assert cpu == gpu
    (device,) = SERVICES["trainer-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_can_do_no_more_than_it_needs(name: str) -> None:
    """Not root, no capabilities, a root file system that it cannot write, ports on loopback only."""
    service = SERVICES[name]
    user = service["user"].split(":")[0]
    assert int(user) > 0
    assert ("USER", service["user"]) in instructions(name)
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


@pytest.mark.parametrize("name", SERVICES)
def test_every_variable_is_one_that_the_code_reads(name: str) -> None:
    from trainer.settings import PREFIX, Settings

    known = {PREFIX + field.upper() for field in Settings.model_fields}
    known |= set(re.findall(r"UNFOLD_DASHBOARD_[A-Z_]+", (ROOT / "dashboard" / "access.py").read_text()))
    given = {variable for variable in environment(name) if variable.startswith(PREFIX)}
    assert given
    assert given <= known


def test_a_port_that_nobody_guards_is_published_on_loopback_alone() -> None:
    """The dashboard names that as its guard; and the trainer answers to the name that it is called by."""
    assert "127.0.0.1 only" in str(environment("dashboard")["UNFOLD_DASHBOARD_GUARDED_BY"])
    assert all(port.startswith("127.0.0.1:") for port in SERVICES["dashboard"]["ports"])
    assert environment("trainer")["UNFOLD_ALLOWED_HOSTS"] == "trainer"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_takes_no_more_than_its_share_of_the_machine(name: str) -> None:
    """Of memory, of processes, and of the disk, which its output would fill in time."""
    service = SERVICES[name]
    (limit,) = re.findall(r"^\$\{[A-Z_]+:-(\d+)g\}$", service["mem_limit"])
    assert 1 <= int(limit) <= 16
    assert 256 <= service["pids_limit"] <= 8192
    assert service["logging"]["driver"] == "json-file"
    options = service["logging"]["options"]
    assert re.fullmatch(r"\d+m", options["max-size"])
    assert isinstance(options["max-file"], str), "the engine takes texts only"


def test_nothing_is_asked_that_a_common_engine_does_not_know() -> None:
    """start_interval came with Docker Engine 25: an older one starts nothing of a file that has it."""
    assert not any("start_interval" in service["healthcheck"] for service in SERVICES.values())


def test_the_secret_is_made_where_there_is_no_python(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("make", "mkdir", "od", "tr", "chmod"):
        found = shutil.which(tool)
        assert found, tool
        (tools / tool).symlink_to(found)
    shutil.copy(ROOT / "Makefile", tmp_path)

    def make() -> str:
        done = subprocess.run(
            ["make", "secrets"],
            cwd=tmp_path,
            env={"PATH": str(tools)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return (tmp_path / "secrets" / "token").read_text()

    token = make()
    assert re.fullmatch(r"[0-9a-f]{64}\n", token)
    assert make() == token, "kept once it is there"
    shutil.rmtree(tmp_path / "secrets")
    assert make() != token
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "secrets" / "token").stat().st_mode & 0o777 == 0o644


def test_the_token_comes_as_a_secret_and_stands_in_no_file() -> None:
    for name in SERVICES:
        assert environment(name)["UNFOLD_TOKEN_FILE"] == "/run/secrets/token"
        assert "UNFOLD_TOKEN" not in environment(name)
    assert COMPOSE["secrets"] == {"token": {"file": "./secrets/token"}}
    assert "secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_the_dashboard_image_takes_the_dashboards_requirements_and_no_code_that_needs_torch() -> None:
    """That those requirements bring no torch is shown in tests/architecture/test_requirements.py."""
    installs = [arguments for name, arguments in instructions("dashboard") if "pip install" in arguments]
    assert [re.findall(r"-r (\S+)", line) for line in installs] == [["requirements-dashboard.txt"]]
    copied = {source for sources, _ in copies("dashboard") for source in sources}
    ours = {source for source in copied if source.startswith(("trainer", "models"))}
    assert ours == {"trainer/__init__.py", "trainer/schema/"}


# --- The same, done by hand --------------------------------------------------------------------------


def build(service: str, folder: Path) -> Path:
    """The image's working folder, laid out by the Dockerfile's own COPY lines."""
    for sources, destination in copies(service):
        for source in sources:
            path, target = ROOT / source, folder / destination
            if path.is_dir():
                shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target / path.name)
    return folder


class Container:
    """A service's own command in its own environment, with ports and places of this test."""

    def __init__(self, service: str, folder: Path, ports: dict[str, int], places: dict[str, Path]) -> None:
        self.service, self.folder, self.ports, self.places = (
            service,
            build(service, folder / "app"),
            ports,
            places,
        )
        (command,) = [arguments for name, arguments in instructions(service) if name == "CMD"]
        self.command: list[str] = [self._here(word) for word in yaml.safe_load(command)]
        inherited = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
        given = {name: value for name, value in environment(service).items() if value is not None}
        self.environment = inherited | {name: self._here(value) for name, value in given.items()}
        self.log = folder / "output.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                self._with_python(self.command),
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _here(self, text: str) -> str:
        """The text with a container's ports, addresses and folders replaced by ours."""
        text = re.sub(r"//trainer:", "//127.0.0.1:", text).replace("0.0.0.0", "127.0.0.1")
        for theirs, ours in self.ports.items():
            text = re.sub(rf"(?<![0-9]){theirs}(?![0-9])", str(ours), text)
        return str(self.places.get(text, text))

    @staticmethod
    def _with_python(command: list[str]) -> list[str]:
        return [sys.executable if word == "python" else word for word in command]

    def health(self) -> subprocess.CompletedProcess[str]:
        """One run of the service's own health check."""
        kind, *command = SERVICES[self.service]["healthcheck"]["test"]
        assert kind == "CMD"
        words = self._with_python([self._here(word) for word in command])
        return subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=30, check=False
        )

    def wait_until_healthy(self, patience: float = 90.0) -> None:
        end = time.monotonic() + patience
        while (check := self.health()).returncode:
            assert self.process.poll() is None, f"{self.service} ended:\n{self.log.read_text()}"
            assert time.monotonic() < end, f"{self.service}: {check.stderr}\n{self.log.read_text()}"
            time.sleep(0.2)

    def stop(self) -> int:
        """As `docker stop` does: SIGTERM, and SIGKILL to all once the grace period is over."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()


@pytest.fixture
def containers(tmp_path: Path) -> Iterator[dict[str, Container]]:
    token = tmp_path / "token"
    token.write_text("a-secret-for-this-test\n", encoding="utf-8")
    data, home = tmp_path / "data", tmp_path / "home"
    data.mkdir()
    home.mkdir()
    # An import of torch in the dashboard's process fails as it would in its image.
    absent = tmp_path / "absent"
    absent.mkdir()
    (absent / "torch.py").write_text('raise ImportError("this image has no torch")\n', encoding="utf-8")
    ports = {"8000": free_port(), "8501": free_port()}
    places = {"/data": data, "/run/secrets/token": token, "/tmp": home}
    started: dict[str, Container] = {}
    try:
        for name in ("trainer", "dashboard"):
            (tmp_path / name).mkdir()
            with pytest.MonkeyPatch.context() as patch:
                if name == "dashboard":
                    patch.setitem(SERVICES["dashboard"]["environment"], "PYTHONPATH", str(absent))
                started[name] = Container(name, tmp_path / name, ports, places)
            started[name].wait_until_healthy()
        yield started
    finally:
        for container in reversed(started.values()):
            container.stop()


def answer(url: str, token: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


PAGES = """
from streamlit.testing.v1 import AppTest
page = AppTest.from_file("dashboard/app.py", default_timeout=60).run()
assert not page.exception, page.exception
for element in (*page.title, *page.header, *page.subheader, *page.markdown, *page.error):
    print(element.value)
"""


def test_both_services_start_from_their_own_files_and_answer(containers: dict[str, Container]) -> None:
    """Each with nothing but what its image copies; the dashboard without torch; the token from its file."""
    trainer, dashboard = containers["trainer"], containers["dashboard"]
    service = f"http://127.0.0.1:{trainer.ports['8000']}"
    assert answer(f"{service}/runs")[0] == 401
    assert answer(f"{service}/runs", "a-secret-for-this-test")[0] == 200

    status, html = answer(f"http://127.0.0.1:{dashboard.ports['8501']}/")
    assert status == 200
    assert "<title>" in html

    # The first page itself, drawn in that folder and environment by Streamlit's own test runner.
    drawn = subprocess.run(
        [sys.executable, "-c", PAGES],
        cwd=dashboard.folder,
        env=dashboard.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert drawn.returncode == 0, drawn.stdout + drawn.stderr
    assert "does not answer" not in drawn.stdout

    assert dashboard.stop() in (0, -signal.SIGTERM)
    assert trainer.stop() in (0, -signal.SIGTERM)
