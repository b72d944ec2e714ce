-- What the rule asks of an outside model that votes beside people (reviewers/consensus/voters.py, reviewers/sql/posterior.sql). Only
-- models whose predictions were sent in, and only about items of the pool: by the holdout models are judged. A language model that has
-- not passed its gate says nothing here.

-- Whether models of that name were trained here or sent in ('trained', 'external'); null: none has that name.
create or replace function learning_origin(p_project bigint, p_name text) returns text language sql stable as $$
  select max(m.origin) from learning_modelversion m where m.project_id = p_project and m.name = p_name and not m.is_barred
$$;

-- The versions of the models that were sent in, of each question the newest first, and whether they have said p_least answers or more.
-- Of questions that are weighed only: one answer out of several. What was sent when a question was of another kind does not count.
create or replace function learning_outside(p_project bigint, p_least int, out question smallint, out name text, out version text, out model bigint, out has_enough boolean)
returns setof record language sql stable as $$
  select m.question, m.name, m.version, m.id, (select count(*) from (select from learning_score s where s.model_version_id = m.id limit p_least) x) = p_least
  from annotation_project p join annotation_labelschema l on l.id = p.schema_id cross join jsonb_array_elements(l.compiled -> 'questions') q
    join learning_modelversion m on m.project_id = p.id and m.question = (q ->> 'id')::int and m.kind = q ->> 'kind'
  where p.id = p_project and m.origin = 'external' and m.kind in ('choice', 'rating') and not m.is_barred
  order by m.question, m.id desc
$$;

-- What a version says of some items: a model has one row of an item.
create or replace function learning_sent(p_model bigint, p_first bigint, p_end bigint, out item bigint, out choice int)
returns setof record language sql stable as $$
  select s.item_id, s.choice from learning_score s join annotation_item i on i.id = s.item_id
  where s.model_version_id = p_model and s.item_id >= p_first and s.item_id < p_end and i.split = 0
$$;

-- The same of one item, inside a submit: two probes of one row each.
create or replace function learning_said(p_model bigint, p_item bigint) returns int language plpgsql stable as $$
begin
  return (select s.choice from learning_score s where s.model_version_id = p_model and s.item_id = p_item
    and exists (select 1 from annotation_item i where i.id = p_item and i.split = 0));
end $$;

call keep_plans('learning_said');
