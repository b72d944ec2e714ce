-- Spans, boxes and segments: the vote on them, mark by mark, inside the submit's transaction; and when two answers are the same.
-- reviewers/algorithms/mark_votes.py says in Python what is voted on here; a test compares them.

-- The marks (spans, boxes, segments) of an answer as rectangles of numbers as they were written; a stretch is 1 high.
create or replace function reviewers_marks(p_marks jsonb, out no int, out mark jsonb, out part text, out label int, out kin text,
  out x numeric, out to_x numeric, out y numeric, out to_y numeric)
returns setof record language sql immutable as $$
  select z.no::int, m, (m ->> 'part') collate "C", (m ->> 'label')::int, (m ->> 'label') || ' ' || (m ->> 'part') collate "C", coalesce(m ->> 'start', m ->> 'x')::numeric,
    coalesce((m ->> 'end')::numeric, (m ->> 'x')::numeric + (m ->> 'w')::numeric),
    coalesce((m ->> 'y')::numeric, 0), coalesce((m ->> 'y')::numeric + (m ->> 'h')::numeric, 1)
  from jsonb_array_elements(p_marks) with ordinality z(m, no)
$$;

-- Whether two rectangles overlap at least so far: intersection over union, in decimals.
create or replace function reviewers_near(x numeric, to_x numeric, y numeric, to_y numeric, u numeric, to_u numeric, v numeric, to_v numeric, p_overlap numeric)
returns boolean language sql immutable as $$
  select x < to_u and u < to_x and y < to_v and v < to_y
    and (1 + p_overlap) * (least(to_x, to_u) - greatest(x, u)) * (least(to_y, to_v) - greatest(y, v))
      >= p_overlap * ((to_x - x) * (to_y - y) + (to_u - u) * (to_v - v))
$$;

-- Whether two stored answers of a question with the column `data` are the same. p_overlap null: equal. Else each mark of the one
-- must be paired with one of the other: of the same part and label, and overlapping at least so far. annotation/kinds/marks.py says
-- the same in Python. What is usual is told by one walk along both answers in order (other labels, or each mark beside its like), or by
-- a mark that is beside none. Only where that tells nothing all pairs are looked at, for a largest matching by augmenting paths.
create or replace function reviewers_same(a jsonb, b jsonb, p_overlap numeric) returns boolean language plpgsql immutable as $$
declare
  n int; v_is_kin boolean; v_is_near boolean; v_is_alone boolean; v_near int[]; v_begin int[]; v_of_left int[]; v_of_right int[]; v_from int[]; v_waiting int[];
  v_at int; v_left int; v_free int; v_next int; v_right int;
