"""The 1,797 handwritten digits that ship inside scikit-learn, as PNG images with known answers.

scikit-learn is imported when the images are asked for, never before: a web node runs without it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

ATTRIBUTION: Final = (
    "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak (1998), UCI Machine Learning Repository, "
    "https://doi.org/10.24432/C50P49, licensed under CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)."
)
N_DIGITS: Final = 1797
SIDE_PIXELS: Final = 64  # each of the 8x8 source pixels becomes a square of 8x8
_DARKEST: Final = 16  # the source counts inked pixels in blocks of 4x4, so 0 to 16


@dataclass(frozen=True, slots=True)
class DigitImage:
    """One image: `png` is its file, 64x64 greyscale, dark ink on white; `answer` is "0" to "9"."""

    external_id: str
    png: bytes
    answer: str


def iterate_digits() -> Iterator[DigitImage]:
    """All 1,797 images in scikit-learn's order, `digit-0001` to `digit-1797`.

    The pixels are always the same; the bytes are too for one version of Pillow and the zlib inside it, so an image that
    is already stored is to be known by its external id, not by its hash. Raises ImportError without the extra `ml`.
    Source: `sklearn.datasets.load_digits`, a copy of the test set of the UCI data (see `ATTRIBUTION`).
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    # dark on white, as the writers saw it: the source has 16 for ink
    shades = np.rint(255 - digits.images * (255 / _DARKEST)).astype(np.uint8)
    for number, (pixels, target) in enumerate(zip(shades, digits.target, strict=True), start=1):
        image = Image.fromarray(pixels).resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.NEAREST)
        buffer = io.BytesIO()
        image.save(buffer, format="PNG", compress_level=9)
        yield DigitImage(external_id=f"digit-{number:04d}", png=buffer.getvalue(), answer=str(int(target)))
