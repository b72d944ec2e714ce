"""The invariants that rows can show (`docs/invariants.md`): for each a query that finds the rows where it is broken.

Every query is one statement, so all that it compares is of one moment; and whatever changes these rows keeps the
invariants from commit to commit (a seat and the offer that it came from change in one transaction). What a query finds
was therefore really stored like that, if only for a moment: nothing has to be looked at twice.

A query over a table looks at one range of its ids, `first` to `last`: a long statement on a living database
would hold back vacuum and the readers of events. Where it joins, both sides are given the range, or the other side is
one probe of an index for each row ("(select ...) is not null" is never planned as a scan of the whole other table).
The first column is the project, null for what belongs to none; the others are ids and counts, never content.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. `title` says it; `harm` says what it does to people's work where it does not hold.

    `over` is the table whose ids the query is given in ranges; empty: it looks at all at once, and that is little.
    """

    name: str
    invariant: str
    title: Any  # translated when it is shown
    harm: Any
    over: str
    sql: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.title}"


# How many rows make one statement; a tenth of a second or less. Of people one at a time: the keys of one person are
# compared with each other.
RANGES = {
    "annotation_item": 50_000,
    "annotation_queuerow": 20_000,
    "annotation_seat": 50_000,
    "annotation_user": 1,
    "reviewers_adjudication": 20_000,
}

ROWS = "annotation_queuerow"

