"""What stands for a picture where the picture itself is too much: small, blurred, or many frames on one sheet.

The pictures that come in here are those that were kept, so `images.reencode` has looked at each of them before; the
frames of a video come from ffmpeg.
"""

from __future__ import annotations

import io
from typing import Any

from PIL import Image, UnidentifiedImageError

from annotation.media_child.images import FORMATS
from annotation.media_child.limits import CELL, POSTER, THUMB, Limits, RefusedError

# What is told about it, with its name; its bytes. All are WebP.
Made = tuple[dict[str, Any], bytes]

BLUR_CELLS = 8  # colours along the longest side: so few that no face, word or outline is left in what is sent
BLUR = 160
COLUMNS = 4
TINY = 64 * 64  # pixels up to which a picture is packed without loss, because each of them may matter


def make_previews(data: bytes, mime: str, names: list[str], limits: Limits) -> list[Made]:
    """Return those of `poster`, `thumb` and `blurred` that `names` holds, of the picture or of its first frame.

    None is larger than the picture, but the blurred one, which has 160 pixels along its longest side and the
    information of at most 8. RefusedError where the picture cannot be read.
    """
    largest = _open(data, mime, POSTER if "poster" in names else THUMB, limits)
    made: dict[str, Image.Image] = {"poster": largest}
    made["thumb"] = _shrink(largest, THUMB)
    made["blurred"] = _blur(made["thumb"])
    return [_pack(name, made[name]) for name in names]


def make_sheet(frames: list[bytes], limits: Limits) -> list[Made]:
    """Return one picture with the frames (PNG) in rows of four, each at most `CELL` pixels long; all have one size."""
    cells = [_open(frame, "image/png", CELL, limits) for frame in frames]
    width, height = cells[0].size
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width, rows * height))
    for place, cell in enumerate(cells):
        sheet.paste(cell.convert("RGB").resize((width, height)), (place % COLUMNS * width, place // COLUMNS * height))
    about, body = _pack("sheet", sheet)
    return [(about | {"columns": COLUMNS, "rows": rows}, body)]


def _open(data: bytes, mime: str, longest: int, limits: Limits) -> Image.Image:
    """The picture (the first frame of an animation) in RGB or RGBA, at most `longest` pixels long."""
    try:
        with Image.open(io.BytesIO(data), formats=[FORMATS[mime]]) as image:
            if image.width * image.height > limits.pixels:
                raise RefusedError("pixels")
            image.draft("RGB", (2 * longest, 2 * longest))  # a JPEG is read no larger than needed
            image.load()
            return _shrink(_plain(image), longest)
    except (RefusedError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise RefusedError("none") from error
    except Exception as error:  # whatever a decoder does on odd bytes, the answer is the same
        raise RefusedError("damaged") from error


def _plain(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey
        return image.point(lambda value: value * (1 / 256)).convert("L").convert("RGB")
    plain = image.convert("RGBA" if image.has_transparency_data else "RGB")
    plain.info = {}
    return plain


def _shrink(image: Image.Image, longest: int) -> Image.Image:
    if max(image.size) <= longest:
        return image
    return image.resize(_fit(image.size, longest), Image.Resampling.LANCZOS, reducing_gap=3.0)


def _blur(image: Image.Image) -> Image.Image:
    few = image.resize(_fit(image.size, BLUR_CELLS), Image.Resampling.BOX)
    return few.resize(_fit(image.size, BLUR), Image.Resampling.BICUBIC)


def _fit(size: tuple[int, int], longest: int) -> tuple[int, int]:
    width, height = size
    share = longest / max(size)
    return max(1, round(width * share)), max(1, round(height * share))


def _pack(name: str, image: Image.Image) -> Made:
    out = io.BytesIO()
    options = {"lossless": True} if image.width * image.height <= TINY else {"quality": 80}
    try:
        image.save(out, "WEBP", method=4, **options)
    except MemoryError:
        raise
    except Exception as error:
        raise RefusedError("writing") from error
    return {"name": name, "width": image.width, "height": image.height}, out.getvalue()
