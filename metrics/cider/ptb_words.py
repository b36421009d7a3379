"""Words that [`tokenize`] treats in a way of their own, each tried on the reference.

Case matters only where that is said.
"""

# Keep their period.
ABBREVIATIONS = """
al ala apr ariz assn aug bhd bldg blvd bros calif co colo conn cont'd corp cos ct dak dec esq est etc ext feb fla fri
ga inc ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon mont neb nev nov oct okla penn ph.d plc ppte
pptes ppty pptys pte ptes pty ptys rd rt sep sept seq sq sr sys tel tenn thu thurs tue tues univ va vt wed wis wisc wyo
""".split()

# Keep it as well, but go with a letter that follows without a space: "mr.x".
TITLES = """
adj adm adv alex assoc asst atty attys ave brig capt cf cie cmdr col comdr cpl dept det dr drs elec ens ft gen gov govs
hon insp invt jos lieut lt maj messrs mfg mlle mme mr mrs ms msgr mt mtg natl pfc ph pres prof profs pvt rep reps rev
sen sens sfc sgt spc st ste supt supts treas vs wm
""".split()

# Of both, those that do not when they are in capitals.
NOT_IN_CAPITALS = [*"MFG MTG".split(), *(f"{p}T{e}{s}" for p in ("P", "PP") for e in "EY" for s in ("", "S"))]

# Keep it only with a capital, because they are words as well.
CAPITALISED_ABBREVIATIONS = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash".split()

# Keep it only before a number.
NUMBER_ABBREVIATIONS = "art ca fig figs no nos op pp prop".split()

# Have an apostrophe and are one token, whatever letters follow; the second list with a straight apostrophe only.
QUOTED_WORDS = "'em 'til 'till 'cause c'est ne'er o'er ma'am cap'n ol' dunkin' somethin'".split()
STRAIGHT_QUOTED_WORDS = "c'mon e'er ev'ry li'l nat'l nor'easter s'mores".split()

# Are two tokens.
SPLIT_WORDS = [("can", "not"), ("gon", "na"), ("wan", "na"), ("got", "ta"), ("gim", "me"), ("lem", "me")]

# All that is not simply a word.
SPECIAL_WORDS = frozenset(
    [*ABBREVIATIONS, *TITLES, *map(str.lower, CAPITALISED_ABBREVIATIONS), *NUMBER_ABBREVIATIONS]
    + [first + second for first, second in SPLIT_WORDS]
)

# End of a file name that begins with a digit or has digits within.
EXTENSIONS = """
bat bmp c cgi class cpp dll doc docx exe gif gz h htm html jar java jpeg jpg mov mp3 pdf php pl png ppt ps py sql tar
txt wav x xml zip
""".split()

# Before these a single letter loses its period: "plan B. The".
SENTENCE_STARTS = """
A About According Additionally After An As At But Earlier He Her Here However If In It Last Many More Mr. Ms. Now Once
One Other Our She Since So Some Such That The Their Then There These They This We What When While Yet You
""".split()
SENTENCE_STARTS += map(str.upper, SENTENCE_STARTS[:])

# What stands for all characters of a kind when the rules are tried.
LETTER, DIGIT, MARK, SYMBOL, DROPPED = "é", "٠", "\u0300\xad", "©", "\x01"

# Characters that the rules name, so that they stand for themselves.
NAMED = frozenset(
    "‘’‚‛“”„‟‹›«»\x80\x91\x92\x93\x94¢£¤€₠¼½¾⅓⅔²³¹\xa0\xad\u2010\u2044٫٬⁺⁻₊₋"
    + "".join(map(chr, [0x2070, *range(0x2074, 0x207A), *range(0x2080, 0x208A)]))
)


def _ranges(text):
    """Code points in hexadecimal, "a1 a5-a9"."""
    for item in text.split():
        first, _, last = item.partition("-")
        yield range(int(first, 16), int(last or first, 16) + 1)


# Letters and digits that Unicode 6.1 did not have; what else lies in the ranges is no letter.
_NEW_LETTERS = """
37f 528-52f 560 588 5ef 860-88e 8a1 8ad-8c9 978 980 9fc af9 c34 c5a-c5d c80 cdd d04 d54-d5f de6-def e86 e89 e8c e8e-e93
e98 ea0 ea8-ea9 eac 13f5-13fd 16f1-16f8 170d 171f 1878 191d-191e 19b0-19c0 19c8-19c9 1b4c 1c80-1cbf 1cf2-1cf3 1cfa 2c2f
2c5f 312e-312f 31bb-31bf 4db6-4dbf 9fcd-9fff a698-a69d a78f a794-a79f a7ab-a7f7 a8fd-a8fe a9e0-a9fe aa7e-aa7f ab30-abbf
"""
# What is part of a word without being a letter.
_MARKS = """
2c2-379 384-385 3f6 483-487 55a-55f 591-5bd 5bf 5c1-5c2 5c4-5c5 5c7 615-61a 64b-65e 670 6d6-6fe 70f-7b0 7eb-7f3 900-903
93c-94e 951-955 962-963 981-983 9bc-9c4 9c7-9c8 9cb-9cd 9d7 9e2-9e3 a01-a03 a3c a3e-a4f a81-a83 abc-acf b82 bbe-bc2
bc6-bc8 bca-bcd c01-c03 c3e-c56 d3e-d44 d46-d48 e31-e3a e47-e4e eb1-ebc ec8-ecd 1885-1886
"""
_SYMBOLS = """
a1 a5-a9 ac ae-b1 b4-b8 bf-37e 387 589 5be-5c6 5f3-5f4 600-603 606-60c 614-61b 61e-61f 66a 66d-70d 7f6-7f8 964-965
e3f-e4f 1fbd 2016-2017 2020-2023 2030-2038 203b 203e-2042 207a-207e 208a-208e 20a4 2100-214f 2155-215e 2190-2bff
3001-3002 3012 30fb ff01-ff65 ffe0-ffe1 ffe5-ffe6
"""


class _Kinds(dict):
    """By code point, for `str.translate`: what stands for the character."""

    def __missing__(self, code):
        self[code] = kind = self.kind(chr(code), code)
        return kind

    @staticmethod
    def kind(character, code):
        def among(ranges):
            return any(code in codes for codes in ranges)

        if character.isascii() or character in NAMED:
            return code
        if code > 0xFFFF:
            return DROPPED
        if character.isalpha() or character.isdecimal() or character in "\u1885\u1886":
            letter = DIGIT if character.isdecimal() else LETTER
            return DROPPED if among(_NEW) else letter
        if character in "\u058a\u2011":  # hyphens
            return "\u2010"
        if character in "\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u3000":
            return "\t"
        if among(_MARK):
            return MARK[0]
        return SYMBOL if among(_SYMBOL) else DROPPED


_NEW, _MARK, _SYMBOL = (tuple(_ranges(text)) for text in (_NEW_LETTERS, _MARKS, _SYMBOLS))
KINDS = _Kinds()
