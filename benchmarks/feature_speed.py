"""Features that are made once: how long the first time takes, and how long reading them takes ever after.

    python -m benchmarks.feature_speed images      # 20,000 pictures
    python -m benchmarks.feature_speed given       # 100,000 vectors of 128 numbers

`images`: JPEG of 640 x 480 and PNG of 320 x 240, half and half, in a project of their own. First every file is decoded
in one thread, as each round did before pixels were stored; then the shards are made; then they are read, in turns.
`given`: vectors for the items of `benchmarks.round_speed`, over HTTP until their job is done, once as numbers and once
as base64; then the shards are made; then a round on the words and both vectors of each item, in this process.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import io
import json
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from benchmarks.installation import SCHEMA, Site, add_options, make_owner, open_site
from benchmarks.measuring import Check, Measurement, say
from benchmarks.round_speed import Memory, fill, play_here, wait_for, wait_for_counting

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
    from learning.features.stored import refresh_shards
    from learning.features.stores import image_paths
    from learning.loading import load_listed
    from learning.scoring import fit_space

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
        features = fit_space(shards, items, np.random.default_rng(0))
        assert features.blocks == {"pixels": block}
        started = time.perf_counter()
        X = shards.vectorise(features, items)
        reading.append(round(time.perf_counter() - started, 3))
        assert X.shape == (len(items), 3072)
    return {"decoding": round(decoding, 2), "making": round(making, 2), "finding": finding, "reading": reading}


def send_vectors(site: Site, project: Project, name: str, vectors: Iterator[Any], n: int) -> float:
    """Vectors a second, from the request to the end of the job."""
    from annotation.actions.people import create_token
    from annotation.models import User

    owner = User.objects.get(username="owner")
    lines = (
        json.dumps({"external_id": f"item-{number:08d}", "name": name, "vector": vector})
        for number, vector in enumerate(vectors, start=1)
    )
    body = "\n".join(lines).encode()
    say(f"{name}: {len(body) / 1e6:.0f} MB")
    token = create_token(user=owner, actor=owner)[1]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=600)
    started = time.perf_counter()
    connection.request("POST", f"/api/v1/projects/{project.slug}/embeddings", body, headers)
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    assert answer.status == 202, told
    wait_for(int(told["job"]))
    return round(n / (time.perf_counter() - started))


def time_given(site: Site, args: argparse.Namespace) -> dict[str, Any]:
    """Vectors a second, seconds to make the shards, seconds of a round by step, the worker's memory."""
    from annotation.models import Organisation
    from learning.features.stored import refresh_shards
    from learning.features.stores import project_folder

    Organisation.objects.update(max_upload_bytes=20 * 2**30)
    project = fill(args.items, 2000)
    rng = np.random.default_rng(8)
    vectors = rng.normal(size=(args.items, 128)).astype(np.float32)
    memory = Memory(site.parts.worker)
    memory.start()
    rates = {
        "base64": send_vectors(
            site, project, "base64", (base64.b64encode(row.tobytes()).decode() for row in vectors), len(vectors)
        ),
        "numbers": send_vectors(
            site, project, "numbers", (row.round(6).tolist() for row in vectors.astype(float)), len(vectors)
        ),
    }
    peak = memory.end()
    wait_for_counting()
    shutil.rmtree(project_folder(project), ignore_errors=True)
    started = time.perf_counter()
    refresh_shards(project, lambda: None)
    making = time.perf_counter() - started
    found = []
    for _turn in range(args.turns):
        started = time.perf_counter()
        refresh_shards(project, lambda: None)
        found.append(round(time.perf_counter() - started, 2))
    rounds = [play_here(project) for _turn in range(args.turns)]
    return {
        "vectors_per_second": rates,
        "worker_anon_mib": peak,
        "making_words_and_vectors": round(making, 2),
        "finding": found,
        "rounds": rounds,
        "peak_here_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["images", "given"])
    add_options(parser)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=100_000, help="that get vectors")
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    with open_site(args) as site:
        if args.what == "given":
            measurement = Measurement("feature_speed", args.out)
            figures = {**site.server, "items": args.items, **time_given(site, args)}
            fine = measurement.finish(figures)
            sys.exit(0 if fine else 1)
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
