"""The rules that `check` asks: each finds ways in which one promise was broken, and blames only what is certain."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from benchmarks.history.known import Known, LeaseFacts
from benchmarks.history.record import (
    HELD,
    NOTHING_LEFT,
    PERSONAL,
    REFUSALS,
    RELEASED,
    SKIPPED,
    SUBMITTED,
    Operation,
    StoredSeat,
    Violation,
)

Rule = Callable[[Known], Iterator[Violation]]
RULES: list[Rule] = []


def rule(find: Rule) -> Rule:
    """Add a rule to the ones that `check` asks."""
    RULES.append(find)
    return find


def _numbers(*operations: Operation) -> tuple[int, ...]:
    return tuple(sorted({operation.number for operation in operations}))


# --- Answers and access ---------------------------------------------------------------------------------------------


@rule
def find_odd_answers(known: Known) -> Iterator[Violation]:
    """Refusals with a code that this call does not have, faults of the server, and wrong numbers of leases."""
    for operation in known.history:
        told = operation.answer
        if told.status >= 500 and told.status != 503:
            yield Violation("answer", "a fault of the server", f"{operation.kind}: {told.status}", _numbers(operation))
        allowed = REFUSALS.get(operation.kind, frozenset()) | {"unavailable"}
        if operation.outcome == "fail" and told.code not in allowed:
            detail = f"{operation.kind}: {told.status} {told.code}"
            yield Violation("answer", "a refusal that this call does not have", detail, _numbers(operation))
        is_refused = operation.outcome == "fail" and told.code == "not_found" and operation.kind in PERSONAL
        if is_refused and not _may_be_out(known, operation):
            yield Violation("access", "a member is refused", operation.request.person, _numbers(operation))
        most = {"lease": operation.request.n, "submit": operation.request.n}.get(operation.kind, math.inf)
        items = [lease.item for lease in told.leases]
        if operation.is_ok and (len(items) > most or len(set(items)) < len(items)):
            detail = f"{len(items)} leases where {most} were wanted, {len(set(items))} items"
            yield Violation("answer", "more leases than wanted, or one item twice", detail, _numbers(operation))


def _may_be_out(known: Known, operation: Operation) -> bool:
    """Whether the person may not have been a member, or not yet again, when this was asked."""
    lag = known.settings.access_seconds + known.slack
    who = operation.request.project, operation.request.person
    outs = [out for out in known.removals.get(who, ()) if out.invoked_at < operation.ended_at]
    return any(
        not any(
            back.is_ok and back.invoked_at > out.done_by and back.ended_at + lag < operation.invoked_at
            for back in known.returns.get(who, ())
        )
        for out in outs
    )


@rule
def find_outsiders(known: Known) -> Iterator[Violation]:
    """Calls of people that were carried out though they had been taken out of the project."""
    lag = known.settings.access_seconds + known.slack
    for operation in known.history:
        if not operation.is_ok or operation.kind not in PERSONAL:
            continue
        who = operation.request.project, operation.request.person
        for out in known.removals.get(who, ()):
            if not out.is_ok or operation.invoked_at <= out.ended_at + lag:
                continue
            backs = known.returns.get(who, ())
            if not any(b.invoked_at < operation.ended_at and b.done_by >= out.invoked_at for b in backs):
                yield Violation("access", "somebody taken out gets in", who[1], _numbers(out, operation))
                break


# --- Q1: places -----------------------------------------------------------------------------------------------------


@rule
def find_surplus(known: Known) -> Iterator[Violation]:
    """More people certainly in places of an item, at one moment, than it can have had."""
    by_item: dict[str, list[tuple[float, float, LeaseFacts]]] = defaultdict(list)
    for facts in known.leases.values():
        since, until = _certainly_taken(known, facts)
        if since < until:
            by_item[facts.item].append((since, until, facts))
    for item, spans in by_item.items():
        spans.sort(key=lambda span: span[0])
        for since, _, facts in spans:
            inside = {f.person: f for a, b, f in spans if a <= since < b}
            most = max(known.overlaps(facts.project, since))
            if len(inside) > most:
                shown = [f.first_shown for f in inside.values()]
                answered = [use for f in inside.values() for use in f.used("submit") if use.is_ok]
                who = ", ".join(f"{f.person} ({f.id})" for f in inside.values())
                detail = f"item {item}, {most} at most: {who}"
                yield Violation("Q1", "more people in places than the overlap", detail, _numbers(*shown, *answered))
                break


def _certainly_taken(known: Known, facts: LeaseFacts) -> tuple[float, float]:
    """From when to when the lease certainly took a place; no time at all where the first is not below the second."""
    since = facts.first_shown.ended_at
    if answers := facts.answers:
        undone = [undo.invoked_at for annotation in answers for undo in known.undos.get(annotation, ())]
        return since, min(undone, default=math.inf)
    until = facts.runs_until() - known.slack
    last = facts.last_shown
    given_back = [use.invoked_at for use in facts.used("skip", "release")]
    withdrawn = [change.invoked_at for change in known.withdrawals(facts) if change.done_by >= last.invoked_at]
    return since, min([until, *given_back, *withdrawn])


@rule
def find_wrong_rows(known: Known) -> Iterator[Violation]:
    """Stored rows whose counts are not those of their seats, or whose overlap cannot be."""
    taken: Counter[str] = Counter(s.item for s in known.final.seats if s.state in (HELD, SUBMITTED))
    submitted: Counter[str] = Counter(s.item for s in known.final.seats if s.state == SUBMITTED)
    for row in known.final.rows:
        most = max(known.overlaps(row.project))
        if taken[row.item] > row.overlap:
            detail = f"item {row.item}: {taken[row.item]} places taken of {row.overlap}"
            yield Violation("Q1", "more places taken than there are", detail)
        if row.overlap > max(most, taken[row.item]) or row.overlap < min(known.overlaps(row.project)):
            detail = f"item {row.item}: {row.overlap} of at most {most}"
            yield Violation("Q14", "an overlap that nobody asked for", detail)
        if row.n_submitted != submitted[row.item]:
            detail = f"item {row.item}: {row.n_submitted} counted, {submitted[row.item]} seats"
            yield Violation("Q11", "a wrong count of answers", detail)
        if row.n_shown is not None and row.n_shown != submitted[row.item]:
            detail = f"item {row.item}: {row.n_shown} told, {submitted[row.item]} stored"
            yield Violation("Q11", "the API tells of another number of answers", detail)
        free = 0 if row.is_closed else max(0, row.overlap - taken[row.item])
        if row.n_free != free:
            yield Violation(
                "Q11", "a wrong count of free places", f"item {row.item}: {row.n_free} offered, {free} free"
            )


# --- Q2, Q8: an end is an end ---------------------------------------------------------------------------------------


@rule
def find_misplaced_leases(known: Known) -> Iterator[Violation]:
    """One lease id shown to two people, or for two items."""
    for operation, lease in known.misplaced:
        other = known.leases[lease].first_shown
        yield Violation("Q2", "one lease for two people or items", lease, _numbers(other, operation))


@rule
def find_offers_after_the_end(known: Known) -> Iterator[Violation]:
    """Items offered again to who had answered them (and not taken that back) or skipped them."""
    for (person, item), generations in known.by_seat.items():
        ends: list[tuple[Operation, str]] = []
        for facts in generations.values():
            ends += [(use, "an answer") for use in facts.used("submit") if use.is_ok]
            ends += [(use, "a skip") for use in facts.used("skip") if use.is_ok]
        shows = {show.number: show for facts in generations.values() for show, _ in facts.shows}
        for end, what in sorted(ends, key=lambda found: found[0].ended_at):
            undos = known.undos.get(end.answer.annotation, ()) if end.kind == "submit" else ()
            again = [
                show
                for show in shows.values()
                if show.invoked_at >= end.ended_at and not any(undo.invoked_at <= show.ended_at for undo in undos)
            ]
            if again:
                detail = f"{person}, item {item}"
                yield Violation("Q2", f"offered again after {what}", detail, _numbers(end, again[0]))
                break


@rule
def find_second_answers(known: Known) -> Iterator[Violation]:
    """Two answers of one person to one item, acknowledged or stored, that both stand."""
    told: dict[tuple[str, str], dict[str, Operation]] = defaultdict(dict)
    for facts in known.leases.values():
        for use in facts.used("submit"):
            if use.is_ok and not known.undos.get(use.answer.annotation):
                told[facts.person, facts.item].setdefault(use.answer.annotation, use)
    for (person, item), answers in told.items():
        if len(answers) > 1:
            detail = f"{person}, item {item}: annotations {', '.join(sorted(answers))}"
            yield Violation("Q2", "two answers of one person", detail, _numbers(*answers.values()))
    standing = Counter((a.person, a.item) for a in known.final.annotations if not a.n_undone)
    for (person, item), n in standing.items():
        if n > 1:
            yield Violation("Q2", "two answers of one person are stored", f"{person}, item {item}: {n}")


@rule
def find_lives_after_the_end(known: Known) -> Iterator[Violation]:
    """Leases with two ends, and leases shown or used after an end, a quarantine or the leaving of their holder."""
    for facts in known.leases.values():
        ends = {
            use.answer.annotation or str(use.number): use
            for use in facts.used("submit", "skip", "release")
            if use.is_ok
        }
        if len(ends) > 1:
            kinds = ", ".join(sorted(use.kind for use in ends.values()))
            yield Violation("Q8", "a lease with two ends", f"{facts.id}: {kinds}", _numbers(*ends.values()))
        lives = [show for show, _ in facts.shows]
        lives += [use for use in facts.uses if use.is_ok and not use.answer.is_replay]
        for end in facts.used("skip", "release"):
            later = [life for life in lives if end.is_ok and life is not end and life.invoked_at >= end.ended_at]
            if later and later[0] not in ends.values():
                yield Violation("Q8", "a lease lives on after its end", facts.id, _numbers(end, later[0]))
        for change in known.withdrawals(facts):
            is_after = change.kind == "quarantine" or facts.first_shown.ended_at <= change.invoked_at
            later = [life for life in lives if change.is_ok and life.invoked_at >= change.ended_at]
            if is_after and later:
                what = "its item's quarantine" if change.kind == "quarantine" else "its holder left"
                detail = f"{facts.id}: {later[0].kind}"
                yield Violation("Q8", f"a lease lives on after {what}", detail, _numbers(change, later[0]))


@rule
def find_dropped_leases(known: Known) -> Iterator[Violation]:
    """Held leases left out of an answer that lists what is held and had room for them (a submit ends its own)."""
    held: dict[tuple[str, str], list[LeaseFacts]] = defaultdict(list)
    for facts in known.leases.values():
        held[facts.project, facts.person].append(facts)
    for operation in [*known.by_kind["lease"], *known.by_kind["held"], *known.by_kind["submit"]]:
        told = operation.answer.leases
        is_full = operation.kind != "held" and len(told) >= operation.request.n
        if not operation.is_ok or is_full or operation.answer.is_replay:
            continue
        shown = {*(lease.id for lease in told), operation.request.lease}
        for facts in held.get((operation.request.project, operation.request.person), ()):
            if facts.id not in shown and _ran_throughout(known, facts, operation):
                yield Violation("Q8", "a held lease is left out", facts.id, _numbers(facts.first_shown, operation))


def _ran_throughout(known: Known, facts: LeaseFacts, operation: Operation) -> bool:
    """Whether the lease certainly was held and had not run out, from the call's beginning to its end."""
    before = [(show, until) for show, until in facts.shows if show.ended_at <= operation.invoked_at]
    until = max((until for _, until in before), default=-math.inf)
    return until - known.slack > operation.ended_at and not _may_have_ended(known, facts, operation, before)


