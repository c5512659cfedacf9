"""The PyTorch side: loads a model folder with Transformers and computes the outputs of every stage."""

import importlib.util
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bort_convert.bort.architecture import DECODER_LAYER_NORM_EPS
from bort_convert.bort.heads import Head
from bort_convert.errors import MissingDependencyError
from bort_convert.parity.inputs import Batch

if TYPE_CHECKING:
    import numpy as np
    import torch

ATTENTIONS = ("eager", "sdpa")
"""Transformers' attention implementations that are compared; only ``eager`` gives its probabilities."""

AS_SHIPPED = "mlm_logits_as_shipped"
"""The MLM logits with the one eps that a BERT config has, which is not the decoder's."""


@dataclass(frozen=True)
class LoadedModel:
    """A model of Transformers in float64, and the names that loading missed or had left over."""

    model: Any
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


@dataclass(frozen=True)
class PyTorchOutputs:
    """What PyTorch computed: for each dtype and attention, the stages by ``batch.stage``; and the versions that did it."""

    outputs: Mapping[tuple[str, str], Mapping[str, "np.ndarray"]]
    versions: Mapping[str, str]


def require() -> None:
    """Raises MissingDependencyError where torch or transformers is not installed."""
    for module in ("torch", "transformers"):
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(f"{module} is not installed; run: pip install 'bort-convert[torch]'")


def load(model_dir: Path, head: Head) -> LoadedModel:
    """Loads ``model_dir`` with the class of ``head``, in float64, into which every float dtype fits without rounding."""
    require()
    import torch
    import transformers

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model, report = getattr(transformers, head.model_class).from_pretrained(
        model_dir, dtype=torch.float64, output_loading_info=True, local_files_only=True, attn_implementation="eager"
    )
    # A bare encoder has no pooler; BertModel adds one, which no output here depends on.
    missing = {name for name in report["missing_keys"] if head.name != "encoder" or not name.startswith("pooler.")}
    mismatched = {str(name) for name in report.get("mismatched_keys", ())}
    return LoadedModel(model.eval(), tuple(sorted(missing | mismatched)), tuple(sorted(report["unexpected_keys"])))


def run(
    model: Any,
    batches: Mapping[str, Batch],
    dtypes: Sequence[str],
    attentions: Sequence[str] = ATTENTIONS,
    progress: Callable[[str], None] = lambda step: None,
) -> PyTorchOutputs:
    """The outputs of every stage: ``embedding``, ``hidden.I``, ``attention.I`` (eager alone), ``mlm_logits`` or ``logits``.

    Every LayerNorm's eps is rounded to float32, as MXNet holds it whatever the tensors' dtype is, and the MLM decoder's is set
    to GluonNLP's; `AS_SHIPPED` has the decoder with the config's.
    """
    import torch
    import transformers

    _round_eps(model)
    outputs = {}
    for dtype in sorted(dtypes, reverse=True):  # float64 first: from there, float32 is a rounding away
        model = model.to(getattr(torch, dtype))
        for attention in attentions:
            progress(f"PyTorch, {dtype}, {attention}")
            model.set_attn_implementation(attention)
            stages: dict[str, np.ndarray] = {}
            for name, batch in batches.items():
                with torch.inference_mode(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    arrays = _stages(model, batch, attention)
                stages |= {f"{name}.{stage}": array.numpy() for stage, array in arrays.items()}
            outputs[dtype, attention] = stages
    return PyTorchOutputs(outputs, {"torch": torch.__version__, "transformers": transformers.__version__})


def _stages(model: Any, batch: Batch, attention: str) -> dict[str, "torch.Tensor"]:
    import torch

    result = model.base_model(
        input_ids=torch.from_numpy(batch.input_ids).long(),
        attention_mask=torch.from_numpy(batch.valid).long(),
        output_hidden_states=True,
        output_attentions=attention == "eager",
    )
    embedding, *hidden = result.hidden_states
    stages = {"embedding": embedding} | {f"hidden.{layer}": states for layer, states in enumerate(hidden)}
    if attention == "eager":
        stages |= {f"attention.{layer}": probabilities for layer, probabilities in enumerate(result.attentions)}
    if hasattr(model, "cls"):
        positions = torch.from_numpy(batch.masked_positions).long()
        chosen = hidden[-1].gather(1, positions[:, :, None].expand(-1, -1, hidden[-1].shape[-1]))
        stages |= _mlm_logits(model.cls, chosen)
    if hasattr(model, "classifier"):
        stages["logits"] = model.classifier(model.base_model.pooler(hidden[-1]))
    return stages


def _mlm_logits(decoder: Any, hidden: "torch.Tensor") -> dict[str, "torch.Tensor"]:
    norm = decoder.predictions.transform.LayerNorm
    shipped_eps = norm.eps
    as_shipped = decoder(hidden)
    norm.eps = _as_float32(DECODER_LAYER_NORM_EPS)
    try:
        return {"mlm_logits": decoder(hidden), AS_SHIPPED: as_shipped}
    finally:
        norm.eps = shipped_eps


def _round_eps(model: Any) -> None:
    for module in model.modules():
        if hasattr(module, "eps"):
            module.eps = _as_float32(module.eps)


def _as_float32(value: float) -> float:
    import numpy as np

    return float(np.float32(value))
