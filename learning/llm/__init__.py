"""A language model as one more outside model: what it is told (`prompt`), how it is called (`chat`), and by what it is
judged before anything that it says is shown (`gate`). The job is `learning/tasks/llm.py`. Nothing in here writes a row.
"""
