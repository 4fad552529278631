"""The numbers of each step on their way out of the loop: written on the device, taken to the host in blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from torch import Tensor

ROWS_PER_BLOCK = 4_096


@dataclass
class _Block:
    measured: Tensor  # (ROWS_PER_BLOCK, M) on the device
    known: np.ndarray  # (ROWS_PER_BLOCK, K), what the host knew without asking the device
    count: int = 0


class Recorder:
    """One row per step. The loop writes without waiting for the device; another thread takes what has been written."""

    def __init__(self, measured: Sequence[str], known: Sequence[str], *, device: torch.device) -> None:
        self.columns = (*measured, *known)
        self._widths, self._device = (len(measured), len(known)), device
        self._lock = Lock()
        self.restart(first_step=1)

    def restart(self, *, first_step: int) -> None:
        """Forget what was not taken; the next row is that of `first_step`."""
        with self._lock:
            self._first_step, self._blocks = first_step, [self._new_block()]

    def write(self, measured: Tensor, known: Sequence[float]) -> None:
        """Append the row of the next step: measured (M,) stays on the device."""
        with self._lock:
            block = self._blocks[-1]
            block.measured[block.count] = measured
            block.known[block.count] = known
            block.count += 1
            if block.count == ROWS_PER_BLOCK:
                self._blocks.append(self._new_block())

    def take(self) -> tuple[int, np.ndarray]:
        """Return the first step and the rows (n, columns) float32 of all steps since the last call; n may be 0."""
        with self._lock:
            blocks, self._blocks = self._blocks, [self._new_block()]
            first_step = self._first_step
            self._first_step += sum(block.count for block in blocks)
        return first_step, np.concatenate([_on_host(block) for block in blocks])

    def _new_block(self) -> _Block:
        measured, known = self._widths
        return _Block(
            torch.empty(ROWS_PER_BLOCK, measured, device=self._device),
            np.empty((ROWS_PER_BLOCK, known), dtype=np.float32),
        )


def _on_host(block: _Block) -> np.ndarray:
    measured = block.measured[: block.count].cpu().numpy()  # sync: the only one of the history
    return np.hstack([measured, block.known[: block.count]])


def first_non_finite(columns: Sequence[str], rows: np.ndarray, first_step: int) -> tuple[int, str] | None:
    """Return the step and the column of the earliest number that is infinite or not a number, if there is one."""
    broken = np.argwhere(~np.isfinite(rows))
    if len(broken) == 0:
        return None
    row, column = broken[0]
    return first_step + int(row), columns[column]
