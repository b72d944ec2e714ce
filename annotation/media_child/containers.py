"""Audio and video: the structure is walked from the first byte to the last, and nothing of sound or picture is changed.

A file passes where its own blocks cover it whole, name only data that is inside it, and hold what browsers play. That
leaves no place for a playlist, a page or a second file before, after or between, though a block may hold odd bytes.
FLAC frames do not say how long they are: there the walk ends where the first one begins.

Blocks that only tell about the file (the position that a telephone writes into MP4, ID3 tags) become what the format
has for unused room, filled with zeros: everything else stays where it was. Ogg has no such room, and keeps its
comments.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from annotation.media_child.limits import RefusedError

_WAV_FORMATS = (1, 3, 6, 7, 0xFFFE)  # PCM, float, A-law, mu-law, extensible
_OGG_AUDIO = (b"OpusHead", b"\x01vorbis", b"\x7fFLAC", b"Speex   ")


class Room(NamedTuple):
    """Bytes from `begin` to `end` that become unused: `head`, which says so, and zeros."""

    begin: int
    end: int
    head: bytes


def check(data: bytes, mime: str) -> tuple[str, bytes]:
    """Return the type and the file without what only tells about it, b"" where it stays as it is.

    The type is more exact than `mime` where the tracks tell audio from video (MP4, WebM). RefusedError where unsound.
    `mime` is what the first bytes said: audio/mpeg, audio/ogg, audio/wav, audio/flac, video/mp4, video/webm.
    """
    rooms: list[Room] = []
    try:
        found = _CHECKS[mime](data, rooms)
    except (struct.error, IndexError, RecursionError) as error:
        raise RefusedError("damaged") from error
    kept = bytearray(data) if rooms else bytearray()
    for begin, end, head in rooms:
        kept[begin:end] = head + bytes(end - begin - len(head))
    return found, b"" if kept == data else bytes(kept)


# --- WAV -------------------------------------------------------------------------------------------------------------


_WAV_SOUND = frozenset((b"fmt ", b"data", b"fact", b"cue ", b"smpl", b"JUNK"))


def _check_wav(data: bytes, rooms: list[Room]) -> str:
    end = 8 + int(struct.unpack_from("<L", data, 4)[0])
    if end > len(data):
        raise RefusedError("damaged")
    if end + end % 2 < len(data):
        raise RefusedError("trailing")
    at, names = 12, []
    while at < end:
        name, size = struct.unpack_from("<4sL", data, at)
        if at + 8 + size > end:
            raise RefusedError("damaged")
        if name == b"fmt " and struct.unpack_from("<H", data, at + 8)[0] not in _WAV_FORMATS:
            raise RefusedError("codec")
        if name not in _WAV_SOUND:
            rooms.append(Room(at, at + 8 + size, b"JUNK" + data[at + 4 : at + 8]))
        names.append(name)
        at += 8 + size + size % 2
    if names.count(b"fmt ") != 1 or names.count(b"data") != 1:
        raise RefusedError("damaged")
    return "audio/wav"


# --- FLAC ------------------------------------------------------------------------------------------------------------


_FLAC_SOUND = (0, 1, 3)  # STREAMINFO, PADDING, SEEKTABLE


def _check_flac(data: bytes, rooms: list[Room]) -> str:
    at, place, is_last = 4, 0, False
    while not is_last:
        is_last, kind, size = bool(data[at] & 0x80), data[at] & 0x7F, int.from_bytes(data[at + 1 : at + 4], "big")
        if (place == 0) != (kind == 0) or (kind == 0 and size != 34):
            raise RefusedError("damaged")
        if kind not in _FLAC_SOUND:
            rooms.append(Room(at, at + 4 + size, bytes([data[at] & 0x80 | 1]) + data[at + 1 : at + 4]))
        at, place = at + 4 + size, place + 1
    if data[at] != 0xFF or data[at + 1] & 0xFE != 0xF8:  # the first frame begins here
        raise RefusedError("damaged")
    return "audio/flac"


# --- Ogg -------------------------------------------------------------------------------------------------------------


def _check_ogg(data: bytes, rooms: list[Room]) -> str:
    at, kinds = 0, []
    while at < len(data):
        if data[at : at + 5] != b"OggS\0":
            raise RefusedError("damaged" if at == 0 else "trailing")
        n_segments = data[at + 26]
        begin = at + 27 + n_segments
        if data[at + 5] & 2:  # the first page of a stream says what it is
            kinds.append(data[begin : begin + 8])
        at = begin + sum(data[at + 27 : begin])
    if at != len(data) or not kinds:
        raise RefusedError("damaged")
    if not all(kind.startswith(_OGG_AUDIO) for kind in kinds):
        raise RefusedError("codec")
    return "audio/ogg"


# --- MP3 -------------------------------------------------------------------------------------------------------------

_MP3_RATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1, layer III, kbit/s
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5, layer III
)
_MP3_SAMPLE_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_MP3_LEAST_FRAMES = 3


def _check_mp3(data: bytes, rooms: list[Room]) -> str:
    end = len(data)
    if data[-128:-125] == b"TAG":
        end -= 128
        rooms.append(Room(end, len(data), b"TAG"))
    at = 0
    while data[at : at + 3] == b"ID3":
        size = data[at + 6 : at + 10]
        if len(size) < 4 or max(size) > 0x7F:
            raise RefusedError("damaged")
        begin, footer = at, data[at + 5] & 0x10
        at += 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
        rooms.append(Room(begin + 5, at, bytes([footer]) + size))  # no further header, no frame: padding
        at += 10 if footer else 0
    while at < end and data[at] == 0:  # padding of the tag
        at += 1
    frames = 0
    while at + 4 <= end and (size_of_frame := _mp3_frame_size(data, at)):
        at += size_of_frame
        frames += 1
    if frames < _MP3_LEAST_FRAMES:
        raise RefusedError("damaged")
    if at < end and data[at : at + 8] == b"APETAGEX":
        begin, at = at, at + 32 + int(struct.unpack_from("<L", data, at + 12)[0])
        rooms.append(Room(begin, min(at, end), b""))
    if at < end and data[at:end].strip(b"\0"):
        raise RefusedError("trailing")
    return "audio/mpeg"  # a last frame that is cut off is common, and every player takes it


def _mp3_frame_size(data: bytes, at: int) -> int:
    """The size of the frame whose header is at `at`; 0 where there is none."""
    first, second, third = data[at], data[at + 1], data[at + 2]
    version, layer, rate, sampling = second >> 3 & 3, second >> 1 & 3, third >> 4, third >> 2 & 3
    if first != 0xFF or second < 0xE0 or version == 1 or layer != 1 or rate in (0, 15) or sampling == 3:
        return 0
    factor, rates = (144, _MP3_RATES[0]) if version == 3 else (72, _MP3_RATES[1])
    return factor * rates[rate] * 1000 // _MP3_SAMPLE_RATES[version][sampling] + (third >> 1 & 1)


# --- MP4 -------------------------------------------------------------------------------------------------------------

_MP4_TOP = frozenset(b"ftyp moov mdat free skip wide moof mfra sidx ssix styp pdin meta uuid emsg prft udta".split())
_MP4_FOLDERS = frozenset(b"moov trak mdia minf dinf".split())
_MP4_ABOUT = frozenset(b"udta meta uuid".split())  # what tells about a file or a track, where it was taken too
_MP4_BRANDS = (b"iso", b"mp4", b"avc1", b"M4V", b"M4A", b"dash", b"MSNV", b"dby1", b"3gp")


def _check_mp4(data: bytes, rooms: list[Room]) -> str:
    if not data[8:12].startswith(_MP4_BRANDS):
        raise RefusedError("codec")
    names: set[bytes] = set()
    tracks: set[bytes] = set()
    for name, begin, end in _mp4_boxes(data, 0, len(data), rooms):
        if name not in _MP4_TOP:
            raise RefusedError("damaged" if not names else "trailing")
        names.add(name)
        if name == b"moov":
            tracks |= _read_mp4_tracks(data, begin, end, rooms)
    if not names >= {b"moov", b"mdat"} or not tracks & {b"vide", b"soun"}:
        raise RefusedError("damaged")
    return "video/mp4" if b"vide" in tracks else "audio/mp4"


def _read_mp4_tracks(data: bytes, begin: int, end: int, rooms: list[Room]) -> set[bytes]:
    tracks = set()
    for name, inside, stop in _mp4_boxes(data, begin, end, rooms):
        if name in _MP4_FOLDERS:
            tracks |= _read_mp4_tracks(data, inside, stop, rooms)
        elif name == b"hdlr":
            tracks.add(data[inside + 8 : inside + 12])
        elif name == b"dref":
            for _name, entry, _stop in _mp4_boxes(data, inside + 8, stop, rooms):
                if not data[entry + 3] & 1:  # the data is said to be elsewhere: in a file, or behind an address
                    raise RefusedError("external")
    return tracks


def _mp4_boxes(data: bytes, begin: int, end: int, rooms: list[Room]) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name, the begin and the end of what each box holds; together they cover `begin` to `end`."""
    at = begin
    while at < end:
        size, name = struct.unpack_from(">L4s", data, at)
        inside = at + 8
        if size == 1:
            size, inside = struct.unpack_from(">Q", data, inside)[0], at + 16
        elif size == 0:  # up to the end
            size = end - at
        if size < inside - at or at + size > end:
            raise RefusedError("damaged")
        if name in _MP4_ABOUT:
            rooms.append(Room(at + 4, at + size, b"free" + data[at + 8 : inside]))
        yield name, inside, at + size
        at += size


