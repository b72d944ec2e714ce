"""What every template may use."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def add_nonce(request: HttpRequest) -> dict[str, Any]:
    """Return the request's CSP nonce as `csp_nonce`, the name that django-htmx's tags look for."""
    return {"csp_nonce": getattr(request, "csp_nonce", None)}
