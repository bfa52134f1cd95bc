"""Checkpoints of a running session: written while its commands go on, read by the server that takes the place of a lost one.

layout.py    the bytes of a checkpoint: index and parts; packing them into one file
store.py     a folder of checkpoints that share what has not changed
keeper.py    makes them: when the client wishes, or an operator saves the session
reading.py   restores a session out of one

See docs/decisions/015-checkpoints.md.
"""
