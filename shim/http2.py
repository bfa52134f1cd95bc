"""One gRPC call on an HTTP/2 connection of its own, as bytes out and bytes in; `light_stream.py` puts it on a socket.

Boundary: no socket, no lock. `feed` and `end` are the reading thread's, `take` the sending one's; what one tells the other goes through
deques, whose `append` and `popleft` are single steps. A client's half of RFC 9113, as far as one call needs it. Our settings forbid what
would need more: pushed streams, a dynamic header table. What is not read here (a header in Huffman's code, a compressed message) is
`Unread`: nothing is guessed, and the caller goes on with grpcio.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from struct import Struct, error
from typing import Any

from . import bundles

#: What we let the server send ahead of us, in bytes, and in one frame.
WINDOW = 8 << 20
MAX_FRAME = 1 << 20
#: Header blocks are short; a longer one is no server of ours.
MAX_HEADERS = 64 << 10
#: Answers to pings and settings that wait to be sent, and what they say: a server that asks on without reading is none of ours.
MAX_UNSENT = 100_000

_DATA, _HEADERS, _RST, _SETTINGS, _PUSH, _PING, _GOAWAY, _UPDATE, _CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
_ACK = _END_STREAM = 1
_END_HEADERS, _PADDED, _PRIORITY = 4, 8, 32
#: Settings, by their number in the protocol.
_TABLE_SIZE, _ENABLE_PUSH, _INITIAL_WINDOW, _FRAME_SIZE = 1, 2, 4, 5
_CONNECTION, _STREAM = 0, 1

_prefix = Struct(">BI")
_setting = Struct(">HI")
_long = Struct(">I")

#: gRPC's statuses by number.
STATUSES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
    "UNAUTHENTICATED",
)  # fmt: skip
#: What a reset means, by HTTP/2's error code, and what another HTTP status than 200 does, as gRPC's protocol says.
_OF_RESET = {7: "UNAVAILABLE", 8: "CANCELLED", 11: "RESOURCE_EXHAUSTED", 12: "PERMISSION_DENIED"}
_OF_HTTP = {
    "400": "INTERNAL", "401": "UNAUTHENTICATED", "403": "PERMISSION_DENIED", "404": "UNIMPLEMENTED", "429": "UNAVAILABLE",
    "502": "UNAVAILABLE", "503": "UNAVAILABLE", "504": "UNAVAILABLE",
}  # fmt: skip

#: HPACK's static table (RFC 7541, appendix A), from index 1; "name value" where it has a value.
_STATIC_TEXT = (
    ":authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204|:status 206|"
    ":status 304|:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate|accept-language|accept-ranges|accept|"
    "access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|content-encoding|content-language|"
    "content-length|content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|"
    "if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|"
    "referer|refresh|retry-after|server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate"
)
_STATIC = tuple(_STATIC_TEXT.split("|"))


class Unread(Exception):
    """The server sent something that is not read here, or that makes no sense."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return len(payload).to_bytes(3) + bytes((kind, flags)) + _long.pack(stream) + payload


def _string(data: bytes) -> bytes:
    return _integer(len(data), 7) + data


