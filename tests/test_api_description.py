"""The OpenAPI document: whole, without warnings, and the same routes as the server."""

from __future__ import annotations

import io
import re

import pytest
from django.core.management import call_command
from django.test import Client

from tests.test_permissions import all_routes

pytestmark = pytest.mark.django_db


def test_the_document_is_made_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--fail-on-warn", "--validate", "--file", "/dev/null", stdout=io.StringIO())
    assert "Warning" not in capsys.readouterr().err


def test_the_document_lists_every_route_and_method() -> None:
    document = Client().get("/api/v1/openapi.json").json()
    listed = {(path, method.upper()) for path, found in document["paths"].items() for method in found}
    served = {
        ("/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route), method)
        for route, methods in all_routes().items()
        for method in methods
        if route.startswith("api/v1/")
    }
    assert served - listed == set()
    assert {path for path, _method in listed - served if path.startswith("/api/")} == set()


def test_every_operation_says_what_it_does_and_what_an_error_looks_like() -> None:
    document = Client().get("/api/v1/openapi.json").json()
    operations = [one for found in document["paths"].values() for one in found.values()]
    assert [one["operationId"] for one in operations if not one.get("description")] == []
    assert [one["operationId"] for one in operations if "4XX" not in one["responses"]] == []
    assert len({one["operationId"] for one in operations}) == len(operations)
