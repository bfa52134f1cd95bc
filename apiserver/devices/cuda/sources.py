"""Whether code of a program keeps anything outside of the arena: judged by its text, before it is compiled.

What a session's kernels have in the arena is copied when the session is. A module's variables, addresses of its functions and what its
kernels allocate are elsewhere, and CUDA does not tell what is there. So a text that has, or may have, any of it holds its session.

Cases, and all of them err on the side of holding:
  - `__constant__`, `__managed__`, texture and surface references: variables.
  - `__device__` or `static` before something that is no function: a variable.
  - a `__device__` function that is named other than by a call: its address may be kept. So may a virtual function's.
  - `malloc`, `new`: memory of the device's own heap.
  - `#define` with any of these words: hidden from us.
  - PTX with `.global` or `.const` variables; an image with sections for them.

Note [Variables]
    Of a source's own variables the contents can be carried, because CUDA tells where a variable of a known name is; its address is
    another one elsewhere, so nobody may have kept that. `variables` finds the names where the text makes this sure: numbers, arrays of
    them and pointers, declared one by one outside of everything, and used by their value alone (subscripted as deep as they are
    declared), in a text that takes no address and makes no reference, of whatever, but for the first argument of an atomic function.
    Text that hides uses (macros with the name, pasting, `asm`, templates) has no variables that can be carried, and holds its session.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

_COMMENTS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_DEFINES = re.compile(r"^[ \t]*#[ \t]*define\b(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
#: What may stand between `__device__` and the name, with its own parentheses.
_ATTRIBUTES = re.compile(
    r"\b(?:__align__|__launch_bounds__|__attribute__|alignas|__declspec|__noinline__|__forceinline__)"
    r"\s*(?:\((?:[^()]|\([^()]*\))*\))?"
)
_ALWAYS = {
    "__constant__": "variables of its own", "__managed__": "variables of its own", "texture": "texture references",
    "surface": "surface references", "virtual": "virtual functions", "malloc": "memory of the device's own heap",
    "new": "memory of the device's own heap", "cudaMalloc": "memory of the device's own heap",
    "cudaMallocAsync": "memory of the device's own heap",
}  # fmt: skip
_ALWAYS_WORDS = re.compile(r"\b(?:" + "|".join(_ALWAYS) + r")\b")
_DECLARED = re.compile(r"\b(?:__device__|static)\b")
_HIDDEN = re.compile(r"\b(?:__device__|static|" + "|".join(_ALWAYS) + r")\b")
_PTX_VARIABLE = re.compile(
    r"^[ \t]*(?:\.(?:visible|extern|weak|common)\s+)*\.(?:global|const)\s+(?!_)[^;]*[;={]", re.MULTILINE
)
#: Of a compiled image: where variables are. Number 0 is a kernel's own parameters, 2 and 4 are the compiler's.
_SECTIONS = (b".nv.global", b".nv.constant3")


_NUMBER = (
    r"(?:(?:unsigned|signed|long|short|int|char|float|double|bool|half|size_t|ptrdiff_t|u?int(?:8|16|32|64)_t|"
    r"(?:float|double|int|uint|char|uchar|short|ushort|longlong|ulonglong)[1-4])\b\s*)+"
)
_VARIABLE = re.compile(
    r"(?:\bextern\s+)?\b(?:__device__|__constant__)\s+(?:(?:volatile|const)\s+)*" + _NUMBER + r"(?P<stars>\**)\s*"
    r"(?P<name>\b[A-Za-z_]\w*)\s*(?P<dims>(?:\[[^\[\]]*\]\s*)*)(?:=[^;]*)?;"
)
_HIDES = re.compile(r"##|\basm\b|\b__asm__\b|addressof|\bauto\s*&&|\btemplate\b|\bdecltype\b")
#: An ampersand that neither takes an address nor makes a reference, or takes one that goes nowhere.
_HARMLESS = re.compile(r"&&|&=|\batomic\w+\s*\(\s*&")


def variables(code: str, others: Iterable[str] = ()) -> dict[str, str]:
    """Names of variables of a source whose contents can be carried, with their declarations; empty where there is none, or where it is
    not sure. See Note [Variables].

    Args:
        others: texts that are compiled with it: headers, options.
    """
    if ".target" in code:
        return {}
    plain = _COMMENTS.sub(" ", code)
    rest = [_COMMENTS.sub(" ", other) for other in others]
    found: dict[str, str] = {}
    for declared in _VARIABLE.finditer(plain):
        before = plain[: declared.start()].rstrip()
        # Behind another declaration or a line of the preprocessor; `static`, a template or anything else before it makes it another thing.
        if before and before[-1] not in ";}" and not before.rpartition("\n")[2].lstrip().startswith("#"):
            return {}
        if before.count("{") != before.count("}") or declared["name"] in found:
            return {}
        found[declared["name"]] = declared[0]
        if not _is_used_by_value(
            declared, plain[: declared.start()] + " " * len(declared[0]) + plain[declared.end() :], rest
        ):
            return {}
    hides = any(_HIDES.search(text) or "&" in _HARMLESS.sub(" ", text) for text in (plain, *rest))
    return {} if found and hides else found


def without(code: str, declaration: str) -> str:
    """The code without a declaration that `variables` found, comments gone."""
    return _COMMENTS.sub(" ", code).replace(declaration, ";", 1)


def _is_used_by_value(declared: re.Match[str], plain: str, others: list[str]) -> bool:
    """Whether nothing takes the address of a variable. `plain` is the text without its declaration."""
    name, depth = declared["name"], declared["dims"].count("[")
    word = re.compile(rf"\b{re.escape(name)}\b")
    subscripts = re.compile(r"\s*\[[^\[\]]*\]" * depth) if depth else None
    for text in (plain, *others):
        if any(word.search(define) for define in _DEFINES.findall(text)):
            return False
        for use in word.finditer(text):
            if subscripts is not None and subscripts.match(text, use.end()) is None:
                return False
    return True


def held_by(texts: Iterable[str]) -> str:
    """What code of these texts may keep outside of the arena, a few words; empty: nothing."""
    for text in texts:
        why = _held_by(text)
        if why:
            return why
    return ""


def _held_by(text: str) -> str:
    if text.lstrip().startswith((".version", "//\n// Generated by NVIDIA")) and ".target" in text:
        return "variables of its own" if _PTX_VARIABLE.search(text) else ""
    plain = _COMMENTS.sub(" ", text)
    for define in _DEFINES.findall(plain):
        if _HIDDEN.search(define):
            return "words of variables in a #define"
    plain = _ATTRIBUTES.sub(" ", _DEFINES.sub(" ", plain))
    found = _ALWAYS_WORDS.search(plain)
    if found is not None:
        return _ALWAYS[found[0]]
    names: set[str] = set()
    for declared in _DECLARED.finditer(plain):
        rest = plain[declared.end() :]
        end = re.search(r"[(;={\[]", rest)
        if end is None or end[0] != "(":
            # A class or a namespace has no storage; what is in it is looked at by itself.
            if end is not None and end[0] == "{" and re.search(r"\b(?:struct|class|namespace)\b", rest[: end.start()]):
                continue
            if re.search(r"\bconstexpr\b", rest[: end.start()] if end else rest):
                continue
            return "variables of its own"
        last = re.search(r"(\w+)\s*$", rest[: end.start()])
        if last is not None and declared[0] == "__device__":
            names.add(last[1])
    for name in names:
        if re.search(rf"\b{re.escape(name)}\b(?!\s*[(<])", plain):
            return f"the address of its function {name}"
    return ""


def held_by_image(image: bytes) -> str:
    """As `held_by`, of a compiled module: an image (ELF) or PTX."""
    if image[:4] != b"\x7fELF":
        try:
            text = image.rstrip(b"\0").decode()
        except UnicodeDecodeError:
            return "a form that only CUDA can read"
        return _held_by(text) if ".target" in text else "a form that only CUDA can read"
    try:
        names = _section_names(image)
    except (struct.error, IndexError, ValueError):
        return "a form that only CUDA can read"
    return "variables of its own" if any(name.startswith(_SECTIONS) for name in names) else ""


def _section_names(image: bytes) -> list[bytes]:
    """Of a 64-bit little-endian ELF file."""
    if image[4:6] != b"\x02\x01":
        raise ValueError("another kind of ELF")
    (at,) = struct.unpack_from("<Q", image, 0x28)
    size, count, strings = struct.unpack_from("<HHH", image, 0x3A)
    if not size or not count or strings >= count or at + size * count > len(image):
        raise ValueError("no sections")
    heads = [struct.unpack_from("<IIQQQQ", image, at + k * size) for k in range(count)]
    table = heads[strings]
    start, length = table[4], table[5]
    if start + length > len(image):
        raise ValueError("its names lie beyond its end")
    names = image[start : start + length]
    return [names[head[0] :].split(b"\0", 1)[0] for head in heads]


__all__ = ["held_by", "held_by_image", "variables", "without"]
