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
from learning.llm.chat import AROUND, Endpoint, Outcome, Pace, Patience, ServiceError, StopError, _call, ask_about
from learning.llm.prompt import MAX_TEXT, AnswerError, build_prompt, encode_content, make_messages, read_answer
from learning.llm.spending import Books, Claim, LimitError, Usage
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
HERE = [ip_network("127.0.0.0/8")]
QUICK = Patience(FetchLimits(2, 0.5, 1, 0), tries=3, pause_seconds=0.01, longest_pause_seconds=2)


@pytest.fixture
def server() -> Iterator[FileServer]:
    """A server on this machine."""
    with serve() as one:
        one.answers[PATH] = chat()
        yield one


def endpoint(server: FileServer, **options: Any) -> Endpoint:
    return Endpoint(server.url(PATH), "a-model", KEY, options, networks=HERE)


class Purse:
    """Lets every call be made, and remembers what it may take and what it took."""

    def __init__(self) -> None:
        self.claimed: list[Usage] = []
        self.used: list[Usage] = []

    def claim(self, lost: Usage) -> Claim:
        self.claimed.append(lost)
        return Claim(lost)

    def settle(self, claim: Claim, used: Usage) -> None:
        assert claim.lost in self.claimed
        self.used.append(used)


def ask(
    server: FileServer, text: str = "buy pills", patience: Patience = QUICK, purse: Purse | None = None, **options: Any
) -> Outcome:
    parts = [{**PARTS[0], "text": text}]
    return ask_about(endpoint(server, **options), PROMPT, parts, Pace(), purse or Purse(), patience)


def taken(server: FileServer, **options: Any) -> list[Usage]:
    """What each call took of asking about one item."""
    purse = Purse()
    ask(server, purse=purse, **options)
    assert len(purse.used) == len(purse.claimed)
    return purse.used


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
    purse = Purse()
    outcome = ask(server, purse=purse)
    assert (outcome.answer, outcome.reason, outcome.is_service) == (None, "the choice is none of the question's", False)
    assert (len(server.posted), purse.used) == (4, [Usage(1, 100, 10)] * 2)


@pytest.mark.parametrize(
    "reply",
    [b"not json", b"[]", b"{}", b'{"choices": []}', b'{"choices": [3]}', json.dumps(complete(None)).encode(), b"\xff"],
)
def test_a_reply_of_another_shape_holds_no_answer(server: FileServer, reply: bytes) -> None:
    server.answers[PATH] = body(reply)
    assert (ask(server).reason, len(server.posted)) == ("the reply holds no answer", 2)


# --- What calls took -------------------------------------------------------------------------------------------------

TOLD = b'"usage": {"prompt_tokens": 70, "completion_tokens": 3}'


