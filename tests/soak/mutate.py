"""Random damage to files: bytes, JSON values, and the structure of each format."""

import io
import json
import zlib
from typing import Any, TypeAlias

import numpy as np

Rng: TypeAlias = np.random.Generator

DEEP = 100_000
"""Levels of nesting that no recursive function survives."""


def damage_bytes(content: bytes, rng: Rng) -> bytes:
    """Flip bits, overwrite, cut off, insert, repeat, remove or swap bytes; one to three times."""
    for _ in range(rng.integers(1, 4)):
        kinds = [_flip, _overwrite, _truncate, _insert, _repeat, _remove, _swap, _set_length]
        content = kinds[rng.integers(len(kinds))](bytearray(content), rng)
    return content


def _place(content: bytearray, rng: Rng) -> int:
    """Return a position; half of the time in the header, where most of the structure is."""
    end = len(content) if rng.random() < 0.5 else min(len(content), 200)
    return int(rng.integers(end)) if end else 0


def _flip(content: bytearray, rng: Rng) -> bytes:
    if content:
        content[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(content)


def _overwrite(content: bytearray, rng: Rng) -> bytes:
    start = _place(content, rng)
    size = min(int(rng.integers(1, 9)), len(content) - start)
    values = (bytes(size), b"\xff" * size, rng.bytes(size))
    content[start : start + size] = values[rng.integers(3)]
    return bytes(content)


def _truncate(content: bytearray, rng: Rng) -> bytes:
    return bytes(content[: _place(content, rng)])


def _insert(content: bytearray, rng: Rng) -> bytes:
    start = _place(content, rng)
    content[start:start] = rng.bytes(int(rng.integers(1, 20)))
    return bytes(content)


def _slice(content: bytearray, rng: Rng) -> slice:
    start = _place(content, rng)
    return slice(start, start + int(rng.integers(1, 100)))


def _repeat(content: bytearray, rng: Rng) -> bytes:
    part = content[_slice(content, rng)]
    start = _place(content, rng)
    content[start:start] = part
    return bytes(content)


def _remove(content: bytearray, rng: Rng) -> bytes:
    del content[_slice(content, rng)]
    return bytes(content)


def _swap(content: bytearray, rng: Rng) -> bytes:
    size = int(rng.integers(1, 9))
    one, other = _place(content, rng), _place(content, rng)
    if max(one, other) + size <= len(content):
        kept = content[one : one + size]
        content[one : one + size] = content[other : other + size]
        content[other : other + size] = kept
    return bytes(content)


def _set_length(content: bytearray, rng: Rng) -> bytes:
    """Overwrite four or eight bytes with a number that a reader may take for a length."""
    size, order = (4, 8)[rng.integers(2)], ("little", "big")[rng.integers(2)]
    numbers = (0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
    number = numbers[rng.integers(len(numbers))] % 256**size
    start = 4 * (_place(content, rng) // 4)
    content[start : start + size] = number.to_bytes(size, order)  # type: ignore[arg-type]
    return bytes(content)


# JSON. A tree is edited in place at a random position.

_TEXTS = [
    *("null", "true", "-1", "0", "1", "2", "-0.0", "0.5", "1e308", "1e999", "NaN", "-Infinity"),
    *('""', '"x"', '"\\u0000"', '"\\ud800"', "[]", "{}", "[0]", "[null]", '{"x": 0}', "[[[]]]"),
    *(str(2**31), str(2**63), str(-(2**63) - 1), str(2**64), str(10**30), "9" * 400, "9" * 5000),
    *("[" * 500 + "]" * 500, "[" * DEEP + "]" * DEEP, '{"a":' * 500 + "1" + "}" * 500),
    *(
        '"' + "x" * 10_000 + '"',
        '"../../etc/passwd"',
        '{"$array": "x"}',
        '{"$array": []}',
        "[1, 2]",
    ),
]
_MARK = "@value@"


def damage_json(text: str, rng: Rng) -> str:
    """Replace, change, remove, rename, repeat or swap one value of a JSON object."""
    tree = json.loads(text)
    owner, key = _position(tree, rng)
    old = owner[key]
    kind = rng.integers(8)
    insertion = _TEXTS[rng.integers(len(_TEXTS))]
    if kind <= 2:
        owner[key] = _MARK
    elif kind == 3:
        owner[key] = _changed(old, rng)
    elif kind == 4:
        del owner[key]
    elif kind == 5 and isinstance(owner, dict):
        owner[f"{key}x" if rng.random() < 0.5 else _MARK] = owner.pop(key)
        insertion = "x"
    elif kind == 6 and isinstance(owner, list):
        owner.insert(0, old)
    elif kind == 6:
        owner["extra"] = _MARK
    else:
        other, place = _position(tree, rng)
        if not _contains(old, other) and not _contains(other[place], owner):
            owner[key], other[place] = other[place], old
    return json.dumps(tree).replace(f'"{_MARK}"', insertion).replace(_MARK, "x")


def _contains(tree: Any, part: Any) -> bool:
    """Return whether a container is inside a tree; exchanging both would make a cycle."""
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return tree is part or any(_contains(one, part) for one in inner)


def _position(tree: Any, rng: Rng) -> tuple[Any, Any]:
    """Return a random container and a key in it; every level is equally likely."""
    found = []
    while isinstance(tree, dict | list) and tree:
        keys = list(tree) if isinstance(tree, dict) else range(len(tree))
        key = keys[rng.integers(len(keys))]
        found.append((tree, key))
        tree = tree[key]
    return found[rng.integers(len(found))]


def _changed(value: Any, rng: Rng) -> Any:
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return [value + 1, value - 1, -value, value * 1000][rng.integers(4)]
    if isinstance(value, str):
        return [value + "x", value[1:], value.swapcase()][rng.integers(3)]
    return _MARK


# Safetensors: eight bytes with the length of a JSON header, the header, the arrays.


def safetensors_header(content: bytes) -> tuple[str, bytes]:
    """Return the header and the bytes of the arrays."""
    end = 8 + int.from_bytes(content[:8], "little")
    return content[8:end].decode(), content[end:]


def with_header(header: str, arrays: bytes) -> bytes:
    """Return a safetensors file with a header."""
    raw = header.encode(errors="surrogatepass")
    return len(raw).to_bytes(8, "little") + raw + arrays


def damage_safetensors(content: bytes, rng: Rng) -> bytes:
    """Damage the bytes, the header, a text in the metadata, or the bytes of the arrays."""
    kind = rng.random()
    if kind < 0.3:
        return damage_bytes(content, rng)
    header, arrays = safetensors_header(content)
    if kind < 0.4:
        return with_header(header, _flip(bytearray(arrays), rng))
    if kind < 0.5:
        return with_header(header, damage_bytes(arrays, rng))
    metadata = json.loads(header).get("__metadata__", {})
    texts = [name for name, text in metadata.items() if text.startswith("{")]
    if kind < 0.7 or not texts:
        return with_header(damage_json(header, rng), arrays)
    tree = json.loads(header)
    name = texts[rng.integers(len(texts))]
    tree["__metadata__"][name] = damage_json(metadata[name], rng)
    return with_header(json.dumps(tree), arrays)


# PNG: chunks with checksums, which hide most damage from the code behind them.


def damage_png(content: bytes, rng: Rng) -> bytes:
    """Damage the bytes of one chunk, remove, repeat or move it, and correct its checksum."""
    chunks, start = [], 8
    while start < len(content):
        size = int.from_bytes(content[start : start + 4], "big")
        chunks.append((content[start + 4 : start + 8], content[start + 8 : start + 8 + size]))
        start += 12 + size
    number = int(rng.integers(len(chunks)))
    kind, body = chunks[number]
    action = rng.integers(6)
    if action <= 2:
        chunks[number] = kind, damage_bytes(body, rng)
    elif action == 3:
        del chunks[number]
    elif action == 4:
        chunks.insert(int(rng.integers(len(chunks))), (kind, body))
    else:
        names = [b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"zTXt", b"iCCP", b"eXIf", b"acTL", b"gAMA"]
        text = damage_bytes(zlib.compress(bytes(1000)), rng)
        chunks.insert(number, (names[rng.integers(len(names))], text))
    out = io.BytesIO(content[:8])
    out.seek(8)
    for name, data in chunks:
        out.write(len(data).to_bytes(4, "big") + name + data)
        out.write(zlib.crc32(name + data).to_bytes(4, "big"))
    return out.getvalue()
