"""Faults in what the model computes, with every tensor right. Each function patches a loaded BERT of Transformers, in place.

They stand for a converter whose config, or whose notion of the model, is wrong; only outputs can show them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from bort_convert.parity.mutations.fault import Fault

Model = Any


def _layers(model: Model) -> Any:
    return model.base_model.encoder.layer


def _eps(sites: Callable[[Model], list[Any]], eps: float) -> Callable[[Model], None]:
    def apply(model: Model) -> None:
        for norm in sites(model):
            norm.eps = eps

    return apply


def _decoder_eps(model: Model) -> None:
    """The decoder with the encoder's eps, whatever eps the verification sets."""
    import torch

    norm = model.cls.predictions.transform.LayerNorm
    norm.forward = lambda states: torch.nn.functional.layer_norm(
        states, norm.normalized_shape, norm.weight, norm.bias, 1e-5
    )


def _activation(name: str) -> Callable[[Model], None]:
    def apply(model: Model) -> None:
        from transformers.activations import ACT2FN

        for layer in _layers(model):
            layer.intermediate.intermediate_act_fn = ACT2FN[name]

    return apply


def _mlm_activation(model: Model) -> None:
    import torch

    model.cls.predictions.transform.transform_act_fn = torch.nn.ReLU()


def _heads(numerator: int, denominator: int) -> Callable[[Model], None]:
    def apply(model: Model) -> None:
        for layer in _layers(model):
            attention = layer.attention.self
            attention.num_attention_heads = attention.num_attention_heads * numerator // denominator
            attention.attention_head_size = attention.attention_head_size * denominator // numerator
            attention.scaling = attention.attention_head_size**-0.5

    return apply


def _scaling(factor: Callable[[int], float]) -> Callable[[Model], None]:
    def apply(model: Model) -> None:
        for layer in _layers(model):
            layer.attention.self.scaling = factor(layer.attention.self.all_head_size)

    return apply


def _position_offset(model: Model) -> None:
    """RoBERTa's positions, which begin at 2."""
    table = model.base_model.embeddings.position_embeddings
    forward, last = table.forward, table.num_embeddings - 1
    table.forward = lambda positions: forward((positions + 2).clamp(max=last))


def _without_mask(model: Model) -> None:
    forward = model.base_model.forward
    model.base_model.forward = lambda **inputs: forward(**inputs | {"attention_mask": None})


def _causal(model: Model) -> None:
    """Every token sees itself and those before it alone."""
    import torch

    def forward(attention_mask: Any, **inputs: Any) -> Any:
        length = attention_mask.shape[1]
        seen = torch.ones(length, length, dtype=torch.bool).tril() & attention_mask[:, None, None, :].bool()
        return original(attention_mask=seen, **inputs)

    original = model.base_model.forward
    model.base_model.forward = forward


def _pass_through(site: Callable[[Model], Any]) -> Callable[[Model], None]:
    """Takes one module out: it gives what it is given."""

    def apply(model: Model) -> None:
        site(model).forward = lambda states, *others: states

    return apply


def _replace_forward(site: Callable[[Model], Any], forward: Callable[..., Any]) -> Callable[[Model], None]:
    def apply(model: Model) -> None:
        site(model).forward = forward

    return apply


def _without_residual(model: Model) -> None:
    output = _layers(model)[0].output
    output.forward = lambda states, inputs: output.LayerNorm(output.dense(states))


def _norm_before_residual(model: Model) -> None:
    output = _layers(model)[0].output
    output.forward = lambda states, inputs: output.LayerNorm(output.dense(states)) + inputs


def _untied(model: Model) -> None:
    """The decoder with a copy of the embedding of its own, gone another way since."""
    import torch

    model.cls.predictions.decoder.weight = torch.nn.Parameter(model.cls.predictions.decoder.weight.detach() * 1.0001)


def _second_segment(model: Model) -> None:
    """A small segment row. Not the same for all units: LayerNorm would take that out again."""
    import torch

    table = model.base_model.embeddings.token_type_embeddings
    table.weight = torch.nn.Parameter(torch.linspace(0, 1e-6, table.weight.shape[1], dtype=table.weight.dtype)[None])


def _pool_last_row(model: Model) -> None:
    pooler = model.base_model.pooler
    forward = pooler.forward
    pooler.forward = lambda states: forward(states.flip(1))


def _activation_of_pooler(module: Callable[[], Any]) -> Callable[[Model], None]:
    def apply(model: Model) -> None:
        model.base_model.pooler.activation = module()

    return apply


def _identity() -> Any:
    import torch

    return torch.nn.Identity()


def _relu() -> Any:
    import torch

    return torch.nn.ReLU()


def _dropout(model: Model) -> None:
    model.train()


_MLM_ONLY = ("mlm",)
_CLASSIFIER_ONLY = ("classifier",)

SEMANTIC_FAULTS: Mapping[str, Fault[Model]] = {
    "eps 1e-12 in the embeddings": Fault(_eps(lambda model: [model.base_model.embeddings.LayerNorm], 1e-12)),
    "eps 1e-12 after attention": Fault(
        _eps(lambda model: [x.attention.output.LayerNorm for x in _layers(model)], 1e-12)
    ),
    "eps 1e-12 after the feed-forward": Fault(_eps(lambda model: [x.output.LayerNorm for x in _layers(model)], 1e-12)),
    "eps 1e-6 everywhere": Fault(
        _eps(lambda model: [x for x in model.base_model.modules() if hasattr(x, "eps")], 1e-6)
    ),
    "eps 1e-5 in the MLM decoder": Fault(_decoder_eps, _MLM_ONLY),
    "tanh GELU": Fault(_activation("gelu_new")),
    "quick GELU": Fault(_activation("quick_gelu")),
    "ReLU": Fault(_activation("relu")),
    "ReLU in the MLM decoder": Fault(_mlm_activation, _MLM_ONLY),
    "twice the heads": Fault(_heads(2, 1)),
    "half the heads": Fault(_heads(1, 2)),
    "attention unscaled": Fault(_scaling(lambda units: 1.0)),
    "attention scaled by all units": Fault(_scaling(lambda units: units**-0.5)),
    "positions offset by 2": Fault(_position_offset),
    "mask ignored": Fault(_without_mask),
    "attention causal": Fault(_causal),
    "embedding LayerNorm left out": Fault(_pass_through(lambda model: model.base_model.embeddings.LayerNorm)),
    "residual left out": Fault(_without_residual),
    "LayerNorm before the residual": Fault(_norm_before_residual),
    "segment embedding of 1e-6": Fault(_second_segment),
    "MLM LayerNorm left out": Fault(_pass_through(lambda model: model.cls.predictions.transform.LayerNorm), _MLM_ONLY),
    "MLM decoder untied": Fault(_untied, _MLM_ONLY),
    "dropout left on": Fault(_dropout),
    "pooler on the last row": Fault(_pool_last_row, _CLASSIFIER_ONLY),
    "tanh left out of the pooler": Fault(_activation_of_pooler(_identity), _CLASSIFIER_ONLY),
    "ReLU in the pooler": Fault(_activation_of_pooler(_relu), _CLASSIFIER_ONLY),
    "pooler left out": Fault(
        _replace_forward(lambda model: model.base_model.pooler, lambda states: states[:, 0]), _CLASSIFIER_ONLY
    ),
}