def _may_have_ended(
    known: Known, facts: LeaseFacts, operation: Operation, before: list[tuple[Operation, float]]
) -> bool:
    """Whether its holder, a removal or a quarantine may have ended the lease by the end of this call.

    A submit under the call's own key does not count: a repeat of it is answered.
    """
    last = max(show.invoked_at for show, _ in before)
    ends = [use for use in facts.used("submit", "skip", "release") if use is not operation]
    return any(
        end.invoked_at < operation.ended_at and not (end.kind == "submit" and _is_same_call(end, operation))
        for end in ends
    ) or any(change.invoked_at < operation.ended_at and change.done_by >= last for change in known.withdrawals(facts))


def _is_same_call(one: Operation, other: Operation) -> bool:
    return other.kind == "submit" and (one.request.key, one.request.lease, one.request.body) == (
        other.request.key,
        other.request.lease,
        other.request.body,
    )


# --- Q3, Q10: what was acknowledged is stored -----------------------------------------------------------------------


@rule
def find_lost_answers(known: Known) -> Iterator[Violation]:
    """Acknowledged answers that are not stored, are stored otherwise, or do not stand though nobody took them back."""
    for submit in known.by_kind["submit"]:
        if not submit.is_ok:
            continue
        request, told = submit.request, submit.answer.annotation
        stored = known.stored.get(told)
        if stored is None:
            detail = f"annotation {told} of {request.person}"
            yield Violation("Q3", "acknowledged and not stored", detail, _numbers(submit))
            continue
        if (stored.person, stored.lease, stored.key) != (request.person, request.lease, request.key):
            detail = f"annotation {told} is of {stored.person}, lease {stored.lease}, key {stored.key}"
            yield Violation("Q3", "acknowledged under another's annotation", detail, _numbers(submit))
        elif stored.value != request.value:
            detail = f"annotation {told}: sent {request.value}, stored {stored.value}"
            yield Violation("Q10", "stored otherwise than sent", detail, _numbers(submit))
        seat = known.seats.get((stored.person, stored.item))
        if not known.undos.get(told) and (seat is None or seat.annotation != told or seat.state != SUBMITTED):
            yield Violation("Q3", "an acknowledged answer does not stand", f"annotation {told}", _numbers(submit))


