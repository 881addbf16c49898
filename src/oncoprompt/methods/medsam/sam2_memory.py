"""SAM 2's memory of one target, carried from slice to slice; what can no longer be recalled is dropped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor
from transformers import Sam2VideoInferenceSession, Sam2VideoModel

_TARGET = 1
_LOGIT_LIMIT = 32.0


class SliceMemory:
    """One target on square slices [3, S, S]: shown on a slice, then followed away from it, one slice at a time.

    SAM 2 recalls the shown slice, maps of the last six slices and object pointers of the last fifteen; nothing else is
    kept, so the memory does not grow with the number of slices.
    """

    def __init__(self, network: Sam2VideoModel, slices: Mapping[int, Tensor], device: torch.device) -> None:
        self._network = network
        self._session = Sam2VideoInferenceSession(
            inference_device=device, inference_state_device=device, dtype=torch.float32
        )
        # It asks for slices by number, and for how many there are; they need not all lie in memory.
        self._session.processed_frames = cast(dict[int, Any], slices)
        self._target = self._session.obj_id_to_idx(_TARGET)

    @property
    def remembered(self) -> list[int]:
        """Numbers of the slices, apart from the shown one, of which anything is kept."""
        return sorted(self._followed)

    def show(self, index: int, points: Tensor, labels: Tensor) -> Tensor:
        """Logits [S / 4, S / 4] of the target that points [1, 1, P, 2] show on a slice.

        Labels [1, 1, P]: 1 on the target, 0 beside it, 2 and 3 the first and last corner of its box.
        """
        self._session.add_point_inputs(self._target, index, {"point_coords": points, "point_labels": labels})
        return self._answer_new(index)

    def show_mask(self, index: int, mask: Tensor) -> Tensor:
        """Logits [S / 4, S / 4] of the target whose mask [H, W] of 0 and 1 on a slice is known.

        Transformers makes the object pointer of a mask from the best of three answers, Meta's code from the single one,
        so slices followed from a mask differ a little between the two; those followed from points do not.
        """
        self._session.add_mask_inputs(self._target, index, mask[None, None])
        return self._answer_new(index)

    def follow(self, index: int, down: bool) -> Tensor:
        """Logits [S / 4, S / 4] on the slice after the last one, upwards or ``down``; all below 0 where it is gone."""
        logits = self._answer(index, down)
        self._forget(index, -1 if down else 1)
        return logits

    def restart(self) -> None:
        """Forget all slices but the shown one."""
        self._followed.clear()

    @property
    def _followed(self) -> dict[int, dict[str, Tensor]]:
        outputs: dict[int, dict[str, Tensor]] = self._session.output_dict_per_obj[self._target][
            "non_cond_frame_outputs"
        ]
        return outputs

    def _answer_new(self, index: int) -> Tensor:
        self._session.obj_with_new_inputs = [_TARGET]
        return self._answer(index, down=False)

    def _answer(self, index: int, down: bool) -> Tensor:
        logits: Tensor = self._network(self._session, frame_idx=index, reverse=down).pred_masks[0, 0]
        return logits.float().clamp(-_LOGIT_LIMIT, _LOGIT_LIMIT)

    def _forget(self, index: int, step: int) -> None:
        config = self._network.config
        for name in ("high_res_masks", "pred_masks"):
            self._followed[index].pop(name)
        for name in ("maskmem_features", "maskmem_pos_enc"):
            self._followed.get(index - step * (config.num_maskmem - 1), {}).pop(name, None)
        self._followed.pop(index - step * (config.max_object_pointers_in_encoder - 1), None)
