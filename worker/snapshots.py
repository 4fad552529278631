"""Buffers on the host that the tensors of one state after another are copied into."""

from collections.abc import Mapping

import torch
from torch import Tensor


class Snapshots:
    """One buffer for each tensor, made when it is first seen: fresh memory costs several times as much as the copy."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def take(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Copy tensors, whose copies hold until the next are taken; waits for a GPU to have done all its steps."""
        self._buffers = {name: self._buffer_for(name, tensor) for name, tensor in tensors.items()}
        for name, tensor in tensors.items():
            self._buffers[name].copy_(tensor, non_blocking=True)
        if any(tensor.is_cuda for tensor in tensors.values()):
            torch.cuda.current_stream().synchronize()  # sync: in the loop, for who captures forbids other threads to
        return self._buffers

    def _buffer_for(self, name: str, tensor: Tensor) -> Tensor:
        before = self._buffers.get(name)
        if before is not None and before.shape == tensor.shape and before.dtype == tensor.dtype:
            return before
        return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda)