@rule
def find_wrong_seats(known: Known) -> Iterator[Violation]:
    """Seats that are not where the last acknowledged call left them, and seats that nobody asked for."""
    for facts in known.leases.values():
        seat = known.seats.get((facts.person, facts.item))
        if seat is None or seat.id != facts.id.partition("-")[0] or seat.generation < facts.generation:
            yield Violation("Q3", "a lease that is not stored", facts.id, _numbers(facts.first_shown))
            continue
        for use in facts.used("skip", "release"):
            is_later = seat.generation > facts.generation
            wrong = (
                (seat.state != SKIPPED or is_later) if use.kind == "skip" else not is_later and seat.state != RELEASED
            )
            if use.is_ok and wrong:
                detail = f"{facts.id}: state {seat.state}, generation {seat.generation}"
                yield Violation("Q8", f"a {use.kind} that did not stay", detail, _numbers(use))
    for seat in known.final.seats:
        yield from _check_seat(known, seat)


def _check_seat(known: Known, seat: StoredSeat) -> Iterator[Violation]:
    shown = known.by_seat.get((seat.person, seat.item), {})
    missing = [generation for generation in range(1, seat.generation + 1) if generation not in shown]
    if missing and (seat.project, seat.person) not in known.first_unknown:
        detail = f"{seat.person}, item {seat.item}: lease {seat.id}-{missing[0]}"
        yield Violation("Q4", "a lease that nobody was shown or can have asked for", detail)
    stored = known.stored.get(seat.annotation)
    if seat.state == SUBMITTED and (stored is None or stored.lease != f"{seat.id}-{seat.generation}"):
        detail = f"seat {seat.id}-{seat.generation}, annotation {seat.annotation or '(none)'}"
        yield Violation("Q8", "a submitted place without its own answer", detail)
    if seat.state == SKIPPED:
        facts = shown.get(seat.generation)
        if facts is not None and not any(facts.used("skip")):
            refused = [use for use in facts.uses if use.kind == "skip"]
            yield Violation("Q4", "an effect of a request that was refused", f"skip of {facts.id}", _numbers(*refused))


