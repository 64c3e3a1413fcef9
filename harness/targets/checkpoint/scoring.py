"""Forward passes, and the reduction of both sides' distributions to rows; runs in the isolated process only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from harness.targets.batches import Batch
from harness.targets.checkpoint.head import Head, final_hidden, tile_rows
from harness.targets.checkpoint.kernel import reduce_tile
from harness.targets.checkpoint.loading import Loaded
from harness.targets.rows import Rows, empty_rows


def hidden_states(loaded: Loaded, batch: Batch) -> Tensor:
    """Final hidden states of the scored positions, ``[tokens, width]``, in the model's own dtype."""
    ids, mask = _model_inputs(loaded, batch)
    rows, columns = batch.scored_index()
    with torch.inference_mode():
        return final_hidden(loaded.model, ids, mask)[torch.from_numpy(rows), torch.from_numpy(columns)]


def whole_logits(loaded: Loaded, batch: Batch) -> Tensor:
    """fp32 logits of the scored positions for a model whose head cannot be replayed, ``[tokens, ids]``."""
    ids, mask = _model_inputs(loaded, batch)
    rows, columns = batch.scored_index()
    with torch.inference_mode():
        logits = loaded.model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        return logits[torch.from_numpy(rows), torch.from_numpy(columns)].float()


def _model_inputs(loaded: Loaded, batch: Batch) -> tuple[Tensor, Tensor | None]:
    device = loaded.model.device
    ids = torch.from_numpy(batch.ids).to(device)
    if (batch.lengths == batch.ids.shape[1]).all():
        return ids, None
    mask = np.arange(batch.ids.shape[1])[None, :] < batch.lengths[:, None]
    return ids, torch.from_numpy(mask.astype(np.int64)).to(device)


class ReferenceStates:
    """Cached hidden states of the reference and its head: everything that is needed to replay its distributions."""

    def __init__(self, folder: Path, device: str) -> None:
        self.folder = folder
        self.device = device
        self.head = Head.load(folder / "head.safetensors", device)

    def hidden(self, keys: list[str]) -> Tensor:
        """fp32 hidden states of the scored positions of several sequences in a row, ``[tokens, width]``."""
        parts = []
        for key in keys:
            with safe_open(str(self.folder / f"{key}.safetensors"), framework="pt", device=self.device) as stored:
                parts.append(stored.get_tensor("hidden").float())
        return torch.cat(parts)


def score_batch(loaded: Loaded, batch: Batch, states: ReferenceStates, keys: list[str], vocabulary: int) -> Rows:
    """One row per scored position of the batch, over the whole vocabulary, in tiles.

    Memory holds two tiles of logits, whatever the number of tokens. ``keys`` name the cached sequences in the order
    of the batch; ``vocabulary`` is the tokenizer's size.
    """
    labels = torch.from_numpy(batch.labels()).to(loaded.model.device)
    rows = empty_rows(len(labels))
    _, columns = batch.scored_index()
    rows["position"], rows["label"] = columns, labels.cpu().numpy()
    ref_hidden = states.hidden(keys)
    head = loaded.head
    own = hidden_states(loaded, batch).float() if head else whole_logits(loaded, batch)
    with torch.inference_mode():
        step = min(tile_rows(states.head.vocabulary), len(labels))
        # fresh pages for every tile would cost as much as the statistics: both tiles are allocated once
        ref_tile = torch.empty(step, states.head.vocabulary, device=labels.device)
        own_tile = torch.empty(step, head.vocabulary, device=labels.device) if head else None
        for start in range(0, len(labels), step):
            part = slice(start, min(start + step, len(labels)))
            size = part.stop - part.start
            z_ref = states.head.logits(ref_hidden[part], out=ref_tile[:size])
            z_cand = head.logits(own[part], out=own_tile[:size]) if head and own_tile is not None else own[part].clone()
            reduce_tile(z_ref, z_cand, labels[part], vocabulary, rows[part])
    return rows
