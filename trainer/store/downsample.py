"""Fewer points of a curve that still looks the same: MinMaxLTTB keeps peaks and troughs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from tsdownsample import MinMaxLTTBDownsampler

_SAMPLER = MinMaxLTTBDownsampler()  # type: ignore[no-untyped-call]


def indices(
    steps: npt.NDArray[np.float64], values: npt.NDArray[np.float64], max_points: int
) -> list[int] | None:
    """Which points to show, in order: at most ``max_points``; None for all of them.

    The first, the last and those that are not finite always stay; should the latter fill more
    than half of the places, they are thinned evenly. Source: Van Der Donckt et al. 2023, arXiv 2305.00332.
    """
    if len(steps) <= max_points:
        return None
    if max_points < 3:
        return [0, len(steps) - 1][:max_points]
    finite = np.isfinite(values)
    absent = np.flatnonzero(~finite)
    room = (max_points - 2) // 2
    if len(absent) > room:
        absent = absent[np.linspace(0, len(absent) - 1, room).round().astype(int)] if room else absent[:0]
    present = np.flatnonzero(finite)
    places = max_points - 2 - len(absent)
    if len(present) > places:
        if places >= 3:
            present = present[_SAMPLER.downsample(steps[present], values[present], n_out=places)]
        else:
            present = present[:places]
    kept = set(present.tolist()) | set(absent.tolist()) | {0, len(steps) - 1}
    return sorted(kept)
