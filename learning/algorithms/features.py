"""Items to numbers: hashed words for texts, pixels for images, both side by side for items that have both.

A feature space is fitted once on a pool and stored, so that a model and its scores stay comparable until it is fitted
anew. Texts need no vocabulary: a hash says which column a word is, and only the column weights are fitted.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer

N_HASHED = 2**18
# Counts are stored (`learning/feature_files.py`): raise this whenever `count_words` gives other counts for any text.
COUNTS_VERSION = 1
# Words to a column. Pairs made it worse on four labelled files at up to 1,000 labels (mean macro-F1 of a margin curve
# .50 against .54 on 24,783 tweets, .79 against .83 on 4,185 dialogue turns): too many columns for so few labels.
MAX_WORDS = 1
# A word of one text only cannot carry over to another, but takes its part of the row's length: worth .01 to .03 of
# macro-F1 on the tweets. A pool under 100 texts is too small to tell which words are rare.
MIN_TEXTS = 2
SMALL_POOL = 100
MAX_SIDE = 32
# Above this an image is not decoded: 50 megapixels unpack to 150 MB.
MAX_PIXELS = 50_000_000
_EXIF_ORIENTATION = 0x0112
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "WEBP")

FloatArray = NDArray[np.float32]
Matrix: TypeAlias = sparse.csr_matrix | FloatArray


class UnreadableImageError(ValueError):
    """The bytes are no image that can be shown safely."""


@dataclass(frozen=True, eq=False)
class TextFeatures:
    """Hashed TF-IDF of words.

    Attributes
    ----------
    idf : ndarray of float32, (2**18,)
        Weight of each column: ``ln((1 + n) / (1 + df)) + 1``, as in scikit-learn's smoothed form; 0 for a word of
        fewer than two texts in a pool of 100 or more.
    """

    idf: FloatArray

    @property
    def n_features(self) -> int:
        return len(self.idf)

    def weigh(self, counts: sparse.csr_matrix) -> sparse.csr_matrix:
        """Counts to features: ``(1 + ln count) * idf``, each row scaled to length 1 (a row without words stays 0)."""
        weighted = counts.astype(np.float32, copy=True)
        weighted.data = (1 + np.log(weighted.data)) * self.idf[weighted.indices]
        weighted.eliminate_zeros()
        lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
        weighted.data /= np.repeat(lengths, np.diff(weighted.indptr)).astype(np.float32)
        return weighted

    def transform(self, texts: Iterable[str]) -> sparse.csr_matrix:
        """CSR float32, (n_texts, 2**18)."""
        return self.weigh(count_words(texts))


@dataclass(frozen=True)
class ImageFeatures:
    """Pixels at one size for a whole pool.

    Attributes
    ----------
    width, height : int
        1 to 32; every image is resized to this, whatever its proportions.
    channels : int
        1 grey, 3 colour.
    """

    width: int
    height: int
    channels: int

    @property
    def n_features(self) -> int:
        return self.width * self.height * self.channels

    def transform(self, images: Sequence[bytes | None]) -> FloatArray:
        """Dense float32, (n_images, height * width * channels), 0 black to 1 white.

        None and bytes that cannot be read become all zeros: one bad upload must not stop a round.
        """
        pixels = np.zeros((len(images), self.n_features), np.float32)
        for row, data in zip(pixels, images, strict=True):
            if data is not None:
                with suppress(UnreadableImageError):
                    row[:] = self._read(data)
        return pixels

    def _read(self, data: bytes) -> FloatArray:
        with _open_image(data) as image:
            # A JPEG can be decoded at a fraction of its size; other formats ignore this.
            image.draft(None, (2 * MAX_SIDE, 2 * MAX_SIDE))
            upright = ImageOps.exif_transpose(image)
            wanted = _to_eight_bits(upright).convert("L" if self.channels == 1 else "RGB")
            small = wanted.resize((self.width, self.height), Image.Resampling.BOX, reducing_gap=2.0)
        return np.asarray(small, np.float32).ravel() / np.float32(255)


@dataclass(frozen=True, eq=False)
class Features:
    """The feature space of a pool: text columns, then image columns; a kind that no item has takes no columns.

    Examples
    --------
    >>> features = fit_features(["buy now", "good morning", "buy buy"], [None] * 3)
    >>> X = features.transform(["buy now"], [None])
    >>> X.shape, X.nnz
    ((1, 262144), 2)
    >>> arrays, card = features.to_arrays()
    >>> (Features.from_arrays(arrays, card).transform(["buy now"], [None]) != X).nnz
    0
    """

    text: TextFeatures | None
    image: ImageFeatures | None

    @property
    def n_features(self) -> int:
        return sum(part.n_features for part in (self.text, self.image) if part is not None)

    def transform(self, texts: Sequence[str | None], images: Sequence[bytes | None]) -> Matrix:
        """One row for each item.

        Parameters
        ----------
        texts : sequence of str or None, (n_items,)
            All texts of an item as one; None counts as empty.
        images : sequence of bytes or None, (n_items,)
            An encoded image file; None and unreadable ones count as black.

        Returns
        -------
        csr_matrix or ndarray of float32, (n_items, n_features)
            Dense where there are pixels only. Items that have both: pixels are scaled so that a white image is as long
            as a text, 1, and neither kind drowns the other.

        Raises
        ------
        ValueError
            If texts and images differ in length.
        """
        if len(texts) != len(images):
            raise ValueError(f"{len(texts)} texts and {len(images)} images: must be one of each per item")
        words = None if self.text is None else self.text.transform(text or "" for text in texts)
        pixels = None if self.image is None else self.image.transform(images)
        return self.join(words, pixels, len(texts))

    def join(self, words: sparse.csr_matrix | None, pixels: FloatArray | None, n_items: int) -> Matrix:
        """What `transform` returns, of parts that were made before; None for a part that this space does not have."""
        if words is None:
            return np.zeros((n_items, 0), np.float32) if pixels is None else pixels
        if pixels is None:
            return words
        return sparse.hstack([words, sparse.csr_matrix(pixels / np.sqrt(pixels.shape[1]))], format="csr")

    def to_arrays(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """For `weights.pack`."""
        arrays: dict[str, NDArray[Any]] = {} if self.text is None else {"idf": self.text.idf}
        image = self.image
        size = None if image is None else [image.width, image.height, image.channels]
        return arrays, {"kind": "features", "text": self.text is not None, "image": size}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], card: Mapping[str, Any]) -> Features:
        """The inverse of `to_arrays`."""
        if card.get("kind") != "features":
            raise ValueError(f"the card describes {card.get('kind')!r}, not features")
        return cls(
            TextFeatures(arrays["idf"]) if card["text"] else None,
            ImageFeatures(*card["image"]) if card["image"] else None,
        )


def fit_features(texts: Sequence[str | None], images: Sequence[bytes | None]) -> Features:
    """Fit the feature space of a pool.

    Parameters
    ----------
    texts, images : as in `Features.transform`

    Returns
    -------
    Features
        Without text columns where every text is None, without image columns where no image can be read.
    """
    has_text = any(text is not None for text in texts)
    return Features(
        fit_text(count_words(text or "" for text in texts)) if has_text else None,
        fit_images(data for data in images if data is not None),
    )


def count_words(texts: Iterable[str]) -> sparse.csr_matrix:
    """Count words under their hashes.

    Parameters
    ----------
    texts : iterable of str

    Returns
    -------
    csr_matrix of float32, (n_texts, 2**18)
        Counts from 1 up. A word is any run of letters, digits and underscores, in lower case.

    References
    ----------
    Weinberger et al. (2009), Feature Hashing for Large Scale Multitask Learning, ICML, arXiv:0902.2206.

    Examples
    --------
    >>> counts = count_words(["buy buy now", ""])
    >>> sorted(counts[0].data.tolist()), counts[1].nnz
    ([1.0, 2.0], 0)
    """
    # Signed hashes would cancel each other out in the logarithm of the counts.
    vectorizer = HashingVectorizer(
        n_features=N_HASHED,
        ngram_range=(1, MAX_WORDS),
        token_pattern=r"\w+",  # noqa: S106
        norm=None,
        alternate_sign=False,
        dtype=np.float32,
    )
    rows = list(texts)
    if not rows:
        return sparse.csr_matrix((0, N_HASHED), dtype=np.float32)
    return vectorizer.transform(rows)


def fit_text(counts: sparse.csr_matrix) -> TextFeatures:
    """Weigh columns by how rare they are in a pool; an empty pool weighs all alike."""
    n_texts, n_columns = counts.shape
    n_with = np.bincount(counts.indices, minlength=n_columns)
    idf = np.log((1 + n_texts) / (1 + n_with)) + 1
    if n_texts >= SMALL_POOL:
        idf[n_with < MIN_TEXTS] = 0
    return TextFeatures(idf.astype(np.float32))


def fit_images(images: Iterable[bytes]) -> ImageFeatures | None:
    """Choose the size for a pool: as wide and as high as its largest image, at most 32; colour if any has colour.

    Only headers are read. None where no image can be read.
    """
    width = height = 0
    channels = 1
    for data in images:
        with suppress(UnreadableImageError), _open_image(data) as image:
            # EXIF orientations 5 to 8 lie on their side.
            is_turned = image.getexif().get(_EXIF_ORIENTATION, 1) >= 5
            size = image.size[::-1] if is_turned else image.size
            width, height = max(width, min(size[0], MAX_SIDE)), max(height, min(size[1], MAX_SIDE))
            is_grey = image.mode in ("1", "L", "LA") or image.mode.startswith("I")
            channels = max(channels, 1 if is_grey else 3)
    return ImageFeatures(width, height, channels) if width and height else None


@contextmanager
def _open_image(data: bytes) -> Iterator[Image.Image]:
    """An image whose header was read; the pixels are decoded when asked for."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableImageError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}")
            yield image
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
