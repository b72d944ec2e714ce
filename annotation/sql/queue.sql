-- The queue's hot path: one round trip a request, run by annotation/queue.py. Kinds, states and streams are the integers of
-- annotation/models/queue.py. Every function reads time from the database's clock (Q12) and chance from its caller.
--
-- Locks, always in this order, so that nobody waits in a circle:
--   1. the person's advisory lock (one request of a person in a project at a time: later statements see a fresh snapshot),
--   2. the person's seat,
--   3. the queue row of that seat, late, just before the commit (people label the same item in step and would wait for each other),
--   4. that row's offer, where places change,
--   5. the offer of a next row or an expired seat of somebody else: only ever with SKIP LOCKED, never waiting.
-- So people wait only for the row and the offer of their own seat, and whoever holds those waits for nothing more. The one
-- exception: where a person may be handed severe items, their requests in several projects wait for each other after step 3
-- (`queue_care`), and the one that is not waiting goes on to its commit.
-- Where all that is left is locked, the claim says so and the caller comes back in a moment, in a new transaction.

-- Offers ---------------------------------------------------------------------------------------------------------------
-- Make the offers of rows what they must be: free places = overlap - seats held and submitted, none where a row is closed.
-- The caller holds the rows' locks. p_returned: whoever passed these rows may be wanted again.
create or replace function queue_offer(p_rows bigint[], p_returned boolean) returns void language plpgsql as $$
begin
  -- A claim on its way ends first; the next statement sees its seat.
  perform 1 from annotation_offer where queue_row_id = any (p_rows) order by queue_row_id for update;
  with wanted as (
    select q.id, q.item_id, q.lane_id, q.rank, q.tiebreak, case when q.is_closed then 0 else q.overlap - (
        select count(*) filter (where s.state in (1, 2)) from annotation_seat s where s.queue_row_id = q.id) end as n_free
    from annotation_queuerow q where q.id = any (p_rows)),
  gone as (delete from annotation_offer o using wanted w where o.queue_row_id = w.id and w.n_free <= 0)
  insert into annotation_offer as o (queue_row_id, item_id, lane_id, rank, tiebreak, n_free, returned_by)
    select w.id, w.item_id, w.lane_id, w.rank, w.tiebreak, w.n_free, case when p_returned then pg_current_xact_id() end from wanted w where w.n_free > 0
    on conflict (queue_row_id) do update set lane_id = excluded.lane_id, rank = excluded.rank, tiebreak = excluded.tiebreak,
      n_free = excluded.n_free, returned_by = coalesce(excluded.returned_by, o.returned_by);
end $$;

-- Settle ---------------------------------------------------------------------------------------------------------------
-- Something happened on a row: let the vote rule look at it, and write the one event that says what happened and, in `data`,
-- what state the item came to by it. The one place where n_submitted, state and overlap of a single row change together,
-- under the row's lock. p_event null: nobody did anything (an import, another overlap); then only a new state is an event.
-- p_returned: a place opened again. `reviewers_vote` is installed by the reviewers app.
-- An item that was put away (sealed, archived, erased) stays closed whatever its votes come to: so does the dispute about it.
create or replace function queue_settle(
  p_row bigint, p_submitted int, p_returned boolean, p_now timestamptz, p_event text, p_actor bigint, p_ref bigint, p_data jsonb
) returns smallint language plpgsql as $$
declare r annotation_queuerow; v record; v_closed boolean; v_away boolean := false;
begin
  select * into strict r from annotation_queuerow where id = p_row for no key update;
  if r.is_closed then      -- asked of these alone: whoever puts an item away closes its rows
    v_away := (select i.lifecycle <> 0 from annotation_item i where i.id = r.item_id);
  end if;
  r.n_submitted := r.n_submitted + p_submitted;
  if r.kind in (1, 4) and r.state <> 3 then
    select * into v from reviewers_vote(r, p_now);
    v_closed := case when v.state = 2 then true when r.state = 2 then v_away else r.is_closed end;
  else
    select r.overlap as overlap, r.state as state into v;
    v_closed := r.is_closed;
  end if;
  if p_submitted <> 0 or (v.overlap, v.state, v_closed) is distinct from (r.overlap, r.state, r.is_closed) then
    update annotation_queuerow set n_submitted = r.n_submitted, overlap = v.overlap, state = v.state, is_closed = v_closed where id = p_row;
  end if;
  if p_returned or v.overlap <> r.overlap or v_closed <> r.is_closed then
    perform queue_offer(array[p_row], true);
  end if;
  if v.state = 2 and r.state <> 2 then
    perform queue_open_dispute(r);
  elsif v.state <> 2 and r.state = 2 then
    perform queue_close_dispute(r);
  end if;
  if p_event is not null or v.state <> r.state then
    insert into annotation_event (project_id, kind, actor_id, item_id, ref_id, data) values (
      r.project_id, coalesce(p_event, 'item.settled'), p_actor, r.item_id, coalesce(p_ref, p_row),
      case when v.state <> r.state then coalesce(p_data, '{}') || jsonb_build_object('state', queue_state_name(v.state)) else p_data end);
  end if;
  return v.state;
end $$;

create or replace function queue_state_name(p_state smallint) returns text language sql immutable as $$
  select (array['open', 'agreed', 'disputed', 'adjudicated'])[p_state + 1]
$$;

-- The item's state as callers see it: its lifecycle if that is not open, else its worst required question's.
create or replace function queue_item_state(p_item bigint) returns text language plpgsql stable as $$
begin
  return (select case when i.lifecycle > 0 then (array['archived', 'quarantined', 'erased'])[i.lifecycle] else queue_state_name(q.state) end
  from annotation_item i join annotation_queuerow q on q.item_id = i.id and q.kind in (1, 4)
  where i.id = p_item order by q.pass_no desc limit 1);
end $$;

