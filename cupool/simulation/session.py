"""What a session is in a server: how far it is, what it has computed, and who is told. A number stands for all of its arrays.

Each batch folds its own number into `state`, so that a batch that is lost, doubled, out of order or of another session shows in every
later result.
"""

from __future__ import annotations

from dataclasses import dataclass

_MASK = (1 << 61) - 1


def folded(state: int, salt: int, seq: int) -> int:
    """The state after batch `seq` of the program with this salt."""
    return (state * 1_000_003 + salt * 31 + seq + 1) & _MASK


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch of a program.

    Attributes:
        seq: 1, 2, 3, ...
        work_s: of the device.
        think_s: what the program computes by itself before it sends it.
        waits: the program waits for its result.
        salt: of its program.
        takes_bytes: of memory, more than before.
        dirty_bytes: that it writes.
    """

    seq: int
    work_s: float
    think_s: float
    waits: bool
    salt: int
    takes_bytes: int = 0
    dirty_bytes: int = 0


@dataclass(slots=True)
class Content:
    """What moves with a session."""

    executed_seq: int = 0
    state: int = 0
    used_bytes: int = 0
    kernel_s: float = 0.0
    nonce: int = 0
    #: Results that the client has not said to have, by batch.
    results: dict[int, int] | None = None

    def copy(self) -> Content:
        return Content(
            self.executed_seq, self.state, self.used_bytes, self.kernel_s, self.nonce, dict(self.results or {})
        )

    def execute(self, batch: Batch) -> None:
        self.executed_seq = batch.seq
        self.state = folded(self.state, batch.salt, batch.seq)
        self.used_bytes += batch.takes_bytes
        if batch.waits:
            if self.results is None:
                self.results = {}
            self.results[batch.seq] = self.state

    def forget(self, received_seq: int) -> None:
        """The client has the results up to here."""
        if self.results:
            for seq in [s for s in self.results if s <= received_seq]:
                del self.results[seq]
