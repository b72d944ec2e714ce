"""The job that asks a language model: first about items whose answer is known, and only if it passes about the pool.

Answers are kept as they come, as scores that were sent in, with what all so far has cost and the calls that are under
way: the next attempt asks about nothing that is kept, and counts what was under way as paid. Calls are made by a few
threads, each when this one has stored that it is made; rows are read and written by this one alone. What is sent is
read just before: what was sealed or erased by then is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from annotation.jobs import JobFailedError, RunningJob, job_kind
from annotation.kinds import Question
from annotation.models import Item, ItemPayload, Project
from annotation.settings import learning_settings
from learning.actions.llm import KIND, store_answers, store_gate
from learning.actions.models import ensure_external_model
from learning.judging import judge_sent
from learning.llm import chat
from learning.llm.chat import Endpoint, Outcome, Pace, StopError, ask_about, find_endpoint
from learning.llm.gate import MIN_JUDGED, MOST_JUDGED, decide, load_gold, load_known
from learning.llm.prompt import Answer, Prompt, build_prompt
from learning.llm.spending import Books, Counter, LimitError
from learning.loading import load_pool, load_sent_proba
from learning.models import ModelVersion
from learning.predictions import LLM_PREFIX
from learning.questions import classes_of
from learning.scoring import utilities_for
from learning.tasks.opening import open_question

THREADS = 4
READ = 500  # items whose content is looked at together
TOLD = 20  # items after which the page is told how far this is
GATHERING = 0.05  # seconds that an answer waits for the next call to be stored with it
SERVICE_FAILURES = 5  # in a row
FAILURES = 20  # in a row, of any kind
SHOWN_FAILURES = 100
WALL_SECONDS = 80 * 60.0  # a worker's task may take 100 minutes

Parts = list[dict[str, Any]]


@job_kind(KIND)
def run_llm(running: RunningJob) -> dict[str, Any]:
    """Ask the language model of this installation about a question; the result says what was answered and what it cost.

    `{"model", "passed", "gate", "n_answered", "n_failed", "n_skipped", "n_left", "n_calls", "input_tokens",
    "output_tokens", "n_guessed", "cost", "most_cost", "note", "failed": [{"item", "reason"}], "skipped": [item]}`, of
    the last two the first hundred. JobFailedError, with that result, where it does not pass or the endpoint fails too
    often.
    """
    project = running.project
    question = open_question(project, running.args["question"])
    endpoint = find_endpoint()
    if endpoint is None:
        raise JobFailedError(_("No language model is set up for the worker: it needs LLM_URL and LLM_MODEL."))
    if running.args["max_cost"] is not None and endpoint.prices is None:
        raise JobFailedError(_("The worker knows no prices (LLM_INPUT_PRICE, LLM_OUTPUT_PRICE): no cost can be held."))
    if running.args["max_cost"] is not None and endpoint.most_out is None:
        raise JobFailedError(_("The worker's LLM_OPTIONS has no `max_tokens`: no cost can be held."))
    guideline = project.guideline
    prompt = build_prompt(
        question,
        guideline.clauses if guideline is not None else [],
        guideline.version if guideline is not None else 0,
        endpoint.options,
    )
    model = ensure_external_model(
        project=project,
        question=question["id"],
        name=f"{LLM_PREFIX}{endpoint.model}",
        version=prompt.version,
        classes=classes_of(question),
        is_barred=True,
    )
    work = _Work(running, project, question, endpoint, prompt, model)
    try:
        gate = work.pass_gate()
        if gate["passed"]:
            work.ask_pool()
    except StopError as error:
        raise JobFailedError(str(error), result=work.result()) from error
    finally:
        work.close()
    if not gate["passed"]:
        raise JobFailedError(_told(model, gate), result=work.result())
    return work.result()


def _told(model: ModelVersion, gate: dict[str, Any]) -> str:
    if gate["accuracy"] is None or gate["n_items"] < MIN_JUDGED:
        return _("%(model)s cannot be judged, so nothing that it says is shown: %(reason)s.") % {
            "model": model,
            "reason": gate["reason"],
        }
    return _(
        "%(model)s did not pass, so nothing that it says is shown: right on %(accuracy).2f [%(low).2f, %(high).2f] of"
        " %(n)d items whose answer is known; %(reason)s."
    ) % {
        "model": model,
        "accuracy": gate["accuracy"],
        "low": gate["interval"][0],
        "high": gate["interval"][1],
        "n": gate["n_items"],
        "reason": gate["reason"],
    }


@dataclass(eq=False)
class _Work:
    """One attempt: what it goes by, and what has come of it."""

    running: RunningJob
    project: Project
    question: Question
    endpoint: Endpoint
    prompt: Prompt
    model: ModelVersion
    gate: dict[str, Any] | None = None
    failed: list[dict[str, str]] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    n_skipped: int = 0
    n_left: int | None = None
    note: str = ""

    def __post_init__(self) -> None:
        self.pace = Pace()
        self.threads = ThreadPoolExecutor(THREADS)
        self.until = time.monotonic() + WALL_SECONDS
        self.strategy = str(learning_settings(self.project)["strategy"])
        kept = (self.model.evaluation or {}).get("llm") or {}
        self.counter = Counter()
        self.books = Books.open(kept, self.running.job.pk, self.endpoint.cost, self.running.args["max_cost"])
        self.answers: dict[int, Answer] = {}  # that are not kept yet
        self.in_a_row = self.service_in_a_row = 0
        self.asked: set[int] = set()
        self.stopped: StopError | None = None

    def close(self) -> None:
        """Begin no further call, and wait for those under way."""
        self.pace.stop()
        stopped = StopError(_("the work was stopped"))
        self.counter.close(stopped)
        self.books.refuse(stopped)
        for claim in self.books.under_way:
            if not claim.is_answered.is_set():
                claim.answer(stopped)
        self.threads.shutdown(wait=True, cancel_futures=True)

    # --- The two parts --------------------------------------------------------------------------------------------

    def pass_gate(self) -> dict[str, Any]:
        """Ask about items whose answer is known, and note whether the model passes."""
        known = load_known(self.project, self.question)
        codes = dict(zip(known.items.tolist(), known.y.tolist(), strict=True))
        gold = set(known.items[: known.n_gold].tolist())
        most = min(MOST_JUDGED, max(MIN_JUDGED, int(self.running.args["limit"]) // 3))
        chosen: list[int] = []
        for item, _parts in self._read(known.items):
            chosen.append(item)
            if len(chosen) == most:
                break
        items = np.sort(np.array(chosen, np.int64))
        if len(items) >= MIN_JUDGED:
            self._ask(items)
            there = _load_parts(items.tolist())
            items = items[np.isin(items, list(there))]
        self.n_skipped, self.skipped = 0, []  # of the pool alone
        has_answer, proba = load_sent_proba(self.model, items)
        if len(items) >= MIN_JUDGED and not set(items[~has_answer].tolist()) <= self.asked:
            raise StopError(
                _("%(note)s It could not be judged by then, so nothing was asked about other items.")
                % {"note": self.note}
            )
        said = np.full(len(items), -1)
        if has_answer.any():
            said[has_answer] = proba.argmax(axis=1)
        gate = decide(
            np.array([codes[item] for item in items.tolist()], np.int64),
            said,
            float(learning_settings(self.project)["llm_accuracy"]),
            sum(item in gold for item in items.tolist()),
        )
        store_gate(
            model=self.model,
            gate=gate,
            figures=judge_sent(self.project, self.question, self.model, seed=0),
            actor=self.running.job.created_by,
            check=self.running.check,
        )
        self.gate = gate
        return gate

    def ask_pool(self) -> None:
        """Ask about items of the pool that have no answer of the model's yet, as far as the limits go."""
        pool = load_pool(self.project).items
        gold = np.array(list(load_gold(self.project, self.question)), np.int64)
        pool = pool[~np.isin(pool, gold)]
        has_answer, _proba = load_sent_proba(self.model, pool)
        wanted = pool[~has_answer]
        n_asked = self._ask(wanted)
        self.n_left = max(0, len(wanted) - n_asked - self.n_skipped)

    # --- Asking ---------------------------------------------------------------------------------------------------

    def _ask(self, items: NDArray[np.int64]) -> int:
        """Ask about those of the items that have no answer yet; says of how many. Raises StopError."""
        has_answer, _proba = load_sent_proba(self.model, items)
        waiting = items[~has_answer]
        n_done, total = 0, min(len(waiting), self._items_left())
        wanted = self._read(waiting)
        upcoming = next(wanted, None)
        calls: dict[Future[Outcome], int] = {}
        while True:
            while upcoming is not None and self.stopped is None and len(calls) < THREADS:
                if self._is_over(len(calls)):
                    upcoming = None
                    break
                calls |= self._begin(upcoming[0])
                upcoming = next(wanted, None)
            if not calls:
                break
            n_ended = self._carry_on(calls)
            if (n_done + n_ended) // TOLD > n_done // TOLD:
                self.running.progress(n_done + n_ended, total)
            n_done += n_ended
        if self.books.is_changed or self.answers:
            self._keep()
        if n_done % TOLD:
            self.running.progress(n_done, total)
        if self.stopped is not None:
            raise self.stopped
        return n_done

    def _begin(self, item: int) -> dict[Future[Outcome], int]:
        """Have a thread ask about an item, as it is now; nothing where it was put away since it was read."""
        parts = _load_parts([item]).get(item)
        if parts is None:
            return {}
        call = self.threads.submit(ask_about, self.endpoint, self.prompt, parts, self.pace, self.counter, chat.PATIENCE)
        call.add_done_callback(lambda _call: self.counter.ring())
        return {call: item}

    def _carry_on(self, calls: dict[Future[Outcome], int]) -> int:
        """Wait for whatever comes next of the calls, and note it; those that ended are taken out. How many were asked.

        What is stored is stored before another call is made.
        """
        has_news = self.books.is_changed or bool(self.answers)
        came = self.counter.wait(GATHERING if has_news else 1.0)
        ended = [call for call in calls if call.done()]  # whose claims are in the box by now
        came += self.counter.take()
        if self.running.is_lost:
            self.running.check()
        self.books.receive(came)
        n_asked = sum(self._take(calls.pop(call), call) for call in ended)
        if self.stopped is not None:
            self.books.refuse(StopError(_("the work was stopped")))
        allowed = self.books.allow()
        if allowed or (has_news and not came and not ended):
            self._keep()
        for claim in allowed:
            claim.answer()
        return n_asked

    def _take(self, item: int, call: Future[Outcome]) -> int:
        """Note what came of an item; 0 where it was not asked about to the end, else 1."""
        try:
            outcome = call.result()
        except LimitError:
            self.note = _("The limit of costs, %(cost)s, is reached.") % {"cost": f"{self.books.limit:g}"}
            return 0
        except StopError as error:
            self.stopped = self.stopped or error
            self.pace.stop()
            return 0
        self.asked.add(item)
        answer = outcome.answer
        self.books.count(
            is_answered=answer is not None, is_cut=outcome.is_cut, clause=None if answer is None else answer.clause
        )
        if answer is not None:
            self.answers[item] = answer
        elif len(self.failed) < SHOWN_FAILURES:
            self.failed.append({"item": str(item), "reason": outcome.reason})
        self._count_failures(outcome)
        return 1

    def _count_failures(self, outcome: Outcome) -> None:
        self.in_a_row = self.in_a_row + 1 if outcome.answer is None else 0
        self.service_in_a_row = self.service_in_a_row + 1 if outcome.is_service else 0
        if self.stopped is None and (self.service_in_a_row >= SERVICE_FAILURES or self.in_a_row >= FAILURES):
            n = max(self.service_in_a_row, self.in_a_row)
            self.stopped = StopError(
                _("Stopped after %(n)d items in a row without an answer; the last time: %(reason)s.")
                % {"n": n, "reason": outcome.reason.rstrip(".")}
            )
            self.pace.stop()

    def _keep(self) -> None:
        """Store what is known by now: answers, what all so far has cost, what is under way."""
        items = np.array(sorted(self.answers), np.int64)
        n_classes = len(self.prompt.values)
        proba = np.array([_spread(self.answers[item], n_classes) for item in items.tolist()], np.float64)
        proba = proba.reshape(len(items), n_classes)
        store_answers(
            model=self.model,
            items=items,
            proba=proba,
            utilities=utilities_for(self.question, self.strategy, proba),
            spent=self.books.as_dict(),
            check=self.running.check,
        )
        self.answers.clear()
        self.books.is_changed = False

    # --- Limits ---------------------------------------------------------------------------------------------------

    def _items_left(self) -> int:
        return max(0, int(self.running.args["limit"]) - int(self.books.job.get("n_asked", 0)))

    def _is_over(self, n_under_way: int) -> bool:
        """Whether a limit is reached; `note` then says which."""
        if self.note:
            return True
        if self._items_left() <= n_under_way:
            self.note = _("The limit of %(n)d items is reached.") % {"n": self.running.args["limit"]}
        elif time.monotonic() > self.until:
            self.note = _("It took too long for one job. Start another one for the rest.")
        return bool(self.note)

    # --- Content --------------------------------------------------------------------------------------------------

    def _read(self, items: NDArray[np.int64]) -> Iterator[tuple[int, Parts]]:
        """Items whose parts are all texts, in their order; the others are counted as skipped."""
        for start in range(0, len(items), READ):
            some = items[start : start + READ].tolist()
            found = _load_parts(some)
            for item in some:
                parts = found.get(item)
                if parts and all(part["kind"] == "text" for part in parts):
                    yield item, parts
                else:
                    self.n_skipped += 1
                    if len(self.skipped) < SHOWN_FAILURES:
                        self.skipped.append(str(item))

    # --- What came of it ------------------------------------------------------------------------------------------

    def result(self) -> dict[str, Any]:
        """What the job tells, whatever ended it."""
        job = self.books.as_dict()["job"]
        return {
            "model": {"id": str(self.model.pk), "name": self.model.name, "version": self.model.version},
            "passed": bool(self.gate and self.gate["passed"]),
            "gate": self.gate,
            "n_answered": job.get("n_answered", 0),
            "n_failed": job.get("n_asked", 0) - job.get("n_answered", 0),
            "n_skipped": self.n_skipped,
            "n_cut": job.get("n_cut", 0),
            "n_left": self.n_left,
            "n_calls": job.get("n_calls", 0),
            "n_guessed": job.get("n_guessed", 0),
            "input_tokens": job.get("input_tokens", 0),
            "output_tokens": job.get("output_tokens", 0),
            "cost": job["cost"],
            "most_cost": job["most_cost"],
            "note": self.note,
            "failed": self.failed,
            "skipped": self.skipped,
        }


def _load_parts(items: Sequence[int]) -> dict[int, Parts]:
    """The parts of those items that may be shown: neither sealed, erased nor put away."""
    rows = ItemPayload.objects.filter(item__in=items, item__lifecycle=Item.Lifecycle.OPEN)
    return dict(rows.values_list("item", "parts"))


def _spread(answer: Answer, n_classes: int) -> NDArray[np.float64]:
    """An answer as probabilities: the other choices share what is left, and the answer stays the likeliest."""
    p = max(answer.probability, min(1.0, 1 / n_classes + 0.01))
    proba = np.full(n_classes, (1 - p) / (n_classes - 1))
    proba[answer.code] = p
    return proba
