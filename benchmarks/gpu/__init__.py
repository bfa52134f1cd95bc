"""`make gpu`: what only a GPU can show, in the few minutes that one is at hand.

parts.py    what is run, in order of worth, and how long each may take
rows.py     what is measured
__main__.py runs the parts, whatever becomes of each, and writes what came of them after every one
standins/   two packages of the extra `server`, empty, for machines that have CuPy and not them
"""
