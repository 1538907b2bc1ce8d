"""Values that change while a model learns, written as one."""

from __future__ import annotations

import pytest

from attain.core.schedule import changed, until, value_at


def test_a_change_is_in_force_once_its_steps_are_done() -> None:
    """Up to step 8 the first number, from the ninth on the next one."""
    value = changed(changed(0.001, 8, 0.0012), 24, 0.00096)
    assert value == "0.001 @8 0.0012 @24 0.00096"
    assert [value_at(value, step) for step in (1, 8, 9, 24, 25, 999)] == [
        *(0.001, 0.001, 0.0012, 0.0012, 0.00096, 0.00096)
    ]


def test_two_schedules_that_agree_up_to_a_step_are_the_same_up_to_there() -> None:
    """A number where nothing has changed yet."""
    value = "0.5 @8 0.25 @24 0.125"
    assert [until(value, step) for step in (8, 9, 24, 25)] == [
        *(0.5, "0.5 @8 0.25", "0.5 @8 0.25", value)
    ]
    assert until(changed(value, 24, 9.0), 24) == until(value, 24)


@pytest.mark.parametrize("value", [0.1, 3, True, "decay", "a @ b", "0.1 @x 3"])
def test_plain_values_stay_what_they_are(value: object) -> None:
    """Numbers and choices alike."""
    assert value_at(value, 5) is value  # type: ignore[arg-type]
    assert until(value, 5) is value  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [1e-300, 0.1 + 0.2, 1 / 3, 12345678.9])
def test_numbers_come_back_to_the_bit(number: float) -> None:
    """As Python writes them."""
    assert value_at(changed(number, 3, number / 7), 1) == number
    assert value_at(changed(number, 3, number / 7), 4) == number / 7
