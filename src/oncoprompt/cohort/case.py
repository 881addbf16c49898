"""A case of a data set: where its channels and its label map lie, read when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from oncoprompt.errors import InputError
from oncoprompt.study import LabelMap, LabelSchema, Study, read_label_map


@dataclass(frozen=True)
class Source:
    """Where a channel lies: a file, and the index of the volume where files may hold several."""

    path: Path
    volume: int | None = None


@dataclass(frozen=True)
class Case:
    """One session of one patient on disk: files by channel, a label map where there is one, and what its numbers mean.

    Cases of one patient share `patient`. `schema` is None where neither the name nor the data set says what the labels
    mean; the file itself may.
    """

    name: str
    patient: str
    channels: Mapping[str, Source]
    label_map: Path | None = None
    schema: LabelSchema | None = None

    def files(self) -> list[Path]:
        """The different files of the channels, in the order of the channels."""
        return list(dict.fromkeys(source.path for source in self.channels.values()))

    def study(self) -> Study:
        """The channels on their grid; raises InputError as `Study.read` does."""
        volumes = {channel: source.volume for channel, source in self.channels.items() if source.volume is not None}
        if not volumes:
            return Study.read({channel: source.path for channel, source in self.channels.items()}, self.name)
        files = self.files()
        if len(files) > 1 or len(volumes) < len(self.channels):
            raise InputError(
                f"Case '{self.name}' mixes volumes of several files; give one file in all, or one file a channel."
            )
        return Study.read(files[0], self.name, channel_order=sorted(volumes, key=volumes.__getitem__))

    def labels(self) -> LabelMap:
        """The label map in the schema of the case, else in the one its file names.

        Raises InputError where the case has no label map, and as `read_label_map` does.
        """
        if self.label_map is None:
            raise InputError(f"Case '{self.name}' has no label map.")
        return read_label_map(self.label_map, self.schema)
