-- Votes counted beside the labels, for agreement: which vectors of votes there are, and on how many items each. Folded from
-- events in batches (reviewers/consumers.py), never by a submit. An event only says at which items to look: what is counted is
-- what stands now, so that an event read twice, late or in another order does no harm.

-- The votes that stand on some items, one row for each question of an item that has any: the labels that the submitted seats of
-- the newest pass point to. As reviewers/loading.py has them.
create or replace function agreement_votes(p_project bigint, p_items bigint[], p_questions smallint[])
returns table (item_id bigint, question smallint, votes text, persons bigint[]) language sql stable as $$
  with said as (
    select q.item_id, l.question, s.person_id,
      case when l.choice is not null then l.choice::text when l.choices is not null then array_to_string(l.choices, ',')
        else l.number::int::text end as value
    from annotation_queuerow q
    join annotation_seat s on s.queue_row_id = q.id and s.state = 2
    join annotation_label l on l.annotation_id = s.annotation_id and l.question = any (p_questions)
    where q.item_id = any (p_items) and q.project_id = p_project and q.kind in (1, 4)
      and not exists (select 1 from annotation_queuerow n where n.item_id = q.item_id and n.kind = 4 and n.pass_no > q.pass_no)),
  counted as (
    select c.*, count(*) over same as n, row_number() over same = 1 as is_first from said c
    window same as (partition by c.item_id, c.question, c.value order by c.person_id rows between unbounded preceding and unbounded following))
  select c.item_id, c.question, string_agg(c.value || ':' || c.n, ';' order by c.value collate "C") filter (where c.is_first),
    array_agg(c.person_id order by c.person_id)
  from counted c group by 1, 2
$$;

-- Count the votes on some items anew, and move them in the histogram from where they were counted before. One at a time in a
-- project; the statement after the lock sees what the one before has stored. Returns how many questions of items changed.
create or replace function agreement_fold(p_project bigint, p_items bigint[], p_questions smallint[]) returns int language plpgsql as $$
declare v_changed int;
begin
  perform pg_advisory_xact_lock(hashtext('agreement'), p_project::int);
  with now as materialized (select * from agreement_votes(p_project, p_items, p_questions)),
  was as materialized (select * from reviewers_agreementitem w where w.item_id = any (p_items) and w.project_id = p_project),
  changed as materialized (
    select coalesce(n.item_id, w.item_id) as item_id, coalesce(n.question, w.question) as question,
      w.votes as old_votes, w.persons as old_persons, n.votes, n.persons
    from now n full join was w on w.item_id = n.item_id and w.question = n.question
    where (n.votes, n.persons) is distinct from (w.votes, w.persons)),
  gone as (
    delete from reviewers_agreementitem x using changed c where c.votes is null and x.item_id = c.item_id and x.question = c.question),
  kept as (
    insert into reviewers_agreementitem (project_id, item_id, question, votes, persons)
      select p_project, c.item_id, c.question, c.votes, c.persons from changed c where c.votes is not null
      on conflict (item_id, question) do update set votes = excluded.votes, persons = excluded.persons),
  moved as (
    select d.question, d.votes, sum(d.n) as n from (
      select c.question, c.old_votes as votes, -1 as n from changed c where c.old_votes is not null
      union all select c.question, c.votes, 1 from changed c where c.votes is not null) d
    group by 1, 2 having sum(d.n) <> 0),
  counts as (
    insert into reviewers_agreementcount as x (project_id, question, votes, n_items) select p_project, m.question, m.votes, m.n from moved m
      on conflict (project_id, question, md5(votes)) do update set n_items = x.n_items + excluded.n_items),
  people as (
    select d.question, d.person_id, sum(d.n) as n_labels, coalesce(sum(d.n) filter (where d.is_shared), 0) as n_shared from (
      select c.question, p.id as person_id, -1 as n, cardinality(c.old_persons) > 1 as is_shared from changed c cross join unnest(c.old_persons) p(id)
      union all select c.question, p.id, 1, cardinality(c.persons) > 1 from changed c cross join unnest(c.persons) p(id)) d
    group by 1, 2),
  voters as (
    insert into reviewers_agreementvoter as x (project_id, question, person_id, n_labels, n_shared)
      select p_project, p.question, p.person_id, p.n_labels, p.n_shared from people p where p.n_labels <> 0 or p.n_shared <> 0
      on conflict (project_id, question, person_id) do update
        set n_labels = x.n_labels + excluded.n_labels, n_shared = x.n_shared + excluded.n_shared)
  select count(*) into v_changed from changed;
  return v_changed;
