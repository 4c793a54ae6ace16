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

from trainer.tasks import TASKS

PEERS: dict[str, type[nn.RNN | nn.LSTM | nn.GRU]] = {"elman": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
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

    rnn = PEERS[network](task.input_size, hidden_size, batch_first=True)
    readout = nn.Linear(hidden_size, task.output_size)
    parameters = [*rnn.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(parameters)
    losses = []

    def train(updates: int) -> float:
        began = time.perf_counter()
        for _ in range(updates):
            batch = task.draw(batch_size, source)
            hidden, _ = rnn(batch.inputs)
            loss = F.mse_loss(readout(hidden[:, batch.first :]), batch.targets)
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