# --- WebM ------------------------------------------------------------------------------------------------------------

_EBML, _DOC_TYPE, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x4282, 0x18538067, 0x1F43B675
_TRACKS, _TRACK, _CODEC, _TAGS, _INFO, _TITLE = 0x1654AE6B, 0xAE, 0x86, 0x1254C367, 0x1549A966, 0x7BA9
_VOID, _CRC = 0xEC, 0xBF
_WEBM_TOP = frozenset(
    # SeekHead, Info, Tracks, Cluster, Cues, Tags, Chapters, Void, CRC-32
    (0x114D9B74, _INFO, _TRACKS, _CLUSTER, 0x1C53BB6B, _TAGS, 0x1043A770, _VOID, _CRC)
)
_WEBM_IN_CLUSTER = frozenset((0xE7, 0xA7, 0xAB, 0xA3, 0xA0, 0x5854))
_WEBM_VIDEO = (b"V_VP8", b"V_VP9", b"V_AV1")
_WEBM_AUDIO = (b"A_VORBIS", b"A_OPUS")


def _check_webm(data: bytes, rooms: list[Room]) -> str:
    name, begin, end = _ebml_element(data, 0, len(data))
    inside = {one: data[first:last] for one, first, last in _ebml_elements(data, begin, end)}
    if name != _EBML or inside.get(_DOC_TYPE, b"").rstrip(b"\0") != b"webm":
        raise RefusedError("codec")
    name, begin, segment_end = _ebml_element(data, end, len(data))
    if name != _SEGMENT:
        raise RefusedError("damaged")
    if segment_end < len(data):
        raise RefusedError("trailing")
    codecs: list[bytes] = []
    n_clusters = 0
    at = begin
    while at < segment_end:
        name, inside_at, end = _ebml_element(data, at, segment_end)
        is_open = end == segment_end and name == _CLUSTER  # of unknown size, perhaps: what is in it is walked here
        if name not in _WEBM_TOP and not (n_clusters and name in _WEBM_IN_CLUSTER):
            raise RefusedError("damaged")
        if name == _TRACKS:
            codecs += _read_webm_codecs(data, inside_at, end)
        if name == _TAGS:
            rooms.append(_void(at, end))
        if name == _INFO:
            rooms += _find_title(data, inside_at, end)
        n_clusters += name == _CLUSTER
        at = inside_at if is_open else end
    if not codecs or not n_clusters:
        raise RefusedError("damaged")
    if not set(codecs) <= {*_WEBM_VIDEO, *_WEBM_AUDIO}:
        raise RefusedError("codec")
    return "video/webm" if set(codecs) & set(_WEBM_VIDEO) else "audio/webm"


