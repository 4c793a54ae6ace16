"""One intra-op thread: the networks here are tiny, and several tests may share the cores."""

import torch

torch.set_num_threads(1)
