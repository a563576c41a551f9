"""What entities are called: invented words that no corpus knows."""

# ruff: noqa: SIM905  (word lists read better as text)

from __future__ import annotations

_POOL = """
    bafov balim bamit betob bezil bidan bilur bipov bitul bofol bosor bovar budam bugat bulek dakov dasol
    depol derav dezon dimub dinit dipak dirok dobek dukam dulit dutar fasem fipun firum fotov fudim fuliv
    gafom ganuk gatar gesok gezul gimur girab gizel gokuv gomor gonim gozev gumun kasev kazol kemib kenim
    kigim kilit komub kovob kufon kulib kutek lapit lasun lavok lifam likeb lizir lorek lotur lovak ludak
    lugav luram mapot mavim menom metib migob misum mivot mogek monol mugak musob nafot nakil napul nipik
    niruv nobuv nodun nokub nolev nudul nuzik paduv pakur pekan petun pevut pizol pomel ponot porom rasak
    ratib rekab remav ribim rifol rilib rimun rinut ritab rizak rodit rofil rogin roput rudil rufik sagam
    sapab sefeb sekon sepul setum silok sitik sizeb sogon solab somir surab sutim suzuv tavom tazut tebik
    tidob tikin tipav todan tomit torub tovim tudum tupev tusin vadov vamok vanat vesiv viduv vifot vilum
    vipib volib vomul vorun vuleb vumak vunar vusom vuzun zabun zalam zedev zifor zipir zisur zivol zobuk
    zomut zopab zoreb zovum zudor zulon zuvir
"""

NAME_POOL: tuple[str, ...] = tuple(_POOL.split())
"""The words that name entities in terse worlds. No two share their first three letters, so no stemmer
can confuse them, and any two of them differ in at least two letters."""

# Spelling of invented words: consonants and vowels alternate, so different codes give different words.
_ONSETS = "b br d dr f fl g gl gr h j k kl kr l m n p pl pr r s sk sh st t th tr v w y z".split()
_VOWELS = "a e i o u au ei ia".split()
_MIDDLES = "b d f g k l m n p r s t v z ld lm lv mb md nd ng nt rd rg rk rm rv sk st zd lg nv".split()
_ENDINGS = (
    "ath arn ask elm eld esk imar isk ith oth olt orn oven ulm umar und "
    "alm anth ast erk erth ilk olm osk orth ulk unt urk usk elth alk aven"
).split()

ENDING_BITS = 5 + 5
"""Bits of a code that choose the ending and the onset of an invented word."""
SYLLABLE_BITS = 3 + 5
"""Bits of a code that choose one middle syllable."""


def invented_word(code: int, syllables: int) -> str:
    """Spell a code of `ENDING_BITS + syllables * SYLLABLE_BITS` bits as a word, one-to-one.

    >>> invented_word(0, syllables=1), invented_word(2**18 - 1, syllables=1)
    ('Babath', 'Zianvaven')
    """
    middle = ""
    for _ in range(syllables):
        code, place = divmod(code, len(_MIDDLES))
        code, vowel = divmod(code, len(_VOWELS))
        middle = _VOWELS[vowel] + _MIDDLES[place] + middle
    onset, ending = divmod(code, len(_ENDINGS))
    return (_ONSETS[onset] + middle + _ENDINGS[ending]).capitalize()


_FEMALE = (
    "avela orinna ethys ildra umara eskia iveth osane olwy arith udena enove imre olira ashka ulienne"
).split()
_MALE = (
    "adrek orvin emund iskar ulmar ovald ethor andrel ibram arvus oldan undric evash olgrin askel irmund"
).split()

GIVEN_NAMES = 1024
"""How many given names there are; the first half are women's."""


def given_name(code: int) -> str:
    """Return one of the `GIVEN_NAMES` given names.

    >>> given_name(0), given_name(1023)
    ('Bavela', 'Zirmund')
    """
    male, code = divmod(code, GIVEN_NAMES // 2)
    place, onset = divmod(code, len(_ONSETS))
    return (_ONSETS[onset] + (_MALE if male else _FEMALE)[place]).capitalize()
