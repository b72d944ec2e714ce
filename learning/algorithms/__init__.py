"""The mathematics of learning from labels: features, estimators, strategies, evaluation and offline simulation.

Arrays in, arrays or frozen dataclasses out; nothing here knows a database, a request or Django. The machine learning
libraries are extras, so tasks and commands import these modules, pages do not.
"""
