"""The digest of a parameter file stands for every byte of it, whatever the container."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bort_convert.errors import BortConvertError
from bort_convert.params import ParamsFile, StoredArray, open_params
from bort_convert.params.digest import checkpoint_digest
from bort_convert.params.reading import Chunk
from tests.support import DATA, array_header, list_header, list_names, write_list

WITHOUT_ARRAYS = (".no_arrays.params", ".none.params")
CONTAINERS = sorted(path for path in (DATA / "containers").glob("*.params") if not path.name.endswith(WITHOUT_ARRAYS))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest_of(path: Path) -> str:
    with open_params(path) as params:
        return checkpoint_digest(params)


def test_the_documented_lines(tmp_path: Path) -> None:
    first, second = np.arange(6, dtype="float32").reshape(2, 3), np.arange(3, dtype="uint8")
    path = write_list(tmp_path / "f", {"a": first, "b": second})
    before, between = list_header(2) + array_header((2, 3), 0), array_header((3,), 3)
    start, names = len(before), list_names(["a", "b"])
    lines = [
        f"{path.stat().st_size}",
        f"{start} 24 {sha256(first.tobytes())}",
        f"{start + 24 + len(between)} 3 {sha256(second.tobytes())}",
        sha256(before + between + names),
    ]
    assert digest_of(path) == sha256("".join(f"{line}\n" for line in lines).encode())


@pytest.mark.parametrize("path", CONTAINERS, ids=lambda path: path.name)
def test_every_byte_counts(path: Path, tmp_path: Path) -> None:
    """Any byte that can be changed without the file being refused changes the digest."""
    content, seen = path.read_bytes(), {digest_of(path)}
    copy, tried = tmp_path / "copy", 0
    for offset in {*range(0, len(content), max(len(content) // 60, 1)), len(content) - 1}:
        copy.write_bytes(content[:offset] + bytes([content[offset] ^ 1]) + content[offset + 1 :])
        digest = digest_of_or_none(copy)
        if digest is not None:
            assert digest not in seen, offset
            seen.add(digest)
            tried += 1
    assert tried


def digest_of_or_none(path: Path) -> str | None:
    try:
        return digest_of(path)
    except BortConvertError:
        return None


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 40))
def test_bytes_do_not_move_between_arrays_unseen(
    tmp_path_factory: pytest.TempPathFactory, a: bytes, b: bytes, at: int
) -> None:
    folder, both = tmp_path_factory.mktemp("digest"), a + b
    files = {}
    for cut in {len(a), min(at, len(both))}:
        arrays = {"a": np.frombuffer(both[:cut], "uint8"), "b": np.frombuffer(both[cut:], "uint8")}
        files[cut] = digest_of(write_list(folder / f"{cut}", arrays))
    assert len(set(files.values())) == len(files)


def test_the_same_tensors_in_another_container(tmp_path: Path) -> None:
    array = np.arange(4, dtype="float32")
    np.savez(tmp_path / "zip", a=array)
    assert digest_of(write_list(tmp_path / "list", {"a": array})) != digest_of(tmp_path / "zip.npz")


def test_what_is_known_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {"a": np.arange(4, dtype="float32"), "b": np.arange(5, dtype="uint8")}
    path = write_list(tmp_path / "f", arrays)
    expected, read = digest_of(path), []
    original = ParamsFile.chunks

    def watched(self: ParamsFile, array: StoredArray) -> Iterator[Chunk]:
        read.append(array.name)
        return original(self, array)

    monkeypatch.setattr(ParamsFile, "chunks", watched)
    with open_params(path) as params:
        assert checkpoint_digest(params, {"a": sha256(arrays["a"].tobytes())}) == expected
        assert read == ["b"]
        assert checkpoint_digest(params, {"a": sha256(b"other")}) != expected