-- Put an item before the reviewers: a row of kind adjudicate, beside the item's own, in a lane of the same language and severity.
-- Where the item was put away it is closed too: it is there for when the item is let out.
create or replace function queue_open_dispute(p_row annotation_queuerow) returns bigint language plpgsql as $$
declare v_lane bigint; v_id bigint;
begin
  insert into annotation_queuelane (project_id, kind, stream, language, severity, harms, epoch, floor_rank, floor_tiebreak)
    select l.project_id, 2, l.stream, l.language, l.severity, l.harms, 0, '-infinity', 0 from annotation_queuelane l where l.id = p_row.lane_id
    on conflict do nothing;
  select a.id into strict v_lane from annotation_queuelane l
    join annotation_queuelane a on (a.project_id, a.kind, a.stream, a.language, a.severity, a.harms) = (l.project_id, 2, l.stream, l.language, l.severity, l.harms)
    where l.id = p_row.lane_id;
  insert into annotation_queuerow (project_id, item_id, lane_id, kind, pass_no, rank, tiebreak, overlap, n_submitted, state, is_closed, draw_id)
    values (p_row.project_id, p_row.item_id, v_lane, 2, p_row.pass_no, p_row.rank, p_row.tiebreak, 1, 0, 0,
      (select i.lifecycle <> 0 from annotation_item i where i.id = p_row.item_id), p_row.draw_id)
    on conflict (item_id, kind, pass_no) do update set is_closed = excluded.is_closed
    returning id into v_id;
  -- as returned: a single new row is found whatever cursors and floors say, so no epoch moves
  perform queue_offer(array[v_id], true);
  return v_id;
end $$;

-- The item is not disputed any more. A reviewer who holds it may still decide it.
create or replace function queue_close_dispute(p_row annotation_queuerow) returns void language plpgsql as $$
declare v_id bigint;
begin
  update annotation_queuerow set is_closed = true where item_id = p_row.item_id and kind = 2 and pass_no = p_row.pass_no returning id into v_id;
  perform queue_offer(array[v_id], false);
end $$;

-- Claim ----------------------------------------------------------------------------------------------------------------
-- Take the best place in the given lanes for a person: the head of the queue, a returned place or an expired one, whichever
-- comes first in serving order. Returns a seat; null: nothing left, checked from the very start in this epoch; 0: all that
-- is left is locked right now.
--
-- A person may take a row on which they have no seat that still stands ("(select 1 ...) is null" is always a nested probe of
-- the unique index, never a hash or a sort), and decide a dispute (kind 2) of an item that they did not label. The clause
-- stands in five queries on purpose: a function around it would not be inlined, and be called for each row passed.
--
-- p_severe: those of the lanes whose seats count as severe; p_exposure: what the other seats count for (care.sql).
-- p_is_withheld: null where nothing is suggested here. Else, where a model has a suggestion for the item, the seat keeps it
-- and the arm: withheld, or shown. A person's seat keeps the arm that it was first opened with. What is drawn for an audit
-- speaks about the world, and is answered without. `learning_suggestion` is installed by the learning app.
create or replace function queue_claim(
  p_project bigint, p_person bigint, p_kind smallint, p_lanes bigint[], p_seconds int, p_schema bigint, p_guideline bigint,
  p_now timestamptz, p_severe bigint[], p_exposure smallint, p_is_withheld boolean
) returns bigint language plpgsql as $$
declare
  v_lane bigint; l record; late record; f record; back record; since record; best record; v_row bigint; v_free smallint;
  v_full boolean := false; v_all_full boolean; v_rank float8; v_tie bigint; v_floor timestamptz; v_seat bigint; v_start timestamptz; v_is_end boolean; v_is_slow boolean;
  v_busy bigint[] := '{}';  -- expired seats that somebody else has locked
  v_first constant bigint := -9223372036854775808;
  v_held constant smallint := 1;  -- variables where the seat is known by its id, or by its item: see "Plans"
  v_submitted constant smallint := 2;
