"""Where commands run, device and stream, and how the walk finds the step of one without a look at that.

Note [Places]
    Where a device has streams, the walk finds steps by form and place together, among those of the current place. A command for another
    one is not among them; then that place is selected, and the walk goes on. So a command costs no look at its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cupool.contract.codec import DEVICE_MASK, DEVICE_SHIFT, FORM_MASK, STREAM_MASK, STREAM_SHIFT

#: What the walk knows of a form: (words, bytes to charge or -1, step).
Fast = tuple[int, int, Callable[[list[int], int], None]]
_PLACE_MASK = DEVICE_MASK | STREAM_MASK << (STREAM_SHIFT - DEVICE_SHIFT)
#: Of a header: its form, its place, and its sign, which no command has.
PLACED_MASK = FORM_MASK | _PLACE_MASK << DEVICE_SHIFT | (-1 << 63)


def place_of(header: int) -> int:
    """Device and stream of a command, as one number."""
    return header >> DEVICE_SHIFT & _PLACE_MASK


class Places(dict[int, "_AtPlace"]):
    """Place -> its steps. See Note [Places]."""

    def __init__(self, fast: Mapping[int, Fast]) -> None:
        """
        Args:
            fast: form -> step, of all forms; as it is when a step is looked for.
        """
        super().__init__()
        self._fast = fast

    def __missing__(self, place: int) -> _AtPlace:
        made = self[place] = _AtPlace(self._fast, place)
        return made

    def forget(self, form: int) -> None:
        """A form has another step, or is gone."""
        for place, steps in self.items():
            steps.pop(form | place << DEVICE_SHIFT, None)


class _AtPlace(dict[int, Fast]):
    """Form and place, as in a header -> step: of one place."""

    def __init__(self, fast: Mapping[int, Fast], place: int) -> None:
        super().__init__()
        self._fast, self._place = fast, place << DEVICE_SHIFT

    def __missing__(self, key: int) -> Fast:
        if key & ~FORM_MASK != self._place:
            raise KeyError(key)
        found = self[key] = self._fast[key & FORM_MASK]
        return found


__all__ = ["PLACED_MASK", "Fast", "Places", "place_of"]
