"""Files as tests send them: small sound ones of each kind, some that really play, and hostile ones."""

from __future__ import annotations

import io
import math
import struct
import wave
import zlib
from typing import Any

from PIL import Image


def make_image(kind: str, size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    """A gradient in the given Pillow format."""
    out = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(out, kind, **options)
    return out.getvalue()


def make_animation(kind: str, frames: list[Image.Image], **options: Any) -> bytes:
    """An animation of these frames, 100 ms each."""
    out = io.BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=100, loop=0, **options)
    return out.getvalue()


def make_png_header(width: int, height: int) -> bytes:
    """A PNG that states a size and holds nearly nothing."""
    head = struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 99)), (b"IEND", b"")]
    packed = [
        struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data)) for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def make_flat_png(side: int) -> bytes:
    """A sound PNG of one colour: few bytes, many pixels."""
    row = b"\0" * (1 + side)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">LLBBBBB", side, side, 8, 0, 0, 0, 0)
    packed = [
        struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))
        for name, data in [(b"IHDR", head), (b"IDAT", body), (b"IEND", b"")]
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def make_gif_bomb(width: int, height: int, frames: int) -> bytes:
    """A GIF whose frames each state the whole canvas and hold one code: a few bytes for any number of pixels."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * frames + b"\x3b"


def make_jpeg_header(width: int, height: int) -> bytes:
    """A JPEG that states a size and holds a much smaller picture."""
    sound = make_image("JPEG")
    at = sound.index(b"\xff\xc0") + 5
    return sound[:at] + struct.pack(">HH", height, width) + sound[at + 4 :]


def make_apng_header(frames: int) -> bytes:
    """An animated PNG that states a number of frames and holds two."""
    sound = make_animation("PNG", [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")])
    at = sound.index(b"acTL")
    told = b"acTL" + struct.pack(">LL", frames, 0)
    return sound[:at] + told + struct.pack(">L", zlib.crc32(told)) + sound[at + 16 :]


def make_profile_bomb(size: int) -> bytes:
    """A small PNG whose colour profile unpacks to so many bytes."""
    sound = make_image("PNG")
    chunk = b"iCCPx\0\0" + zlib.compress(bytes(size), 1)
    return sound[:33] + struct.pack(">L", len(chunk) - 4) + chunk + struct.pack(">L", zlib.crc32(chunk)) + sound[33:]


def pack_wav(frames: bytes, rate: int = 8000, n_channels: int = 1) -> bytes:
    """A WAV of these frames: 16 bits a sample, little end first."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(n_channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(frames)
    return out.getvalue()


def make_wav(seconds: float = 0.1, told: bytes = b"") -> bytes:
    """Silence, after which chunks may tell about it."""
    sound = pack_wav(b"\0\0" * int(8000 * seconds))
    return b"RIFF" + struct.pack("<L", len(sound) + len(told) - 8) + sound[8:] + told


def make_tones(seconds: float = 12.0) -> bytes:
    """A tone of 440 Hz that swells and dies away once in every two seconds, and is silent in every third of them."""
    rate = 8000
    frames = []
    for n in range(int(rate * seconds)):
        at = n / rate
        loud = 0.0 if int(at / 2) % 3 == 2 else math.sin(math.pi * (at % 2) / 2) ** 2
        frames.append(int(28_000 * loud * math.sin(2 * math.pi * 440 * at)))
    return pack_wav(struct.pack(f"<{len(frames)}h", *frames), rate)


def make_mp3(frames: int = 10, tag: bytes = b"") -> bytes:
    """MPEG 1 layer III, 128 kbit/s at 44,100 Hz, after an ID3 tag."""
    size = len(tag)
    head = b"ID3\x04\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])
    return head + tag + (b"\xff\xfb\x90\x00" + bytes(413)) * frames


def make_flac(told: bytes = b"") -> bytes:
    """A header, perhaps a comment, and the beginning of a frame."""
    comment = b"\x84" + len(told).to_bytes(3, "big") + told if told else b""
    return b"fLaC" + (b"\0" if told else b"\x80") + b"\0\0\x22" + bytes(34) + comment + b"\xff\xf8\x69\x08" + bytes(20)