def _integer(value: int, bits: int) -> bytes:
    """HPACK's integer, in a byte whose upper bits are zero and what follows."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((value,))
    out, value = bytearray((most,)), value - most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def header_block(fields: list[tuple[str, str]]) -> bytes:
    """Header fields, each written out: nothing to remember on either side."""
    return b"".join(b"\0" + _string(name.encode()) + _string(value.encode()) for name, value in fields)


def header_fields(block: bytes) -> list[tuple[str, str]]:
    """The fields of a header block. Raises Unread."""
    fields, at = [], 0

    def integer(bits: int) -> int:
        nonlocal at
        most = (1 << bits) - 1
        value = block[at] & most
        at += 1
        if value < most:
            return value
        for shift in (0, 7, 14, 21):
            more = block[at]
            at += 1
            value += (more & 127) << shift
            if not more & 128:
                return value
        raise Unread("a number in a header is too long")

    def text() -> str:
        nonlocal at
        if block[at] & 128:
            raise Unread("a header is in Huffman's code")
        size = integer(7)
        if at + size > len(block):
            raise Unread("a header is cut")
        at += size
        return block[at - size : at].decode("utf-8", "replace")

    def known(index: int) -> tuple[str, str]:
        if not 0 < index <= len(_STATIC):
            raise Unread(f"header {index} is of a table that is not kept")
        name, _, value = _STATIC[index - 1].partition(" ")
        return name, value

    try:
        while at < len(block):
            first = block[at]
            if first & 128:
                fields.append(known(integer(7)))
            elif first & 224 == 32:
                integer(5)  # the table's size, which is 0
            else:
                index = integer(6 if first & 64 else 4)
                name = known(index)[0] if index else text()
                fields.append((name, text()))
    except IndexError:
        raise Unread("a header is cut") from None
    return fields


def _percent(text: str) -> str:
    """What a grpc-message says."""
    if "%" not in text:
        return text
    head, *parts = text.encode("utf-8", "replace").split(b"%")
    out = bytearray(head)
    for part in parts:
        try:
            out += bytes((int(part[:2], 16),)) + part[2:]
        except ValueError:
            out += b"%" + part
    return out.decode("utf-8", "replace")


class Call:
    """The client's half of one call. `end` is (status, its text, trailers) once the server has ended it."""

    def __init__(
        self,
        scheme: str,
        authority: str,
        path: str,
        metadata: tuple[tuple[str, str], ...],
        max_message: int,
        timeout_s: float | None = None,
    ) -> None:
        fields = [
            (":method", "POST"), (":scheme", scheme), (":path", path), (":authority", authority), ("te", "trailers"),
            ("content-type", "application/grpc"), ("user-agent", "cupool"),
        ]  # fmt: skip
        if timeout_s is not None:
            fields.append(("grpc-timeout", f"{min(max(int(timeout_s * 1000), 1), 99_999_999)}m"))
        block = header_block([*fields, *metadata])
        if len(block) > 1 << 14:
            raise Unread("the metadata is longer than a frame may be")
        settings = ((_TABLE_SIZE, 0), (_ENABLE_PUSH, 0), (_INITIAL_WINDOW, WINDOW), (_FRAME_SIZE, MAX_FRAME))
        #: Frames that no window holds back.
        self._urgent: deque[bytes] = deque(
            (
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                + frame(_SETTINGS, 0, 0, b"".join(_setting.pack(*pair) for pair in settings))
                + frame(_UPDATE, 0, 0, _long.pack(WINDOW - 65_535))
                + frame(_HEADERS, _END_HEADERS, 1, block),
            )
        )
        #: What the server has told of its windows and frames, for `take`: (which, how much).
        self._told: deque[tuple[str, int]] = deque()
        #: Messages to send; None: no more.
        self._messages: deque[bytes | None] = deque()
        self.put: Callable[[bytes | None], Any] = self._messages.append
        #: whether several that wait go as one, see `bundles.py`
        self.may_bundle = False
        self._body = memoryview(b"")
        self._windows = {"connection": 65_535, "stream": 65_535}
        self._initial = 65_535
        self._frame_size = 1 << 14

        self.end: tuple[str, str, dict[str, str]] | None = None
        self._max_message = max_message
        self._buffer = bytearray()
        self._block: bytes | None = None
        self._block_ends = False
        self._has_headers = False
        self._http = ""
        self._message = bytearray()
        self._unsaid = 0

    # -- out ------------------------------------------------------------------------------------------------------------

    @property
    def is_ready(self) -> bool:
        """Whether `take` would give something."""
        if self._urgent or self._told:
            return True
        return bool((self._body or self._messages) and min(self._windows.values()) >= (1 if self._body else 5))

    def take(self) -> list[bytes | memoryview]:
        """All that may be sent now, in pieces that are not copied."""
        parts: list[bytes | memoryview] = []
        while self._urgent:
            parts.append(self._urgent.popleft())
        while self._told:
            which, amount = self._told.popleft()
            if which == "initial":
                self._windows["stream"] += amount - self._initial
                self._initial = amount
            elif which == "frame":
                self._frame_size = amount
            else:
                self._windows[which] += amount
        windows, messages = self._windows, self._messages
        while self._body or messages:
            prefix = b""
            if not self._body:
                if min(windows.values()) < 5:
                    break  # a message's length is not cut: it needs no place of its own then
                message = bundles.taken(messages, None) if self.may_bundle else messages.popleft()
                if message is None:
                    parts.append(frame(_DATA, _END_STREAM, _STREAM))
                    continue
                prefix, self._body = _prefix.pack(0, len(message)), memoryview(message)
            size = min(len(self._body), min(windows["connection"], windows["stream"], self._frame_size) - len(prefix))
            if size <= 0 and not prefix:
                break
            used = size + len(prefix)
            parts += (used.to_bytes(3) + b"\0\0\0\0\0\1" + prefix, self._body[:size])
            self._body = self._body[size:]
            windows["connection"] -= used
            windows["stream"] -= used
        return parts

    def ping(self) -> None:
        """Ask whether anybody is there: any bytes are an answer."""
        self._urgent.append(frame(_PING, 0, 0, bytes(8)))

    # -- in -------------------------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> list[bytes]:
        """What the server sent: the messages that are whole now. May leave something to send. Raises Unread."""
        messages: list[bytes] = []
        if self._buffer:
            data = bytes(self._buffer + data)
            self._buffer.clear()
        at, end = 0, len(data)
        try:
            while end - at >= 9 and self.end is None:
                size = int.from_bytes(data[at : at + 3])
                if size > MAX_FRAME:
                    raise Unread(f"a frame of {size} bytes is longer than is allowed")
                if end - at < 9 + size:
                    break
                kind, flags = data[at + 3], data[at + 4]
                stream = _long.unpack_from(data, at + 5)[0] & 0x7FFF_FFFF
                payload = data[at + 9 : at + 9 + size]
                at += 9 + size
                if self._block is not None and kind != _CONTINUATION:
                    raise Unread("a header block is cut")
                if kind == _DATA and stream == _STREAM:
                    messages += self._data(flags, payload)
                elif kind in _READERS:
                    _READERS[kind](self, flags, stream, payload)
                    if len(self._urgent) + len(self._told) > MAX_UNSENT:
                        raise Unread("too much is asked without taking the answers")
        except (IndexError, ValueError, error) as damage:
            raise Unread(f"a frame makes no sense: {damage}") from None
        self._buffer += data[at:]
        return messages

    def _data(self, flags: int, payload: bytes) -> list[bytes]:
        self._unsaid += len(payload)
        if self._unsaid >= WINDOW // 4:
            said, self._unsaid = _long.pack(self._unsaid), 0
            self._urgent.append(frame(_UPDATE, 0, _CONNECTION, said) + frame(_UPDATE, 0, _STREAM, said))
        message, messages = self._message, []
        payload = _unpadded(flags, payload)
        if (
            not message
            and len(payload) >= 5
            and payload[0] == 0
            and _long.unpack_from(payload, 1)[0] == len(payload) - 5
        ):
            messages.append(payload[5:])  # as most are: whole, and alone in its frame
        else:
            message += payload
        while len(message) >= 5:
            packed, size = _prefix.unpack_from(message)
            if packed:
                raise Unread("a message is compressed")
            if size > self._max_message:
                raise Unread(f"a message of {size} bytes is longer than is allowed")
            if len(message) < 5 + size:
                break
            messages.append(bytes(message[5 : 5 + size]))
            del message[: 5 + size]
        if flags & _END_STREAM:
            self.end = ("INTERNAL", "The server ended the call without a status.", {})
        return messages

    def _read_headers(self, flags: int, stream: int, payload: bytes) -> None:
        if stream != _STREAM:
            raise Unread("headers of a stream that is not ours")
        payload = _unpadded(flags, payload)
        self._block = payload[5:] if flags & _PRIORITY else payload
        self._block_ends = bool(flags & _END_STREAM)
        if flags & _END_HEADERS:
            self._headers()

    def _read_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        if self._block is None or stream != _STREAM:
            raise Unread("the end of headers that did not begin")
        self._block += payload
        if len(self._block) > MAX_HEADERS:
            raise Unread("the headers are longer than is allowed")
        if flags & _END_HEADERS:
            self._headers()

    def _headers(self) -> None:
        block, self._block = self._block or b"", None
        if len(block) > MAX_HEADERS:
            raise Unread("the headers are longer than is allowed")
        fields = dict(header_fields(block))
        self._http = fields.get(":status", self._http)
        if not self._block_ends:
            if self._http.startswith("1"):
                return  # there will be others
            if self._has_headers or self._http != "200":
                self._finish(fields)
            self._has_headers = True
            return
        self._finish(fields)

    def _finish(self, fields: dict[str, str]) -> None:
        number = fields.get("grpc-status")
        if number is not None and number.isdecimal():
            code = STATUSES[int(number)] if int(number) < len(STATUSES) else "UNKNOWN"
            self.end = (code, _percent(fields.get("grpc-message", "")), fields)
        else:
            code = _OF_HTTP.get(self._http, "UNKNOWN")
            self.end = (code, f"The answer is HTTP {self._http or 'without a status'}, and not gRPC's.", fields)

    def _read_reset(self, flags: int, stream: int, payload: bytes) -> None:
        code = _long.unpack(payload)[0]
        if stream == _STREAM:
            self.end = (_OF_RESET.get(code, "INTERNAL"), f"The server reset the call (HTTP/2 error {code}).", {})

    def _read_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if flags & _ACK:
            return
        for number, value in _setting.iter_unpack(payload):
            if number == _INITIAL_WINDOW:
                if value > 0x7FFF_FFFF:
                    raise Unread("a window is larger than there are")
                self._told.append(("initial", value))
            elif number == _FRAME_SIZE:
                if not 1 << 14 <= value < 1 << 24:
                    raise Unread("a frame size is none")
                self._told.append(("frame", value))
        self._urgent.append(frame(_SETTINGS, _ACK, 0))

    def _read_ping(self, flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 8:
            raise Unread("a ping is not eight bytes long")
        if not flags & _ACK:
            self._urgent.append(frame(_PING, _ACK, 0, payload))

    def _read_goaway(self, flags: int, stream: int, payload: bytes) -> None:
        if _long.unpack_from(payload)[0] & 0x7FFF_FFFF < _STREAM:
            self.end = ("UNAVAILABLE", "The server takes no more calls.", {})

    def _read_update(self, flags: int, stream: int, payload: bytes) -> None:
        amount = _long.unpack(payload)[0] & 0x7FFF_FFFF
        if stream in (_CONNECTION, _STREAM):
            self._told.append(("stream" if stream else "connection", amount))

    def _read_push(self, flags: int, stream: int, payload: bytes) -> None:
        raise Unread("a pushed stream")


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    if payload[0] >= len(payload):
        raise Unread("a frame is all padding")
    return payload[1 : len(payload) - payload[0]]


_READERS: dict[int, Callable[[Call, int, int, bytes], None]] = {
    _HEADERS: Call._read_headers,
    _CONTINUATION: Call._read_continuation,
    _RST: Call._read_reset,
    _SETTINGS: Call._read_settings,
    _PING: Call._read_ping,
    _GOAWAY: Call._read_goaway,
    _UPDATE: Call._read_update,
    _PUSH: Call._read_push,
}
