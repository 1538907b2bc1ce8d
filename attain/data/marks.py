"""Tables for reading texts: traces of damage, personal data, scripts, and words of languages."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


def _characters_of_bytes(low: int, high: int) -> str:
    """What single bytes become when UTF-8 is read as Windows-1252 (as Latin-1 where undefined)."""
    every = (bytes([byte]) for byte in range(low, high + 1))
    return "".join(b.decode("cp1252", "ignore") or b.decode("latin-1") for b in every)


_NEXT = f"[{re.escape(_characters_of_bytes(0x80, 0xBF))}]"
_BYTES = {char: byte for byte in range(0x80, 0x100) for char in _characters_of_bytes(byte, byte)}

# UTF-8 read as Windows-1252. The lead bytes of accented Latin letters (C2, C3), of quotes and
# dashes (E2), of the byte order mark (EF) and of emoji (F0) are telling alone; others are ordinary
# letters before ordinary signs, and two sequences in a row are asked for. (Table 3-7 of the Unicode
# standard.)
MOJIBAKE = re.compile(
    f"[ÂÃ]{_NEXT}|[âï]{_NEXT}{{2}}|ð{_NEXT}{{3}}"
    f"|(?:[ÄÅÎÏÐÑØÙ]{_NEXT}){{2,}}|(?:[àáãäåæçèéêëì]{_NEXT}{{2}}){{2,}}"
)

_TAGS = (
    "p|br|div|span|a|b|i|u|li|ul|ol|h[1-6]|table|tr|td|th|img|strong|em|font|script|style|html|body"
)
DAMAGE: dict[str, re.Pattern[str]] = {
    "wrong encoding": MOJIBAKE,
    "replacement characters": re.compile("\ufffd"),
    "HTML": re.compile(
        rf"</?(?:{_TAGS})\b[^<>]*>|&(?:amp|lt|gt|quot|apos|nbsp|#\d{{1,6}}|#x[0-9a-fA-F]{{1,5}});"
    ),  # elements and entities of the HTML standard (WHATWG) that pages hold most
    "control characters": re.compile(
        "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\ufeff]"
    ),  # general categories Cc and Cf of Unicode, but tab, line ends and the joiners of emoji
}


def repaired(text: str) -> str:
    """A text in which UTF-8 read as Windows-1252 is read as UTF-8; the rest is left alone.

    Args:
        text: Any.

    Returns:
        The text; sequences that are no UTF-8 stay.
    """
    for _ in range(2):  # text that went wrong twice occurs
        better = MOJIBAKE.sub(_read_again, text)
        if better == text:
            break
        text = better
    return text


def _read_again(found: re.Match[str]) -> str:
    try:
        return bytes(_BYTES[char] for char in found.group()).decode("utf-8")
    except (KeyError, UnicodeDecodeError):
        return found.group()


def _card(text: str) -> bool:
    """Luhn's check (ISO/IEC 7812-1, annex B), and the first digits of payment cards."""
    digits = [int(char) for char in text if char.isdigit()]
    if not 13 <= len(digits) <= 19 or digits[0] not in (2, 3, 4, 5, 6) or len(set(digits)) < 2:
        return False
    doubled = [d if i % 2 == 0 else 2 * d - 9 * (d > 4) for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def _iban(text: str) -> bool:
    """Remainder 1 modulo 97 (ISO 13616-1)."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


def _address(text: str) -> bool:
    """An address that is not everyone's own (loopback, unspecified)."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def _phone(text: str) -> bool:
    """At most 15 digits (ITU-T E.164), at least as many as short national numbers have."""
    return 9 <= sum(map(str.isdigit, text)) <= 15


@dataclass(frozen=True)
class Personal:
    """One kind of personal data.

    Attributes:
        pattern: What is looked for.
        holds: Whether what was found is one.
        hint: A part that every text with one holds, in lower case; empty for a digit.
        grave: Whether a single one is an issue.
    """

    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = bool
    hint: str = ""
    grave: bool = False


PERSONAL: dict[str, Personal] = {
    # the usual subset of RFC 5322, section 3.4.1
    "e-mail addresses": Personal(
        re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b"), hint="@"
    ),
    "card numbers": Personal(
        re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?![\w])"), _card, grave=True
    ),
    "IBANs": Personal(
        re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
        _iban,
        grave=True,
    ),
    # E.164 with a plus sign, North American and national trunk notation (ITU-T E.123)
    "telephone numbers": Personal(
        re.compile(
            r"(?<![\w.+])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){1,4}"
            r"|\(\d{3}\) ?\d{3}-\d{4}|\d{3}[-.]\d{3}[-.]\d{4}|0[1-9]\d{8,9})(?![\w])"
        ),
        _phone,
    ),
    "IP addresses": Personal(
        re.compile(
            r"(?<![\w.:])(?:(?:\d{1,3}\.){3}\d{1,3}|(?:[0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{1,4})"
            r"(?![\w.:]*\w)"
        ),
        _address,
    ),
}

