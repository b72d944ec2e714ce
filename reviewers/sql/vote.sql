-- The vote rule, inside the submit's transaction and under the queue row's lock: the one thing of the reviewers app that
-- concerns a single item and cannot wait. The same rule in Python is reviewers/algorithms/consensus.py; a test compares them.

-- Votes on one question of one row, from the submitted seats that point to them (superseded labels do not vote). Of answers that
-- have no short name (spans, texts) n is all: votes stays empty.
create or replace function reviewers_count(p_row bigint, p_question smallint, p_kind text, out votes jsonb, out n int) language plpgsql stable as $$
declare v_submitted constant smallint := 2;   -- a variable: "= 2" would allow the index of what is submitted, to be read from end to end
begin
  with voted as (
    select l.choice, l.choices, l.number from annotation_seat s
      -- "offset 0" keeps the conditions apart: from each seat to its own labels, by the one index that can, whatever the plan
      cross join lateral (select * from annotation_label x where x.annotation_id = s.annotation_id offset 0) l
    where s.queue_row_id = p_row and s.state = v_submitted and l.question = p_question),
  counted as (
    select case p_kind when 'rating' then v.number::int::text when 'number' then v.number::text else coalesce(c, v.choice)::text end as value, count(*) as n
    from voted v left join lateral unnest(v.choices) c on p_kind = 'choices'
    where p_kind <> 'choices' or c is not null group by 1)
  select coalesce((select jsonb_object_agg(value, counted.n) from counted where value is not null), '{}'), (select count(*)::int from voted) into votes, n;
end $$;

-- One question's verdict. is_settled: the rule is met. confidence: the share of the winning side; for choices the weakest one's.
-- disagreement: the share of pairs of voters who differ; for choices the most split one's.
-- Of a number the middle vote (the lower one of two) stands for those within p_tolerance of it. Differences are taken in decimals,
-- as people wrote them: as doubles 0.4 and 0.3 lie more than 0.1 apart.
create or replace function reviewers_decide(p_kind text, p_rule text, p_votes jsonb, p_n int, p_tolerance numeric default 0,
  out is_settled boolean, out choice int, out choices int[], out number float8, out data jsonb, out confidence float8, out disagreement float8)
language plpgsql immutable as $$
declare v record; v_needed float8;
begin
  -- more votes than this: strictly more than half, or all
  v_needed := case p_rule when 'unanimous' then p_n - 0.5 else p_n / 2.0 end;
  is_settled := false; disagreement := 0;
  if p_n = 0 then return; end if;
  if p_kind = 'choices' then
    is_settled := true; confidence := 1; choices := '{}';
    for v in select key::int as id, value::int as n from jsonb_each_text(p_votes) order by key::int loop
      if v.n > v_needed then choices := choices || v.id; end if;
      is_settled := is_settled and greatest(v.n, p_n - v.n) > v_needed;
      confidence := least(confidence, greatest(v.n, p_n - v.n)::float8 / p_n);
      if p_n > 1 then disagreement := greatest(disagreement, 2.0 * v.n * (p_n - v.n) / (p_n * (p_n - 1.0))); end if;
    end loop;
    if not is_settled then choices := null; confidence := null; end if;
    return;
  end if;
  if p_kind = 'number' then
    with votes as (select key::numeric as x, value::int as n from jsonb_each_text(p_votes)),
    middle as (select x from (select x, sum(n) over (order by x) as n_up_to from votes) u where 2 * n_up_to >= p_n order by x limit 1)
    select m.x::float8 as x, (select sum(n) from votes where abs(votes.x - m.x) <= p_tolerance) as n,
        (select sum(a.n * b.n) from votes a join votes b on abs(a.x - b.x) <= p_tolerance) as n_alike into v from middle m;
    if v.n > v_needed then
      is_settled := true; confidence := v.n::float8 / p_n; number := v.x;
    end if;
    if p_n > 1 then disagreement := 1 - (v.n_alike - p_n) / (p_n * (p_n - 1.0)); end if;
    return;
  end if;
  select key, value::int as n into v from jsonb_each_text(p_votes) order by value::int desc, key::int limit 1;
  if v.n > v_needed then
    is_settled := true; confidence := v.n::float8 / p_n;
    if p_kind = 'rating' then number := v.key::float8; else choice := v.key::int; end if;
  end if;
  if p_n > 1 then
    select 1 - sum(value::int * (value::int - 1)) / (p_n * (p_n - 1.0)) into disagreement from jsonb_each_text(p_votes);
  end if;
