"""Writes the parameter files of this folder: real files of real writers, each beside what that writer reads back.

Stand-alone: run it under each MXNet in turn, from an environment that holds that MXNet and a NumPy it accepts::

    python make_fixtures.py FOLDER          # MXNet's files
    python make_fixtures.py FOLDER numpy    # NumPy's own

| MXNet         | Python | NumPy  | writes |
| ------------- | ------ | ------ | ------ |
| 0.10.0.post2  | 3.6    | 1.13   | V0 arrays, with names, without, and a none array |
| 0.11.0        | 3.6    | 1.13   | V1 arrays, the same |
| 0.12.0        | 3.6    | 1.13   | V2 arrays with names and without; row_sparse and csr (wants libgfortran.so.3, which 1.5.0 ships) |
| 1.5.0         | 3.7    | 1.16   | V2, row_sparse, csr; V3 |
| 1.9.1         | 3.11   | 1.26   | V2, row_sparse, csr, bool and bfloat16; V3 |
| 2.0.0b1       | 3.8    | 1.23   | V2 and V3 with all thirteen dtypes; zip, sparse members and bfloat16 included; npy |
| none          | 3.11   | 1.26   | NumPy's zips and npy: stored, deflated, Fortran order |

``NAME.expected.npz`` holds what ``mx.nd.load`` of the same MXNet gives for ``NAME``, made dense, each array under
``name|dtype`` (``0|dtype``, ``1|dtype``, … for a file without names). bfloat16 is kept as its raw bits. What MXNet 2.0
writes and cannot read back (bfloat16 in a zip) is expected as it was before it was saved.
"""

import os
import sys

import numpy

if numpy.__version__ >= "1.24":
    numpy.bool = numpy.bool_  # MXNet 1.9.1 wants the alias that NumPy dropped

SHAPES = {"vector": (5,), "matrix": (2, 3), "cube": (2, 1, 3), "single": (1,)}
bfloat16 = numpy.dtype([("bfloat16", numpy.uint16)])
DTYPES = "float32 float64 float16 uint8 int32 int8 int64 bool int16 uint16 uint32 uint64".split()


def values(shape, dtype):
    """Distinct values, negative ones among them, that every dtype can hold after its own fashion."""
    size = int(numpy.prod(shape))
    return ((numpy.arange(size) * 7 + 3) % 23 - 5).reshape(shape).astype(dtype)


def dense(array):
    """An MXNet array as NumPy, bfloat16 as its bits, with the name of its dtype."""
    stype = getattr(array, "stype", "default")
    if stype != "default":
        array = array.tostype("default")
    result = array.asnumpy()
    if result.dtype.names:
        return result.view("<u2").reshape(result.shape), "bfloat16"
    return result, result.dtype.name


def expect(path, loaded):
    pairs = loaded.items() if isinstance(loaded, dict) else ((str(i), a) for i, a in enumerate(loaded))
    expected = {}
    for name, array in pairs:
        result, dtype = dense(array)
        expected[name + "|" + dtype] = result
    numpy.savez(path + ".expected.npz", **expected)


def writable(module, dtype, folder):
    """Whether this MXNet can save and load an array of the dtype."""
    path = os.path.join(folder, "probe.tmp")
    try:
        module.save(path, {"probe": module.array([1], dtype=dtype)})
        module.load(path)
    except Exception:
        return False
    finally:
        if os.path.exists(path):
            os.remove(path)
    return True


def main(folder):
    import mxnet

    version = mxnet.__version__.replace("beta", "b")
    print(version, "on Python", sys.version.split()[0])

    def at(name):
        return os.path.join(folder, "mxnet-%s.%s.params" % (version, name))

    nd = mxnet.nd
    if hasattr(mxnet, "npx"):
        mxnet.npx.reset_np()
    dtypes = [dtype for dtype in DTYPES if writable(nd, dtype, folder)]
    arrays = {}
    for dtype in dtypes:
        arrays["dtype." + dtype] = nd.array(values((2, 3), dtype), dtype=dtype)
    for name, shape in SHAPES.items():
        arrays["shape." + name] = nd.array(values(shape, "float32"))
    if version >= "1.9":
        arrays["dtype.bfloat16"] = nd.array(values((2, 3), "float32")).astype(bfloat16)
    save_lists(at, nd, arrays)
    if hasattr(nd, "sparse"):
        save_sparse(at, nd)
    if version < "0.12":
        save_none(at, nd)
    if version >= "1.5":
        save_np_shape(at, mxnet, dtypes)
    if version >= "2":
        save_zips(at, mxnet, arrays)


