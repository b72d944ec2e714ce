"""Labels are used here: models, scores, selection, snapshots."""