end $$;

-- The verdict on a question with the column `data`, as reviewers_decide's. Spans, boxes and segments are voted on mark by mark (marks.sql).
-- Of all others the whole answers are counted: the one that most people gave stands. disagreement: the share of pairs of voters who differ.
create or replace function reviewers_match(p_row bigint, q jsonb, p_rule text,
  out is_settled boolean, out choice int, out choices int[], out number float8, out data jsonb, out confidence float8, out disagreement float8)
language plpgsql stable as $$
declare v_submitted constant smallint := 2; v_said jsonb[]; n int; v record;
begin
  is_settled := false; disagreement := 0;
  select coalesce(array_agg(l.data), '{}') into v_said from annotation_seat s
    cross join lateral (select * from annotation_label x where x.annotation_id = s.annotation_id offset 0) l
    where s.queue_row_id = p_row and s.state = v_submitted and l.question = (q ->> 'id')::smallint and l.data is not null;
  n := cardinality(v_said);
  if n = 0 then return; end if;
  if q ? 'least_overlap' then
    select m.is_settled, m.data, m.confidence, m.disagreement into is_settled, data, confidence, disagreement from reviewers_vote_marks(v_said, q, p_rule) m;
    return;
  end if;
  with counted as (select one, count(*)::int as n from unnest(v_said) one group by 1)
  select (array_agg(counted.one order by counted.n desc))[1] as best, max(counted.n) as n, sum(counted.n * (counted.n - 1)) as n_alike into v from counted;
  if v.n > (case p_rule when 'unanimous' then n - 0.5 else n / 2.0 end) then
    is_settled := true; confidence := v.n::float8 / n; data := v.best;
  end if;
  if n > 1 then disagreement := 1 - v.n_alike / (n * (n - 1.0)); end if;
end $$;

-- What was settled is open again: an answer was taken back, or one more is wanted. Votes are counted anew at the next settling.
create or replace function reviewers_reopen(p_item bigint, p_pass smallint, p_now timestamptz) returns void language sql as $$
  update reviewers_resolution set state = 0, choice = null, choices = null, number = null, data = null, confidence = null,
      votes = '{}', n_votes = 0, disagreement = 0, posterior = null, fit_id = null, version = version + 1, changed_at = p_now
    where item_id = p_item and pass_no = p_pass and state <> 3
$$;

-- What a rule makes of a row (with n_submitted already counted), and nothing is written. verdicts: one for each question that is
-- asked, where the row is settled; null where it stays open.
--   enough votes (as many as the row wants) and every required question settled -> 1 agreed
--   else one annotator more, up to the project's maximum                        -> 0 open
--   else                                                                        -> 2 disputed
--   as many different people skipped it as the project says                     -> 2 disputed, method 'skipped'
-- The posterior rule needs no more votes than the minimum: it settles a row as soon as the answers tell enough, and wants no
-- place then that nobody has taken. What it cannot weigh (other kinds, no fit yet) is settled by the majority. One answer is enough
-- for it only where a model has voted too and says the same; a model never settles anything alone.
create or replace function reviewers_judge(r annotation_queuerow, p_rule jsonb, p_min int, p_max int, p_skips int, p_questions jsonb,
  out overlap smallint, out state smallint, out verdicts jsonb, out is_skipped boolean) language plpgsql stable as $$
declare
  q jsonb; v record; d record; v_skips int; v_rule text; v_threshold float8; v_early boolean; v_open boolean := false; v_by_skips boolean := false;
  v_fit bigint; v_method text; v_best int; v_confidence float8; v_posterior jsonb; v_is_backed boolean;
  v_accepted jsonb := '{}';  -- question id -> its accepted choices
  v_asked boolean; v_verdicts jsonb := '[]';
