"""Questions about the documents of the reader: which phrases are found, and honest questions."""

from pathlib import Path

import pytest

from ssp_env.data import read_questions
from ssp_env.game.about_documents import is_about_documents
from tests.game.doubles import PROPOSAL, ended, new_game, propose, question

SEARCHES = PROPOSAL[:-1]
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.parametrize(
    "text",
    [
        "Which name is mentioned most often in the documents given to you above?",
        "According to the passage, who is the mayor of Corun?",
        "What is the title of document 3?",
        "Which city is named in all of the passages?",
        "Who is the king named in the text above?",
        "Who appears in the provided context?",
        "Which of these documents is longest?",
        "Based on the DOCUMENTS, who met Belin?",
        "Which person does the following passage describe?",
        "Who is mentioned most in what you have just been shown?",
        "Which word occurs in every do\u200bcument?",
        "Which name is written most often on the sheets lying in front of you right now?",
        "Who is named in the notes that lie before you?",
        "Welcher Name kommt in den Dokumenten, die du oben siehst, am häufigsten vor?",
        "Wer wird in den vorliegenden Texten am häufigsten genannt?",
        "Quel nom apparaît le plus souvent dans les documents donnés ci-dessus ?",
        "Qui est nommé dans les passages suivants ?",
        "¿Qué nombre aparece más en los documentos de arriba?",
        "¿Quién aparece en los siguientes pasajes?",
        "Que nome aparece mais nos documentos acima?",
        "Quale nome compare di più nei documenti qui sopra?",
        "Welke naam staat het vaakst in de bovenstaande teksten?",
        "Какое имя чаще всего встречается в документах выше?",
        "Кто назван в приведённых текстах?",
        "上述文档中出现最多的名字是什么？",
        "以下的文章提到了谁？",
    ],
)
def test_questions_about_the_readers_documents_are_refused(text):
    game = new_game(min_question_words=1)
    propose(game, *SEARCHES, question(text))
    assert ended(game) == ("invalid", "about_documents")


@pytest.mark.parametrize(
    "question",
    [
        "Who signed the documents of surrender in 1945?",
        "Which ship sailed through the Northwest Passage first?",
        "Which historian found the documents that proved the fraud?",
        "Which law was named after the passage of the bill in 1964?",
        "In the context of the French Revolution, who led the Jacobins?",
        "What is the capital of the country whose law was given by Solon?",
        "Which ruler was presented with the text shown in the British Museum?",
        "school of rector of lifam ?",
        "Who wrote a paper before the lecture in front of the palace?",
        "What should you do when a cat walks in front of you?",
        "Lequel des auteurs suivants a écrit ce texte sur la mer ?",
        "Qui a signé les documents donnés à Napoléon ?",
        "Wer unterzeichnete das Dokument in der Stadt, die am Rhein liegt?",
        "Em que museu está o texto acima da porta?",
        "In quale archivio si trovano i documenti sotto vetro?",
        "Кто подписал документ, по которому сдался город?",
        "谁签署了这份文件？",
    ],
)
def test_questions_about_documents_of_the_world_are_not(question):
    assert not is_about_documents(question)


@pytest.mark.skipif(not DATA.exists(), reason="needs the questions of ../shared/data")
@pytest.mark.parametrize("name", ["nq_dev_300", "hotpotqa_dev_200"])
def test_no_question_that_people_asked_is_about_documents(name):
    assert [
        one.question for one in read_questions(DATA / f"{name}.jsonl") if is_about_documents(one.question)
    ] == []