begin
  for attempt in 1..8 loop
    v_all_full := true;
    select null::bigint as row_id, null::bigint as seat_id, null::bigint as person_id, null::bigint as lane_id, 'infinity'::float8 as rank, 0::bigint as tiebreak into best;
    foreach v_lane in array p_lanes loop
      -- The lane, its epoch read before the scan, and how far this person is. `till`: what transactions before it did is seen below.
      select a.epoch, a.floor_rank, a.floor_tiebreak, coalesce(a.lease_floor, '-infinity') as lease_floor, k.xmin as version, coalesce(k.epoch = a.epoch, false) as is_current,
          k.rank, k.tiebreak, k.returned_rank, k.returned_tiebreak, k.returned_till, coalesce(k.full_epoch = a.epoch, false) as is_full, k.moved_at,
          pg_snapshot_xmin(pg_current_snapshot()) as till
        into l from annotation_queuelane a left join annotation_queuecursor k on k.person_id = p_person and k.lane_id = a.id where a.id = v_lane;
      v_floor := case when v_full then '-infinity' else l.lease_floor end;

      -- A seat whose lease ran out: its place can be taken at once, sweeper or not (Q5). Looked for before the offers: where
      -- it is given back just now, it is seen here or there.
      select s.id, s.queue_row_id, s.person_id, q.rank, q.tiebreak into late
        from (select x.id, x.queue_row_id, x.person_id, x.item_id from annotation_seat x      -- found by when they ran out, which is what the order asks for
              where x.lane_id = v_lane and x.state = 1 and x.expires_at < p_now and x.expires_at >= v_floor and x.id <> all (v_busy) order by x.expires_at offset 0) s
        join annotation_queuerow q on q.id = s.queue_row_id and not q.is_closed
       where (s.person_id = p_person or (select 1 from annotation_seat m where m.queue_row_id = s.queue_row_id and m.person_id = p_person and m.state <> 4) is null)
         and (p_kind <> 2 or (select 1 from annotation_seat m where m.item_id = s.item_id and m.person_id = p_person and m.kind in (1, 4) and m.state = v_submitted limit 1) is null)
       order by q.rank, q.tiebreak, s.id limit 1;
      if late.id is not null and (best.row_id is null or (late.rank, late.tiebreak) <= (best.rank, best.tiebreak)) then
        select late.queue_row_id, late.id, late.person_id, v_lane, late.rank, late.tiebreak into best.row_id, best.seat_id, best.person_id, best.lane_id, best.rank, best.tiebreak;
      end if;

      v_start := clock_timestamp();

      -- In the line: the first offer that I could take, locked by somebody or not. The cursor may move to it and no further.
      v_rank := l.floor_rank; v_tie := l.floor_tiebreak;
      if v_full then
        v_rank := '-infinity'; v_tie := v_first;
      elsif l.is_current and (l.rank, l.tiebreak) > (v_rank, v_tie) then
        v_rank := l.rank; v_tie := l.tiebreak;
      end if;
      v_all_full := v_all_full and l.is_full;
      select o.queue_row_id, o.rank, o.tiebreak into f from annotation_offer o
       where o.lane_id = v_lane and (o.rank, o.tiebreak) >= (v_rank, v_tie)
         and (select 1 from annotation_seat s where s.queue_row_id = o.queue_row_id and s.person_id = p_person and s.state <> 4) is null
         and (p_kind <> 2 or (select 1 from annotation_seat s where s.item_id = o.item_id and s.person_id = p_person and s.kind in (1, 4) and s.state = v_submitted limit 1) is null)
       order by o.rank, o.tiebreak limit 1;

      -- Among the places that opened again or were raised: from my cursor there on, and before it what came there since.
      v_rank := '-infinity'; v_tie := v_first;
      if l.is_current and not v_full then v_rank := l.returned_rank; v_tie := l.returned_tiebreak; end if;
      select o.queue_row_id, o.rank, o.tiebreak into back from annotation_offer o
       where o.lane_id = v_lane and o.returned_by is not null and (o.rank, o.tiebreak) >= (v_rank, v_tie)
         and (select 1 from annotation_seat s where s.queue_row_id = o.queue_row_id and s.person_id = p_person and s.state <> 4) is null
         and (p_kind <> 2 or (select 1 from annotation_seat s where s.item_id = o.item_id and s.person_id = p_person and s.kind in (1, 4) and s.state = v_submitted limit 1) is null)
       order by o.rank, o.tiebreak limit 1;
      if v_rank > '-infinity' then
        with lately as materialized (      -- few, and found by when they came, which is what the order asks for: not by walking the line
          select o.queue_row_id, o.item_id, o.rank, o.tiebreak from annotation_offer o where o.lane_id = v_lane and o.returned_by >= l.returned_till order by o.returned_by)
        select o.queue_row_id, o.rank, o.tiebreak into since from lately o
         where (o.rank, o.tiebreak) < (v_rank, v_tie)
           and (select 1 from annotation_seat s where s.queue_row_id = o.queue_row_id and s.person_id = p_person and s.state <> 4) is null
           and (p_kind <> 2 or (select 1 from annotation_seat s where s.item_id = o.item_id and s.person_id = p_person and s.kind in (1, 4) and s.state = v_submitted limit 1) is null)
         order by o.rank, o.tiebreak limit 1;
        if since.queue_row_id is not null then back := since; end if;
      end if;

      -- Cursors are written lazily: on every claim, their own dead versions would be the next thing to walk past. What was
      -- looked through to the end is remembered for this epoch.
      v_is_end := f.queue_row_id is null and (v_full or l.is_full);
      v_is_slow := clock_timestamp() - v_start > interval '0.2 ms' and (l.moved_at is null or not l.is_current or v_start - l.moved_at > interval '1 s');
      if (v_is_slow and (v_is_end or f.queue_row_id is not null)) or (v_is_end and not (l.is_current and l.is_full)) then
        -- Not where somebody who takes over a seat of mine writes it (a claim waits for nothing) or did so since it was read.
        update annotation_queuecursor k set epoch = l.epoch, rank = coalesce(f.rank, 'infinity'), tiebreak = coalesce(f.tiebreak, 0), returned_rank = coalesce(back.rank, 'infinity'),
            returned_tiebreak = coalesce(back.tiebreak, 0), returned_till = l.till, full_epoch = case when v_is_end then l.epoch else k.full_epoch end, moved_at = v_start
          where (k.person_id, k.lane_id) = (select c.person_id, c.lane_id from annotation_queuecursor c
            where c.person_id = p_person and c.lane_id = v_lane and c.xmin = l.version for no key update skip locked);
        if l.version is null then        -- the first one says nothing of the end: nobody could have contradicted it
          insert into annotation_queuecursor (person_id, lane_id, epoch, rank, tiebreak, returned_rank, returned_tiebreak, returned_till, full_epoch, moved_at)
            values (p_person, v_lane, l.epoch, coalesce(f.rank, 'infinity'), coalesce(f.tiebreak, 0), coalesce(back.rank, 'infinity'), coalesce(back.tiebreak, 0), l.till, -1, v_start);
        end if;
      end if;

      if f.queue_row_id is null or (back.rank, back.tiebreak) < (f.rank, f.tiebreak) then f := back; end if;
      if f.queue_row_id is not null and (best.row_id is null or (f.rank, f.tiebreak) < (best.rank, best.tiebreak)) then
        select f.queue_row_id, null::bigint, null::bigint, v_lane, f.rank, f.tiebreak into best.row_id, best.seat_id, best.person_id, best.lane_id, best.rank, best.tiebreak;
      end if;
    end loop;

    if best.row_id is null then
      if not v_full and not v_all_full then v_full := true; continue; end if;   -- once more, from the very start
      return case when cardinality(v_busy) > 0 then 0 end;
    end if;

    if best.seat_id is not null then
      -- Take over. The old seat is released (its lease id answers 409 from now on), the place stays taken, the taker gets a seat.
      perform 1 from annotation_seat where id = best.seat_id and state = v_held and expires_at < p_now for no key update skip locked;
      if not found then v_busy := v_busy || best.seat_id; continue; end if;
      if best.person_id <> p_person then
        -- The loser may be owed another place of this item: their cursor has passed it. Where they are at work on it just now,
        -- the place stays theirs for that moment: two people who take over from each other would wait in a circle.
        update annotation_queuecursor set epoch = -1, full_epoch = -1 where (person_id, lane_id) = (
          select c.person_id, c.lane_id from annotation_queuecursor c where c.person_id = best.person_id and c.lane_id = best.lane_id for no key update skip locked);
        if not found and exists (select 1 from annotation_queuecursor where person_id = best.person_id and lane_id = best.lane_id) then
          v_busy := v_busy || best.seat_id; continue;
        end if;
        update annotation_seat set state = 4, ended_at = p_now where id = best.seat_id;
      end if;
      v_row := best.row_id;
    else
      select o.queue_row_id, o.n_free into v_row, v_free from annotation_offer o where o.queue_row_id = best.row_id for update skip locked;
      if not found then
        select o.queue_row_id, o.n_free into v_row, v_free from annotation_offer o
         where o.lane_id = best.lane_id and (o.rank, o.tiebreak) >= (best.rank, best.tiebreak)
           and (select 1 from annotation_seat s where s.queue_row_id = o.queue_row_id and s.person_id = p_person and s.state <> 4) is null
           and (p_kind <> 2 or (select 1 from annotation_seat s where s.item_id = o.item_id and s.person_id = p_person and s.kind in (1, 4) and s.state = v_submitted limit 1) is null)
         order by o.rank, o.tiebreak limit 1 for update skip locked;
        if not found then return 0; end if;  -- every candidate is locked
      end if;
      if v_free = 1 then
        delete from annotation_offer where queue_row_id = v_row;
      else
        update annotation_offer set n_free = n_free - 1 where queue_row_id = v_row;
      end if;
    end if;

    insert into annotation_seat as s (queue_row_id, person_id, project_id, item_id, lane_id, kind, state, generation,
        leased_at, expires_at, reason, draw_id, schema_id, guideline_id, exposure, suggestion, arm)
      select q.id, p_person, q.project_id, q.item_id, q.lane_id, q.kind, 1, 1,
        p_now, p_now + make_interval(secs => p_seconds), '', q.draw_id, p_schema, p_guideline,
        case when q.lane_id = any (p_severe) then 2 else p_exposure end,
        g.told, case when g.told is null then 0 when p_is_withheld then 2 else 1 end
      from annotation_queuerow q cross join lateral (      -- "offset 0": asked once, and not at all where nothing is suggested
          select case when p_is_withheld is not null and (select d.stream from annotation_draw d where d.id = q.draw_id) is distinct from 'audit'
            then learning_suggestion(q.project_id, p_schema, q.item_id) end as told offset 0) g
      where q.id = v_row
      on conflict (queue_row_id, person_id) do update set state = 1, generation = s.generation + 1, leased_at = excluded.leased_at,
        expires_at = excluded.expires_at, ended_at = null, reason = '', lane_id = excluded.lane_id,
        draw_id = excluded.draw_id, schema_id = excluded.schema_id, guideline_id = excluded.guideline_id, annotation_id = null,
        exposure = excluded.exposure, earlier_seconds = queue_earlier_seconds(s, null, p_now),
        suggestion = coalesce(s.suggestion, excluded.suggestion), arm = case when s.arm = 0 then excluded.arm else s.arm end
        where s.state in (1, 4)
      returning s.id into strict v_seat;
    return v_seat;
  end loop;
  return 0;
