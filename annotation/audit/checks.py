"""The invariants that rows can show (`docs/invariants.md`): for each a query that finds the rows where it is broken.

Every query is one statement, so all that it compares is of one moment; and whatever changes these rows keeps the
invariants from commit to commit (a seat and the offer that it came from change in one transaction). What a query finds
was therefore really stored like that, if only for a moment: nothing has to be looked at twice.

A query over a table looks at a range of its ids, `%(after)s < id <= %(upto)s`: a long statement on a living database
would hold back vacuum and the readers of events. Where it joins, both sides are given the range, or the other side is
one probe of an index for each row ("(select ...) is null" is never planned as a scan of the whole other table).
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


# How many ids make one statement of 20 to 100 ms. One person: their keys are compared with each other.
RANGES = {"annotation_queuerow": 20_000, "annotation_seat": 50_000, "reviewers_adjudication": 20_000}
RANGES["annotation_user"] = 1

ROWS = "annotation_queuerow"

_ROW = "q.id > %(after)s and q.id <= %(upto)s"
_SEAT = "s.queue_row_id > %(after)s and s.queue_row_id <= %(upto)s"
_OFFER = "o.queue_row_id > %(after)s and o.queue_row_id <= %(upto)s"

# The database's own text, as in `sql/queue.sql`: seat states 1 held, 2 submitted; kinds 1 label, 2 adjudicate, 4 relabel.
CHECKS: tuple[Check, ...] = (
    Check(
        "places_within_overlap",
        "Q1",
        _("seats held and submitted stay within the overlap"),
        _("Some items are answered by more people than they should be."),
        ROWS,
        f"""
        select q.project_id, q.id as row, q.item_id as item, q.overlap, c.taken
        from annotation_queuerow q join (
          select s.queue_row_id, count(*) as taken from annotation_seat s
          where {_SEAT} and s.state in (1, 2) group by s.queue_row_id) c on c.queue_row_id = q.id
        where {_ROW} and c.taken > q.overlap""",
    ),
    Check(
        "seat_of_its_row",
        "Q1",
        _("a seat says what its queue row says: project, item, kind and lane"),
        _("Some places are counted on the wrong item, or offered to the wrong people once their lease runs out."),
        ROWS,
        f"""
        select q.project_id, s.id as seat, q.id as row, s.item_id as item, q.item_id as item_of_row,
          s.lane_id as lane, q.lane_id as lane_of_row
        from annotation_seat s join annotation_queuerow q on q.id = s.queue_row_id
        where {_SEAT} and {_ROW}
          and (s.project_id, s.item_id, s.kind, s.lane_id) <> (q.project_id, q.item_id, q.kind, q.lane_id)""",
    ),
    Check(
        "one_answer_each",
        "Q2",
        _("nobody's answer counts twice on an item in a pass"),
        _("Some people's votes count twice."),
        ROWS,
        f"""
        select q.project_id, q.id as row, q.item_id as item, s.person_id as person, count(*) as answers
        from annotation_seat s join annotation_queuerow q on q.id = s.queue_row_id
        where {_SEAT} and {_ROW} and s.state = 2 and q.kind in (1, 4) group by q.id, s.person_id having count(*) > 1
        union all
        select q.project_id, q.id, q.item_id, s.person_id, 2
        from annotation_queuerow q
        join annotation_queuerow p on p.item_id = q.item_id and p.pass_no = q.pass_no and p.kind in (1, 4) and p.id < q.id
        join annotation_seat s on s.queue_row_id = q.id and s.state = 2
        join annotation_seat t on t.queue_row_id = p.id and t.state = 2 and t.person_id = s.person_id
        where {_ROW} and q.kind in (1, 4)""",
    ),
    Check(
        "one_answer_a_key",
        "Q4",
        _("one idempotency key has one annotation"),
        _("Some answers that were sent twice are stored twice."),
        "annotation_user",
        # Grouped and never looked up: an index that lost its order would hide what it should have refused.
        """
        select min(a.project_id) as project_id, a.person_id as person, min(a.id) as annotation, count(*) as annotations
        from annotation_annotation a where a.person_id > %(after)s and a.person_id <= %(upto)s
        group by a.person_id, a.key having count(*) > 1""",
    ),
    Check(
        "nothing_before_floor",
        "Q7",
        _("nothing on offer stands before its lane's floor"),
        _("Some items wait until all others are done, whatever their priority."),
        ROWS,
        f"""
        select l.project_id, o.queue_row_id as row, o.item_id as item, o.lane_id as lane
        from annotation_offer o join annotation_queuelane l on l.id = o.lane_id
        where {_OFFER} and not o.is_returned and (o.rank, o.tiebreak) < (l.floor_rank, l.floor_tiebreak)""",
    ),
    Check(
        "no_lease_before_floor",
        "Q7",
        _("no lease that may run out stands before its lane's floor of leases"),
        _("Some places that nobody uses wait until all other work is done."),
        "",
        """
        select s.project_id, s.id as seat, s.queue_row_id as row, s.item_id as item, s.lane_id as lane
        from annotation_queuelane l join annotation_seat s on s.lane_id = l.id and s.state = 1
        join annotation_queuerow q on q.id = s.queue_row_id
        where s.expires_at < l.lease_floor and not q.is_closed""",
    ),
    Check(
        "seat_and_answer",
        "Q8",
        _("a submitted seat points to its own annotation, every other to none"),
        _("Some answers do not count, or count where they should not."),
        "annotation_seat",
        """
        select s.project_id, s.id as seat, s.item_id as item, s.state, s.annotation_id as annotation
        from annotation_seat s where s.id > %(after)s and s.id <= %(upto)s
          and case when s.state = 2 and s.kind <> 2 then (
              select (a.seat_id, a.item_id, a.person_id) = (s.id, s.item_id, s.person_id)
              from annotation_annotation a where a.id = s.annotation_id) is not true
            else s.annotation_id is not null end""",
    ),
    Check(
        "history_refuses_change",
        "Q10",
        _("history refuses change"),
        _("Answers and decisions could be changed or deleted without a trace."),
        "",
        # 27: a trigger before update (16) and delete (8), on each row.
        """
        select null::bigint as project_id, t.name as history from unnest(array['annotation_annotation', 'annotation_label',
          'annotation_event', 'annotation_labelschema', 'annotation_guideline', 'reviewers_adjudication',
          'learning_snapshotmember']) as t(name)
        where not exists (select 1 from pg_trigger g join pg_proc f on f.oid = g.tgfoid
          where g.tgrelid = to_regclass(t.name) and g.tgname = 'append_only' and f.proname = 'refuse_change'
            and g.tgenabled in ('O', 'A') and g.tgtype & 27 = 27 and g.tgqual is null)""",
    ),
    Check(
        "offer_is_what_is_free",
        "Q11",
        _("what is on offer and what is taken make up the overlap"),
        _("Some items are offered to nobody, or to too many."),
        ROWS,
        f"""
        select q.project_id, coalesce(q.id, o.queue_row_id) as row, q.item_id as item, q.overlap, q.is_closed,
          q.taken, o.n_free as offered
        from (
          select q.id, q.project_id, q.item_id, q.overlap, q.is_closed, coalesce(c.taken, 0) as taken
          from annotation_queuerow q left join (
            select s.queue_row_id, count(*) as taken from annotation_seat s
            where {_SEAT} and s.state in (1, 2) group by s.queue_row_id) c on c.queue_row_id = q.id
          where {_ROW}) q
        full join (select o.queue_row_id, o.n_free from annotation_offer o where {_OFFER}) o on o.queue_row_id = q.id
        where coalesce(o.n_free, 0) <> case when q.is_closed is not false then 0 else greatest(0, q.overlap - q.taken) end""",
    ),
    Check(
        "offer_of_its_row",
        "Q11",
        _("an offer says what its queue row says: item, lane and place in the order"),
        _("Some items are served out of turn, or to the wrong people."),
        ROWS,
        f"""
        select q.project_id, q.id as row, q.item_id as item, o.item_id as item_on_offer, o.lane_id as lane_on_offer,
          o.rank as rank_on_offer, q.lane_id as lane, q.rank
        from annotation_offer o join annotation_queuerow q on q.id = o.queue_row_id
        where {_OFFER} and {_ROW}
          and (o.item_id, o.lane_id, o.rank, o.tiebreak) <> (q.item_id, q.lane_id, q.rank, q.tiebreak)""",
    ),
    Check(
        "submitted_is_counted",
        "Q11",
        _("n_submitted counts the seats submitted"),
        _("Some items are settled too early, or never."),
        ROWS,
        f"""
        select q.project_id, q.id as row, q.item_id as item, q.n_submitted as counted, coalesce(c.n, 0) as submitted
        from annotation_queuerow q left join (
          select s.queue_row_id, count(*) as n from annotation_seat s where {_SEAT} and s.state = 2 group by s.queue_row_id
          ) c on c.queue_row_id = q.id
        where {_ROW} and q.n_submitted <> coalesce(c.n, 0)""",
    ),
    Check(
        "overlap_holds_answers",
        "Q14",
        _("the overlap is never below what is submitted"),
        _("Some items have more answers than they ask for."),
        ROWS,
        f"""
        select q.project_id, q.id as row, q.item_id as item, q.overlap, q.n_submitted from annotation_queuerow q
        where {_ROW} and q.n_submitted > q.overlap""",
    ),
    Check(
        "one_reviewer_a_dispute",
        "Q15",
        _("one reviewer holds a dispute"),
        _("Two reviewers work on the same dispute."),
        ROWS,
        f"""
        select q.project_id, q.id as row, q.item_id as item, count(*) as reviewers
        from annotation_seat s join annotation_queuerow q on q.id = s.queue_row_id
        where {_SEAT} and {_ROW} and s.kind = 2 and s.state = 1 group by q.id having count(*) > 1""",
    ),
    Check(
        "decided_by_another",
        "Q15",
        _("who decided an item had not labelled it, or it is recorded"),
        _("Some people decided disputes about their own answers."),
        "reviewers_adjudication",
        """
        select d.project_id, d.id as adjudication, d.item_id as item, d.reviewer_id as reviewer
        from reviewers_adjudication d where d.id > %(after)s and d.id <= %(upto)s and not d.is_own_work and (
          select 1 from annotation_annotation a where a.item_id = d.item_id and a.person_id = d.reviewer_id
            and a.created_at < d.created_at limit 1) is not null""",
    ),
)

BY_NAME = {check.name: check for check in CHECKS}
