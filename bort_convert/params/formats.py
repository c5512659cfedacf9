"""What a file is that is no MXNet parameter file, told from its first bytes and never by unpickling it."""

LIST_MAGIC = b"\x12\x01\x00\x00\x00\x00\x00\x00"
"""``kMXAPINDArrayListMagic``, 0x112 as a little-endian u64 (``src/ndarray/ndarray.cc``)."""

NPY_MAGIC = b"\x93NUMPY"

HEAD_SIZE = 1280
"""Bytes that these functions need from the start of a file: the first name in a zip archive may be over 1 KiB long."""


ZIP_MAGIC = b"PK\x03\x04"
EMPTY_ZIP_MAGIC = b"PK\x05\x06"


def is_zip_of_arrays(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is a zip archive of NumPy arrays, or cut before that can be told."""
    if head.startswith(EMPTY_ZIP_MAGIC):
        return True
    name, length = _first_member(head)
    return head.startswith(ZIP_MAGIC) and (name.endswith(b".npy") or len(name) < length)


def describe(head: bytes) -> str:
    """A noun phrase for the format of a file that begins with ``head``."""
    if head.startswith(ZIP_MAGIC):
        return _describe_zip(head)
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100_000_001:
        return "a safetensors file"
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05" and len(head) > 2:
        return "a Python pickle (trainer states, or a checkpoint of old torch.save)"
    if head.lstrip()[:1] == b"<":
        return "an HTML or XML page (a failed download?)"
    if head.lstrip()[:1] == b"{":
        return "JSON text (a symbol file holds the graph, not the parameters)"
    for magic, description in _MAGICS:
        if head.startswith(magic):
            return description
    return f"an unknown format (first bytes {head[:8].hex(' ')})"


_MAGICS = (
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ\x00", "an xz archive; unpack it first"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself; run 'git lfs pull'"),
    (LIST_MAGIC[::-1], "a parameter file of a big-endian machine, which MXNet itself cannot read back"),
)


def _first_member(head: bytes) -> tuple[bytes, int]:
    """The name of the first member of a zip archive, as far as ``head`` has it, and its length."""
    length = int.from_bytes(head[26:28], "little") if len(head) >= 30 else HEAD_SIZE
    return head[30 : 30 + length], length


def _describe_zip(head: bytes) -> str:
    name, _ = _first_member(head)
    if name.endswith((b"data.pkl", b"/.format_version", b"/.data/serialization_id", b"/version", b"/byteorder")):
        return "a PyTorch checkpoint (torch.save)"
    return "a zip archive"
