"""Once all the way round, over HTTP and with a real worker: import, label, dispute, adjudicate, train, ask, publish.

And the loop alone for images: digits from an archive, labelled through the queue, learned round by round.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import uuid
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image
from sklearn.datasets import load_digits

from annotation.actions.people import create_token
from annotation.models import DrawItem, Item, Job
from learning.algorithms.estimators.descent import has_torch
from learning.models import ModelVersion, Score
from tests.cast import ROLES, Cast
from tests.workers import Worker, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

SCHEMA = {
    "questions": [
        {
            "name": "verdict",
            "kind": "choice",
            "required": True,
            "choices": [{"value": "fine", "key": "1"}, {"value": "spam", "key": "2"}],
        }
    ]
}
SPAM = [
    "cheap pills now",
    "win money now",
    "cheap watches click",
    "free money click",
    "pills win free",
    "click cheap win",
]
FINE = [
    "the garden blooms",
    "our match tonight",
    "tomatoes need water",
    "see you at the game",
    "water the roses",
    "match report",
]


class Person:
    """Somebody at the API with a token."""

    def __init__(self, cast: Cast, name: str) -> None:
        _token, raw = create_token(user=cast[name], actor=cast[name])
        self._client = Client(headers={"Authorization": f"Bearer {raw}"})

    def call(self, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        """Send JSON (or bytes as ndjson) and return the parsed answer; the status must be as expected."""
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        answer = self._client.generic(method, f"/api/v1/{path}", data, content_type=kind, headers=headers)
        text = b"".join(answer) if answer.streaming else answer.content
        assert answer.status_code == status, text
        return json.loads(text) if answer["Content-Type"].startswith("application/json") else text

    def finish(self, job: dict[str, str]) -> dict[str, Any]:
        """Wait for a job and return its result."""
        wait_until(lambda: self.call("GET", f"jobs/{job['job']}")["state"] in ("done", "failed", "dead"), seconds=60)
        state: dict[str, Any] = self.call("GET", f"jobs/{job['job']}")
        assert state["state"] == "done", state
        result: dict[str, Any] = state["result"]
        return result

    def lease(self, slug: str, kind: str = "label") -> dict[str, Any] | None:
        leases = self.call("POST", f"projects/{slug}/leases", {"n": 1, "kind": kind})["leases"]
        return leases[0] if leases else None

    def answer(self, lease: dict[str, Any], verdict: str) -> dict[str, Any]:
        body = {"answers": {"verdict": verdict}, "seconds": 1.5}
        path = f"leases/{lease['id']}/annotation"
        done: dict[str, Any] = self.call("POST", path, body, 201, **{"Idempotency-Key": uuid.uuid4().hex})
        return done


def truth(lease: dict[str, Any]) -> str:
    """What a sensible person says of a text of this file."""
    return (
        "spam"
        if any(word in lease["item"]["parts"][0]["text"] for word in ("cheap", "win", "click", "free"))
        else "fine"
    )


def test_import_label_dispute_adjudicate_train_ask_and_publish(cast: Cast, worker: Worker, tmp_path: Path) -> None:
    people = {name: Person(cast, name) for name in ROLES}
    olga, rita, enzo = people["olga"], people["rita"], people["enzo"]

    # a project, its people, and its items by file
    learning = {
        "question": "verdict",
        "every": None,
        "strategy": "margin",
        "random_share": 0,
        "holdout_share": 0,
        "batch": 10,
    }
    settings = {"overlap": 2, "learning": learning}
    olga.call("POST", "projects", {"slug": "loop", "name": "The loop", "schema": SCHEMA, **settings}, 201)
    for name, role in ROLES.items():
        olga.call("PUT", f"projects/loop/members/{name}", {"role": role})
    texts = [f"{text} {n}" for n in range(5) for text in SPAM + FINE]
    lines = [json.dumps({"external_id": f"c-{i}", "parts": [{"kind": "text", "text": t}]}) for i, t in enumerate(texts)]
    imported = enzo.finish(olga.call("POST", "projects/loop/items", "\n".join(lines).encode(), 202))
    assert imported == {"imported": 60, "unchanged": 0, "rejected": 0, "errors": []}

    # three annotators, and a dispute between two of them
    first = people["alice"].lease("loop")
    again = people["bob"].lease("loop")
    assert first is not None
    assert again is not None
    assert first["item"]["id"] == again["item"]["id"]
    assert people["alice"].answer(first, "fine")["item_state"] == "open"
    assert people["bob"].answer(again, "spam")["item_state"] == "disputed"
    names = ["alice", "bob", "carol"]
    for step in range(45):
        person = people[names[step % 3]]
        if (lease := person.lease("loop")) is not None:
            person.answer(lease, truth(lease))

    # the reviewer finds the dispute, and decides it
    dispute = rita.lease("loop", "adjudicate")
    assert dispute is not None
    assert dispute["item"]["id"] == first["item"]["id"]
    decision = {
        "answers": {"verdict": truth(dispute)},
        "reason": "annotator_error",
        "note": "see the words",
        "precedent": True,
    }
    rita.call("POST", f"projects/loop/items/{dispute['item']['id']}/adjudication", decision, 201)
    settled = enzo.call("GET", "projects/loop/resolutions?question=verdict&state=adjudicated")["results"]
    assert [(r["item"]["id"], r["value"]) for r in settled] == [(dispute["item"]["id"], truth(dispute))]
    figures = {m["metric"]: m for m in enzo.call("GET", "projects/loop/agreement?question=verdict")["metrics"]}
    assert all(m["value"] is not None and m["interval"] is not None for m in figures.values()), figures

    # a round by the worker: trained on accepted labels, and the most uncertain item of the new scores is served next
    held = [lease["id"] for name in names for lease in people[name].call("GET", "projects/loop/leases")["results"]]
    assert held == []
    done = enzo.finish(
        enzo.call("POST", "projects/loop/rounds", {"strategy": "margin", "random_share": 0, "seed": 7}, 202)
    )
    shown = next(r for r in enzo.call("GET", "projects/loop/rounds")["results"] if r["id"] == done["round"])
    assert shown["n_selected"] == 10
    assert "needed" in json.dumps(shown["evaluation"])  # the holdout is small here, and that is said
    most = Score.objects.filter(model_version__is_current=True, model_version__project__slug="loop")
    asked = people["alice"].lease("loop")
    assert asked is not None
    top = most.filter(item__split=Item.Split.POOL, item__queue_rows__kind=1, item__queue_rows__state=0).order_by(
        "-utility"
    )
    assert top.get(item_id=int(asked["item"]["id"])).utility == top[0].utility
    listed = enzo.call("GET", "projects/loop/items?order=-utility&limit=1")["results"]
    assert listed[0]["utility"] == top[0].utility

    # a snapshot whose bytes verify
    version = enzo.finish(enzo.call("POST", "projects/loop/snapshots", {}, 202))["version"]
    manifest = enzo.call("GET", f"projects/loop/snapshots/{version}")
    for name in [*(entry["path"] for entry in manifest["files"]), "manifest.json", "verify.py"]:
        body = enzo.call("GET", f"projects/loop/snapshots/{version}/files/{name}")
        (tmp_path / name).write_bytes(body if isinstance(body, bytes) else json.dumps(body).encode())
    raw = enzo._client.get(f"/api/v1/projects/loop/snapshots/{version}/files/manifest.json")
    (tmp_path / "manifest.json").write_bytes(b"".join(raw))
    checked = subprocess.run(
        [sys.executable, tmp_path / "verify.py"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    decided = next(row for row in rows if row["item_id"] == dispute["item"]["id"])
    assert (decided["verdict"], decided["verdict.source"]) == (truth(dispute), "adjudication")
    assert len(rows) == manifest["counts"]["items"]


def draw_digits(n: int) -> tuple[dict[str, bytes], dict[str, str]]:
    """PNG files of digits by their names, and what each shows by its SHA-256."""
    X, y = load_digits(return_X_y=True)
    mixed = np.random.default_rng(0).permutation(len(y))[:n]
    files, shown = {}, {}
    for number in mixed:
        out = io.BytesIO()
        Image.fromarray((X[number].reshape(8, 8) * 255 / 16).astype(np.uint8)).save(out, "PNG")
        files[f"{number}.png"] = out.getvalue()
        shown[hashlib.sha256(out.getvalue()).hexdigest()] = str(y[number])
    return files, shown


@pytest.mark.skipif(not has_torch(), reason="torch is not installed")
def test_images_are_learned_round_by_round(cast: Cast, worker: Worker, settings: Any) -> None:
    olga, enzo, alice = (Person(cast, name) for name in ("olga", "enzo", "alice"))
    choices = [{"value": str(digit), "key": str(digit)} for digit in range(10)]
    question = {"name": "digit", "kind": "choice", "required": True, "choices": choices}
    learning = {"question": "digit", "every": None, "strategy": "adaptive", "holdout_share": 0, "batch": 20}
    body = {"slug": "digits", "name": "Digits", "schema": {"questions": [question]}, "learning": learning}
    olga.call("POST", "projects", body, 201)
    for name in ("enzo", "alice"):
        olga.call("PUT", f"projects/digits/members/{name}", {"role": ROLES[name]})

    # an archive of images, brought in on the page
    files, shown = draw_digits(200)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    browser = Client()
    browser.force_login(cast.olga)
    upload = SimpleUploadedFile("digits.zip", archive.getvalue())
    assert browser.post("/p/digits/items/import/", {"file": upload}).status_code == 302
    imported = enzo.finish({"job": str(Job.objects.get(kind="import").pk)})
    assert (imported["imported"], imported["errors"]) == (200, [])

    def label(n: int) -> None:
        for _answer in range(n):
            lease = alice.lease("digits")
            assert lease is not None
            (part,) = lease["item"]["parts"]
            digit = shown[part["src"].partition("?")[0].rpartition("/")[2]]
            body = {"answers": {"digit": digit}, "seconds": 1.0}
            path = f"leases/{lease['id']}/annotation"
            alice.call("POST", path, body, 201, **{"Idempotency-Key": uuid.uuid4().hex})

    def play() -> tuple[ModelVersion, float]:
        """The model of the next round, and the share of open items that it calls what they are."""
        enzo.finish(enzo.call("POST", "projects/digits/rounds", {"seed": 3}, 202))
        model = ModelVersion.objects.get(project__slug="digits", is_current=True)
        said = Score.objects.filter(model_version=model, item__split=Item.Split.POOL)
        rows = said.values_list("item__payload__parts", "choice")
        right = [shown[parts[0]["media"]] == str(choice - 1) for parts, choice in rows]
        assert len(right) > 60
        return model, sum(right) / len(right)

    # twenty that look unlike, before there is a model, then what rounds chose; for the second the network is asked for
    enzo.finish(enzo.call("POST", "projects/digits/rounds", {"seed": 3}, 202))
    chosen = DrawItem.objects.filter(draw__project__slug="digits", draw__strategy="adaptive", probability=None)
    assert chosen.count() == 16
    label(20)
    first, by_twenty = play()
    label(15)
    olga.call("PATCH", "projects/digits", {"learning": {**learning, "estimator": "cnn"}})
    second, by_more = play()
    assert (str(first), str(second)) == ("touchstone-logistic 1", "touchstone-cnn 2")
    assert second.n_train == 35
    assert by_twenty > 0.65
    assert by_more > 0.8
    asked = alice.lease("digits")
    assert asked is not None
    scores = Score.objects.filter(model_version=second, item__queue_rows__rank__lt=0)
    assert scores.filter(item_id=int(asked["item"]["id"])).exists()
