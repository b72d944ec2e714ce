"""Whether a picture moves, by the first bytes of the file as it is kept: the desk shows such a one still at first."""

from __future__ import annotations

from functools import lru_cache

from annotation.media import media_path

HEAD = 2048  # bytes; the colours of a GIF are within the first 800


@lru_cache(maxsize=10_000)
def is_animation(project_id: int, sha256: str) -> bool:
    """Whether a file that is kept is an animation; False where there is none. What lies under a hash never changes."""
    try:
        with media_path(project_id, sha256).open("rb") as file:
            return shows_animation(file.read(HEAD))
    except FileNotFoundError:
        return False


def shows_animation(head: bytes) -> bool:
    """Whether these are the first bytes of an animated GIF, PNG or WebP. False for anything else, and for b""."""
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X":
        return len(head) > 20 and bool(head[20] & 0x02)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"acTL" in head.partition(b"IDAT")[0]
    return head[:4] == b"GIF8" and _repeats_or_waits(head)


def _repeats_or_waits(gif: bytes) -> bool:
    """Whether a GIF is played again and again, or stays on its first picture for a while before the next."""
    at = 13 + (3 << (gif[10] & 7) + 1 if len(gif) > 10 and gif[10] & 0x80 else 0)
    while gif[at : at + 1] == b"\x21":
        waits = gif[at + 1 : at + 2] == b"\xf9" and gif[at + 4 : at + 6] not in (b"", b"\0\0")
        if waits or gif[at + 3 : at + 14] == b"NETSCAPE2.0":
            return True
        at += 2
        while gif[at : at + 1] not in (b"\0", b""):  # blocks, each with its length before it
            at += 1 + gif[at]
        at += 1
    return False
