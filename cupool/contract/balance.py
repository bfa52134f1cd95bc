"""The names of the balancing policies: the pool's settings and commands offer them, the balancer has them."""

from __future__ import annotations

#: Each with a sentence for people, the default first.
POLICIES: dict[str, str] = {
    "cost-aware": "Moves a session when the time that it saves exceeds what the move costs, by a margin.",
    "dgsf": "Moves one session of a device with several to a device with none, then rests for 5 s: DGSF's rule, for comparison.",
    "pack": "Frees whole devices: empties those with few sessions into those with many.",
    "spread": "Evens out how many sessions the devices have.",
    "none": "Moves nothing.",
}
DEFAULT = next(iter(POLICIES))
