"""Ways to break the queue's SQL on purpose, to see that `queue_machine` finds them. Each is one change of the text.

A break is installed in the caller's transaction and goes with it. Where the text it changes is no longer there, it says
so, and wants to be written anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True)
class Break:
    """What is done to which function: `old` becomes `new`, `times` times."""

    name: str
    function: str
    old: str
    new: str
    times: int = 1
    is_quick: bool = False  # found within a second: one of those that the tests try each time


BREAKS = (
    Break(
        "a submit is not counted",
        "queue_answer",
        "queue_settle(s.queue_row_id, 1,",
        "queue_settle(s.queue_row_id, 0,",
        is_quick=True,
    ),
    Break("a claim leaves the last place on offer", "queue_claim", "if v_free = 1 then", "if v_free < 1 then"),
    Break(
        "what is given back is not on offer again",
        "queue_give_back",
        "queue_settle(s.queue_row_id, 0, true,",
        "queue_settle(s.queue_row_id, 0, false,",
        is_quick=True,
    ),
    Break("giving back is unconditional", "queue_give_back", " and generation = p_generation and state = v_held", ""),
    Break("what was skipped may be offered again", "queue_give_back", "state = p_state", "state = 4", is_quick=True),
    Break("an expired place is left to a sweeper", "queue_claim", "x.expires_at < p_now", "false", is_quick=True),
    Break(
        "whose place is taken over keeps their lease",
        "queue_claim",
        "update annotation_seat set state = 4, ended_at = p_now where id = best.seat_id;",
        "",
    ),
    Break(
        "a place on a closed row is taken over",
        "queue_claim",
        " and not q.is_closed",
        "",
    ),
    Break("a cursor's epoch is ignored", "queue_claim", "epoch = a.epoch", "epoch = k.epoch", times=2),
    Break(
        "what was returned behind a cursor is not looked for",
        "queue_claim",
        "o.returned_by >= l.returned_till",
        "false",
    ),
    Break(
        "the floor of what is held passes it",
        "queue_lease",
        "set held_floor = v_oldest - interval '5 s'",
        "set held_floor = v_oldest + interval '5 s'",
    ),
    Break(
        "a raised item is not marked",
        "queue_set_ranks",
        "case when cardinality(v_rows) <= n_marked then pg_current_xact_id() else o.returned_by end",
        "o.returned_by",
    ),
    Break("an offer keeps its old rank", "queue_set_ranks", "set rank = q.rank,", "set rank = o.rank,"),
    Break(
        "a place that opens again is not marked",
        "queue_settle",
        "queue_offer(array[p_row], true)",
        "queue_offer(array[p_row], false)",
        is_quick=True,
    ),
    Break(
        "the floor of leases passes a lease",
        "queue_move_floors",
        "least(min(z.expires_at), clock_timestamp() - interval '5 s')",
        "clock_timestamp()",
    ),
    Break("the key is not looked up", "queue_answer", "and x.key = p_key", "and x.key = p_key and false"),
    Break("the body's digest is not compared", "queue_answer", "a.body_digest <> p_digest or ", "", is_quick=True),
    Break(
        "a late submit is refused",
        "queue_answer",
        "and state = v_held returning",
        "and state = v_held and expires_at > v_now returning",
    ),
    Break(
        "a submit ignores the generation",
        "queue_answer",
        "and generation = p_generation and state = v_held",
        "and state = v_held",
    ),
    Break(
        "a replay tells whatever is held now",
        "queue_answer",
        "and h.id || '-' || h.generation = any (a.leases)",
        "",
    ),
    Break(
        "a replay tells nothing", "queue_answer", "and h.state = 1 and h.expires_at", "and h.state = 2 and h.expires_at"
    ),
    Break(
        "a late renewal is refused",
        "queue_renew",
        "and s.state = v_held",
        "and s.state = v_held and s.expires_at > clock_timestamp()",
    ),
    Break(
        "undo gives the place away",
        "queue_undo",
        "update annotation_seat x set state = 1,",
        "update annotation_seat x set state = 4,",
        is_quick=True,
    ),
    Break("undo does not heed reviewers", "queue_may_undo", "r.state in (1, 2)", "false"),
    Break("an answer that was replaced can be taken back", "queue_may_undo", "or s.annotation_id <> a.id", ""),
    Break("the overlap falls below what is taken", "queue_set_overlap", "greatest(p_wanted,", "least(p_wanted, 1 +"),
    Break("a sealed item keeps its places", "queue_close", "set state = 5", "set state = 1"),
    Break(
        "who leaves keeps their places",
        "queue_leave",
        "queue_settle(s.queue_row_id, 0, true,",
        "queue_settle(s.queue_row_id, 0, false,",
    ),
    Break(
        "one holds more than the limit",
        "queue_lease",
        "if v_held >= prj.max_held then",
        "if v_held > prj.max_held then",
    ),
    Break("a lease on a closed row is waited for", "queue_lease", "and not q.is_closed", ""),
    Break("languages are ignored", "queue_lease", "l.language = any (p_languages)", "true"),
    Break("disputes are offered to who labelled them", "queue_claim", "p_kind <> 2 or", "true or", times=5),
    Break(
        "a decision does not heed another reviewer's lease",
        "queue_take_dispute",
        "and expires_at >= v_now)",
        "and false)",
    ),
    Break(
        "a dispute is closed though the item is disputed",
        "reviewers_judge",
        "v_by_skips := v_skips >= p_skips;",
        "v_by_skips := r.n_submitted <= 0;",
    ),
)


def install(broken: Break) -> None:
    """Break the queue in the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_get_functiondef(%s::regproc)", [broken.function])
        (text,) = cursor.fetchone()
        assert text.count(broken.old) == broken.times, f"{broken.name}: {broken.function} has no such text any more"
        cursor.execute(text.replace(broken.old, broken.new))
