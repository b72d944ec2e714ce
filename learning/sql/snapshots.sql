-- What the queue asks of the learning app, and history that refuses change.

-- Has a snapshot copied this item since then? An answer that was published can no longer be taken back (Q9).
create or replace function learning_has_used(p_item bigint, p_since timestamptz) returns boolean language sql stable as $$
  select exists (select 1 from learning_snapshotmember m join learning_snapshot s on s.id = m.snapshot_id where m.item_id = p_item and s.created_at >= p_since)
$$;

create or replace trigger append_only before update or delete on learning_snapshotmember for each row execute function refuse_change();