begin
  if a is null or b is null then return a is null and b is null; end if;
  if a = b then return true; end if;
  n := jsonb_array_length(a);
  if p_overlap is null or n <> jsonb_array_length(b) then return false; end if;
  with sides as (select 1 as side, m.* from reviewers_marks(a) m union all select 2, m.* from reviewers_marks(b) m),
  placed as (select s.*, row_number() over (partition by side order by kin, x, to_x, y, to_y) as place from sides s),
  zipped as (      -- lead(): the mark of b in the same place
    select side, kin, x, to_x, y, to_y, lead(kin) over w as kin_b, lead(x) over w as u, lead(to_x) over w as to_u, lead(y) over w as v, lead(to_y) over w as to_v
    from placed window w as (order by place, side))
  select bool_and(kin = kin_b), bool_and(reviewers_near(x, to_x, y, to_y, u, to_u, v, to_v, p_overlap)) into v_is_kin, v_is_near from zipped where side = 1;
  if not v_is_kin or v_is_near then return v_is_kin; end if;
  with l as materialized (select * from reviewers_marks(a)), r as materialized (select * from reviewers_marks(b))
  select exists (select 1 from l where not exists (
        select 1 from r where r.kin = l.kin and reviewers_near(l.x, l.to_x, l.y, l.to_y, r.x, r.to_x, r.y, r.to_y, p_overlap)))
      or exists (select 1 from r where not exists (
        select 1 from l where r.kin = l.kin and reviewers_near(l.x, l.to_x, l.y, l.to_y, r.x, r.to_x, r.y, r.to_y, p_overlap))) into v_is_alone;
  if v_is_alone then return false; end if;

  with l as materialized (select * from reviewers_marks(a)), r as materialized (select * from reviewers_marks(b)),
  pairs as (select l.no as i, r.no as j from l join r on l.kin = r.kin and reviewers_near(l.x, l.to_x, l.y, l.to_y, r.x, r.to_x, r.y, r.to_y, p_overlap))
  select array_agg(j order by i, j), array_agg(i order by i, j) into v_near, v_waiting from pairs;
  -- v_near[v_begin[i]] to v_near[v_begin[i + 1] - 1]: the marks of b beside mark i of a
  v_begin := array_fill(0, array[n + 1]); v_begin[n + 1] := coalesce(cardinality(v_near), 0) + 1;
  for k in reverse coalesce(cardinality(v_near), 0)..1 loop v_begin[v_waiting[k]] := k; end loop;
  v_of_left := array_fill(0, array[n]); v_of_right := v_of_left;
  for i in 1..n loop
    v_from := array_fill(0, array[n]); v_waiting := array[i]; v_at := 1; v_free := 0;
    while v_at <= cardinality(v_waiting) and v_free = 0 loop
      v_left := v_waiting[v_at]; v_at := v_at + 1;
      for k in v_begin[v_left]..v_begin[v_left + 1] - 1 loop
        v_right := v_near[k];
        if v_from[v_right] = 0 then
          v_from[v_right] := v_left;
          if v_of_right[v_right] = 0 then v_free := v_right; exit; end if;
          v_waiting := v_waiting || v_of_right[v_right];
        end if;
      end loop;
    end loop;
    if v_free = 0 then return false; end if;       -- one without a partner is enough
    while v_free <> 0 loop
      v_left := v_from[v_free]; v_next := v_of_left[v_left];
      v_of_right[v_free] := v_left; v_of_left[v_left] := v_free; v_free := v_next;
    end loop;
  end loop;
  return true;
end $$;

-- The verdict on the marks of some answers, as reviewers_decide's. Marks are put into groups, and each group to the vote.
--   groups: the same mark of several people is one mark. Of a question with `least_overlap` two groups come together, those with the
--     marks that overlap most first (ties by the order of the marks), where nobody has a mark in both and one mark of the two is near all
--     others. That mark stands for the group; of several such the one that overlaps all of them together most, or stands first.
--   in: more than half of the answers (all) have a mark in the group.
--   out: more than half have nothing there: no mark that touches one of the group but those that are in. While no group is in, the
--     item is one place: "nothing marked" wants more than half of the answers to be empty.
-- Settled: each group is in or out, and those that are in make an answer that the question takes.
-- confidence: of the group that is in or out by the fewest answers. disagreement: the share of pairs of voters of whom one alone has a
-- mark in the group, of the most split one.
create or replace function reviewers_vote_marks(p_said jsonb[], q jsonb, p_rule text,
  out is_settled boolean, out data jsonb, out confidence float8, out disagreement float8) language plpgsql immutable as $$
declare
  n int := cardinality(p_said); v_needed float8; v_least numeric := (q ->> 'least_overlap')::numeric; i int; j int; v_first int;
  -- Of each different mark, in their order. v_drew, v_voters: a bit for each voter. Other bits are one for each mark.
  n_marks int; v_marks jsonb[]; v_parts text[]; v_labels int[]; v_x numeric[]; v_to_x numeric[]; v_y numeric[]; v_to_y numeric[]; v_drew bit varying[];
  v_nobody bit varying; v_nowhere bit varying;
  -- Pairs of marks that are near, those that overlap most first, in billionths.
  v_left int[]; v_right int[]; v_overlaps bigint[];
  -- v_of: the first mark of a mark's group (on the way there: an earlier one). Of a group, at its first mark: who drew it, its marks,
  -- the marks that are near all of these, and the one that stands for it. v_totals: how far a mark overlaps what its group drew.
  v_of int[]; v_voters bit varying[]; v_members bit varying[]; v_common bit varying[]; v_best int[]; v_totals bigint[];
  v_in int[] := '{}'; v_is_in boolean[]; n_votes int; n_away int;
