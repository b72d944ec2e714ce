"""What each row of `permissions.csv` sends: a small valid request, so that only the door can refuse it.

`BODIES` names what differs from a request without a body to the address that `World.names` fills in. To add a route: a
row in the table, and an entry here where it takes a body or other names in its address.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import Client, encode_multipart
from django.utils import timezone

from annotation.actions import people, projects
from annotation.actions.items import quarantine_item
from annotation.actions.jobs import start_job
from annotation.actions.media import add_media
from annotation.forms import spread_settings
from annotation.jobs import run_job
from annotation.media import sign_media
from annotation.models import ApiToken, Item, Job, Project, User
from learning.actions.models import ensure_external_model
from learning.actions.snapshots import start_snapshot
from learning.tasks import snapshots as _snapshot_jobs  # noqa: F401  (registers the job)
from tests.cast import CHOICE_SCHEMA, PASSWORD, ROLES, Cast, Desk, import_rows

SECRET = "the words that only insiders read"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
OTHER_PIXEL = base64.b64decode("R0lGODlhAQABAIAAAP///wAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==")


@dataclass(frozen=True)
class Body:
    """A request, as far as it differs from an empty one. `path` replaces names in the address."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    data: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(value: Any, **more: Any) -> Body:
    """A JSON body."""
    return Body(data=json.dumps(value).encode(), **more)


@dataclass
class World:
    """A project in the middle of its work, and what stands for each name in an address."""

    desk: Desk
    users: dict[str, User]  # role -> person
    tokens: dict[str, str]  # role -> bearer token
    sessions: dict[str, str]  # role -> key of the session of somebody who has signed in
    names: dict[str, str]


def build_world() -> World:
    """Everybody of the table's columns, and one of everything in the project `forum`, in the caller's transaction."""
    cast = Cast(**{name: people.create_user(username=name, password=PASSWORD) for name in [*ROLES, "mallory"]})
    root = people.create_user(username="root", password=PASSWORD, is_superuser=True)
    dora = people.create_user(username="dora", password=PASSWORD)
    project = projects.create_project(
        slug="forum",
        name=SECRET,
        schema=CHOICE_SCHEMA,
        settings={"overlap": 2, "learning": {"holdout_share": 0, "every": None}},
        owner=cast.olga,
    )
    for name, role in {**ROLES, "dora": "owner"}.items():
        projects.set_member(project=project, user=User.objects.get(username=name), role=role, actor=cast.olga)
    projects.put_guideline(
        project=project, change="major", clauses=[{"id": "a", "title": "A", "text": SECRET}], actor=cast.olga
    )
    import_rows(project, [{"external_id": f"t-{n}", "text": f"{SECRET} {n}"} for n in range(1, 7)])
    desk = Desk(project, cast)
    desk.vote("t-1", alice="none", bob="none")
    desk.vote("t-2", bob="none", carol="spam")
    answered = desk.label("alice")
    held = desk.lease_one("alice")
    sealed = Item.objects.filter(project=project, seats=None)[0]
    quarantine = quarantine_item(item=sealed, actor=cast.rita)
    assert quarantine is not None
    snapshot = start_snapshot(project=project, actor=cast.enzo, query=None)
    # The heartbeat's own connection sees no job of the test's transaction, and would take a slow one for lost.
    run_job(snapshot.pk, heartbeat_seconds=600)
    assert Job.objects.get(pk=snapshot.pk).state == "done", Job.objects.get(pk=snapshot.pk).error
    job = start_job(kind="overlap", project=project, created_by=cast.olga)
    model = ensure_external_model(project=project, question=1, name="m", version="0", classes=[1, 2])
    image, _is_new = add_media(project=project, source=io.BytesIO(PIXEL), actor=cast.olga)
    User.objects.filter(pk=dora.pk).update(is_active=False)
    users = {
        "outsider": cast.mallory,
        "annotator": cast.alice,
        "reviewer": cast.rita,
        "engineer": cast.enzo,
        "owner": cast.olga,
        "superuser": root,
        "disabled": dora,
        "narrow_token": cast.olga,
        "expired_token": cast.olga,
    }
    tokens = {role: people.create_token(user=user, actor=root)[1] for role, user in users.items()}
    _narrow, tokens["narrow_token"] = people.create_token(user=cast.olga, scopes=["see"], actor=root)
    expired, tokens["expired_token"] = people.create_token(user=cast.olga, actor=root)
    sessions = {role: sign_in(user) for role, user in users.items()}
    now = timezone.now()
    # None is noted as used while the tests run, however long that takes: it would be a row that a refused call changed.
    ApiToken.objects.update(last_used_at=now + timedelta(days=1))
    ApiToken.objects.filter(pk=expired.pk).update(expires_at=now - timedelta(seconds=1))
    names = {
        "slug": project.slug,
        "item_id": str(desk.item("t-2").pk),
        "held_item_id": str(held["item"]),
        "sealed_item_id": str(sealed.pk),
        "lease_id": f"{held['seat']}-{held['generation']}",
        "annotation_id": str(answered.annotation_id),
        "job_id": str(job.pk),
        "model_id": str(model.pk),
        "name": "bob",
        "person_id": str(cast.bob.pk),
        "sha256": image.sha256,
        "version": "latest",
        "quarantine": str(quarantine.pk),
        "token": "no-such-link",
    }
    return World(desk, users, tokens, sessions, names)


