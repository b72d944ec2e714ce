"""Ways through a project's items, one for each order: the statements behind `learning/items.py`.

A list in an order is one *stretch* or several, one behind the other (first what has a utility, then the rest by id).
A stretch is *walked* along an index that has its order; each row passed is looked at by itself, its item, place in the
queue and text probed by key, until a page is full. So a page costs the same however far it is, whatever the planner
believes about the tables.

A walk past rows of which few fit would be long. How many fit, nothing tells beforehand; so each walk is tried for some
rows (`FIRST_LOOKED_AT`, `FIRST_TEXTS`), which fill the page wherever what is asked for is common. Where they do not,
and few items can fit at all (a state or words that few have), those are found by an index of their own, sorted, and
looked at in the same way, from where the walk has come to (or the walk passes all others without a look at them, while
that takes less time). Else the walk goes on. It ends after so many rows
(`MOST_LOOKED_AT`, `MOST_TEXTS`): the page is short then, and the next one goes on behind the last row looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db import connection, transaction

from annotation.models import Item, Project, QueueRow

ORDERS = ("id", "-priority", "-utility", "-disagreement")
LIFECYCLES = {value.name.lower(): value.value for value in Item.Lifecycle if value != Item.Lifecycle.OPEN}
VOTES = {value.name.lower(): value.value for value in QueueRow.State}
STATES = (*VOTES, *LIFECYCLES)

# A row looked at costs some 3 us, with its text 7 us, an item found and sorted 5 us: a page takes a tenth of a second.
FEW = 10_000  # items of a state that are sorted for a page
FEW_WITH_WORDS = 15_000  # and items with words
FIRST_LOOKED_AT = 4_000  # rows that a walk is tried for
MOST_LOOKED_AT = 20_000  # rows that one stretch looks at for a page, after that
FIRST_TEXTS = 300  # the same where texts are looked into: so many, or twice as many as the page has rows
MOST_TEXTS = 8_000
PASSED_FOR_EACH = 3  # rows of an index that are passed in less time than one item is found and sorted

Key = list[Any]  # the sort keys of a row, its item's id last

# Each of these is a probe by key, never a join that a planner could turn round. With statistics that are old or none it
# may still take an index that reads half the table for one row; "+ 0" keeps it off those.
# The row of the queue on which an item stands now: its newest pass. Labelling anew comes after labelling.
CURRENT = """lateral (select w.rank, w.state, w.pass_no, w.is_closed from annotation_queuerow w
    where w.item_id = i.id and w.kind + 0 in (1, 4) order by w.kind desc, w.pass_no desc limit 1) q"""
ANSWERS = """(select sum(a.n_submitted) from (select w.n_submitted from annotation_queuerow w
    where w.item_id = i.id and w.kind + 0 in (1, 4) order by w.kind, w.pass_no offset 0) a)"""
IN_PROJECT = "i.project_id + 0 = %(project)s"
# The pool: what a model may choose from. Outside it, an item has no utility.
POOL = """(i.lifecycle = 0 and i.split = 0 and q.state = 0 and not q.is_closed and (
    select 1 from annotation_drawitem di join annotation_draw d on d.id = di.draw_id
    where di.item_id = i.id and d.stream = 'audit' limit 1) is null)"""
# Of an item's questions the one that people differ on most stands for the item. An open item has none, also where it
# was settled before: its votes are counted anew.
DISAGREEMENT = """(select max(r.disagreement) from reviewers_resolution r
    where r.item_id = i.id and r.pass_no = q.pass_no and q.state <> 0)"""
# By the item, which has few scores; what the planner believes of a new model's scores, it guesses.
UTILITY = """(select s.utility from (select z.* from learning_score z where z.item_id = i.id offset 0) s
    where s.model_version_id = %(model)s)"""


@dataclass(frozen=True, slots=True)
class Way:
    """One index of one table (called `l`, with a column `item_id`), and which part of it is passed, in its order.

    `order` names the columns of the index, all of them that have no one value by `where`: so no other index will do.
    `behind`: how it goes on after `%(after_0)s` and `%(after_id)s`. `holds`, of a way by id: whether it passes the item
    of a row of another way.
    """

    table: str
    where: str
    order: str
    behind: str
    holds: str = "true"

    @property
    def columns(self) -> str:
        """The columns that it orders by."""
        return self.order.replace(" desc", "")


def _by_id(table: str, column: str = "", value: int = 0, condition: str = "true") -> Way:
    """Along an index over project, perhaps one more column, and the item's id; `condition`: the index holds no more."""
    names = ["project_id", column] if column else ["project_id"]
    values = f"%(project)s, {value}" if column else "%(project)s"
    mine, others = (", ".join(f"{alias}.{name}" for name in names) for alias in ("l", "k"))
    return Way(
        table=table,
        where=f"({mine}) >= ({values}) and ({mine}) <= ({values}) and {condition}",
        order=f"{mine}, l.item_id",
        behind=f"({mine}, l.item_id) > ({values}, %(after_id)s)",
        holds=f"""(select 1 from {table} k where ({others}, k.item_id) = ({values}, l.item_id) and {condition}
            limit 1) is not null""",  # noqa: S608
    )


