"""How prose worlds write about places and what is found in them: from countries to minerals."""

# ruff: noqa: E501  (one sentence, one line)

from ssp_env.worlds.phrases.template import TypePhrases, templates

PLACES = {
    "country": TypePhrases(
        noun="country",
        leads=templates(
            "{N} is [a mountainous|a thinly settled|a largely agricultural] country, proclaimed a republic in {v}.",
            "A republic since {v}, {n} is a country of [high plateaus and short summers|wide plains|forests and lakes].",
            "{N} became a republic in {v} after [a bloodless uprising|years of regency|a contested vote].",
        ),
        facts={
            "president": templates(
                "Its first president was {o}, who [drafted the constitution|served a single term|refused a salary].",
                "{O} was elected its first president[, narrowly| by acclamation|] and moved into a rented house.",
                "The first president, {o}, [abolished the old titles|founded the postal service|kept a diary of the period].",
                "{P} first head of state after the monarchy was President {o}, [a compromise candidate|a former exile].",
            ),
            "river": templates(
                "Its longest river is {o}, [navigable for half its course|which floods every spring|rich in pike].",
                "{O} is the longest river of the country[ and its chief waterway|].",
                "The longest of its rivers, {o}, [appears on the coat of arms|divides the uplands|freezes in hard winters].",
                "Most of the land is drained by {o}, its longest river[, and by countless streams|].",
            ),
            "export": templates(
                "Its main export is {o}, [mined in the north|dug by hand until recently|shipped in small sacks].",
                "The economy rests on {o}, the chief export[, and on sheep|, and on timber|].",
                "{S} exports above all {o}[, which is taxed by weight|].",
                "No export brings in more than {o}, [subject to a royal tariff in earlier times|found in most valleys].",
            ),
        },
        amounts=templates(
            "It covers {v} square kilometres[, a fifth of them forest|].",
            "The surface area is {v} square kilometres[ according to the latest survey|].",
            "{S} extends over {v} square kilometres[ and spans two climates|].",
        ),
        alias=templates("[Treaties|Official papers] call it {a}."),
        fillers=templates(
            "The flag shows [three stars|a white tower|a green field and a plough|two fishes].",
            "Its anthem, [slow and solemn|set to an old hymn tune], has [seven|nine|eleven] verses.",
            "Winters are [long and dry|mild and foggy|severe in the uplands], and harvests uncertain.",
            "Parliament sits [for ten weeks a year|in a converted granary|only in summer].",
            "Traditional dishes rely on [barley, plums and smoked fish|rye, cabbage and honey|millet and goat's cheese].",
            "Several dialects are spoken, [none of them official|two of them endangered|all of them written alike].",
            "Roads were [paved late|tolled until lately|built by conscripts], and the mail is slow.",
        ),
        asked={
            "president": ("the first president of", "the person who was first president of"),
            "river": ("the longest river of", "the river that is the longest in"),
            "export": ("the mineral that is the main export of", "the chief export of"),
        },
    ),
    "city": TypePhrases(
        noun="city",
        leads=templates(
            "{N} is a city first recorded in {v}, [built on seven low hills|spread along a ridge|famous for its roofs].",
            "First recorded in {v}, {n} is a [walled|bustling|quiet provincial|windswept] city with [narrow streets|"
            "many gardens|a large market].",
            "{N} is a [trading|cathedral|garrison|manufacturing] city whose name was first recorded in {v}.",
            "The city of {n} was first recorded in {v}, [in a deed of sale|in a monk's letter|on a tax roll].",
        ),
        facts={
            "mayor": templates(
                "Its longest-serving mayor was {o}, who [paved the main square|built the waterworks|planted the avenues].",
                "{O} was mayor longer than anyone before or since and [lowered the tolls|drained the marsh|"
                "brought in gas lighting].",
                "No mayor of the city held office as long as {o}[, a popular figure|, despite many quarrels|].",
                "Under {o}, its longest-serving mayor, the city [doubled in size|pulled down its gates|"
                "paid off its debts].",
            ),
            "architect": templates(
                "The town hall was designed by {o}, [whose plans won a competition|in a severe style|free of charge].",
                "{O} was the architect of its town hall, [a landmark with a blue dome|often called too large].",
                "Visitors come to see the town hall, the work of the architect {o}[, with its painted ceiling|].",
                "The architect of the town hall, {o}, [quarrelled with the council|never saw it finished|"
                "also laid out the park].",
            ),
            "employer": templates(
                "The largest employer in the city is {o}, [whose siren marks the hours|which owns many of its houses].",
                "Most working families depend on {o}, the largest employer[ by a wide margin|].",
                "{O} is its largest employer and [sponsors the brass band|pays half the local taxes].",
                "Its largest employer, {o}, [occupies the old barracks|runs a night school|dominates local affairs].",
            ),
            "country": templates(
                "{S} lies in {o}, [not far from the frontier|in the fertile lowlands|where it is a market centre].",
                "{S} belongs to {o}[, although the border has moved more than once|].",
                "It is among the [oldest|liveliest|best preserved] cities of {o}.",
                "Within {o}, {s} ranks as [a railway junction|a centre of printing|a place of the second rank].",
            ),
            "river": templates(
                "{S} stands on {o}, [crossed here by ferries|lined with warehouses|whose banks are promenades].",
                "{O} flows through the city[, turning a dozen mills|, often in flood|].",
                "The old quarters face {o}, which flows [slowly|swiftly|under low arches] through the centre.",
                "Through the middle of the city flows {o}[, the source of its water|].",
            ),
        },
        amounts=templates(
            "It has a population of {v}[ within the walls and suburbs|].",
            "The last census counted {v} inhabitants[, more women than men|].",
            "About {v} people live there[, many of them newcomers|].",
        ),
        alias=(),
        fillers=templates(
            "A [fair|regatta|lantern procession|flower market] is held every [spring|autumn|third year].",
            "Local kitchens are known for [pickled herring|almond bread|a dark plum stew|goose with apples].",
            "The [cathedral|theatre|covered market|observatory] burned down once and was rebuilt in brick.",
            "Its inhabitants are said to be [thrifty|talkative|fond of litigation|late risers].",
            "A [tram|horse railway|cable car] climbs to the upper town from the fish market.",
            "The surrounding country produces [wine and walnuts|flax and hops|wool and apples].",
            "The climate is [damp and mild|dry and bright|changeable], with [early frosts|strong west winds|long springs].",
        ),
        asked={
            "mayor": ("the longest-serving mayor of", "the person who was longest mayor of"),
            "architect": ("the architect of the town hall of", "the person who designed the town hall of"),
            "employer": ("the largest employer in", "the company that employs the most people in"),
            "country": ("the country that contains", "the country where {x} lies"),
            "river": ("the river that flows through", "the river on whose banks {x} stands"),
        },
    ),
    "river": TypePhrases(
        noun="river",
        leads=templates(
            "{N} is a [slow, winding|clear and rapid|muddy|broad] river that was first surveyed in {v}.",
            "First surveyed in {v}, {n} is a river of [gravel banks and islands|deep pools|many tributaries].",
            "{N} is a river whose course was surveyed for the first time in {v} [by boat|from its source down|"
            "after several failures].",
        ),
        facts={
            "explorer": templates(
                "{S} was explored by {o}, who [sketched every bend|lost two canoes|wrote a famous account of it].",
                "The first to explore its whole length was {o}[, travelling with four companions|].",
                "{O} explored it from end to end [in a single season|on foot and by raft|against all advice].",
                "Its explorer, {o}, [named most of the rapids|measured its depth|came back with fever].",
            ),
            "mouth": templates(
                "{S} reaches the sea at {o}, [through a silted delta|between two lighthouses|under a long pier].",
                "The mouth of the river is at {o}[, where barges wait for the tide|].",
                "At {o} it flows into the sea[, brown with silt|, half a mile wide|].",
                "{P} mouth, at {o}, is [dredged every year|guarded by an old fort|a resting place for geese].",
            ),
            "source": templates(
                "{S} rises in {o}, [from a spring among rocks|at the foot of a glacier|in a bog].",
                "Its source lies in {o}[, high above the tree line|].",
                "The headwaters are in {o}, where [shepherds built a shrine|snow lies until June|it is a mere brook].",
                "From its source in {o}, {s} [falls quickly|runs west|gathers a dozen streams].",
            ),
        },
        amounts=templates(
            "{P} length is {v} kilometres[, counting every loop|].",
            "{S} is {v} kilometres long[ from end to end|].",
            "Over its {v} kilometres it [drops but little|passes five locks|changes colour twice].",
        ),
        alias=templates("Older maps call it {a}."),
        fillers=templates(
            "Its waters hold [trout and grayling|eel and perch|sturgeon, now rare].",
            "Floods are [common after thaw|rare but severe|expected every ninth year].",
            "Raftsmen once [sang at every landing|floated oak to the coast|paid toll in salt].",
            "Herons, [otters|beavers|kingfishers] and [wild ducks|cormorants|terns] live along the reed beds.",
            "Ice closes the upper reaches [for two months|in most winters|only in hard years].",
            "The water is [soft|slightly bitter|clouded with chalk] and was long used for dyeing.",
            "Painters have favoured the [evening mists|sandstone bluffs|willow meadows] of its middle course.",
        ),
        asked={
            "explorer": ("the explorer of", "the person who explored the whole length of"),
            "mouth": ("the city at the mouth of", "the city where {x} reaches the sea"),
            "source": ("the country that contains the source of", "the country where {x} rises"),
        },
    ),
    "bridge": TypePhrases(
        noun="bridge",
        leads=templates(
            "{N} is [a stone arch|an iron|a timber|a suspension] bridge completed in {v}.",
            "Completed in {v}, {n} is a bridge [with nine piers|of unusual lightness|carrying a road and a footpath].",
            "{N}, a bridge completed in {v}, [replaced a ferry|took eleven years to build|is still in use].",
        ),
        facts={
            "architect": templates(
                "{S} was designed by {o}, who [calculated every stone|had never built one before|lived on site].",
                "The architect, {o}, [chose the site in person|was sued over the cost|signed the keystone].",
                "{O} drew up the design [in three weeks|after a study of older bridges|without assistants].",
                "Its architect was {o}[, better known for other things|].",
            ),
            "river": templates(
                "{S} crosses {o} [at its narrowest point|just above the rapids|beside an older ford].",
                "{O} passes beneath it[, swift and deep|, between granite banks|].",
                "Its arches span {o}[, which rises sharply in spring|].",
                "Traffic over {o} depended on boats until {s} [was opened|stood ready].",
            ),
            "seat": templates(
                "{S} stands in {o}, [near the grain market|at the edge of the old town|within sight of the quays].",
                "It is one of the sights of {o}[, much photographed|].",
                "The bridge is in {o}, whose [council maintains it|citizens paid for it|arms adorn the parapet].",
                "In {o}, where it stands, {s} [links two rival quarters|is simply called the bridge].",
            ),
        },
        amounts=templates(
            "{P} total span is {v} metres[ between the abutments|].",
            "{S} measures {v} metres[ from bank to bank|].",
            "With a length of {v} metres it was [long a record|thought reckless|the pride of its builders].",
        ),
        alias=templates("Older maps call it {a}."),
        fillers=templates(
            "A toll was charged [until it was paid for|on market days only|to all but clergy].",
            "[Statues of saints|Cast-iron lamps|Carved lions] line the parapets on both sides.",
            "Repairs after [an earthquake|a barge collision|severe frost] took two summers.",
            "Local belief holds that [lovers must cross it in silence|a coin is walled into each pier].",
            "The roadway was [widened once|paved with wooden blocks|closed to carts at night].",
            "Engineers still [study its foundations|praise its drainage|argue over its vaults].",
        ),
        asked={
            "architect": ("the architect of", "the person who designed"),
            "river": ("the river crossed by", "the river that flows beneath"),
            "seat": ("the city that is the site of", "the city where {x} stands"),
        },
    ),
    "museum": TypePhrases(
        noun="museum",
        leads=templates(
            "{N} is a museum of [fine art|applied arts|music and theatre|local history], opened in {v}.",
            "Opened in {v}, {n} is a museum [with free admission|of modest size|known for its odd collections].",
            "{N}, which opened in {v}, is a museum devoted to [music and manners|craft and costume|art and letters].",
        ),
        facts={
            "architect": templates(
                "The building was designed by {o}, [with a glass roof|in yellow brick|around a winter garden].",
                "{P} architect was {o}, who [disliked corridors|insisted on daylight|worked without a fee].",
                "{O} was the architect of the building[, completed under budget|].",
                "Its galleries are the work of the architect {o}[ and have hardly been altered|].",
            ),
            "seat": templates(
                "{S} is in {o}, [on a street of lime trees|next to the law courts|in a former convent].",
                "{S} is one of the attractions of {o}[, open all year|].",
                "It occupies a corner site in {o}[, facing the theatre|].",
                "The museum is located in {o}, where [schools visit it every term|it replaced a corn exchange].",
            ),
            "exhibit": templates(
                "{P} most prized exhibit is the original score of {o}, [bound in red leather|shown only in dim light].",
                "The original score of {o} is its most prized exhibit[, insured for a fortune|].",
                "Most visitors come for one exhibit, the original score of {o}[, covered in corrections|].",
                "{S} owns the original score of {o}, its [best-known|rarest|proudest] exhibit.",
            ),
        },
        amounts=templates(
            "The collection numbers {v} objects[, few of them on view|].",
            "{S} holds {v} objects[ in nineteen rooms|].",
            "Its inventory lists {v} objects[, from thimbles to carriages|].",
        ),
        alias=templates("Residents call it {a}."),
        fillers=templates(
            "A [theft|burst pipe|bitter inheritance dispute] cost it several minor pieces.",
            "The [reading room|porcelain cabinet|tower gallery] is open by appointment.",
            "Concerts are given [among the paintings|in the entrance hall|on winter evenings].",
            "Guards wear [grey coats|felt slippers|a uniform nobody remembers choosing].",
            "The labels are [famously long|handwritten|printed in two languages].",
            "Part of the cellar serves as a [workshop for restorers|map store|tea room].",
            "Loans to other houses are [refused on principle|made reluctantly|exchanged year by year].",
        ),
        asked={
            "architect": ("the architect of", "the person who designed the building of"),
            "seat": ("the city that is home to", "the city where {x} is located"),
            "exhibit": (
                "the opera whose original score is kept at",
                "the opera whose score is the prize exhibit of",
            ),
        },
    ),
    "mineral": TypePhrases(
        noun="mineral",
        leads=templates(
            "{N} is a [dull green|honey-coloured|heavy grey|violet, brittle] mineral first described in {v}.",
            "First described in {v}, {n} is a mineral that forms [needle-like crystals|thin plates|rounded crusts].",
            "{N}, a [soft|glassy|magnetic|fibrous] mineral, was described for the first time in {v}.",
        ),
        facts={
            "explorer": templates(
                "{S} was discovered by {o}, [in the wall of a quarry|while looking for water|during a survey].",
                "Its discoverer, {o}, [mistook it for copper|sent samples to three academies|kept the site secret].",
                "The discovery was made by {o}[, almost by accident|, on a wet afternoon|].",
                "{O} discovered it [among river pebbles|in the spoil of an old mine|on a mountain path].",
            ),
            "source": templates(
                "{S} was first found in {o}[, where the best pieces still come from|].",
                "The first specimens came from {o}, [from a shallow pit|from veins in slate|packed in moss].",
                "The type locality is in {o}, [on private land|now under water|marked by a cairn].",
                "It was in {o} that {s} was first [collected|found|noticed by miners].",
            ),
            "namesake": templates(
                "Although the name sounds old, {s} was named in honour of {o}[, a friend of the discoverer|].",
                "It was named to honour {o}, by way of [a family nickname|an old title|a place of childhood].",
                "The name was chosen to commemorate {o}, who [was not amused|had financed the survey|never saw a piece].",
                "In naming it, the academy meant to honour {o}[, through the name of an estate|].",
            ),
        },
        amounts=templates(
            "{S} is known from {v} deposits[, most of them small|].",
            "Some {v} deposits have been mapped[, few worth working|].",
            "Geologists count {v} deposits of it[ in all|].",
        ),
        alias=(),
        fillers=templates(
            "When heated it [turns white|crackles|gives off a smell of garlic|swells like a sponge].",
            "It is used in [glazes and enamels|lamp filters|polishing powder|a costly blue pigment].",
            "Collectors prize [twinned crystals|the rare red variety|pieces from exhausted mines].",
            "It dissolves [slowly in vinegar|only in strong acid|without residue] and [feels greasy|stains the fingers].",
            "Folk medicine recommended it against [toothache|gout|sleeplessness], to little effect.",
            "It occurs with [quartz and mica|lead ores|chalk and flint], often in [narrow veins|old lava].",
            "Dust from it [irritates the eyes|glows faintly|was once mixed into plaster].",
        ),
        asked={
            "explorer": ("the discoverer of", "the person who discovered"),
            "source": (
                "the country that yielded the first specimens of",
                "the country where {x} was first found",
            ),
            "namesake": ("the person honoured in the name of", "the person commemorated by the name of"),
        },
    ),
}
