"""The mathematics of judging labels: agreement, consensus and intervals. Arrays in, arrays or frozen dataclasses out.

Nothing here knows a database, a request or Django.
"""
