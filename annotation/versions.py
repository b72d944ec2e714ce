"""Label schemas and guidelines by id. A version never changes, so each process reads each of them once."""

from __future__ import annotations

from functools import lru_cache

from annotation.models import Guideline, LabelSchema


@lru_cache(maxsize=1000)
def read_schema(pk: int) -> LabelSchema:
    """The version of a label schema. Shared by all who ask: change nothing of it. Raises LabelSchema.DoesNotExist."""
    return LabelSchema.objects.get(pk=pk)


@lru_cache(maxsize=1000)
def read_guideline(pk: int) -> Guideline:
    """The version of a guideline. Shared by all who ask: change nothing of it. Raises Guideline.DoesNotExist."""
    return Guideline.objects.get(pk=pk)