begin
  is_settled := false; disagreement := 0;
  if n = 0 then return; end if;
  v_needed := case p_rule when 'unanimous' then n - 0.5 else n / 2.0 end;
  v_nobody := repeat('0', n)::bit varying;
  with drawn as (
    select part, label, x, to_x, y, to_y, (array_agg(mark))[1] as mark, bit_or(set_bit(v_nobody, a.no::int - 1, 1)) as drew
    from unnest(p_said) with ordinality a(said, no) cross join lateral reviewers_marks(a.said) m group by part, x, y, to_x, to_y, label)
  select count(*), array_agg(mark order by place), array_agg(part order by place), array_agg(label order by place), array_agg(x order by place),
      array_agg(to_x order by place), array_agg(y order by place), array_agg(to_y order by place), array_agg(drew order by place), array_agg(place::int order by place)
    into n_marks, v_marks, v_parts, v_labels, v_x, v_to_x, v_y, v_to_y, v_drew, v_of
    from (select drawn.*, row_number() over (order by part, x, y, to_x, to_y, label) as place from drawn) z;
  v_voters := v_drew; v_best := v_of;

  if v_least is not null and n_marks > 1 then
    -- Doubles sort out, quickly, most of what is apart, and nothing else: rounding keeps the order of numbers, and where it could
    -- tell on an overlap there is slack. What is left is looked at in decimals, as people wrote them.
    with m as materialized (
      select no::int, label, part, drew, x, to_x, y, to_y, (to_x - x) * (to_y - y) as size, x::float8 as fx, to_x::float8 as fto_x, y::float8 as fy, to_y::float8 as fto_y,
        ((to_x - x) * (to_y - y))::float8 as fsize, 1e-12::float8 * max(greatest(to_x, to_y)::float8) over () as slack
      from unnest(v_labels, v_parts, v_drew, v_x, v_to_x, v_y, v_to_y) with ordinality z(label, part, drew, x, to_x, y, to_y, no) where bit_count(drew) < n),
    beside as (
      select a.no as a, b.no as b, a.size + b.size as sizes, (least(a.to_x, b.to_x) - greatest(a.x, b.x)) * (least(a.to_y, b.to_y) - greatest(a.y, b.y)) as common
      from m a join m b on a.label = b.label and a.part = b.part and a.no < b.no and a.fx <= b.fto_x and b.fx <= a.fto_x and a.fy <= b.fto_y and b.fy <= a.fto_y
        and (1 + v_least::float8) * (least(a.fto_x, b.fto_x) - greatest(a.fx, b.fx) + a.slack) * (least(a.fto_y, b.fto_y) - greatest(a.fy, b.fy) + a.slack)
          >= (1 - 1e-9::float8) * v_least::float8 * (a.fsize + b.fsize)
      where (a.drew & b.drew) = v_nobody offset 0),
    near as (
      select a, b, div(2000000000 * common + sizes - common, 2 * (sizes - common))::bigint as overlap
      from beside where common > 0 and (1 + v_least) * common >= v_least * sizes order by overlap desc, a, b)
    select array_agg(a), array_agg(b), array_agg(overlap) into v_left, v_right, v_overlaps from near;
  end if;

  if v_left is not null then
    v_nowhere := repeat('0', n_marks)::bit varying;
    with ends as (select a, b from unnest(v_left, v_right) z(a, b) union all select b, a from unnest(v_left, v_right) z(a, b) union all select a, a from unnest(v_of) a)
    select array_agg(beside order by a), array_agg(set_bit(v_nowhere, a - 1, 1) order by a), array_agg(1000000000 * bit_count(v_drew[a]) order by a)
      into v_common, v_members, v_totals
      from (select a, bit_or(set_bit(v_nowhere, b - 1, 1)) as beside from ends group by a) z;
    for k in 1..cardinality(v_left) loop
      i := v_left[k]; while v_of[i] <> i loop i := v_of[i]; end loop;
      j := v_right[k]; while v_of[j] <> j loop j := v_of[j]; end loop;
      if i <> j and (v_voters[i] & v_voters[j]) = v_nobody and ((v_members[i] | v_members[j]) & v_common[i] & v_common[j]) <> v_nowhere then
        v_first := least(i, j); j := greatest(i, j); i := v_first;
        v_of[j] := i; v_voters[i] := v_voters[i] | v_voters[j]; v_members[i] := v_members[i] | v_members[j]; v_common[i] := v_common[i] & v_common[j];
        j := i;
      end if;
      if i = j then      -- of a mark that is near all of its group in the end, every pair comes by here: nothing keeps those apart
        v_totals[v_left[k]] := v_totals[v_left[k]] + v_overlaps[k] * bit_count(v_drew[v_right[k]]);
        v_totals[v_right[k]] := v_totals[v_right[k]] + v_overlaps[k] * bit_count(v_drew[v_left[k]]);
      end if;
    end loop;
    for k in 1..n_marks loop
      i := v_of[v_of[k]]; v_of[k] := i;
      if get_bit(v_common[i], k - 1) = 1 and (get_bit(v_common[i], v_best[i] - 1) = 0 or v_totals[k] > v_totals[v_best[i]]) then v_best[i] := k; end if;
    end loop;
  end if;

  confidence := 1; v_is_in := array_fill(false, array[n_marks]);
  for k in 1..n_marks loop
    if v_of[k] = k then
      n_votes := bit_count(v_voters[k]);
      if n > 1 then disagreement := greatest(disagreement, 2.0 * n_votes * (n - n_votes) / (n * (n - 1.0))); end if;
      if n_votes > v_needed then
        v_in := v_in || v_best[k]; v_is_in[k] := true; confidence := least(confidence, n_votes::float8 / n);
      end if;
    end if;
  end loop;
  if v_in = '{}' then
    select n - coalesce(bit_count(bit_or(drew)), 0) into n_away from unnest(v_drew) drew;
  else
    with rest as materialized (
      select z.*, v_of[no] as of, x::float8 as fx, to_x::float8 as fto_x, y::float8 as fy, to_y::float8 as fto_y
      from unnest(v_parts, v_x, v_to_x, v_y, v_to_y, v_drew) with ordinality z(part, x, to_x, y, to_y, drew, no) where not v_is_in[v_of[no]])
    select coalesce(min(z.n_away), n) into n_away from (
      select n - bit_count(bit_or(b.drew)) as n_away
      from rest a join rest b on a.part = b.part and a.fx <= b.fto_x and b.fx <= a.fto_x and a.fy <= b.fto_y and b.fy <= a.fto_y
        and (a.of = b.of or a.x < b.to_x and b.x < a.to_x and a.y < b.to_y and b.y < a.to_y)
      group by a.of) z;
  end if;
  if n_marks > 0 then confidence := least(confidence, n_away::float8 / n); end if;
  is_settled := n_away > v_needed and cardinality(v_in) between coalesce((q ->> 'min')::int, 0) and coalesce((q ->> 'max')::int, cardinality(v_in))
    and (q ->> 'kind' <> 'spans' or coalesce((q ->> 'overlapping')::boolean, false) or not exists (
      select 1 from unnest(v_in) a join unnest(v_in) b on a < b and v_parts[a] = v_parts[b] and v_x[a] < v_to_x[b] and v_x[b] < v_to_x[a]
        and v_y[a] < v_to_y[b] and v_y[b] < v_to_y[a]));
  if is_settled then
    select coalesce(jsonb_agg(v_marks[no] order by no), '[]') into data from unnest(v_in) no;
  else
    confidence := null;
  end if;
end $$;

-- Called from functions that keep to nested loops; here rows are few and in memory, and each statement is planned once.
alter function reviewers_vote_marks set plan_cache_mode = force_generic_plan set enable_hashjoin = on set enable_sort = on set jit = off;
