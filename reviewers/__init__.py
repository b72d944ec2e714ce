"""Labels are judged here: resolutions, adjudication, agreement."""