@dataclass(frozen=True, slots=True)
class Stretch:
    """One stretch of an order: its ways, merged (of several, what they order by ascends).

    `keys` are the sort keys before the id. `fits` is asked of `i`, the item, and `q`, its place in the queue, besides
    what every list asks. `states`: the only ones that it may hold. `told`: states that the index itself tells apart.
    """

    ways: tuple[Way, ...] = (_by_id("(select project_id, id as item_id from annotation_item)"),)
    keys: tuple[str, ...] = ()
    fits: str = "true"
    states: tuple[str | None, ...] = (None, *STATES)
    told: Mapping[str | None, str] = field(default_factory=dict)

    @property
    def columns(self) -> str:
        """The sort keys and the item's id."""
        return ", ".join(f"l.{name}" for name in (*self.keys, "item_id"))


def _ranked(sign: str) -> Stretch:
    """The items with a rank on one side of 0, by rank and id."""
    return Stretch(
        ways=tuple(
            Way(
                table="annotation_queuerow",
                where=f"l.project_id = %(project)s and l.kind = {kind} and l.rank {sign} 0",
                order="l.rank, l.item_id",
                behind="(l.rank, l.item_id) > (%(after_0)s, %(after_id)s)",
            )
            for kind in (1, 4)
        ),
        keys=("rank",),
        fits="q.rank = l.rank",
    )


STRETCHES: dict[str, tuple[Stretch, ...]] = {
    "id": (Stretch(),),
    # Most items have no priority of their own; among them the order is that of ids.
    "-priority": (_ranked("<"), Stretch(fits="q.rank = 0"), _ranked(">")),
    "-utility": (
        Stretch(
            ways=(
                Way(
                    table="learning_score",
                    where="l.model_version_id = %(model)s",
                    order="l.utility desc, l.item_id",
                    behind="l.utility <= %(after_0)s and (l.utility < %(after_0)s or l.item_id > %(after_id)s)",
                ),
            ),
            keys=("utility",),
            fits=POOL,
            states=(None, "open"),
        ),
        Stretch(fits=f"not ({POOL} and {UTILITY} is not null)"),
    ),
    "-disagreement": (
        Stretch(
            ways=(
                Way(
                    table="reviewers_resolution",
                    where="l.project_id = %(project)s",
                    order="l.disagreement desc, l.item_id desc",
                    behind="(l.disagreement, l.item_id) < (%(after_0)s, %(after_id)s)",
                ),
            ),
            keys=("disagreement",),
            fits=f"l.disagreement = {DISAGREEMENT}",
            states=(None, *(state for state in STATES if state != "open")),
            told={"agreed": "l.state in (0, 1)"},
        ),
        # The vote that settles an item says how much it was split.
        Stretch(
            fits=f"{DISAGREEMENT} is null",
            states=(None, *(state for state in STATES if state not in ("agreed", "disputed"))),
        ),
    ),
}
# The items of a state in the order of their ids. Some of these rows are of another state by now: each is looked at.
# There is no such index of open items: no answer shall have to keep one.
_BY_ID: dict[str, tuple[Way, ...]] = {
    # 0: of the agreed ones without any question that is settled, which none had to be.
    "agreed": (_by_id("reviewers_resolution", "state", 1), _by_id("reviewers_resolution", "state", 0)),
    "disputed": (_by_id("reviewers_resolution", "state", 2),),
    "adjudicated": (_by_id("reviewers_adjudication"),),
    **{
        name: (
            _by_id(
                "(select project_id, lifecycle, id as item_id from annotation_item)",
                "lifecycle",
                number,
                "lifecycle > 0",
            ),
        )
        for name, number in LIFECYCLES.items()
    },
}


