"""`cupy.cuda.nccl`: not available, as on a machine without the library: it joins device memory of several processes, and a session
has one device.
"""

from __future__ import annotations

from typing import Any

available = False


def __getattr__(name: str) -> Any:
    from .._missing import refuse_attribute

    return refuse_attribute("cuda.nccl", name)
