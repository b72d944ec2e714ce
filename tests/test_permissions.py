"""Every route, every method, every role: `permissions.csv` says the status, and a route without a row fails.

A cell is a status, or `=` where the route does not look at who asks (then `anonymous` alone is run). Columns:
`outsider` is in no project; `disabled` an owner who was switched off; `narrow_token` an owner's token of scope `see`.
Addresses below `/api/` and `/media/` are asked with a bearer token, pages with a session.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from pytest_django import DjangoDbBlocker

from tests.permission_bodies import SECRET, World, build_world, make_body
from tests.touched_rows import rows_written

TABLE = Path(__file__).with_name("permissions.csv")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ROWS = list(csv.DictReader(TABLE.read_text().splitlines()))
ROLES = [name for name in ROWS[0] if name not in ("route", "method")]
CELLS = [
    pytest.param(row["route"], row["method"], role, int(row[role]), id=f"{row['method']} {row['route']} {role}")
    for row in ROWS
    for role in ROLES
    if row[role] != "="
]
REFUSED = (401, 403, 404)

pytestmark = pytest.mark.django_db  # each test in a savepoint of the module's transaction


@pytest.fixture(scope="module")
def world(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[World]:
    """One world for the whole table, in a transaction that is rolled back at the end."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield build_world()
        transaction.set_rollback(True)


def list_routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Every address with the methods that its view takes; for a plain function, which does not say, none."""
    for pattern in patterns:
        address = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from list_routes(pattern.url_patterns, address)
        else:
            view: Any = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
            taken = [method for method in METHODS if method.lower() in view.http_method_names] if view else []
            yield address, [method for method in taken if hasattr(view, method.lower())]


def all_routes() -> dict[str, list[str]]:
    return dict(list_routes(get_resolver().url_patterns))


def is_api(route: str) -> bool:
    return route.startswith(("api/", "media/"))


def make_client(world: World, role: str, route: str) -> tuple[Client, dict[str, str]]:
    """A client that is this role, and the headers that it sends."""
    client = Client()
    token = world.tokens.get(role)
    headers = {"Authorization": f"Bearer {token}"} if token and (is_api(route) or role.endswith("_token")) else {}
    if role in world.sessions and not headers:
        client.cookies[settings.SESSION_COOKIE_NAME] = world.sessions[role]
    return client, headers


def send(world: World, route: str, method: str, role: str, **names: str) -> Any:
    """The request of a row, as a role would send it."""
    body = make_body(world, route, method)
    known = {**world.names, **body.path, **names}
    path = "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: known[found[1]], route)
    client, headers = make_client(world, role, route)
    if body.query:
        path += "?" + "&".join(f"{name}={value}" for name, value in body.query.items())
    with transaction.atomic():
        return client.generic(method, path, body.data, body.content_type, headers={**headers, **body.headers})


def read_body(response: Any) -> str:
    content = b"".join(response.streaming_content) if response.streaming else response.content
    return bytes(content).decode(errors="replace")


def plain(response: Any) -> str:
    """A body without what is new each time: a page's CSRF token and nonce."""
    body = read_body(response)
    for once in (r'(?<=nonce=")[^"]+', r"[A-Za-z0-9]{64}"):
        body = re.sub(once, "", body)
    return body


def test_every_route_has_its_rows() -> None:
    rows = {(row["route"], row["method"]) for row in ROWS}
    routes = all_routes()
    wanted = {(route, method) for route, methods in routes.items() for method in methods}
    assert wanted - rows == set(), "routes without a row in tests/permissions.csv"
    silent = {route for route, methods in routes.items() if not methods}
    assert silent - {route for route, _method in rows} == set(), "routes without a row in tests/permissions.csv"
    assert {(route, method) for route, method in rows if route not in silent} - wanted == set(), "rows without a route"


def test_a_changed_row_is_counted(world: World) -> None:
    before = rows_written()
    send(world, "api/v1/projects/<slug:slug>", "PATCH", "owner")
    assert {"annotation_project", "annotation_event"} <= (rows_written() - before).keys()


def test_no_row_stands_there_twice() -> None:
    keys = [(row["route"], row["method"]) for row in ROWS]
    assert sorted(set(keys)) == sorted(keys)


@pytest.mark.parametrize(("route", "method", "role", "expected"), CELLS)
def test_cell(world: World, route: str, method: str, role: str, expected: int) -> None:
    before = rows_written()
    response = send(world, route, method, role)
    body = read_body(response)
    assert response.status_code == expected, body[:500]
    after = rows_written()
    is_refused = response.status_code in REFUSED or "sign-in/?next=" in response.get("Location", "")
    assert not (is_refused and after != before), f"a refused call changed rows: {after - before}"
    assert not (is_refused and SECRET in body), "a refused call shows what it refuses"
    assert not (is_refused and is_api(route)) or set(json.loads(body)) == {"code", "detail", "fields"}


@pytest.mark.parametrize(
    ("route", "method"),
    [pytest.param(r["route"], r["method"], id=f"{r['method']} {r['route']}") for r in ROWS if r["outsider"] == "404"],
)
def test_to_outsiders_absent_and_forbidden_look_alike(world: World, route: str, method: str) -> None:
    there = send(world, route, method, "outsider")
    nowhere = {name: "no-such-thing" for name in re.findall(r"<\w+:(\w+)>", route) if name in ("slug", "name")}
    numbers = dict.fromkeys(re.findall(r"<\w+:(\w+_id)>", route), "1")
    absent = send(world, route, method, "outsider", **nowhere, **numbers)
    assert (there.status_code, plain(there)) == (absent.status_code, plain(absent))


@pytest.mark.parametrize(
    "route", [pytest.param(route, id=route) for route, methods in all_routes().items() if not methods]
)
def test_a_function_takes_no_method_without_a_row(world: World, route: str) -> None:
    rows = {row["method"] for row in ROWS if row["route"] == route}
    for method in set(METHODS) - rows:
        assert send(world, route, method, "superuser").status_code == 405


@pytest.mark.parametrize(
    "row",
    [pytest.param(r, id=f"{r['method']} {r['route']}") for r in ROWS if r["method"] != "GET" and is_api(r["route"])],
)
def test_a_session_needs_the_csrf_token(world: World, row: dict[str, str]) -> None:
    client = Client(enforce_csrf_checks=True)
    client.cookies[settings.SESSION_COOKIE_NAME] = world.sessions["superuser"]
    body = make_body(world, row["route"], row["method"])
    known = {**world.names, **body.path}
    path = "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda found: known[found[1]], row["route"])
    before = rows_written()
    response = client.generic(row["method"], path, body.data, body.content_type, headers=dict(body.headers))
    assert (response.status_code, response.json()["code"]) == (403, "csrf_failed")
    assert rows_written() == before
