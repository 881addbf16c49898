"""One file holds the network for MRI and the layers that CT has for itself."""

import torch

from oncoprompt.methods.tags.compact import SHARED_WITH_CT, CompactTags, CompactTagsConfig
from oncoprompt.methods.tags.compact_weights import joined, parted

CONFIG = CompactTagsConfig((8, 8, 16, 16), words=8)


def test_networks_that_share_their_deepest_layers_are_read_as_they_were_written() -> None:
    mri, ct = CompactTags(CONFIG).state_dict(), CompactTags(CONFIG).state_dict()
    ct |= {name: value for name, value in mri.items() if name.startswith(SHARED_WITH_CT)}
    together = joined(mri, ct)
    assert len(together) < len(mri) + len(ct)
    for state, of_ct in ((mri, False), (ct, True)):
        read = parted(together, of_ct)
        assert set(read) == set(state)
        assert all(torch.equal(read[name], value) for name, value in state.items())


def test_without_layers_of_its_own_ct_has_those_of_mri() -> None:
    state = CompactTags(CONFIG).state_dict()
    assert parted(state, True) == parted(state, False) == state
