"""How prose worlds write about people and about what people join: universities, companies, awards."""

# ruff: noqa: E501  (one sentence, one line)

from ssp_env.worlds.phrases.template import TypePhrases, templates

PEOPLE = {
    "person": TypePhrases(
        noun="person",
        leads=templates(
            "{N} (born {v}) was [a polymath|a self-taught scholar|a versatile public figure|a tireless organiser] "
            "[of the old school|with many talents|admired well beyond local circles|known for a dry wit].",
            "Born in {v}, {n} was [one of the most widely read|one of the more puzzling|among the busiest] "
            "figures of [a restless generation|the middle of the century|a crowded age].",
            "{N}, born in {v}, is remembered as [a patient experimenter|a gifted speaker|a careful observer|"
            "a stubborn reformer] who [left few papers|rarely gave interviews|never stayed long in one trade].",
            "{N} (born {v}) made a name in [several fields|public life|the arts and in business] "
            "[before turning thirty|rather late in life|without any family money].",
        ),
        facts={
            "birthplace": templates(
                "{S} was born in {o} to a family of [coopers|weavers|salt merchants|booksellers|carters].",
                "A native of {o}, {s} grew up [above a bakery|near the harbour wall|in a crowded courtyard|"
                "among seven siblings].",
                "{S} came from {o}, where {p} [father kept a shop|mother taught music|grandparents ran an inn].",
                "{P} birthplace was {o}, a city [{s} described with affection|{s} seldom mentioned] in later years.",
            ),
            "school": templates(
                "{S} was educated at {o}, [leaving with honours|where mathematics came easily|"
                "though illness delayed the final examinations].",
                "After [two idle years|a long apprenticeship|some private tuition], {s} studied at {o}.",
                "{S} took a degree from {o} [with a thesis on tides|in record time|after changing subject twice].",
                "At {o}, where {s} was a student, {p} [notebooks are still kept|name is carved on a bench|"
                "debating skills became legendary].",
            ),
            "employer": templates(
                "{S} worked for {o} [for most of {p} career|until {p} eyesight failed|as a modest clerk at first].",
                "For [eleven|fourteen|nineteen|twenty-two] years {s} was employed by {o}.",
                "{P} only steady employer was {o}, which [paid badly|valued {p} discretion|granted long holidays].",
                "[Needing an income|On the advice of a cousin|With some reluctance], {s} entered the service of {o}.",
            ),
            "biographer": templates(
                "The standard biography of {n} was written by {o}[, who had access to the letters| in two volumes|].",
                "{P} life was told by {o} in a biography that [is still in print|divided the critics|runs to "
                "nine hundred pages].",
                "{P} biographer, {o}, [praised {p} modesty|found {p} diaries unreliable|spent ten years on the work].",
                "Much of what is known comes from {o}, {p} [admiring|sceptical|first and only] biographer.",
            ),
            "archive": templates(
                "{P} papers are kept at {o}[, sorted by year| in eleven boxes|, where few ask to see them].",
                "{S} left {p} papers to {o}, which [has catalogued them twice|displays some of them each spring].",
                "The archive of {p} papers belongs to {o}[ and may be seen on request|].",
                "{O} holds {p} personal archive, [including several sketchbooks|most of it unpublished].",
            ),
            "award": templates(
                "{S} received {o} [amid some controversy|at a quiet ceremony|for services to learning].",
                "Late recognition came with {o}, which {s} [accepted in person|had twice declined|called a surprise].",
                "{P} only distinction was {o}, [awarded by a single vote|which hung unframed in the kitchen].",
                "{S} was honoured with {o}[, the only prize {s} ever kept| for work that had taken a decade|].",
            ),
        },
        amounts=templates(
            "Some {v} of {p} letters survive[, many of them undated|].",
            "Editors have traced {v} letters in {p} hand[, most addressed to friends|].",
            "A surviving correspondence of {v} letters shows [a generous temper|a sharp tongue|wide interests].",
        ),
        alias=templates("{S} [often signed as|published as|is entered in the registers as] {a}."),
        fillers=templates(
            "Friends recalled [a fondness for long walks|an excellent memory for faces|a horror of public dinners].",
            "{S} [spoke three languages|played the viola badly|kept bees|collected pressed flowers] and "
            "[never learned to swim|slept very little|travelled whenever money allowed].",
            "A [portrait in oils|plaster bust|small bronze medallion] made in middle age is thought to be a good likeness.",
            "In {p} last years {s} [withdrew from company|took up gardening|dictated a volume of memoirs].",
            "[Historians disagree about|Several essays have examined|Little is known of] {p} political opinions.",
            "Contemporaries described {t} as [courteous but distant|quick to laugh|hard to follow in "
            "conversation].",
            "{S} never married and [lived with a sister|rented the same rooms for decades|shared a house with cousins].",
        ),
        asked={
            "birthplace": (
                "the native city of",
                "the city that was the birthplace of",
                "the city where {x} was born",
            ),
            "school": (
                "the university attended by",
                "the university that educated",
                "the university where {x} studied",
            ),
            "employer": ("the company that employed", "the company served for many years by"),
            "biographer": ("the author of the standard biography of", "the person who wrote a biography of"),
            "archive": ("the museum that keeps the papers of", "the museum holding the personal archive of"),
            "award": ("the award received by", "the prize that was given to"),
        },
    ),
    "university": TypePhrases(
        noun="university",
        leads=templates(
            "{N} is [a small|a middle-sized|an old] [seat of learning|university] whose charter was "
            "granted in {v}.",
            "Chartered in {v}, {n} is a university known for [its botanical garden|its strict examinations|"
            "law and astronomy|its choir].",
            "{N}, which received its charter in {v}, teaches [medicine, law and the sciences|most of the liberal arts|"
            "languages and engineering].",
        ),
        facts={
            "rector": templates(
                "Its longest-serving rector was {o}, who [rebuilt the library|opened lectures to the public|"
                "balanced the accounts].",
                "{O} was rector for longer than anyone else and [doubled the number of chairs|abolished Latin orations].",
                "No rector of {n} served as long as {o}[, whose portrait hangs in the great hall|].",
                "Under {o}, the longest-serving rector, {s} [gained an observatory|acquired its colours|"
                "survived a lawsuit].",
            ),
            "seat": templates(
                "{P} main buildings stand in {o}, [close to the old walls|around three courtyards|on a former parade ground].",
                "{S} has its seat in {o}[, where students fill the cheaper streets| and nowhere else|].",
                "The whole university is housed in {o}, [a short walk from the market|behind a plain brick front].",
                "{S} is based in {o}, whose [citizens complain of the noise|council once tried to close it].",
            ),
            "sponsor": templates(
                "{P} principal sponsor is {o}, which pays for [the laboratories|twelve scholarships|the evening school].",
                "Most of its endowment came from {o}[, on generous terms| after long negotiation|].",
                "{S} is supported by {o}, its [oldest|largest|most exacting] sponsor.",
                "The sponsorship of {o} [saved it from closure|paid for a new wing|is marked by a plaque].",
            ),
        },
        amounts=templates(
            "About {v} students are enrolled[, a third of them in medicine|].",
            "{S} counts {v} students[ in an ordinary year|].",
            "Enrolment stands at {v} students[, more than the halls can seat|].",
        ),
        alias=templates("Older sources call it {a}."),
        fillers=templates(
            "Lectures begin [at seven in summer|with the ringing of a cracked bell|on the first Monday of autumn].",
            "{P} library is noted for [early atlases|a collection of star charts|manuscripts on navigation].",
            "Graduates traditionally [throw their caps from the gallery|plant a lime tree|cross the yard barefoot].",
            "A [fire|flood|dispute over salaries] once closed the doors for an entire winter.",
            "The [geology|philology|mechanics] faculty has long been considered its strongest.",
            "Admission is by [written examination|interview alone|the recommendation of two scholars].",
            "Rowing and [fencing|chess|choral singing] are the favourite pastimes of the students.",
        ),
        asked={
            "rector": ("the longest-serving rector of", "the person who was longest rector of"),
            "seat": ("the city that is the seat of", "the city where {x} is based"),
            "sponsor": ("the company that is the principal sponsor of", "the company that endowed"),
        },
    ),
    "company": TypePhrases(
        noun="company",
        leads=templates(
            "{N} is [a trading house|a manufacturing company|a family concern] established in {v}.",
            "Established in {v}, {n} is a company that [began in a single shed|grew out of a guild|"
            "started by repairing carts].",
            "{N} has [made tools and fittings|dealt in dry goods|carried freight] since {v}, when it was established "
            "[with borrowed money|by royal licence|by four partners].",
        ),
        facts={
            "director": templates(
                "Its longest-serving director was {o}, [a cautious manager|who trebled the profits|who knew every workman].",
                "{O} was director for longer than anybody and [introduced piece rates|refused all loans|wrote the rule book].",
                "Of all its directors {o} served the longest[, through two recessions|].",
                "Under its longest-serving director, {o}, {s} [entered foreign markets|bought out two rivals|"
                "built housing for its staff].",
            ),
            "seat": templates(
                "{P} head office is in {o}, [in a narrow brick building|opposite the courthouse|beside a canal basin].",
                "{S} is managed from {o}[, although most of the work is done elsewhere|].",
                "{S} has its headquarters in {o}, where [its clock can be heard at noon|it occupies a whole street].",
                "From offices in {o}, {s} [directs agents abroad|sends out weekly price lists|runs nine branches].",
            ),
            "supplier": templates(
                "{P} main supplier is {o}, [a connection of long standing|under a contract renewed each decade].",
                "Most of its materials are bought from {o}[, at prices kept secret|].",
                "{S} depends on {o}, its chief supplier, for [timber and rope|machine parts|packing and paper].",
                "{O} has supplied {n} [since the early days|with raw stock for generations|on credit].",
            ),
            "product": templates(
                "{P} best-known product is {o}, [sold by the barrel|ground to a fine powder|shipped in sealed crates].",
                "{S} deals above all in {o}[, for which demand is steady|].",
                "The mainstay of the business is {o}, which {s} [refines|cuts and polishes|grades] itself.",
                "{S} is the leading producer of {o}[, much of it exported|].",
            ),
        },
        amounts=templates(
            "{S} employs {v} workers[ in a good year|].",
            "The payroll lists {v} workers[, many of them seasonal|].",
            "At its height it gave work to {v} workers[ and their families|].",
        ),
        alias=templates("Its [older signs|letterheads] read {a}."),
        fillers=templates(
            "Shares are [rarely traded|held mostly by employees|passed down within five families].",
            "{P} trade mark shows [a heron|two crossed keys|a rising sun|an anvil].",
            "A [strike|warehouse fire|forged order] nearly ruined it in its second generation.",
            "Apprentices serve [five|six|seven] years and receive a [pocket watch|set of tools|small pension] at the end.",
            "The annual meeting is [famously short|held on a barge|closed to the press].",
            "Its ledgers, complete from the first day, are [prized by historians|kept in a dry cellar].",
            "Advertising was [forbidden by the founders' rules|limited to almanacs|never thought necessary].",
        ),
        asked={
            "director": ("the longest-serving director of", "the person who was longest director of"),
            "seat": ("the city with the head office of", "the city where {x} has its headquarters"),
            "supplier": ("the main supplier of", "the company that is chief supplier to"),
            "product": ("the mineral that is the best-known product of", "the mineral dealt in above all by"),
        },
    ),
    "award": TypePhrases(
        noun="award",
        leads=templates(
            "{N} is [an annual|a biennial|an irregular] award instituted in {v} [for distinguished work|to reward "
            "useful inventions|for merit in any field].",
            "Instituted in {v}, {n} is an award for [scholarship|public service|achievement in the arts].",
            "{N} has been given since {v}, when it was instituted [by public subscription|to mark a jubilee|without much notice].",
        ),
        facts={
            "founder": templates(
                "{S} was founded by {o}, [who wrote the statutes|who disliked ceremony|with the proceeds of a sale].",
                "Its founder, {o}, [insisted on secret ballots|never attended a session|drew the design in person].",
                "{O} founded it [in memory of a teacher|after a wager|to settle a quarrel].",
                "The idea came from {o}, its founder[, in the course of a long convalescence|].",
            ),
            "seat": templates(
                "{S} is presented each time in {o}, [in the assembly rooms|before a small audience|by torchlight].",
                "The ceremony takes place in {o}[, usually in late autumn|].",
                "The jury sits in {o} and [hears no appeals|meets behind closed doors|dines together first].",
                "Laureates travel to {o}, where {s} is [handed over|formally presented].",
            ),
            "sponsor": templates(
                "The costs are met by {o}, its sponsor[ for many years|].",
                "{P} sponsor is {o}, which [asks for nothing in return|also provides the dinner|may not vote].",
                "{S} is sponsored by {o}[, whose name appears on the reverse|].",
                "Without the money of {o}, its sponsor, {s} would [have lapsed|hardly have survived].",
            ),
        },
        amounts=templates(
            "It carries a prize of {v} crowns[, paid in coin|].",
            "The winner receives {v} crowns[ and a diploma on vellum|].",
            "A sum of {v} crowns goes with {s}[, free of tax|].",
        ),
        alias=templates("The statutes call it {a}."),
        fillers=templates(
            "The medal itself is struck in [silver|bronze|pale gold] and shows [an open book|a lamp|an oak branch].",
            "In several years the jury [could not agree|declined to name a winner|divided the honour].",
            "Nominations close [at midsummer|on the last day of winter|without warning].",
            "A winner may be named only once, [alive or dead|and only while living|whatever the field].",
            "The shortlist is [leaked every year|never published|read aloud in the square].",
            "Critics have called the choices [timid|eccentric|refreshingly bold].",
        ),
        asked={
            "founder": ("the founder of", "the person who founded"),
            "seat": ("the city that hosts the presentation of", "the city where {x} is presented"),
            "sponsor": ("the company that sponsors", "the company that pays the costs of"),
        },
    ),
}
