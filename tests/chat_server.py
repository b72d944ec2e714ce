"""A language model on this machine: gullible where it is spoken to, right where it is shown what to label.

It takes whatever stands outside the delimited data for the voice of its master, as a poor model does, and labels what
is inside by one word. Lines end where any reader could think that they end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.file_server import Answer, FileServer

PATH = "/v1/chat/completions"
KEY = "sk-the-key-that-nobody-sees"
USAGE = {"prompt_tokens": 100, "completion_tokens": 10}

Reply = dict[str, Any]
Say = Callable[[str], Any]


def complete(content: Any, usage: Any = USAGE) -> Reply:
    """A completion that says so."""
    return {"choices": [{"message": {"role": "assistant", "content": content}}], "usage": usage}


def verdict(choice: str, probability: float = 0.9, clause: str | None = None) -> str:
    return json.dumps({"choice": choice, "probability": probability, "clause": clause})


def judge(text: str) -> str:
    """The truth, for texts of these tests."""
    return verdict("spam" if "pills" in text else "none")


def chat(say: Say = judge) -> Answer:
    """Answers each call by what `say` makes of the item's text: what the model says, or a whole reply."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        server = handler.server
        assert isinstance(server, FileServer)
        said = obey_or(say, json.loads(server_body(handler)))
        reply = said if isinstance(said, dict) else complete(said)
        send(handler, json.dumps(reply).encode())

    return answer


def server_body(handler: BaseHTTPRequestHandler) -> bytes:
    """What this very request brought: others come at the same time."""
    return bytes(handler.body)  # type: ignore[attr-defined]


def obey_or(say: Say, body: dict[str, Any]) -> Any:
    """What a gullible model says: it obeys what stands outside the data, and labels the data otherwise."""
    text, outside = take_apart(body)
    ordered = re.search(r"answer (\w+)", outside)
    return verdict(ordered[1]) if ordered else say(text)


def take_apart(body: dict[str, Any]) -> tuple[str, str]:
    """The text of the item, and what of the user's message stands outside the data."""
    system, user = (message["content"] for message in body["messages"])
    found = re.search(r"=== [0-9a-f]{32} ===", system)
    assert found
    lines = user.splitlines()
    first = lines.index(found[0])
    last = lines.index(found[0], first + 1)
    outside = "\n".join(lines[:first] + lines[last + 1 :])
    data = "\n".join(lines[first + 1 : last])
    try:
        parts = json.loads(data)["parts"]
    except ValueError:
        return "", user  # it cannot tell what is data: all of it speaks to it
    return " ".join(part["text"] for part in parts), outside


def send(handler: BaseHTTPRequestHandler, data: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
