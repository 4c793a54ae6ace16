"""The networks, by name. Adding one is a new file beside this one and an entry here."""

from models.base import ModelSpec
from models.elman import Elman, ElmanConfig
from models.gru import GRU, GRUConfig
from models.lstm import LSTM, LSTMConfig

MODELS: dict[str, ModelSpec] = {
    "lstm": ModelSpec(
        title="LSTM",
        summary="Gates decide what its memory keeps, takes in and shows, so that it can remember for long.",
        equations=(
            "i_t = \\sigma(W_{xi} x_t + b_{xi} + W_{si} h_{t-1} + b_{si})\n"
            "f_t = \\sigma(W_{xf} x_t + b_{xf} + W_{sf} h_{t-1} + b_{sf})\n"
            "g_t = \\tanh(W_{xg} x_t + b_{xg} + W_{sg} h_{t-1} + b_{sg})\n"
            "o_t = \\sigma(W_{xo} x_t + b_{xo} + W_{so} h_{t-1} + b_{so})\n"
            "c_t = f_t \\odot c_{t-1} + i_t \\odot g_t\n"
            "h_t = o_t \\odot \\tanh(c_t)\n"
            "y_t = W_y h_t + b_y"
        ),
        source=(
            "Hochreiter & Schmidhuber 1997, Long short-term memory; "
            "forget gate: Gers, Schmidhuber & Cummins 2000, Learning to forget"
        ),
        config=LSTMConfig,
        network=LSTM,
    ),
    "gru": ModelSpec(
        title="GRU",
        summary="A lighter LSTM: one gate mixes old state and new, another says how much of the past to use.",
        equations=(
            "r_t = \\sigma(W_{xr} x_t + b_{xr} + W_{sr} h_{t-1} + b_{sr})\n"
            "z_t = \\sigma(W_{xz} x_t + b_{xz} + W_{sz} h_{t-1} + b_{sz})\n"
            "n_t = \\tanh(W_{xn} x_t + b_{xn} + r_t \\odot (W_{sn} h_{t-1} + b_{sn}))\n"
            "h_t = (1 - z_t) \\odot n_t + z_t \\odot h_{t-1}\n"
            "y_t = W_y h_t + b_y"
        ),
        source=(
            "Cho et al. 2014, Learning phrase representations using RNN encoder-decoder "
            "(with the reset gate after the product, as in PyTorch)"
        ),
        config=GRUConfig,
        network=GRU,
    ),
    "elman": ModelSpec(
        title="Elman network",
        summary="The plain recurrent network: each state is made anew from the input and the state before.",
        equations=(
            "h_t = \\phi(W_x x_t + b_x + W_s h_{t-1} + b_s), \\quad \\phi = \\tanh \\text{ or relu}\n"
            "y_t = W_y h_t + b_y"
        ),
        source="Elman 1990, Finding structure in time",
        config=ElmanConfig,
        network=Elman,
    ),
}
