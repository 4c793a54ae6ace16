"""The optimisers that a run can choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn, optim

from trainer.schema import TrainingConfig

# Adam, AdamW and SGD have a fused kernel on CPU and CUDA: one call for all parameters.
_FUSED_DEVICES = ("cpu", "cuda")


def _decay(config: TrainingConfig) -> dict[str, Any]:
    return {} if config.weight_decay is None else {"weight_decay": config.weight_decay}


def _sgd(parameters: list[nn.Parameter], config: TrainingConfig, fused: bool) -> optim.Optimizer:
    return optim.SGD(
        parameters, lr=config.learning_rate, momentum=config.momentum, fused=fused, **_decay(config)
    )


def _rmsprop(parameters: list[nn.Parameter], config: TrainingConfig, _fused: bool) -> optim.Optimizer:
    return optim.RMSprop(
        parameters, lr=config.learning_rate, momentum=config.momentum, foreach=True, **_decay(config)
    )


def _adam(parameters: list[nn.Parameter], config: TrainingConfig, fused: bool) -> optim.Optimizer:
    return optim.Adam(parameters, lr=config.learning_rate, fused=fused, **_decay(config))


def _adamw(parameters: list[nn.Parameter], config: TrainingConfig, fused: bool) -> optim.Optimizer:
    return optim.AdamW(parameters, lr=config.learning_rate, fused=fused, **_decay(config))


OPTIMIZERS: dict[str, Callable[[list[nn.Parameter], TrainingConfig, bool], optim.Optimizer]] = {
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "adam": _adam,
    "adamw": _adamw,
}


def make_optimizer(
    parameters: Iterable[nn.Parameter], config: TrainingConfig, device: torch.device
) -> optim.Optimizer:
    """The configured optimiser over ``parameters``, fused where PyTorch can."""
    return OPTIMIZERS[config.optimizer](list(parameters), config, device.type in _FUSED_DEVICES)
