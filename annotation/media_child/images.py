"""Images: decoded as a whole and written anew, so that what is kept is the picture and nothing else.

EXIF orientation is applied and colours are brought to sRGB; then every other thing that a file can carry (EXIF with its
position, XMP, IPTC, C2PA, comments, previews, profiles, a second file at the end) is gone. An animation stays one,
because a later frame may be the one that matters.
"""

from __future__ import annotations

import contextlib
import io
import struct
from typing import Any

# The child may open no file once it is confined: everything that Pillow would import later is imported now.
from PIL import (  # noqa: F401
    ExifTags,
    GifImagePlugin,
    Image,
    ImageChops,
    ImageCms,
    ImageFile,
    ImageOps,
    ImagePalette,
    ImageSequence,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from annotation.media_child.limits import Limits, RefusedError

Image.preinit()

FORMATS = {"image/jpeg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}

_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_JPEG_QUALITY = 95  # where the tables of the file itself cannot be used
_NO_METADATA: dict[str, dict[str, Any]] = {
    "JPEG": {"comment": b"", "exif": b"", "icc_profile": None},
    "PNG": {"icc_profile": None},
    "WEBP": {"exif": b"", "icc_profile": "", "xmp": b""},
    "GIF": {"comment": b"", "extension": None},
}

# Frames that share one palette keep it; Pillow's default turns every later frame into RGB and guesses a palette anew.
GifImagePlugin.LOADING_STRATEGY = GifImagePlugin.LoadingStrategy.RGB_AFTER_DIFFERENT_PALETTE_ONLY


def reencode(data: bytes, mime: str, limits: Limits) -> tuple[int, int, bytes]:
    """Return width and height in pixels as shown, and the image anew in the same format.

    RefusedError where it is too large, has too many frames, cannot be decoded as a whole, or where bytes follow after
    the end in a format that has no use for them (PNG, GIF, WebP): there a second file hides in a polyglot. What cameras
    append to a JPEG is left out. MemoryError is the caller's.
    """
    if mime == "image/gif" and _count_gif_frames(data, limits.frames) > limits.frames:
        raise RefusedError("frames")  # before Pillow, which would look at every one of a million
    try:
        with Image.open(io.BytesIO(data), formats=[FORMATS[mime]]) as image:
            n_frames = 1 if mime == "image/jpeg" else int(getattr(image, "n_frames", 1))
            _check_size(image.width, image.height, n_frames, limits)
            if n_frames > 1:
                shown, body = image.size, _write_animation(image, data, n_frames, mime)
            else:
                shown, body = _write_still(image, data, mime)
    except (RefusedError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RefusedError("pixels") from error
    except UnidentifiedImageError as error:
        raise RefusedError("none") from error
    except Exception as error:  # whatever a decoder does on hostile bytes, the answer is the same
        raise RefusedError("damaged") from error
    if _has_trailing_bytes(data, mime):
        raise RefusedError("trailing")
    return *shown, body


def _check_size(width: int, height: int, n_frames: int, limits: Limits) -> None:
    if width * height > limits.pixels:
        raise RefusedError("pixels")
    if n_frames > limits.frames:
        raise RefusedError("frames")
    if n_frames > 1 and n_frames * width * height > limits.frame_pixels:
        raise RefusedError("frame_pixels")


def _write_still(image: Image.Image, data: bytes, mime: str) -> tuple[tuple[int, int], bytes]:
    image.load()
    options = dict(_NO_METADATA[FORMATS[mime]])
    if mime == "image/webp":
        options |= _choose_webp(data) | {"exact": True}
    tables, sampling = _read_jpeg_tables(image)
    orientation = 1
    with contextlib.suppress(Exception):  # broken EXIF does not make the picture worse
        orientation = image.getexif().get(_ORIENTATION, 1)
    picture = _to_srgb(image)
    if orientation in _TURNS:
        picture = picture.transpose(_TURNS[orientation])
    elif picture is image:
        picture = image.copy()
    picture.info = {key: value for key, value in picture.info.items() if key == "transparency"}
    if mime != "image/jpeg":
        return picture.size, _save(picture, mime, options)
    if tables and image.mode == picture.mode:
        with contextlib.suppress(RefusedError):  # odd tables
            kept = {"qtables": tables, "subsampling": sampling}
            return picture.size, _save(picture, mime, options | kept)
    return picture.size, _save(picture, mime, options | {"quality": _JPEG_QUALITY, "subsampling": 0})


def _read_jpeg_tables(image: Image.Image) -> tuple[dict[int, list[int]], int]:
    """The quantisation of the file: written with the same, a JPEG neither loses much nor grows."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return {}, 0
    sampling = JpegImagePlugin.get_sampling(image)
    return dict(image.quantization), sampling if sampling >= 0 or image.layers == 1 else 0


def _to_srgb(image: Image.Image) -> Image.Image:
    """The picture in the colours that it shows without its profile; itself where nothing is to do."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "RGBA", "CMYK"):
        with contextlib.suppress(Exception):  # a broken profile is as good as none
            found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" in ImageCms.getProfileDescription(found):
                return image
            mode = "RGB" if image.mode == "CMYK" else image.mode
            turned = ImageCms.profileToProfile(image, found, ImageCms.createProfile("sRGB"), outputMode=mode)
            if turned is not None:
                return turned
    return image.convert("RGB") if image.mode == "CMYK" else image


def _choose_webp(data: bytes) -> dict[str, Any]:
    """Lossless stays lossless, where `quality` is how hard to pack."""
    return {"method": 2, **({"lossless": True, "quality": 30} if b"VP8L" in _webp_names(data) else {"quality": 90})}


def _write_animation(image: Image.Image, data: bytes, n_frames: int, mime: str) -> bytes:
    """Every frame anew, with its duration. Pillow hands out frames as they are seen, so none builds on another."""
    durations, is_clear = [], False
    for place in range(n_frames):
        image.seek(place)
        image.load()
        durations.append(max(0, min(65_535, int(image.info.get("duration", 0)))))
        is_clear = is_clear or image.has_transparency_data
    image.seek(0)
    options = dict(_NO_METADATA[FORMATS[mime]]) | {"save_all": True, "duration": durations}
    if "loop" in image.info:
        options["loop"] = image.info["loop"]
    if mime == "image/webp":
        options |= _choose_webp(data)
    elif mime == "image/png":
        options |= {"disposal": 0, "blend": 0, "default_image": False}
    else:
        options["disposal"] = 2 if is_clear else 1  # what was seen through stays so
    return _save(image, mime, options)


def _save(image: Image.Image, mime: str, options: dict[str, Any]) -> bytes:
    """The file anew. RefusedError where the packer fails: the picture itself was read as a whole before."""
    out = io.BytesIO()
    try:
        image.save(out, FORMATS[mime], **options)
    except MemoryError:
        raise
    except Exception as error:
        raise RefusedError("writing") from error
    return out.getvalue()


# --- Where a file ends -----------------------------------------------------------------------------------------------


def _has_trailing_bytes(data: bytes, mime: str) -> bool:
    try:
        if mime == "image/png":
            end = _find_png_end(data)
        elif mime == "image/gif":
            end, _frames = _walk_gif(data)
        elif mime == "image/webp":
            length = int(struct.unpack_from("<L", data, 4)[0])
            end = 8 + length + length % 2
        else:
            return False  # cameras append previews and clips to a JPEG: they are left out
    except (struct.error, IndexError):
        return True  # its own structure leads nowhere
    return end < len(data)


def _find_png_end(data: bytes) -> int:
    at = 8
    while True:
        length, name = struct.unpack_from(">L4s", data, at)
        at += 12 + int(length)
        if name == b"IEND":
            return at


def _count_gif_frames(data: bytes, most: int) -> int:
    """The frames of a GIF, counted until they are more than `most`; 0 where its blocks lead nowhere."""
    try:
        return _walk_gif(data, most)[1]
    except IndexError:
        return 0


def _walk_gif(data: bytes, most: int | None = None) -> tuple[int, int]:
    """Where a GIF ends, and how many frames it has; stops once they are more than `most`. IndexError on broken ones."""
    at, frames = 13 + _gif_palette_bytes(data[10]), 0
    while data[at] != 0x3B:  # trailer
        if data[at] == 0x2C:  # image: descriptor, palette, one byte of code size, blocks
            frames += 1
            if most is not None and frames > most:
                break
            at += 10 + _gif_palette_bytes(data[at + 9]) + 1
        elif data[at] == 0x21:  # extension: label, blocks
            at += 2
        else:
            raise IndexError
        while data[at]:
            at += 1 + data[at]
        at += 1
    return at + 1, frames


def _gif_palette_bytes(flags: int) -> int:
    return 3 * (2 << (flags & 7)) if flags & 0x80 else 0


def _webp_names(data: bytes) -> set[bytes]:
    """The names of a WebP's chunks; of a frame, that of the first chunk in it."""
    at, names = 12, set()
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sL", data, at)
        names.add(data[at + 24 : at + 28] if name == b"ANMF" else name)
        at += 8 + int(length) + int(length) % 2
    return names
