"""The tests. Real PostgreSQL, real Valkey, real Chromium; `servers.py` starts the first two before Django is read."""
