"""A live move, as its two servers see it: docs/decisions/012.

roles.py        what source and destination do next: pure machines
source.py       the source's driver: MoveService.Pull, rounds, the stop, the release
destination.py  the destination's driver: pulls, restores, says that it is ready
stream.py       the bytes' layout, in a slot of the lane and in a frame
"""
