"""When the last of several trainers finishes."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

MAX_SIMULATED = 50_000
"""Number of trainings that are simulated one by one, in about 0.1 s."""
MIN_PER_WORKER = 100
"""Trainings of a block for each worker, down to which they are merged."""


@dataclass(frozen=True, slots=True)
class Block:
    """Trainings of one combination that can run at the same time, or several equal such blocks."""

    number: int
    seconds: float
    """Seconds of each training."""
    repeats: int = 1
    """Number of such blocks, one after the other."""


def makespan(chains: Sequence[Sequence[Block]], workers: int) -> float:
    """Return when the last trainer finishes, in seconds from the start.

    Every training is simulated, up to MAX_SIMULATED. Of more trainings, consecutive ones of a
    combination are merged into longer ones with the same total time.

    Args:
        chains: The blocks of each combination; a block starts when the previous one has ended.
        workers: Number of trainers; each takes the combination with the most remaining work, as
            the scheduler does.
    """
    total = sum(block.number * block.repeats for chain in chains for block in chain)
    factor = math.ceil(total / MAX_SIMULATED)
    merged = [[_merge(block, factor, workers) for block in chain] for chain in chains]
    return _simulate([_Chain(blocks) for blocks in merged], workers)


def _merge(block: Block, factor: int, workers: int) -> Block:
    """Merge about `factor` trainings into one: first whole blocks, then trainings within a block.

    A block keeps enough trainings for all workers, or all that it has.
    """
    repeats = max(1, block.repeats // factor)
    rest = max(1, factor * repeats // block.repeats)
    number = max(min(block.number, MIN_PER_WORKER * workers), block.number // rest)
    share = (block.repeats / repeats) * (block.number / number)
    return Block(number, block.seconds * share, repeats)


class _Chain:
    """The remaining trainings of a combination."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = list(reversed(blocks))
        self.end = 0.0
        """When the last training that has started ends."""
        self._next_block()

    def _next_block(self) -> None:
        block = self._blocks.pop()
        self.seconds = block.seconds
        """Seconds of a training of the present block."""
        self._number, self._started, self._repeats = block.number, 0, block.repeats
        self._after = sum(later.seconds * later.repeats for later in reversed(self._blocks))

    @property
    def remaining(self) -> float:
        """Seconds of the present and all later blocks, one training of each."""
        return self.seconds * self._repeats + self._after

    def start(self, now: float) -> bool:
        """Start a training; return whether it is the last one of its block."""
        self.end = max(self.end, now + self.seconds)
        self._started += 1
        return self._started == self._number

    def go_on(self) -> bool:
        """Go on to the next block; return whether there is one."""
        self._started = 0
        self._repeats -= 1
        if not self._repeats and self._blocks:
            self._next_block()
        return self._repeats > 0


def _simulate(chains: Sequence[_Chain], workers: int) -> float:
    """Start one training after the other, each on the trainer that is free first."""
    ready = [(-chain.remaining, index) for index, chain in enumerate(chains)]
    heapq.heapify(ready)
    waiting: list[tuple[float, int]] = []  # until their last block has ended
    free = [0.0] * workers
    now = 0.0
    while ready or waiting:
        now = max(heapq.heappop(free), now if ready else waiting[0][0])
        while waiting and waiting[0][0] <= now:
            index = heapq.heappop(waiting)[1]
            heapq.heappush(ready, (-chains[index].remaining, index))
        index = ready[0][1]
        chain = chains[index]
        heapq.heappush(free, now + chain.seconds)
        if chain.start(now):
            heapq.heappop(ready)
            if chain.go_on():
                heapq.heappush(waiting, (chain.end, index))
    return max(free)
