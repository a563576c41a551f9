"""The wording of prose worlds: for each type of entity, how its facts are told and asked about."""

from types import MappingProxyType

from ssp_env.worlds.phrases.people import PEOPLE
from ssp_env.worlds.phrases.places import PLACES
from ssp_env.worlds.phrases.template import Template, TypePhrases
from ssp_env.worlds.phrases.works import WORKS

PHRASES = MappingProxyType({**PEOPLE, **PLACES, **WORKS})
"""Type name -> its phrases."""

__all__ = ["PHRASES", "Template", "TypePhrases"]
