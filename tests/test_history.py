"""The checker of histories: what is planted is found, what is in order passes; and one short history of a real server.

In the small histories a call lasts a tenth of a second and has its effect in the middle; leases last ten seconds. There
are two items, "100" and "200", of which most stories tell about the first alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from benchmarks.chaos_history import run_seed
from benchmarks.history import check
from benchmarks.history.record import (
    HELD,
    RELEASED,
    SKIPPED,
    SUBMITTED,
    Answer,
    FinalRows,
    Lease,
    Operation,
    ProjectSettings,
    Request,
    Settings,
    StoredAnnotation,
    StoredRow,
    StoredSeat,
    count_outcomes,
    count_resolved,
)
from benchmarks.installation import Site

LASTS = 0.1
LEASE_SECONDS = 10.0


class Story:
    """A history that is told call by call, and the rows that a correct queue has stored in the end."""

    def __init__(self, overlap: int = 1, items: tuple[str, ...] = ("100",), skips: int = 3) -> None:
        self.overlap = overlap
        project = ProjectSettings(
            frozenset(items), (overlap, overlap), lease_seconds=LEASE_SECONDS, skips_to_dispute=skips
        )
        self.settings = Settings({"p": project}, undo_seconds=60.0)
        self.history: list[Operation] = []
        self.seats: dict[str, StoredSeat] = {}
        self.annotations: dict[str, StoredAnnotation] = {}
        self.closed: set[str] = set()

    def call(
        self,
        kind: str,
        person: str,
        at: float,
        *,
        outcome: Literal["ok", "fail", "unknown"] = "ok",
        lasts: float = LASTS,
        told: Answer | None = None,
        **asked: Any,
    ) -> Operation:
        """Add a call; what it stored is up to the caller."""
        request = Request(project="p", person=person, **asked)
        answer = told or Answer(status={"ok": 200, "fail": 409, "unknown": 0}[outcome])
        operation = Operation(len(self.history), "client", kind, at, at + lasts, outcome, request, answer)
        self.history.append(operation)
        return operation

    def refuse(self, kind: str, person: str, at: float, code: str, **asked: Any) -> Operation:
        """Add a call that is refused."""
        return self.call(kind, person, at, outcome="fail", told=Answer(409, code), **asked)

    def lease(self, person: str, lease: str, at: float, item: str = "100", *, is_told: bool = True) -> Operation:
        """Somebody gets a lease, `SEAT-GENERATION`; `is_told`: the answer arrives."""
        seat, _, generation = lease.partition("-")
        until = at + LASTS / 2 + LEASE_SECONDS
        self.seats[seat] = StoredSeat(seat, person, "p", item, HELD, int(generation), until)
        told = Answer(200, leases=(Lease(lease, item, until),)) if is_told else Answer()
        return self.call("lease", person, at, outcome="ok" if is_told else "unknown", told=told, n=1)

    def find_nothing(self, person: str, at: float, reason: str = "empty") -> Operation:
        """Somebody asks for a lease and gets none."""
        return self.call("lease", person, at, told=Answer(200, reason=reason), n=1)

    def submit(
        self, lease: str, at: float, annotation: str = "1", *, key: str = "k", value: str = "none", is_told: bool = True
    ) -> Operation:
        """The holder answers, and it is stored; `is_told`: the answer arrives."""
        seat = self.seats[lease.partition("-")[0]]
        self.seats[seat.id] = replace(seat, state=SUBMITTED, annotation=annotation)
        self.annotations[annotation] = StoredAnnotation(annotation, seat.person, "p", seat.item, lease, key, value)
        told = Answer(201, annotation=annotation) if is_told else Answer()
        return self.call(
            "submit", seat.person, at, outcome="ok" if is_told else "unknown", told=told, lease=lease, key=key,
            body=value, value=value,
        )  # fmt: skip

    def repeat(self, lease: str, at: float, annotation: str = "1", *, key: str = "k", value: str = "none") -> Operation:
        """The holder sends the same answer again and is told the same."""
        told = Answer(201, annotation=annotation, is_replay=True)
        person = self.seats[lease.partition("-")[0]].person
        return self.call("submit", person, at, told=told, lease=lease, key=key, body=value, value=value)

    def undo(self, annotation: str, at: float, *, lease: str = "1-2") -> Operation:
        """The author takes an answer back, and holds the place again."""
        stored = self.annotations[annotation]
        self.annotations[annotation] = replace(stored, n_undone=1)
        until = at + LASTS / 2 + LEASE_SECONDS
        seat, _, generation = lease.partition("-")
        self.seats[seat] = replace(
            self.seats[seat], state=HELD, annotation="", generation=int(generation), expires_at=until
        )
        told = Answer(200, leases=(Lease(lease, stored.item, until),))
        return self.call("undo", stored.person, at, told=told, annotation=annotation)

    def renew(self, lease: str, at: float) -> Operation:
        """The holder gets more time."""
        seat, until = self.seats[lease.partition("-")[0]], at + LASTS / 2 + LEASE_SECONDS
        self.seats[seat.id] = replace(seat, expires_at=until)
        told = Answer(200, leases=(Lease(lease, seat.item, until),))
        return self.call("renew", seat.person, at, told=told, lease=lease)

    def give_back(self, kind: str, lease: str, at: float) -> Operation:
        """The holder skips or releases."""
        seat = self.seats[lease.partition("-")[0]]
        self.seats[seat.id] = replace(seat, state=SKIPPED if kind == "skip" else RELEASED)
        return self.call(kind, seat.person, at, lease=lease)

    def lose(self, seat: str) -> None:
        """The place was taken over by somebody else."""
        self.seats[seat] = replace(self.seats[seat], state=RELEASED)

    @property
    def final(self) -> FinalRows:
        """What is stored."""
        rows = []
        for item in self.settings.projects["p"].items:
            states = [seat.state for seat in self.seats.values() if seat.item == item]
            taken, is_closed = sum(state in (HELD, SUBMITTED) for state in states), item in self.closed
            free = 0 if is_closed else max(0, self.overlap - taken)
            rows.append(StoredRow("p", item, self.overlap, free, states.count(SUBMITTED), is_closed))
        return FinalRows(list(self.annotations.values()), list(self.seats.values()), rows)

    def find(self, final: FinalRows | None = None) -> set[str]:
        """Every invariant and rule that is broken."""
        return {f"{v.invariant} {v.rule}" for v in check(self.history, final or self.final, self.settings)}


# --- What is in order -----------------------------------------------------------------------------------------------


def test_a_history_without_a_call_has_nothing_wrong() -> None:
    assert Story().find() == set()


def test_a_days_work_has_nothing_wrong() -> None:
    story = Story(overlap=2, items=("100", "200"))
    story.lease("alice", "1-1", 1.0)
    story.lease("bob", "2-1", 1.2)
    story.renew("2-1", 2.0)
    story.submit("1-1", 2.0, key="a")
    story.repeat("1-1", 3.0, key="a")
    story.refuse("submit", "alice", 3.5, "key_reused", lease="1-1", key="a", body="spam", value="spam")
    story.refuse("submit", "alice", 3.6, "already_submitted", lease="1-1", key="b", body="spam", value="spam")
    story.undo("1", 4.0)
    story.repeat("1-1", 4.5, key="a")
    story.submit("1-2", 5.0, "2", key="b", value="spam")
    story.give_back("skip", "2-1", 6.0)
    story.refuse("release", "bob", 6.5, "lease_gone", lease="2-1")
    story.lease("bob", "3-1", 7.0, "200")
    story.give_back("release", "3-1", 8.0)
    story.lease("bob", "3-2", 9.0, "200")
    story.submit("3-2", 30.0, "3", key="late")
    story.lease("carol", "4-1", 40.0, "200")
    story.lease("dora", "5-1", 51.0, "200")
    story.lose("4")
    story.refuse("submit", "carol", 52.0, "lease_gone", lease="4-1", key="c", body="none", value="none")
    assert story.find() == set()


def test_calls_that_overlap_are_taken_in_the_order_that_excuses_the_queue() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.lease("bob", "2-1", 2.02)  # between alice's return and the end of that call
    story.give_back("release", "1-1", 2.0)
    assert story.find() == set()


@pytest.mark.parametrize("is_stored", [True, False])
def test_an_answer_that_was_cut_off_may_be_stored_or_not(is_stored: bool) -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    held = dict(story.seats)
    story.submit("1-1", 2.0, is_told=False)
    story.annotations = story.annotations if is_stored else {}
    story.seats = story.seats if is_stored else held
    assert story.find() == set()


def test_a_lease_that_was_cut_off_may_stand_in_everybodys_way() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0, is_told=False)
    story.find_nothing("bob", 5.0, "done_by_you")
    assert story.find() == set()


def test_a_late_answer_may_be_refused_where_somebody_may_have_taken_the_place() -> None:
    story = Story(overlap=2)
    story.lease("alice", "1-1", 1.0)
    story.lease("bob", "2-1", 12.0, is_told=False)
    story.lose("1")
    story.refuse("submit", "alice", 14.0, "lease_gone", lease="1-1", key="k", body="none", value="none")
    assert story.find() == set()


def test_who_was_put_back_may_be_refused_for_a_moment() -> None:
    story = Story()
    story.call("remove_member", "alice", 1.0)
    story.call("set_member", "alice", 2.0)
    story.refuse("lease", "alice", 2.5, "not_found", n=1)
    assert story.find() == set()


def test_a_smaller_overlap_leaves_what_is_taken() -> None:
    story = Story(overlap=2)
    story.lease("alice", "1-1", 1.0)
    story.lease("bob", "2-1", 2.0)
    story.call("overlap", "", 3.0, overlap=1)
    story.find_nothing("carol", 4.0)
    assert story.find() == set()


# --- What is planted ------------------------------------------------------------------------------------------------


def test_a_place_leased_to_two_before_the_first_lease_ran_out_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.lease("bob", "2-1", 5.0)
    story.lose("1")
    assert story.find() == {"Q1 more people in places than the overlap"}


def test_a_surplus_answer_is_found_in_the_history_and_in_the_rows() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.lease("bob", "2-1", 12.0)
    story.submit("2-1", 13.0, "2", key="b")
    story.submit("1-1", 14.0, "1", key="a")
    assert story.find() == {"Q1 more people in places than the overlap", "Q1 more places taken than there are"}


def test_an_item_offered_again_to_who_answered_it_is_found() -> None:
    story = Story(overlap=2)
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    kept = story.seats["1"]
    story.lease("alice", "1-2", 3.0)
    story.seats["1"] = replace(kept, generation=2, annotation="1")
    assert "Q2 offered again after an answer" in story.find()


def test_an_item_offered_again_to_who_skipped_it_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.give_back("skip", "1-1", 2.0)
    story.lease("alice", "1-2", 3.0)
    assert story.find() == {"Q2 offered again after a skip", "Q8 a skip that did not stay"}


def test_two_answers_of_one_person_are_found() -> None:
    story = Story(overlap=2)
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0, "1", key="a")
    story.submit("1-1", 3.0, "2", key="b")
    found = story.find()
    assert {"Q2 two answers of one person", "Q2 two answers of one person are stored"} <= found
    assert {"Q8 a lease with two ends", "Q3 an acknowledged answer does not stand"} <= found


def test_one_lease_shown_to_two_people_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    shown = story.history[0].answer
    story.call("lease", "bob", 3.0, told=shown, n=1)
    assert story.find() == {"Q2 one lease for two people or items"}


def test_an_acknowledged_answer_that_is_not_stored_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    held = dict(story.seats)
    story.submit("1-1", 2.0)
    story.annotations, story.seats = {}, held
    assert story.find() == {"Q3 acknowledged and not stored"}


def test_an_answer_acknowledged_under_somebody_elses_annotation_is_found() -> None:
    story = Story(overlap=2)
    story.lease("bob", "2-1", 1.0)
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    story.call("submit", "bob", 3.0, told=story.history[-1].answer, lease="2-1", key="k", body="none", value="none")
    assert story.find() == {"Q3 acknowledged under another's annotation"}


def test_a_lease_that_is_not_stored_is_found() -> None:
    story = Story()
    story.lease("alice", "1-2", 1.0)
    story.seats["1"] = replace(story.seats["1"], generation=1)
    assert "Q3 a lease that is not stored" in story.find()


def test_an_acknowledged_answer_that_does_not_stand_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    story.seats["1"] = replace(story.seats["1"], state=HELD, annotation="")
    assert story.find() == {"Q3 an acknowledged answer does not stand"}


def test_an_answer_stored_otherwise_than_sent_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0, value="none")
    final = replace(story.final, annotations=[replace(story.annotations["1"], value="spam")])
    assert "Q10 stored otherwise than sent" in story.find(final)


def test_a_replay_that_tells_of_another_annotation_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    story.repeat("1-1", 3.0, "2")
    assert "Q4 one key, two annotations" in story.find()


def test_a_replay_that_is_refused_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    story.refuse("submit", "alice", 3.0, "already_submitted", lease="1-1", key="k", body="none", value="none")
    assert "Q4 a repeated request is refused" in story.find()


@pytest.mark.parametrize(
    ("first", "again", "wrong"),
    [
        pytest.param(False, True, "with another lease", id="new"),
        pytest.param(True, False, "without a lease that still runs", id="forgotten"),
    ],
)
def test_a_replay_with_other_leases_than_the_first_answer_is_found(first: bool, again: bool, wrong: str) -> None:
    story = Story(items=("100", "200"))
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    story.lease("alice", "2-1", 2.0, "200")
    leases = story.history.pop().answer.leases
    story.history.pop()
    for is_replay, is_shown in ((False, first), (True, again)):
        told = Answer(201, annotation="1", is_replay=is_replay, leases=leases if is_shown else ())
        at = 3.0 if is_replay else 2.0
        story.call("submit", "alice", at, told=told, lease="1-1", key="k", body="none", value="none", n=1)
    assert story.find() == {f"Q4 a replay {wrong}"}


def test_another_body_accepted_under_a_used_key_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    story.repeat("1-1", 3.0, value="spam")
    assert "Q4 one key for two bodies or leases" in story.find()


def test_another_body_under_a_used_key_that_is_not_told_so_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    story.refuse("submit", "alice", 3.0, "already_submitted", lease="1-1", key="k", body="spam", value="spam")
    assert "Q4 another body under a key is not told so" in story.find()


def test_an_answer_stored_after_its_lease_was_called_gone_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.refuse("submit", "alice", 2.0, "lease_gone", lease="1-1", key="k", body="none", value="none")
    story.submit("1-1", 3.0)
    assert "Q4 stored after its lease was called gone" in story.find()


def test_two_annotations_stored_under_one_key_are_found() -> None:
    story = Story(overlap=2)
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0, "2", is_told=False)
    story.submit("1-1", 3.0, "1")
    assert "Q4 one key, two annotations stored" in story.find()


def test_a_new_key_that_is_called_used_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.refuse("submit", "alice", 2.0, "key_reused", lease="1-1", key="new", body="none", value="none")
    assert story.find() == {"Q4 a new key is called used"}


def test_an_effect_of_a_refused_answer_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 14.0)
    story.history.pop()
    story.refuse("submit", "alice", 14.0, "not_found", lease="1-1", key="k", body="none", value="none")
    assert "Q4 an effect of a request that was refused" in story.find()


def test_a_lease_that_nobody_asked_for_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.history.clear()
    assert story.find() == {"Q4 a lease that nobody was shown or can have asked for"}


def test_a_lease_that_runs_too_long_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    shown = replace(story.history[0].answer.leases[0], expires_at=20.0)
    story.history[0] = replace(story.history[0], answer=Answer(200, leases=(shown,)))
    assert story.find() == {"Q5 a lease longer than leases last"}


def test_an_answer_refused_while_the_lease_ran_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.refuse("submit", "alice", 3.0, "lease_gone", lease="1-1", key="k", body="none", value="none")
    assert story.find() == {"Q6 refused while the lease ran"}


def test_a_late_answer_refused_though_nobody_took_the_place_is_found() -> None:
    story = Story(overlap=2)
    story.lease("bob", "2-1", 1.0)
    story.lease("alice", "1-1", 2.0)
    story.refuse("submit", "alice", 14.0, "lease_gone", lease="1-1", key="k", body="none", value="none")
    assert story.find() == {"Q6 refused though nobody took the place"}


def test_nothing_left_while_a_free_item_was_there_is_found() -> None:
    story = Story(items=("100", "200"))
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    story.find_nothing("bob", 3.0)
    story.lease("bob", "2-1", 5.0, "200")  # so the end is not the quiet one
    assert story.find() == {"Q7 told that nothing is left"}


def test_nothing_left_while_a_lease_had_run_out_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.find_nothing("bob", 12.0, "done_by_you")
    story.lease("bob", "2-1", 13.0)
    story.lose("1")
    assert story.find() == {"Q7 told that nothing is left"}


def test_all_leased_is_wrong_in_the_quiet_at_the_end() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.give_back("release", "1-1", 2.0)
    story.find_nothing("bob", 9.0, "all_leased")
    assert story.find() == {"Q7 told that nothing is left, in the quiet at the end"}


def test_a_place_given_back_twice_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.give_back("release", "1-1", 2.0)
    story.give_back("release", "1-1", 3.0)
    assert story.find() == {"Q8 a lease with two ends"}


def test_a_submitted_place_without_its_own_answer_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.seats["1"] = replace(story.seats["1"], state=SUBMITTED, annotation="2")
    assert story.find() == {"Q8 a submitted place without its own answer"}


def test_a_lease_renewed_after_its_return_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.give_back("release", "1-1", 2.0)
    story.renew("1-1", 3.0)
    assert story.find() == {"Q8 a lease lives on after its end"}


def test_an_answer_after_the_quarantine_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.call("quarantine", "", 2.0, item="100")
    story.closed.add("100")
    story.submit("1-1", 3.0)
    assert story.find() == {"Q8 a lease lives on after its item's quarantine"}


def test_an_answer_under_a_lease_whose_holder_had_left_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.call("remove_member", "alice", 2.0)
    story.call("set_member", "alice", 3.0)
    story.submit("1-1", 4.0)
    assert story.find() == {"Q8 a lease lives on after its holder left"}


def test_a_held_lease_that_is_left_out_is_found() -> None:
    story = Story(items=("100", "200"))
    story.lease("alice", "1-1", 1.0)
    told = Answer(200, reason="all_leased")
    story.call("lease", "alice", 2.0, told=told, n=2)
    story.lease("bob", "2-1", 3.0, "200")
    assert story.find() == {"Q8 a held lease is left out"}


def test_an_answer_taken_back_twice_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    story.undo("1", 3.0)
    story.undo("1", 4.0)
    assert "Q9 taken back twice" in story.find()


def test_an_answer_that_nobody_took_back_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    story.annotations["1"] = replace(story.annotations["1"], n_undone=1)
    assert story.find() == {"Q9 taken back too often"}


def test_an_answer_taken_back_to_another_place_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    story.undo("1", 3.0, lease="1-3")
    assert "Q9 taken back to another place" in story.find()


def test_an_answer_taken_back_after_a_decision_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    story.call("adjudicate", "", 3.0, item="100")
    story.undo("1", 4.0)
    assert story.find() == {"Q9 taken back after a decision or a quarantine"}


def test_an_answer_taken_back_after_the_window_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    story.undo("1", 63.0)
    assert story.find() == {"Q9 taken back after the window"}


def test_an_undo_that_is_refused_without_a_reason_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    story.refuse("undo", "alice", 3.0, "undo_too_late", annotation="1")
    assert story.find() == {"Q9 an undo refused without a reason"}


def test_an_undo_that_left_the_answer_standing_is_found() -> None:
    story = Story()
    story.lease("alice", "1-1", 1.0)
    story.submit("1-1", 2.0)
    stored, seats = dict(story.annotations), dict(story.seats)
    story.undo("1", 3.0)
    story.annotations, story.seats = stored, seats
    assert "Q9 taken back and still there" in story.find()


def test_wrong_counts_of_a_row_are_found() -> None:
    story = Story()
    row = replace(story.final.rows[0], n_free=0, n_submitted=1, n_shown=2)
    found = story.find(FinalRows(rows=[row]))
    assert found == {
        "Q11 a wrong count of answers",
        "Q11 a wrong count of free places",
        "Q11 the API tells of another number of answers",
    }


def test_an_overlap_that_nobody_asked_for_is_found() -> None:
    story = Story()
    story.call("overlap", "", 1.0, overlap=3)
    row = replace(story.final.rows[0], overlap=4, n_free=4)
    assert story.find(FinalRows(rows=[row])) == {"Q14 an overlap that nobody asked for"}


def test_somebody_who_gets_in_after_they_were_taken_out_is_found() -> None:
    story = Story()
    story.call("remove_member", "alice", 1.0)
    story.lease("alice", "1-1", 3.0)
    assert story.find() == {"access somebody taken out gets in"}


def test_a_member_who_is_refused_is_found() -> None:
    story = Story()
    story.refuse("lease", "alice", 1.0, "not_found", n=1)
    assert story.find() == {"access a member is refused"}


def test_more_leases_than_were_asked_for_are_found() -> None:
    story = Story(items=("100", "200"))
    story.lease("alice", "1-1", 1.0)
    story.lease("alice", "2-1", 1.0, "200")
    both = story.history.pop().answer.leases + story.history.pop().answer.leases
    story.call("lease", "alice", 1.0, told=Answer(200, leases=both), n=1)
    assert story.find() == {"answer more leases than wanted, or one item twice"}


def test_odd_answers_are_found() -> None:
    story = Story()
    story.call("lease", "alice", 1.0, outcome="unknown", told=Answer(500), n=1)
    story.refuse("lease", "bob", 2.0, "key_reused", n=1)
    assert story.find() == {"answer a fault of the server", "answer a refusal that this call does not have"}


# --- A real server --------------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """An installation of its own."""
    site = Site(tmp_path, web_workers=1, web_threads=8)
    try:
        yield site
    finally:
        site.end()


@pytest.mark.embedded
@pytest.mark.slow
def test_a_short_history_of_a_real_server_has_nothing_wrong(site: Site) -> None:
    found = run_seed(site, seed=1, operations=600, clients=8, processes=1, late_seconds=1.0)
    assert [str(violation) for violation in found.violations] == []
    assert found.audit == ""
    counted = count_outcomes(found.history)
    assert {"lease", "submit", "renew", "skip", "release", "undo"} <= set(counted)
    assert counted["submit"]["ok"] > 50
    n_unknown, n_resolved = count_resolved(found.history)
    assert n_resolved == n_unknown