def save_lists(at, nd, arrays):
    nd.save(at("named"), arrays)
    expect(at("named"), nd.load(at("named")))
    nd.save(at("list"), [arrays[name] for name in sorted(arrays)])
    expect(at("list"), nd.load(at("list")))
    nd.save(at("no_arrays"), {})


def sparse_arrays(nd):
    dense_matrix = values((6, 4), "float32") * (numpy.arange(24).reshape(6, 4) % 5 == 1)
    rows = values((7, 2, 3), "float32") * (numpy.arange(7) % 3 == 1).reshape(7, 1, 1)
    return {
        "rows": nd.array(rows).tostype("row_sparse"),
        "rows.float16": nd.array(rows, dtype="float16").tostype("row_sparse"),
        "rows.empty": nd.sparse.zeros("row_sparse", (5, 2)),
        "cells": nd.array(dense_matrix).tostype("csr"),
        "cells.float64": nd.array(dense_matrix, dtype="float64").tostype("csr"),
        "cells.empty": nd.sparse.zeros("csr", (5, 2)),
        "dense": nd.array(dense_matrix),
    }


def save_sparse(at, nd):
    nd.save(at("sparse"), sparse_arrays(nd))
    expect(at("sparse"), nd.load(at("sparse")))


def save_none(at, nd):
    handle = getattr(nd, "_new_empty_handle", None) or nd.ndarray._new_empty_handle
    nd.save(at("none"), {"none": nd.NDArray(handle()), "one": nd.array([1])})


def save_np_shape(at, mxnet, dtypes):
    nd = mxnet.nd
    with mxnet.util.np_shape(True):
        arrays = {"matrix": nd.array(values((2, 3), "float32")), "scalar": nd.zeros(()) + 7, "empty": nd.zeros((0, 3))}
        for dtype in dtypes:
            arrays["dtype." + dtype] = nd.array(values((2, 3), dtype), dtype=dtype)
        nd.save(at("np_shape"), arrays)
        expect(at("np_shape"), nd.load(at("np_shape")))


def save_zips(at, mxnet, arrays):
    np, npx = mxnet.np, mxnet.npx
    npx.set_np()
    plain = {}
    for name, array in arrays.items():
        if name != "dtype.bfloat16":
            plain[name] = array.as_np_ndarray()
    plain["arg:scalar"] = np.array(7.5)
    plain["empty"] = np.zeros((0, 3))
    npx.savez(at("zip"), **plain)
    expect(at("zip"), npx.load(at("zip")))
    npx.savez(at("zip_list"), *[plain["shape.matrix"], plain["shape.vector"]])
    expect(at("zip_list"), npx.load(at("zip_list")))
    npx.savez(at("zip_sparse"), **sparse_arrays(mxnet.nd))
    expect(at("zip_sparse"), mxnet.nd.load(at("zip_sparse")))
    bits = arrays["dtype.bfloat16"].as_np_ndarray()
    npx.savez(at("zip_bfloat16"), bits=bits)
    expect(at("zip_bfloat16"), {"bits": bits})
    npx.save(at("npy"), plain["shape.matrix"])
    expect(at("npy"), [npx.load(at("npy"))])


def write_numpy(folder):
    def at(name):
        return os.path.join(folder, "numpy-%s.%s.params" % (numpy.__version__, name))

    arrays = {"dtype." + dtype: values((2, 3), dtype) for dtype in DTYPES}
    arrays["scalar"] = numpy.float32(7.5)
    arrays["empty"] = numpy.zeros((0, 3), "float32")
    arrays["fortran"] = numpy.asfortranarray(values((4, 3, 5), "float32"))
    arrays["zeros"] = numpy.zeros((40, 40), "float32")
    expected = {name + "|" + numpy.asarray(array).dtype.name: array for name, array in arrays.items()}
    for name, save in (("zip", numpy.savez), ("zip_deflated", numpy.savez_compressed)):
        with open(at(name), "wb") as file:
            save(file, **arrays)
        numpy.savez_compressed(at(name) + ".expected.npz", **expected)
    with open(at("npy_fortran"), "wb") as file:
        numpy.save(file, arrays["fortran"])
    numpy.savez(at("npy_fortran") + ".expected.npz", **{"0|float32": arrays["fortran"]})


if __name__ == "__main__":
    write_numpy(sys.argv[1]) if sys.argv[2:] == ["numpy"] else main(sys.argv[1])