# Blocks.txt of the Unicode character database, those of one script joined.
_BLOCKS = (
    (0x41, 0x24F, "Latin"),
    (0x370, 0x3FF, "Greek"),
    (0x400, 0x52F, "Cyrillic"),
    (0x530, 0x58F, "Armenian"),
    (0x590, 0x5FF, "Hebrew"),
    (0x600, 0x77F, "Arabic"),
    (0x900, 0x97F, "Devanagari"),
    (0x980, 0x9FF, "Bengali"),
    (0xB80, 0xBFF, "Tamil"),
    (0xE00, 0xE7F, "Thai"),
    (0x10A0, 0x10FF, "Georgian"),
    (0x1E00, 0x1EFF, "Latin"),
    (0x3040, 0x30FF, "Japanese"),
    (0x3400, 0x9FFF, "Han"),
    (0xAC00, 0xD7AF, "Korean"),
)
SCRIPTS = tuple(dict.fromkeys(name for _, _, name in _BLOCKS))
_SCRIPT_OF = np.full(0x10000, -1, dtype="int8")
for _first, _last, _name in _BLOCKS:
    _SCRIPT_OF[_first : _last + 1] = SCRIPTS.index(_name)
_SCRIPT_OF[0x5B:0x61] = _SCRIPT_OF[0x7B:0xC0] = -1  # signs among Latin letters

# Function words, the most frequent of each language's Snowball stop list that few others share.
_FREQUENT = {
    "English": "the and is was are with that this for have not you of it from they what my when to"
    " i in do can how be on at your we",
    "German": "und der die das ist nicht ein eine mit den auf ich sie zu für auch sich wird dem",
    "French": "le la les des est dans pour une que pas sur avec vous nous et du qui je il au ce",
    "Spanish": "el los las que para una por con es del como pero muy la en y se lo su más",
    "Italian": "il che di per una non sono con del della gli anche più la è si le nel questo",
    "Portuguese": "o os não uma para com que da em você mas mais um é na se por dos foi",
    "Dutch": "de het een en van niet dat zijn met voor ik op te aan ook maar bij wordt",
    "Swedish": "och att det som på är inte för med jag en ett av den till har om",
    "Polish": "nie się jest że jak ale dla tak już był tego przez tym czy oraz lub",
    "Turkish": "bir ve bu için çok ama daha ile gibi olarak var mı değil kadar",
}
FREQUENT = {language: frozenset(words.split()) for language, words in _FREQUENT.items()}


def script_of(text: str) -> str:
    """The script of most letters.

    Args:
        text: Any.

    Returns:
        A name from SCRIPTS; Japanese also where kana are mixed with Han; empty without letters.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    found = _SCRIPT_OF[np.minimum(codes, len(_SCRIPT_OF) - 1)]
    counts = np.bincount(found[found >= 0], minlength=len(SCRIPTS))
    if not counts.any():
        return ""
    kana = counts[SCRIPTS.index("Japanese")]
    if kana and kana + counts[SCRIPTS.index("Han")] > counts.sum() / 2:
        return "Japanese"
    return SCRIPTS[int(counts.argmax())]


def language_of(text: str) -> str:
    """The script, for Latin letters the language as far as its function words tell.

    Args:
        text: Any.

    Returns:
        A name from FREQUENT or SCRIPTS; empty when no language is clearly ahead: fewer than
        three of its function words, or fewer than twice the words of the next.
    """
    if not text.isascii():
        script = script_of(text)
        if script != "Latin":
            return script
    words = set(_WORD.findall(text.lower()))
    counts = sorted(((len(words & known), name) for name, known in FREQUENT.items()), reverse=True)
    (most, name), (next_most, _) = counts[:2]
    return name if most >= 3 and most >= 2 * next_most else ""


_WORD = re.compile(r"[^\W\d_]+")