begin
  overlap := r.overlap; state := 0;
  v_rule := p_rule ->> 'kind';
  if v_rule = 'posterior' then v_rule := 'majority'; v_threshold := (p_rule ->> 'threshold')::float8; end if;
  if r.n_submitted < r.overlap then
    v_early := v_threshold is not null and r.n_submitted >= p_min;
    select count(*) filter (where s.state = 3) into v_skips from annotation_seat s where s.queue_row_id = r.id;
    v_by_skips := v_skips >= p_skips;
    if not v_by_skips and not v_early then return; end if;
  end if;

  for q in select * from jsonb_array_elements(p_questions) loop
    select * into v from reviewers_count(r.id, (q ->> 'id')::smallint, q ->> 'kind');
    case q ->> 'column'
      when 'data' then
        select * into d from reviewers_match(r.id, q, v_rule);
      when 'text' then      -- nobody votes on a text: it is there or it is not
        select v.n > 0 as is_settled, null::int as choice, null::int[] as choices, null::float8 as number, null::jsonb as data,
          null::float8 as confidence, 0::float8 as disagreement into d;
      else
        select * into d from reviewers_decide(q ->> 'kind', v_rule, v.votes, v.n, coalesce((q ->> 'tolerance')::numeric, 0));
    end case;
    v_fit := null; v_method := v_rule; v_posterior := null; v_is_backed := false;
    if v_threshold is not null and v.n > 0 and q ->> 'kind' in ('choice', 'rating') then
      select w.fit, coalesce(w.method, v_rule), w.best, w.confidence, w.posterior, w.is_backed
        into v_fit, v_method, v_best, v_confidence, v_posterior, v_is_backed
        from reviewers_weigh(r.id, r.project_id, (q ->> 'id')::smallint, r.item_id, reviewers_voter(p_rule, p_min, r.item_id)) w;
      if v_fit is not null then
        d.is_settled := v_confidence >= v_threshold;
        d.choice := case when d.is_settled and q ->> 'kind' = 'choice' then v_best end;
        d.number := case when d.is_settled and q ->> 'kind' = 'rating' then v_best end;
        d.confidence := case when d.is_settled then v_confidence end;
      end if;
    end if;
    if v_threshold is not null and p_min < 2 and r.n_submitted < 2 and not v_is_backed and q ->> 'column' <> 'text' then d.is_settled := false; end if;
    -- "Not asked" is not a missing vote: a conditional question counts once its condition is accepted.
    v_asked := coalesce(jsonb_typeof(q -> 'when'), 'null') = 'null' or exists (
      select 1 from jsonb_array_elements(v_accepted -> (q -> 'when' ->> 'question_id')) x where x in (select jsonb_array_elements(q -> 'when' -> 'choice_ids')));
    if not v_asked then continue; end if;
    -- Everybody chose something and nothing is agreed on: of a required question "none of them" is no answer.
    if v_by_skips or (d.choices = '{}' and (q ->> 'required')::boolean) then d.is_settled := false; end if;
    if d.is_settled and q ->> 'kind' in ('choice', 'choices') then
      v_accepted := v_accepted || jsonb_build_object(q ->> 'id', case when d.choice is null then d.choices else array[d.choice] end);
    end if;
    if not d.is_settled and (q ->> 'required')::boolean then v_open := true; end if;
    v_verdicts := v_verdicts || jsonb_build_object('q', q -> 'id', 'required', q -> 'required', 'settled', d.is_settled, 'choice', d.choice, 'choices', to_jsonb(d.choices),
      'number', d.number, 'data', d.data, 'confidence', d.confidence, 'votes', v.votes, 'n', v.n, 'disagreement', d.disagreement,
      'method', case when v_by_skips then 'skipped' else v_method end, 'fit', v_fit, 'posterior', v_posterior);
  end loop;

  if v_open and not v_by_skips and r.n_submitted < r.overlap then return; end if;      -- looked at early, and its places are still wanted
  if v_open and not v_by_skips and r.overlap < p_max then
    overlap := r.overlap + 1;        -- ask one more
    return;
  end if;
  if not v_by_skips and r.n_submitted < r.overlap then overlap := r.n_submitted; end if;
  state := case when v_open or v_by_skips then 2 else 1 end;
  verdicts := v_verdicts; is_skipped := v_by_skips and not v_open;
