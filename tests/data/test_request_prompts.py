"""What language models are shown as good answers is what the filters let through."""

from pathlib import Path

import pytest

from faceshield_hf.data.filters.keywords import keyword_fault
from faceshield_hf.data.filters.slips import slip
from faceshield_hf.data.instruct.prompts import generation_request
from faceshield_hf.data.samples import Sample
from faceshield_hf.tasks_faceshield import QUESTIONS, AttackType, ChainOfThought, Task, parse_answer


def examples(task, few_shot):
    sample = Sample(Path("a.png"), AttackType.TATTOO, "s")
    return generation_request(sample, task, QUESTIONS[task][0], b"", few_shot).examples


@pytest.mark.parametrize("task", [Task.FINE, Task.REASONING, Task.LOCALIZATION, Task.COT])
def test_as_many_examples_are_shown_as_are_asked_for(task):
    assert [len(examples(task, few_shot)) for few_shot in (0, 1, 2)] == [0, 1, 2]


@pytest.mark.parametrize("task", [Task.FINE, Task.REASONING, Task.COT])
def test_examples_pass_the_filters_of_what_they_teach(task):
    for _, answer in examples(task, 9):
        said = parse_answer(answer, task)
        assert said.attack_type is not None
        assert (keyword_fault(answer, said.attack_type, task), slip(answer)) == ("", "")


def test_examples_of_chains_of_thought_have_all_six_parts_and_the_conclusion_that_is_asked_for():
    for asked, answer in examples(Task.COT, 9):
        parts = ChainOfThought.parse(answer)
        assert all(vars(parts).values())
        assert f"<conclusion>{parts.conclusion}</conclusion>" in asked
