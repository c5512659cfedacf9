"""The digest of all tensors: the same for the same tensors, another for any other."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from bort_convert.errors import ModelFolderError
from bort_convert.publishing.digest import tensor_digest

TENSORS: dict[str, np.ndarray] = {
    "b.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.bias": np.arange(3, dtype=np.float16),
    "empty": np.zeros((0, 4), np.float32),
}


def digest_of(tensors: dict[str, np.ndarray], folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    return tensor_digest(folder)


def test_is_what_it_is_said_to_be(tmp_path: Path) -> None:
    """Written out once, by hand, from what the card says of it."""
    lines = sorted(
        f"{name} {dtype} {shape} {hashlib.sha256(TENSORS[name].tobytes()).hexdigest()}\n"
        for name, dtype, shape in (("a.bias", "F16", "3"), ("b.weight", "F32", "2,3"), ("empty", "F32", "0,4"))
    )
    assert digest_of(TENSORS, tmp_path) == hashlib.sha256("".join(lines).encode()).hexdigest()


@given(st.permutations(sorted(TENSORS)))
@settings(max_examples=6, deadline=None)
def test_does_not_depend_on_the_order_or_the_metadata(
    tmp_path_factory: pytest.TempPathFactory, order: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("digest")
    header, data = {}, b""
    for name in order:
        raw = TENSORS[name].tobytes()
        dtype = {"float32": "F32", "float16": "F16"}[TENSORS[name].dtype.name]
        header[name] = {"dtype": dtype, "shape": TENSORS[name].shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps({"__metadata__": {"order": ",".join(order)}, **header}).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    assert tensor_digest(folder) == digest_of(TENSORS, folder / "other")


def test_does_not_depend_on_the_container(tmp_path: Path) -> None:
    import torch

    expected = digest_of(TENSORS, tmp_path / "safetensors")
    (tmp_path / "pytorch").mkdir()
    state = {name: torch.from_numpy(array) for name, array in TENSORS.items()}
    torch.save(state, tmp_path / "pytorch" / "pytorch_model.bin")
    assert tensor_digest(tmp_path / "pytorch") == expected


def test_sees_every_change(tmp_path: Path) -> None:
    weight = TENSORS["b.weight"]
    flipped = weight.copy()
    flipped.view(np.uint32)[1, 2] ^= 1
    variants = {
        "as it is": TENSORS,
        "one bit": TENSORS | {"b.weight": flipped},
        "a shape": TENSORS | {"b.weight": weight.reshape(3, 2)},
        "a dtype": TENSORS | {"b.weight": weight.view(np.int32)},
        "a name": {("b.weights" if name == "b.weight" else name): array for name, array in TENSORS.items()},
        "one less": {name: array for name, array in TENSORS.items() if name != "empty"},
        "two exchanged": TENSORS | {"b.weight": weight[::-1].copy()},
    }
    digests = {what: digest_of(tensors, tmp_path / what) for what, tensors in variants.items()}
    assert len(set(digests.values())) == len(variants)


def test_larger_than_one_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = digest_of(TENSORS, tmp_path)
    monkeypatch.setattr("bort_convert.conversion.model_file.READ_SIZE", 5)
    assert tensor_digest(tmp_path) == expected


def test_no_tensors(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="holds no tensors"):
        digest_of({}, tmp_path)
