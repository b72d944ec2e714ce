"""Images as their pixels, all at one small size."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from learning.algorithms.features.block import FloatArray

MAX_SIDE = 32
# Above this an image is not decoded: 50 megapixels unpack to 150 MB.
MAX_PIXELS = 50_000_000
_EXIF_ORIENTATION = 0x0112
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")

ImageFile = bytes | Path
Size = tuple[int, int, int]  # width and height of 1 to 32, channels of 1 (grey) or 3; all 0 where there is no image
NO_SIZE: Size = (0, 0, 0)
LARGEST: Size = (MAX_SIDE, MAX_SIDE, 3)


class UnreadableImageError(ValueError):
    """The bytes are no image that can be shown safely."""


@dataclass(frozen=True)
class ImageFeatures:
    """Pixels at one size for a whole pool. Rows: pixels, 0 black to 255 white.

    Attributes
    ----------
    width, height : int
        1 to 32; every image is resized to this, whatever its proportions.
    channels : int
        1 grey, 3 colour.
    """

    # Pixels are stored: raise this whenever `read` gives others for any image.
    VERSION: ClassVar[int] = 1
    width: int
    height: int
    channels: int

    @property
    def n_features(self) -> int:
        return self.width * self.height * self.channels

    @property
    def is_sparse(self) -> bool:
        return False

    @property
    def length(self) -> float:
        """Of a white image."""
        return float(np.sqrt(self.n_features))

    def weigh(self, rows: NDArray[np.uint8]) -> FloatArray:
        """Dense float32, 0 black to 1 white."""
        return rows.astype(np.float32) / np.float32(255)

    def read(self, image: ImageFile) -> tuple[NDArray[np.uint8], Size]:
        """An image's row, (height * width * channels,), and its own size.

        One that cannot be read is black, and has no size: one bad upload must not stop a round. Raises OSError where
        a path leads to no file.
        """
        try:
            with _open_image(image) as opened:
                size = _size_of(opened)
                # A JPEG can be decoded at a fraction of its size; other formats ignore this.
                opened.draft(None, (2 * MAX_SIDE, 2 * MAX_SIDE))
                upright = ImageOps.exif_transpose(opened)
                wanted = _to_eight_bits(upright).convert("L" if self.channels == 1 else "RGB")
                small = wanted.resize((self.width, self.height), Image.Resampling.BOX, reducing_gap=2.0)
        except UnreadableImageError:
            return np.zeros(self.n_features, np.uint8), NO_SIZE
        return np.asarray(small, np.uint8).ravel(), size

    def read_all(self, images: Sequence[ImageFile | None]) -> NDArray[np.uint8]:
        """Rows of images, (n_images, height * width * channels); None is black."""
        rows = np.zeros((len(images), self.n_features), np.uint8)
        for row, image in zip(rows, images, strict=True):
            if image is not None:
                row[:], _size = self.read(image)
        return rows

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        return {}, {"size": [self.width, self.height, self.channels]}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> Self:
        return cls(*card["size"])


def fit_images(images: Iterable[ImageFile]) -> ImageFeatures | None:
    """Choose the size for a pool: as wide and as high as its largest image, at most 32; colour if any has colour.

    Only headers are read. None where no image can be read.
    """
    return fit_sizes(read_size(image) for image in images)


def fit_sizes(sizes: Iterable[Size]) -> ImageFeatures | None:
    """As `fit_images`, of sizes that are known; no more of them are asked for than can matter."""
    largest = NO_SIZE
    for size in sizes:
        largest = (max(largest[0], size[0]), max(largest[1], size[1]), max(largest[2], size[2]))
        if largest == LARGEST:
            break
    return ImageFeatures(*largest) if all(largest) else None


def read_size(image: ImageFile) -> Size:
    """The size of an image, cut off at 32, from its header. Raises OSError where a path leads to no file."""
    with suppress(UnreadableImageError), _open_image(image) as opened:
        return _size_of(opened)
    return NO_SIZE


def _size_of(image: Image.Image) -> Size:
    # EXIF orientations 5 to 8 lie on their side.
    is_turned = image.getexif().get(_EXIF_ORIENTATION, 1) >= 5
    width, height = image.size[::-1] if is_turned else image.size
    is_grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    return min(width, MAX_SIDE), min(height, MAX_SIDE), 1 if is_grey else 3


@contextmanager
def _open_image(image: ImageFile) -> Iterator[Image.Image]:
    """An image whose header was read; the pixels are decoded when asked for."""
    with image.open("rb") if isinstance(image, Path) else io.BytesIO(image) as file:
        try:
            with Image.open(file, formats=_FORMATS) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise UnreadableImageError(f"{opened.width} x {opened.height} pixels are more than {MAX_PIXELS:,}")
                yield opened
        except UnreadableImageError:
            raise
        except Exception as error:  # decoders meet broken and hostile files with errors of every kind
            raise UnreadableImageError(str(error)) from error


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Deeper greys keep their brightness instead of being cut off at 255."""
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image, np.float64)
    return Image.fromarray(np.clip(values / 257, 0, 255).astype(np.uint8))
