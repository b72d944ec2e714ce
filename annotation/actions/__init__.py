"""Every change of annotation's rows: one keyword-only, atomic function each, with its event. Nobody else writes them.

`people` users, tokens, set-up links; `projects` settings, schemas, guidelines, members; `items` what happens to an
item; `imports` rows of a file become items; `answers` one person's answer to a lease; `jobs` and `events` the
machinery. Places on the queue are `annotation/queue.py`'s.
"""