def make_ogg(kind: bytes = b"OpusHead") -> bytes:
    """Two pages of one stream."""

    def page(flags: int, data: bytes) -> bytes:
        return b"OggS\0" + bytes([flags]) + bytes(20) + b"\x01" + bytes([len(data)]) + data

    return page(2, kind + bytes(11)) + page(4, bytes(100))


def box(name: bytes, data: bytes) -> bytes:
    """An MP4 box."""
    return struct.pack(">L", 8 + len(data)) + name + data


def make_mp4(
    brand: bytes = b"isom", kind: bytes = b"vide", is_inside: bool = True, told: bytes = b"", track_told: bytes = b""
) -> bytes:
    """One track that says where its data is. `told`, `track_told`: boxes about the file, and about the track."""
    entry = box(b"url ", b"\0\0\0\x01" if is_inside else b"\0\0\0\0http://127.0.0.1/\0")
    dinf = box(b"dinf", box(b"dref", b"\0\0\0\0\0\0\0\x01" + entry))
    media = box(b"mdia", box(b"hdlr", bytes(8) + kind + bytes(12)) + box(b"minf", dinf))
    return (
        box(b"ftyp", brand + bytes(4) + brand)
        + box(b"moov", box(b"mvhd", bytes(100)) + box(b"trak", media + track_told) + told)
        + box(b"mdat", bytes(50))
    )


def element(name: int, data: bytes) -> bytes:
    """A Matroska element with a size of eight bytes."""
    length = (name.bit_length() + 7) // 8
    return name.to_bytes(length, "big") + b"\x01" + len(data).to_bytes(7, "big") + data


def make_webm(codec: bytes = b"V_VP9", doc_type: bytes = b"webm", told: bytes = b"") -> bytes:
    """Perhaps tags, one track and one cluster."""
    tracks = element(0x1654AE6B, element(0xAE, element(0x86, codec)))
    cluster = element(0x1F43B675, element(0xE7, b"\0") + element(0xA3, bytes(20)))
    return element(0x1A45DFA3, element(0x4282, doc_type)) + element(0x18538067, told + tracks + cluster)


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def make_video(frames: list[Image.Image], fps: int = 25) -> bytes:
    """A WebM that plays these pictures, all of one size: each one a key frame of VP8, as lossy WebP holds it."""
    width, height = frames[0].size
    head = element(
        0x1A45DFA3,
        b"".join(
            [
                element(0x4286, _number(1)),
                element(0x42F7, _number(1)),
                element(0x42F2, _number(4)),
                element(0x42F3, _number(8)),
                element(0x4282, b"webm"),
                element(0x4287, _number(2)),
                element(0x4285, _number(2)),
            ]
        ),
    )
    info = element(
        0x1549A966, element(0x2AD7B1, _number(1_000_000)) + element(0x4489, struct.pack(">d", len(frames) * 1000 / fps))
    )
    picture = element(0xE0, element(0xB0, _number(width)) + element(0xBA, _number(height)))
    track = (
        element(0xD7, _number(1))
        + element(0x73C5, _number(1))
        + element(0x83, _number(1))
        + element(0x86, b"V_VP8")
        + picture
    )
    body = info + element(0x1654AE6B, element(0xAE, track))
    cues = b""
    for n, frame in enumerate(frames):
        out = io.BytesIO()
        frame.convert("RGB").save(out, "WEBP", quality=70)
        start = out.getvalue().index(b"VP8 ") + 8
        size = int.from_bytes(out.getvalue()[start - 4 : start], "little")
        at = n * 1000 // fps
        place = element(0xB7, element(0xF7, _number(1)) + element(0xF1, _number(len(body))))
        cues += element(0xBB, element(0xB3, _number(at)) + place)
        body += element(
            0x1F43B675,
            element(0xE7, _number(at)) + element(0xA3, b"\x81\0\0\x80" + out.getvalue()[start : start + size]),
        )
    return head + element(0x18538067, body + element(0x1C53BB6B, cues))