def sign_in(user: User) -> str:
    """The key of a new session."""
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client.cookies[settings.SESSION_COOKIE_NAME].value


MakeBody = Callable[[World], Body]
API = "api/v1/"
PROJECT = API + "projects/<slug:slug>"
ITEM = PROJECT + "/items/<str:item_id>"
LEASE = API + "leases/<str:lease_id>"
_SUBMIT = as_json({"answers": {"verdict": "none"}}, headers={"Idempotency-Key": "a-key"})
_PREDICTION = b'{"external_id": "t-4", "model": "m", "proba": {"none": 0.5}}'
_EMBEDDING = b'{"external_id": "t-4", "vector": [1, 2]}'
_GUIDELINE = {"change": "minor", "clauses": [{"id": "a", "title": "A", "text": "Newer"}]}
_DECISION = {"answers": {"verdict": "spam"}, "reason": "ambiguous", "note": "", "expected_version": None}


PAGE = "p/<slug:slug>/"


def as_form(**fields: object) -> Body:
    """A form as a browser sends it."""
    return Body(data=urlencode(fields).encode(), content_type="application/x-www-form-urlencoded")


def as_upload(name: str, content: bytes) -> Body:
    """A form with one file."""
    boundary = "a-boundary"
    data = encode_multipart(boundary, {"file": SimpleUploadedFile(name, content)})
    return Body(data=data, content_type=f"multipart/form-data; boundary={boundary}")


_SETUP = {"username": "new", "password": PASSWORD, "password_again": PASSWORD}
_SELECTS = {"image-blur": 2, "image-size": "small", "video-blur": 2, "video-size": "small"}
_CARE = {f"{level}-{name}": value for level in ("ordinary", "severe") for name, value in _SELECTS.items()}
_ORGANISATION_CARE = {
    **{"severe_items": 9, "severe_minutes": 9, "severe_in_a_row": 2, "severe_pause_seconds": 9, "break_minutes": 30},
    **{f"floor-{name}": value for name, value in _SELECTS.items()},
}
PAGE_BODIES: dict[tuple[str, str], MakeBody] = {
    ("new/", "POST"): lambda w: as_form(name="Mine", question="Which?", choices="a\nb", overlap=1),
    ("sign-in/", "POST"): lambda w: as_form(username="bob", password="wrong"),
    ("setup/<str:token>", "POST"): lambda w: as_form(**_SETUP),
    ("me/care/", "POST"): lambda w: as_form(**_CARE),
    ("organisation/care/", "POST"): lambda w: as_form(**_ORGANISATION_CARE),
    (PAGE + "view-as/", "POST"): lambda w: as_form(role=""),
    (PAGE + "items/import/", "POST"): lambda w: as_upload("more.csv", b"text\nhello\n"),
    (PAGE + "disputes/<str:item_id>/", "POST"): lambda w: as_form(**{"answer-verdict": "spam", "reason": "ambiguous"}),
    (PAGE + "guideline/", "POST"): lambda w: as_form(version=1),
    (PAGE + "learning/", "POST"): lambda w: as_form(strategy="margin", batch=5, random_share=0.2),
    (PAGE + "learning/llm/", "POST"): lambda w: as_form(limit=60),
    (PAGE + "quarantine/", "POST"): lambda w: as_form(
        action="ask", quarantine=w.names["quarantine"], reason="a false alarm"
    ),
    (PAGE + "members/", "POST"): lambda w: as_form(action="add", username="mallory", role="annotator"),
    (PAGE + "schema/", "POST"): lambda w: as_form(action="add"),
    (PAGE + "schema/preview/<path:call>", "POST"): lambda w: as_json({"n": 2}, path={"call": "leases"}),
    (PAGE + "guideline/edit/", "POST"): lambda w: as_form(action="add"),
    (PAGE + "settings/", "POST"): lambda w: as_form(**_settings(w)),
    (PAGE + "rule/", "POST"): lambda w: as_form(kind="unanimous"),
}


