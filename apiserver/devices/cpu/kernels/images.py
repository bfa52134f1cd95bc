"""What compiling gives on the CPU device: an image is the source with its options, checked to compile; loading it compiles again, from
the cache. A GPU's images are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from cupool.contract.errors import CompileException, OpMissing, ProtocolError
from cupool.contract.values import decode, encode
from cupool.v1 import value_pb2

_MAGIC = b"cupool CPU image 1\n"
#: Architectures that NVRTC of the CUDA version that this device states knows.
ARCHITECTURES = frozenset(
    ["50", "52", "53", "60", "61", "62", "70", "72", "75", "80", "86", "87", "89", "90", "100", "101", "120"]
)


@dataclass(frozen=True, slots=True)
class Image:
    """A source, its options, the template instances that it is to hold, and its headers by name."""

    source: str
    options: tuple[str, ...]
    expressions: tuple[str, ...]
    headers: dict[str, str]


def check_arch(arch: str, source: str, name: str, options: tuple[str, ...]) -> None:
    """Raises CompileException for an architecture that NVRTC does not know. It decides nothing here."""
    if arch and arch.removesuffix("a") not in ARCHITECTURES:
        text = f"nvrtc: error: invalid value for --gpu-architecture (-arch): compute_{arch}"
        raise CompileException(text, source, name, options, "nvrtc")


def pack(image: Image) -> bytes:
    """As bytes."""
    contents: Any = encode((image.source, image.options, image.expressions, image.headers))
    return _MAGIC + bytes(contents.SerializeToString())


def unpack(data: bytes) -> Image:
    """From bytes. Raises OpMissing for what no CPU device made."""
    if not data.startswith(_MAGIC):
        raise OpMissing(
            "A cubin, fatbin or PTX file is GPU code, and this server's device is a CPU.",
            "Pass the source: RawModule(code=…), or compile it here with cupy.cuda.compiler.",
        )
    try:
        source, options, expressions, headers = decode(value_pb2.Value.FromString(data[len(_MAGIC) :]), None)
        return Image(str(source), tuple(map(str, options)), tuple(map(str, expressions)), dict(headers))
    except (ValueError, TypeError, DecodeError, ProtocolError) as error:
        raise ValueError(f"a damaged image of the CPU device: {error}") from None