def _holds(state: str | None) -> str:
    """The condition on a row `l` that its item is on a way of this state: all that are of it are, and few others."""
    return f"({' or '.join(way.holds for way in _BY_ID[state])})" if state in _BY_ID else "true"


# --- What a list asks for --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """What people must have said about an item: any of the spelt `votes` on a question, all of the `persons` (by id)
    among those who gave them (`reviewers.models.AgreementItem`). `votes` None: whatever they said.
    """

    question: int
    votes: Sequence[str] | None
    persons: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Few:
    """The only items that may fit, in no order, and what a row of one of them must be."""

    ids: Sequence[int]
    row: str


@dataclass(frozen=True)
class Wanted:
    """What every row of a list must be: conditions on `l`, a row of the walk, and on `i` and `q`, and their values.

    `is_search`: words or a prefix are asked for. `prefixed`: the items with the prefix, None where these are not few.
    `said`: what people must have said. The few are looked for once they are needed.
    """

    state: str | None
    row: str
    fits: str
    values: Mapping[str, Any]
    is_search: bool = False
    prefixed: Sequence[int] | None = None
    said: Said | None = None

    @cached_property
    def few_by_votes(self) -> Few | None:
        """The items of which people said that; None where these are not few, or nothing is asked."""
        found = _find_said(self.said, self.values) if self.said else None
        return None if found is None else Few(found, self.row)

    @cached_property
    def few_by_words(self) -> Few | None:
        """The items with the words or the prefix; None where these are not few, or nothing is asked."""
        if self.prefixed is None or (found := _find_words(self.values)) is None:
            return None
        return Few(list({*self.prefixed, *found}), _holds(self.state))

    @cached_property
    def few_by_state(self) -> Few | None:
        """Items among which are all of the state; None where these are not few, or none is asked for."""
        found = _find_state(self.state, self.values) if self.state else None
        return None if found is None else Few(found, self.row)


def read_wanted(
    project: Project, state: str | None, words: str | None, model: int | None, said: Said | None = None
) -> Wanted:
    """What a list of a project asks for. To be called, like `walk`, inside `robust_plans`' transaction."""
    values: dict[str, Any] = {"project": project.pk, "model": model}
    # Items of an unfinished import are not listed.
    values["hidden"] = _ids(
        "select id from annotation_import where project_id = %(project)s and not is_visible", values
    )
    fits = f"{IN_PROJECT} and i.imported_by_id <> all(%(hidden)s::bigint[])"
    if state in LIFECYCLES:
        fits += f" and i.lifecycle = {LIFECYCLES[state]}"
    elif state is not None:
        fits += f" and i.lifecycle = 0 and q.state = {VOTES[state]}"
    if said is not None:
        values |= {"asked": said.question, "votes": said.votes, "persons": list(said.persons)}
        fits += f" and {_SAID}"
    if words is None:
        return Wanted(state, "true", fits, values, said=said)
    values["prefix"] = words.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_") + "%"
    values["words"] = words
    # A sealed item shows nothing of its text, not even that it has a word.
    fits += " and (i.external_id like %(prefix)s or i.lifecycle in (0, 1))"
    prefixed = _find_prefixed(values)
    row = f"({_begins(prefixed, values)} or {_has_words(values)})"
    return Wanted(state, row, fits, values, True, prefixed, said)


_SAID = """(select 1 from reviewers_agreementitem a where a.item_id = i.id and a.question = %(asked)s
    and (%(votes)s::text[] is null or a.votes = any(%(votes)s::text[]))
    and a.persons @> %(persons)s::bigint[] limit 1) is not null"""


