"""A small client of the API, as a program with a token would call it."""

from __future__ import annotations

import io
import json
from typing import Any

from django.test import Client
from PIL import Image

from annotation.actions.people import create_token, create_user
from annotation.models import User
from tests.cast import PASSWORD

BASE = "/api/v1/"


class Api:
    """Calls below `/api/v1/` by one person. Without a user: nobody's."""

    def __init__(self, user: User | None, scopes: list[str] | None = None, client: Client | None = None) -> None:
        self.client = client or Client()
        self.headers: dict[str, str] = {}
        if user is not None:
            self.headers["Authorization"] = f"Bearer {create_token(user=user, scopes=scopes, actor=user)[1]}"

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | str | None = None,
        content_type: str = "application/json",
        **headers: str,
    ) -> Any:
        """One call; `body` goes as JSON, `raw` as it is. `path` may be an absolute address. Headers: `if_match=...`."""
        data = raw if raw is not None else (b"" if body is None else json.dumps(body).encode())
        if raw is not None:
            headers["content_type"] = content_type  # Django's client leaves it out where there is nothing to send
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        where = path if path.startswith(("http://", "/")) else BASE + path
        return self.client.generic(method, where, data, content_type, headers={**self.headers, **named})

    def get(self, path: str, **headers: str) -> Any:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.send("POST", path, body, **more)

    def put(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.send("PUT", path, body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.send("PATCH", path, body, **more)

    def delete(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.send("DELETE", path, body, **more)

    def answer(self, lease_id: str, verdict: str = "none", key: str = "key-1", **body: Any) -> Any:
        """Submit the answer to a lease."""
        return self.post(
            f"leases/{lease_id}/annotation", {"answers": {"verdict": verdict}, **body}, idempotency_key=key
        )

    def lease(self, slug: str = "forum", n: int = 1, **body: Any) -> list[dict[str, Any]]:
        """What is held after asking for `n`."""
        response = self.post(f"projects/{slug}/leases", {"n": n, **body})
        assert response.status_code == 200, response.content
        leases: list[dict[str, Any]] = response.json()["leases"]
        return leases

    def walk(self, path: str) -> list[list[dict[str, Any]]]:
        """All pages of a list."""
        pages, where = [], path
        while where:
            response = self.get(where)
            assert response.status_code == 200, response.content
            page = response.json()
            assert set(page) == {"results", "next"}
            pages.append(page["results"])
            where = page["next"]
        return pages


def make_root() -> User:
    """The administrator."""
    return create_user(username="root", password=PASSWORD, is_superuser=True)


def make_png(width: int = 3, height: int = 2, shade: int = 100) -> bytes:
    """A small image."""
    out = io.BytesIO()
    Image.new("L", (width, height), shade).save(out, "PNG")
    return out.getvalue()


def fault_of(response: Any) -> tuple[int, str]:
    """Status and code of an error, whose shape is checked on the way."""
    body = response.json()
    assert set(body) == {"code", "detail", "fields"}
    assert body["detail"], "an error says what to do"
    return response.status_code, body["code"]