def _settings(world: World) -> dict[str, object]:
    """The settings form as the page fills it in."""
    shown = spread_settings(Project.objects.get(pk=world.desk.project.pk))
    return {name: value for name, value in shown.items() if value is not None and value is not False}


def _media_link(world: World, role: str = "annotator") -> Body:
    """A link that was made for the annotator."""
    media_id = f"{world.desk.project.pk}:{world.names['sha256']}"
    return Body(query={"t": sign_media(media_id, world.users[role].pk, timezone.now())})


BODIES: dict[tuple[str, str], MakeBody] = {
    (API + "projects", "POST"): lambda w: as_json({"slug": "mine", "name": "Mine", "schema": CHOICE_SCHEMA}),
    (PROJECT, "PATCH"): lambda w: as_json({"lease_seconds": 900}),
    (PROJECT + "/schema", "PUT"): lambda w: as_json(CHOICE_SCHEMA),
    (PROJECT + "/guideline", "PUT"): lambda w: as_json(_GUIDELINE),
    (PROJECT + "/members/<str:name>", "PUT"): lambda w: as_json({"role": "reviewer"}),
    (PROJECT + "/media/<str:sha256>", "PUT"): lambda w: Body(
        path={"sha256": hashlib.sha256(OTHER_PIXEL).hexdigest()}, data=OTHER_PIXEL, content_type="image/gif"
    ),
    (PROJECT + "/items", "POST"): lambda w: Body(data=b'{"text": "new"}\n', content_type="application/x-ndjson"),
    (ITEM, "DELETE"): lambda w: as_json({"reason": "asked for"}),
    (ITEM + "/quarantine", "POST"): lambda w: Body(path={"item_id": w.names["held_item_id"]}),
    (ITEM + "/quarantine", "DELETE"): lambda w: as_json(
        {"reason": "a false alarm"}, path={"item_id": w.names["sealed_item_id"]}
    ),
    (ITEM + "/care", "PUT"): lambda w: as_json({"severity": "severe", "harms": ["violence"]}),
    (API + "me/care", "PATCH"): lambda w: as_json({"opted_out": ["violence"]}),
    (API + "organisation/care", "PATCH"): lambda w: as_json({"severe_items": 50}),
    (ITEM + "/adjudication", "POST"): lambda w: as_json(_DECISION),
    (PROJECT + "/rule-preview", "POST"): lambda w: as_json({"rule": {"kind": "unanimous"}}),
    (PROJECT + "/snapshots/<str:version>/files/<str:name>", "GET"): lambda w: Body(path={"name": "labels.jsonl"}),
    (PROJECT + "/snapshots", "POST"): lambda w: as_json({}),
    (PROJECT + "/predictions", "POST"): lambda w: Body(data=_PREDICTION, content_type="application/x-ndjson"),
    (PROJECT + "/embeddings", "POST"): lambda w: Body(data=_EMBEDDING, content_type="application/x-ndjson"),
    (PROJECT + "/rounds", "POST"): lambda w: as_json({"train": False, "strategy": "random"}),
    (PROJECT + "/leases", "POST"): lambda w: as_json({"n": 1}),
    (LEASE + "/annotation", "POST"): lambda w: _SUBMIT,
    (LEASE + "/skip", "POST"): lambda w: as_json({"reason": "language"}),
    (API + "users", "POST"): lambda w: as_json({"username": "new", "password": PASSWORD}),
    (API + "users/<str:name>/tokens", "POST"): lambda w: as_json({}),
    ("media/<slug:slug>/<str:sha256>", "GET"): _media_link,
    **PAGE_BODIES,
}


def make_body(world: World, route: str, method: str) -> Body:
    """What a row sends."""
    make = BODIES.get((route, method))
    return make(world) if make else Body()
