"""What of a conversation is learnt, over templates of six families and some that set traps."""

from __future__ import annotations

import numpy as np
import pytest
from llm_toys import (
    BARE,
    FAMILIES,
    FORGETFUL,
    SHOUTING,
    make_tokenizer,
)

from attain.core.dialogue import Example
from attain.learners._llm.encode import encode, shown
from attain.learners._llm.render import Renderer, Unrenderable


def say(role, content, **more):
    return {"role": role, "content": content, **more}


SINGLE = (say("user", "How much is 1+1?"), say("assistant", "It is 2."))
MULTI = (
    say("system", "Be brief."), say("user", "Hi"), say("assistant", "Hello there"),
    say("user", "And now?"), say("assistant", "Nothing."),
)  # fmt: skip
CALL = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
TOOLS = ({"type": "function", "function": {"name": "add", "parameters": {}}},)
TOOL_TURNS = (
    say("user", "Add 1"), say("assistant", "", tool_calls=[CALL]), say("tool", "2"),
    say("assistant", "It is 2."),
)  # fmt: skip


def renderer(family):
    template, eos, _ = FAMILIES[family]
    return Renderer(make_tokenizer(template, eos))


def learnt(made, tokenizer):
    """The text of each run of trained tokens, over all rendered texts, by their tokens."""
    coded = encode(tokenizer, [(0, one) for one in made])
    runs = []
    for i in range(len(coded)):
        runs += [text for text, trained in shown(tokenizer, *coded.row(i)) if trained]
    return runs


def whole(family, messages, **more):
    trained = tuple(i for i, m in enumerate(messages) if m["role"] == "assistant")
    made = renderer(family)
    return made.whole(Example(messages, trained, **more)), made.tokenizer


@pytest.mark.parametrize("family", FAMILIES)
def test_one_answer_and_the_token_that_ends_it_are_learnt_and_nothing_else(family):
    """Neither the question, nor what opens the answer, nor what follows its end is trained."""
    made, tokenizer = whole(family, SINGLE)
    assert [t.strip() for t in learnt(made, tokenizer)] == ["It is 2." + FAMILIES[family][2]]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_answer_of_a_long_conversation_is_learnt_once(family):
    """Also where the template rewrites earlier turns: then each answer is rendered on its own."""
    made, tokenizer = whole(family, MULTI)
    end = FAMILIES[family][2]
    assert [t.strip() for t in learnt(made, tokenizer)] == [f"Hello there{end}", f"Nothing.{end}"]
    assert len(made) == (2 if family == "mistral" else 1)


@pytest.mark.parametrize("family", ["chatml", "llama", "gemma", "phi"])
def test_calls_of_tools_are_learnt_and_their_results_are_not(family):
    """A turn that only calls a function has no words to look for, and is still found."""
    made, tokenizer = whole(family, TOOL_TURNS, tools=TOOLS)
    runs = learnt(made, tokenizer)
    end = FAMILIES[family][2]
    assert [r.strip() for r in runs] == [f'<call>add({{"a": 1}}){end}', f"It is 2.{end}"]


def test_a_call_without_an_opening_is_refused_not_guessed():
    """Mistral's format opens answers with nothing, so a call without words cannot be told."""
    with pytest.raises(Unrenderable, match="no opening that tells where it begins"):
        whole("mistral", TOOL_TURNS)


def test_answers_that_are_equal_to_a_part_of_the_question_are_found_behind_it():
    """The span is found by position, not by searching for words from the start."""
    messages = (say("user", "Say yes. yes"), say("assistant", "yes"))
    for family, (_, _, end) in FAMILIES.items():
        made, tokenizer = whole(family, messages)
        assert [r.strip() for r in learnt(made, tokenizer)] == [f"yes{end}"], family
        assert made[0].spans[0][0] > made[0].text.rindex("Say yes. yes")


def test_a_template_that_forgets_thoughts_gives_each_answer_its_own_text():
    """What opens an answer when it has to be given is part of the prompt, not of the answer."""
    made = Renderer(make_tokenizer(FORGETFUL))
    texts = made.whole(Example(MULTI, (2, 4)))
    assert len(texts) == 2
    assert learnt(texts, made.tokenizer) == ["Hello there<|im_end|>", "Nothing.<|im_end|>"]


def test_a_template_that_changes_what_was_said_is_refused():
    """Training on other words than the data's would go unnoticed."""
    made = Renderer(make_tokenizer(SHOUTING))
    with pytest.raises(Unrenderable, match=r"no opening|changes what message 2 says"):
        made.whole(Example(SINGLE, (1,)))


def test_a_template_that_raises_says_why():
    """The template's own complaint is passed on."""
    made = Renderer(make_tokenizer("{{ raise_exception('roles must alternate') }}"))
    with pytest.raises(Unrenderable, match="the template refuses it: roles must alternate"):
        made.whole(Example(SINGLE, (1,)))


def test_what_is_learnt_begins_where_the_model_would_go_on():
    """The untrained text before the first answer is exactly the prompt that is given in use."""
    for family in ("chatml", "llama", "gemma", "phi"):
        made = renderer(family)
        (text,) = made.whole(Example(SINGLE, (1,)))
        assert text.text[: text.spans[0][0]] == made.prompt(SINGLE[:1])


def test_plain_text_is_learnt_whole_with_its_end():
    """Of a corpus every token is learnt, the one that ends the text included."""
    tokenizer = make_tokenizer(None, "</s>")
    made = Renderer(tokenizer).whole(Example(text="Once upon"))
    coded = encode(tokenizer, [(0, made[0])])
    ids, trained = coded.row(0)
    assert tokenizer.decode(ids) == "<s>Once upon</s>"
    assert trained.tolist() == [False] + [True] * (len(ids) - 1)


def test_a_template_without_an_end_leaves_the_answer_open():
    """The span then ends with the answer's own words; a finding says so."""
    made = Renderer(make_tokenizer(BARE))
    (text,) = made.whole(Example(SINGLE, (1,)))
    assert text.text[slice(*text.spans[0])] == "It is 2."


def test_supervised_counts_are_those_of_the_masks():
    """Counts by example come from one running sum."""
    tokenizer = make_tokenizer()
    made = Renderer(tokenizer).whole(Example(MULTI, (2, 4)))
    coded = encode(tokenizer, [(0, made[0]), (1, made[0])])
    expected = [int(coded.row(i)[1].sum()) for i in range(2)]
    assert coded.supervised.tolist() == expected
    assert np.array_equal(coded.take([1]).ids, coded.row(1)[0])
