"""Which labels count: those that a submitted seat points to now, of each item's newest pass. As parts of statements.

What was superseded or taken back does not count. A statement reads labels as `l`, of a project, of the items whose ids
lie from `first` to before `end`: these are its parameters, with `project`. All that it joins lies in an index beside
the item (`label_of_question`, `seat_of_item`, `annotation_of_item`).
"""

from __future__ import annotations

from dataclasses import dataclass

from annotation.models import Project, QueueLane, QueueRow

LEAST, END = 0, 2**63 - 1  # the ids of all items
_RELABEL = int(QueueLane.Kind.RELABEL)


@dataclass(frozen=True)
class Standing:
    """The parts, for one project.

    `is_part`: the statement is of a part of a large project, so that everything is read by the range of its items; else
    it goes from each label to what belongs to it. `is_relabelled`: some item was opened for a further pass, as else
    nothing has to be asked.
    """

    is_part: bool
    is_relabelled: bool

    @classmethod
    def of(cls, project: Project, *, is_part: bool) -> Standing:
        """Look whether anything was relabelled."""
        return cls(is_part, QueueRow.objects.filter(project=project, kind=_RELABEL).exists())

    @property
    def seats(self) -> str:
        """Joins of labels to their seats `s`: those that point to them."""
        passes = f"left join annotation_queuerow q on q.id = s.queue_row_id and s.kind = {_RELABEL}"
        return f"""join annotation_seat s on s.annotation_id = l.annotation_id and s.kind in (1, {_RELABEL})
            and s.state = 2 and {self.beside("s")}
          {passes if self.is_relabelled else ""} {self.newest("l")}"""

    @property
    def is_newest(self) -> str:
        """The condition that the label is of its item's newest pass."""
        return f"{self.newest_pass} = coalesce(q.pass_no, 1)" if self.is_relabelled else "true"

    def newest(self, name: str) -> str:
        """A join of `newest`, which has the newest pass of each relabelled item; nothing where there is none."""
        if not self.is_relabelled:
            return ""
        return f"""left join (select item_id, max(pass_no) as pass_no from annotation_queuerow
            where project_id = %(project)s and kind = {_RELABEL} group by item_id) newest
          on newest.item_id = {name}.item_id"""  # noqa: S608  (our own names)

    @property
    def newest_pass(self) -> str:
        """The number of the item's newest pass, where `newest` is joined."""
        return "coalesce(newest.pass_no, 1)" if self.is_relabelled else "1"

    def beside(self, name: str) -> str:
        """The condition that rows of `name` are of the label's item."""
        return of_items(f"{name}.item_id") if self.is_part else f"{name}.item_id = l.item_id"


def of_items(column: str) -> str:
    """The condition that a column is the id of one of the items."""
    return f"{column} >= %(first)s and {column} < %(end)s"
