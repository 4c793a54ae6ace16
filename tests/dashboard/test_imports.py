from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SCRIPT = """
import importlib, pathlib, sys
for path in sorted(pathlib.Path("dashboard").rglob("*.py")):
    name = ".".join(path.with_suffix("").parts)
    if name != "dashboard.app":
        importlib.import_module(name.removesuffix(".__init__"))
ours = {".".join(n.split(".")[:2]) for n in sys.modules if n.split(".")[0] in ("trainer", "models")}
heavy = {"torch", "lightning", "pytorch_lightning", "sqlalchemy", "fastapi"} & set(sys.modules)
print(sorted(ours), sorted(heavy))
"""


def test_the_dashboard_imports_the_schema_and_nothing_else_of_ours_and_no_torch() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert shown.stdout.strip() == "['trainer', 'trainer.schema'] []"
