"""The child process that opens what strangers sent: it decodes images and walks the boxes of audio and video.

Nothing in here imports Django, the database or a secret; `annotation/media_reading.py` starts it and talks to it.
"""
