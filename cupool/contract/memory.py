"""Numbers that both ends use for raw device memory."""

from __future__ import annotations

#: Sources of `@malloc`: the device's own memory; the session's default memory pool; from DEFAULT_MEMPOOL on, device memory pools.
RAW, POOL, DEFAULT_MEMPOOL = 0, 1, 2

#: `cudaMemPoolAttr` numbers.
ATTR_RELEASE_THRESHOLD, ATTR_RESERVED, ATTR_RESERVED_HIGH, ATTR_USED, ATTR_USED_HIGH = 4, 5, 6, 7, 8
