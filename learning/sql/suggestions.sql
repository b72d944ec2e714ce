-- What the queue asks of the learning app when it opens a seat in a project that shows suggestions.

-- What the current models say of an item, for each question that the schema still asks and whose answer it still offers: [{question,
-- choice, choices, score, model, model_id}] in the order of the questions, choice a choice's id or a rating; where several choices may
-- hold, choices are all that do, perhaps none. Null where there is nothing to say.
-- Current models are few, and each has one score of an item: a handful of probes whatever the size of the project.
create or replace function learning_suggestion(p_project bigint, p_schema bigint, p_item bigint) returns jsonb language plpgsql stable as $$
declare v_told jsonb;
begin
  select jsonb_agg(jsonb_build_object('question', m.question, 'choice', s.choice, 'choices', s.choices, 'score', s.probability,
      'model', m.name || ' ' || m.version, 'model_id', m.id) order by m.question) into v_told
    from learning_modelversion m
    -- "offset 0": from each model to its one score of this item, whatever the plan
    cross join lateral (select x.choice, x.choices, x.probability from learning_score x where x.model_version_id = m.id and x.item_id = p_item offset 0) s
    where m.project_id = p_project and m.is_current and exists (
      select 1 from annotation_labelschema l cross join jsonb_array_elements(l.compiled -> 'questions') q
      where l.id = p_schema and (q ->> 'id')::int = m.question and q ->> 'kind' = m.kind and case q ->> 'kind'
        when 'choice' then q -> 'leaf_ids' @> to_jsonb(s.choice)
        when 'choices' then q -> 'leaf_ids' @> to_jsonb(s.choices) and (cardinality(s.choices) > 0 or not (q ->> 'required')::boolean)
        when 'rating' then s.choice between (q ->> 'min')::int and (q ->> 'max')::int else false end);
  return v_told;
end $$;

call keep_plans('learning_suggestion');