# --- Q4: keys -------------------------------------------------------------------------------------------------------


@rule
def find_broken_keys(known: Known) -> Iterator[Violation]:
    """Keys with two effects or two answers, and replays that were refused or tell of other leases."""
    for (person, key), calls in known.by_key.items():
        done = [call for call in calls if call.is_ok]
        if len({call.answer.annotation for call in done}) > 1:
            yield Violation("Q4", "one key, two annotations", f"{person} {key}", _numbers(*done))
        if any(not _is_same_call(call, done[0]) for call in done):
            yield Violation("Q4", "one key for two bodies or leases", f"{person} {key}", _numbers(*done))
        firsts = [call for call in done if not call.answer.is_replay]
        for call in calls:
            if call.outcome == "fail":
                yield from _check_refused_key(call, calls)
            if call.is_ok and call.answer.is_replay and firsts:
                yield from _check_replay(known, firsts[0], call)


def _check_replay(known: Known, first: Operation, replay: Operation) -> Iterator[Violation]:
    """Whether a replay brings the leases of the first answer, but for those that may have ended."""
    told, wanted = ({lease.id for lease in call.answer.leases} for call in (replay, first))
    lost = {lease for lease in wanted - told if _ran_throughout(known, known.leases[lease], replay)}
    for wrong, how in ((told - wanted, "with another lease"), (lost, "without a lease that still runs")):
        if wrong:
            detail = f"{replay.request.person} {replay.request.key}: {', '.join(sorted(wrong))}"
            yield Violation("Q4", f"a replay {how}", detail, _numbers(first, replay))