end $$;

-- What the holder of seats is shown, as raw fields; annotation/queue.py makes the LEASE of it.
create or replace function queue_show(p_seats bigint[]) returns jsonb language plpgsql stable as $$
begin
  return (select coalesce(jsonb_agg(jsonb_build_object(
      'seat', s.id, 'generation', s.generation, 'expires_at', s.expires_at, 'kind', s.kind, 'item', s.item_id, 'external_id', i.external_id,
      'parts', p.parts, 'metadata', i.metadata, 'schema', s.schema_id, 'guideline', s.guideline_id, 'project', s.project_id,
      'suggestion', case when s.arm = 1 then s.suggestion end) order by s.leased_at, s.id), '[]')
  from unnest(p_seats) as w(id) cross join lateral (select * from annotation_seat x where x.id = w.id limit 1) s   -- a probe for each, whatever the plan
    join annotation_item i on i.id = s.item_id and i.lifecycle <> 2      -- a place that was being used when its item was sealed shows nothing
    join annotation_itempayload p on p.item_id = s.item_id);
end $$;

-- Top up to p_n held seats of a kind. p_chances: two numbers in [0, 1) per seat. The first decides whether it comes from the
-- holdout first, the second whether a model's suggestion is withheld. On items of the holdout none is ever shown.
create or replace function queue_lease(
  p_project bigint, p_person bigint, p_kind smallint, p_n int, p_languages text[], p_chances float8[]
) returns jsonb language plpgsql as $$
declare
  prj record; v_now timestamptz; v_seats bigint[]; v_held int; v_seat bigint; v_reason text; v_retry int; i int := 0;
  v_pool bigint[]; v_holdout bigint[]; v_mine bigint[]; v_all bigint[]; v_oldest timestamptz; v_is_withheld boolean;
  v_is_guarded boolean; c record; v_at timestamptz; v_severe bigint[] := '{}'; v_declined bigint[] := '{}'; v_exposure smallint := 0; v_is_calm boolean := false; v_limit text;
  v_submitted constant smallint := 2;