# Seat states: 1 held, 2 submitted. Kinds: 1 label, 2 adjudicate, 4 relabel (annotation/models/queue.py).
CHECKS: tuple[Check, ...] = (
    Check(
        "places_within_overlap",
        "Q1",
        _("seats held and submitted stay within the overlap"),
        _("Some items may get more answers than they ask for."),
        ROWS,
        """
        select q.project_id, q.id as row, q.item_id as item, q.overlap, c.taken
        from annotation_queuerow q join (
          select s.queue_row_id, count(*) as taken from annotation_seat s
          where s.queue_row_id between %(first)s and %(last)s and s.state in (1, 2)
          group by s.queue_row_id) c on c.queue_row_id = q.id
        where q.id between %(first)s and %(last)s and c.taken > q.overlap""",
    ),
    Check(
        "seat_of_its_row",
        "Q1",
        _("a seat says what its queue row says: project, item, kind, and lane while it is held"),
        _("Some places may be counted on the wrong item, or offered to the wrong people once a lease runs out."),
        ROWS,
        """
        select q.project_id, s.id as seat, q.id as row, s.item_id as item, q.item_id as item_of_row,
          s.lane_id as lane, q.lane_id as lane_of_row
        from annotation_seat s join annotation_queuerow q on q.id = s.queue_row_id
        where s.queue_row_id between %(first)s and %(last)s and q.id between %(first)s and %(last)s
          and ((s.project_id, s.item_id, s.kind) <> (q.project_id, q.item_id, q.kind)
            or (s.state = 1 and s.lane_id <> q.lane_id))""",
    ),
    Check(
        "one_seat_each",
        "Q2",
        _("nobody has two seats on a queue row"),
        _("Some people may answer the same item twice."),
        ROWS,
        """
        select q.project_id, q.id as row, q.item_id as item, c.person_id as person, c.seats
        from annotation_queuerow q join (
          select s.queue_row_id, s.person_id, count(*) as seats from annotation_seat s
          where s.queue_row_id between %(first)s and %(last)s
          group by s.queue_row_id, s.person_id having count(*) > 1) c on c.queue_row_id = q.id
        where q.id between %(first)s and %(last)s""",
    ),
    Check(
        "one_answer_each",
        "Q2",
        _("nobody's answer counts twice on an item in a pass"),
        _("Some people's votes may count twice."),
        "annotation_item",
        # Items with two rows in a pass: none, as a rule. The limit says so to the planner, which would guess thousands.
        """
        select q.project_id, q.item_id as item, s.person_id as person, count(*) as answers
        from (
          select r.item_id, r.pass_no from annotation_queuerow r
          where r.item_id between %(first)s and %(last)s and r.kind in (1, 4)
          group by r.item_id, r.pass_no having count(*) > 1 limit 1000) c
        join annotation_queuerow q on q.item_id = c.item_id and q.pass_no = c.pass_no and q.kind in (1, 4)
        join annotation_seat s on s.queue_row_id = q.id and s.state = 2
        group by q.project_id, q.item_id, q.pass_no, s.person_id having count(distinct q.id) > 1""",
    ),
    Check(
        "one_answer_a_key",
        "Q4",
        _("one idempotency key has one annotation"),
        _("Some answers that were sent twice may be stored twice."),
        "annotation_user",
        # From the index alone: the answers of one person lie scattered over the whole table.
        """
        select min(a.project_id) as project_id, a.person_id as person, min(a.id) as annotation, count(*) as annotations
        from (
          select k.person_id, k.key from annotation_annotation k where k.person_id between %(first)s and %(last)s
          group by k.person_id, k.key having count(*) > 1 limit 1000) c
        join annotation_annotation a on a.person_id = c.person_id and a.key = c.key
        group by a.person_id, a.key""",
    ),
    Check(
        "nothing_before_floor",
        "Q7",
        _("nothing on offer stands before its lane's floor"),
        _("Some items may wait until all others are done, whatever their priority."),
        ROWS,
        """
        select l.project_id, o.queue_row_id as row, o.item_id as item, o.lane_id as lane
        from annotation_offer o join annotation_queuelane l on l.id = o.lane_id
        where o.queue_row_id between %(first)s and %(last)s and o.returned_by is null
          and (o.rank, o.tiebreak) < (l.floor_rank, l.floor_tiebreak)""",
    ),
    Check(
        "no_lease_before_floor",
        "Q7",
        _("no lease that may run out stands before its lane's floor of leases"),
        _("Some places that nobody uses may wait until all other work is done."),
        "",
        """
        select s.project_id, s.id as seat, s.queue_row_id as row, s.item_id as item, s.lane_id as lane
        from annotation_queuelane l join annotation_seat s on s.lane_id = l.id and s.state = 1
        join annotation_queuerow q on q.id = s.queue_row_id
        where s.expires_at < l.lease_floor and not q.is_closed""",
    ),
    Check(
        "no_held_seat_before_floor",
        "Q7",
        _("no seat that somebody holds was leased before their floor"),
        _("Some people may be handed more work before they see what they hold already."),
        "",
        """
        select s.project_id, s.id as seat, s.queue_row_id as row, s.item_id as item, s.person_id as person
        from annotation_seat s join annotation_member m on m.project_id = s.project_id and m.user_id = s.person_id
        where s.state = 1 and s.leased_at < m.held_floor""",
    ),
    Check(
        "seat_and_answer",
        "Q8",
        _("a submitted seat points to its own annotation, every other to none"),
        _("Some answers may not count, or count where they should not."),
        "annotation_seat",
        """
        select s.project_id, s.id as seat, s.item_id as item, s.state, s.annotation_id as annotation
        from annotation_seat s where s.id between %(first)s and %(last)s
          and case when s.state = 2 and s.kind <> 2 then (
              select (a.seat_id, a.item_id, a.person_id) = (s.id, s.item_id, s.person_id)
              from annotation_annotation a where a.id = s.annotation_id) is not true
            else s.annotation_id is not null end""",
    ),
    Check(
        "history_refuses_change",
        "Q10",
        _("history refuses change"),
        _("Answers and decisions can be changed or deleted without a trace."),
        "",
        # 27: a trigger before update (16) and delete (8), on each row.
        """
        select null::bigint as project_id, t.name as history from unnest(array['annotation_annotation',
          'annotation_label', 'annotation_event', 'annotation_labelschema', 'annotation_guideline',
          'reviewers_adjudication', 'learning_snapshotmember']) as t(name)
        where not exists (select 1 from pg_trigger g join pg_proc f on f.oid = g.tgfoid
          where g.tgrelid = to_regclass(t.name) and g.tgname = 'append_only' and f.proname = 'refuse_change'
            and g.tgenabled in ('O', 'A') and g.tgtype & 27 = 27 and g.tgqual is null)""",
    ),
    Check(
        "offer_is_what_is_free",
        "Q11",
        _("what is on offer and what is taken make up the overlap"),
        _("Some items may be offered to nobody, or to too many people."),
        ROWS,
        """
        select q.project_id, coalesce(q.id, o.queue_row_id) as row, q.item_id as item, q.overlap, q.is_closed,
          q.taken, o.n_free as offered
        from (
          select q.id, q.project_id, q.item_id, q.overlap, q.is_closed, coalesce(c.taken, 0) as taken
          from annotation_queuerow q left join (
            select s.queue_row_id, count(*) as taken from annotation_seat s
            where s.queue_row_id between %(first)s and %(last)s and s.state in (1, 2)
            group by s.queue_row_id) c on c.queue_row_id = q.id
          where q.id between %(first)s and %(last)s) q
        full join (
          select o.queue_row_id, o.n_free from annotation_offer o
          where o.queue_row_id between %(first)s and %(last)s) o on o.queue_row_id = q.id
        where coalesce(o.n_free, 0)
          <> case when q.is_closed is not false then 0 else greatest(0, q.overlap - q.taken) end
          -- the rows of an unfinished import are not offered yet
          and not (o.n_free is null and q.taken = 0 and (select not m.is_visible
            from annotation_item i join annotation_import m on m.id = i.imported_by_id where i.id = q.item_id))""",
    ),
    Check(
        "offer_of_its_row",
        "Q11",
        _("an offer says what its queue row says: item, lane and place in the order"),
        _("Some items may be served out of turn, or to the wrong people."),
        ROWS,
        """
        select q.project_id, q.id as row, q.item_id as item, o.item_id as item_on_offer, o.lane_id as lane_on_offer,
          o.rank as rank_on_offer, q.lane_id as lane, q.rank
        from annotation_offer o join annotation_queuerow q on q.id = o.queue_row_id
        where o.queue_row_id between %(first)s and %(last)s and q.id between %(first)s and %(last)s
          and (o.item_id, o.lane_id, o.rank, o.tiebreak) <> (q.item_id, q.lane_id, q.rank, q.tiebreak)""",
    ),
    Check(
        "submitted_is_counted",
        "Q11",
        _("n_submitted counts the seats submitted"),
        _("Some items may be settled too early, or never."),
        ROWS,
        """
        select q.project_id, q.id as row, q.item_id as item, q.n_submitted as counted, coalesce(c.n, 0) as submitted
        from annotation_queuerow q left join (
          select s.queue_row_id, count(*) as n from annotation_seat s
          where s.queue_row_id between %(first)s and %(last)s and s.state = 2
          group by s.queue_row_id) c on c.queue_row_id = q.id
        where q.id between %(first)s and %(last)s and q.n_submitted <> coalesce(c.n, 0)""",
    ),
    Check(
        "overlap_holds_answers",
        "Q14",
        _("the overlap is never below what is submitted"),
        _("Some items may never be settled as they were meant to be."),
        ROWS,
        """
        select q.project_id, q.id as row, q.item_id as item, q.overlap, q.n_submitted from annotation_queuerow q
        where q.id between %(first)s and %(last)s and q.n_submitted > q.overlap""",
    ),
    Check(
        "one_reviewer_a_dispute",
        "Q15",
        _("one reviewer holds a dispute"),
        _("Two reviewers may decide the same dispute."),
        ROWS,
        """
        select q.project_id, q.id as row, q.item_id as item, count(*) as reviewers
        from annotation_seat s join annotation_queuerow q on q.id = s.queue_row_id
        where s.queue_row_id between %(first)s and %(last)s and q.id between %(first)s and %(last)s
          and s.kind = 2 and s.state = 1
        group by q.id having count(*) > 1""",
    ),
    Check(
        "decided_by_another",
        "Q15",
        _("who decided an item had not labelled it, or it is recorded"),
        _("Some people may have decided about their own answers unseen."),
        "reviewers_adjudication",
        """
        select d.project_id, d.id as adjudication, d.item_id as item, d.reviewer_id as reviewer
        from reviewers_adjudication d where d.id between %(first)s and %(last)s and not d.is_own_work and (
          select 1 from annotation_annotation a join annotation_seat s on s.id = a.seat_id
          -- what they took back is not theirs any more
          where a.item_id = d.item_id and a.person_id = d.reviewer_id and a.created_at < d.created_at
            and s.annotation_id = a.id limit 1) is not null""",
    ),
)

BY_NAME = {check.name: check for check in CHECKS}