def _check_refused_key(call: Operation, calls: list[Operation]) -> Iterator[Violation]:
    code, key = call.answer.code, f"{call.request.person} {call.request.key}"
    before = [other for other in calls if other.is_ok and other.ended_at <= call.invoked_at]
    same = [other for other in before if _is_same_call(other, call)]
    if same and code in ("lease_gone", "already_submitted", "key_reused"):
        yield Violation("Q4", "a repeated request is refused", f"{key}: {code}", _numbers(same[0], call))
    if before and not same and code in ("lease_gone", "already_submitted"):
        yield Violation("Q4", "another body under a key is not told so", f"{key}: {code}", _numbers(before[0], call))
    others = [o for o in calls if o.is_possible and o.invoked_at < call.ended_at and not _is_same_call(o, call)]
    if code == "key_reused" and not others:
        yield Violation("Q4", "a new key is called used", key, _numbers(call))


@rule
def find_effects_of_nothing(known: Known) -> Iterator[Violation]:
    """Stored answers that no request can have stored, two under one key, and undos that nobody can have asked for."""
    counted = Counter((stored.person, stored.key) for stored in known.final.annotations)
    for (person, key), n in counted.items():
        if n > 1:
            calls = known.by_key.get((person, key), [])
            yield Violation("Q4", "one key, two annotations stored", f"{person} {key}: {n}", _numbers(*calls))
    for stored in known.final.annotations:
        calls = [c for c in known.by_key.get((stored.person, stored.key), []) if c.request.lease == stored.lease]
        matching = [call for call in calls if call.request.value == stored.value]
        if not any(call.is_possible for call in matching):
            what = f"annotation {stored.id} of {stored.person}, key {stored.key}"
            yield Violation("Q4", "an effect of a request that was refused", what, _numbers(*calls))
        dead = [call for call in calls if call.answer.code in ("lease_gone", "already_submitted")]
        if dead and any(call.is_possible for call in calls):
            what = f"annotation {stored.id}, lease {stored.lease}"
            yield Violation("Q4", "stored after its lease was called gone", what, _numbers(*calls))
        undos = known.undos.get(stored.id, [])
        if stored.n_undone > 1 or (stored.n_undone and not undos):
            detail = f"annotation {stored.id}: {stored.n_undone} times, asked for by {len(undos)} calls"
            yield Violation("Q9", "taken back too often", detail, _numbers(*undos))
        if not stored.n_undone and any(undo.is_ok for undo in undos):
            yield Violation("Q9", "taken back and still there", f"annotation {stored.id}", _numbers(*undos))


