-- How much that is severe a person was handed, and what they may still be: asked by queue_lease (queue.sql), and by the page that
-- shows people their own count.
--
-- What a person was handed of severe items in the last 24 hours. Each seat says by itself what it counts for: `exposure` 2 is
-- a severe item, 1 something mild handed out after severe ones, 0 (all seats of those who have no severe lanes) nothing. So an
-- answer writes nothing more for it, and undo, skip, release and expiry take nothing back: the seat stays. Read are the
-- person's seats of one day that count, from an index that holds no others; nothing where no lane asks for care.
--
-- How long: an answer counts the active seconds that came with it, at most the time since the item was handed out; without
-- them, the time since then or since the item before it ended. What ended without an answer counts a minute at most: it may
-- have waited behind others, or the person was away. A seat held anew keeps what it counted for before.
create or replace function queue_earlier_seconds(s annotation_seat, p_seconds float8, p_now timestamptz) returns float8 language sql immutable as $$
  select case when s.exposure <> 2 or s.leased_at < p_now - interval '24 hours' then 0 else s.earlier_seconds + least(
    extract(epoch from greatest(coalesce(s.ended_at, s.expires_at) - s.leased_at, interval '0'))::float8, coalesce(p_seconds, 60)) end
$$;

-- n, seconds: of all projects; n_here, seconds_here: of one. first_at: when the oldest of them was handed out. in_a_row: how many
-- came one after the other up to now, with nothing mild and no pause of p_pause in between (counted up to p_row); last_at: when
-- the last of these ended.
create or replace function queue_exposure(
  p_project bigint, p_person bigint, p_now timestamptz, p_row int, p_pause interval,
  out n int, out seconds float8, out n_here int, out seconds_here float8, out first_at timestamptz, out in_a_row int, out last_at timestamptz
) language plpgsql as $$
declare v_next timestamptz := p_now; s record;
begin
  select count(*), coalesce(sum(t.seconds), 0), count(*) filter (where t.project_id = p_project), coalesce(sum(t.seconds) filter (where t.project_id = p_project), 0), min(t.leased_at)
    into n, seconds, n_here, seconds_here, first_at
  from (
    select x.project_id, x.leased_at, x.earlier_seconds + case
        when x.state = 1 and x.expires_at >= p_now then 0
        when x.state <> 2 then least(60, x.elapsed)
        when x.told is not null then least(x.told, extract(epoch from x.till - x.leased_at)::float8)
        else x.elapsed end as seconds
    from (
      select y.*, extract(epoch from greatest(y.till - greatest(y.leased_at, lag(y.till) over (order by y.till, y.id)), interval '0'))::float8 as elapsed
      from (
        select e.id, e.project_id, e.leased_at, e.expires_at, e.state, e.earlier_seconds,
          -- a probe for each, whatever the plan: the source is in no index, so that none can be read from end to end in its place
          (select a.seconds from annotation_annotation a where a.id = e.annotation_id and a.source <> '' limit 1) as told,
          coalesce(e.ended_at, least(e.expires_at, p_now)) as till
        from annotation_seat e
        where e.person_id = p_person and e.exposure = 2 and e.leased_at > p_now - interval '24 hours'
        order by e.leased_at offset 0) y) x) t;       -- in the order of the one index that holds no others, whatever the plan
  in_a_row := 0;
  for s in select e.exposure, e.leased_at, coalesce(e.ended_at, least(e.expires_at, p_now)) as till from annotation_seat e
    where e.person_id = p_person and e.exposure > 0 and e.leased_at > p_now - interval '24 hours' order by e.leased_at desc limit p_row
  loop
    exit when s.exposure = 1 or v_next - s.till >= p_pause;
    in_a_row := in_a_row + 1; v_next := s.leased_at; last_at := greatest(last_at, s.till);
  end loop;
end $$;

-- Which of the lanes of a person, some of which ask for care, they may be given now. declined: those with a harm that they opted out
-- of; severe, and calm_pool, calm_holdout: the lanes with and without severe items; n_left: how many severe items they may still be handed.
create or replace function queue_care(
  p_project bigint, p_person bigint, p_lanes bigint[], p_now timestamptz,
  out mine bigint[], out pool bigint[], out holdout bigint[], out calm_pool bigint[], out calm_holdout bigint[], out severe bigint[], out declined bigint[],
  out n_left int, out in_a_row int, out most_in_a_row int, out budget_in int, out pause_in int
) language plpgsql as $$
declare v_declined text[]; o record; e record;
begin
  -- Their requests in other projects count for the same budget: one at a time, from here to the commit. Whoever has this lock
  -- waits for nothing more.
  perform pg_advisory_xact_lock(hashtext('exposure'), p_person::int);
  select coalesce((select c.opted_out from annotation_careprofile c where c.person_id = p_person), '{}') into v_declined;
  select coalesce(array_agg(l.id) filter (where l.is_mine), '{}'), coalesce(array_agg(l.id) filter (where l.is_mine and l.stream = 0), '{}'),
      coalesce(array_agg(l.id) filter (where l.is_mine and l.stream = 1), '{}'),
      coalesce(array_agg(l.id) filter (where l.is_mine and l.stream = 0 and l.severity < 2), '{}'),
      coalesce(array_agg(l.id) filter (where l.is_mine and l.stream = 1 and l.severity < 2), '{}'),
      coalesce(array_agg(l.id) filter (where l.is_mine and l.severity >= 2), '{}'), coalesce(array_agg(l.id) filter (where not l.is_mine), '{}')
    into mine, pool, holdout, calm_pool, calm_holdout, severe, declined
    from (select a.id, a.stream, a.severity, not (string_to_array(a.harms, ',') && v_declined) as is_mine from annotation_queuelane a where a.id = any (p_lanes)) l;
  if cardinality(severe) = 0 then
    n_left := 0; in_a_row := 0; most_in_a_row := 1;
    return;
  end if;
  select g.severe_items, g.severe_minutes, least(g.severe_in_a_row, (p.care ->> 'severe_in_a_row')::int) as in_a_row,
      make_interval(secs => greatest(g.severe_pause_seconds, (p.care ->> 'severe_pause_seconds')::int)) as pause,
      (p.care ->> 'severe_items')::int as items_here, (p.care ->> 'severe_minutes')::int as minutes_here
    into strict o from annotation_organisation g, annotation_project p where p.id = p_project;
  select * into e from queue_exposure(p_project, p_person, p_now, o.in_a_row, o.pause);
  n_left := least(o.severe_items - e.n, o.items_here - e.n_here);
  if e.seconds >= o.severe_minutes * 60 or e.seconds_here >= o.minutes_here * 60 then n_left := 0; end if;
  in_a_row := e.in_a_row; most_in_a_row := case when o.pause > interval '0' then o.in_a_row else 2147483647 end;
  budget_in := greatest(1, ceil(extract(epoch from coalesce(e.first_at, p_now) + interval '24 hours' - p_now)));
  pause_in := greatest(1, ceil(extract(epoch from coalesce(e.last_at, p_now) + o.pause - p_now)));
end $$;
