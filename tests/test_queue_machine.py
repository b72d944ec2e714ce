"""The queue on a real database against a model of it: random days of work, and the ones on which they differed once."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import Phase, settings

from annotation import queue
from annotation.audit import find_violations
from tests.cast import MakeDesk
from tests.queue_breaks import BREAKS, Break
from tests.queue_machine import QUICKLY, play, play_until_found
from tests.queue_worlds import make_worlds, move_cursors_always
from tests.test_queue import expire_lease

pytestmark = pytest.mark.django_db

# The same examples in every run (and none remembered from the last one): who changes nothing of the queue is never
# stopped by a find of chance. `benchmarks/chaos.py states` looks for new ones.
DAILY = settings(
    QUICKLY,
    max_examples=100,
    stateful_step_count=30,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
)
# What a hundred days must show at least; rarer answers (a dispute that another holds) come up in two thousand.
COMMON = {"ok", "replay", "all_leased", "done_by_you", "empty", "limit", "paused"}
COMMON |= {"already_submitted", "key_reused", "lease_gone", "undo_too_late"}
QUICK_EXAMPLES, QUICK_STEPS = 150, 30


@pytest.mark.slow
def test_the_queue_does_what_the_model_says() -> None:
    worlds = make_worlds()
    move_cursors_always()
    tally: Counter[tuple[str, str]] = Counter()
    play(worlds, DAILY, tally=tally)
    assert {answer for _request, answer in tally} >= COMMON


@pytest.mark.parametrize("broken", [one for one in BREAKS if one.is_quick], ids=lambda one: one.function)
def test_the_machine_notices_when_the_queue_is_broken(broken: Break) -> None:
    worlds = make_worlds()
    move_cursors_always()
    assert play_until_found(worlds, broken, examples=QUICK_EXAMPLES, steps=QUICK_STEPS, seed=1) is not None


def test_a_replay_shows_its_leases_beside_one_that_had_run_out_before(make_desk: MakeDesk) -> None:
    desk = make_desk(n=5, overlap=1)
    late, answered, third, fourth = desk.lease("alice", 4).leases
    expire_lease(late)
    first = desk.submit("alice", answered, key="k", lease_next=2)
    assert [raw["seat"] for raw in first.leases] == [third["seat"], fourth["seat"]]
    queue.renew(seat_id=late["seat"], generation=late["generation"], person_id=desk.cast.alice.pk)
    assert desk.submit("alice", answered, key="k", lease_next=2).leases == first.leases


def test_a_late_answer_does_not_settle_a_dispute_that_skips_made(make_desk: MakeDesk) -> None:
    desk = make_desk(n=1, overlap=3, skips_to_dispute=2)
    held = [desk.lease_one(name) for name in ("alice", "bob", "carol")]
    for raw, name in zip(held[:2], ("alice", "bob"), strict=True):
        queue.skip(seat_id=raw["seat"], generation=raw["generation"], person_id=desk.cast[name].pk, reason="ambiguous")
    assert desk.submit("carol", held[2], "spam").item_state == "disputed"
    assert find_violations() == {}