@pytest.mark.parametrize(
    "usage", [None, "many", {}, {"prompt_tokens": -5, "completion_tokens": 1}, {"prompt_tokens": True}, 10**12]
)
def test_tokens_are_guessed_where_the_endpoint_does_not_say(server: FileServer, usage: Any) -> None:
    server.answers[PATH] = chat(lambda _text: complete(verdict("spam"), usage))
    (used,) = taken(server, max_tokens=50)
    sent = sum(len(message["content"]) for message in json.loads(server.posted[0])["messages"])
    n_in, n_out = -(-sent // 3), -(-len(verdict("spam")) // 3)
    assert used == Usage(1, n_in, n_out, 1, spare_in=sent + AROUND - n_in, spare_out=50 - n_out)


@pytest.mark.parametrize(
    "reply",
    [
        b'{"choices": [{"message": {"content": null, "refusal": "no"}}], ' + TOLD + b"}",
        b'{"choices": [], ' + TOLD + b"}",
        b'{"choices": [{"message": {"content": "certainly"}}], ' + TOLD + b"}",
        b'{"choices": [{"message": {"content": "spam"}, "logprobs": -Infinity}], ' + TOLD + b"}",
        b'{"id": 1, "id": 1, ' + TOLD + b"}",
    ],
    ids=["refused", "empty", "invalid", "no strict JSON", "twice"],
)
def test_what_the_endpoint_says_of_an_answer_that_is_not_accepted_is_counted(server: FileServer, reply: bytes) -> None:
    server.answers[PATH] = body(reply)
    assert taken(server) == [Usage(1, 70, 3)] * 2  # asked once more


def test_a_failure_counts_what_it_says_and_else_nothing(server: FileServer) -> None:
    server.answers[PATH] = status(503)
    assert taken(server) == [Usage()] * 3
    server.answers[PATH] = status(400, body=b"{" + TOLD + b"}")
    assert taken(server) == [Usage(1, 70, 3)]


def test_a_call_whose_answer_is_lost_counts_as_the_most_that_it_can_take(server: FileServer) -> None:
    """Broken off, too slow, given up by what stands between: it may have been paid for."""
    once = Patience(FetchLimits(2, 0.2, 0.3, 0), tries=1)
    for lost in (status(504), body(b"{}", declared=99), drip(9, 0.1), body(b"{}", Content_Encoding="gzip")):
        server.answers[PATH] = lost
        purse = Purse()
        assert ask(server, "buy pills", once, purse, max_tokens=40, n=2).is_service
        assert purse.used == purse.claimed
        assert (purse.used[0].n_calls, purse.used[0].n_guessed, purse.used[0].n_out) == (1, 1, 80)


def test_a_call_that_reached_nobody_took_nothing(server: FileServer) -> None:
    purse = Purse()
    nobody = Endpoint("http://127.0.0.1:9/v1", "m", "", networks=HERE)
    assert ask_about(nobody, PROMPT, PARTS, Pace(), purse, QUICK).is_service
    assert purse.used == [Usage()] * 3


def test_the_most_that_a_call_takes_is_a_token_for_each_byte_and_the_longest_answer(server: FileServer) -> None:
    purse = Purse()
    ask(server, "\N{SNOWMAN}" * 100, purse=purse, max_tokens=7, max_completion_tokens=9)
    sent = sum(len(message["content"].encode()) for message in json.loads(server.posted[0])["messages"])
    most = purse.claimed[0]
    assert (most.n_in + most.spare_in, most.n_out + most.spare_out) == (sent + AROUND, 9)


def books(limit: float | None, **kept: Any) -> Books:
    """Books of a job at a price of 1 a token in and 10 a token out."""
    return Books.open(kept, 1, lambda n_in, n_out: n_in + 10 * n_out, limit)


def claims(*tokens: int) -> list[Claim]:
    """Calls that take at most so many tokens in."""
    return [Claim(Usage(1, n, 0, 1)) for n in tokens]


def settle(kept: Books, claim: Claim, used: Usage) -> None:
    claim.used = used
    kept.receive([claim])


def test_no_call_is_made_that_could_cost_more_than_is_left() -> None:
    kept = books(100)
    first, second, third, last = claims(40, 40, 40, 40)
    kept.receive([first, second, third])
    assert kept.allow() == [first, second]  # the third waits for what these turn out to cost
    settle(kept, first, Usage(1, 30, 0))
    assert kept.allow() == []
    settle(kept, second, Usage(1, 20, 0))
    assert kept.allow() == [third]
    kept.receive([last])
    assert kept.allow() == []
    settle(kept, third, Usage(1, 40, 0))
    assert (kept.allow(), type(last.refusal)) == ([], LimitError)
    assert kept.as_dict()["job"]["most_cost"] == 90


def test_a_limit_counts_what_calls_that_do_not_say_may_have_taken() -> None:
    kept = books(100)
    first, second = claims(60, 60)
    kept.receive([first])
    kept.allow()
    settle(kept, first, Usage(1, 20, 0, 1, spare_in=40))
    kept.receive([second])
    assert kept.allow() == []
    assert (kept.as_dict()["cost"], kept.as_dict()["most_cost"]) == (20, 60)


def test_calls_dearer_than_reckoned_make_the_next_ones_count_for_more() -> None:
    kept = books(100)
    first, second, third = claims(10, 30, 20)
    kept.receive([first])
    kept.allow()
    settle(kept, first, Usage(1, 20, 0))
    kept.receive([second])
    assert kept.allow() == [second]  # 20 + 2 * 30
    kept.receive([third])
    assert kept.allow() == []


def test_what_was_under_way_when_an_attempt_was_cut_off_counts_as_paid() -> None:
    kept = books(100)
    kept.receive(claims(30, 20))
    kept.allow()
    again = books(100, **kept.as_dict())
    assert (again.as_dict()["job"]["cost"], again.as_dict()["cost"], again.as_dict()["n_guessed"]) == (50, 50, 2)
    assert "under_way" not in again.as_dict()["job"]
    other = Books.open(kept.as_dict(), 2, kept.cost, 100)  # another job: the version has it, the job has not
    assert (other.as_dict()["job"]["cost"], other.as_dict()["cost"]) == (0, 50)


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
    settings.FETCH_NETWORKS = HERE  # which is for media
    with pytest.raises(StopError, match="LLM_NETWORKS"):
        ask_about(Endpoint(server.url(PATH), "m", ""), PROMPT, PARTS, Pace(), Purse(), QUICK)
    assert server.paths() == [PATH]


def test_nobody_calls_once_the_work_was_stopped(server: FileServer) -> None:
    pace = Pace()
    pace.hold(60)
    pace.stop()
    with pytest.raises(StopError):
        _call(endpoint(server), make_messages(PROMPT, "{}"), pace, Purse(), QUICK)
    assert server.posted == []


def test_a_call_without_a_key_sends_no_such_header_and_options_go_along(server: FileServer) -> None:
    plain = Endpoint(server.url(PATH), "m", "", {"temperature": 0}, networks=HERE)
    assert _call(plain, make_messages(PROMPT, encode_content(PARTS)[0]), Pace(), Purse(), QUICK) is not None
    assert "Authorization" not in server.headers[0]
    assert json.loads(server.posted[0])["temperature"] == 0
    with pytest.raises(ServiceError):
        _call(Endpoint("ftp://nowhere", "m", ""), [], Pace(), Purse(), QUICK)
