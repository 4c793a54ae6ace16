"""Every network once more, by its equations in plain loops, with some of its units overwritten on the way.

Written from the class docstrings, from zero states, without the networks' own code: a second opinion on what
holding a unit does. Axes: B (batch), T (time), D (input features), H (hidden units), O (outputs).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from models.base import Network

Hold = Callable[[str, Tensor], Tensor]
"""Overwrites the held units where ``"f/0"`` is the name that is held; else gives back what it got."""
Fields = dict[str, Tensor]
Gate = Callable[[str, Tensor], Tensor]
Cell = Callable[[Sequence[Tensor], Sequence[Tensor], Fields, Gate, Fields], Fields]


def holding(held: str, units: Sequence[int], value: float) -> Hold:
    """One of these, for one name."""

    def hold(name: str, values: Tensor) -> Tensor:
        if name != held:
            return values
        overwritten = values.clone()
        overwritten[..., list(units)] = value
        return overwritten

    return hold


def outputs_by_hand(
    name: str, network: Network[Any], settings: dict[str, Any], x: Tensor, hold: Hold
) -> Tensor:
    """(B, T, D) gives (B, T, O), by the weights of a network with these settings."""
    W = {key: parameter.detach() for key, parameter in network.named_parameters()}
    return _NETWORKS[name](W, settings, x, hold)


def _recurrent(cell: Cell, blocks: Callable[[dict[str, Any]], int]) -> Callable[..., Tensor]:
    def outputs(W: Fields, settings: dict[str, Any], x: Tensor, hold: Hold) -> Tensor:
        zero = x.new_zeros(len(x), settings["hidden_size"])
        kept: list[Fields] = [dict.fromkeys("hcn", zero) for _ in range(settings["layers"])]
        said = []
        for below in x.unbind(1):
            for k, before in enumerate(kept):
                heard = hold(f"h/{k}", before["h"])
                of_x = below @ W[f"rnn.weight_ih_l{k}"].T + W[f"rnn.bias_ih_l{k}"]
                of_s = heard @ W[f"rnn.weight_hh_l{k}"].T + W[f"rnn.bias_hh_l{k}"]
                peepholes = {p: W.get(f"peepholes.{p}{k}", zero[0]) for p in "ifo"}

                def gate(letter: str, made: Tensor, k: int = k) -> Tensor:
                    return hold(f"{letter}/{k}", made)

                count = blocks(settings)
                kept[k] = cell(of_x.chunk(count, 1), of_s.chunk(count, 1), before, gate, peepholes)
                below = hold(f"h/{k}", kept[k]["h"])
            said.append(below @ W["readout.weight"].T + W["readout.bias"])
        return torch.stack(said, dim=1)

    return outputs


def _elman(x: Sequence[Tensor], s: Sequence[Tensor], before: Fields, gate: Gate, _: Fields) -> Fields:
    del before, gate
    return {"h": (x[0] + s[0]).tanh()}


def _gru(x: Sequence[Tensor], s: Sequence[Tensor], before: Fields, gate: Gate, _: Fields) -> Fields:
    r, z = gate("r", _sigmoid(x[0] + s[0])), gate("z", _sigmoid(x[1] + s[1]))
    n = gate("n", (x[2] + r * s[2]).tanh())
    return {"h": (1 - z) * n + z * before["h"]}


def _lstm(x: Sequence[Tensor], s: Sequence[Tensor], before: Fields, gate: Gate, peep: Fields) -> Fields:
    c, letters = before["c"], "ifgo" if len(x) == 4 else "igo"
    sums = {letter: a + b for letter, a, b in zip(letters, x, s, strict=True)}
    i = gate("i", _sigmoid(sums["i"] + peep["i"] * c))
    f = gate("f", _sigmoid(sums["f"] + peep["f"] * c)) if "f" in sums else 1
    c = f * c + i * gate("g", sums["g"].tanh())
    return {"h": gate("o", _sigmoid(sums["o"] + peep["o"] * c)) * c.tanh(), "c": c}


def _slstm(kind: str) -> Cell:
    def cell(x: Sequence[Tensor], s: Sequence[Tensor], before: Fields, gate: Gate, _: Fields) -> Fields:
        i, f, z, o = (a + b for a, b in zip(x, s, strict=True))
        i, f = gate("i", i.exp()), gate("f", f.exp() if kind == "exponential" else _sigmoid(f))
        c, n = f * before["c"] + i * gate("z", z.tanh()), f * before["n"] + i
        return {"h": gate("o", _sigmoid(o)) * c / n, "c": c, "n": n}

    return cell


def _mingru(W: Fields, settings: dict[str, Any], x: Tensor, hold: Hold) -> Tensor:
    below = x
    for k in range(settings["layers"]):
        z, candidate = (below @ W[f"layers.{k}.input.weight"].T + W[f"layers.{k}.input.bias"]).chunk(2, -1)
        if settings.get("candidate") == "positive":
            candidate = torch.where(candidate >= 0, candidate + 0.5, _sigmoid(candidate))
        z, candidate = hold(f"z/{k}", _sigmoid(z)), hold(f"candidate/{k}", candidate)
        h, history = torch.zeros_like(z[:, 0]), []
        for z_t, candidate_t in zip(z.unbind(1), candidate.unbind(1), strict=True):
            h = hold(f"h/{k}", (1 - z_t) * h + z_t * candidate_t)
            history.append(h)
        below = torch.stack(history, dim=1)
    return below @ W["readout.weight"].T + W["readout.bias"]


def _lru(W: Fields, settings: dict[str, Any], x: Tensor, hold: Hold) -> Tensor:
    below = x
    for k in range(settings["layers"]):
        P = {name: W[f"layers.{k}.{name}"] for name in ("nu", "theta", "gamma", "B", "C", "D")}
        size, turn = (-P["nu"].exp()).exp(), P["theta"].exp()
        B_re, B_im = P["B"][0::2], P["B"][1::2]
        C_re, minus_C_im = P["C"][:, 0::2], P["C"][:, 1::2]
        re = im = x.new_zeros(len(x), settings["hidden_size"])
        shown = []
        for u in below.unbind(1):
            written = P["gamma"].exp() * (u @ B_re.T), P["gamma"].exp() * (u @ B_im.T)
            re, im = (
                size * (turn.cos() * re - turn.sin() * im) + written[0],
                size * (turn.sin() * re + turn.cos() * im) + written[1],
            )
            re, im = hold(f"h/{k}", re), hold(f"h/{k}", im)
            v = re @ C_re.T + im @ minus_C_im.T + u @ P["D"].T
            shown.append(v * 0.5 * (1 + torch.erf(v / 2**0.5)))
        below = torch.stack(shown, dim=1)
    return below @ W["readout.weight"].T + W["readout.bias"]


def _jordan(W: Fields, settings: dict[str, Any], x: Tensor, hold: Hold) -> Tensor:
    s = fed = x.new_zeros(len(x), len(W["readout.bias"]))
    said = []
    for x_t in x.unbind(1):
        s = settings.get("decay", 0.5) * s + fed
        h = (x_t @ W["input.weight"].T + W["input.bias"] + hold("s/0", s) @ W["context.weight"].T).tanh()
        y = hold("h/0", h) @ W["readout.weight"].T + W["readout.bias"]
        fed = y.softmax(1) if settings.get("feedback") == "softmax" else _sigmoid(y)
        said.append(y)
    return torch.stack(said, dim=1)


def _tdnn(W: Fields, settings: dict[str, Any], x: Tensor, hold: Hold) -> Tensor:
    below, layers = x, settings["layers"]
    for k in range(layers + 1):
        weight, bias, taps = W[f"units.{k}.weight"], W[f"units.{k}.bias"], settings["hidden_delays"] + 1
        taps = taps if k else settings["delays"] + 1
        past = torch.zeros_like(below[:, :1]).expand(-1, taps - 1, -1)
        line = torch.cat((past if k == 0 else hold(f"h/{k - 1}", past), below), dim=1)
        made = []
        for t in range(x.shape[1]):
            per_tap = weight.unflatten(1, (-1, taps)).unbind(2)  # the oldest first
            made.append(sum((line[:, t + at] @ w.T for at, w in enumerate(per_tap)), start=bias))
        below = torch.stack(made, dim=1)
        if k < layers:
            below = hold(f"h/{k}", below.tanh())
    return below


def _ffnn(W: Fields, settings: dict[str, Any], x: Tensor, hold: Hold) -> Tensor:
    below = x
    for k in range(settings["layers"]):
        below = hold(f"h/{k}", (below @ W[f"hidden.{k}.weight"].T + W[f"hidden.{k}.bias"]).tanh())
    return below @ W["readout.weight"].T + W["readout.bias"]


def _sigmoid(a: Tensor) -> Tensor:
    return 1 / (1 + (-a).exp())


def _any_slstm(W: Fields, settings: dict[str, Any], x: Tensor, hold: Hold) -> Tensor:
    return _recurrent(_slstm(settings.get("forget_gate", "sigmoid")), lambda _: 4)(W, settings, x, hold)


_NETWORKS: dict[str, Callable[..., Tensor]] = {
    "ffnn": _ffnn,
    "tdnn": _tdnn,
    "elman": _recurrent(_elman, lambda _: 1),
    "jordan": _jordan,
    "lstm": _recurrent(_lstm, lambda settings: 4 if settings.get("forget_gate", True) else 3),
    "gru": _recurrent(_gru, lambda _: 3),
    "mingru": _mingru,
    "lru": _lru,
    "slstm": _any_slstm,
}
