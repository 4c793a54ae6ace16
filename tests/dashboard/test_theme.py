"""Colours: readable on both backgrounds, apart for colour-blind readers, the same in the config file."""

from __future__ import annotations

import itertools
import math
import tomllib
from pathlib import Path

import pytest

from dashboard.theme import (
    RUN_COLORS,
    STATE_COLORS,
    STATE_HELP,
    STATE_ICONS,
    STATE_LABELS,
    run_color,
    run_dash,
)
from trainer.schema import RunState

TEXT = (Path(__file__).parents[2] / "dashboard" / ".streamlit" / "config.toml").read_text(encoding="utf-8")
CONFIG = tomllib.loads(TEXT)

# Machado, Oliveira & Fernandes 2009, "A physiologically-based model for simulation of color vision
# deficiency", severity 1.0, on linear RGB.
VISION = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def linear(color: str) -> list[float]:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def luminance(color: str) -> float:
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear(color), strict=True))


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def times(matrix: tuple[tuple[float, ...], ...], vector: list[float]) -> list[float]:
    return [sum(m * v for m, v in zip(row, vector, strict=True)) for row in matrix]


def lab(rgb: list[float]) -> list[float]:
    """CIE 1976 L*a*b*, for white D65."""
    to_xyz = (
        (0.4124564, 0.3575761, 0.1804375),
        (0.2126729, 0.7151522, 0.0721750),
        (0.0193339, 0.1191920, 0.9503041),
    )
    xyz = times(to_xyz, [min(max(c, 0.0), 1.0) for c in rgb])
    f = [
        math.cbrt(v / white) if v / white > 0.008856 else 7.787 * v / white + 16 / 116
        for v, white in zip(xyz, (0.95047, 1.0, 1.08883), strict=True)
    ]
    return [116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])]


@pytest.mark.parametrize("color", RUN_COLORS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_runs_colour_stands_out_from_the_page(color: str, theme: str) -> None:
    colors = CONFIG["theme"][theme]
    assert contrast(color, colors["backgroundColor"]) >= 3
    assert contrast(color, colors["secondaryBackgroundColor"]) >= 2.7


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_is_readable(theme: str) -> None:
    colors = CONFIG["theme"][theme]
    for background in (colors["backgroundColor"], colors["secondaryBackgroundColor"]):
        assert contrast(colors["textColor"], background) >= 7
    assert contrast("#ffffff", colors["primaryColor"]) >= 4.5, "the launch button's label"


@pytest.mark.parametrize("vision", VISION)
def test_any_two_run_colours_differ_for_every_kind_of_colour_vision(vision: str) -> None:
    """A difference of 10 in L*a*b* is plain to see; about 2 is the least that can be seen side by side."""
    seen = [lab(times(VISION[vision], linear(color))) for color in RUN_COLORS]
    assert min(math.dist(a, b) for a, b in itertools.combinations(seen, 2)) >= 10


def test_a_run_keeps_its_colour_and_thirty_two_runs_are_told_apart() -> None:
    looks = [(run_color(number), run_dash(number)) for number in range(1, 33)]
    assert len(set(looks)) == 32
    assert looks[0] == (RUN_COLORS[0], "solid")
    assert (run_color(33), run_dash(33)) == looks[0]


def test_every_state_has_words_an_icon_and_a_colour() -> None:
    for table in (STATE_LABELS, STATE_HELP, STATE_ICONS, STATE_COLORS):
        assert set(table) == set(RunState)
    assert len(set(STATE_LABELS.values())) == len(RunState)


def test_nothing_comes_from_elsewhere_and_only_this_machine_is_served() -> None:
    assert "http" not in TEXT
    assert CONFIG["server"]["address"] == "127.0.0.1"
    assert CONFIG["browser"]["gatherUsageStats"] is False
