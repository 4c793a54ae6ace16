"""The yardstick for throughput: the loop that anybody would write first, with nothing around it.

Runs in a process of its own and prints updates per second.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import nn
from torch.nn import functional as F

from trainer.tasks import TASKS

PEERS: dict[str, type[nn.RNN | nn.LSTM | nn.GRU]] = {"elman": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
WARM_UP = 50


def updates_per_second(
    network: str, *, updates: int, length: int, batch_size: int, hidden_size: int, clip_at: float
) -> float:
    """Train on the adding task, full BPTT, one thread; the first updates are not timed."""
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

    for update in range(WARM_UP + updates):
        if update == WARM_UP:
            began = time.perf_counter()
        batch = task.draw(batch_size, source)
        hidden, _ = rnn(batch.inputs)
        loss = F.mse_loss(readout(hidden[:, batch.first :]), batch.targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, clip_at)
        optimizer.step()
        losses.append(loss.item())
    return updates / (time.perf_counter() - began)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=sorted(PEERS))
    parser.add_argument("--updates", type=int, required=True)
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--hidden-size", type=int, required=True)
    parser.add_argument("--clip-at", type=float, required=True)
    print(updates_per_second(**vars(parser.parse_args())))