def _void(begin: int, end: int) -> Room:
    """An unused element in place of one of 2 bytes or more."""
    width = 8 if end - begin >= 9 else 1
    return Room(begin, end, bytes([_VOID]) + (end - begin - 1 - width | 1 << 7 * width).to_bytes(width, "big"))


def _find_title(data: bytes, begin: int, end: int) -> list[Room]:
    """The title, and with it the sum that is right no more."""
    found = []
    for name, _inside, stop in _ebml_elements(data, begin, end):
        found.append((name, begin, stop))
        begin = stop
    if _TITLE not in (name for name, _begin, _stop in found):
        return []
    return [_void(begin, stop) for name, begin, stop in found if name in (_TITLE, _CRC)]


def _read_webm_codecs(data: bytes, begin: int, end: int) -> list[bytes]:
    return [
        data[first:last].rstrip(b"\0")
        for name, track, stop in _ebml_elements(data, begin, end)
        if name == _TRACK
        for inner, first, last in _ebml_elements(data, track, stop)
        if inner == _CODEC
    ]


def _ebml_elements(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    at = begin
    while at < end:
        name, inside, stop = _ebml_element(data, at, end)
        yield name, inside, stop
        at = stop


def _ebml_element(data: bytes, at: int, end: int) -> tuple[int, int, int]:
    """The id of the element at `at`, and where what it holds begins and ends: at `end` where its size is unknown."""
    length = 9 - data[at].bit_length()
    if length > 4:
        raise RefusedError("damaged")
    name = int.from_bytes(data[at : at + length], "big")
    at += length
    width = 9 - data[at].bit_length()
    if width > 8:
        raise RefusedError("damaged")
    size = int.from_bytes(data[at : at + width], "big") & ~(1 << 7 * width)
    inside = at + width
    stop = end if size == (1 << 7 * width) - 1 else inside + size
    if stop > end:
        raise RefusedError("damaged")
    return name, inside, stop


_CHECKS = {
    "audio/wav": _check_wav,
    "audio/flac": _check_flac,
    "audio/ogg": _check_ogg,
    "audio/mpeg": _check_mp3,
    "video/mp4": _check_mp4,
    "video/webm": _check_webm,
}