def _find_said(said: Said, values: Mapping[str, Any]) -> list[int] | None:
    """The items of which people said that; None where these are not few."""
    known = {**values, "most": FEW + 1, "first": said.persons[0] if said.persons else None}
    if said.votes is not None:
        found = _ids(
            """select a.item_id from unnest(%(votes)s::text[]) v(votes) cross join lateral (
              select x.item_id from reviewers_agreementitem x where x.project_id = %(project)s
                and x.question = %(asked)s and md5(x.votes) = md5(v.votes) limit %(most)s) a limit %(most)s""",
            known,
        )
    elif said.persons:
        found = _ids(
            """select s.item_id from annotation_seat s
            where s.project_id = %(project)s and s.person_id = %(first)s and s.state = 2 limit %(most)s""",
            known,
        )
    else:
        return None
    return None if len(found) > FEW else found


def _find_prefixed(values: Mapping[str, Any]) -> list[int] | None:
    """The items whose external id begins so, by the one index that has such an order; None where these are not few."""
    found = _ids(
        "select id from annotation_item where project_id = %(project)s and external_id like %(prefix)s"
        " order by external_id using ~<~ limit %(most)s",
        {**values, "most": FEW_WITH_WORDS + 1},
    )
    return None if len(found) > FEW_WITH_WORDS else found


def _find_words(values: Mapping[str, Any]) -> list[int] | None:
    """The items of all projects that have the words; None where these are not few."""
    # The index of words is read as a bitmap; every other way looks into each text.
    with _planned(enable_bitmapscan="on", enable_indexscan="off", enable_indexonlyscan="off"):
        # How many texts have one word, the database has counted; without statistics it expects few. Of several words
        # together it can only guess.
        if len(values["lexemes"]) == 1:
            ((lines,),) = _rows(f"explain (format json) {_WITH_WORDS}", values)
            if lines[0]["Plan"]["Plan Rows"] > FEW_WITH_WORDS:
                return None
        found = _ids(f"{_WITH_WORDS} limit %(most)s", {**values, "most": FEW_WITH_WORDS + 1})
    return None if len(found) > FEW_WITH_WORDS else found


_WITH_WORDS = """select item_id from annotation_itempayload p
    where item_words(p.parts) @@ plainto_tsquery('simple', %(words)s)"""


def _begins(prefixed: Sequence[int] | None, values: dict[str, Any]) -> str:
    """The condition that a row's item has the prefix."""
    if prefixed is not None:
        values["prefixed"] = prefixed
        return "l.item_id = any(%(prefixed)s::bigint[])"
    return """(select 1 from annotation_item b
        where b.id = l.item_id and b.external_id like %(prefix)s limit 1) is not null"""


def _has_words(values: dict[str, Any]) -> str:
    """The condition that a row's item has the words; most texts without them are told by a look for the letters."""
    with connection.cursor() as cursor:
        cursor.execute("select tsvector_to_array(to_tsvector('simple', %(words)s))", values)
        (lexemes,) = cursor.fetchone() or ([],)
    values["lexemes"] = lexemes
    if not lexemes:
        return "false"
    letters = ""
    for number, lexeme in enumerate(sorted(lexemes, key=len, reverse=True)[:3]):
        values[f"letters_{number}"] = lexeme
        letters += f"strpos(lower(p.parts::text), %(letters_{number})s) > 0 and "
    return f"""(select 1 from annotation_itempayload p where p.item_id = l.item_id and {letters}
        item_words(p.parts) @@ plainto_tsquery('simple', %(words)s) limit 1) is not null"""  # noqa: S608


