"""The released checkpoint against the world: a value of it that others published."""

from typing import TYPE_CHECKING, Any

from bort_convert.bort.architecture import Architecture
from bort_convert.errors import InvalidOptionError
from bort_convert.parity.files import Check

if TYPE_CHECKING:
    import numpy as np

RELEASED_ARCHITECTURE = "bort_4_8_768_1024"
RELEASED_VOCAB_SIZE = 50265

INPUT_IDS = (0, 18077, 4082, 7804, 8606, 6195, 2457, 3321, 11, 10489, 16, 269, 2579, 328, 2)
LAST_HIDDEN_STATE = ((-0.0349, 0.0436, -1.8654), (-0.6964, 0.0835, -1.7393), (-0.9819, 0.2956, -0.2868))
"""The first three units at the first three positions, in float32 (Transformers 4 ``tests/test_modeling_bort.py``)."""
ATOL = 1e-2
"""The weights that the value was computed from had been rounded to float16, which moves hidden states by about this much."""


def require_released(architecture: Architecture) -> None:
    """Raises InvalidOptionError where a checkpoint of this architecture cannot be the released one."""
    if (architecture.name, architecture.vocab_size) != (RELEASED_ARCHITECTURE, RELEASED_VOCAB_SIZE):
        raise InvalidOptionError(
            f"--published-values: a value was published for {RELEASED_ARCHITECTURE} with {RELEASED_VOCAB_SIZE} tokens only, "
            f"this is {architecture.description} with {architecture.vocab_size}; leave the option out"
        )


def check_published_values(model: Any) -> Check:
    """Runs a model of Transformers in float32 on the published input. The model is left in float32."""
    import torch

    with torch.inference_mode():
        states = model.base_model.to(torch.float32)(input_ids=torch.tensor([INPUT_IDS])).last_hidden_state
    return compare_with_published(states[0, :3, :3].numpy())


def compare_with_published(values: "np.ndarray") -> Check:
    """The check of ``values``, the corner (3, 3) of the last hidden state."""
    import numpy as np

    differences = np.abs(values.astype(np.float64) - np.asarray(LAST_HIDDEN_STATE))
    largest = float(differences.max())  # NaN if any is
    name = f"last hidden state within {ATOL:.0e} of the value in Transformers' tests"
    if largest <= ATOL:
        return Check("published", name, "")
    position, unit = (int(index) for index in np.unravel_index(np.argmax(differences), differences.shape))
    return Check(
        "published",
        name,
        f"{values[position, unit]:.4f} at position {position}, unit {unit}, published "
        f"{LAST_HIDDEN_STATE[position][unit]:.4f}: these are not the released weights",
    )
