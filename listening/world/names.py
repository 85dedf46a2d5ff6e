# ruff: noqa: SIM905 - word lists read and edit better as running text
"""Names for people and music that do not exist, drawn from small grammars."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

ADJECTIVES = tuple(
    "Amber Analog Borrowed Brass Careful Cardboard Ceramic Clockwork Copper Courteous Crooked Distant Double Elastic "
    "Electric Faded Feral Foldable Gentle Gilded Hollow Idle Imaginary Indoor Inflatable Invisible Iron Lazy Lukewarm "
    "Magnetic Midnight Minor Misplaced Moonlit Nervous Nocturnal Obedient Overdue Paper Patient Plastic Polite "
    "Portable Postal Quiet Reluctant Rented Rusty Salted Second-hand Silent Sleepless Slow Soluble Spare Static "
    "Suburban Tangled Tidal Tin Unpaid Unlikely Velvet Wandering Waterproof Winter Woollen".split()
)
NOUNS = tuple(
    "Accordion Almanac Antenna Apricot Attic Balcony Barometer Bicycle Blanket Boulevard Brigade Cactus Calendar "
    "Caravan Carousel Cathedral Chandelier Comet Compass Cousin Cupboard Dormouse Elevator Envelope Escalator "
    "Ferry Fountain Furnace Gazebo Geranium Glacier Harbour Hedgehog Heron Hinge Horizon Jukebox Kettle Kiosk Ladder "
    "Lagoon Lantern Laundry Lighthouse Magpie Mailbox Marmalade Meadow Metronome Mirage Moth Museum Neighbour Octopus "
    "Orchard Otter Parachute Parade Parking Pelican Periscope Pigeon Planet Porcupine Postcard Pylon Quarry Radiator "
    "Raincoat Satellite Saturday Scarecrow Staircase Suitcase Teapot Telescope Theorem Thermostat Tram Tulip Umbrella "
    "Verandah Vineyard Walrus Weathervane Window Xylophone Yacht Zeppelin".split()
)
VERBS = tuple(
    "Borrow Carry Chase Count Draw Feed Fold Follow Forget Forgive Hide Hold Hum Lend Light Mend Move Open Outrun "
    "Paint Peel Phone Polish Remember Rewind Row Sell Shake Sketch Sweep Swim Thank Turn Unlock Wake Water".split()
)
PLACES = tuple(
    "the Attic|the Back Seat|Brackish Water|Broad Daylight|the Canteen|the Car Park|Every Language|the Fog|"
    "a Foreign Kitchen|the Garden|Half an Hour|the Hallway|High Season|the Last Carriage|a Low Voice|Lower Case|"
    "the Margin|March|Minor Keys|the Next Room|November|the Other Town|the Provinces|the Rain|Reverse|"
    "a Rented Room|Slow Motion|the Small Hours|Spare Time|Technicolour|the Waiting Room|Winter Light".split("|")
)
FIRST_NAMES = tuple(
    "Ada Agnes Aino Alba Amara Amir Anouk Anton Arjun Astrid Aziz Beatriz Bela Bruno Carmen Chiara Cyrus Dalia Daniel "
    "Davide Dina Edith Elif Elio Emeka Emil Esther Farah Felix Femi Fiona Gaia Giulia Greta Hana Hugo Ida Imani Ines "
    "Ingrid Ivan Jana Jonas Joao Kaito Kenji Lara Leila Leon Lin Linnea Luca Lucia Maeve Magnus Malik Mara Marta "
    "Mateo Mei Milan Mina Nadia Naomi Niko Nils Noor Olga Omar Otto Paola Pedro Petra Priya Quentin Rafael Ravi "
    "Rosa Ruth Sana Selma Sofia Soren Tariq Teo Tilda Tomas Uma Vera Viktor Wanda Xenia Yara Yuki Zeno Zoe".split()
)
SURNAME_HEADS = tuple("Al Bar Bel Bran Car Cor Dal Dor El Fal Fer Gar Hal Jor Kal Lar Lin Mar Mon Nor Or Pel".split())
SURNAME_TAILS = tuple("abel adas ander anti ardo asti ekova elli emann enzi eros idze ikova inen ings ori oss".split())

TRIES = 20  # draws before a name is used again, with a number

Rng = np.random.Generator
Grammar = Callable[[Rng], str]


def _one(rng: Rng, words: Sequence[str]) -> str:
    return words[rng.integers(len(words))]


ARTISTS: tuple[Grammar, ...] = (
    lambda rng: f"The {_one(rng, ADJECTIVES)} {_plural(_one(rng, NOUNS))}",
    lambda rng: f"{_one(rng, ADJECTIVES)} {_one(rng, NOUNS)}",
    lambda rng: f"{_one(rng, FIRST_NAMES)} & the {_plural(_one(rng, NOUNS))}",
    lambda rng: f"{_one(rng, FIRST_NAMES)} {_surname(rng)}",
    lambda rng: f"{_one(rng, NOUNS)} {_one(rng, NOUNS)} Club",
    lambda rng: f"DJ {_one(rng, ADJECTIVES)} {_one(rng, NOUNS)}",
    lambda rng: f"{_one(rng, VERBS)} the {_one(rng, NOUNS)}",
)
SONGS: tuple[Grammar, ...] = (
    lambda rng: f"{_one(rng, VERBS)} the {_one(rng, NOUNS)}",
    lambda rng: f"{_one(rng, ADJECTIVES)} {_one(rng, NOUNS)}",
    lambda rng: f"{_one(rng, NOUNS)} in {_one(rng, PLACES)}",
    lambda rng: f"{_one(rng, NOUNS)} for {_one(rng, FIRST_NAMES)}",
    lambda rng: f"Do Not {_one(rng, VERBS)} the {_one(rng, NOUNS)}",
    lambda rng: f"{_one(rng, FIRST_NAMES)} and the {_one(rng, NOUNS)}",
    lambda rng: f"My {_one(rng, ADJECTIVES)} {_one(rng, NOUNS)}",
    lambda rng: f"{_plural(_one(rng, NOUNS))}",
)
ALBUMS: tuple[Grammar, ...] = (
    lambda rng: f"{_one(rng, ADJECTIVES)} {_plural(_one(rng, NOUNS))}",
    lambda rng: f"Music for {_plural(_one(rng, NOUNS))}",
    lambda rng: f"In {_one(rng, PLACES)}",
    lambda rng: f"{_one(rng, NOUNS)}, {_one(rng, NOUNS)}, {_one(rng, NOUNS)}",
    lambda rng: f"How to {_one(rng, VERBS)} Your {_one(rng, ADJECTIVES)} {_one(rng, NOUNS)}",
    lambda rng: f"Live in {_one(rng, PLACES)}",
)
PEOPLE: tuple[Grammar, ...] = (lambda rng: f"{_one(rng, FIRST_NAMES)} {_surname(rng)}",)


def distinct(grammars: Sequence[Grammar], n: int, rng: Rng) -> list[str]:
    """`n` names, no two alike; once a grammar runs dry its names come back with a number."""
    uses: Counter[str] = Counter()
    names = []
    for _ in range(n):
        name = _unused(grammars, rng, uses)
        uses[name] += 1
        names.append(name if uses[name] == 1 else f"{name} {uses[name]}")
    return names


def any_of(grammars: Sequence[Grammar], n: int, rng: Rng) -> list[str]:
    """`n` names; two may be alike, as song titles are."""
    return [_drawn(grammars, rng) for _ in range(n)]


def _drawn(grammars: Sequence[Grammar], rng: Rng) -> str:
    return grammars[rng.integers(len(grammars))](rng)


def _unused(grammars: Sequence[Grammar], rng: Rng, uses: Counter[str]) -> str:
    drawn = (_drawn(grammars, rng) for _ in range(TRIES))
    return next((name for name in drawn if name not in uses), _drawn(grammars, rng))


def _surname(rng: Rng) -> str:
    return _one(rng, SURNAME_HEADS) + _one(rng, SURNAME_TAILS)


def _plural(noun: str) -> str:
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"
