-- A vector says much of what it was made of: it goes in the transaction that seals or erases its item.
create function learning_remove_vectors() returns trigger language plpgsql as $$
begin
  delete from learning_embedding e using learning_embeddingspace s
    where s.project_id = new.project_id and e.space_id = s.id and e.item_id = new.id;
  return null;
end $$;

create trigger learning_remove_vectors after update of lifecycle on annotation_item for each row
  when (new.lifecycle in (2, 3) and old.lifecycle is distinct from new.lifecycle)
  execute function learning_remove_vectors();
