"""What is opened at all: paths that are no file, and files of other formats."""

import gzip
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bort_convert.errors import TruncatedFileError, UnknownFormatError, UnreadableFileError
from bort_convert.params import open_params


class TestPaths:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableFileError, match=r"none\.params: cannot be read: no such file; check the path"):
            open_params(tmp_path / "none.params")

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableFileError, match=r": a folder; give the \.params file itself"):
            open_params(tmp_path)

    def test_below_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(UnreadableFileError, match="Not a directory"):
            open_params(tmp_path / "file" / "below")

    def test_fifo_does_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        with pytest.raises(UnreadableFileError, match="not a regular file"):
            open_params(tmp_path / "fifo")

    def test_device(self) -> None:
        with pytest.raises(UnreadableFileError, match="not a regular file"):
            open_params("/dev/zero")

    def test_loop_of_links(self, tmp_path: Path) -> None:
        (tmp_path / "a").symlink_to(tmp_path / "a")
        with pytest.raises(UnreadableFileError, match="symbolic links"):
            open_params(tmp_path / "a")

    def test_name_too_long(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableFileError, match="too long"):
            open_params(tmp_path / ("a" * 300))

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        with pytest.raises(TruncatedFileError, match="the file is empty"):
            open_params(tmp_path / "empty")

    def test_link_to_a_file(self, tmp_path: Path) -> None:
        from tests.support import DATA

        (tmp_path / "link").symlink_to(DATA / "bort_tiny_mlm.params")
        with open_params(tmp_path / "link") as params:
            assert len(params.arrays) == 42


def _safetensors(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"a": np.ones(2)}, path)


def _torch(path: Path) -> None:
    import torch

    torch.save({"a": torch.ones(2)}, path)


def _old_torch(path: Path) -> None:
    import torch

    torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=False)


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "text")


OTHERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "safetensors": (_safetensors, "a safetensors file"),
    "torch": (_torch, "a PyTorch checkpoint (torch.save)"),
    "old torch": (_old_torch, "a Python pickle"),
    "zip": (_zip, "a zip archive;"),
    "pickle 2": (lambda path: path.write_bytes(pickle.dumps({"a": 1}, protocol=2)), "a Python pickle"),
    "pickle 5": (lambda path: path.write_bytes(pickle.dumps({"a": 1}, protocol=5)), "a Python pickle"),
    "gzip": (lambda path: path.write_bytes(gzip.compress(b"text")), "a gzip archive; unpack it first"),
    "bzip2": (lambda path: path.write_bytes(b"BZh91AY&SY"), "a bzip2 archive"),
    "xz": (lambda path: path.write_bytes(b"\xfd7zXZ\x00\x00\x04"), "an xz archive"),
    "HDF5": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(8)), "an HDF5 file"),
    "HTML": (lambda path: path.write_text("\n<!DOCTYPE html><title>403</title>"), "an HTML or XML page"),
    "S3's answer": (lambda path: path.write_text("<?xml version='1.0'?><Error/>"), "an HTML or XML page"),
    "LFS pointer": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        "a Git LFS pointer, not the file itself; run 'git lfs pull'",
    ),
    "JSON": (lambda path: path.write_text(json.dumps({"nodes": []})), "JSON text (a symbol file"),
    "list magic 0x113": (lambda path: path.write_bytes(b"\x13\x01" + bytes(30)), "first bytes 13 01 00 00"),
    "big endian": (lambda path: path.write_bytes(bytes(6) + b"\x01\x12" + bytes(16)), "of a big-endian machine"),
    "zeros": (lambda path: path.write_bytes(bytes(100)), "an unknown format (first bytes 00 00 00"),
    "one byte": (lambda path: path.write_bytes(b"\x07"), "an unknown format (first bytes 07)"),
}


@pytest.mark.parametrize(("write", "description"), OTHERS.values(), ids=list(OTHERS))
def test_other_formats_are_named(tmp_path: Path, write: Callable[[Path], object], description: str) -> None:
    path = tmp_path / "bort.params"
    write(path)
    with pytest.raises(UnknownFormatError) as caught:
        open_params(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: not an MXNet parameter file but ")
    assert description in message
    assert message.endswith("give the .params file that save_parameters wrote")


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    (tmp_path / "trap").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(UnknownFormatError):
        open_params(tmp_path / "trap")
    assert not (tmp_path / "sprung").exists()
