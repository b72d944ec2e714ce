"""The auditor: do the rows of a living database keep the queue's invariants?

`checks` the queries; `looking` asks them; `latest` what the last audit found; `command` is `touchstone audit`. Read
only: `actions/audits.py` writes down what was found. What rows alone cannot show (that an answer survives a kill, that
time is the database's) is shown by tests.
"""

from annotation.audit.command import main
from annotation.audit.looking import find_violations

__all__ = ["find_violations", "main"]
