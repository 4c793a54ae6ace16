"""The networks, by name. Adding one is a new file beside this one and a line here."""

from models import elman, ffnn, gru, jordan, lru, lstm, mingru, slstm, tdnn
from models.base import ModelSpec

MODELS: dict[str, ModelSpec] = {
    "lstm": lstm.SPEC,
    "gru": gru.SPEC,
    "elman": elman.SPEC,
    "mingru": mingru.SPEC,
    "lru": lru.SPEC,
    "slstm": slstm.SPEC,
    "jordan": jordan.SPEC,
    "tdnn": tdnn.SPEC,
    "ffnn": ffnn.SPEC,
}
"""By the name that a run's configuration uses, in the order in which the catalogue shows them."""
