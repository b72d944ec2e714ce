"""A project of a million items, part of them labelled, and a neighbour of 200,000: for lists and bulk changes.

Items come in through the import's own functions. Who answered what is written by SQL, since a million answers would
take an hour, in the shapes that the queue and the vote rule leave behind; `touchstone audit` must find nothing wrong.
Texts are of about 200 bytes: words of a made-up vocabulary, as often as words are (Zipf), with planted words of known
frequency. Everything follows from a seed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from django.db import connection, transaction

from benchmarks.answers import write_answers
from benchmarks.installation import SCHEMA, Site, make_people
from benchmarks.measuring import say

if TYPE_CHECKING:
    from annotation.models import Project, User

SLUG, NEIGHBOUR = "million", "neighbour"
WORDS_IN_TEXT = 29
VOCABULARY = 30_000
# planted words: the share of texts that have them
PLANTED = {"harbour": 0.3, "lantern": 0.05, "quarry": 0.01, "zephyr": 0.00002}
PEOPLE = 20
BLOCK = 20_000


def make_vocabulary(rng: np.random.Generator) -> np.ndarray:
    """Made-up words of two to four syllables, the most frequent one first, all different."""
    syllables = np.array([c + v for c in "bcdfghjklmnprstvwz" for v in ("a", "e", "i", "o", "u", "ar", "en", "is")])
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        words["".join(rng.choice(syllables, rng.integers(2, 5)))] = None
    return np.array(sorted(words, key=len))


def make_texts(n: int, seed: int) -> Iterator[str]:
    """`n` texts of about 200 bytes."""
    rng = np.random.default_rng(seed)
    vocabulary = make_vocabulary(np.random.default_rng(0))
    steps = np.cumsum(1.0 / np.arange(3, VOCABULARY + 3))
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        drawn = np.searchsorted(steps, rng.random((size, WORDS_IN_TEXT)) * steps[-1])
        planted = {word: rng.random(size) < share for word, share in PLANTED.items()}
        for row in range(size):
            words = list(vocabulary[drawn[row]])
            words += [word for word, has in planted.items() if has[row]]
            yield " ".join(words).capitalize() + "."


def fill(items: int) -> tuple[Project, list[tuple[User, str]]]:
    """The project of `items` items and its neighbour of a fifth of that, and people with tokens.

    The first of the people is the owner; the others are annotators. What is there already is taken as it is.
    """
    from annotation.models import Project

    owner, people = make_people(1, "engineer")[0], make_people(PEOPLE)
    if not Project.objects.filter(slug=SLUG).exists():
        for slug, n, seed in ((NEIGHBOUR, items // 5, 2), (SLUG, items, 1)):
            project = _import(slug, owner[0], [user for user, _token in people], n, seed)
            started = time.monotonic()
            _label(project, [user.pk for user, _token in people], n)
            say(f"{slug}: answers written in {time.monotonic() - started:.0f} s")
        with connection.cursor() as cursor:
            cursor.execute("vacuum analyze")
            cursor.execute("checkpoint")
    return Project.objects.get(slug=SLUG), [owner, *people]


def _import(slug: str, owner: User, people: list[User], n: int, seed: int) -> Project:
    from annotation.actions.imports import load_items
    from annotation.actions.projects import create_project, set_member
    from annotation.importing.rows import ItemRow, PartRow

    settings = {"overlap": {"min": 2, "max": 3}, "lease_seconds": 3600, "learning": {"holdout_share": 0, "every": None}}
    project = create_project(slug=slug, name=slug, schema=SCHEMA, settings=settings, owner=owner)
    for user in people:
        set_member(project=project, user=user, role="annotator", actor=owner)

    def read() -> Iterator[tuple[int, ItemRow]]:
        for number, text in enumerate(make_texts(n, seed), start=1):
            part = PartRow(name="text", kind="text", role="target", text=text)
            yield number, ItemRow(external_id=f"item-{number:08d}", group=None, parts=(part,))

    started = time.monotonic()
    outcome, is_stored = load_items(project=project, read=read, actor=None)
    assert (is_stored, outcome.imported) == (True, n), outcome
    say(f"{slug}: {n:,} items imported in {time.monotonic() - started:.0f} s")
    return project


# A plan for every row: how many answers it has, and what comes of them. Of a million items 190,000 are agreed (a fifth
# of them two to one), 10,000 disputed, 10,000 decided by a reviewer, 30,000 have one answer, and 5,000 are put away.
_PLAN = """
    create temporary table plan on commit drop as
    select q.id, q.item_id, q.lane_id, q.rank, q.tiebreak, q.draw_id, q.project_id,
      case when u.n <= 0.190 then 'agreed' when u.n <= 0.200 then 'disputed' when u.n <= 0.210 then 'adjudicated'
           when u.n <= 0.240 then 'begun' else 'away' end as fate,
      case when u.n <= 0.152 then 2 when u.n <= 0.210 then 3 when u.n <= 0.240 then 1 else 0 end as answers,
      (u.m %% 3)::int + 1 as choice, (u.m %% 20)::int as who
    from annotation_queuerow q,
      lateral (select (hashtextextended(q.item_id::text, 7) & 1048575) / 1048576.0 as n,
                      hashtextextended(q.item_id::text, 8) & 1048575 as m) u
    where q.project_id = %(project)s and q.kind = 1 and u.n <= 0.245