begin
  perform pg_advisory_xact_lock(p_project::int, p_person::int);
  v_now := clock_timestamp();
  select p.state, p.max_held, p.lease_seconds, p.schema_id, p.guideline_id, p.holdout_share_now, p.suggestions, p.blind_share,
      coalesce(m.held_floor, '-infinity') as held_floor into strict prj
    from annotation_project p left join annotation_member m on m.project_id = p.id and m.user_id = p_person where p.id = p_project;
  select coalesce(array_agg(s.id order by s.leased_at, s.id) filter (where s.kind = p_kind and s.expires_at >= v_now), '{}'),
      count(*) filter (where s.expires_at >= v_now), coalesce(min(s.leased_at), v_now)
    into v_seats, v_held, v_oldest from annotation_seat s
    where s.person_id = p_person and s.project_id = p_project and s.state = 1 and s.leased_at >= prj.held_floor;
  -- What they held earlier leaves dead entries, which stay while a long transaction may see them: they are walked past once.
  -- 5 s back: clocks are set.
  if clock_timestamp() - v_now > interval '0.2 ms' and v_oldest - interval '7 s' > prj.held_floor then
    update annotation_member set held_floor = v_oldest - interval '5 s' where id = (
      select id from annotation_member where project_id = p_project and user_id = p_person for no key update skip locked);
  end if;
  if cardinality(v_seats) >= p_n then
    return jsonb_build_object('leases', queue_show(v_seats[1:p_n]), 'reason', null, 'retry_after', null);
  end if;
  if prj.state <> 'active' then
    return jsonb_build_object('leases', queue_show(v_seats), 'reason', 'paused', 'retry_after', null);
  end if;
  select coalesce(array_agg(l.id) filter (where l.stream = 0), '{}'), coalesce(array_agg(l.id) filter (where l.stream = 1), '{}'), coalesce(array_agg(l.id), '{}'),
      coalesce(bool_or(l.severity >= 2 or l.harms <> ''), false)
    into v_pool, v_holdout, v_mine, v_is_guarded from annotation_queuelane l
    where l.project_id = p_project and l.kind = p_kind and l.stream in (0, 1) and (cardinality(p_languages) = 0 or l.language = '' or l.language = any (p_languages));
  v_at := v_now;
  if v_is_guarded then                   -- where no lane asks for care, nothing more is asked
    select * into c from queue_care(p_project, p_person, v_mine, v_now);
    v_mine := c.mine; v_severe := c.severe; v_declined := c.declined;
  end if;
  while cardinality(v_seats) < p_n loop
    if v_held >= prj.max_held then v_reason := 'limit'; exit; end if;
    i := i + 1;
    if v_is_guarded then
      v_is_calm := cardinality(v_severe) > 0 and (c.n_left <= 0 or c.in_a_row >= c.most_in_a_row);
      v_exposure := case when c.in_a_row > 0 then 1 else 0 end;
      if v_is_calm then v_pool := c.calm_pool; v_holdout := c.calm_holdout; else v_pool := c.pool; v_holdout := c.holdout; end if;
      v_at := v_at + interval '1 microsecond';      -- seats of one request stand in the order in which they were taken
    end if;
    -- Reviewers take disputes in order; annotators get a share from the holdout until it is full.
    if p_kind <> 1 then
      v_seat := queue_claim(p_project, p_person, p_kind, case when v_is_calm then v_pool || v_holdout else v_mine end, prj.lease_seconds, prj.schema_id, prj.guideline_id, v_at, v_severe, v_exposure, null);
    else
      v_is_withheld := case when prj.suggestions then p_chances[1 + (2 * i - 1) % cardinality(p_chances)] < prj.blind_share end;
      if p_chances[1 + (2 * i - 2) % cardinality(p_chances)] < prj.holdout_share_now then
        v_seat := queue_claim(p_project, p_person, p_kind, v_holdout, prj.lease_seconds, prj.schema_id, prj.guideline_id, v_at, v_severe, v_exposure, null);
        if v_seat is null then v_seat := queue_claim(p_project, p_person, p_kind, v_pool, prj.lease_seconds, prj.schema_id, prj.guideline_id, v_at, v_severe, v_exposure, v_is_withheld); end if;
      else
        v_seat := queue_claim(p_project, p_person, p_kind, v_pool, prj.lease_seconds, prj.schema_id, prj.guideline_id, v_at, v_severe, v_exposure, v_is_withheld);
        if v_seat is null then v_seat := queue_claim(p_project, p_person, p_kind, v_holdout, prj.lease_seconds, prj.schema_id, prj.guideline_id, v_at, v_severe, v_exposure, null); end if;
      end if;
    end if;
    if v_seat = 0 then
      v_reason := 'busy'; v_retry := 1; exit;          -- never "nothing left" on the strength of a lock
    end if;
    if v_seat is null then
      -- Why is there nothing? Only asked now, when it is known that there is nothing.
      if v_is_calm and (exists (select 1 from annotation_offer o where o.lane_id = any (v_severe))
          or exists (select 1 from annotation_seat s where s.lane_id = any (v_severe) and s.state = 1 and s.expires_at < v_now)) then
        v_reason := 'limit';
        if c.n_left <= 0 then v_limit := 'exposure'; v_retry := c.budget_in; else v_limit := 'in_a_row'; v_retry := c.pause_in; end if;
        exit;
      end if;
      select coalesce(array_agg(l.id), '{}') into v_all from annotation_queuelane l where l.project_id = p_project and l.kind = p_kind and l.stream in (0, 1);
      -- A place counts as leased where this person could take it once it is free: not on a closed row, whose places nobody
      -- takes over (its holder may still answer, or never), and not on work that they had a part in.
      select ceil(extract(epoch from min(s.expires_at) - v_now))::int into v_retry
        from annotation_seat s join annotation_queuerow q on q.id = s.queue_row_id
        where s.lane_id = any (v_mine) and s.state = 1 and s.person_id <> p_person and not q.is_closed
          and (select 1 from annotation_seat m where m.queue_row_id = s.queue_row_id and m.person_id = p_person and m.state <> 4) is null
          and (p_kind <> 2 or (select 1 from annotation_seat m where m.item_id = s.item_id and m.person_id = p_person and m.kind in (1, 4) and m.state = v_submitted limit 1) is null);
      if v_retry is not null then
        v_reason := 'all_leased'; v_retry := greatest(1, v_retry);
      elsif exists (select 1 from annotation_offer o where o.lane_id = any (v_mine)) then
        v_reason := 'done_by_you';
      elsif exists (select 1 from annotation_offer o where o.lane_id = any (v_declined)) then
        v_reason := 'limit'; v_limit := 'opted_out';
      elsif exists (select 1 from annotation_offer o where o.lane_id = any (v_all)) then
        v_reason := 'not_qualified';
      else
        v_reason := 'empty';
      end if;
      exit;
    end if;
    v_seats := v_seats || v_seat; v_held := v_held + 1;
    if v_is_guarded then
      if (select s.exposure from annotation_seat s where s.id = v_seat) = 2 then
        c.n_left := c.n_left - 1; c.in_a_row := c.in_a_row + 1;
      else
        c.in_a_row := 0;
      end if;
    end if;
  end loop;
  return jsonb_build_object('leases', queue_show(v_seats), 'reason', v_reason, 'retry_after', v_retry, 'limit', v_limit);
end $$;

