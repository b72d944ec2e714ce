"""Features of texts and images: against scikit-learn's TF-IDF, on the digits' real pixels, and on broken input."""

from __future__ import annotations

import doctest
import io
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from learning.algorithms import features, weights
from learning.algorithms.features import (
    KINDS,
    Features,
    ImageFeatures,
    TextFeatures,
    count_words,
    fit_features,
    fit_images,
    fit_text,
    pixels,
    words,
)

TEXTS = ["Buy now, buy cheap!", "good morning", "", "Guten Morgen, 早上好", "buy a good morning", "🙂 !!"]


def rows_of(fitted: TextFeatures, texts: list[str]) -> sparse.csr_matrix:
    return fitted.weigh(count_words(texts))


def encode(pixels: NDArray[np.uint8], kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def test_text_features_are_those_of_scikit_learn() -> None:
    vectorizer = HashingVectorizer(n_features=2**18, token_pattern=r"\w+", norm=None, alternate_sign=False)
    expected = TfidfTransformer(sublinear_tf=True).fit_transform(vectorizer.transform(TEXTS))
    found = rows_of(fit_text(count_words(TEXTS)), TEXTS)
    assert found.dtype == np.float32
    assert abs(found - expected).max() < 1e-6


def test_rows_have_length_one_or_no_words() -> None:
    X = fit_features(TEXTS, [None] * len(TEXTS)).transform(TEXTS, [None] * len(TEXTS))
    lengths = sparse.linalg.norm(X, axis=1)
    assert lengths == pytest.approx([1, 1, 0, 1, 1, 0], abs=1e-6)


def test_words_that_the_pool_lacked_get_columns_too() -> None:
    fitted = fit_text(count_words(["buy now"]))
    assert rows_of(fitted, ["entirely new words"]).nnz == 3


def test_word_of_a_single_text_does_not_count_in_a_large_pool() -> None:
    pool = ["common", *["common words"] * 99]
    alone = ["common peculiar"]
    assert rows_of(fit_text(count_words([*pool[1:], *alone])), alone).nnz == 1
    assert rows_of(fit_text(count_words([*pool[2:], *alone])), alone).nnz == 2


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.text(max_size=30), min_size=1, max_size=5))
def test_any_text_becomes_finite_numbers(texts: list[str]) -> None:
    X = rows_of(fit_text(count_words(texts)), texts)
    assert X.shape == (len(texts), 2**18)
    assert np.isfinite(X.data).all()


def test_empty_pool_has_no_rows() -> None:
    assert rows_of(fit_text(count_words([])), []).shape == (0, 2**18)
    assert fit_features([], []).transform([], []).shape == (0, 0)


def test_digits_keep_their_pixels() -> None:
    drawn = (load_digits().images[:20] * 15).astype(np.uint8)
    images = [encode(image) for image in drawn]
    fitted = fit_features([None] * 20, images)
    assert fitted.blocks["pixels"] == ImageFeatures(width=8, height=8, channels=1)
    np.testing.assert_allclose(fitted.transform([None] * 20, images), drawn.reshape(20, 64) / 255, atol=1e-6)


def test_large_images_shrink_to_their_mean() -> None:
    image = np.zeros((64, 64), np.uint8)
    image[:, 32:] = 200
    fitted = fit_images([encode(image)])
    assert fitted == ImageFeatures(width=32, height=32, channels=1)
    shrunk = fitted.weigh(fitted.read_all([encode(image)])).reshape(32, 32)
    np.testing.assert_allclose(shrunk[:, [0, 15, 16, 31]], [[0, 0, 200 / 255, 200 / 255]] * 32, atol=1e-6)


def test_one_colour_image_makes_the_pool_coloured() -> None:
    grey, red = np.full((4, 4), 51, np.uint8), np.zeros((2, 6, 3), np.uint8)
    red[:, :, 0] = 255
    fitted = fit_images([encode(grey), encode(red)])
    assert fitted == ImageFeatures(width=6, height=4, channels=3)
    X = fitted.weigh(fitted.read_all([encode(grey), encode(red)])).reshape(2, 24, 3)
    np.testing.assert_allclose(X[0], 0.2, atol=1e-6)
    np.testing.assert_allclose(X[1], [[1, 0, 0]] * 24, atol=1e-6)


