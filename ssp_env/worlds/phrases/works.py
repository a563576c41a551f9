"""How prose worlds write about novels, operas, and the battles they remember."""

# ruff: noqa: E501  (one sentence, one line)

from ssp_env.worlds.phrases.template import TypePhrases, templates

WORKS = {
    "novel": TypePhrases(
        noun="novel",
        leads=templates(
            "{N} is [a novel in three volumes|an epistolary novel|a short, satirical novel], published in {v}.",
            "Published in {v}, {n} is a novel about [an inheritance|two estranged brothers|a failed expedition].",
            "{N} is a novel that appeared in {v} and [sold out within a week|was banned for a time|"
            "went unnoticed at first].",
        ),
        facts={
            "author": templates(
                "Its author, {o}, [wrote it in one winter|burned the first draft|called it a trifle].",
                "{S} was written by {o}[, who was deeply in debt at the time|, largely at night|].",
                "{O} is the author[, though the first edition bore no name|].",
                "It is the best-loved work of its author, {o}[, who wrote little else|].",
            ),
            "setting": templates(
                "The story is set in {o}, [during a hard winter|in the course of a single day|among theatre people].",
                "{S} takes place in {o}[, described street by street|].",
                "Its setting is {o}, [whose citizens were not flattered|drawn from memory|thinly disguised].",
                "The plot unfolds in {o}, where [a stranger rents a room|a letter goes astray|three families feud].",
            ),
            "subject": templates(
                "{P} central chapters recount {o}, [seen through the eyes of a deserter|with much technical detail].",
                "At its heart stands {o}, retold [from both sides|by a blind veteran|in forty pages].",
                "The historical subject is {o}[, which the book treats without heroics|].",
                "{O} is the historical event around which {s} is built[, as the preface explains|].",
            ),
            "award": templates(
                "The book was honoured with {o}[, to general surprise|, on the second ballot|].",
                "{S} won {o} [against strong competition|in the year it appeared|by a unanimous vote].",
                "It received {o}, which [saved the publisher|led to six translations|the newspapers deplored].",
                "{O} went to it [without debate|after a recount|and never to a better book].",
            ),
        },
        amounts=templates(
            "{S} has {v} chapters[, each with a motto|].",
            "The text is divided into {v} chapters[ of very unequal length|].",
            "It runs to {v} chapters[ in the revised edition|].",
        ),
        alias=templates("Some editions bear the [shorter|plain] title {a}."),
        fillers=templates(
            "Critics praised the [dialogue|descriptions of weather|minor characters] and disliked the ending.",
            "A [serial version|stage adaptation|pirated edition] followed within a few months.",
            "The manuscript is [lost|in private hands|full of ink blots and sketches].",
            "Its opening sentence is [often quoted|two pages long|learned by heart in schools].",
            "Translators have struggled with the [puns|dialect passages|invented proverbs].",
            "Readers still argue over [who forged the will|the fate of the governess|the meaning of the last letter].",
            "Illustrations were added [in the fourth printing|against the author's wishes|by an unknown hand].",
        ),
        asked={
            "author": ("the author of", "the person who wrote"),
            "setting": ("the city that is the setting of", "the city where {x} takes place"),
            "subject": ("the battle that is the historical subject of", "the battle recounted in"),
            "award": ("the award won by", "the prize with which a jury honoured"),
        },
    ),
    "opera": TypePhrases(
        noun="opera",
        leads=templates(
            "{N} is [a comic|a tragic|a one-act|a grand] opera first performed in {v}.",
            "First performed in {v}, {n} is an opera in [three|four|five] acts [with a large chorus|without an overture].",
            "{N} is an opera that had its first performance in {v}[ before a half-empty house| to wild applause|].",
        ),
        facts={
            "composer": templates(
                "The music is by {o}, [who conducted the first night|who also wrote the words|then quite unknown].",
                "{S} was composed by {o}[ in less than a month|, with many interruptions|].",
                "Its composer, {o}, [revised it four times|thought little of it|dedicated it to a rival].",
                "{O} composed it [on commission|for a favourite soprano|in a rented attic].",
            ),
            "setting": templates(
                "The action takes place in {o}, [at carnival time|in an inn and a prison|long before living memory].",
                "{S} is set in {o}[, though the censors demanded another city|].",
                "Its setting is {o}, [evoked by distant bells|painted on nine backdrops|moved abroad in some productions].",
                "The curtain rises on {o}[, at dawn|, in the middle of a riot|].",
            ),
            "source": templates(
                "The libretto is based on {o}, [with most of the humour removed|much shortened|scene by scene].",
                "{S} is adapted from {o}[, whose ending it changes|].",
                "The plot comes from {o}[, then at the height of its fame|].",
                "{O} supplied the story[, stripped of its subplots|].",
            ),
        },
        amounts=templates(
            "It has been given {v} performances[, the last of them abroad|].",
            "Records list {v} performances[ by nineteen companies|].",
            "By the last count {s} had reached {v} performances[, not all complete|].",
        ),
        alias=templates("Some playbills bear the [shorter|plain] title {a}."),
        fillers=templates(
            "The [mad scene|quartet of the judges|drinking song|storm interlude] is often heard in concerts.",
            "It calls for [two harps|a glass harmonica|offstage trumpets|a boy soprano] and a large orchestra.",
            "Singers fear the [second act|final aria|long recitatives], which [lies very high|has no pauses].",
            "A [fire|fog|strike of stagehands] ended one famous revival after a single evening.",
            "Reviewers called it [noisy|tender|a museum of borrowed tunes], and audiences returned.",
            "The ballet is [usually cut|danced in masks|longer than the last act].",
            "Costumes for the first staging were [borrowed from a circus|sewn by the chorus|lost at sea].",
        ),
        asked={
            "composer": ("the composer of", "the person who composed"),
            "setting": ("the city that is the setting of", "the city where {x} is set"),
            "source": ("the novel that inspired", "the novel adapted as"),
        },
    ),
    "battle": TypePhrases(
        noun="battle",
        leads=templates(
            "{N} was fought in {v} [between rival claimants|in thick fog|over three days] and [settled little|"
            "ended a long siege|decided the campaign].",
            "Fought in {v}, {n} was a battle [of cavalry and light guns|that neither side had planned|in heavy rain].",
            "{N} was a battle of {v} in which [a much smaller army prevailed|both flanks gave way|the reserves never arrived].",
        ),
        facts={
            "victor": templates(
                "The victor was {o}, who [had the better ground|attacked before sunrise|lost a horse that day].",
                "Victory went to {o}[, whose reserves came up in time|, though at great cost|].",
                "{O} commanded the winning side [from a church tower|with a broken arm|for the first time].",
                "The winning commander, {o}, [refused a triumph|pursued the enemy for a week|released the prisoners].",
            ),
            "site": templates(
                "The fighting centred on {o}, [which changed hands four times|held by a rearguard|barricaded with carts].",
                "It took place around {o}[, still scarred by shot|].",
                "Both armies tried to seize {o}, the [only crossing for miles|key to the position].",
                "{O} was the site of the fighting[, as a tablet records|].",
            ),
            "country": templates(
                "{S} took place in {o}, [far from the main theatre of war|close to a disputed border].",
                "The battlefield lies in {o}[, among orchards|, on a bare plateau|].",
                "It was the last great battle on the soil of {o}[, which commemorates it each year|].",
                "In {o}, where it was fought, {s} is [a public holiday|taught in every school|rarely spoken of].",
            ),
        },
        amounts=templates(
            "Losses came to {v} men[ on both sides together|].",
            "The dead and wounded numbered {v}[, by the official count|].",
            "Some {v} soldiers fell[, most of them recruits|].",
        ),
        alias=templates("[Foreign historians|Regimental histories] call it {a}."),
        fillers=templates(
            "[Mud|A sandstorm|A burst dam|Early snow] kept the artillery from moving.",
            "A [drummer|miller's daughter|deserter] is said to have betrayed the line of march.",
            "Military writers cite it as an example of [poor scouting|a feigned retreat|luck].",
            "[A chapel|An obelisk|A row of poplars] marks the place where the standards were burned.",
            "The truce that followed was [signed in a barn|broken within a month|celebrated with fireworks].",
            "Veterans met there [every tenth year|until the last had died|in growing disagreement].",
            "Maps of the day are [inaccurate|few|coloured by hand], and accounts conflict.",
        ),
        asked={
            "victor": ("the victor of", "the commander who won"),
            "site": ("the bridge that was fought over in", "the bridge that was the site of"),
            "country": ("the country whose soil saw", "the country where {x} was fought"),
        },
    ),
}
