"""Mutators of binary formats: the parts of a file are changed, and its lengths and checksums made right again.

Bytes changed at random rarely get past a checksum. These mutators know the outermost structure of a format only: PNG
(ISO/IEC 15948), JPEG (ITU-T T.81, annex B), RIFF (WebP, AVI), boxes (ISO/IEC 14496-12: MP4, MOV, AVIF), TIFF 6.0, BMP,
Matroska (RFC 8794), ZIP (npz, torch), safetensors and protocol buffers (ONNX, Core ML). PSD and flat buffers
(LiteRT) are in :mod:`tests.faults.offsets`.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib

from tests.faults.documents import change_tree, json_text, json_tree
from tests.faults.mutators import ANY, EXTREMES, Mutator, Rng

Part = tuple[bytes, bytes]
"""Name and contents of a chunk, segment or box."""


def any_of(data: bytes, rng: Rng) -> bytes:
    """One mutator for every kind of file, applied to a part."""
    return ANY[int(rng.integers(0, len(ANY)))](data, rng)


def change_parts(parts: list[Part], rng: Rng) -> list[Part]:
    """Change, remove, repeat, exchange, rename or empty one part."""
    if not parts:
        return parts
    k, other = (int(rng.integers(0, len(parts))) for _ in range(2))
    name, content = parts[k]
    kind = int(rng.integers(0, 9))
    if kind <= 3:
        parts[k] = name, any_of(content, rng)
    elif kind == 4:
        del parts[k]
    elif kind == 5:
        parts[other:other] = [parts[k]] * int(rng.choice((1, 2, 200)))
    elif kind == 6:
        parts[k], parts[other] = parts[other], parts[k]
    elif kind == 7:
        parts[k] = any_of(name, rng)[:4].ljust(4, b"\x00"), content
    else:
        parts[k] = name, b"" if rng.random() < 0.5 else content[: len(content) // 2]
    return parts


def png(data: bytes, rng: Rng) -> bytes:
    """Change a chunk of a PNG; lengths and checksums are right."""
    parts: list[Part] = []
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    if rng.random() < 0.3:
        parts.insert(1, extra_chunk(rng))
    elif rng.random() < 0.3:
        parts[0] = b"IHDR", any_number(parts[0][1], rng, "big")
    else:
        parts = change_parts(parts, rng)
    made = b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )
    return data[:8] + made


def extra_chunk(rng: Rng) -> Part:
    """A chunk that many readers look into."""
    bomb = zlib.compress(bytes(20_000_000), 9)
    chunks: tuple[Part, ...] = (
        (b"iCCP", b"name\x00\x00" + bomb),
        (b"iCCP", b"name\x00\x00" + zlib.compress(rng.bytes(200))),
        (b"zTXt", b"Comment\x00\x00" + bomb),
        (b"iTXt", b"XML:com.adobe.xmp\x00\x01\x00\x00\x00" + bomb),
        (b"iTXt", b"XML:com.adobe.xmp\x00\x00\x00\x00\x00<x:xmpmeta " + b"<a>" * 5000),
        (b"tEXt", b"Raw profile type exif\x00\nexif\n99999999\n" + b"zz" * 50),
        (b"eXIf", b"II*\x00\x08\x00\x00\x00" + rng.bytes(60)),
        (b"eXIf", b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x09\x00\x00\x00\x00\x00\x00"),
        (b"cICP", rng.bytes(4)),
        (b"gAMA", b"\x00" * 4),
        (b"cHRM", rng.bytes(32)),
        (b"pHYs", b"\x00" * 9),
        (b"acTL", struct.pack(">II", 2**31 - 1, 0)),
        (b"tRNS", rng.bytes(7)),
        (b"PLTE", rng.bytes(768)),
        (b"mDCV", rng.bytes(24)),
    )
    return chunks[int(rng.integers(0, len(chunks)))]


def any_number(data: bytes, rng: Rng, order: str) -> bytes:
    """Set one number within a header."""
    width = int(rng.choice((1, 2, 4)))
    at = int(rng.integers(0, max(1, len(data))))
    number = int(rng.choice(EXTREMES)) % (1 << 8 * width)
    return (data[:at] + number.to_bytes(width, order) + data[at + width :])[: len(data)]  # type: ignore[arg-type]


def jpeg(data: bytes, rng: Rng) -> bytes:
    """Change a segment of a JPEG before its scan; lengths are right, unless there is more than they can hold."""
    parts: list[Part] = []
    at = 2
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data) and data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        parts.append((data[at : at + 2], data[at + 4 : at + 2 + length]))
        at += 2 + length
    if rng.random() < 0.35:
        parts.insert(0, extra_segment(rng))
    elif rng.random() < 0.25:
        k = next((k for k, (name, _) in enumerate(parts) if name[1] in (0xC0, 0xC1, 0xC2)), 0)
        parts[k] = parts[k][0], any_number(parts[k][1], rng, "big")
    else:
        parts = change_parts(parts, rng)
    made = b"".join(
        name[:2] + struct.pack(">H", min(65535, len(content) + 2)) + content[:65533] for name, content in parts
    )
    return data[:2] + made + data[at:]


def extra_segment(rng: Rng) -> Part:
    """A segment that many readers look into."""
    exif = b"Exif\x00\x00"
    segments: tuple[Part, ...] = (
        (b"\xff\xe1", exif + b"II*\x00\x08\x00\x00\x00" + rng.bytes(int(rng.integers(0, 400)))),
        (b"\xff\xe1", exif + b"MM\x00*\x00\x00\x00\x08" + struct.pack(">HHHII", 1, 0x0112, 3, 1, 9 << 16)),
        (
            b"\xff\xe1",
            exif + b"II*\x00\x08\x00\x00\x00" + struct.pack("<HHHII", 1, 0x8769, 4, 1, 8),
        ),  # points to itself
        (b"\xff\xe1", exif + b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", 65535) + rng.bytes(100)),
        (b"\xff\xe1", exif + b"II*\x00\x08\x00\x00\x00" + struct.pack("<HHHII", 1, 0x010E, 2, 2**31, 2**31)),
        (b"\xff\xe1", exif),
        (b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta" + rng.bytes(50)),
        (b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/\x00" + b"<a>" * 9000),
        (b"\xff\xe2", b"ICC_PROFILE\x00\x01\x02" + rng.bytes(300)),
        (b"\xff\xe2", b"ICC_PROFILE\x00\x00\x00"),
        (b"\xff\xe2", b"ICC_PROFILE\x00\x01\x01" + rng.bytes(128)),
        (b"\xff\xe2", b"MPF\x00II*\x00\x08\x00\x00\x00" + rng.bytes(80)),
        (b"\xff\xed", b"Photoshop 3.0\x008BIM" + rng.bytes(60)),
        (b"\xff\xee", b"Adobe\x00d\x00\x00\x00\x00" + bytes([int(rng.integers(0, 256))])),
        (b"\xff\xe0", b"JFIF\x00\x01\x02\x01\x00\x00\x00\x00\xff\xff"),
        (b"\xff\xfe", b"\xff" * 65533),
        (b"\xff\xdd", rng.bytes(2)),
    )
    return segments[int(rng.integers(0, len(segments)))]


def riff(data: bytes, rng: Rng) -> bytes:
    """Change a chunk of a WebP or AVI; half of the time the length of the whole is right."""
    parts: list[Part] = []
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        parts.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    parts = change_parts(parts, rng)
    made = b"".join(
        name + struct.pack("<I", len(content)) + content + b"\x00" * (len(content) % 2) for name, content in parts
    )
    length = 4 + len(made) if rng.random() < 0.5 else int(rng.choice(EXTREMES)) % 2**32
    return data[:4] + struct.pack("<I", length) + data[8:12] + made


_HOLDERS = {
    b"moov",
    b"trak",
    b"mdia",
    b"minf",
    b"stbl",
    b"edts",
    b"udta",
    b"dinf",
    b"iprp",
    b"ipco",
    b"moof",
    b"traf",
    b"jp2h",
}


def boxes(data: bytes, rng: Rng) -> bytes:
    """Change a box of an MP4, MOV or AVIF, at any depth; lengths are right most of the time."""
    parts: list[Part] = []
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big") or len(data) - at
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + max(8, length)]))
        at += max(8, length)
    holders = [k for k, (name, _) in enumerate(parts) if name in _HOLDERS]
    if holders and rng.random() < 0.8:
        k = holders[int(rng.integers(0, len(holders)))]
        parts[k] = parts[k][0], boxes(parts[k][1], rng)
    else:
        parts = change_parts(parts, rng)
    wrong = int(rng.integers(0, len(parts))) if parts and rng.random() < 0.1 else -1
    return b"".join(
        struct.pack(">I", int(rng.choice(EXTREMES)) % 2**32 if k == wrong else min(8 + len(content), 2**32 - 1))
        + name
        + content
        for k, (name, content) in enumerate(parts)
    )


def tiff(data: bytes, rng: Rng) -> bytes:
    """Change type, count or value of a tag of a TIFF's first directory, or where the directories are."""
    order = "<" if data[:2] == b"II" else ">"
    directory = struct.unpack_from(f"{order}I", data, 4)[0]
    count = struct.unpack_from(f"{order}H", data, directory)[0]
    changed = bytearray(data)
    number = int(rng.choice(EXTREMES))
    kind = int(rng.integers(0, 6))
    entry = directory + 2 + 12 * int(rng.integers(0, max(1, count)))
    if kind == 0:
        struct.pack_into(f"{order}I", changed, 4, number % 2**32)
    elif kind == 1:
        struct.pack_into(f"{order}H", changed, directory, number % 2**16)
    elif kind == 2:
        struct.pack_into(f"{order}H", changed, entry + 2, int(rng.integers(0, 20)))
    elif kind == 3:
        struct.pack_into(f"{order}I", changed, entry + 4, number % 2**32)
    elif kind == 4:
        struct.pack_into(f"{order}I", changed, entry + 8, number % 2**32)
    else:
        struct.pack_into(f"{order}I", changed, directory + 2 + 12 * count, directory)  # the directories are a circle
    return bytes(changed)


