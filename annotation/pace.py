"""How one person's work goes today: what is done, how long it took, pace beside their own usual, what is left.

Read only, for the person alone. Pace is left out where any queue of the project is severe: nobody is to hurry there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from annotation.access import Access
from annotation.hints import SEVERE
from annotation.models import Project, QueueLane
from annotation.progress import today_began

USUAL_DAYS = 14
NEWEST = 2000  # answers before today that the usual pace is measured by
LEAST_TODAY, LEAST_USUAL = 10, 30  # timed answers, below which a pace says nothing
MOST_LEFT, MOST_LOOKED = 1000, 5000

# Today's answers and the newest ones of the days before, along the index of a person's annotations. One that was taken
# back or replaced is not the seat's any more.
_DONE = """
    with mine as (
      select a.created_at, a.seconds from annotation_annotation a
      join annotation_seat s on s.id = a.seat_id and s.annotation_id = a.id and s.state = 2
      where a.project_id = %(project)s and a.person_id = %(person)s),
    today as (select seconds from mine where created_at >= %(today)s),
    before as (select seconds from mine where created_at >= %(since)s and created_at < %(today)s
      order by created_at desc limit %(newest)s)
    select 0, count(*), count(seconds), coalesce(sum(seconds), 0) from today
    union all select 1, count(*), count(seconds), coalesce(sum(seconds), 0) from before
"""

# The first places on offer in the lanes that this person may take, less those of rows that they had a part in.
_LEFT = """
    with looked as materialized (
      select o.queue_row_id from annotation_offer o where o.lane_id = any(array(
        select l.id from annotation_queuelane l where l.project_id = %(project)s and l.kind = 1 and l.stream in (0, 1)
          and (cardinality(%(languages)s::text[]) = 0 or l.language = '' or l.language = any(%(languages)s::text[]))))
      limit %(looked)s)
    select count(*), (select count(*) from looked) from (
      select 1 from looked o where not exists (
        select 1 from annotation_seat s
        where s.queue_row_id = o.queue_row_id and s.person_id = %(person)s and s.state <> 4)
      limit %(most)s) x
"""
_HELD = """
    select count(*) from annotation_seat s where s.person_id = %(person)s and s.project_id = %(project)s and s.state = 1
      and s.kind = 1 and s.expires_at >= clock_timestamp()
"""


def is_paced(project: Project) -> bool:
    """Whether people of a project may be told how quick they or others are: not where any of its queues is severe."""
    return not QueueLane.objects.filter(project=project, severity__gte=SEVERE).exists()


@dataclass(frozen=True, slots=True)
class Sitting:
    """One person's day in a project.

    `seconds_today`: active time of the `n_timed_today` answers that say theirs. `is_paced`: whether pace may be told,
    which is nowhere in a project with a severe queue. `usual_per_hour`: answers in an active hour over the 14 days
    before; None where too few were timed. `n_left`: items that they hold or could still be given, at most 1,000; None
    where it would take long to tell. `is_more_left`: there are more.
    """

    n_today: int
    n_timed_today: int
    seconds_today: float
    is_paced: bool
    usual_per_hour: float | None
    n_left: int | None
    is_more_left: bool

    @property
    def per_hour(self) -> float | None:
        """Answers in an active hour today; None where too few were timed or pace is not told."""
        return _per_hour(self.n_timed_today, self.seconds_today, LEAST_TODAY) if self.is_paced else None

    def as_dict(self) -> dict[str, Any]:
        """As the desk takes it, which counts on from there: `least_timed` answers are needed for today's pace."""
        return {**asdict(self), "least_timed": LEAST_TODAY}


def sitting(access: Access, today: datetime | None = None) -> Sitting:
    """How the caller's work in a project goes. Bounded statements. `today`: when it began, by default now's day."""
    today = today or today_began()
    params: dict[str, Any] = {
        "project": access.project.pk,
        "person": access.user.pk,
        "today": today,
        "since": today - timedelta(days=USUAL_DAYS),
        "newest": NEWEST,
        "languages": [language.lower() for language in access.languages],
        "looked": MOST_LOOKED,
        "most": MOST_LEFT,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DONE, params)
        done = {which: (n, n_timed, float(seconds)) for which, n, n_timed, seconds in cursor.fetchall()}
        cursor.execute(_LEFT, params)
        n_open, n_looked = cursor.fetchone()
        cursor.execute(_HELD, params)
        n_left = min(MOST_LEFT, n_open + cursor.fetchone()[0])
    n_today, n_timed, seconds = done[0]
    may_pace = is_paced(access.project)
    is_more = n_open == MOST_LEFT or n_looked == MOST_LOOKED
    return Sitting(
        n_today=n_today,
        n_timed_today=n_timed,
        seconds_today=seconds,
        is_paced=may_pace,
        usual_per_hour=_per_hour(done[1][1], done[1][2], LEAST_USUAL) if may_pace else None,
        n_left=None if is_more and n_open == 0 else n_left,
        is_more_left=is_more and n_open > 0,
    )


def _per_hour(n: int, seconds: float, least: int) -> float | None:
    return 3600 * n / seconds if n >= least and seconds > 0 else None
