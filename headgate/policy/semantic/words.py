"""The words that guards know: what negates, what turns a meaning round, what counts, and what merely holds a sentence.

English is known best, because most of what is cached is English; function words of six more languages tell languages
apart. A word that is not here is simply a content word: what it weighs is learned from the questions themselves.
"""

from __future__ import annotations

from headgate.policy.semantic.stems import stem


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _pairs(lines: str) -> dict[str, frozenset[str]]:
    pairs = [(stem(first), stem(second)) for first, second in (line.split() for line in lines.split(";"))]
    pairs += [(second, first) for first, second in pairs]
    return {word: frozenset(other for first, other in pairs if first == word) for word, _ in pairs}


def _synonyms(lines: str) -> dict[str, str]:
    return {name: line.split()[0] for line in lines.split(";") for name in line.split()}


FUNCTION_WORDS = _set(
    """a about all also am an and any are as at be because been being but by can could did do does doing done for from
    get give go got had has have having he her here him his how i if in into is it its just kindly know let like
    make may me might mine must my need of on one or our out please shall she should so some such tell than that the
    their them then there these they thing things this those to too us use very want was way we were what when where
    which while who whom whose why will wish with would yes you your yours im ive id ill youre youve whats thats
    theres hes shes theyre weve were lets etc"""
)

NEGATIONS = _set(
    """not no never none neither nor without cannot cant dont doesnt didnt isnt arent wasnt werent wont wouldnt
    shouldnt couldnt hasnt havent hadnt aint except nicht kein keine nie ohne pas jamais sans nunca sin non senza
    niet geen nao sem"""
)

# Each turns the other's meaning round. As stems.
OPPOSITES: dict[str, frozenset[str]] = _pairs(
    """increase decrease; raise lower; buy sell; open close; start stop; begin end; enable disable; on off; before
    after; first last; min max; minimum maximum; best worst; more less; most least; high low; higher lower; highest
    lowest; big small; large small; bigger smaller; fast slow; faster slower; hot cold; old new; old young; cheap
    expensive; good bad; better worse; positive negative; left right; up down; upper lower; in out; inside outside;
    import export; upload download; login logout; install uninstall; add remove; accept reject; allow deny; allow
    forbid; legal illegal; possible impossible; safe unsafe; safe dangerous; advantage disadvantage; pro con; gain
    lose; win lose; male female; man woman; men women; boy girl; father mother; husband wife; son daughter; brother
    sister; lend borrow; send receive; push pull; lock unlock; encrypt decrypt; encode decode; compress decompress;
    past future; early late; north south; east west; summer winter; love hate; like dislike; connect disconnect;
    activate deactivate; subscribe unsubscribe; follow unfollow; deposit withdraw; debit credit; incoming
    outgoing; inbound outbound; public private; internal external; synchronous asynchronous; above below; over
    under; with without; even odd; true false; pass fail; hire fire; arrive depart; arrival departure; ascend
    descend; ascending descending; top bottom; front back; weekday weekend; day night; morning evening; am pm;
    increase reduce; gain loss; lose find; strong weak; easy hard; easy difficult; long short; wide narrow; thick
    thin; heavy light; dark light; wet dry; hard soft; rich poor; full empty; alive dead; married single;
    domestic international; income expense; profit loss; asset liability; supply demand; sender recipient; buyer
    seller; employer employee; landlord tenant; guilty innocent; include exclude"""
)

NUMBER_WORDS: dict[str, str] = {
    **{word: str(value) for value, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"])},
    "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "hundred": "100", "thousand": "1000",
    "million": "1000000", "billion": "1000000000", "dozen": "12",
    }  # fmt: skip

MULTIPLES: dict[str, str] = {"k": "000", "m": "000000", "bn": "000000000"}  # 60k
ORDINALS = _set("st nd rd th s")  # 2nd, 90s

# A unit by every name it has here.
UNITS: dict[str, str] = _synonyms(
    """km kilometer kilometers kilometre kilometres kms; mile miles mi; meter meters metre metres; cm centimeter
    centimeters centimetre centimetres; mm millimeter millimeters; foot feet ft; inch inches; yard yards; kg kilo
    kilos kilogram kilograms kgs; gram grams; pound pounds lb lbs; ounce ounces oz; ton tons tonne tonnes; liter
    liters litre litres; gallon gallons; ml milliliter milliliters; cup cups; celsius centigrade; fahrenheit;
    kelvin; second seconds sec secs; minute minutes min mins; hour hours hr hrs; day days; week weeks; month months;
    year years yr yrs; byte bytes; kb; mb; gb gigabyte gigabytes; tb terabyte terabytes; usd dollar dollars; eur
    euro euros; gbp sterling; inr rupee rupees rs; yen jpy; cny yuan rmb; percent %; watt watts; kw kilowatt
    kilowatts; volt volts; lakh lakhs; crore crores; mph; kmh kph; acre acres; hectare hectares; calorie calories
    kcal"""
)
SIGNS: dict[str, str] = {"$": "usd", "€": "eur", "£": "gbp", "₹": "inr", "¥": "yen", "%": "percent"}

# What says when. Weekdays and months by their first three letters where they are a word of their own.
DATE_WORDS = _set(
    """monday tuesday wednesday thursday friday saturday sunday january february march april june july august september
    october november december jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri sat
    sun today tomorrow yesterday tonight weekend christmas easter thanksgiving halloween"""
)
DATE_SHORT: dict[str, str] = {"may": "may"}  # a month and a verb: a date only where it is written as a name
RELATIVE = _set("this last next previous current coming past upcoming")
PERIODS = _set("day week weekend month quarter year semester season century decade night morning evening")

# Between two names these say who does what to whom: the order matters.
DIRECTIONS = _set("""to from into than before after over by versus against above below under toward towards onto""")

JOINING = _set("and or between vs nor plus")  # what they join may change places

# How a question is put; the first that is found says it.
ASKING: dict[str, str] = {
    "what": "what", "whats": "what", "which": "what", "who": "who", "whos": "who", "whom": "who", "whose": "who",
    "when": "when", "where": "where", "wheres": "where", "why": "why", "how": "how", "hows": "how",
}  # fmt: skip
MEASURES: dict[str, str] = {
    "many": "how many", "much": "how many", "long": "how long", "often": "how often", "far": "how far",
    "old": "how old", "big": "how big", "large": "how big", "tall": "how tall", "fast": "how fast", "soon": "how long",
}  # fmt: skip
TIME_NOUNS = _set("time date year day month")  # "what time" asks when
REASON_NOUNS = _set("reason reasons cause causes")  # "what is the reason" asks why
MANNER_NOUNS = _set("way ways method methods steps process")  # "what is the way to" asks how
YES_OR_NO = _set(
    """is are was were am do does did can could will would should shall has have had may might must isnt arent doesnt
    dont cant wont wouldnt"""
)

# A few words that hold nearly every sentence of their language together, none of them common in another.
LANGUAGES: dict[str, frozenset[str]] = {
    "en": _set("the is are what how do does can you my of to in and for with i"),
    "de": _set("der die das ist und wie ich nicht ein eine mit für auf zu kann sie von wird"),
    "fr": _set("le la les est et comment je une des du pour dans que qui avec sur vous mon"),
    "es": _set("el los las es y cómo como una del para por con puedo qué mi cuál está"),
    "it": _set("il gli è e come un una di per con posso che mio della sono qual"),
    "pt": _set("o os as é e como um uma do da para com posso que meu não qual"),
    "nl": _set("de het een is en hoe ik niet met voor van kan mijn wat zijn op"),
}
