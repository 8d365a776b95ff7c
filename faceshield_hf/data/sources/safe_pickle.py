"""Reading a joblib file that holds nothing but builtins and numpy arrays, and refusing every other one.

A pickle is a program: `joblib.load` runs whatever its author wrote. This reader admits dicts, lists, tuples, sets,
strings, bytes, numbers and numpy arrays of numbers or fixed-length text; a file that asks for anything else is refused
before anything of it runs. Arrays stay on disk (memory-mapped), so a file may be larger than the memory.

It knows joblib's format since version 0.10 (arrays inlined after their description), plain or as a whole compressed
with gzip, zlib, bzip2, xz or lzma. It does not import joblib.

Example:
    >>> import pathlib, pickle, tempfile
    >>> from faceshield_hf.data.sources.safe_pickle import load
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "a.pkl"
    >>> _ = file.write_bytes(pickle.dumps({"labels": [True, False]}))
    >>> load(file)
    {'labels': [True, False]}
    >>> _ = file.write_bytes(pickle.dumps(pathlib.Path("/")))
    >>> load(file)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: .../a.pkl asks for pathlib...: only builtins and numpy arrays are admitted
"""

import bz2
import gzip
import io
import lzma
import pickle
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from tqdm.auto import tqdm

from faceshield_hf.whole_files import whole_file


class _RefusedError(Exception):
    """What the file asks for is not admitted."""


class _Standin:
    """Takes the place of an object that is described first and filled in later (pickle's BUILD)."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _InlineArray(_Standin):
    """Of `joblib.numpy_pickle.NumpyArrayWrapper`: the description of an array whose bytes follow."""


class _PlainArray(_Standin):
    """Of an array pickled by numpy itself: shape, type and bytes."""

    def __init__(self, *_: Any) -> None: ...


class _Dtype(_Standin):
    """Of `numpy.dtype`. A real one would take any state from the file, flags that lie about pointers among them."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code = code

    def real(self) -> np.dtype:
        """The type, if it is one of plain values."""
        dtype = np.dtype(str(self.code))
        if dtype.kind not in "biufcSU" or (self.state and any(part is not None for part in self.state[2:5])):
            raise _RefusedError(f"an array of {self.code}, which may hold anything")
        return dtype.newbyteorder(self.state[1]) if self.state and self.state[1] in "<>" else dtype


def _scalar(dtype: _Dtype, raw: bytes) -> Any:
    """A numpy number, as Python's own."""
    return np.frombuffer(raw, dtype.real(), 1)[0].item()


def _latin1_bytes(text: str, encoding: str = "latin1") -> bytes:
    """How pickles of protocol 2 and below spell bytes."""
    if encoding != "latin1":
        raise _RefusedError(f"text encoded as {encoding!r}")
    return text.encode("latin1")


# Nothing of numpy or joblib is called: each name is answered by a stand-in that builds plain values only.
_ADMITTED: dict[tuple[str, str], Any] = {
    **{(home, kind.__name__): kind for home in ("builtins", "__builtin__") for kind in (set, frozenset, complex)},
    ("_codecs", "encode"): _latin1_bytes,
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): None,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _PlainArray for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _InlineArray,
    ("sklearn.externals.joblib.numpy_pickle", "NumpyArrayWrapper"): _InlineArray,
}


