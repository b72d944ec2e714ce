-- The posterior rule's hot part: what the answers to one question of one row come to under the newest fit, inside the submit's
-- transaction. A fit says how often each annotator gives each answer where each value is true; it is made in the worker
-- (reviewers/job_kinds/consensus.py). reviewers/algorithms/posterior.py says the same over arrays; a test compares them.

-- Which model is asked about an item, null: none. Where one answer beside a model's is enough, one item in five is people's alone: by those
-- people and model are judged (reviewers/algorithms/voter.py, is_checked, has the reason).
create or replace function reviewers_voter(p_rule jsonb, p_min int, p_item bigint) returns text language sql immutable as $$
  select p_rule ->> 'voter' where p_min >= 2 or p_item % 5 <> 0
$$;

-- fit null: there is nothing to weigh by, and the question is put to the vote. So it is before the first fit, where a fit found
-- that skill cannot be told, and where an answer is one that the fit does not know (a choice that came since).
-- p_voter: the model that the rule names as one more voter, null: people alone. It counts where the fit has found what it is worth
-- and it has said something of this item (`learning_said`, installed by the learning app): has_model, and method is told with "+model".
-- is_backed: what it says is what the answers come to.
-- `best` is a choice's id or a rating; posterior holds the chance of each value that has one of a millionth or more.
create or replace function reviewers_weigh(p_row bigint, p_project bigint, p_question smallint, p_item bigint default null, p_voter text default null,
  out fit bigint, out method text, out best int, out confidence float8, out posterior jsonb, out has_model boolean, out is_backed boolean) language plpgsql stable as $$
declare
  f record; v record; v_scores float8[]; v_top float8; v_total float8 := 0; v_at int := 1; v_said int; v_submitted constant smallint := 2;
begin
  has_model := false; is_backed := false;
  select x.id, x.method, x.values, x.log_prior, x.stranger, cardinality(x.values) as n, x.voter ->> 'name' as voter, x.voter_model, x.voter_chances
    into f from reviewers_consensusfit x where x.project_id = p_project and x.question = p_question and x.is_current;
  if f.id is null or cardinality(f.log_prior) = 0 then return; end if;
  v_scores := f.log_prior;
  for v in
    -- each step by the one index that can, whatever the plan; `choices` is in none that could be read from end to end in its place
    select array_position(f.values, coalesce(l.choice, l.number::int)) as said, coalesce(k.log_chances, f.stranger) as log_chances
    from annotation_seat s
      cross join lateral (select * from annotation_label x where x.annotation_id = s.annotation_id offset 0) l
      left join lateral (select * from reviewers_consensusannotator x where x.fit_id = f.id and x.person_id = s.person_id offset 0) k on true
    where s.queue_row_id = p_row and s.state = v_submitted and l.question = p_question and l.choices is null
  loop
    if v.said is null then return; end if;
    for j in 1..f.n loop
      v_scores[j] := v_scores[j] + v.log_chances[(v.said - 1) * f.n + j];
    end loop;
  end loop;
  if f.voter_model is not null and f.voter = p_voter then
    v_said := array_position(f.values, learning_said(f.voter_model, p_item));
    has_model := v_said is not null;
    if has_model then
      for j in 1..f.n loop
        v_scores[j] := v_scores[j] + f.voter_chances[(v_said - 1) * f.n + j];
      end loop;
    end if;
  end if;
  v_top := v_scores[1];
  for j in 2..f.n loop
    if v_scores[j] > v_top then v_top := v_scores[j]; v_at := j; end if;
  end loop;
  for j in 1..f.n loop
    v_scores[j] := exp(greatest(v_scores[j] - v_top, -700));      -- below that exp() refuses
    v_total := v_total + v_scores[j];
  end loop;
  select jsonb_object_agg(value, p) into posterior from (
    select f.values[j] as value, round((v_scores[j] / v_total)::numeric, 6) as p from generate_subscripts(v_scores, 1) j) x where p > 0;
  fit := f.id; method := f.method || case when has_model then '+model' else '' end; best := f.values[v_at]; confidence := v_scores[v_at] / v_total;
  is_backed := has_model and v_said = v_at;
end $$;

call keep_plans('reviewers_weigh');
