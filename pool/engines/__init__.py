"""Engines: `local` has the agent of this process, `remote` reaches agents over their streams. See `pool/engine.py`."""
