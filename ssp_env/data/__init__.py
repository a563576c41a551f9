"""Question sets and answer sets in files."""

from ssp_env.data.answers import read_answers, short_titles
from ssp_env.data.lines import DataFileError
from ssp_env.data.questions import read_questions

__all__ = ["DataFileError", "read_answers", "read_questions", "short_titles"]
