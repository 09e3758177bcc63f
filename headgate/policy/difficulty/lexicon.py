"""The words that signals count, by what they say about a prompt. One look-up for each word of a text."""

from __future__ import annotations

from enum import IntEnum


class Sign(IntEnum):
    """What a word is a sign of."""

    QUESTION = 0
    MAKING = 1  # write, build: a long answer
    EXPLAINING = 2
    CONSTRAINT = 3
    CONDITION = 4
    QUANTITY = 5
    NUMBER = 6  # written out
    MATHS = 7
    CODE = 8
    NEGATION = 9
    PERSON = 10
    ARTICLE = 11
    ROLE = 12


_WORDS = {
    Sign.QUESTION: "what which who whom whose when where why how is are was does do did can could would should",
    Sign.MAKING: "write create compose draft generate design make build develop implement produce invent plan rewrite "
    "edit translate convert suggest recommend brainstorm",
    Sign.EXPLAINING: "explain describe discuss compare contrast analyze analyse summarize summarise evaluate outline "
    "elaborate justify interpret",
    Sign.CONSTRAINT: "must should exactly least most only without always each every limit maximum minimum format "
    "include avoid ensure except between within using strictly",
    Sign.CONDITION: "if suppose assume assuming given unless because therefore following statement true false best "
    "likely whether although however",
    Sign.QUANTITY: "percent percentage half twice double triple third quarter times more less fewer remaining left "
    "total altogether average per rate ratio fraction each every rest sum difference",
    Sign.NUMBER: "one two three four five six seven eight nine ten eleven twelve fifteen twenty thirty forty fifty "
    "hundred thousand million half twice double triple third quarter dozen",
    Sign.MATHS: "equation integral derivative polynomial matrix vector prime probability theorem proof prove graph "
    "group ring field modulo function sqrt product triangle circle angle radius perimeter area volume velocity "
    "solve calculate compute simplify factor integer real homomorphism subgroup variance deviation",
    Sign.CODE: "python javascript typescript java sql regex html css bash code script program algorithm api django "
    "react pandas numpy json function class method array string compile debug runtime database query rust golang",
    Sign.NEGATION: "not no never none neither nor except cannot without don't doesn't isn't aren't wasn't won't can't",
    Sign.PERSON: "he she his her they i you my your we our me him them their",
    Sign.ARTICLE: "the a an",
    Sign.ROLE: "act pretend imagine role roleplay character persona",
}  # fmt: skip

SIGNS: dict[str, tuple[int, ...]] = {
    word: tuple(sign for sign, words in _WORDS.items() if word in words.split())
    for word in {word for words in _WORDS.values() for word in words.split()}
}
