"""Changes to valid inputs that damage, contradict or exaggerate them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

ODD_NUMBERS: list[Any] = [0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**63 - 1, -(2**63), 1e308, 0.5, 10**40, True, None]
ODD_TEXTS = [
    "",
    "x" * 5000,
    "\n",
    "a\nb",
    "\x1b[2J",
    "../../x",
    "$(touch x)",
    "é",
    "\ud7ff",
    "9" * 5000,
    "nan",
    "-0",
    "%s",
]


def bytes_of(content: bytes, random: np.random.Generator) -> bytes:
    """One to six changes: bits, bytes, numbers at their limits, pieces left out, repeated, moved, or zeroed."""
    data = bytearray(content)
    for _ in range(int(random.integers(1, 7))):
        if not data:
            break
        at = int(random.integers(len(data)))
        size = int(random.choice([1, 2, 4, 8, 64, 512]))
        kind = int(random.integers(8))
        if kind == 0:
            data[at] ^= 1 << int(random.integers(8))
        elif kind == 1:
            data[at] = int(random.choice([0, 1, 127, 128, 255]))
        elif kind == 2:
            value = int(random.choice([0, 1, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1]))
            data[at : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")
        elif kind == 3:
            data[at : at + 8] = int(random.integers(2**63)).to_bytes(8, "little")
        elif kind == 4:
            del data[at : at + size]
        elif kind == 5:
            data[at:at] = data[at : at + size]
        elif kind == 6:
            data = data[:at]
        else:
            data[at : at + size] = bytes(len(data[at : at + size]))
    return bytes(data)


def tree(value: Any, random: np.random.Generator) -> Any:
    """A JSON or YAML document with some values changed, left out, nested or repeated."""
    if random.random() < 0.15:
        return _odd(random)
    if isinstance(value, dict):
        out = {key: tree(item, random) if random.random() < 0.4 else item for key, item in value.items()}
        if out and random.random() < 0.2:
            del out[str(random.choice(list(out)))]
        if random.random() < 0.1:
            out[str(random.choice(ODD_TEXTS))] = _odd(random)
        return out
    if isinstance(value, list):
        out_list = [tree(item, random) if random.random() < 0.4 else item for item in value]
        return out_list * int(random.integers(0, 4)) if random.random() < 0.2 else out_list
    return value


def _odd(random: np.random.Generator) -> Any:
    choices: list[Callable[[], Any]] = [
        lambda: ODD_NUMBERS[int(random.integers(len(ODD_NUMBERS)))],
        lambda: ODD_TEXTS[int(random.integers(len(ODD_TEXTS)))],
        list,
        dict,
        lambda: [[]] * 3,
        lambda: {"a": {"a": {"a": []}}},
    ]
    return choices[int(random.integers(len(choices)))]()


def json_of(document: Any, random: np.random.Generator) -> bytes:
    """The text of a changed document, sometimes with changed bytes."""
    text = json.dumps(tree(document, random)).encode("utf-8", "surrogatepass")
    return bytes_of(text, random) if random.random() < 0.3 else text


def hdf5_of(content: bytes, random: np.random.Generator) -> bytes:
    """An HDF5 file with fields of another type, shape or value; or with changed bytes."""
    import io

    import h5py

    if random.random() < 0.5:
        return bytes_of(content, random)
    buffer = io.BytesIO(content)
    with h5py.File(buffer, "r+") as file:
        places: list[str] = []
        file.visititems(lambda name, item: places.append(name))
        for _ in range(int(random.integers(1, 4))):
            name = str(random.choice(places))
            if name not in file:
                continue
            item = file[name]
            kind = int(random.integers(7))
            old = item[()] if isinstance(item, h5py.Dataset) else None
            if kind == 0 or old is None or np.asarray(old).dtype.kind in "OS":
                del file[name]
                if random.random() < 0.6:
                    file[name] = ODD_TEXTS[int(random.integers(4, len(ODD_TEXTS)))].replace("\x00", "")
                continue
            array = np.asarray(old)
            del file[name]
            if kind == 1:
                file[name] = array.astype(str(random.choice(["f2", "f4", "f8", "i1", "u8", "i8"])), casting="unsafe")
            elif kind == 2:
                file[name] = array.reshape(-1)[: int(random.integers(0, array.size + 1))]
            elif kind == 3:
                changed = array.astype(np.float64).reshape(-1)
                changed[int(random.integers(changed.size))] = random.choice([np.nan, np.inf, -1, 0.5, 1e9, 1e300, 0])
                file[name] = changed.reshape(array.shape)
            elif kind == 4:
                file.create_dataset(name, (1 << int(random.integers(10, 34)),), "f4", chunks=(1 << 10,))
            elif kind == 5:
                file[name] = np.stack([array] * 2)
            else:
                file[name] = array.T
    return buffer.getvalue()
