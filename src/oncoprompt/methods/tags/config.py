"""Configuration of the TAGS network: sizes of SAM ViT-B and what differs between the published form and ours."""

from dataclasses import dataclass, replace

from oncoprompt.errors import InputError


@dataclass(frozen=True)
class TagsConfig:
    """Sizes, and one option for each point in which `faithful` and `plus` differ; the defaults are the published form.

    width, depth, heads: SAM's encoder; adapter_width: inside a spatial adapter; features: channels of a stage's output;
    stages: after how many blocks an output is taken; window: tokens a side; positions: tokens a side that the depth
    embedding has, and SAM's pooled positions.
    alignment: whether there are alignment adapters. blend: share of their output in the stream, None for a learned gate
    that starts at 0. zero_adapters: spatial adapters end in a linear layer of zeros instead of a ReLU. mean_slices: the
    depth convolution starts as a mean, its embedding at 0, instead of at random and at 1. labelled_clicks: positive and
    negative clicks and box corners have embeddings of their own. text_in_decoder: the text is a token of the prompt
    encoder, and its similarity map goes to the decoder. image_semantics: in so many axial slices of a crop CLIP's image
    tower looks, too, and what it sees is added to the tokens by a linear layer that starts at 0; 0: it does not look.
    """

    width: int = 768
    depth: int = 12
    heads: int = 12
    adapter_width: int = 384
    features: int = 256
    stages: tuple[int, ...] = (3, 6, 9, 12)
    window: int = 8
    positions: int = 32
    alignment: bool = True
    blend: float | None = 0.2
    zero_adapters: bool = False
    mean_slices: bool = False
    labelled_clicks: bool = False
    text_in_decoder: bool = False
    image_semantics: int = 0

    def __post_init__(self) -> None:
        if self.width % self.heads or not self.stages or self.stages[-1] != self.depth:
            raise InputError(
                f"TAGS needs a width that its heads divide and a last stage after its last block. Found: width "
                f"{self.width}, heads {self.heads}, depth {self.depth}, stages {self.stages}."
            )
        if self.image_semantics < 0:
            raise InputError(f"TAGS cannot look at {self.image_semantics} slices. Give image_semantics from 0 on.")

    @classmethod
    def faithful(cls) -> "TagsConfig":
        """The network of the released code."""
        return cls()

    @classmethod
    def plus(cls) -> "TagsConfig":
        """Starts as SAM does, and hears words and labelled clicks when it is asked."""
        return cls(blend=None, zero_adapters=True, mean_slices=True, labelled_clicks=True, text_in_decoder=True)

    def small(self) -> "TagsConfig":
        """The same form at a size for tests: width 24, 4 blocks."""
        return replace(
            self, width=24, depth=4, heads=2, adapter_width=12, features=16, stages=(1, 2, 3, 4), positions=8, window=4
        )
