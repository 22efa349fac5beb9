"""A training step that is captured once as a CUDA graph and then replayed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

Batch = Mapping[str, torch.Tensor]
Step = Callable[[Batch], None]
Changed = Callable[[], Sequence[torch.Tensor]]

WARM_UP_STEPS = 3  # libraries choose their kernels, and the allocator reserves its memory


class CapturedStep:
    """Calls a step; on a GPU as one CUDA graph for batches of the usual size.

    Replaying a graph launches all kernels of a step at once, where Python would launch one after
    the other. The numbers of a batch are copied into the tensors that the graph reads.

    The functions are given with each call and not kept: an owner that is no longer used is then
    freed at once, with the graph's memory, and not by a later garbage collection.

    Args:
        batch_size: The size of the batches that are replayed.
    """

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._graph: torch.cuda.CUDAGraph | None = None
        self._inputs: dict[str, torch.Tensor] = {}

    def __call__(self, batch: Batch, step: Step, changed: Changed) -> None:
        """Train on one batch.

        Args:
            batch: The tensors of a batch.
            step: Called with the tensors of a batch; it must not read a value of a tensor, nor copy
                from the host.
            changed: Returns the tensors that the step changes, which are the same in every call.
        """
        chosen = batch["chosen"]
        if not chosen.is_cuda or len(chosen) != self._batch_size:
            step(batch)
            return
        if self._graph is None:
            self._graph = self._capture(batch, step, changed)
        for name, tensor in batch.items():
            self._inputs[name].copy_(tensor)
        self._graph.replay()

    def _capture(self, batch: Batch, step: Step, changed: Changed) -> torch.cuda.CUDAGraph:
        """Capture the step; what the warm-up changes is restored."""
        self._inputs = {name: tensor.clone() for name, tensor in batch.items()}
        before = [tensor.clone() for tensor in changed()]
        random = torch.cuda.get_rng_state()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                step(self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step(self._inputs)
        for tensor, value in zip(changed(), before, strict=True):
            tensor.copy_(value)
        torch.cuda.set_rng_state(random)
        return graph
