"""Words that [`tokenize`] treats in a way of their own, each tried on the reference.

Case matters only where that is said.
"""

# Keep their period.
ABBREVIATIONS = """
adj adm adv ala apr ariz assn assoc asst atty aug ave bhd bldg blvd bros brig calif capt cf cie cmdr co col colo comdr
conn corp cpl ct dak dec dept det dr drs elec ens esq est etc ext feb fla fri ft ga gen gov govs hon inc ind insp intl
jan jr jul jun kan kans ky lieut lt ltd maj mar md messrs mfg mich minn mlle mme mo mon mont mr mrs ms msgr mt mtg natl
neb nev nov oct okla penn pfc ph.d plc pres prof profs pte pvt rd rep reps rev rt sen sens sep sept seq sfc sgt sq sr
st ste supt tel tenn thu thurs treas tue tues univ vs vt wed wis wisc wm wyo
""".split()

# Keep it only with a capital, because they are words as well.
CAPITALISED_ABBREVIATIONS = [
    form for word in "ark del ill la mass miss ore pa tex wash".split() for form in (word.capitalize(), word.upper())
]

# Keep it only before a number.
NUMBER_ABBREVIATIONS = "art ca fig figs no nos op pp prop".split()

# Have an apostrophe and are one token.
QUOTED_WORDS = """
'em 'til 'till 'cause c'mon c'est s'mores ne'er o'er e'er ma'am cap'n ev'ry nat'l nor'easter o'o li'l ol'
""".split()

# Are two tokens.
SPLIT_WORDS = [("can", "not"), ("gon", "na"), ("wan", "na"), ("got", "ta"), ("gim", "me"), ("lem", "me")]
