"""Forward passes, and the reduction of both sides' distributions to rows; runs in the isolated process only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor

from harness.targets.batches import Batch
from harness.targets.checkpoint.evidence_kernel import (
    fill_against,
    fill_claimed,
    fill_cuts,
    fill_evidence,
    fill_powers,
    fill_ranks,
)
from harness.targets.checkpoint.head import Head, final_hidden
from harness.targets.checkpoint.kernel import ROWS_ON_CPU, reduce_tile
from harness.targets.checkpoint.listed_kernel import fill_band, fill_claims, fill_told, listed_logs
from harness.targets.checkpoint.loading import Loaded
from harness.targets.checkpoint.sketch import SKETCH, Sketch, draw_sketch
from harness.targets.checkpoint.sketch_kernel import reduce_against_sketch
from harness.targets.listed import Listed
from harness.targets.rows import Rows, empty_rows
from harness.targets.sampler import Sampler
from harness.targets.tiles import HEAD_FILE, SKETCH_FILE, tile_rows
from harness.targets.token_evidence import TokenEvidence, empty_evidence


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


class ReplayedReference:
    """Cached hidden states of the reference and its head: its distributions are computed again, bit for bit."""

    def __init__(self, folder: Path, device: str) -> None:
        self.folder = folder
        self._device = device
        self._head = Head.load(folder / HEAD_FILE, device)
        self._hidden = torch.empty(0)
        self._tile = torch.empty(0)

    @property
    def step(self) -> int:
        """Tokens per tile."""
        return tile_rows(self._head.vocabulary)

    def open(self, keys: list[str]) -> None:
        """Read the scored positions of several sequences in a row."""
        parts = []
        for key in keys:
            with safe_open(str(self.folder / f"{key}.safetensors"), framework="pt", device=self._device) as stored:
                states = stored.get_tensor("hidden")
                parts.append((states.view(torch.bfloat16) if states.dtype == torch.uint16 else states).float())
        self._hidden = torch.cat(parts)
        # fresh pages for every tile would cost as much as the statistics: the tile is allocated once
        self._tile = torch.empty(min(self.step, len(self._hidden)), self._head.vocabulary, device=self._device)

    def logits(self, part: slice) -> Tensor:
        """fp32 logits of some of the opened positions, ``[tokens, ids]``; the next call overwrites them."""
        return self._head.logits(self._hidden[part], out=self._tile[: part.stop - part.start])

    def reduce(self, part: slice, z_cand: Tensor, labels: Tensor, vocabulary: int, rows: Rows) -> None:
        """Fill the rows of some of the opened positions from the candidate's logits."""
        reduce_tile(self.logits(part), z_cand, labels, vocabulary, rows)


class SketchedReference:
    """Cached sketches of the reference: what they do not hold is estimated from 64 draws, with its error."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.step = int(json.loads((folder / SKETCH_FILE).read_text(encoding="utf-8"))["tile_rows"])
        self._sketch: Sketch = np.zeros(0, dtype=SKETCH)

    def open(self, keys: list[str]) -> None:
        """Read the scored positions of several sequences in a row."""
        parts = []
        for key in keys:
            with safe_open(str(self.folder / f"{key}.safetensors"), framework="np") as stored:
                parts.append(np.ascontiguousarray(stored.get_tensor("sketch")).view(SKETCH)[:, 0])
        self._sketch = np.concatenate(parts)

    def reduce(self, part: slice, z_cand: Tensor, labels: Tensor, vocabulary: int, rows: Rows) -> None:
        """Fill the rows of some of the opened positions from the candidate's logits."""
        reduce_against_sketch(self._sketch[part], z_cand, labels, vocabulary, rows)


Reference = ReplayedReference | SketchedReference


def open_reference(folder: Path, device: str) -> Reference:
    """The cached reference in a folder, whichever way it was kept."""
    return SketchedReference(folder) if (folder / SKETCH_FILE).exists() else ReplayedReference(folder, device)


def score_batch(loaded: Loaded, batch: Batch, reference: Reference, keys: list[str], vocabulary: int) -> Rows:
    """One row per scored position of the batch, over the whole vocabulary, in tiles.

    Memory holds two tiles of logits, whatever the number of tokens. ``keys`` name the cached sequences in the order
    of the batch; ``vocabulary`` is the tokenizer's size.
    """
    labels = torch.from_numpy(batch.labels()).to(loaded.model.device)
    rows = empty_rows(len(labels))
    _, columns = batch.scored_index()
    rows["position"], rows["label"] = columns, labels.cpu().numpy()
    known = _known(labels, vocabulary)
    reference.open(keys)
    with torch.inference_mode():
        for part, logits in logit_tiles(loaded, batch, reference.step):
            reference.reduce(part, logits, known[part], vocabulary, rows[part])
    return rows


def _known(labels: Tensor, vocabulary: int) -> Tensor:
    """Labels without ids beyond the tokenizer: those share one bucket, and no loss of their own can be told."""
    return labels.where(labels < vocabulary, -1)


