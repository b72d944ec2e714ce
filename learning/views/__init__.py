"""Pages that bring all together: the overview and the items, and those of learning and snapshots."""
