"""What goes wrong, as callers are told: codes, sentences, and hostile input that must cost nothing."""

from __future__ import annotations

import errno
import importlib
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.handlers.wsgi import WSGIRequest
from django.db import OperationalError, connection
from django.http import Http404
from django.test import Client, RequestFactory
from rest_framework import exceptions as drf

from annotation.api.bodies import open_body
from annotation.api.exceptions import LengthRequiredError, as_touchstone_error
from annotation.errors import TouchstoneError
from annotation.models import Annotation, Project
from tests.api_client import Api, fault_of
from tests.cast import CHOICE_SCHEMA, Cast, MakeDesk
from tests.touched_rows import rows_written

pytestmark = pytest.mark.django_db

DOCUMENT = Path(__file__).parents[1] / "docs" / "errors.md"
ROOT = DOCUMENT.parents[1]


def load_modules_with_errors() -> list[ModuleType]:
    """Every module of this project that defines an error."""
    paths = [path for app in ("annotation", "reviewers", "learning", "config") for path in (ROOT / app).rglob("*.py")]
    named = [path for path in paths if re.search(r"^class \w+\(\w*Error\):", path.read_text(), re.MULTILINE)]
    return [importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)) for path in named]


def all_errors() -> set[type[TouchstoneError]]:
    """Every error class that this project defines."""
    assert load_modules_with_errors()
    found: set[type[TouchstoneError]] = set()
    waiting = [TouchstoneError]
    while waiting:
        waiting += (inner := waiting.pop().__subclasses__())
        found.update(one for one in inner if one.__module__.split(".")[0] != "tests")
    return found


def test_the_document_lists_each_code_with_its_status() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d{3}) \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert {(code, int(status)) for code, status, _text in rows} == {(one.code, one.status) for one in all_errors()}
    assert [code for code, _status, _text in rows] == sorted(code for code, _status, _text in rows)


def test_a_code_has_one_status() -> None:
    by_code: dict[str, set[int]] = {}
    for one in all_errors():
        by_code.setdefault(one.code, set()).add(one.status)
    assert {code: found for code, found in by_code.items() if len(found) > 1} == {}


def test_each_error_says_what_to_do() -> None:
    assert [one.__name__ for one in all_errors() if not (one.__doc__ or "").strip().endswith((".", "!"))] == []


# What never reaches a view


@pytest.mark.parametrize(
    "path", ["/api/v1/", "/api/v1/absent", "/api/", "/api/v2/projects", "/api/v1/projects/", "/media/x"]
)
def test_an_address_that_is_none_answers_in_json(client: Client, path: str) -> None:
    assert fault_of(client.get(path)) == (404, "not_found")


def test_a_slug_with_odd_characters_is_absent(cast: Cast) -> None:
    for slug in ("..", "%00", "a%2fb", "é", "x" * 5000, "' or 1=1"):
        assert fault_of(Api(cast.alice).get(f"projects/{slug}"))[0] == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "projects"),
        ("POST", "projects/forum"),
        ("OPTIONS", "projects"),
        ("PUT", "projects/forum/leases"),
        ("OPTIONS", "projects/forum/leases"),
    ],
)
def test_a_method_that_is_not_taken_answers_405_and_names_those_that_are(
    make_desk: MakeDesk, method: str, path: str
) -> None:
    response = Api(make_desk(n=1).cast.olga).send(method, path)
    assert fault_of(response) == (405, "method_not_allowed")
    assert "GET" in response["Allow"]


def test_errors_are_json_that_no_browser_takes_for_a_page(cast: Cast) -> None:
    response = Api(cast.alice).get("projects/<script>alert(1)</script>", accept="text/html")
    assert response.status_code == 404
    assert response["Content-Type"] == "application/json"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert b"<script>" not in response.content


def test_json_is_sent_whatever_the_client_says_it_accepts(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=1).cast.alice)
    for accept in ("text/html", "application/xml", "nonsense", "*/*;q=0"):
        assert api.get("projects/forum", accept=accept).status_code == 200
    assert api.get("projects/forum?format=xml").status_code in (200, 400)


# Bodies

HOSTILE = {
    "not json": b"{",
    "two values": b"{} {}",
    "not utf-8": b'{"name": "\xff"}',
    "nan": b'{"lease_seconds": NaN}',
    "infinity": b'{"lease_seconds": -Infinity}',
    "huge integer": b'{"lease_seconds": 1' + b"0" * 400 + b"}",
    "huge float": b'{"lease_seconds": 1e400}',
    "twice the same key": b'{"name": "a", "name": "b"}',
    "nul in a text": b'{"name": "a\\u0000b"}',
    "nul in a key": b'{"a\\u0000b": 1}',
    "half a pair": b'{"name": "\\ud800"}',
    "deep lists": b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "a little too deep": b'{"name": ' + b"[" * 40 + b"]" * 40 + b"}",
    "many digits": b'{"lease_seconds": ' + b"9" * 100_000 + b"}",
}


@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for name, raw in HOSTILE.items()])
@pytest.mark.parametrize(("method", "path"), [("PATCH", "projects/forum"), ("POST", "projects/forum/leases")])
def test_hostile_json_is_refused_with_a_sentence(make_desk: MakeDesk, method: str, path: str, raw: bytes) -> None:
    api = Api(make_desk(n=1).cast.olga)
    response = api.send(method, path, raw=raw)
    assert fault_of(response) == (400, "invalid_json")
    assert len(response.content) < 500


@pytest.mark.parametrize("raw", [pytest.param(raw, id=name) for name, raw in HOSTILE.items()])
def test_a_hostile_answer_is_refused_and_not_stored(make_desk: MakeDesk, raw: bytes) -> None:
    api = Api(make_desk(n=1).cast.alice)
    [lease] = api.lease()
    path = f"leases/{lease['id']}/annotation"
    assert fault_of(api.post(path, raw=raw, idempotency_key="k")) == (400, "invalid_json")
    assert not Annotation.objects.exists()


