"""A network that OpenCV's FaceDetectorYN takes for YuNet: its faces are red squares of 32 px.

Written as ONNX by hand, since nothing else here needs a library for that. Each of the twelve heads is a pool, a
convolution of 1x1, and the reshaping that YuNet ends with.
"""

from __future__ import annotations

import struct
from pathlib import Path

_FLOAT, _INT64 = 1, 7


def _varint(number: int) -> bytes:
    out = bytearray()
    while True:
        out.append((number & 0x7F) | (0x80 if number > 0x7F else 0))
        number >>= 7
        if not number:
            return bytes(out)


def _int(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _bytes(field: int, content: bytes | str) -> bytes:
    raw = content.encode() if isinstance(content, str) else content
    return _varint(field << 3 | 2) + _varint(len(raw)) + raw


def _tensor(name: str, kind: int, shape: tuple[int, ...], raw: bytes) -> bytes:
    return b"".join(_int(1, side) for side in shape) + _int(2, kind) + _bytes(8, name) + _bytes(9, raw)


def _ints(name: str, numbers: tuple[int, ...]) -> bytes:
    return _bytes(5, _bytes(1, name) + b"".join(_int(8, number) for number in numbers) + _int(20, 7))


def _node(kind: str, inputs: tuple[str, ...], output: str, *attributes: bytes) -> bytes:
    named = b"".join(_bytes(1, name) for name in inputs)
    return _bytes(1, named + _bytes(2, output) + _bytes(3, output + "_node") + _bytes(4, kind) + b"".join(attributes))


def _value(name: str, shape: tuple[int, ...]) -> bytes:
    sides = b"".join(_bytes(1, _int(1, side)) for side in shape)
    return _bytes(1, name) + _bytes(2, _bytes(1, _int(1, _FLOAT) + _bytes(2, sides)))


def _head(kind: str, channels: int, stride: int, side: int) -> tuple[bytes, bytes, bytes]:
    """Return nodes, constants and the output of one head. Only the head for 32 px finds anything."""
    name = f"{kind}_{stride}"
    red = 1 / 255 if stride == 32 and kind in {"cls", "obj"} else 0.0
    weights = struct.pack("<3f", -red, -red, red) * channels  # blue, green, red
    count = (side // stride) ** 2
    squares = (_ints("kernel_shape", (stride, stride)), _ints("strides", (stride, stride)))
    nodes = (
        _node("AveragePool", ("input",), f"{name}_pool", *squares)
        + _node("Conv", (f"{name}_pool", f"{name}_w"), f"{name}_conv", _ints("kernel_shape", (1, 1)))
        + _node("Transpose", (f"{name}_conv",), f"{name}_last", _ints("perm", (0, 2, 3, 1)))
        + _node("Reshape", (f"{name}_last", f"{name}_shape"), name)
    )
    constants = _bytes(5, _tensor(f"{name}_w", _FLOAT, (channels, 3, 1, 1), weights))
    constants += _bytes(5, _tensor(f"{name}_shape", _INT64, (3,), struct.pack("<3q", 1, -1, channels)))
    return nodes, constants, _bytes(12, _value(name, (1, count, channels)))


def make_face_net(out: Path, side: int = 640) -> Path:
    heads = [
        _head(kind, channels, stride, side)
        for kind, channels in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
        for stride in (8, 16, 32)
    ]
    nodes, constants, outputs = (b"".join(parts) for parts in zip(*heads, strict=True))
    graph = nodes + _bytes(2, "faces") + constants + _bytes(11, _value("input", (1, 3, side, side))) + outputs
    out.write_bytes(_int(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _int(2, 11)))
    return out