def bmp(data: bytes, rng: Rng) -> bytes:
    """Set a number in the headers of a BMP."""
    return any_number(data[:54], rng, "little") + data[54:]


def ebml(data: bytes, rng: Rng) -> bytes:
    """Change an element in the head of a Matroska file, or its width."""
    at = int(rng.integers(0, min(len(data), 800)))
    kind = int(rng.integers(0, 3))
    if kind == 0:
        return data[:at] + bytes([int(rng.choice((0x80, 0x81, 0xFF, 0x01, 0x40, 0x00)))]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + b"\x01" + b"\xff" * 7 + data[at + 8 :]
    return data[:at] + b"\xec\x40\xff" + bytes(255) + data[at:]


def zipped(data: bytes, rng: Rng) -> bytes:
    """Change a member of a ZIP file and write it again, with right checksums."""
    members: list[tuple[str, bytes]] = []
    with zipfile.ZipFile(io.BytesIO(data)) as before:
        members = [(name, before.read(name)) for name in before.namelist()]
    k = int(rng.integers(0, len(members)))
    name, content = members[k]
    kind = int(rng.integers(0, 8))
    if kind <= 2:
        members[k] = name, array_header(content, rng) if content[:6] == b"\x93NUMPY" else any_of(content, rng)
    elif kind == 3:
        members[k] = name, bytes(100_000_000)  # packs to 100 KB
    elif kind == 4:
        del members[k]
    elif kind == 5:
        members.append((name, content))
    elif kind == 6:
        members[k] = ("../" * 3 + name, content)
    else:
        members += [(f"{name}-{n}", content[:64]) for n in range(2000)]
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as after:
        for name, content in members:
            after.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def array_header(content: bytes, rng: Rng) -> bytes:
    """Change shape, order or type in the header of an npy file."""
    length = int.from_bytes(content[8:10], "little")
    header, rest = content[10 : 10 + length], content[10 + length :]
    shapes = (b"(1000000, 1000000)", b"(-1,)", b"()", b"(0,)", b"(2, 3", b"(1,) * 9", b"('a',)", b"(1e9,)", b"(" * 300)
    types = (b"'|O'", b"'<f8'", b"'<U100000000'", b"'|V8'", b"'<M8[s]'", b"[('a', '<f4')]", b"'x'", b"'<f2'")
    if rng.random() < 0.5:
        start, end = header.index(b"(", header.index(b"shape")), header.rindex(b")") + 1
        header = header[:start] + shapes[int(rng.integers(0, len(shapes)))] + header[end:]
    else:
        start = header.index(b"'descr': ") + 9
        end = header.index(b", 'fortran")
        header = header[:start] + types[int(rng.integers(0, len(types)))] + header[end:]
    return content[:8] + struct.pack("<H", len(header)) + header + rest


def safetensors(data: bytes, rng: Rng) -> bytes:
    """Change the header of a safetensors file; its length is right most of the time."""
    length = int.from_bytes(data[:8], "little")
    header, rest = data[8 : 8 + length], data[8 + length :]
    kind = int(rng.integers(0, 8))
    if kind <= 3:
        header = metadata(header, rng)
    elif kind <= 5:
        header = json_tree(header, rng)
    elif kind == 6:
        header = json_text(header, rng)
    else:
        return struct.pack("<Q", int(rng.choice(EXTREMES)) % 2**64) + header + rest
    return struct.pack("<Q", len(header)) + header + rest


def metadata(header: bytes, rng: Rng) -> bytes:
    """Change one value in the metadata of a safetensors header: often JSON, as text."""
    content = json.loads(header)
    facts = content.setdefault("__metadata__", {})
    names = sorted(facts) or ["format"]
    name = names[int(rng.integers(0, len(names)))]
    kind = int(rng.integers(0, 4))
    if kind == 0:
        facts.pop(name, None)
    elif kind == 1:
        facts[name] = any_of(facts.get(name, "").encode(), rng).decode("utf-8", "replace")
    else:
        try:
            before = facts[name].encode()
            json.loads(before)
            after = (json_text if kind == 2 else json_tree)(before, rng)
        except (ValueError, KeyError):
            after = json.dumps(change_tree([facts.get(name)], rng)).encode()
        facts[name] = after.decode("utf-8", "replace")
    return json.dumps(content).encode()


Field = tuple[int, int, "int | bytes"]
"""Number, wire type and value of a protocol buffer's field."""


def fields_of(data: bytes) -> list[Field]:
    """The fields of a protocol buffer.

    Raises:
        ValueError: it is none.
    """
    found: list[Field] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            found.append((number, wire, value))
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError
        if number == 0 or at + length > len(data):
            raise ValueError
        found.append((number, wire, data[at : at + length]))
        at += length
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError


def _packed(value: int) -> bytes:
    made = bytearray()
    value %= 1 << 64
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def protobuf(data: bytes, rng: Rng, depth: int = 0) -> bytes:
    """Change, remove or repeat a field of a protocol buffer, at any depth; lengths are right."""
    found = fields_of(data)
    k = int(rng.integers(0, len(found)))
    if depth == 0:  # most fields of a file are tensors, and those that steer are few
        k = int(rng.choice([n for n, field in enumerate(found) if isinstance(field[2], bytes)] or [k]))
    number, wire, value = found[k]
    kind = int(rng.integers(0, 10))
    if isinstance(value, bytes) and wire == 2 and kind <= 6 and depth < 8 and value:
        try:
            found[k] = number, wire, protobuf(value, rng, depth + 1)
        except ValueError:
            found[k] = number, wire, any_of(value, rng)
    elif isinstance(value, int) and kind <= 6:
        found[k] = number, wire, int(rng.choice(EXTREMES))
    elif kind == 7:
        del found[k]
    elif kind == 8:
        found += [found[k]] * int(rng.choice((1, 3, 1000)))
    else:
        found[k] = int(rng.integers(1, 40)), wire, value
    made = bytearray()
    for number, wire, value in found:
        made += _packed(number << 3 | wire)
        if isinstance(value, int):
            made += _packed(value)
        else:
            made += (_packed(len(value)) if wire == 2 else b"") + (
                value if wire == 2 else value[: 8 if wire == 1 else 4].ljust(8 if wire == 1 else 4, b"\x00")
            )
    return bytes(made)


MUTATORS: dict[str, tuple[Mutator, ...]] = {
    ".png": (png,),
    ".jpg": (jpeg,),
    ".webp": (riff,),
    ".avi": (riff,),
    ".tif": (tiff,),
    ".bmp": (bmp,),
    ".avif": (boxes,),
    ".heic": (boxes,),
    ".jp2": (boxes,),
    ".mp4": (boxes,),
    ".mov": (boxes,),
    ".mkv": (ebml,),
    ".webm": (ebml,),
    ".npz": (zipped,),
    ".pth": (zipped,),
    ".safetensors": (safetensors,),
    ".onnx": (protobuf,),
    ".mlmodel": (protobuf,),
}
"""Mutators by the suffix of the files."""
