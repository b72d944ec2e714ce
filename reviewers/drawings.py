"""Answers that words alone do not show: spans in their text, boxes on their image, times, an order. For pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from annotation.kinds import Question
from annotation.kinds.choice_tree import choice_texts
from annotation.models import Media, Project

CONTEXT = 80  # code points shown before and after a span of a long text
Row = dict[str, Any]
Sizes = Mapping[str, tuple[int, int]]


def image_sizes(project: Project, parts: Sequence[Row]) -> dict[str, tuple[int, int]]:
    """Width and height in pixels, by SHA-256, of those images among the parts that are known."""
    wanted = [part["media"] for part in parts if part["kind"] == "image" and "media" in part]
    found = Media.objects.filter(project=project, sha256__in=wanted)
    sizes = found.values_list("sha256", "width", "height")
    return {sha256: (width, height) for sha256, width, height in sizes if width and height}


def draw_answer(question: Question, value: Any, parts: Sequence[Row], sizes: Sizes) -> Row | None:
    """What `reviewers/_drawing.html` shows of an answer (as callers send it); None where its words say all.

    `parts` are those of the item as a lease shows them, empty where the content is gone. A drawing is `{"kind", ...}`,
    and `is_whole` where it says all that the words say. Marks may have a `standing` (`reviewers/mark_standings.py`).
    """
    draw = _DRAWERS.get(question["kind"])
    drawn = draw(question, value, parts, sizes) if draw else None
    return drawn and {"kind": question["kind"], **drawn}


def _draw_spans(question: Question, value: Any, parts: Sequence[Row], sizes: Sizes) -> Row | None:
    """Each text with marks as fragments: `{"text", "is_marked", "is_split", "labels": of the spans that end here}`."""
    texts = choice_texts(question)
    drawn = []
    for part in parts:
        spans = [span for span in value if span["part"] == part["name"]]
        if spans and part["kind"] == "text":
            drawn.append({"name": part["name"], "fragments": _cut(part["text"], spans, texts)})
    n_texts = sum(part["kind"] == "text" for part in parts)
    return {"texts": drawn, "has_names": n_texts > 1} if drawn else None


def _cut(text: str, spans: Sequence[Row], texts: Mapping[str, str]) -> list[Row]:
    ends = {place for span in spans for place in (span["start"], span["end"])}
    cuts = sorted({0, len(text), *(place for place in ends if place < len(text))})
    fragments = []
    for start, end in pairwise(cuts):
        over = [span for span in spans if span["start"] <= start and end <= span["end"]]
        fragments.append(
            {
                "text": text[start:end] if over else _shorten(text[start:end], start == 0, end == len(text)),
                "is_marked": bool(over),
                "is_split": all(span.get("standing") for span in over),
                "labels": [
                    {"text": texts.get(span["label"], span["label"]), "standing": span.get("standing", "")}
                    for span in spans
                    if span["end"] == end
                ],
            }
        )
    return fragments


def _shorten(text: str, is_first: bool, is_last: bool) -> str:
    """What stands between spans, without the middle of a long stretch; words stay whole where there are spaces."""
    if len(text) <= 3 * CONTEXT:
        return text
    head = "" if is_first else text[:CONTEXT].rpartition(" ")[0] or text[:CONTEXT]
    tail = "" if is_last else text[-CONTEXT:].partition(" ")[2] or text[-CONTEXT:]
    return " … ".join((head, tail)) if head and tail else f"… {tail}" if tail else f"{head} …"


def _draw_boxes(question: Question, value: Any, parts: Sequence[Row], sizes: Sizes) -> Row | None:
    """Each image with boxes on it, in pixels, as text that no locale changes; numbered where there are several."""
    texts = choice_texts(question)
    drawn = []
    for part in parts:
        boxes = [box for box in value if box["part"] == part["name"]]
        if not boxes or part.get("media") not in sizes:
            continue
        width, height = sizes[part["media"]]
        size = max(width, height) / 26
        shown = [
            {
                **{key: f"{box[key] * side:.2f}" for key, side in zip("xywh", (width, height) * 2, strict=True)},
                "label": texts.get(box["label"], box["label"]),
                "standing": box.get("standing", ""),
                # Above the box, or inside where there is no room above.
                "text_y": f"{max(box['y'] * height - size / 4, size):.2f}",
            }
            for box in boxes
        ]
        image = {"name": part["name"], "src": part["src"], "size": f"{size:.2f}", "boxes": shown}
        drawn.append(image | {"width": str(width), "height": str(height)})
    return {"images": drawn} if drawn else None


def _draw_segments(question: Question, value: Any, parts: Sequence[Row], sizes: Sizes) -> Row | None:
    texts = choice_texts(question)
    rows = [
        {
            "start": tell_time(one["start"]),
            "end": tell_time(one["end"]),
            "label": texts.get(one["label"], one["label"]),
            "part": one["part"] if len(parts) > 1 else "",
            "standing": one.get("standing", ""),
        }
        for one in value
    ]
    return {"rows": rows, "is_whole": True} if rows else None


def tell_time(seconds: float) -> str:
    """Seconds as minutes and seconds, to a thousandth: "1:02.5"."""
    minutes, rest = divmod(round(seconds * 1000), 60_000)
    text = f"{rest / 1000:06.3f}".rstrip("0").rstrip(".") if rest % 1000 else f"{rest // 1000:02d}"
    return f"{minutes}:{text}"


def _draw_ranking(question: Question, value: Any, parts: Sequence[Row], sizes: Sizes) -> Row | None:
    texts = choice_texts(question)
    return {"places": [[texts.get(one, one) for one in place] for place in value], "is_whole": True}


def _draw_text(question: Question, value: Any, parts: Sequence[Row], sizes: Sizes) -> Row | None:
    return {"text": value, "is_whole": True}


_DRAWERS: dict[str, Callable[[Question, Any, Sequence[Row], Sizes], Row | None]] = {
    "spans": _draw_spans,
    "boxes": _draw_boxes,
    "segments": _draw_segments,
    "ranking": _draw_ranking,
    "text": _draw_text,
}
