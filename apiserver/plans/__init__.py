"""Plans: what runs a loop of a batch (`cupool.v1.Loop`) that would otherwise be walked command by command. Docs/decisions/016.

analysis.py   pure: what a round's commands need of each other, of the round before, and of what was there
source.py     a body -> a Python function, one line a command
plans.py      which loops have one, what is checked before it runs, and how a walk takes over where it stops
"""

from .plans import Plans, Statistics

__all__ = ["Plans", "Statistics"]
