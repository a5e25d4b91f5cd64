"""``.aedat4`` of iniVation (https://docs.inivation.com/software/software-advanced-usage/file-formats/aedat-4.0.html).

A file consists of a line that names the format, a flatbuffer ``IOHeader`` with an XML description of the streams,
packets of one stream each, and a table of packets that is not needed here.
"""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from aoi.errors import DataError
from aoi.events.recording import TIME_LIMIT, check_count, check_size, make_events, max_events

_MAGIC = b"#!AER-DAT4.0\r\n"
_EVENT = np.dtype(
    {"names": ["t", "x", "y", "on"], "formats": ["<i8", "<i2", "<i2", "u1"], "offsets": [0, 8, 10, 12], "itemsize": 16}
)
_NONE, _LZ4, _LZ4_HIGH, _ZSTD, _ZSTD_HIGH = range(5)
_PACKET_HEAD = 1 << 12  # bytes of a packet besides its events


class _Damaged(Exception):
    """What is wrong with the file; the message does not name it."""


class _MissingPackage(Exception):
    """Its text is the name of the missing package."""


def read_aedat4(path: Path) -> np.ndarray:
    """Events (n,) of the first event stream. Raises DataError.

    Compressed files need the package ``lz4`` or ``zstandard``.
    """
    try:
        check_size(path)
        data = path.read_bytes()
        return _decode(path, data)
    except _MissingPackage as error:
        raise DataError(
            f"{path}: is compressed and needs the package {error}; install it: pip install {error}"
        ) from error
    except (_Damaged, struct.error, UnicodeDecodeError, ElementTree.ParseError) as error:
        raise DataError(f"{path}: damaged .aedat4 file ({error})") from error


def _decode(path: Path, data: bytes) -> np.ndarray:
    if not data.startswith(_MAGIC):
        raise _Damaged("it does not start with '#!AER-DAT4.0'")
    start = len(_MAGIC) + 4
    (size,) = struct.unpack_from("<I", data, len(_MAGIC))
    header = _slice(data, start, size, "the header")
    compression, table, description = _read_header(header)
    stream = _event_stream(description)
    end = len(data) if table < 0 else table
    if end > len(data) or end < start + size:
        raise _Damaged(f"packets end at byte {end}, the file at {len(data)}; it is truncated")
    packets = []
    position = start + size
    left = max_events() * _EVENT.itemsize + _PACKET_HEAD  # bytes that the packets may still decompress to
    while position < end:
        packet_stream, size = struct.unpack_from("<ii", data, position)
        content = _slice(data, position + 8, size, f"the packet at byte {position}")
        position += 8 + size
        if packet_stream == stream:
            content = _decompress(content, compression, left)
            left -= len(content)
            if left < _PACKET_HEAD:
                check_count(path, max_events() + 1)
            events = _read_packet(content)
            if len(events) and (events["t"].min() < -TIME_LIMIT or events["t"].max() > TIME_LIMIT):
                raise _Damaged("a timestamp exceeds 2**61 µs")
            packets.append(make_events(events["x"], events["y"], events["t"], events["on"] != 0))
    return np.concatenate(packets) if packets else make_events(*(np.empty(0, np.int64),) * 4)


def _read_header(buffer: bytes) -> tuple[int, int, str]:
    """IOHeader {compression: int32, dataTablePosition: int64 = -1, infoNode: string}."""
    table = _root(buffer)
    compression = _scalar(buffer, table, 0, "<i", 0)
    position = _scalar(buffer, table, 1, "<q", -1)
    text = _vector(buffer, table, 2)
    if text is None:
        raise _Damaged("the header describes no stream")
    begin, length = text
    return compression, position, _slice(buffer, begin, length, "the description").decode()


def _event_stream(description: str) -> int:
    """Id of the first stream of type EVTS."""
    if "<!DOCTYPE" in description:  # no recording has one, and its entities can expand without limit
        raise _Damaged("the description declares a document type")
    streams = [
        node.get("name", "")
        for node in ElementTree.fromstring(description).findall("./node[@name='outInfo']/node")
        if node.findtext("./attr[@key='typeIdentifier']") == "EVTS"
    ]
    numbers = sorted(int(name) for name in streams if name.isascii() and name.isdecimal() and len(name) < 10)
    if not numbers:
        raise _Damaged("it has no event stream")
    return numbers[0]


def _read_packet(buffer: bytes) -> np.ndarray:
    """EventPacket {elements: [Event]}, prefixed by its size."""
    buffer = buffer[4:]
    elements = _vector(buffer, _root(buffer), 0)
    if elements is None:
        return np.empty(0, dtype=_EVENT)
    begin, count = elements
    return np.frombuffer(_slice(buffer, begin, count * _EVENT.itemsize, "a packet's events"), dtype=_EVENT)


def _decompress(content: bytes, compression: int, limit: int) -> bytes:
    """The content, or its first ``limit`` + 1 bytes."""
    if compression == _NONE:
        return content
    try:
        if compression in (_LZ4, _LZ4_HIGH):
            import lz4.frame

            return lz4.frame.LZ4FrameDecompressor().decompress(content, max_length=limit + 1)
        if compression in (_ZSTD, _ZSTD_HIGH):
            import zstandard

            with zstandard.ZstdDecompressor().stream_reader(content) as reader:
                return reader.read(limit + 1)
    except ImportError as error:
        raise _MissingPackage("lz4" if compression in (_LZ4, _LZ4_HIGH) else "zstandard") from error
    except Exception as error:  # each library has its own errors
        raise _Damaged(f"a packet cannot be decompressed: {error}") from error
    raise _Damaged(f"unknown compression {compression}")


def _slice(data: bytes, begin: int, size: int, what: str) -> bytes:
    if begin < 0 or size < 0 or begin + size > len(data):
        raise _Damaged(f"{what} extends beyond the end of the file; it is truncated")
    return data[begin : begin + size]


# The part of https://flatbuffers.dev/internals that is needed. struct refuses every offset outside the buffer.


def _root(buffer: bytes) -> int:
    return struct.unpack_from("<I", buffer, 0)[0]


def _field(buffer: bytes, table: int, number: int) -> int | None:
    """Position of a field of a table; None if the field is absent."""
    vtable = table - struct.unpack_from("<i", buffer, table)[0]
    if vtable < 0:
        raise _Damaged("an offset before the start")
    (length,) = struct.unpack_from("<H", buffer, vtable)
    slot = 4 + 2 * number
    if slot + 2 > length:
        return None
    (offset,) = struct.unpack_from("<H", buffer, vtable + slot)
    return table + offset if offset else None


def _scalar(buffer: bytes, table: int, number: int, form: str, default: int) -> int:
    position = _field(buffer, table, number)
    return default if position is None else struct.unpack_from(form, buffer, position)[0]


def _vector(buffer: bytes, table: int, number: int) -> tuple[int, int] | None:
    """(position of the first element, number of elements)."""
    position = _field(buffer, table, number)
    if position is None:
        return None
    begin = position + struct.unpack_from("<I", buffer, position)[0]
    return begin + 4, struct.unpack_from("<I", buffer, begin)[0]
