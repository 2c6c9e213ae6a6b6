"""A number in words, for people who are to notice a nought too many: 1234 is "mil duzentos e trinta e quatro"."""

from django.utils.translation import get_language

PT_SMALL = [
    "zero",
    "um",
    "dois",
    "três",
    "quatro",
    "cinco",
    "seis",
    "sete",
    "oito",
    "nove",
    "dez",
    "onze",
    "doze",
    "treze",
    "quatorze",
    "quinze",
    "dezesseis",
    "dezessete",
    "dezoito",
    "dezenove",
]
PT_TENS = ["-", "-", "vinte", "trinta", "quarenta", "cinquenta", "sessenta", "setenta", "oitenta", "noventa"]
PT_HUNDREDS = [
    "-",
    "cento",
    "duzentos",
    "trezentos",
    "quatrocentos",
    "quinhentos",
    "seiscentos",
    "setecentos",
    "oitocentos",
    "novecentos",
]
EN_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
EN_TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def in_words(number: int) -> str:
    """Return a number from 0 to 999,999 in the reader's language: Portuguese, or else English."""
    if not 0 <= number < 1_000_000:
        raise ValueError("only numbers from 0 to 999,999 are said in words")
    return _portuguese(number) if (get_language() or "").startswith("pt") else _english(number)


def _portuguese(number: int) -> str:
    thousands, rest = divmod(number, 1000)
    if not thousands:
        return _portuguese_hundreds(rest)
    words = "mil" if thousands == 1 else f"{_portuguese_hundreds(thousands)} mil"
    if not rest:
        return words
    # "mil e cem", "mil e vinte", but "mil duzentos e trinta"
    joint = " e " if rest <= 100 or rest % 100 == 0 else " "
    return words + joint + _portuguese_hundreds(rest)


def _portuguese_hundreds(number: int) -> str:
    if number == 100:
        return "cem"
    hundreds, rest = divmod(number, 100)
    parts = [PT_HUNDREDS[hundreds]] if hundreds else []
    if rest >= 20:
        parts.append(PT_TENS[rest // 10])
        rest %= 10
    if rest or not parts:
        parts.append(PT_SMALL[rest])
    return " e ".join(parts)


def _english(number: int) -> str:
    thousands, rest = divmod(number, 1000)
    parts = [f"{_english_hundreds(thousands)} thousand"] if thousands else []
    if rest or not parts:
        parts.append(_english_hundreds(rest))
    return " ".join(parts)


def _english_hundreds(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    parts = [f"{EN_SMALL[hundreds]} hundred"] if hundreds else []
    if rest >= 20:
        parts.append(EN_TENS[rest // 10] + (f"-{EN_SMALL[rest % 10]}" if rest % 10 else ""))
    elif rest or not parts:
        parts.append(EN_SMALL[rest])
    return " ".join(parts)
