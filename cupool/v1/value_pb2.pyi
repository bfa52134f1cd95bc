from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Slot(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SLOT_UNSPECIFIED: _ClassVar[Slot]
    SLOT_HANDLE: _ClassVar[Slot]
    SLOT_INTEGER: _ClassVar[Slot]
    SLOT_REAL: _ClassVar[Slot]
    SLOT_VALUE: _ClassVar[Slot]
SLOT_UNSPECIFIED: Slot
SLOT_HANDLE: Slot
SLOT_INTEGER: Slot
SLOT_REAL: Slot
SLOT_VALUE: Slot

class Value(_message.Message):
    __slots__ = ("none", "boolean", "integer", "big_integer", "real", "complex", "text", "blob", "array", "tuple", "list", "mapping", "slice", "ellipsis", "dtype", "handle", "slot")
    NONE_FIELD_NUMBER: _ClassVar[int]
    BOOLEAN_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    BIG_INTEGER_FIELD_NUMBER: _ClassVar[int]
    REAL_FIELD_NUMBER: _ClassVar[int]
    COMPLEX_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    BLOB_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    TUPLE_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    MAPPING_FIELD_NUMBER: _ClassVar[int]
    SLICE_FIELD_NUMBER: _ClassVar[int]
    ELLIPSIS_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    HANDLE_FIELD_NUMBER: _ClassVar[int]
    SLOT_FIELD_NUMBER: _ClassVar[int]
    none: Unit
    boolean: bool
    integer: int
    big_integer: bytes
    real: float
    complex: Complex
    text: str
    blob: bytes
    array: ArrayValue
    tuple: Sequence
    list: Sequence
    mapping: Mapping
    slice: SliceValue
    ellipsis: Unit
    dtype: Dtype
    handle: int
    slot: Slot
    def __init__(self, none: _Optional[_Union[Unit, _Mapping]] = ..., boolean: bool = ..., integer: _Optional[int] = ..., big_integer: _Optional[bytes] = ..., real: _Optional[float] = ..., complex: _Optional[_Union[Complex, _Mapping]] = ..., text: _Optional[str] = ..., blob: _Optional[bytes] = ..., array: _Optional[_Union[ArrayValue, _Mapping]] = ..., tuple: _Optional[_Union[Sequence, _Mapping]] = ..., list: _Optional[_Union[Sequence, _Mapping]] = ..., mapping: _Optional[_Union[Mapping, _Mapping]] = ..., slice: _Optional[_Union[SliceValue, _Mapping]] = ..., ellipsis: _Optional[_Union[Unit, _Mapping]] = ..., dtype: _Optional[_Union[Dtype, _Mapping]] = ..., handle: _Optional[int] = ..., slot: _Optional[_Union[Slot, str]] = ...) -> None: ...

class Unit(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Complex(_message.Message):
    __slots__ = ("real", "imag")
    REAL_FIELD_NUMBER: _ClassVar[int]
    IMAG_FIELD_NUMBER: _ClassVar[int]
    real: float
    imag: float
    def __init__(self, real: _Optional[float] = ..., imag: _Optional[float] = ...) -> None: ...

class Sequence(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[Value]
    def __init__(self, items: _Optional[_Iterable[_Union[Value, _Mapping]]] = ...) -> None: ...

class NamedValue(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: Value
    def __init__(self, name: _Optional[str] = ..., value: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...

class Mapping(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[NamedValue]
    def __init__(self, items: _Optional[_Iterable[_Union[NamedValue, _Mapping]]] = ...) -> None: ...

class SliceValue(_message.Message):
    __slots__ = ("start", "stop", "step")
    START_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    start: Value
    stop: Value
    step: Value
    def __init__(self, start: _Optional[_Union[Value, _Mapping]] = ..., stop: _Optional[_Union[Value, _Mapping]] = ..., step: _Optional[_Union[Value, _Mapping]] = ...) -> None: ...

class ArrayValue(_message.Message):
    __slots__ = ("dtype", "shape", "data", "scalar")
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SCALAR_FIELD_NUMBER: _ClassVar[int]
    dtype: Dtype
    shape: _containers.RepeatedScalarFieldContainer[int]
    data: bytes
    scalar: bool
    def __init__(self, dtype: _Optional[_Union[Dtype, _Mapping]] = ..., shape: _Optional[_Iterable[int]] = ..., data: _Optional[bytes] = ..., scalar: bool = ...) -> None: ...

class Dtype(_message.Message):
    __slots__ = ("code", "fields", "itemsize", "subshape")
    CODE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    ITEMSIZE_FIELD_NUMBER: _ClassVar[int]
    SUBSHAPE_FIELD_NUMBER: _ClassVar[int]
    code: str
    fields: _containers.RepeatedCompositeFieldContainer[DtypeField]
    itemsize: int
    subshape: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, code: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[DtypeField, _Mapping]]] = ..., itemsize: _Optional[int] = ..., subshape: _Optional[_Iterable[int]] = ...) -> None: ...

class DtypeField(_message.Message):
    __slots__ = ("name", "dtype", "offset")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DTYPE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    name: str
    dtype: Dtype
    offset: int
    def __init__(self, name: _Optional[str] = ..., dtype: _Optional[_Union[Dtype, _Mapping]] = ..., offset: _Optional[int] = ...) -> None: ...