@pytest.mark.parametrize("raw", [b"[]", b'"text"', b"1", b"null", b"true"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "projects"),
        ("PATCH", "projects/forum"),
        ("PUT", "projects/forum/schema"),
        ("PUT", "projects/forum/guideline"),
        ("PUT", "projects/forum/members/bob"),
        ("POST", "users/olga/tokens"),
        ("POST", "projects/forum/leases"),
    ],
)
def test_a_body_that_is_no_object_is_refused(make_desk: MakeDesk, method: str, path: str, raw: bytes) -> None:
    assert fault_of(Api(make_desk(n=1).cast.olga).send(method, path, raw=raw)) == (400, "invalid")


def test_a_body_over_ten_megabytes_is_refused(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=1).cast.olga)
    raw = b'{"name": "' + b"x" * (10 * 2**20) + b'"}'
    assert fault_of(api.patch("projects/forum", raw=raw)) == (413, "too_large")
    assert fault_of(api.post("projects/forum/leases", raw=raw)) == (413, "too_large")


def test_a_body_of_another_type_is_refused(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=1).cast.olga)
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
        for method, path in (("PATCH", "projects/forum"), ("POST", "projects/forum/leases")):
            refused = api.send(method, path, raw=b'{"n": 1}', content_type=content_type)
            assert fault_of(refused) == (415, "unsupported_type")


def test_names_of_unknown_fields_are_cut_short(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=1).cast.olga)
    body = {f"{'x' * 10_000}{n}": 1 for n in range(100)}
    response = api.post("projects/forum/leases", body)
    assert fault_of(response) == (400, "invalid")
    assert len(response.content) < 5_000


def make_chunked_request(*, is_terminated: bool) -> WSGIRequest:
    """A request as a server hands it over whose body came in chunks, so without a length."""
    request = RequestFactory().post("/", b"rows", content_type="application/x-ndjson", HTTP_TRANSFER_ENCODING="chunked")
    environ = {**request.environ, "wsgi.input_terminated": is_terminated}
    del environ["CONTENT_LENGTH"]
    return WSGIRequest(environ)


def test_a_body_in_chunks_is_read_where_the_server_ends_it() -> None:
    assert open_body(make_chunked_request(is_terminated=True)).read(4) == b"rows"
    with pytest.raises(LengthRequiredError):
        open_body(make_chunked_request(is_terminated=False))


def test_a_json_body_in_chunks_is_not_taken_for_an_empty_one(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=1).cast.olga)
    for path in ("projects/forum/leases", "projects"):
        response = api.post(path, raw=b"", transfer_encoding="chunked")
        assert fault_of(response) == (411, "length_required")


# The server's own trouble


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OperationalError("connection refused"), 503),
        (psycopg.errors.DiskFull("no space"), 503),
        (OSError(errno.ENOSPC, "no space"), 503),
        (Http404(), 404),
        (PermissionDenied(), 403),
        (RequestDataTooBig(), 413),
        (SuspiciousOperation(), 400),
        (drf.MethodNotAllowed("PUT"), 405),
        (drf.NotAuthenticated(), 401),
        (drf.UnsupportedMediaType("x"), 415),
        (drf.ParseError(), 400),
    ],
)
def test_known_failures_have_their_status(error: Exception, status: int) -> None:
    known = as_touchstone_error(error)
    assert known is not None
    assert known.status == status


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), OSError(errno.EACCES, "x"), ZeroDivisionError()])
def test_a_surprise_is_not_dressed_up(error: Exception) -> None:
    assert as_touchstone_error(error) is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", ["projects/forum", "projects/forum/leases"])
def test_a_database_that_is_gone_answers_503(make_desk: MakeDesk, path: str) -> None:
    api = Api(make_desk(n=1).cast.olga)
    with connection.execute_wrapper(_fail):
        response = api.get(path)
    assert fault_of(response) == (503, "unavailable")
    assert response["Retry-After"] == "5"


def _fail(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """The connection breaks at this statement."""
    raise OperationalError("server closed the connection unexpectedly")


def test_a_fault_of_ours_answers_json_without_a_trace_of_what_it_was(make_desk: MakeDesk) -> None:
    api = Api(make_desk(n=1).cast.olga, client=Client(raise_request_exception=False))
    Project.objects.update(schema=None)
    for path in ("projects/forum", "projects/forum/leases"):
        response = api.get(path)
        assert response.status_code in (200, 500)
    response = api.get("projects/forum")
    assert fault_of(response) == (500, "internal")
    assert b"assert" not in response.content.lower()


def test_a_get_changes_nothing(make_desk: MakeDesk) -> None:
    """No row of content or work is written by looking."""
    desk = make_desk(n=2)
    api = Api(desk.cast.olga)
    api.get("projects/forum")  # the token's last use is written now
    paths = ["projects", "projects/forum", "projects/forum/schema", "projects/forum/members", "projects/forum/items"]
    before = rows_written()
    for path in [*paths, "projects/forum/leases", f"projects/forum/items/{desk.item('t-1').pk}"]:
        assert api.get(path).status_code == 200
    assert rows_written() == before


def test_what_callers_send_is_never_echoed_whole(cast: Cast) -> None:
    body = {"slug": "x" * 100_000, "name": "n", "schema": CHOICE_SCHEMA}
    response = Api(cast.alice).post("projects", body)
    assert fault_of(response) == (400, "invalid")
    assert len(response.content) < 1_000
    assert json.loads(response.content)["fields"]
