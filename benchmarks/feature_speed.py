"""Features that are made once: how long the first time takes, and how long reading them takes ever after.

    python -m benchmarks.feature_speed images      # 20,000 pictures

`images`: JPEG of 640 x 480 and PNG of 320 x 240, half and half, in a project of their own. First every file is decoded
in one thread, as each round did before pixels were stored; then the shards are made; then they are read, in turns.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from benchmarks.installation import SCHEMA, add_options, make_owner, open_site
from benchmarks.measuring import Check, Measurement, say

if TYPE_CHECKING:
    from annotation.models import Project

N_DISTINCT = 200


def make_pictures() -> list[tuple[bytes, str]]:
    """Pictures that pack about as well as photographs: soft shapes with a little grain."""
    rng = np.random.default_rng(6)
    made = []
    for number in range(N_DISTINCT):
        kind, size = ("JPEG", (640, 480)) if number % 2 else ("PNG", (320, 240))
        shapes = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(size)
        grain = rng.integers(-4, 5, (size[1], size[0], 3))
        out = io.BytesIO()
        Image.fromarray((np.asarray(shapes) + grain).clip(0, 255).astype(np.uint8)).save(out, kind)
        made.append((out.getvalue(), f"image/{kind.lower()}"))
    return made


def fill_images(n: int) -> Project:
    """A project with `n` items of one picture each, no two files alike."""
    from annotation.actions.imports import load_items
    from annotation.actions.projects import create_project
    from annotation.importing.rows import ItemRow, PartRow
    from annotation.media import media_path
    from annotation.models import Media

    project = create_project(
        slug="pictures", name="pictures", schema=SCHEMA, settings={"learning": {"every": None}}, owner=make_owner()
    )
    media, pictures = [], make_pictures()
    for number in range(n):
        content, mime = pictures[number % len(pictures)]
        data = content + number.to_bytes(4, "big")  # behind the end of the picture
        sha = hashlib.sha256(data).hexdigest()
        path = media_path(project.pk, sha)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        media.append(Media(project=project, sha256=sha, size=len(data), mime=mime, derivatives={}))
    Media.objects.bulk_create(media, batch_size=5000)

    def read() -> Iterator[tuple[int, ItemRow]]:
        for number, one in enumerate(media, start=1):
            part = PartRow(name="image", kind="image", role="target", media=one.sha256)
            yield number, ItemRow(external_id=f"picture-{number:06d}", group=None, parts=(part,))

    outcome, is_stored = load_items(project=project, read=read, actor=None)
    assert is_stored, outcome
    return project


def time_images(project: Project, turns: int) -> dict[str, Any]:
    """Seconds: to decode all as before, to make the shards, to read them."""
    from learning.algorithms.features import ImageFeatures
    from learning.feature_files import refresh_shards
    from learning.feature_stores import image_paths
    from learning.loading import load_listed
    from learning.scoring import fit_space, vectorise

    items = load_listed(project)
    block = ImageFeatures(32, 32, 3)
    started = time.perf_counter()
    for start in range(0, len(items), 2000):
        block.weigh(block.read_all(image_paths(project, items[start : start + 2000])))
    decoding = time.perf_counter() - started
    say(f"decoded in {decoding:.1f} s")
    started = time.perf_counter()
    refresh_shards(project, lambda: None)
    making = time.perf_counter() - started
    say(f"made in {making:.1f} s")
    finding, reading = [], []
    for _turn in range(turns):
        started = time.perf_counter()
        shards = refresh_shards(project, lambda: None)
        finding.append(round(time.perf_counter() - started, 3))
        features = fit_space(project, shards, items, np.random.default_rng(0))
        assert features.blocks == {"pixels": block}
        started = time.perf_counter()
        X = vectorise(project, features, shards, items)
        reading.append(round(time.perf_counter() - started, 3))
        assert X.shape == (len(items), 3072)
    return {"decoding": round(decoding, 2), "making": round(making, 2), "finding": finding, "reading": reading}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["images"])
    add_options(parser)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    with open_site(args) as site:
        project = fill_images(args.images)
        site.settle_down()
        measurement = Measurement("feature_speed", args.out)
        seconds = time_images(project, args.turns)
        spent = min(seconds["finding"]) + min(seconds["reading"])
        ratio = round(seconds["decoding"] / spent, 1)
        figures = {**site.server, "images": args.images, "seconds": seconds}
        fine = measurement.finish(figures, [Check("decoding beside finding and reading shards", ratio, ">=", 10.0)])
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