# --- Q5, Q6: how long a lease lives ---------------------------------------------------------------------------------


@rule
def find_long_leases(known: Known) -> Iterator[Violation]:
    """Leases shown with an end further away than the project's leases last."""
    for facts in known.leases.values():
        for show, until in facts.shows:
            most = show.ended_at + known.project_of(facts).lease_seconds + known.slack
            if until > most:
                detail = f"{facts.id}: {until - most:.3f} s too long"
                yield Violation("Q5", "a lease longer than leases last", detail, _numbers(show))


@rule
def find_unjust_refusals(known: Known) -> Iterator[Violation]:
    """Answers, renewals and returns refused though nothing can have ended the lease, run out or not."""
    for facts in known.leases.values():
        for use in facts.uses:
            if use.answer.code not in ("lease_gone", "already_submitted"):
                continue
            before = [(show, until) for show, until in facts.shows if show.ended_at <= use.invoked_at]
            if not before or _may_have_ended(known, facts, use, before):
                continue
            until = max(until for _, until in before)
            if until - known.slack > use.ended_at:
                yield Violation("Q6", "refused while the lease ran", facts.id, _numbers(before[0][0], use))
            elif not _may_have_been_taken(known, facts, until - 2 * known.slack, use.ended_at):
                detail = f"{facts.id}: {use.kind}, {use.answer.code}"
                yield Violation("Q6", "refused though nobody took the place", detail, _numbers(before[0][0], use))


def _may_have_been_taken(known: Known, facts: LeaseFacts, since: float, until: float) -> bool:
    """Whether somebody can have got a lease on the item in this time, the holder a new one included."""
    others = (person for person in known.people_on.get(facts.item, ()) if person != facts.person)
    return any(known.began_within(person, facts.item, since, until) for person in others) or known.began_within(
        facts.person, facts.item, -math.inf, until, above=facts.generation
    )


# --- Q7: nothing left -----------------------------------------------------------------------------------------------


@rule
def find_hidden_work(known: Known) -> Iterator[Violation]:
    """People told that nothing is left while an item was open to them all the time."""
    for operation in known.by_kind["lease"]:
        if operation.is_ok and operation.answer.reason in NOTHING_LEFT:
            project = known.settings.projects[operation.request.project]
            least = min(known.overlaps(operation.request.project, operation.ended_at))
            for item in project.items:
                if _was_open(known, operation, item, least, project.skips_to_dispute):
                    detail = f"{operation.request.person}, item {item}: {operation.answer.reason}"
                    yield Violation("Q7", "told that nothing is left", detail, _numbers(operation))
                    break


def _was_open(known: Known, operation: Operation, item: str, least: int, skips: int) -> bool:
    """Whether the item certainly could be taken by the person from the call's beginning to its end."""
    since, until = operation.invoked_at, operation.ended_at
    if any(change.invoked_at < until for change in known.item_changes.get(item, ())):
        return False
    if known.standing(operation.request.person, item, since, until) not in ("out", "expired"):
        return False
    skipped = {skip.request.person for skip in known.skips.get(item, ()) if skip.invoked_at < until}
    if len(skipped) >= skips:
        return False
    people = known.people_on.get(item, ())
    others = sum(
        person != operation.request.person and known.standing(person, item, since, until) == "maybe"
        for person in people
    )
    return others < least


