"""TrainingConfig: everything a training run depends on, read from one TOML file."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from oncoprompt.errors import InputError
from oncoprompt.mapping import updated
from oncoprompt.training.validation import ValidationSection

Precision = Literal["auto", "32-true", "bf16-mixed"]
Distribution = Literal["auto", "ddp"]
AdaptationKind = Literal["none", "adversarial", "coral", "prototypes", "mean-teacher", "cyclegan"]
MixingKind = Literal["none", "complementary", "mixing"]
MixingStage = Literal["block4", "block8", "block16"]
USUAL_ADAPTATION: Mapping[AdaptationKind, tuple[float, float]] = {
    "none": (0.0, 0.0),
    "adversarial": (1.0, 0.0),
    "coral": (1.0, 0.0),
    "prototypes": (0.1, 0.2),
    "mean-teacher": (1.0, 0.2),
    "cyclegan": (1.0, 0.0),
}
"""Weight of the term and fraction of the run after which it counts, for each kind."""


@dataclass(frozen=True)
class ModelSection:
    """`[model]`: which model is trained; `options` are the arguments of the method's own configuration."""

    name: str = "msm-seg-compact"
    weights: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSection:
    """`[data]`: where items come from; `options` are the arguments of the item source's own configuration.

    Without `cohort` they are of synthetic people. It is a folder or manifest of labelled cases (in `layout`, labels in
    `schema`, where these cannot be told from the data), of which the part `part` of the file `split`, or of fold `fold`
    in it, is trained on; a share `synthetic_share` stays synthetic. Each worker keeps the last `kept_cases` cases in
    memory (about 15 MB each).
    `workers` processes make items with one thread each, `prefetch` items ahead; 0 makes them in the main process.
    `pool` is a folder of items drawn before (oncoprompt.training.item_pool); read in order, again from the start after
    the last.
    """

    workers: int = 2
    prefetch: int = 2
    pool: str | None = None
    cohort: str | None = None
    layout: str | None = None
    schema: str | None = None
    split: str | None = None
    part: str = "train"
    fold: int = 0
    synthetic_share: float = 0.0
    kept_cases: int = 64
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the names go together; raises `InputError`."""
        if self.cohort is not None and self.pool is not None:
            raise InputError("Training configuration: data.cohort and data.pool are both given. Leave one of them out.")
        needing = [name for name in ("layout", "schema", "split") if getattr(self, name) is not None]
        if self.cohort is None and (needing or self.synthetic_share):
            raise InputError(
                f"Training configuration: data.{(needing or ['synthetic_share'])[0]} is given without data.cohort, "
                "the folder or manifest of labelled cases that it belongs to."
            )
        if not 0.0 <= self.synthetic_share <= 1.0:
            raise InputError(
                f"Training configuration: data.synthetic_share is {self.synthetic_share}. It must be in [0, 1]."
            )


@dataclass(frozen=True)
class OptimisationSection:
    """`[optimisation]`: AdamW with linear warm-up and cosine decay, gradient clipping, accumulation, weight averaging.

    The run ends after `steps` optimiser steps or `max_minutes` of training, whichever comes first; the learning rate
    follows the greater of the two fractions down to `final_learning_rate_fraction` of its peak.
    """

    steps: int = 10_000
    max_minutes: float | None = None
    learning_rate: float = 1e-3
    final_learning_rate_fraction: float = 0.0
    warmup_steps: int = 100
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    accumulate: int = 1
    ema_decay: float = 0.999
    recall: float = 0.5


@dataclass(frozen=True)
class RunSection:
    """`[run]`: seed, hardware and how often progress is kept.

    With precision "auto" products are computed in bfloat16 where the hardware has units for it (CUDA, AMX).
    There are `devices` processes on each of `nodes` machines, and each takes `accumulate` items a step. With
    `tensorboard`, figures are written for it too, beside log.csv.
    """

    seed: int = 0
    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: Distribution = "auto"
    precision: Precision = "32-true"
    threads: int | None = None
    checkpoint_minutes: float = 10.0
    export_minutes: float = 30.0
    log_every: int = 10
    tensorboard: bool = False


@dataclass(frozen=True)
class AdaptationSection:
    """`[adaptation]`: how unlabelled real scans in the folder `real` (one sub-folder a case) help.

    weight and start (fraction of the run before the term counts) are those of USUAL_ADAPTATION unless given;
    confidence is that of pseudo-labels. For "cyclegan", a translator of `patch` voxels a side is trained first
    (`options` are the arguments of its own configuration), then `translated_share` of the items go through it.
    """

    kind: AdaptationKind = "none"
    real: str | None = None
    weight: float | None = None
    start: float | None = None
    confidence: float = 0.9
    teacher_decay: float = 0.999
    translated_share: float = 0.5
    patch: int = 48
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what is needed and the ranges; raises `InputError`."""
        if self.kind != "none" and self.real is None:
            raise InputError(
                f"Training configuration: adaptation.kind is '{self.kind}', which needs adaptation.real, "
                "a folder with one folder of scans for each unlabelled case."
            )
        for name, value, least, most in (
            ("weight", self.weight, 0.0, float("inf")),
            ("start", self.start, 0.0, 1.0),
            ("confidence", self.confidence, 0.5, 1.0),
            ("teacher_decay", self.teacher_decay, 0.0, 0.999999),
            ("translated_share", self.translated_share, 0.0, 1.0),
            ("patch", self.patch, 24, 512),
        ):
            if value is not None and not least <= value <= most:
                raise InputError(
                    f"Training configuration: adaptation.{name} is {value}. It must be in [{least}, {most}]."
                )

    @property
    def effective_weight(self) -> float:
        """Weight of the term."""
        return USUAL_ADAPTATION[self.kind][0] if self.weight is None else self.weight

    @property
    def effective_start(self) -> float:
        """Completed fraction of the run from which the term counts."""
        return USUAL_ADAPTATION[self.kind][1] if self.start is None else self.start


