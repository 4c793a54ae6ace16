"""File descriptors, in a process of its own: what runs out there must not run out here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def said(script: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_limit_is_raised_to_what_the_system_grants() -> None:
    script = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))
from trainer import descriptors
print(descriptors.limit())
descriptors.provide()
print(descriptors.limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""
    assert said(script) == ["100", "300", "300", "300"]


def test_where_none_is_left_the_spare_ones_are_lent_and_put_aside_again() -> None:
    script = """
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
from trainer import descriptors
descriptors.provide()
taken = []
try:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    print("none")
for _ in range(3):
    pair = descriptors.patient(os.pipe)
    print(len(pair))
    for one in pair:
        os.close(one)
    descriptors.patient(lambda: None)
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
        print("still lent")
    except OSError:
        print("back")
"""
    assert said(script) == ["none", *["2", "back"] * 3]


def test_another_error_is_not_repeated() -> None:
    script = """
from trainer import descriptors
descriptors.provide()
calls = []
def missing():
    calls.append(1)
    return open("/no/such/file")
try:
    descriptors.patient(missing)
except FileNotFoundError:
    print(len(calls))
"""
    assert said(script) == ["1"]