def evidence_batch(
    loaded: Loaded,
    batch: Batch,
    reference: ReplayedReference,
    keys: list[str],
    silent: NDArray[np.bool_],
    sampler: Sampler,
    *,
    base: bool,
    brief: bool = False,
    listed: Listed | None = None,
) -> TokenEvidence:
    """Evidence of every scored position; with ``base`` this is the reference, which is not held against itself.

    ``brief`` leaves out what only builds of the bank need to be ruled out and sized: settings and divergences stay NaN.

    ``silent`` tells for each of the tokenizer's ids whether hosts leave it out of the text; ids beyond are padding.
    ``sampler`` is what the host was asked for: its temperature is applied to both sides. ``listed`` are log-probabilities
    that the host told of the scored positions.
    """
    quiet = torch.from_numpy(silent).to(loaded.model.device)
    labels = torch.from_numpy(batch.labels()).to(loaded.model.device)
    rows = empty_evidence(len(labels))
    if not base:
        reference.open(keys)
    with torch.inference_mode():
        for part, logits, theirs in _evidence_tiles(loaded, batch, reference, alone=base or brief):
            z = _tempered(logits, len(silent), sampler)
            log_q = fill_evidence(z.clone(), labels[part], quiet, rows[part])
            if brief:
                rows["claimed"][part], rows["granted"][part] = 0.0, 0.0
                continue
            if listed:  # engines hand out logits in the model's own format: that is a part of honest arithmetic
                told = z.to(loaded.model.dtype).float()
                _fill_listed(z, told, theirs, Listed(listed.ids[part], listed.logs[part]), silent, rows[part])
            fill_powers(log_q, rows[part])
            fill_cuts(z, log_q, labels[part], rows[part])
            fill_claimed(z, log_q, labels[part], sampler, rows[part])
            if theirs is None:
                fill_ranks(log_q, z, labels[part], rows[part])
            else:
                ours = _tempered(theirs, len(silent), sampler)
                fill_against(log_q, fill_evidence(ours, labels[part], quiet, empty_evidence(len(z))), rows[part])
    return rows


def _evidence_tiles(
    loaded: Loaded, batch: Batch, reference: ReplayedReference, *, alone: bool
) -> Iterator[tuple[slice, Tensor, Tensor | None]]:
    """fp32 logits of the scored positions and, unless ``alone``, the reference's, few positions at a time: they stay in a
    core's cache. The heads themselves run over wide tiles, because they would read their weights again for every narrow one.
    """
    for wide, logits in logit_tiles(loaded, batch, reference.step):
        theirs = None if alone else reference.logits(wide)
        for start in range(0, len(logits), ROWS_ON_CPU):
            few = slice(start, min(start + ROWS_ON_CPU, len(logits)))
            part = slice(wide.start + few.start, wide.start + few.stop)
            yield part, logits[few], None if theirs is None else theirs[few]


def _fill_listed(
    z: Tensor, coarse: Tensor, theirs: Tensor | None, listed: Listed, silent: NDArray[np.bool_], rows: TokenEvidence
) -> None:
    """What the host told of some positions against this configuration; ``coarse`` are its logits as an engine hands them out.

    ``theirs`` are the reference's logits, None if this is the reference.
    """
    logs = listed_logs(z, listed)
    fill_told(logs, listed, rows)
    if theirs is None:
        fill_claims(logs, listed, silent, rows)
    else:
        fill_band(listed_logs(coarse, listed), listed_logs(theirs[:, : len(silent)], listed), listed, rows)


def _tempered(logits: Tensor, ids: int, sampler: Sampler) -> Tensor:
    """Logits of the tokenizer's own ids at the temperature that was asked for."""
    own = logits[:, :ids]
    return own.contiguous() if sampler.temperature == 1.0 else own / sampler.temperature


def token_losses(loaded: Loaded, batch: Batch) -> NDArray[np.float32]:
    """Minus log-probability of the true next token at every scored position; NaN where there is none."""
    labels = torch.from_numpy(batch.labels()).to(loaded.model.device)
    out = np.full(len(labels), np.nan, dtype=np.float32)
    with torch.inference_mode():
        for part, z in logit_tiles(loaded, batch, tile_rows(loaded.vocabulary)):
            index = labels[part].clamp(min=0)[:, None]
            loss = z.logsumexp(-1) - z.gather(1, index)[:, 0]
            out[part] = torch.where(labels[part] >= 0, loss, torch.nan).cpu().numpy()
    return out


def sketch_batch(loaded: Loaded, batch: Batch, vocabulary: int, seed: int) -> Sketch:
    """The reference's sketch of every scored position, drawn in the tiles in which candidates will be scored."""
    labels = _known(torch.from_numpy(batch.labels()).to(loaded.model.device), vocabulary)
    out = np.zeros(len(labels), dtype=SKETCH)
    with torch.inference_mode():
        for part, logits in logit_tiles(loaded, batch, tile_rows(loaded.vocabulary)):
            out[part] = draw_sketch(logits, labels[part], vocabulary, seed + part.start)
    return out


def logit_tiles(loaded: Loaded, batch: Batch, step: int) -> Iterator[tuple[slice, Tensor]]:
    """fp32 logits of the scored positions, ``step`` positions at a time; each tile may be overwritten."""
    head = loaded.head
    states = hidden_states(loaded, batch).float() if head else whole_logits(loaded, batch)
    step = min(step, len(states))
    tile = torch.empty(step, head.vocabulary, device=states.device) if head else None
    for start in range(0, len(states), step):
        part = slice(start, min(start + step, len(states)))
        if head and tile is not None:
            yield part, head.logits(states[part], out=tile[: part.stop - part.start])
        else:
            yield part, states[part].clone()