-- Submit ---------------------------------------------------------------------------------------------------------------
-- The whole request in one transaction: store an answer, let the item be settled, top up to p_n leases. status: ok, replay,
-- key_reused, gone, already, absent. The answer was checked against the seat's schema by the caller.
create or replace function queue_answer(
  p_seat bigint, p_generation int, p_person bigint, p_key text, p_digest bytea, p_source text, p_labels jsonb, p_seconds float8,
  p_unsure boolean, p_flag text, p_clauses text[], p_comment text, p_texts jsonb, p_salt bytea, p_text_commitment bytea,
  p_n int, p_languages text[], p_chances float8[]
) returns jsonb language plpgsql as $$
declare s annotation_seat; a record; v_id bigint; v_now timestamptz; v_leases jsonb := '[]'; v_told text[]; v_held constant smallint := 1;
begin
  select * into s from annotation_seat where id = p_seat and person_id = p_person;
  if not found then return jsonb_build_object('status', 'absent'); end if;
  perform pg_advisory_xact_lock(s.project_id::int, p_person::int);
  v_now := clock_timestamp();
  -- The key first: one key has one effect and one answer (Q4).
  select x.id, x.body_digest, x.seat_id, x.lease_generation, x.leases into a from annotation_annotation x where x.person_id = p_person and x.key = p_key;
  if found then
    if a.body_digest <> p_digest or a.seat_id <> p_seat or a.lease_generation <> p_generation then
      return jsonb_build_object('status', 'key_reused');
    end if;
    -- the leases that it came with, less those that ended since
    v_leases := queue_show(array(select h.id from annotation_seat h
      where h.id = any (array(select split_part(x, '-', 1)::bigint from unnest(a.leases) x)) and h.id || '-' || h.generation = any (a.leases)
        and h.state = 1 and h.expires_at >= v_now));
    return jsonb_build_object('status', 'replay', 'annotation', a.id, 'item_state', queue_item_state(s.item_id), 'leases', v_leases);
  end if;
  -- Late or not: until somebody else took the place it is still this person's (Q6).
  v_id := nextval('annotation_annotation_id_seq');
  update annotation_seat set state = 2, annotation_id = v_id, ended_at = v_now
    where id = p_seat and person_id = p_person and generation = p_generation and state = v_held returning * into s;
  if not found then
    select * into s from annotation_seat where id = p_seat;
    return jsonb_build_object('status', case when s.state = 2 then 'already' else 'gone' end, 'ended_at', s.ended_at);
  end if;
  insert into annotation_label (annotation_id, question, project_id, item_id, person_id, choice, choices, number, data, text_commitment)
    select v_id, l.q, s.project_id, s.item_id, p_person, l.choice, l.choices, l.number, l.data, decode(l.text_commitment, 'hex')
    from jsonb_to_recordset(p_labels) as l(q smallint, choice int, choices int[], number float8, data jsonb, text_commitment text);
  if p_text_commitment is not null then
    insert into annotation_annotationtext (annotation_id, comment, answers, salt) values (v_id, p_comment, p_texts, p_salt);
  end if;
  perform queue_settle(s.queue_row_id, 1, false, v_now, 'annotation.submitted', p_person, v_id, null);
  if p_n > 0 then
    -- Whatever can be had without waiting; the annotator's next request finds the rest.
    v_leases := queue_lease(s.project_id, p_person, s.kind, p_n, p_languages, p_chances) -> 'leases';
    v_told := array(select (x ->> 'seat') || '-' || (x ->> 'generation') from jsonb_array_elements(v_leases) x);
  end if;
  -- Last, because rows of history are written once and this one remembers the leases that the answer came with.
  insert into annotation_annotation (id, seat_id, project_id, item_id, person_id, schema_id, guideline_id, source, created_at, seconds, is_unsure, flag, clauses,
      text_commitment, key, body_digest, lease_generation, leases)
    overriding system value
    values (v_id, s.id, s.project_id, s.item_id, p_person, s.schema_id, s.guideline_id, p_source, v_now, p_seconds, p_unsure, p_flag, p_clauses,
      p_text_commitment, p_key, p_digest, p_generation, coalesce(v_told, '{}'));
  return jsonb_build_object('status', 'ok', 'annotation', v_id, 'item_state', queue_item_state(s.item_id), 'leases', v_leases);
end $$;

-- Renew, skip, release, undo: conditional updates that must hit one row -------------------------------------------------
create or replace function queue_renew(p_seat bigint, p_generation int, p_person bigint) returns jsonb language plpgsql as $$
declare v_held constant smallint := 1;
begin
  update annotation_seat s set expires_at = clock_timestamp() + make_interval(secs => p.lease_seconds) from annotation_project p
    where s.id = p_seat and s.person_id = p_person and s.generation = p_generation and s.state = v_held and p.id = s.project_id;
  if not found then return null; end if;
  return queue_show(array[p_seat]) -> 0;
end $$;

-- p_state 3: skipped (not offered again in this pass), 4: released (may be offered again).
create or replace function queue_give_back(p_seat bigint, p_generation int, p_person bigint, p_state smallint, p_reason text) returns smallint language plpgsql as $$
declare s annotation_seat; v_now timestamptz; v_held constant smallint := 1;
begin
  select * into s from annotation_seat where id = p_seat and person_id = p_person;
  if not found then return null; end if;
  perform pg_advisory_xact_lock(s.project_id::int, p_person::int);
  v_now := clock_timestamp();
  update annotation_seat set state = p_state, reason = p_reason, ended_at = v_now
    where id = p_seat and person_id = p_person and generation = p_generation and state = v_held returning * into s;
  if not found then return null; end if;
  return queue_settle(s.queue_row_id, 0, true, v_now, case p_state when 3 then 'seat.skipped' else 'seat.released' end, p_person, s.id,
    case when p_reason <> '' then jsonb_build_object('reason', p_reason) end);
end $$;

-- Whether an answer can be taken back now (Q9). `learning_has_used` is installed by the learning app.
create or replace function queue_may_undo(a annotation_annotation, s annotation_seat, p_now timestamptz) returns boolean language plpgsql stable as $$
begin
  return not (s.state <> 2 or s.annotation_id <> a.id or a.created_at < p_now - (select make_interval(secs => o.undo_seconds) from annotation_organisation o)
     or exists (select 1 from annotation_queuerow q where q.id = s.queue_row_id and q.state = 3)
     or exists (select 1 from annotation_item i where i.id = a.item_id and i.lifecycle <> 0)
     or exists (select 1 from annotation_queuerow q join annotation_seat r on r.queue_row_id = q.id
                where q.item_id = a.item_id and q.kind = 2 and r.state in (1, 2) and (r.state = 2 or r.expires_at >= p_now))
     or learning_has_used(a.item_id, a.created_at));
end $$;

-- Take an answer back: the same person, the same place, to answer again.
create or replace function queue_undo(p_annotation bigint, p_person bigint) returns jsonb language plpgsql as $$
declare a annotation_annotation; s annotation_seat; v_now timestamptz;
begin
  select * into a from annotation_annotation where id = p_annotation and person_id = p_person;
  if not found then return jsonb_build_object('status', 'absent'); end if;
  perform pg_advisory_xact_lock(a.project_id::int, p_person::int);
  perform pg_advisory_xact_lock_shared(hashtext('snapshot'), a.project_id::int);   -- a snapshot copies its members alone
  v_now := clock_timestamp();
  select * into s from annotation_seat where id = a.seat_id for no key update;
  perform 1 from annotation_queuerow where id = s.queue_row_id for no key update;
  if not queue_may_undo(a, s, v_now) then
    return jsonb_build_object('status', 'too_late');
  end if;
  update annotation_seat x set state = 1, generation = x.generation + 1, annotation_id = null, ended_at = null, leased_at = v_now,
      earlier_seconds = queue_earlier_seconds(s, a.seconds, v_now),
      expires_at = v_now + make_interval(secs => p.lease_seconds) from annotation_project p
    where x.id = s.id and p.id = x.project_id;
  perform queue_settle(s.queue_row_id, -1, false, v_now, 'annotation.undone', p_person, a.id, null);
  return jsonb_build_object('status', 'ok', 'lease', queue_show(array[s.id]) -> 0);