"""
# The second and third answers say the same for agreed items (the third of three differs), else something else each.
_GIVEN = """
    create temporary table given on commit drop as
    select p.*, k.n as nth, (%(people)s::bigint[])[1 + (p.who + k.n) %% %(n_people)s] as person,
      case when fate = 'agreed' and k.n < 3 then p.choice when fate = 'agreed' then p.choice %% 3 + 1
           else (p.choice + k.n) %% 3 + 1 end as said,
      2 + random() * 8 as seconds,
      clock_timestamp() - ((3 * p.who + k.n) %% 60) * interval '1 day' as at
    from plan p cross join lateral generate_series(1, p.answers) k(n)
"""
_OUTCOMES = [
    """
    insert into reviewers_resolution (project_id, item_id, question, pass_no, state, choice, confidence, method, votes,
        n_votes, disagreement, version, changed_at)
      select project_id, item_id, 1, 1, case fate when 'agreed' then 1 when 'disputed' then 2 else 3 end,
        case fate when 'disputed' then null else choice end,
        case when fate = 'agreed' then case answers when 2 then 1 else 2 / 3.0 end end,
        case fate when 'adjudicated' then 'adjudication' else 'majority' end,
        case when fate <> 'agreed' then '{"1": 1, "2": 1, "3": 1}'::jsonb
             when answers = 2 then jsonb_build_object(choice, 2)
             else jsonb_build_object(choice, 2, choice %% 3 + 1, 1) end,
        answers, case when fate <> 'agreed' then 1 when answers = 3 then 2 / 3.0 else 0 end, 1, clock_timestamp()
      from plan where fate in ('agreed', 'disputed', 'adjudicated')
    """,
    """
    update annotation_queuerow q set n_submitted = p.answers, overlap = greatest(2, p.answers),
        is_closed = p.fate in ('disputed', 'away', 'adjudicated'),
        state = case p.fate when 'agreed' then 1 when 'disputed' then 2 when 'adjudicated' then 3 else 0 end
      from plan p where p.id = q.id
    """,
    "delete from annotation_offer o using plan p where p.id = o.queue_row_id and p.fate <> 'begun'",
    "update annotation_offer o set n_free = 1 from plan p where p.id = o.queue_row_id",
    """
    insert into annotation_queuelane (project_id, kind, stream, language, severity, epoch, floor_rank, floor_tiebreak)
      select project_id, 2, stream, language, severity, 0, '-infinity', 0 from annotation_queuelane
      where project_id = %(project)s and kind = 1
    """,
    """
    insert into annotation_queuerow (project_id, item_id, lane_id, kind, pass_no, rank, tiebreak, overlap, n_submitted,
        state, is_closed, draw_id)
      select p.project_id, p.item_id, d.id, 2, 1, p.rank, p.tiebreak, 1, (p.fate = 'adjudicated')::int, 0,
        p.fate = 'adjudicated', p.draw_id
      from plan p join annotation_queuelane l on l.id = p.lane_id
      join annotation_queuelane d on (d.project_id, d.kind, d.stream, d.language, d.severity)
        = (l.project_id, 2, l.stream, l.language, l.severity)
      where p.fate in ('disputed', 'adjudicated')
    """,
    """
    insert into annotation_offer (queue_row_id, item_id, lane_id, rank, tiebreak, n_free, returned_by)
      select id, item_id, lane_id, rank, tiebreak, 1, pg_current_xact_id() from annotation_queuerow
      where project_id = %(project)s and kind = 2 and not is_closed
    """,
    """
    insert into annotation_seat (queue_row_id, person_id, project_id, item_id, lane_id, kind, draw_id,
        state, generation, leased_at, expires_at, ended_at, reason, schema_id, arm)
      select id, %(reviewer)s, project_id, item_id, lane_id, 2, draw_id, 2, 1, now(), now(), now(), '',
        %(schema)s, 0
      from annotation_queuerow where project_id = %(project)s and kind = 2 and is_closed
    """,
    """
    insert into reviewers_adjudication (project_id, item_id, seat_id, pass_no, reviewer_id, answers, reason,
        is_precedent, is_own_work, created_at)
      select s.project_id, s.item_id, s.id, 1, s.person_id, '{"1": {"choice": 1}}', 'ambiguous', false, false,
        s.ended_at
      from annotation_seat s where s.project_id = %(project)s and s.kind = 2
    """,
    """
    update annotation_item i set lifecycle = case when p.who < 18 then 1 when p.who < 19 then 2 else 3 end
      from plan p where p.item_id = i.id and p.fate = 'away'
    """,
    "delete from annotation_itempayload y using annotation_item i where i.id = y.item_id and i.lifecycle = 3",
    # what consumers have read
    """
    insert into annotation_event (project_id, kind, actor_id, item_id, ref_id, data)
      select project_id, 'annotation.submitted', person, item_id, annotation,
        case when nth = answers and fate = 'agreed' then '{"state": "agreed"}'::jsonb end from given
    """,
]


def _label(project: Project, people: list[int], n: int) -> None:
    """Answers, resolutions, disputes and decisions; a model's scores for the pool; three batches, two of them done."""
    from annotation.models import QueueRow
    from learning.models import ModelVersion

    about = {
        "project": project.pk,
        "schema": project.schema_id,
        "people": people,
        "n_people": len(people),
        "reviewer": project.members.get(role="owner").user_id,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_PLAN, about)
        cursor.execute(_GIVEN, about)
        write_answers(cursor, project)
        for statement in _OUTCOMES:
            cursor.execute(statement, about)
    model = ModelVersion.objects.create(
        project=project, question=1, name="margin", version="1", origin="external", classes=[1, 2, 3], is_current=True
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")
        cursor.execute(
            """
            insert into learning_score (model_version_id, item_id, choice, probability, utility)
              select %s, i.id, 1 + (random() * 2)::int, 0.5, random() ^ 2
              from annotation_item i where i.project_id = %s and i.split = 0 and i.lifecycle = 0
            """,
            [model.pk, project.pk],
        )
    rows = QueueRow.objects.filter(project=project, kind=1)
    settled = rows.filter(state=QueueRow.State.AGREED).order_by("tiebreak").values_list("item", flat=True)
    waiting = (
        rows.filter(state=QueueRow.State.OPEN, is_closed=False).order_by("tiebreak").values_list("item", flat=True)
    )
    raise_items(project, [*settled[: n // 500], *waiting[: n // 1000]])


def raise_items(project: Project, items: list[int], frame: list[int] | None = None) -> None:
    """A round that raises these items, as if it had chosen them from `frame`, first one first."""
    from learning.actions.rounds import Pick, raise_batch
    from learning.models import Round

    last = Round.objects.filter(project=project).order_by("-number").first()
    turn = Round.objects.create(
        project=project,
        number=last.number + 1 if last else 1,
        question=1,
        trigger=Round.Trigger.DEMAND,
        strategy="margin",
        batch=len(items),
        random_share=0,
        seed=0,
    )
    raise_batch(
        round=turn,
        check=lambda: None,
        picks=[Pick(item, None, 0.5) for item in items],
        frame=frame or items,
        n_pool=len(frame or items),
        n_train=None,
        model=None,
        strategy="margin",
    )


def describe(site: Site) -> dict[str, int]:
    """How large the tables are, in MiB with their indexes."""
    with site.connect() as database:
        rows = database.execute(
            "select relname, pg_total_relation_size(oid) / 1048576 from pg_class where relkind = 'r'"
            " and relname ~ '^(annotation|reviewers|learning)_' order by 2 desc limit 12"
        ).fetchall()
    return {str(name): int(size) for name, size in rows}