@dataclass(frozen=True)
class MixingSection:
    """`[mixing]`: features of a partner mixed into an item's after a stage of the compact network, while it trains.

    An item has a partner with probability `share`. "complementary": the item keeps some of its channels and the partner
    is the same study in the others; "mixing": the partner is another item and labels are mixed alike, by
    lambda ~ Beta(a, a), a = `concentration`. The loss is L(mixed) + alone_weight L(alone) and, for "complementary", +
    consistency KL + contrast InfoNCE; without a partner it is L(alone).
    """

    kind: MixingKind = "none"
    stage: MixingStage = "block8"
    share: float = 0.5
    alone_weight: float = 0.5
    consistency: float = 0.1
    contrast: float = 0.01
    concentration: float = 0.4

    def __post_init__(self) -> None:
        """Check the ranges; raises `InputError`."""
        for name, value, least, most in (
            ("share", self.share, 0.0, 1.0),
            ("alone_weight", self.alone_weight, 0.0, 1e6),
            ("consistency", self.consistency, 0.0, 1e6),
            ("contrast", self.contrast, 0.0, 1e6),
            ("concentration", self.concentration, 1e-3, 1e6),
        ):
            if not least <= value <= most:
                raise InputError(f"Training configuration: mixing.{name} is {value}. It must be in [{least}, {most}].")
        if self.kind != "none" and self.share == 1.0 and self.alone_weight == 0.0:
            raise InputError(
                "Training configuration: with mixing.share = 1 and mixing.alone_weight = 0 the network never learns to "
                "work without a partner, as it must once it is exported. Lower mixing.share or raise alone_weight."
            )


@dataclass(frozen=True)
class DistillationSection:
    """`[distillation]`: weights of a SAM or MedSAM whose embeddings of images a small model is to learn."""

    teacher: str | None = None


@dataclass(frozen=True)
class TrainingConfig:
    """A whole training run as data; two runs from equal configurations see the same items in the same order."""

    model: ModelSection = field(default_factory=ModelSection)
    data: DataSection = field(default_factory=DataSection)
    optimisation: OptimisationSection = field(default_factory=OptimisationSection)
    run: RunSection = field(default_factory=RunSection)
    adaptation: AdaptationSection = field(default_factory=AdaptationSection)
    mixing: MixingSection = field(default_factory=MixingSection)
    distillation: DistillationSection = field(default_factory=DistillationSection)
    validation: ValidationSection = field(default_factory=ValidationSection)

    def __post_init__(self) -> None:
        """Check the ranges; raises `InputError` naming the first value that cannot work."""
        for name, value, least in (
            ("optimisation.steps", self.optimisation.steps, 1),
            ("optimisation.accumulate", self.optimisation.accumulate, 1),
            ("optimisation.warmup_steps", self.optimisation.warmup_steps, 0),
            ("data.workers", self.data.workers, 0),
            ("data.prefetch", self.data.prefetch, 1),
            ("data.kept_cases", self.data.kept_cases, 1),
            ("run.log_every", self.run.log_every, 1),
            ("run.devices", self.run.devices, 1),
            ("run.nodes", self.run.nodes, 1),
        ):
            if value < least:
                raise InputError(f"Training configuration: {name} is {value}. It must be at least {least}.")
        if not 0.0 <= self.optimisation.ema_decay < 1.0:
            raise InputError(
                f"Training configuration: optimisation.ema_decay is {self.optimisation.ema_decay}. "
                "It must be in [0, 1); 0 keeps no average."
            )
        if self.optimisation.max_minutes is not None and self.optimisation.max_minutes <= 0:
            raise InputError(
                f"Training configuration: optimisation.max_minutes is {self.optimisation.max_minutes}. "
                "Give a positive number or leave it out."
            )
        if self.adaptation.kind == "cyclegan" and self.run.devices * self.run.nodes > 1:
            raise InputError(
                "Training configuration: adaptation.kind is 'cyclegan', whose translator one process trains. Set "
                "run.devices and run.nodes to 1."
            )
        if self.adaptation.kind != "none" and self.mixing.kind != "none":
            raise InputError(
                f"Training configuration: adaptation.kind is '{self.adaptation.kind}' and mixing.kind is "
                f"'{self.mixing.kind}'. A run takes one of them; set the other to 'none'."
            )

    @classmethod
    def read(cls, path: Path) -> "TrainingConfig":
        """Read a TOML file; raises `InputError` for a missing file, bad TOML, unknown names and wrong types."""
        try:
            with path.open("rb") as file:
                return cls.from_mapping(tomllib.load(file), origin=str(path))
        except OSError as error:
            raise InputError(f"Training configuration '{path}' cannot be read: {error.strerror}.") from error
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"Training configuration '{path}' is not valid TOML: {error}.") from error

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], origin: str = "the mapping") -> "TrainingConfig":
        """Build from nested mappings, section -> name -> value; raises `InputError`."""
        return updated(cls(), mapping, f"Training configuration '{origin}'")

    def to_mapping(self) -> dict[str, Any]:
        """Nested plain mapping that `from_mapping` accepts."""
        return asdict(self)
