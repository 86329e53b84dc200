"""The shares of answers: what can be read, and what a reader is told."""

import random
from collections import Counter

import pytest

from bot.simulate.mix import Answer, BadMix, read_mix


def test_shares_are_relative():
    mix = read_mix("agree=3, reject=1,ignore=0")
    drawn = Counter(mix.draw(random.Random(seed)) for seed in range(400))
    assert set(drawn) == {Answer.AGREE, Answer.REJECT}
    assert 0.6 < drawn[Answer.AGREE] / 400 < 0.9
    assert mix.has(Answer.REJECT)
    assert not mix.has(Answer.IGNORE)
    assert not mix.has(Answer.REFUND)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("agre=60", "'agre=60': there is no answer 'agre', but agree, reject, ignore"),
        ("agree", "'agree' is not of the form answer=share"),
        ("agree=many", "'agree=many': the share must be a whole number, 0 or more (got 'many')"),
        ("agree=-1", "(got '-1')"),
        ("agree=1.5", "(got '1.5')"),
        ("agree=1,agree=2", "'agree=2': agree has a share already"),
        ("agree=0,reject=0", "at least one share must be more than 0"),
        ("", "at least one share must be more than 0"),
    ],
)
def test_bad_shares_are_named(text, what):
    with pytest.raises(BadMix) as bad:
        read_mix(text)
    assert what in str(bad.value)
