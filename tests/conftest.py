"""For all tests: an example may take as long as it takes, on a machine that others use too."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
