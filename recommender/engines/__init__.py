"""The engine room: five engines behind one contract. No database, clock, network or global state in here."""

from recommender.engines.base import Engine
from recommender.engines.coolstart import CoolStart
from recommender.engines.item_based import ItemBased
from recommender.engines.relevance import Relevance
from recommender.engines.user_based import UserBased
from recommender.engines.weighted_mf.model import WeightedMF

ENGINES: dict[str, type[Engine]] = {
    engine.name: engine for engine in (Relevance, CoolStart, WeightedMF, UserBased, ItemBased)
}
