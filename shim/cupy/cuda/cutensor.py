"""`cupy.cuda.cutensor`: not available, as on a machine without the library. `cupy.einsum` and `cupy.tensordot` need it not."""

from __future__ import annotations

available = False
