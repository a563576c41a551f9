"""Question sets and answer sets in files."""

from ssp_env.data.answers import AnswerEntry, read_answers
from ssp_env.data.lines import DataFileError
from ssp_env.data.questions import Question, read_questions

__all__ = ["AnswerEntry", "DataFileError", "Question", "read_answers", "read_questions"]