end $$;

-- Look at a row (with n_submitted already counted) and say what its state and overlap are now; keep the resolutions.
create or replace function reviewers_vote(r annotation_queuerow, p_now timestamptz, out overlap smallint, out state smallint) language plpgsql as $$
declare prj record; j record; v_taken int;
begin
  select p.overlap_min, p.overlap_max, p.rule, p.skips_to_dispute, s.compiled -> 'questions' as questions into strict prj
    from annotation_project p join annotation_labelschema s on s.id = p.schema_id where p.id = r.project_id;
  select * into j from reviewers_judge(r, prj.rule, prj.overlap_min, prj.overlap_max, prj.skips_to_dispute, prj.questions);
  overlap := j.overlap; state := j.state;
  if overlap < r.overlap then
    -- Settled before its places were used up: those that nobody has taken go. Nobody takes one meanwhile (Q1).
    perform 1 from annotation_offer where queue_row_id = r.id for update;
    select count(*) into v_taken from annotation_seat s where s.queue_row_id = r.id and s.state in (1, 2);
    overlap := least(r.overlap, greatest(overlap, v_taken));
  end if;
  if j.verdicts is null then
    if r.state in (1, 2) then perform reviewers_reopen(r.item_id, r.pass_no, p_now); end if;
    return;
  end if;
  if jsonb_array_length(prj.questions) > 1 then      -- a question that is asked no longer has no answer
    delete from reviewers_resolution x where x.item_id = r.item_id and x.pass_no = r.pass_no and x.state <> 3
      and not exists (select 1 from jsonb_array_elements(j.verdicts) z where (z ->> 'q')::smallint = x.question);
  end if;
  insert into reviewers_resolution as x (project_id, item_id, question, pass_no, state, choice, choices, number, data, confidence, method, votes, n_votes, disagreement, posterior, fit_id, version, changed_at)
    select r.project_id, r.item_id, z.q, r.pass_no, case when z.settled then 1 when z.required or j.is_skipped then 2 else 0 end,
      case when z.settled then z.choice end, case when z.settled then z.choices end, case when z.settled then z.number end, case when z.settled then z.data end,
      case when z.settled then z.confidence end, z.method,
      z.votes, z.n, z.disagreement, z.posterior, z.fit, 1, p_now
    from jsonb_to_recordset(j.verdicts) as z(q smallint, required boolean, settled boolean, choice int, choices int[], number float8, data jsonb, confidence float8, method text,
      votes jsonb, n smallint, disagreement float8, posterior jsonb, fit bigint)
    on conflict (item_id, question, pass_no) do update set state = excluded.state, choice = excluded.choice, choices = excluded.choices, number = excluded.number,
      data = excluded.data, confidence = excluded.confidence, method = excluded.method, votes = excluded.votes, n_votes = excluded.n_votes, disagreement = excluded.disagreement,
      posterior = excluded.posterior, fit_id = excluded.fit_id, version = x.version + 1, changed_at = excluded.changed_at
      where x.state <> 3      -- and a version that stays says that nothing changed: nor does a hundredth that another fit makes
        and ((x.state, x.choice, x.choices, x.number, x.data, x.method, x.votes, x.n_votes, x.confidence is null)
            is distinct from (excluded.state, excluded.choice, excluded.choices, excluded.number, excluded.data, excluded.method, excluded.votes, excluded.n_votes, excluded.confidence is null)
          or case when excluded.fit_id is null then x.confidence <> excluded.confidence else abs(x.confidence - excluded.confidence) >= 0.01 end);
end $$;

create or replace trigger append_only before update or delete on reviewers_adjudication for each row execute function refuse_change();

call keep_plans('reviewers_count', 'reviewers_match', 'reviewers_judge', 'reviewers_vote');
