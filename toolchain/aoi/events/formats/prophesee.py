"""``.dat`` (DAT) and ``.raw`` (EVT 2.0, EVT 3.0) of Prophesee, https://docs.prophesee.ai/stable/data/encoding_formats/."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from aoi.errors import DataError
from aoi.events.recording import check_count, check_size, make_events

_EVENT_BYTES = 8
_PIECE = 1 << 17  # words whose vectors are spread at a time
_CD_TYPES = (0x00, 0x0C)


def read_dat(path: Path) -> np.ndarray:
    """Events (n,) of a DAT file. Raises DataError.

    Two 32-bit words per event: time in µs, then x (14 bits), y (14 bits) and polarity (1 bit), lowest bits first.
    """
    header, body = _split_header(path)
    if header:
        if len(body) < 2:
            raise DataError(f"{path}: ends after its header; the file is truncated")
        if body[0] not in _CD_TYPES or body[1] != _EVENT_BYTES:
            raise DataError(
                f"{path}: holds events of type {body[0]} with {body[1]} bytes; only change detection events (type 0 "
                f"or 12, {_EVENT_BYTES} bytes) can be read"
            )
        body = body[2:]
    t, address = _words(path, body, "<u4", _EVENT_BYTES).reshape(-1, 2).T
    return make_events(address & 0x3FFF, address >> 14 & 0x3FFF, _unwrap(t, 32), address >> 28 & 1)


def read_raw(path: Path) -> np.ndarray:
    """Events (n,) of an EVT 2.0 or EVT 3.0 file, as its header says. Raises DataError."""
    header, body = _split_header(path)
    if re.search(r"evt 2\.0|format EVT2\b(?!\.1)", header, re.IGNORECASE):
        return _decode_evt2(path, body)
    if re.search(r"evt 3\.0|format EVT3\b", header, re.IGNORECASE):
        return _decode_evt3(path, body)
    raise DataError(f"{path}: its header names neither EVT 2.0 nor EVT 3.0; convert the recording to one of them")


def _decode_evt2(path: Path, body: bytes) -> np.ndarray:
    """32-bit words. The upper 4 bits are the type; a TIME_HIGH word holds the time without its lowest 6 bits."""
    off, on, time_high, skipped = 0x0, 0x1, 0x8, (0xA, 0xE, 0xF)
    words = _words(path, body, "<u4", 4)
    kind = words >> 28
    _check_kinds(path, kind, (off, on, time_high, *skipped))
    # Events before the first TIME_HIGH have no known time: dropped, as in Prophesee's decoder.
    start = int(np.argmax(kind == time_high)) if (kind == time_high).any() else len(words)
    words, kind = words[start:], kind[start:]
    marks = np.flatnonzero(kind == time_high)
    high = _unwrap(words[marks] & 0xFFFFFFF, 28)
    events = np.flatnonzero((kind == off) | (kind == on))
    word = words[events]
    t = high[np.searchsorted(marks, events) - 1] << 6 | (word >> 22 & 0x3F) if len(events) else word
    return make_events(word >> 11 & 0x7FF, word & 0x7FF, t, kind[events] == on)


def _decode_evt3(path: Path, body: bytes) -> np.ndarray:
    """16-bit words. Each sets a state (row, time, base of a vector) or reports 1, up to 8 or up to 12 events."""
    addr_y, addr_x, base_x, vect_12, vect_8, time_low, time_high = 0x0, 0x2, 0x3, 0x4, 0x5, 0x6, 0x8
    skipped = (0x7, 0xA, 0xE, 0xF)
    words = _words(path, body, "<u2", 2)
    kind = words >> 12
    _check_kinds(path, kind, (addr_y, addr_x, base_x, vect_12, vect_8, time_low, time_high, *skipped))
    value = words & 0xFFF

    is_high = kind == time_high
    high = np.zeros_like(words)
    high[is_high] = _unwrap(value[is_high], 12)
    last_high = _last_index(is_high)
    high = high[last_high]
    # A new TIME_HIGH clears the lower 12 bits until the next TIME_LOW.
    changed = is_high & (high != np.concatenate(([-1], high))[:-1])
    is_low = kind == time_low
    last_low = _last_index(is_low)
    t = (high << 12) + np.where(last_low > _last_index(changed), value[last_low], 0)
    # Sensors send TIME_HIGH when TIME_LOW overflows; files written by expelliarmus overflow without it.
    before_low = np.concatenate(([0], last_low))[:-1]
    overflows = np.cumsum(is_low & (before_low > last_high) & (value < value[before_low]))
    t += (overflows - overflows[last_high]) << 12
    y = value[_last_index(kind == addr_y)] & 0x7FF

    width = np.where(kind == vect_12, 12, np.where(kind == vect_8, 8, 0))
    before = np.cumsum(width) - width
    last_base = _last_index(kind == base_x)
    vector_x = (value[last_base] & 0x7FF) + before - before[last_base]
    known = np.maximum.accumulate(is_high) & np.maximum.accumulate(kind == addr_y)

    pieces = []
    total = 0
    for begin in range(0, len(words), _PIECE):  # a word may hold twelve events: not all at once
        piece = slice(begin, begin + _PIECE)
        lanes = np.where(kind[piece] == addr_x, 1, width[piece])
        lanes[~known[piece]] = 0
        source = np.repeat(np.arange(len(lanes)), lanes)
        lane = np.arange(len(source)) - np.repeat(np.cumsum(lanes) - lanes, lanes)
        source += begin
        single = kind[source] == addr_x
        hit = single | (value[source] >> lane & 1 == 1)
        source, lane, single = source[hit], lane[hit], single[hit]
        x = np.where(single, value[source] & 0x7FF, vector_x[source] + lane)
        polarity = np.where(single, value[source], value[last_base[source]]) >> 11 & 1
        if len(x) and x.max() > 0x7FF:
            raise DataError(f"{path}: a vector of events reaches column {x.max()}, beyond {0x7FF}; the file is damaged")
        total += len(x)
        check_count(path, total)
        pieces.append(make_events(x, y[source], t[source], polarity))
    return np.concatenate(pieces) if pieces else make_events(*(np.empty(0, np.int64),) * 4)


def _split_header(path: Path) -> tuple[str, bytes]:
    """The header (lines that start with ``%``) and the bytes after it."""
    check_size(path)
    data = path.read_bytes()
    end = 0
    while data[end : end + 1] == b"%" and data[end + 1 : end + 2] in (b" ", b"\r", b"\n"):
        line_end = data.find(b"\n", end)
        if line_end < 0:
            raise DataError(f"{path}: its header has no end; the file is truncated")
        line, end = data[end:line_end], line_end + 1
        if line.strip() == b"% end":
            break
    return data[:end].decode("latin-1"), data[end:]


def _words(path: Path, body: bytes, dtype: str, unit: int) -> np.ndarray:
    """``body`` as int64 (words,). Raises DataError if its length is not a multiple of ``unit`` bytes."""
    if len(body) % unit:
        raise DataError(f"{path}: {len(body)} bytes of events, not a multiple of {unit}; the file is truncated")
    return np.frombuffer(body, dtype=dtype).astype(np.int64)


def _check_kinds(path: Path, kind: np.ndarray, known: tuple[int, ...]) -> None:
    unknown = np.flatnonzero(~np.isin(kind, known))
    if len(unknown):
        raise DataError(f"{path}: word {unknown[0]} has the unknown type {kind[unknown[0]]:#x}; the file is damaged")


def _unwrap(counter: np.ndarray, bits: int) -> np.ndarray:
    """A counter of ``bits`` bits without its overflows, which are where it fell by more than half its range."""
    overflow = np.diff(counter, prepend=counter[:1]) < -(1 << (bits - 1))
    return counter + (np.cumsum(overflow) << bits)


def _last_index(mask: np.ndarray) -> np.ndarray:
    """Index of the last True up to and including each position; 0 if there is none yet."""
    return np.maximum.accumulate(np.where(mask, np.arange(len(mask)), 0))
