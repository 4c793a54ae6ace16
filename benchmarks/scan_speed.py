"""(e) Forward and backward through a long sequence by the parallel scan, beside the same by ``step``."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.report import Result, median, ratio_of_pairs
from models import MODELS
from models.parallel import ParallelNetwork

LENGTH, BATCH_SIZE, INPUTS, HIDDEN_SIZE = 1000, 32, 2, 64
PASSES = 5
"""Of the scan in each turn, for one of the loop."""
TURNS = 5
"""For each repeat of other measurements: the scan waits for memory, which the machine's other users share, so
that single turns range from 3 to 25."""


def measure(repeats: int) -> list[Result]:
    """One result for each network that has a scan. One thread, as in a run; the two sides take turns."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [
            _measure(name, repeats)
            for name, spec in MODELS.items()
            if issubclass(spec.network, ParallelNetwork)
        ]
    finally:
        torch.set_num_threads(threads)


def _measure(name: str, repeats: int) -> Result:
    spec = MODELS[name]
    config = spec.config.model_validate({"hidden_size": HIDDEN_SIZE})
    network = spec.build(config, INPUTS, 1, seed=0)
    x = torch.randn(BATCH_SIZE, LENGTH, INPUTS, generator=torch.Generator().manual_seed(0))

    def by_scan() -> Tensor:
        outputs, _ = network(x, None, LENGTH - 1)
        last: Tensor = outputs[:, 0]
        return last

    def by_step() -> Tensor:
        state = network.initial_state(BATCH_SIZE)
        for x_t in x.unbind(1):
            last, state = network.step(x_t, state)
        return last

    def per_second(read: Callable[[], Tensor], passes: int) -> float:
        began = time.perf_counter()
        for _ in range(passes):
            torch.autograd.grad(read().square().mean(), list(network.parameters()))
        return passes / (time.perf_counter() - began)

    per_second(by_scan, 1)
    per_second(by_step, 1)
    pairs = [(per_second(by_scan, PASSES), per_second(by_step, 1)) for _ in range(TURNS * repeats)]
    return Result(
        name=f"Forward and backward, T = {LENGTH:,}, {spec.title}",
        ours=f"parallel scan {median([ours for ours, _ in pairs]):.1f}/s",
        peer=f"its own step loop {median([peer for _, peer in pairs]):.1f}/s",
        measure="ratio",
        value=ratio_of_pairs(pairs),
        goal=5.0,
        at_least=True,
        repeats=[ours / peer for ours, peer in pairs],
    )
