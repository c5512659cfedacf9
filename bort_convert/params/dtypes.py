"""The thirteen element types that an MXNet array can have, and what each is called elsewhere."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DType:
    """One element type.

    ``flag`` is MXNet's number for it (``TypeFlag`` in ``3rdparty/mshadow/mshadow/base.h``), ``itemsize`` is in bytes,
    ``safetensors`` the name in a safetensors header. ``numpy`` is the NumPy type of a view; NumPy has no bfloat16, so
    its views are of the raw 16 bits.
    """

    flag: int
    name: str
    itemsize: int
    safetensors: str
    numpy: str


DTYPES = (
    DType(0, "float32", 4, "F32", "<f4"),
    DType(1, "float64", 8, "F64", "<f8"),
    DType(2, "float16", 2, "F16", "<f2"),
    DType(3, "uint8", 1, "U8", "|u1"),
    DType(4, "int32", 4, "I32", "<i4"),
    DType(5, "int8", 1, "I8", "|i1"),
    DType(6, "int64", 8, "I64", "<i8"),
    DType(7, "bool", 1, "BOOL", "|b1"),
    DType(8, "int16", 2, "I16", "<i2"),
    DType(9, "uint16", 2, "U16", "<u2"),
    DType(10, "uint32", 4, "U32", "<u4"),
    DType(11, "uint64", 8, "U64", "<u8"),
    DType(12, "bfloat16", 2, "BF16", "<u2"),
)

BY_FLAG = {dtype.flag: dtype for dtype in DTYPES}
BY_NAME = {dtype.name: dtype for dtype in DTYPES}
