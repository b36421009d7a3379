"""Words that [`tokenize`] treats in a way of their own, each tried on the reference.

Case matters only where that is said.
"""

# Keep their period.
ABBREVIATIONS = """
al ala apr ariz assn aug bhd bldg blvd bros calif co colo conn corp cos ct dak dec esq est etc ext feb fla fri ga inc
ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon mont neb nev nov oct okla penn ph.d plc pte pty ptys rd
rt sep sept seq sq sr tel tenn thu thurs tue tues univ va vt wed wis wisc wyo
""".split()

# Keep it as well, but go with a letter that follows without a space: "mr.x".
TITLES = """
adj adm adv alex assoc asst atty ave brig capt cf cie cmdr col comdr cpl dept det dr drs elec ens ft gen gov govs hon
insp jos lieut lt maj messrs mfg mlle mme mr mrs ms msgr mt mtg natl pfc pres prof profs pvt rep reps rev sen sens sfc
sgt st ste supt treas vs wm
""".split()

# Keep it only with a capital, because they are words as well.
CAPITALISED_ABBREVIATIONS = "Ark Del Ill La Mass Miss Ore Pa Tex Wash".split()

# Keep it only before a number.
NUMBER_ABBREVIATIONS = "art ca fig figs no nos op pp prop".split()

# Have an apostrophe and are one token.
QUOTED_WORDS = """
'em 'til 'till 'cause c'mon c'est s'mores ne'er o'er e'er ma'am cap'n ev'ry nat'l nor'easter o'o li'l ol'
""".split()

# Are two tokens.
SPLIT_WORDS = [("can", "not"), ("gon", "na"), ("wan", "na"), ("got", "ta"), ("gim", "me"), ("lem", "me")]

# All that is not simply a word.
SPECIAL_WORDS = frozenset(
    [*ABBREVIATIONS, *TITLES, *map(str.lower, CAPITALISED_ABBREVIATIONS), *NUMBER_ABBREVIATIONS]
    + [first + second for first, second in SPLIT_WORDS]
)
