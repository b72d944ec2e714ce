"""Labels are made here: projects, items, the queue, seats and annotations."""