def load(path: str | Path, scratch: str | Path | None = None) -> Any:
    """Read a joblib file or a pickle.

    Args:
        path (`str` or `Path`): the file.
        scratch (`str` or `Path`, *optional*): where a compressed file is unpacked to, next to the file if not given.
            It is kept, so that a second attempt need not unpack again; arrays of the result live in it.

    Returns:
        what the file holds; arrays are read-only `np.memmap`s.

    Raises:
        ValueError: when the file asks for anything but builtins and numpy arrays, is damaged, or is of another format.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    plain = _unpacked(path, Path(scratch) if scratch else path.with_name(path.name + ".unpacked"))
    with plain.open("rb") as stream:
        try:
            return _Unpickler(stream, plain).load()
        except _RefusedError as error:
            raise ValueError(f"{path} asks for {error}: only builtins and numpy arrays are admitted") from error
        # The unpickler raises what it likes over damaged files.
        except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError, ValueError,
                struct.error, UnicodeError, OverflowError, MemoryError) as error:  # fmt: skip
            raise ValueError(f"{path} is no joblib file, or damaged ({type(error).__name__}: {error})") from error


# Python's own unpickler: the one in C reads ahead, past the descriptions of arrays. Its stack and memo are not typed.
_PythonUnpickler: Any = pickle._Unpickler


class _Unpickler(_PythonUnpickler):
    """Unpickles builtins and arrays."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        super().__init__(stream)
        self._stream, self._path = stream, path

    def find_class(self, module: str, name: str) -> Any:
        """Give what is admitted, never import."""
        if (module, name) not in _ADMITTED:
            raise _RefusedError(f"{module}.{name}")
        return _ADMITTED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Refuse references to objects outside the file."""
        raise _RefusedError(f"an object outside the file ({pid!r})")

    def get_extension(self, code: int) -> None:
        """Refuse copyreg's numbered classes."""
        raise _RefusedError(f"extension {code}")

    def _build(self) -> None:
        super().load_build()
        described = self.stack[-1]
        if isinstance(described, _InlineArray):
            array = _map_array(described.state, self._stream, self._path)
        elif isinstance(described, _PlainArray):
            array = _plain_array(described.state)
        else:
            return
        self.stack[-1] = array
        for key, value in self.memo.items():  # the file may name the same array again
            if value is described:
                self.memo[key] = array

    dispatch = _PythonUnpickler.dispatch | {pickle.BUILD[0]: _build}


def _plain_array(state: Any) -> np.ndarray:
    _, shape, dtype, fortran, raw = state
    return np.frombuffer(raw, dtype.real()).reshape(shape, order="F" if fortran else "C")


def _map_array(description: dict[str, Any], stream: IO[bytes], path: Path) -> np.ndarray:
    """Map the array that follows its description, and move on to its end."""
    dtype, shape, order = description["dtype"].real(), description["shape"], description["order"]
    if (
        not isinstance(shape, tuple)
        or not all(isinstance(n, int) and n >= 0 for n in shape)
        or order not in ("C", "F")
    ):
        raise ValueError(f"an array of shape {shape!r} and order {order!r}")
    if description.get("numpy_array_alignment_bytes") is not None:
        padding = stream.read(1)
        stream.seek(padding[0], io.SEEK_CUR)
    start, size = stream.tell(), dtype.itemsize * int(np.prod(shape, dtype=object))
    if start + size > path.stat().st_size:
        raise EOFError(f"the file ends inside an array of shape {shape}")
    stream.seek(start + size)
    if size == 0:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype, "r", offset=start, shape=shape, order=order)


_MAGIC: dict[bytes, Callable[[Any], Any]] = {
    b"BZh": bz2.open,
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ": lzma.open,
    b"\x5d\x00": lzma.open,
}


def _unpacked(path: Path, scratch: Path) -> Path:
    """The file itself, or what it unpacks to."""
    with path.open("rb") as stream:
        head = stream.read(8)
    opener = next((opener for magic, opener in _MAGIC.items() if head.startswith(magic)), None)
    if opener is None and head[:1] != b"\x78":  # zlib's first byte; a pickle of protocol 2 or more begins with 0x80
        return path
    if scratch.is_file() and scratch.stat().st_mtime >= path.stat().st_mtime:
        return scratch
    with (
        path.open("rb") as packed,
        whole_file(scratch) as part,
        part.open("wb") as out,
        tqdm(total=path.stat().st_size, desc=f"unpacking {path.name}", unit="B", unit_scale=True) as bar,
    ):
        try:
            if opener is None:
                _inflate(packed, out, bar)
            else:
                with opener(packed) as stream:
                    while chunk := stream.read(1 << 22):
                        out.write(chunk)
                        bar.update(packed.tell() - bar.n)
        except (EOFError, zlib.error, lzma.LZMAError) as error:
            raise ValueError(f"{path} is damaged or cut off ({error}): download it again") from error
        except OSError as error:
            if error.errno is not None:  # the disk's own; bz2 and gzip complain of bad data without a number
                raise
            raise ValueError(f"{path} is damaged ({error}): download it again") from error
    return scratch


def _inflate(packed: IO[bytes], out: IO[bytes], bar: Any) -> None:
    engine = zlib.decompressobj()
    while chunk := packed.read(1 << 20):
        out.write(engine.decompress(chunk))
        bar.update(len(chunk))
    out.write(engine.flush())
    if not engine.eof:
        raise EOFError("the stream ends early")
