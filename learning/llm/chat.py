"""Calls to an endpoint that speaks as OpenAI's chat completions do, through the guarded client.

A call is repeated where the endpoint is busy or failed, after as long as it asks or twice as long each time, within
bounds; all threads wait while it asks for peace. The key stands in one header and in no message. Each call is claimed
before it is made and settled after it (`spending`), whatever came of it.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _

from annotation.fetching import FetchError, FetchLimits, Network, PrivateAddressError, Reply, post_json
from annotation.strict_json import StrictJsonError, parse_json
from learning.llm.prompt import Answer, AnswerError, Prompt, encode_content, make_messages, read_answer
from learning.llm.spending import Till, Usage

MAX_REPLY = 1024**2
ASKED = 2  # times, where an answer is not accepted
# Where the endpoint does not say. No tokeniser of a text makes more tokens than it has bytes.
BYTES_A_TOKEN = 3
AROUND = 200  # tokens that an endpoint may put around what it is sent
USUAL_OUT = 300  # tokens of an answer, where the options set no end to it
MAX_TOKENS = 10_000_000  # of one call; what is above is no count
_BUSY = (408, 425, 429, 500, 502, 503, 504, 529)
_MISTAKEN = (401, 402, 403, 404, 405)
# Something in between has given up: the model may have answered.
_GIVEN_UP = (408, 502, 504)

Messages = Sequence[Mapping[str, str]]


class ServiceError(Exception):
    """The endpoint gave no answer to this call, however often it was asked. The sentence says why."""


class StopError(Exception):
    """No further call is of use. The sentence says why and what to do."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may take, how often it is made, and in seconds how long is waited before it is made again."""

    limits: FetchLimits = field(default_factory=lambda: FetchLimits(10.0, 60.0, 90.0, 0.0))
    tries: int = 4
    pause_seconds: float = 2.0
    longest_pause_seconds: float = 60.0


PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Whom to ask, as the installation's settings say. `prices`: of a million tokens in and out; None: not known."""

    url: str
    model: str
    key: str = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    prices: tuple[float, float] | None = None
    networks: Sequence[Network] = ()

    @property
    def most_out(self) -> int | None:
        """Tokens that the answer to a call may have; None where the options set no end to it."""
        told = [self.options.get(name) for name in ("max_tokens", "max_completion_tokens")]
        ends = [n for n in told if isinstance(n, int)]
        n_answers = self.options.get("n", 1)
        return max(ends) * (n_answers if isinstance(n_answers, int) else 1) if ends else None

    def cost(self, n_in: float, n_out: float) -> float | None:
        """What so many tokens cost; None where no price is set."""
        return None if self.prices is None else (n_in * self.prices[0] + n_out * self.prices[1]) / 1e6


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one item: an answer, or the reason why there is none. `is_service`: the endpoint gave no reply."""

    answer: Answer | None
    reason: str
    is_cut: bool = False
    is_service: bool = False


def find_endpoint() -> Endpoint | None:
    """The endpoint of this installation; None where none is set up."""
    if not settings.LLM_URL or not settings.LLM_MODEL:
        return None
    return Endpoint(
        url=f"{settings.LLM_URL}/chat/completions",
        model=settings.LLM_MODEL,
        key=settings.LLM_KEY,
        options=settings.LLM_OPTIONS,
        prices=settings.LLM_PRICES,
        networks=settings.LLM_NETWORKS,
    )


class Pace:
    """When threads may call: not while the endpoint asked for peace, and never again once `stop` was called."""

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._not_before = 0.0

    def stop(self) -> None:
        """End all waiting; no call is begun any more."""
        self._stopped.set()

    def hold(self, seconds: float) -> None:
        """Let nobody call for so long."""
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + seconds)

    def wait(self, seconds: float = 0.0) -> None:
        """Wait so long, and until calling is allowed. Raises StopError where it no longer will be."""
        until = time.monotonic() + seconds
        while (left := max(until, self._not_before) - time.monotonic()) > 0:
            if self._stopped.wait(left):
                break
        if self._stopped.is_set():
            raise StopError(_("the work was stopped"))


def ask_about(
    endpoint: Endpoint, prompt: Prompt, parts: Sequence[Mapping[str, Any]], pace: Pace, till: Till, patience: Patience
) -> Outcome:
    """What the model says of an item; asked once more where its answer is not accepted. Raises StopError, LimitError.

    What calls took the `till` is told, also of those that led nowhere.
    """
    content, is_cut = encode_content(parts)
    reason = ""
    for _n_asked in range(ASKED):
        try:
            said = _call(endpoint, make_messages(prompt, content), pace, till, patience)
        except ServiceError as error:
            return Outcome(None, str(error), is_cut, is_service=True)
        try:
            if said is None:
                raise AnswerError(_("the reply holds no answer"))
            return Outcome(read_answer(prompt, said), "", is_cut)
        except AnswerError as error:
            reason = str(error)
    return Outcome(None, reason, is_cut)


def _call(endpoint: Endpoint, messages: Messages, pace: Pace, till: Till, patience: Patience) -> str | None:
    """The text of the answer, None where the reply has another shape."""
    pause, reason = 0.0, ""
    for n_tried in range(1, patience.tries + 1):
        pace.wait(pause)
        pause = _backoff(n_tried, patience)
        try:
            reply = _post(endpoint, messages, till, patience)
        except PrivateAddressError as error:
            raise StopError(
                _("The endpoint is not on the public internet. Name its network in LLM_NETWORKS, if it may be asked.")
            ) from error
        except FetchError as error:
            if not error.is_worth_repeating:
                raise ServiceError(error.detail) from error
            reason = error.detail
            continue
        if reply.status == 200:
            return _read_text(_read_strictly(reply.body))
        reason = _("the endpoint answers with the status %(status)d") % {"status": reply.status}
        if reply.status in _MISTAKEN:
            raise StopError(
                _("The endpoint answers with the status %(status)d: look at LLM_URL, LLM_KEY and LLM_MODEL.")
                % {"status": reply.status}
            )
        if reply.status not in _BUSY:
            raise ServiceError(reason)
        if reply.retry_after is not None:
            if reply.retry_after > patience.longest_pause_seconds:
                raise StopError(
                    _("The endpoint asks to be left alone for %(n)d seconds. Start again after that.")
                    % {"n": reply.retry_after}
                )
            pace.hold(reply.retry_after)
            pause = 0.0
    raise ServiceError(reason)


def _post(endpoint: Endpoint, messages: Messages, till: Till, patience: Patience) -> Reply:
    """One call, claimed and settled."""
    body = json.dumps({**endpoint.options, "model": endpoint.model, "messages": list(messages)}).encode()
    headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
    lost = reckon(endpoint, messages)
    claim = till.claim(lost)
    used = lost  # unless something else is heard
    try:
        reply = post_json(
            endpoint.url,
            body,
            most=MAX_REPLY,
            limits=patience.limits,
            networks=endpoint.networks,
            headers=headers,
        )
        used = read_usage(reply, lost)
        return reply
    except FetchError as error:
        if not error.is_lost:
            used = Usage()
        raise
    finally:
        till.settle(claim, used)


def _backoff(n_tried: int, patience: Patience) -> float:
    """Twice as long each time, and never all threads at once."""
    longest = min(patience.pause_seconds * 2 ** (n_tried - 1), patience.longest_pause_seconds)
    return float(longest * random.uniform(0.5, 1.0))  # noqa: S311  (no secret)


def reckon(endpoint: Endpoint, messages: Messages) -> Usage:
    """What a call counts as of which nothing is heard again: sent tokens are guessed, an answer is as long as may be.

    With its spare tokens it is the most that a call can take.
    """
    n_bytes = sum(len(message["content"].encode()) for message in messages)
    n_in = -(-n_bytes // BYTES_A_TOKEN)
    most_out = endpoint.most_out
    return Usage(1, n_in, USUAL_OUT if most_out is None else most_out, 1, spare_in=n_bytes + AROUND - n_in)


def read_usage(reply: Reply, lost: Usage) -> Usage:
    """What a call took: as the endpoint says, whatever else it says; else guessed from what it sent.

    `lost`: as `reckon` says of the call. A failure of which the endpoint says nothing took nothing, unless something in
    between gave up waiting.
    """
    found = _read_strictly(reply.body) or _read_leniently(reply.body)
    told = found.get("usage")
    counts = [told.get(name) if isinstance(told, dict) else None for name in ("prompt_tokens", "completion_tokens")]
    if all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= MAX_TOKENS for n in counts):
        return Usage(1, int(counts[0] or 0), int(counts[1] or 0))
    if reply.status != 200:
        return lost if reply.status in _GIVEN_UP else Usage()
    said = _read_text(found)
    n_out = -(-len(reply.body if said is None else said.encode("utf-8", "replace")) // BYTES_A_TOKEN)
    n_out = min(n_out, lost.n_out)
    return Usage(1, lost.n_in, n_out, 1, lost.spare_in, lost.n_out - n_out)


def _read_strictly(body: bytes) -> dict[str, Any]:
    """A reply as an object; empty where it is none."""
    try:
        found = parse_json(body)
    except StrictJsonError:
        return {}
    return found if isinstance(found, dict) else {}


def _read_leniently(body: bytes) -> dict[str, Any]:
    """The same of what is JSON in a wider sense: good enough for two numbers."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _read_text(found: Mapping[str, Any]) -> str | None:
    """What the model says in a reply; None where it has another shape."""
    choices = found.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    said = message.get("content") if isinstance(message, dict) else None
    return said if isinstance(said, str) else None