def test_sixteen_bit_grey_keeps_its_brightness() -> None:
    image = np.array([[0, 65535], [32896, 257]], np.uint16)
    fitted = fit_images([encode(image)])  # type: ignore[arg-type]
    assert fitted == ImageFeatures(width=2, height=2, channels=1)
    assert fitted.read_all([encode(image)])[0].tolist() == [0, 255, 128, 1]  # type: ignore[arg-type]


def test_image_on_its_side_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to show
    lying = np.zeros((2, 4), np.uint8)
    lying[:, 0] = 255  # the left edge becomes the top
    data = encode(lying, "PNG", exif=exif)
    fitted = fit_images([data])
    assert fitted == ImageFeatures(width=2, height=4, channels=1)
    assert fitted.read_all([data])[0].tolist() == [255, 255, 0, 0, 0, 0, 0, 0]


def test_broken_images_count_as_black(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encode(np.full((8, 8), 255, np.uint8))
    too_large = encode(np.full((80, 80), 255, np.uint8))
    monkeypatch.setattr(pixels, "MAX_PIXELS", 1000)
    broken = [b"", b"<svg/>", whole[:40], whole[:-20], too_large, None]
    fitted = fit_features([None] * 7, [whole, *broken])
    assert fitted.blocks["pixels"] == ImageFeatures(width=8, height=8, channels=1)
    X = fitted.transform([None] * 7, [whole, *broken])
    assert X.min(axis=1).tolist() == X.max(axis=1).tolist() == [1, 0, 0, 0, 0, 0, 0]


def test_pool_of_broken_images_has_no_image_columns() -> None:
    assert fit_features([None], [b"nothing"]).n_features == 0


def test_mixed_items_have_both_side_by_side() -> None:
    white = encode(np.full((4, 4), 255, np.uint8))
    fitted = fit_features(["buy now", None], [None, white])
    X = sparse.csr_matrix(fitted.transform(["buy now", None], [None, white])).toarray()
    assert X.shape == (2, 2**18 + 16)
    assert fitted.spans == {"words": slice(0, 2**18), "pixels": slice(2**18, 2**18 + 16)}
    assert (X[1, fitted.spans["words"]].any(), X[0, fitted.spans["pixels"]].any()) == (False, False)
    np.testing.assert_allclose(np.linalg.norm(X, axis=1), [1, 1], atol=1e-6)
    np.testing.assert_allclose(X[1, -16:], 0.25, atol=1e-6)


def test_texts_and_images_must_match() -> None:
    with pytest.raises(ValueError, match=r"^2 texts and 1 images: must be one of each per item$"):
        fit_features(["a", "b"], [None, None]).transform(["a", "b"], [None])


@pytest.mark.parametrize(
    ("texts", "images"),
    [
        (["buy now", "good"], [None, None]),
        ([None, None], [encode(np.full((3, 5), 9, np.uint8)), None]),
        (["buy now", None], [None, encode(np.full((3, 5), 9, np.uint8))]),
    ],
)
def test_stored_features_come_back_as_they_were(texts: list[str | None], images: list[bytes | None]) -> None:
    fitted = fit_features(texts, images)
    data = weights.pack(*fitted.to_arrays())
    again = Features.from_arrays(*weights.unpack(data, weights.sha256(data)))
    assert abs(fitted.transform(texts, images) - again.transform(texts, images)).max() == 0


def test_card_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the card describes 'logistic', not features$"):
        Features.from_arrays({}, {"kind": "logistic"})


def test_blocks_made_in_another_way_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, card = fit_features(["buy now"], [None]).to_arrays()
    monkeypatch.setattr(TextFeatures, "VERSION", TextFeatures.VERSION + 1)
    with pytest.raises(ValueError, match=r"^the block 'words' was made in another way than now$"):
        Features.from_arrays(arrays, card)


def test_a_kind_of_feature_is_a_class_and_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lengths(ImageFeatures):
        """As wide as one number."""

    monkeypatch.setitem(KINDS, "lengths", Lengths)
    made = Features({"lengths:a": Lengths(1, 1, 1), "lengths:b": Lengths(2, 1, 1)})
    X = made.join({"lengths:a": np.array([[255]]), "lengths:b": np.array([[0, 255]])}, 1)
    np.testing.assert_allclose(X, [[1, 0, 0.5**0.5]])  # each at most 1 long, dense as both are
    assert made.spans == {"lengths:a": slice(0, 1), "lengths:b": slice(1, 3)}
    assert Features.from_arrays(*made.to_arrays()).blocks == made.blocks


@pytest.mark.parametrize("module", [features, words])
def test_examples_in_the_docstrings_hold(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0
