"""Writes the record: a line as each conversation finishes, in order when a batch is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from utils.records import ConversationRecord, Usage, load_run, read

CONTROL_FOLDER, FORKS_FOLDER = "control", "forks"  # records of a run beside its own
Key = tuple[str, int, str, int]  # as `ConversationRecord.key`
FORGOTTEN_NAME = "forgotten.jsonl"  # usage by role of conversations that a resumed run holds again

PIECE = 1 << 20  # bytes of a record that are looked at in one go


class RecordWriter:
    """Appends conversations as they finish; settles them in order when their batch is whole.

    Every node of a run writes files of its own (`conversations.node1.jsonl`), since nodes may share
    the folder; `load_run` reads them all.
    """

    def __init__(self, folder: Path, node: int = 0) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        own = f"conversations.node{node}" if node else "conversations"
        self.record, self.journal = folder / f"{own}.jsonl", folder / f"{own}.journal.jsonl"
        self._known: set[Key] | None = None  # keys in the record, once read
        _drop_torn_tail(self.journal)  # half a line of a killed process: the next begins anew

    def add(self, conversation: ConversationRecord) -> None:
        """Append to the journal, and push it to the operating system at once."""
        with self.journal.open("a", encoding="utf-8") as file:
            file.write(conversation.to_json() + "\n")

    def settle(self) -> None:
        """Move the journal into the record, sorted by conversation key.

        Killed between the append and the unlink, the next `settle` appends nothing twice: what
        the record already holds is skipped.
        """
        waiting = _places(self.journal) if self.journal.exists() else {}
        if not waiting:
            return
        if self._known is None:
            settled = read(self.record, torn_tail=True) if self.record.exists() else ()
            self._known = {c.key for c in settled}
            _drop_torn_tail(self.record)
        fresh = {key: place for key, place in waiting.items() if key not in self._known}
        with self.journal.open("rb") as journal, self.record.open("ab") as file:
            for key in sorted(fresh):
                at, length = fresh[key]
                journal.seek(at)
                file.write(journal.read(length))
        self._known |= fresh.keys()
        self.journal.unlink()

    def rewind(self, step: int) -> None:
        """Forget what a run that resumes from `step` holds again.

        Training conversations carry the steps taken before them, so that those of `step` are still
        to come; an evaluation at `step` was over before its checkpoint was written.
        """
        self._known = None
        for path in (self.record, self.journal):
            if not path.exists():
                continue
            draft = path.with_suffix(".tmp")
            with draft.open("w", encoding="utf-8") as file:
                for conversation in read(path, torn_tail=True):
                    if conversation.step < step + (conversation.split == "eval"):
                        file.write(conversation.to_json() + "\n")
                    else:
                        self._book(conversation)
            draft.replace(path)

    def _book(self, conversation: ConversationRecord) -> None:
        """Keep what a forgotten conversation has cost: it stays paid."""
        if conversation.usage:
            with (self.folder / FORGOTTEN_NAME).open("a", encoding="utf-8") as file:
                file.write(json.dumps({r: u.model_dump() for r, u in conversation.usage.items()}))
                file.write("\n")


def _places(path: Path) -> dict[Key, tuple[int, int]]:
    """Where each conversation's line begins and how many bytes it has; in memory one at a time."""
    places: dict[Key, tuple[int, int]] = {}
    at = 0
    with path.open("rb") as file:
        for conversation, line in zip(read(path, torn_tail=True), file, strict=False):
            places[conversation.key] = (at, len(line))
            at += len(line)
    return places


def _drop_torn_tail(path: Path) -> None:
    """Cut a last line that a killed process left without its end."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = size = file.seek(0, os.SEEK_END)
        while end:  # from the back, since a record may be larger than memory
            begin = max(0, end - PIECE)
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n") + 1
            end = begin + found
            if found:
                break
        if end < size:
            file.truncate(end)


def spending(folder: Path) -> Iterator[Mapping[str, Usage]]:
    """Usage by role of every conversation that a run has held, also those held again since, and
    those beside its record (a control arm, what students are forked from).

    A run killed while it forgot counts some of them twice, never less than was paid.
    """
    for place in (folder, folder / CONTROL_FOLDER, folder / FORKS_FOLDER):
        for conversation in load_run(place):
            yield conversation.usage
    forgotten = folder / FORGOTTEN_NAME
    if forgotten.exists():
        for line in forgotten.read_text(encoding="utf-8").splitlines():
            yield {role: Usage.model_validate(used) for role, used in json.loads(line).items()}
