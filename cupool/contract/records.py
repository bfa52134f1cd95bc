"""Frozen records that cost little to define: what `dataclass(frozen=True)` and `typing.NamedTuple` give, without the code that those write
and compile for each class, half a millisecond and a tenth of one.

Boundary: for classes that a program's start would otherwise wait for (`tests/unit/test_start.py`). Making a Record takes longer than a data
class does, so what is made for every call is a NamedTuple or a class of its own.
"""

from __future__ import annotations

from collections import _tuplegetter  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple
    from typing import dataclass_transform
else:

    def dataclass_transform(**options: Any) -> Any:
        """Only type checkers look at it."""
        return lambda cls: cls

    class _TupleType(type):
        """Makes the annotated names of a class the places of its tuple."""

        def __new__(mcls, name: str, bases: tuple[type, ...], members: dict[str, Any]) -> Any:
            if bases[0] is not tuple and bases[0]._fields:
                return super().__new__(mcls, name, bases, members)
            fields = tuple(members.get("__annotations__", ()))
            defaults = {field: members[field] for field in fields if field in members}
            members |= {"__slots__": (), "__match_args__": fields, "_fields": fields, "_field_defaults": defaults}
            for place, field in enumerate(fields):
                members[field] = _tuplegetter(place, f"Alias for field number {place}")
            return super().__new__(mcls, name, bases, members)

    class NamedTuple(tuple, metaclass=_TupleType):
        """Base of named tuples, with the methods of `collections.namedtuple`."""

        def __new__(cls, *args: Any, **given: Any) -> Any:
            """Raises TypeError for a field that is missing, not there, or given twice."""
            fields = cls._fields
            if given or len(args) != len(fields):
                named = dict(zip(fields, args, strict=False))
                if len(args) > len(fields) or not named.keys().isdisjoint(given) or not given.keys() <= set(fields):
                    raise TypeError(f"{cls.__name__}: too many values, or of no field, or one is given twice")
                named = cls._field_defaults | named | given
                missing = [field for field in fields if field not in named]
                if missing:
                    raise TypeError(f"{cls.__name__}: missing: {', '.join(missing)}")
                args = tuple([named[field] for field in fields])
            return tuple.__new__(cls, args)

        @classmethod
        def _make(cls, values: Any) -> Any:
            return cls(*values)

        def _replace(self, **changes: Any) -> Any:
            return type(self)(**(self._asdict() | changes))

        def _asdict(self) -> dict[str, Any]:
            return dict(zip(self._fields, self, strict=True))

        def __getnewargs__(self) -> tuple[Any, ...]:
            return tuple(self)

        def __repr__(self) -> str:
            return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._asdict().items())})"


@dataclass_transform(frozen_default=True)
class Record:
    """Base of records: annotated names are fields, in order; what the class gives one is its default, which must not be mutable."""

    _fields: tuple[str, ...] = ()
    _names: frozenset[str] = frozenset()
    _required: frozenset[str] = frozenset()

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(name for name in cls.__annotations__ if not name.startswith("_"))
        cls._names = frozenset(cls._fields)
        cls._required = frozenset(name for name in cls._fields if name not in cls.__dict__)

    def __init__(self, *args: Any, **given: Any) -> None:
        """Raises TypeError for a field that is missing, not there, or given twice."""
        cls = type(self)
        if args:
            named = dict(zip(cls._fields, args, strict=False))
            if len(args) > len(cls._fields) or not named.keys().isdisjoint(given):
                raise TypeError(f"{cls.__name__}: too many values, or one is given twice")
            given = named | given
        if not cls._required <= given.keys() or not given.keys() <= cls._names:
            wrong = sorted(cls._required - given.keys()) + sorted(given.keys() - cls._names)
            raise TypeError(f"{cls.__name__}: missing, or no field of it: {', '.join(wrong)}")
        vars(self).update(given)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"cannot assign to field {name!r} of a {type(self).__name__}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"cannot delete field {name!r} of a {type(self).__name__}")

    def __eq__(self, other: object) -> bool:
        return values_of(self) == values_of(other) if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash(values_of(self))

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{k}={v!r}' for k, v in as_dict(self).items())})"

    def replaced(self, **changes: Any) -> Self:
        """A record with other values in these fields."""
        return type(self)(**(vars(self) | changes))


def as_dict(record: Any) -> dict[str, Any]:
    """The fields of a Record by name, in order."""
    return {name: getattr(record, name) for name in record._fields}


def values_of(record: Any) -> tuple[Any, ...]:
    """The values of a Record's fields, in order."""
    return tuple([getattr(record, name) for name in record._fields])
