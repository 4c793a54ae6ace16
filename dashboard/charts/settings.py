"""A run's settings for a reader: flat, compared, and as a command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.schema import RunConfig, TrainingConfig


def flat(config: RunConfig) -> dict[str, Any]:
    """Every setting under its dotted path: ``{"model.name": "lstm", "training.k1": None, ...}``."""
    settings: dict[str, Any] = {}

    def walk(values: Mapping[str, Any], prefix: str) -> None:
        for key, value in values.items():
            if isinstance(value, Mapping):
                walk(value, f"{prefix}{key}.")
            else:
                settings[f"{prefix}{key}"] = value

    walk(config.model_dump(mode="json"), "")
    return settings


def differing(configs: Sequence[RunConfig]) -> list[dict[str, str]]:
    """For each configuration, its values of the settings in which any two of them differ, as words.

    A setting that one network or task does not have is a dash there; one that is switched off says so.
    """
    all_settings = [flat(config) for config in configs]
    names = list(dict.fromkeys(name for settings in all_settings for name in settings))
    absent = object()
    different = []
    for name in names:
        first = all_settings[0].get(name, absent)
        if any(settings.get(name, absent) != first for settings in all_settings[1:]):
            different.append(name)
    return [{name: words(name, s[name]) if name in s else "–" for name in different} for s in all_settings]


NONE_WORDS = {
    "training.k1": "full BPTT",
    "training.k2": "to the start",
    "training.weight_decay": "PyTorch's default",
}


def command(config: RunConfig, training_defaults: Mapping[str, Any]) -> str:
    """The command line that trains the same run; settings that it would take by itself are left out.

    ``training_defaults`` are those of the run's task, which the command starts from.
    """
    usual = flat(RunConfig(model={}, task={}, training=TrainingConfig(**training_defaults)))
    changed = {name: value for name, value in flat(config).items() if usual.get(name, ...) != value}
    parts = ["python -m trainer train"]
    for name, value in changed.items():
        shown = value if isinstance(value, str) and not _reads_as_json(value) else json.dumps(value)
        parts.append(f"--set {shlex.quote(f'{name}={shown}')}")
    return " \\\n  ".join(parts)


def _reads_as_json(text: str) -> bool:
    """Whether a bare ``text`` would be taken for a number, null, true or false: the id of a corpus may be."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def none_words(name: str) -> str:
    """What it means that the setting ``name`` has no value."""
    return NONE_WORDS.get(name, "off" if name.startswith(("training.", "analysis.")) else "default")


def words(name: str, value: Any) -> str:
    """The value of the setting ``name`` for a reader."""
    if value is None:
        return none_words(name)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
