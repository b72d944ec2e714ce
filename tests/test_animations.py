"""Which pictures move, told by their first bytes as they are kept."""

from __future__ import annotations

import pytest
from PIL import Image

from annotation.animations import HEAD, shows_animation
from annotation.media_child.images import reencode
from annotation.media_child.limits import Limits
from tests.media_files import make_animation, make_image

FRAMES = [Image.effect_noise((64, 48), 80).convert("RGB") for _ in range(3)]
MIMES = {"GIF": "image/gif", "PNG": "image/png", "WEBP": "image/webp"}


@pytest.mark.parametrize("kind", MIMES)
def test_an_animation_is_told_from_a_still_as_it_is_kept(kind: str) -> None:
    moving, still = make_animation(kind, FRAMES), make_image(kind, (64, 48))
    kept = [reencode(data, MIMES[kind], Limits())[2] for data in (moving, still)]
    assert [shows_animation(data[:HEAD]) for data in kept] == [True, False]


def test_a_gif_that_plays_once_is_one() -> None:
    once = make_animation("GIF", FRAMES)
    assert shows_animation(once.replace(b"NETSCAPE2.0", b"ELSEWHERE.0"))


@pytest.mark.parametrize("head", [b"", b"GIF89a", b"RIFF\0\0\0\0WEBPVP8X", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"])
def test_what_is_cut_off_or_something_else_is_none(head: bytes) -> None:
    assert not shows_animation(head)