end $$;

-- Adjudication takes its seat in its own transaction, leased before or not. Returns the seat, or null where another reviewer holds it (Q15).
create or replace function queue_take_dispute(p_project bigint, p_item bigint, p_person bigint) returns bigint language plpgsql as $$
declare r annotation_queuerow; d annotation_queuerow; v_id bigint; v_now timestamptz; prj record;
begin
  perform pg_advisory_xact_lock(p_project::int, p_person::int);
  perform 1 from annotation_seat where item_id = p_item and kind = 2 order by id for no key update;    -- seats before rows
  select * into strict r from annotation_queuerow where item_id = p_item and kind in (1, 4) order by pass_no desc limit 1 for no key update;
  perform queue_open_dispute(r) where not exists (select 1 from annotation_queuerow where item_id = p_item and kind = 2 and pass_no = r.pass_no);
  select * into strict d from annotation_queuerow where item_id = p_item and kind = 2 and pass_no = r.pass_no for no key update;
  delete from annotation_offer where queue_row_id = d.id;       -- whoever was claiming it has their seat by now
  v_now := clock_timestamp();
  select p.schema_id, p.guideline_id into strict prj from annotation_project p where p.id = p_project;
  if exists (select 1 from annotation_seat where queue_row_id = d.id and state = 1 and person_id <> p_person and expires_at >= v_now) then
    return null;       -- and nothing is kept: the caller refuses and rolls back
  end if;
  update annotation_seat set state = 4, ended_at = v_now where queue_row_id = d.id and state = 1 and person_id <> p_person;
  insert into annotation_seat as x (queue_row_id, person_id, project_id, item_id, lane_id, kind, state, generation, leased_at, expires_at, ended_at, reason,
      draw_id, schema_id, guideline_id, arm, exposure)
    values (d.id, p_person, d.project_id, d.item_id, d.lane_id, 2, 2, 1, v_now, v_now, v_now, '', d.draw_id, prj.schema_id, prj.guideline_id, 0,
      (select case when l.severity >= 2 then 2 else 0 end from annotation_queuelane l where l.id = d.lane_id))
    -- a decision is made under the schema of now: its values count at once
    on conflict (queue_row_id, person_id) do update set state = 2, ended_at = v_now, schema_id = excluded.schema_id
    returning x.id into v_id;
  -- A decision may be taken again, by somebody else too: then there is one place more.
  update annotation_queuerow q set is_closed = true, n_submitted = c.n, overlap = greatest(q.overlap, c.n)
    from (select count(*) as n from annotation_seat where queue_row_id = d.id and state = 2) c where q.id = d.id;
  update annotation_queuerow set state = 3, is_closed = true where id = r.id;
  perform queue_offer(array[r.id], false);
  return v_id;
end $$;

-- Close an item for good (archived, quarantined, erased): nobody keeps a place on it that they have not used.
create or replace function queue_close(p_items bigint[]) returns void language plpgsql as $$
declare v_rows bigint[];
begin
  perform 1 from annotation_seat where item_id = any (p_items) and state = 1 order by id for no key update;    -- seats before rows
  select coalesce(array_agg(q.id), '{}') into v_rows from (
    select id from annotation_queuerow where item_id = any (p_items) order by id for no key update) q;
  update annotation_queuerow set is_closed = true where id = any (v_rows) and not is_closed;
  perform queue_offer(v_rows, false);
  -- a seat taken since the first statement is left to its holder if they are just using it
  update annotation_seat set state = 5, ended_at = clock_timestamp() where id in (
    select id from annotation_seat where queue_row_id = any (v_rows) and state = 1 for no key update skip locked);
end $$;

-- An item that was put away is open again: its newest row as its votes say, its dispute where it is disputed. Whoever had to leave
-- it may be offered it again.
create or replace function queue_reopen(p_items bigint[]) returns void language plpgsql as $$
declare v_rows bigint[];
begin
  perform 1 from annotation_seat where item_id = any (p_items) order by id for no key update;    -- seats before rows
  perform 1 from annotation_queuerow where item_id = any (p_items) order by id for no key update;
  update annotation_seat set state = 4 where item_id = any (p_items) and state = 5;
  with newest as (
    select distinct on (q.item_id) q.item_id, q.pass_no, q.state from annotation_queuerow q
    where q.item_id = any (p_items) and q.kind in (1, 4) order by q.item_id, q.pass_no desc),
  opened as (
    update annotation_queuerow q set is_closed = false from newest n
    where q.item_id = n.item_id and q.pass_no = n.pass_no
      and case when q.kind = 2 then n.state = 2 else n.state not in (2, 3) end returning q.id)
  select coalesce(array_agg(id), '{}') into v_rows from opened;
  perform queue_offer(v_rows, true);
end $$;

-- A member who left: their held places open again.
create or replace function queue_leave(p_project bigint, p_person bigint) returns int language plpgsql as $$
declare s record; n int := 0;
begin
  perform pg_advisory_xact_lock(p_project::int, p_person::int);
  for s in select id, queue_row_id from annotation_seat where project_id = p_project and person_id = p_person and state = 1 order by queue_row_id for no key update loop
    update annotation_seat set state = 4, ended_at = clock_timestamp() where id = s.id;
    perform queue_settle(s.queue_row_id, 0, true, clock_timestamp(), null, null, null, null);
    n := n + 1;
  end loop;
  return n;
end $$;

-- Bulk changes ---------------------------------------------------------------------------------------------------------
-- A change that may have put much work before people's cursors: they all look from the start again, once.
create or replace function queue_bump(p_lanes bigint[]) returns void language sql as $$
  update annotation_queuelane set epoch = epoch + 1, floor_rank = '-infinity', floor_tiebreak = -9223372036854775808 where id in (
    select id from annotation_queuelane where id = any (p_lanes) order by id for no key update)
$$;