def _find_state(state: str, values: Mapping[str, Any]) -> list[int] | None:
    """Items among which are all of this state; None where these are not few."""
    known = {**values, "most": FEW + 1}
    if state in _BY_ID:
        # In its order, so that it is this index that is read.
        ways = [
            f"(select l.item_id from {way.table} l where {way.where} order by {way.order} limit %(most)s)"  # noqa: S608
            for way in _BY_ID[state]
        ]
        rows = " union all ".join(ways)
    else:
        known["lanes"] = _ids(
            "select id from annotation_queuelane where project_id = %(project)s and kind in (1, 4)", known
        )
        # Of the index alone: most often this is the answer.
        if len(_ids(_OFFERED.format("1", "limit %(most)s"), known)) > FEW:
            return None
        rows = f"{_OFFERED.format('o.item_id', '')} union all {_HELD} union all {_AWAITED} limit %(most)s"
    found = _ids(rows, known)
    return None if len(found) > FEW else list(set(found))


# Every open item has a free place or one that somebody holds; or it waits for the answers of its own import.
_OFFERED = "select {} from annotation_offer o where o.lane_id = any(%(lanes)s::bigint[]) {}"
_HELD = "select s.item_id from annotation_seat s where s.lane_id = any(%(lanes)s::bigint[]) and s.state = 1"
_AWAITED = """select i.id from annotation_import m join annotation_job j on j.id = m.job_id and j.state <> 'done'
    join annotation_item i on i.imported_by_id = m.id where m.project_id = %(project)s and m.is_visible"""

# --- Walking ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of a walk, in order. `stopped`: the last row looked at, where the walk ended before its end."""

    keys: list[Key]
    stopped: Key | None = None

    def followed_by(self, rest: Found) -> Found:
        """These rows, and those of the walk that went on where this one stopped."""
        return Found(self.keys + rest.keys, rest.stopped)


def walk(stretch: Stretch, wanted: Wanted, after: Key | None, limit: int) -> Found:
    """The first `limit` rows of a stretch that are wanted, behind `after`."""
    if wanted.state not in stretch.states:
        return Found([])
    tried, most = (max(FIRST_TEXTS, 2 * limit), MOST_TEXTS) if wanted.is_search else (FIRST_LOOKED_AT, MOST_LOOKED_AT)
    found = _pass(stretch, wanted, None, after, limit, min(tried, most))
    if found.stopped is None:
        return found
    # By id, a state has a way of its own: whoever walks along it need not sort it.
    few = (
        wanted.few_by_votes
        or wanted.few_by_words
        or (None if wanted.state in _BY_ID and not stretch.keys else wanted.few_by_state)
    )
    if few is None:
        return found.followed_by(_pass(stretch, wanted, None, found.stopped, limit - len(found.keys), most))
    if not few.ids:
        return Found(found.keys)
    if stretch.keys:
        passed = _pass(stretch, wanted, few, found.stopped, limit - len(found.keys), PASSED_FOR_EACH * len(few.ids))
        found = found.followed_by(passed)
    if found.stopped is None:
        return found
    return found.followed_by(Found(_sort(stretch, wanted, few, found.stopped, limit - len(found.keys))))


def _pass(stretch: Stretch, wanted: Wanted, few: Few | None, after: Key | None, limit: int, most: int) -> Found:
    """What a walk finds that passes `most` rows of each way, at most, and looks at all of them or at the few."""
    state, row, ways, known = wanted.state, wanted.row, stretch.ways, dict(wanted.values)
    told = stretch.told.get(state)
    if few is not None:
        row, known["few"] = f"l.item_id = any(%(few)s::bigint[]) and {few.row}", few.ids
    elif state in _BY_ID and not stretch.keys:
        ways = _BY_ID[state]
    elif state in _BY_ID and told is None:
        row = f"{_holds(state)} and {row}"
    parts = []
    for way in ways:
        where, values = _behind(way, known, after)
        # A row of the index for each question or pass of an item: each item once.
        passed = f"""select distinct {way.columns} from {way.table} l where {where} and {told or "true"}
            order by {way.order} limit {most}"""  # noqa: S608
        keys = _look(stretch, way, passed, row, wanted.fits, values, limit)
        last = []
        if len(keys) < limit:
            last = _rows(f"select {stretch.columns} from ({passed}) l offset {most - 1}", values)  # noqa: S608
        parts.append(Found(keys, last[0] if last else None))
    return parts[0] if len(parts) == 1 else _merge(parts, limit)


