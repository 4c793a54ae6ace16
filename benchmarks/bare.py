"""The yardstick for throughput: the loop that anybody would write first, with nothing around it.

Runs in a process of its own, which waits for its turns: each line on standard input that holds a number makes
that many updates and prints how many it made per second.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.peers import PEERS
from trainer.tasks import TASKS

WARM_UP = 50


def bare_loop(
    network: str, *, length: int, batch_size: int, hidden_size: int, clip_at: float
) -> Callable[[int], float]:
    """Train on the adding task, full BPTT, one thread: a function from updates to updates per second."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    spec = TASKS["adding"]
    task = spec.task(spec.config(length=length))  # type: ignore[call-arg]
    source = torch.Generator().manual_seed(0)

    peer = PEERS[network](task.input_size, hidden_size, task.output_size)
    parameters = list(peer.parameters())
    optimizer = torch.optim.Adam(parameters)
    losses = []

    def train(updates: int) -> float:
        began = time.perf_counter()
        for _ in range(updates):
            batch = task.draw(batch_size, source)
            loss = F.mse_loss(peer(batch.inputs, batch.first), batch.targets)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, clip_at)
            optimizer.step()
            losses.append(loss.item())
        return updates / (time.perf_counter() - began)

    return train


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=sorted(PEERS))
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--hidden-size", type=int, required=True)
    parser.add_argument("--clip-at", type=float, required=True)
    train = bare_loop(**vars(parser.parse_args()))
    for line in sys.stdin:
        print(train(int(line)), flush=True)
