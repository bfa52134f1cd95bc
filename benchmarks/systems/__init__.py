"""The same small programs through cupool and through others, as a user of each would call NumPy remotely.

`program.py` is the client, `serve.py` the other end of RPyC and Ray. Both are run as files by an interpreter that has the system, so they
import nothing of this repository.
"""