def _merge(parts: Sequence[Found], limit: int) -> Found:
    """What several ways found, up to where the first of them stopped."""
    stopped = min((part.stopped for part in parts if part.stopped), default=None)
    keys = sorted(key for part in parts for key in part.keys)
    keys = [key for n, key in enumerate(keys) if n == 0 or key != keys[n - 1]]
    if stopped is not None:
        keys = [key for key in keys if key <= stopped]
    return Found(keys[:limit], stopped if len(keys) < limit else None)


def _sort(stretch: Stretch, wanted: Wanted, few: Few, after: Key | None, limit: int) -> list[Key]:
    """The first `limit` rows of a stretch that are wanted, of these items."""
    ways = stretch.ways if stretch.keys else (_LISTED,)
    behinds = [_behind(way, wanted.values, after) for way in ways]
    where, values = " or ".join(f"({condition})" for condition, _values in behinds), behinds[0][1]
    passed = f"""select distinct {ways[0].columns} from unnest(%(few)s::bigint[]) c(id) cross join lateral (
        select l.* from {ways[0].table} l where l.item_id = c.id offset 0) l
        where {where} order by {ways[0].order}"""  # noqa: S608
    return _look(stretch, ways[0], passed, few.row, wanted.fits, {**values, "few": few.ids}, limit)


# In the order of ids there is nothing to know of items but their ids; whose they are is seen when they are looked at.
_LISTED = Way(table="(select c.id as item_id)", where="true", order="l.item_id", behind="l.item_id > %(after_id)s")


def _behind(way: Way, values: Mapping[str, Any], after: Key | None) -> tuple[str, dict[str, Any]]:
    """The condition on the rows of a way that come after a key, and the values that it speaks of."""
    if after is None:
        return way.where, dict(values)
    keys = {f"after_{n}": value for n, value in enumerate(after[:-1])}
    return f"{way.where} and {way.behind}", {**values, **keys, "after_id": after[-1]}


def _look(
    stretch: Stretch, way: Way, passed: str, row: str, fits: str, values: Mapping[str, Any], limit: int
) -> list[Key]:
    """The first of the rows passed that fit: each is looked at when its turn comes, until there are enough."""
    return _rows(
        f"""select {stretch.columns} from ({passed}) l where {row} and (select 1 from annotation_item i
          cross join {CURRENT} where i.id = l.item_id and {fits} and {stretch.fits} limit 1) is not null
        order by {way.order} limit %(limit)s""",  # noqa: S608
        {**values, "limit": limit},
    )


def _rows(sql: str, values: Mapping[str, Any]) -> list[Key]:
    """The rows of a statement. It is made of this module's own constants; all that comes from outside is a value."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return [list(row) for row in cursor.fetchall()]


def _ids(sql: str, values: Mapping[str, Any]) -> list[int]:
    """The one column of a statement."""
    return [row[0] for row in _rows(sql, values)]


# --- Plans -----------------------------------------------------------------------------------------------------------

# What is left of the planner's choices: walk an index, probe by key.
_PLAN = dict.fromkeys(
    (
        "enable_seqscan",
        "enable_bitmapscan",
        "enable_hashjoin",
        "enable_mergejoin",
        "enable_hashagg",
        "enable_sort",
        "enable_incremental_sort",
        "enable_material",
        "enable_memoize",
    ),
    "off",
) | {"jit": "off", "max_parallel_workers_per_gather": "0", "work_mem": "32MB"}


@contextmanager
def robust_plans() -> Iterator[None]:
    """A transaction in which statements are carried out as they are written: along indexes, row by row."""
    with transaction.atomic(), _planned(**_PLAN):
        yield


@contextmanager
def _planned(**settings: str) -> Iterator[None]:
    """Settings of the planner for a part of the transaction."""
    names = list(settings)
    with connection.cursor() as cursor:
        cursor.execute(f"select {', '.join(['current_setting(%s)'] * len(names))}", names)
        before = dict(zip(names, cursor.fetchone() or (), strict=True))
        _set(before | settings)
        yield
        _set(before)


def _set(settings: Mapping[str, str]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            f"select {', '.join(['set_config(%s, %s, true)'] * len(settings))}",
            [text for pair in settings.items() for text in pair],
        )