end $$;

-- Of some items, what was counted and is not so. What changed in the last seconds and was not folded yet is among it.
create or replace function agreement_differ(p_project bigint, p_items bigint[], p_questions smallint[])
returns table (item_id bigint, question smallint, counted text, stands text) language sql stable as $$
  select coalesce(n.item_id, w.item_id), coalesce(n.question, w.question), w.votes || ' ' || w.persons::text, n.votes || ' ' || n.persons::text
  from agreement_votes(p_project, p_items, p_questions) n
  full join (select * from reviewers_agreementitem x where x.item_id = any (p_items) and x.question = any (p_questions)) w
    on w.item_id = n.item_id and w.question = n.question
  where (n.votes, n.persons) is distinct from (w.votes, w.persons)
$$;

-- Make the histogram and the people's counts what the counted items come to. Returns how many of each were not so.
create or replace function agreement_sum_up(p_project bigint, out n_counts int, out n_voters int) language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtext('agreement'), p_project::int);
  with summed as (
    select x.question, x.votes, count(*) as n from reviewers_agreementitem x where x.project_id = p_project group by 1, 2),
  wrong as materialized (
    select coalesce(s.question, c.question) as question, coalesce(s.votes, c.votes) as votes, coalesce(s.n, 0) as n
    from summed s full join (select * from reviewers_agreementcount z where z.project_id = p_project) c
      on c.question = s.question and c.votes = s.votes
    where coalesce(s.n, 0) <> coalesce(c.n_items, 0)),
  done as (
    insert into reviewers_agreementcount (project_id, question, votes, n_items) select p_project, w.question, w.votes, w.n from wrong w
      on conflict (project_id, question, md5(votes)) do update set n_items = excluded.n_items)
  select count(*) into n_counts from wrong;
  with summed as (
    select x.question, p.id as person_id, count(*) as n, count(*) filter (where cardinality(x.persons) > 1) as n_shared
    from reviewers_agreementitem x cross join unnest(x.persons) p(id) where x.project_id = p_project group by 1, 2),
  wrong as materialized (
    select coalesce(s.question, v.question) as question, coalesce(s.person_id, v.person_id) as person_id,
      coalesce(s.n, 0) as n, coalesce(s.n_shared, 0) as n_shared
    from summed s full join (select * from reviewers_agreementvoter z where z.project_id = p_project) v
      on v.question = s.question and v.person_id = s.person_id
    where (coalesce(s.n, 0), coalesce(s.n_shared, 0)) <> (coalesce(v.n_labels, 0), coalesce(v.n_shared, 0))),
  done as (
    insert into reviewers_agreementvoter (project_id, question, person_id, n_labels, n_shared)
      select p_project, w.question, w.person_id, w.n, w.n_shared from wrong w
      on conflict (project_id, question, person_id) do update set n_labels = excluded.n_labels, n_shared = excluded.n_shared)
  select count(*) into n_voters from wrong;
end $$;

-- From the items to their rows, seats and labels by keys, however large the batch and however old the statistics.
alter function agreement_votes set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off;
-- The counts of a project change with each batch: room for the next version on the same page.
alter table reviewers_agreementcount set (fillfactor = 50);
alter table reviewers_agreementvoter set (fillfactor = 50);
