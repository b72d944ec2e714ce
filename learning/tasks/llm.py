"""The job that asks a language model: first about items whose answer is known, and only if it passes about the pool.

Answers are kept in batches, as scores that were sent in, each with what all so far has cost: an attempt that was cut
off loses one batch at most, and the next one asks about nothing that is kept. Calls are made by a few threads; rows are
read and written by this one alone. What is sent is read just before: what was sealed or erased by then is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from annotation.actions.carrying import refuse_while_carrying
from annotation.jobs import JobFailedError, RunningJob, job_kind
from annotation.kinds import Question
from annotation.models import Item, ItemPayload, Project
from annotation.settings import learning_settings
from learning.actions.llm import KIND, store_answers, store_gate
from learning.actions.models import ensure_external_model
from learning.judging import judge_sent
from learning.llm import chat
from learning.llm.chat import Endpoint, Outcome, Pace, StopError, Usage, ask_about, find_endpoint
from learning.llm.gate import MIN_JUDGED, MOST_JUDGED, decide, load_gold, load_known
from learning.llm.prompt import Answer, Prompt, build_prompt
from learning.loading import load_pool, load_sent_proba
from learning.models import ModelVersion
from learning.predictions import LLM_PREFIX
from learning.questions import classes_of, learnable_questions
from learning.scoring import utilities_for

THREADS = 4
BATCH = 20
READ = 500  # items whose content is looked at together
SERVICE_FAILURES = 5  # in a row
FAILURES = 20  # in a row, of any kind
SHOWN_FAILURES = 100
WALL_SECONDS = 80 * 60.0  # a worker's task may take 100 minutes

Parts = list[dict[str, Any]]


@job_kind(KIND)
def run_llm(running: RunningJob) -> dict[str, Any]:
    """Ask the language model of this installation about a question; the result says what was answered and what it cost.

    `{"model", "passed", "gate", "n_answered", "n_failed", "n_skipped", "n_left", "n_calls", "input_tokens",
    "output_tokens", "n_guessed", "cost", "note", "failed": [{"item", "reason"}], "skipped": [item]}`, of the last two
    the first hundred. JobFailedError, with that result,
    where it does not pass or the endpoint fails too often.
    """
    project = running.project
    refuse_while_carrying(project)
    question = next((q for q in learnable_questions(project) if q["id"] == running.args["question"]), None)
    if question is None:
        raise JobFailedError(_("This question is no longer one that can be learned."))
    endpoint = find_endpoint()
    if endpoint is None:
        raise JobFailedError(_("No language model is set up for the worker: it needs LLM_URL and LLM_MODEL."))
    if running.args["max_cost"] is not None and endpoint.prices is None:
        raise JobFailedError(_("The worker knows no prices (LLM_INPUT_PRICE, LLM_OUTPUT_PRICE): no cost can be held."))
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


@dataclass(slots=True)
class _Spent:
    """What was asked and what it took: of the version, over all jobs, and of this job, over all its attempts."""

    total: dict[str, Any]
    job: dict[str, Any]

    def add(self, n_asked: int, n_answered: int, usage: Usage, n_cut: int, clauses: Sequence[str]) -> None:
        counts = {
            "n_asked": n_asked,
            "n_answered": n_answered,
            "n_cut": n_cut,
            "n_calls": usage.n_calls,
            "n_guessed": usage.n_guessed,
            "input_tokens": usage.n_in,
            "output_tokens": usage.n_out,
        }
        for name, n in counts.items():
            for tally in (self.total, self.job):
                tally[name] = tally.get(name, 0) + n
        used = self.total.setdefault("clauses", {})
        for clause in clauses:
            used[clause] = used.get(clause, 0) + 1

    def as_dict(self, endpoint: Endpoint) -> dict[str, Any]:
        for tally in (self.total, self.job):
            tally["cost"] = endpoint.cost(tally.get("input_tokens", 0), tally.get("output_tokens", 0))
        return {**self.total, "job": dict(self.job)}


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
        kept = dict((self.model.evaluation or {}).get("llm") or {})
        job = kept.pop("job", {})
        own = self.running.job.pk
        self.spent = _Spent(kept, job if job.get("id") == own else {"id": own})
        self.in_a_row = self.service_in_a_row = 0
        self.asked: set[int] = set()
        self.stopped: StopError | None = None

    def close(self) -> None:
        """Begin no further call, and wait for those under way."""
        self.pace.stop()
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
        """Ask about those of the items that have no answer yet, batch by batch; says of how many. Raises StopError."""
        has_answer, _proba = load_sent_proba(self.model, items)
        waiting = items[~has_answer]
        if not len(waiting) or self._is_over():
            return 0
        n_done, total = 0, min(len(waiting), self._items_left())
        batch: dict[int, Parts] = {}
        for item, parts in self._read(waiting):
            batch[item] = parts
            if len(batch) >= self._fitting(batch):
                n_done += self._ask_batch(batch)
                batch = {}
                self.running.progress(n_done, total)
                if self._is_over():
                    return n_done
        if batch and not self._is_over():
            n_done += self._ask_batch(dict(list(batch.items())[: self._fitting(batch)]))
            self.running.progress(n_done, total)
        return n_done

    def _ask_batch(self, batch: dict[int, Parts]) -> int:
        batch = dict(self._still_there(batch))
        calls = {
            self.threads.submit(ask_about, self.endpoint, self.prompt, parts, self.pace, chat.PATIENCE): item
            for item, parts in batch.items()
        }
        outcomes = self._gather(calls)
        self.asked |= outcomes.keys()
        answers = {item: one.answer for item, one in outcomes.items() if one.answer is not None}
        for item, one in outcomes.items():
            if one.answer is None and len(self.failed) < SHOWN_FAILURES:
                self.failed.append({"item": str(item), "reason": one.reason})
        usage = sum((one.usage for one in outcomes.values()), Usage())
        clauses = [answer.clause for answer in answers.values() if answer.clause is not None]
        self.spent.add(len(outcomes), len(answers), usage, sum(one.is_cut for one in outcomes.values()), clauses)
        self._keep(answers)
        if self.stopped is not None:
            raise self.stopped
        return len(outcomes)

    def _gather(self, calls: dict[Future[Outcome], int]) -> dict[int, Outcome]:
        """What came of the calls, as they end; `stopped` says why no more are made."""
        outcomes: dict[int, Outcome] = {}
        pending = set(calls)
        while pending:
            ended, pending = wait(pending, timeout=1.0, return_when="FIRST_COMPLETED")
            if self.running.is_lost:
                self.pace.stop()
            for call in ended:
                try:
                    outcomes[calls[call]] = outcome = call.result()
                except StopError as error:
                    self.stopped = self.stopped or error
                    self.pace.stop()
                    continue
                self._count_failures(outcome)
        return outcomes

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

    def _keep(self, answers: dict[int, Answer]) -> None:
        items = np.array(sorted(answers), np.int64)
        proba = np.array([_spread(answers[item], len(self.prompt.values)) for item in items.tolist()], np.float64)
        proba = proba.reshape(len(items), len(self.prompt.values))
        store_answers(
            model=self.model,
            items=items,
            proba=proba,
            utilities=utilities_for(self.question, self.strategy, proba),
            spent=self.spent.as_dict(self.endpoint),
            check=self.running.check,
        )

    # --- Limits ---------------------------------------------------------------------------------------------------

    def _items_left(self) -> int:
        return max(0, int(self.running.args["limit"]) - int(self.spent.job.get("n_asked", 0)))

    def _fitting(self, batch: dict[int, Parts]) -> int:
        """How many items the next batch may have: as many as the limits are sure to bear; at least one is asked."""
        most = min(BATCH, max(1, self._items_left()))
        budget = self.running.args["max_cost"]
        if budget is None:
            return most
        left = budget - (self.endpoint.cost(*self._tokens()) or 0.0)
        return max(1, min(most, int(left / max(self._dearest(batch), 1e-12))))

    def _dearest(self, batch: dict[int, Parts]) -> float:
        """What an item may cost at most, as far as can be told: a guess from its letters, or what they cost so far."""
        letters = max((sum(len(part["text"]) for part in parts) for parts in batch.values()), default=0)
        n_in = (self.prompt.n_letters + letters) / chat.LETTERS_A_TOKEN
        guess = self.endpoint.cost(n_in, self.endpoint.most_out) or 0.0
        n_asked = int(self.spent.job.get("n_asked", 0))
        mean = (self.endpoint.cost(*self._tokens()) or 0.0) / n_asked if n_asked else 0.0
        return max(guess, mean)

    def _tokens(self) -> tuple[int, int]:
        return int(self.spent.job.get("input_tokens", 0)), int(self.spent.job.get("output_tokens", 0))

    def _is_over(self) -> bool:
        """Whether a limit is reached; `note` then says which."""
        budget = self.running.args["max_cost"]
        if not self._items_left():
            self.note = _("The limit of %(n)d items is reached.") % {"n": self.running.args["limit"]}
        elif budget is not None and (self.endpoint.cost(*self._tokens()) or 0.0) + self._dearest({}) > budget:
            self.note = _("The limit of costs, %(cost)s, is reached.") % {"cost": f"{budget:g}"}
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

    def _still_there(self, batch: dict[int, Parts]) -> Iterator[tuple[int, Parts]]:
        found = _load_parts(list(batch))
        return ((item, found[item]) for item in batch if item in found)

    # --- What came of it ------------------------------------------------------------------------------------------

    def result(self) -> dict[str, Any]:
        """What the job tells, whatever ended it."""
        job = self.spent.as_dict(self.endpoint)["job"]
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