@rule
def find_hidden_work_at_the_end(known: Known) -> Iterator[Violation]:
    """The same against the stored rows, for the last calls in a project, after which nothing changed any more."""
    seats: dict[str, list[StoredSeat]] = defaultdict(list)
    for seat in known.final.seats:
        seats[seat.item].append(seat)
    for project in known.settings.projects:
        mine = [operation for operation in known.history if operation.request.project == project]
        late = known.settings.late_seconds
        changing = (o.ended_at if o.is_ok else o.ended_at + late for o in mine if o.is_possible and _may_change(o))
        quiet_since = max(changing, default=-math.inf)
        asked = [o for o in mine if o.kind == "lease" and o.is_ok and o.invoked_at >= quiet_since]
        rows = [row for row in known.final.rows if row.project == project and not row.is_closed]
        for operation in asked:
            person, now = operation.request.person, operation.invoked_at - known.slack
            for row in rows:
                own = [s for s in seats[row.item] if s.person == person]
                has_stood = any(s.state != RELEASED and not (s.state == HELD and s.expires_at < now) for s in own)
                expired = any(s.state == HELD and s.expires_at < now for s in seats[row.item])
                if not has_stood and (row.n_free or expired):
                    detail = f"{person}, item {row.item}: {operation.answer.reason}"
                    yield Violation(
                        "Q7", "told that nothing is left, in the quiet at the end", detail, _numbers(operation)
                    )
                    break


def _may_change(operation: Operation) -> bool:
    """Whether a call may change who can be offered what: anything but a look, or a request for leases that got none."""
    is_look = operation.kind == "held" or (
        operation.kind == "lease" and operation.is_ok and not operation.answer.leases
    )
    return not is_look


# --- Q9: undo -------------------------------------------------------------------------------------------------------


@rule
def find_wrong_undos(known: Known) -> Iterator[Violation]:
    """Undos that were refused without a reason, that came too late, twice, or brought another place."""
    window = known.settings.undo_seconds
    told: dict[str, Operation] = {}
    for call in sorted(known.by_kind["submit"], key=lambda call: call.ended_at):
        if call.is_ok:
            told.setdefault(call.answer.annotation, call)
    for undo in known.by_kind["undo"]:
        annotation = undo.request.annotation
        submit, stored = told.get(annotation), known.stored.get(annotation)
        others = [other for other in known.undos.get(annotation, ()) if other is not undo]
        changes = known.item_changes.get(stored.item, []) if stored else []
        if undo.is_ok:
            if any(other.is_ok for other in others):
                yield Violation("Q9", "taken back twice", f"annotation {annotation}", _numbers(undo, *others))
            ended = [change for change in changes if change.is_ok and change.ended_at <= undo.invoked_at]
            if ended:
                detail = f"annotation {annotation}: {ended[0].kind}"
                yield Violation("Q9", "taken back after a decision or a quarantine", detail, _numbers(ended[0], undo))
            if submit is not None and undo.invoked_at > submit.ended_at + window + known.slack:
                yield Violation("Q9", "taken back after the window", f"annotation {annotation}", _numbers(submit, undo))
            lease = undo.answer.leases[0] if undo.answer.leases else None
            before = submit.request.lease if submit else ""
            if lease is None or (before and not _is_next(before, lease.id)):
                yield Violation("Q9", "taken back to another place", f"annotation {annotation}", _numbers(undo))
        elif undo.answer.code == "undo_too_late" and submit is not None and submit.ended_at <= undo.invoked_at:
            reasons = [*others, *changes]
            in_window = undo.ended_at < submit.invoked_at + window - known.slack
            if in_window and not any(reason.invoked_at < undo.ended_at for reason in reasons):
                yield Violation(
                    "Q9", "an undo refused without a reason", f"annotation {annotation}", _numbers(submit, undo)
                )


def _is_next(before: str, after: str) -> bool:
    """Whether a lease id is of the same seat, one generation later."""
    (seat, _, generation), (new_seat, _, new_generation) = before.partition("-"), after.partition("-")
    return seat == new_seat and int(new_generation) == int(generation) + 1
