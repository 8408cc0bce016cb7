"""Questions about everyday English: what sort of thing a word names, opposites, past tenses, moods of sentences."""

from __future__ import annotations

from random import Random

from training.workload import LEVELS, Draft

# the first words of a row are the best known
THINGS = {
    "animal": "dog cat horse lion cow monkey rabbit bear wolf goat otter badger lynx tapir ibex okapi civet quoll kudu stoat",
    "bird": "eagle owl duck robin crow parrot swan pigeon falcon heron finch plover bittern shrike wren grebe dunlin hoopoe rook siskin",
    "fish": "salmon tuna shark trout cod herring carp eel pike sardine perch halibut bream turbot tench gudgeon smelt roach loach dace",
    "fruit": "apple banana orange grape lemon mango pear peach cherry plum fig papaya quince guava lychee medlar damson kumquat sloe feijoa",
    "vegetable": "carrot potato onion cabbage spinach broccoli lettuce celery radish turnip leek kale parsnip chard fennel okra endive salsify kohlrabi rutabaga",
    "tree": "oak pine maple birch willow cedar elm palm poplar spruce beech ash alder larch hornbeam yew rowan hazel linden aspen",
    "colour": "red blue green yellow pink purple brown grey white black violet beige crimson turquoise maroon teal ochre mauve cerise puce",
    "tool": "hammer saw drill screwdriver wrench pliers shovel axe chisel rake file clamp trowel mallet hoe spanner awl adze auger rasp",
    "instrument": "piano guitar violin drum flute trumpet harp cello clarinet saxophone trombone oboe banjo bassoon tuba lute zither viola lyre fife",
    "vehicle": "car bus train bicycle truck boat plane tram ship taxi scooter van ferry canoe wagon sledge tractor yacht barge dinghy",
    "garment": "shirt hat coat dress sock shoe jacket glove scarf skirt belt sweater cloak apron vest poncho tunic shawl kilt sarong",
    "metal": "iron gold silver copper steel tin lead zinc nickel brass bronze titanium tungsten cobalt pewter platinum chromium vanadium osmium iridium",
}
OPPOSITES = (
    "hot cold|big small|up down|day night|yes no|good bad|left right|happy sad|open closed|black white|in out|on off",
    "fast slow|wet dry|rich poor|strong weak|high low|early late|full empty|hard soft|win lose|push pull|young old|true false",
    "arrive depart|buy sell|accept reject|begin end|always never|above below|clean dirty|deep shallow|thick thin|love hate|north south|first last",
    "ancient modern|expand contract|forget remember|guilty innocent|increase decrease|inside outside|import export|majority minority|maximum minimum|success failure|tight loose|sharp blunt",
    "ascend descend|artificial natural|permanent temporary|scarce abundant|transparent opaque|victory defeat|vertical horizontal|superior inferior|optimist pessimist|concave convex|introvert extrovert|active passive",
)
PAST = (
    "walk walked|play played|go went|see saw|eat ate|run ran|have had|make made|come came|take took",
    "give gave|find found|think thought|write wrote|sing sang|drink drank|buy bought|sleep slept|speak spoke|drive drove",
    "carry carried|stop stopped|teach taught|catch caught|fly flew|grow grew|choose chose|break broke|wear wore|begin began",
    "shake shook|steal stole|freeze froze|blow blew|draw drew|hide hid|ride rode|tear tore|bend bent|sweep swept",
    "weave wove|seek sought|strive strove|flee fled|cling clung|slay slew|forbid forbade|tread trod|shrink shrank|swear swore",
)
GOOD = (
    "wonderful",
    "excellent",
    "great",
    "delightful",
    "superb",
    "charming",
    "brilliant",
    "lovely",
    "perfect",
    "fantastic",
)
BAD = (
    "terrible",
    "awful",
    "horrible",
    "dreadful",
    "disappointing",
    "boring",
    "rude",
    "dirty",
    "broken",
    "poor",
)
SUBJECTS = (
    "film",
    "meal",
    "hotel",
    "book",
    "concert",
    "service",
    "trip",
    "show",
    "coffee",
    "game",
    "staff",
    "room",
)


def write_sort_of(rng: Random, level: int) -> Draft:
    """Which of two to four sorts a thing belongs to; rarer words on harder levels."""
    sort = rng.choice(sorted(THINGS))
    words = THINGS[sort].split()
    fifth = len(words) // LEVELS
    word = rng.choice(words[(level - 1) * fifth : level * fifth])
    others = [other for other in sorted(THINGS) if other != sort and word not in THINGS[other].split()]
    choices = [sort, *rng.sample(others, 1 + level // 2)]
    rng.shuffle(choices)
    shown = ", ".join(choices[:-1]) + f" or {choices[-1]}"
    ask = rng.choice(
        (
            f"What kind of thing is a {word}: {shown}?",
            f"Choose the right word for {word}: {shown}.",
            f"Does '{word}' name a kind of {shown}?",
        )
    )
    return Draft(ask, sort)


def write_opposite(rng: Random, level: int) -> Draft:
    """The opposite of a word."""
    pair = rng.choice(OPPOSITES[level - 1].split("|")).split()
    word, opposite = pair if rng.random() < 0.5 else pair[::-1]
    ask = rng.choice(
        (
            f"What is the opposite of '{word}'?",
            f"Name the antonym of {word}.",
            f"Which word means the contrary of '{word}'?",
        )
    )
    return Draft(ask, opposite)


def write_past(rng: Random, level: int) -> Draft:
    """The simple past of ever rarer verbs."""
    verb, past = rng.choice(PAST[level - 1].split("|")).split()
    ask = rng.choice(
        (
            f"What is the past tense of '{verb}'?",
            f"Today I {verb}. Yesterday I did it too. What is the past tense of {verb}?",
            f"The present tense is '{verb}'. What is the simple past of this verb?",
        )
    )
    return Draft(ask, past)


def write_mood(rng: Random, level: int) -> Draft:
    """Whether a short review is positive or negative; negations and turns make it harder."""
    happy = rng.random() < 0.5
    mine, theirs = (GOOD, BAD) if happy else (BAD, GOOD)
    subject, other = rng.sample(SUBJECTS, 2)
    first, second, contrary = rng.choice(mine), rng.choice(mine), rng.choice(theirs)
    text = (
        f"The {subject} was {first} and {second}.",
        f"What a {first} {subject}!",
        f"The {subject} was not {contrary} at all.",
        f"Everybody had told me that the {subject} was {contrary}, but I found it {first}.",
        f"The {other} was {contrary}, I admit, yet nobody could call the {subject} {contrary}: far from it, it was anything but {rng.choice(theirs)}.",
    )[level - 1]
    ask = rng.choice(
        (
            "Is this review positive or negative?",
            "Does the writer feel positive or negative?",
            "Positive or negative?",
        )
    )
    return Draft(f"{ask}\n\n{text}", "positive" if happy else "negative")
