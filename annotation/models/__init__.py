"""What is stored about making labels. Rows are written by `annotation/actions/` and `annotation/queue.py` alone.

`people` who; `projects` where and by which rules; `items` what; `queue` the work to hand out and the places on it;
`quarantine` what was sealed; `labels` what people said; `draws` how items came to be offered; `events` what happened
and what is still to be done.
"""

from .draws import Draw, DrawItem
from .events import Event, EventPosition, Job
from .items import Import, Item, ItemPayload, Media
from .labels import Annotation, AnnotationText, Label
from .people import ApiToken, CareProfile, Organisation, SetupLink, User
from .projects import DeskKeys, Draft, Guideline, GuidelineReading, LabelSchema, Member, Project
from .quarantine import Quarantine
from .queue import Offer, QueueCursor, QueueLane, QueueRow, Seat

__all__ = [
    "Annotation",
    "AnnotationText",
    "ApiToken",
    "CareProfile",
    "DeskKeys",
    "Draft",
    "Draw",
    "DrawItem",
    "Event",
    "EventPosition",
    "Guideline",
    "GuidelineReading",
    "Import",
    "Item",
    "ItemPayload",
    "Job",
    "Label",
    "LabelSchema",
    "Media",
    "Member",
    "Offer",
    "Organisation",
    "Project",
    "Quarantine",
    "QueueCursor",
    "QueueLane",
    "QueueRow",
    "Seat",
    "SetupLink",
    "User",
]
