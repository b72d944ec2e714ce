"""What a language model is told, and what of its answer is taken: against a server that is slow, busy or wrong."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from annotation.fetching import FetchLimits
from learning.llm.chat import Endpoint, Outcome, Pace, Patience, ServiceError, StopError, Usage, _call, ask_about
from learning.llm.prompt import MAX_TEXT, AnswerError, build_prompt, encode_content, make_messages, read_answer
from tests.chat_server import KEY, PATH, chat, complete, take_apart, verdict
from tests.file_server import FileServer, body, drip, in_turn, serve, status

QUESTION: Any = {
    "name": "verdict",
    "kind": "choice",
    "text": "Which policy does it break?",
    "choices": [{"id": 1, "value": "none"}, {"id": 2, "value": "spam", "text": "Spam {or} scam", "clause": "s-1"}],
}
CLAUSES = [{"id": "s-1", "title": "Spam", "text": "Selling pills.", "examples": []}]
PROMPT = build_prompt(QUESTION, CLAUSES, 3, {})
PARTS = [{"name": "body", "role": "target", "kind": "text", "text": "buy pills"}]
QUICK = Patience(FetchLimits(2, 0.5, 1, 0), tries=3, pause_seconds=0.01, longest_pause_seconds=2)


@pytest.fixture
def server(settings: Any) -> Iterator[FileServer]:
    """A server on this machine, which the setting allows to be asked."""
    settings.FETCH_NETWORKS = [ip_network("127.0.0.0/8")]
    with serve() as one:
        one.answers[PATH] = chat()
        yield one


def endpoint(server: FileServer, **options: Any) -> Endpoint:
    return Endpoint(server.url(PATH), "a-model", KEY, options)


def ask(server: FileServer, text: str = "buy pills", patience: Patience = QUICK) -> Outcome:
    return ask_about(endpoint(server), PROMPT, [{**PARTS[0], "text": text}], Pace(), patience)


# --- What is told ----------------------------------------------------------------------------------------------------


def test_question_choices_and_clauses_stand_in_the_system_and_the_item_in_the_user_message(server: FileServer) -> None:
    outcome = ask(server)
    assert outcome.answer is not None
    assert (PROMPT.values[outcome.answer.code], outcome.answer.probability, outcome.reason) == ("spam", 0.9, "")
    (sent,) = [json.loads(one) for one in server.posted]
    system, user = sent["messages"]
    assert (system["role"], user["role"], sent["model"]) == ("system", "user", "a-model")
    assert all(word in system["content"] for word in ("Which policy", "Spam {or} scam", "s-1", "Selling pills."))
    assert "buy pills" not in system["content"]
    assert take_apart(sent) == ("buy pills", "")


def test_the_key_stands_in_one_header_and_nowhere_else(server: FileServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server.answers[PATH] = status(401)
    with pytest.raises(StopError) as caught:
        ask(server)
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in caplog.text + str(caught.value) + repr(endpoint(server)) + server.posted[0].decode()
    assert "401" in str(caught.value)


def test_no_content_ends_where_it_stands() -> None:
    """Whatever a text holds, it is one line for every reader, comes back as it was, and knows no delimiter."""
    every = "".join(chr(code) for code in range(0x3000) if not 0xD800 <= code < 0xE000)
    line, is_cut = encode_content([{**PARTS[0], "text": every}])
    assert (len(line.splitlines()), is_cut) == (1, False)
    assert json.loads(line)["parts"][0]["text"] == every
    messages = [make_messages(PROMPT, line) for _call in range(2)]
    delimiters = [one[1]["content"].splitlines()[0] for one in messages]
    assert delimiters[0] != delimiters[1]
    assert [one[1]["content"].splitlines() for one in messages] == [[d, line, d] for d in delimiters]


def test_long_content_is_cut_and_says_so() -> None:
    line, is_cut = encode_content([{**PARTS[0], "text": "a" * MAX_TEXT}, {**PARTS[0], "text": "b"}])
    assert (is_cut, json.loads(line)["is_cut"]) == (True, True)
    assert [part["text"] for part in json.loads(line)["parts"]] == ["a" * MAX_TEXT, ""]


def test_whatever_changes_the_prompt_changes_the_version() -> None:
    other = {**QUESTION, "choices": [*QUESTION["choices"], {"id": 3, "value": "insult"}]}
    versions = {
        PROMPT.version,
        build_prompt(QUESTION, CLAUSES, 4, {}).version,
        build_prompt(QUESTION, [{**CLAUSES[0], "text": "Selling."}], 3, {}).version,
        build_prompt(other, CLAUSES, 3, {}).version,
        build_prompt(QUESTION, CLAUSES, 3, {"temperature": 1}).version,
    }
    assert len(versions) == 5
    assert build_prompt(QUESTION, CLAUSES, 3, {}).version == PROMPT.version
    assert PROMPT.version.startswith("g3-")


# --- What is taken ---------------------------------------------------------------------------------------------------

REFUSED = {
    "": "not JSON",
    "spam": "not JSON",
    f"```json\n{verdict('spam')}\n```": "not JSON",
    verdict("spam") + " I hope this helps.": "not JSON",
    verdict("spam") + verdict("none"): "not JSON",
    '{"choice": "spam", "choice": "none", "probability": 1, "clause": null}': "not JSON",
    '{"choice": "spam", "probability": NaN, "clause": null}': "not JSON",
    '{"choice": "sp\u0007am", "probability": 1, "clause": null}': "not JSON",
    "[" * 5000: "too long",
    "[" * 50: "not JSON",
    "[]": "not an object of",
    '{"choice": "spam", "probability": 1}': "not an object of",
    '{"choice": "spam", "probability": 1, "clause": null, "why": "x"}': "not an object of",
    verdict("scam"): "none of the question's",
    verdict("Spam"): "none of the question's",
    verdict("spam\u0000"): "not JSON",
    verdict("spam\u202e"): "none of the question's",
    '{"choice": ["spam"], "probability": 1, "clause": null}': "none of the question's",
    verdict("spam", 1.5): "no number from 0 to 1",
    verdict("spam", -0.1): "no number from 0 to 1",
    '{"choice": "spam", "probability": true, "clause": null}': "no number from 0 to 1",
    '{"choice": "spam", "probability": "0.9", "clause": null}': "no number from 0 to 1",
    verdict("spam", 1, "s-2"): "none of the guideline's",
}


@pytest.mark.parametrize("said", REFUSED)
def test_an_answer_that_is_not_exactly_what_was_asked_for_is_refused(said: str) -> None:
    with pytest.raises(AnswerError, match=REFUSED[said]) as caught:
        read_answer(PROMPT, said)
    assert "scam" not in str(caught.value)


def test_an_answer_that_is_refused_is_asked_for_once_more_and_then_is_a_named_failure(server: FileServer) -> None:
    server.answers[PATH] = in_turn(chat(lambda _text: "spam!"), chat())
    assert ask(server).answer is not None
    assert len(server.posted) == 2
    server.answers[PATH] = chat(lambda _text: verdict("scam"))
    outcome = ask(server)
    assert (outcome.answer, outcome.reason, outcome.is_service) == (None, "the choice is none of the question's", False)
    assert (len(server.posted), outcome.usage) == (4, Usage(2, 200, 20, 0))


@pytest.mark.parametrize(
    "reply",
    [b"not json", b"[]", b"{}", b'{"choices": []}', b'{"choices": [3]}', json.dumps(complete(None)).encode(), b"\xff"],
)
def test_a_reply_of_another_shape_holds_no_answer(server: FileServer, reply: bytes) -> None:
    server.answers[PATH] = body(reply)
    assert (ask(server).reason, len(server.posted)) == ("the reply holds no answer", 2)


@pytest.mark.parametrize(
    "usage", [None, "many", {}, {"prompt_tokens": -5, "completion_tokens": 1}, {"prompt_tokens": True}, 10**12]
)
def test_tokens_are_guessed_where_the_endpoint_does_not_say(server: FileServer, usage: Any) -> None:
    server.answers[PATH] = chat(lambda _text: complete(verdict("spam"), usage))
    used = ask(server).usage
    sent = sum(len(message["content"]) for message in json.loads(server.posted[0])["messages"])
    assert used == Usage(1, -(-sent // 3), -(-len(verdict("spam")) // 3), 1)


# --- What is put up with ---------------------------------------------------------------------------------------------


def test_a_busy_endpoint_is_left_alone_for_as_long_as_it_asks(server: FileServer) -> None:
    server.answers[PATH] = in_turn(status(429, Retry_After="1"), chat())
    start = time.monotonic()
    assert ask(server).answer is not None
    assert 1 <= time.monotonic() - start < 2


def test_one_that_asks_for_too_long_a_wait_stops_the_work(server: FileServer) -> None:
    server.answers[PATH] = status(429, Retry_After="3600")
    with pytest.raises(StopError, match="left alone for 3600 seconds"):
        ask(server)
    assert len(server.posted) == 1


@pytest.mark.parametrize("code", [500, 503, 429])
def test_failures_are_tried_again_a_few_times(server: FileServer, code: int) -> None:
    server.answers[PATH] = in_turn(status(code), status(code), chat())
    assert ask(server).answer is not None
    server.answers[PATH] = status(code)
    outcome = ask(server)
    assert (outcome.is_service, outcome.reason) == (True, f"the endpoint answers with the status {code}")
    assert len(server.posted) == 6


def test_a_call_that_is_refused_for_itself_is_not_repeated(server: FileServer) -> None:
    server.answers[PATH] = status(400)
    assert (ask(server).is_service, len(server.posted)) == (True, 1)


def test_a_huge_a_slow_and_a_packed_answer_are_given_up(server: FileServer) -> None:
    server.answers[PATH] = body(b"[" + b"1," * 10**6)
    assert "larger" in ask(server).reason
    server.answers[PATH] = body(b"{}", Content_Encoding="gzip")
    assert "packed" in ask(server).reason
    once = Patience(FetchLimits(2, 0.2, 0.3, 0), tries=1)
    for slow in (drip(50, 0.05, declared=1000), drip(50, 0.05, in_headers=True), drip(2, 0.5, declared=9)):
        server.answers[PATH] = slow
        start = time.monotonic()
        assert "too slow" in ask(server, patience=once).reason
        assert time.monotonic() - start < 1


def test_a_redirect_is_not_followed_and_a_private_address_is_not_asked(server: FileServer, settings: Any) -> None:
    server.answers[PATH] = status(307, Location=server.url("/inner"))
    assert "redirect" in ask(server).reason
    assert server.paths() == [PATH]
    settings.FETCH_NETWORKS = []
    with pytest.raises(StopError, match="FETCH_NETWORKS"):
        ask(server)
    assert server.paths() == [PATH]


def test_nobody_calls_once_the_work_was_stopped(server: FileServer) -> None:
    pace = Pace()
    pace.hold(60)
    pace.stop()
    with pytest.raises(StopError):
        _call(endpoint(server), make_messages(PROMPT, "{}"), pace, QUICK)
    assert server.posted == []


def test_a_call_without_a_key_sends_no_such_header_and_options_go_along(server: FileServer) -> None:
    plain = Endpoint(server.url(PATH), "m", "", {"temperature": 0})
    said, _usage = _call(plain, make_messages(PROMPT, encode_content(PARTS)[0]), Pace(), QUICK)
    assert said is not None
    assert "Authorization" not in server.headers[0]
    assert json.loads(server.posted[0])["temperature"] == 0
    with pytest.raises(ServiceError):
        _call(Endpoint("ftp://nowhere", "m", ""), [], Pace(), QUICK)
