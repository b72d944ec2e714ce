-- What the ORM cannot say about the tables: history that refuses change, per-table settings, the words index.

create or replace function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% rows are never changed or deleted: write a new one', tg_table_name using errcode = 'restrict_violation';
end $$;

do $$
declare t text;
begin
  foreach t in array array['annotation_annotation', 'annotation_label', 'annotation_labelschema', 'annotation_guideline', 'annotation_event'] loop
    execute format('create or replace trigger append_only before update or delete on %I for each row execute function refuse_change()', t);
  end loop;
end $$;

-- Room on the page for the next version of a hot row, so that an update stays on it (HOT).
alter table annotation_queuerow set (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
alter table annotation_seat set (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
alter table annotation_queuecursor set (fillfactor = 40);
alter table annotation_queuelane set (fillfactor = 50);

-- An event carries the transaction that wrote it, and the database's time.
alter table annotation_event alter column xid set default pg_current_xact_id();
alter table annotation_event alter column at set default clock_timestamp();

-- The words of an item's text parts: `q=` on the items page. Of a very long text the beginning, because a tsvector has a limit
-- and a text has none; cut as JSON, with its escaped line breaks made to spaces.
create or replace function item_words(parts jsonb) returns tsvector language sql immutable parallel safe as $$
  select case when length(parts::text) <= 100000 then jsonb_to_tsvector('simple'::regconfig, jsonb_path_query_array(parts, '$[*].text'), '["string"]')
    else to_tsvector('simple'::regconfig, left(regexp_replace(jsonb_path_query_array(parts, '$[*].text')::text, '\\([\\"/bfnrt]|u[0-9a-f]{4})', ' ', 'g'), 100000)) end
$$;
create index if not exists item_words on annotation_itempayload using gin (item_words(parts));