-- p_ranks are minus the priorities. Closed and full rows are ranked too: a place may open again. Up to a few thousand offers
-- count as returned, so that nobody's cursor in the line is lost: somebody 100,000 labels ahead would walk past all of them
-- again. Above that the walk is the cheaper way.
create or replace function queue_set_ranks(p_project bigint, p_items bigint[], p_ranks float8[], p_draw bigint) returns int language plpgsql as $$
declare v_rows bigint[]; v_lanes bigint[]; n_marked constant int := 5000;
begin
  with wanted as (select u.item, u.rank from unnest(p_items, p_ranks) as u(item, rank)),
  locked as (select q.id, w.rank from annotation_queuerow q join wanted w on w.item = q.item_id
             where q.project_id = p_project and q.kind = 1 order by q.id for no key update of q),
  done as (update annotation_queuerow q set rank = l.rank, draw_id = coalesce(p_draw, q.draw_id) from locked l where q.id = l.id returning q.id, q.lane_id)
  select coalesce(array_agg(id order by id), '{}'), coalesce(array_agg(distinct lane_id), '{}') into v_rows, v_lanes from done;
  perform 1 from annotation_offer where queue_row_id = any (v_rows) order by queue_row_id for update;
  update annotation_offer o set rank = q.rank, returned_by = case when cardinality(v_rows) <= n_marked then pg_current_xact_id() else o.returned_by end
    from annotation_queuerow q where q.id = o.queue_row_id and o.queue_row_id = any (v_rows);
  if cardinality(v_rows) > n_marked then perform queue_bump(v_lanes); end if;
  return cardinality(v_rows);
end $$;

-- Overlap of unsettled rows becomes max(wanted, taken), so that Q1 holds (Q14); settled rows keep theirs. One batch, in the
-- order of the items' ids; `last` is null where there are no more.
create or replace function queue_set_overlap(p_project bigint, p_wanted int, p_after bigint, p_limit int, out last bigint, out changed int) language plpgsql as $$
declare v_items bigint[]; v_rows bigint[]; v_lanes bigint[];
begin
  select array_agg(i.id order by i.id) into v_items from (
    select id from annotation_item where project_id = p_project and id > p_after order by id limit p_limit) i;
  last := v_items[cardinality(v_items)]; changed := 0;
  select coalesce(array_agg(q.id), '{}') into v_rows from (
    select r.id from annotation_queuerow r where r.item_id = any (v_items) and r.kind = 1 and r.state = 0 and not r.is_closed
      -- an unfinished import offers nothing yet, and asks for the overlap itself when it does
      and (select m.is_visible from annotation_item i join annotation_import m on m.id = i.imported_by_id where i.id = r.item_id)
    order by r.id for no key update of r) q;
  perform 1 from annotation_offer where queue_row_id = any (v_rows) order by queue_row_id for update;    -- nobody takes a place meanwhile
  with done as (
    update annotation_queuerow q set overlap = c.overlap from (
      select z.id, greatest(p_wanted, (select count(*) from annotation_seat s where s.queue_row_id = z.id and s.state in (1, 2))) as overlap from unnest(v_rows) as z(id)) c
    where q.id = c.id and q.overlap <> c.overlap returning q.id, q.lane_id)
  select array_agg(id), coalesce(array_agg(distinct lane_id), '{}') into v_rows, v_lanes from done;
  perform queue_offer(v_rows, false);
  perform queue_bump(v_lanes);
  changed := coalesce(cardinality(v_rows), 0);
end $$;

-- Floors only save time; they are moved every second by beat. A bulk change meanwhile (another epoch) wins.
create or replace function queue_move_floors() returns int language plpgsql as $$
declare l annotation_queuelane; f record; v_lease timestamptz; n int := 0; k int;
begin
  for l in select * from annotation_queuelane order by id loop
    select o.rank, o.tiebreak into f from annotation_offer o
      where o.lane_id = l.id and (o.rank, o.tiebreak) >= (l.floor_rank, l.floor_tiebreak) order by o.rank, o.tiebreak limit 1;
    -- 5 s back: a seat held in a transaction that has not committed yet may expire before what is visible now.
    select least(min(z.expires_at), clock_timestamp() - interval '5 s') into v_lease from (
      select s.expires_at from annotation_seat s where s.lane_id = l.id and s.state = 1 and s.expires_at >= coalesce(l.lease_floor, '-infinity') order by s.expires_at limit 1) z;
    update annotation_queuelane set floor_rank = coalesce(f.rank, floor_rank), floor_tiebreak = coalesce(f.tiebreak, floor_tiebreak), lease_floor = coalesce(v_lease, lease_floor)
      where id = l.id and epoch = l.epoch
        and (floor_rank, floor_tiebreak, lease_floor) is distinct from (coalesce(f.rank, floor_rank), coalesce(f.tiebreak, floor_tiebreak), coalesce(v_lease, lease_floor));
    get diagnostics k = row_count;
    n := n + k;
  end loop;
  return n;
end $$;

-- Plans ----------------------------------------------------------------------------------------------------------------
-- Plans are cached for as long as a connection lives, also those made while the tables were empty or small. Of the ways to
-- answer these queries only one stays good at any size: walk the index that has the order, probe the others for each row of
-- it, stop at the first. And one plan for all values: left to itself, PostgreSQL plans a query with an array among its
-- parameters anew on each call, which costs more than the query (half of a submit's time, measured).
-- "state = v_held" instead of "state = 1" (or v_submitted, 2) keeps the indexes that hold such seats alone out of where a seat is
-- looked up by its id or its item: after an hour of labelling under one long transaction that of the held ones is full of the dead
-- entries of the person's own answers. Where two indexes could serve, the order that is asked for names the right one.
create or replace procedure keep_plans(variadic p_functions text[]) language plpgsql as $$
declare f regprocedure;
begin
  for f in select oid::regprocedure from pg_proc where proname = any (p_functions) loop
    execute format('alter function %s set plan_cache_mode = force_generic_plan'
      ' set enable_seqscan = off set enable_bitmapscan = off set enable_sort = off set enable_hashjoin = off set enable_mergejoin = off', f);
  end loop;
end $$;

call keep_plans('queue_offer', 'queue_settle', 'queue_item_state', 'queue_open_dispute', 'queue_close_dispute', 'queue_care', 'queue_exposure', 'queue_claim', 'queue_show', 'queue_lease',
  'queue_answer', 'queue_renew', 'queue_give_back', 'queue_may_undo', 'queue_undo', 'queue_move_floors');
