"""Question sets and answer sets in files."""

from ssp_env.data.lines import DataFileError
from ssp_env.data.tasks import read_answers, read_questions, short_titles

__all__ = ["DataFileError", "read_answers", "read_questions", "short_titles"]
