"""How the benchmarks count; they themselves are read by a person."""

import pytest
from measure import Row, by_turns, ratio
from run import BEGIN, END, replaced


def test_both_sides_run_by_turns_and_the_first_round_does_not_count():
    order, clock = [], iter(range(100))
    times = by_turns(2, lambda: order.append("a"), lambda: order.append("b"), clock=lambda: next(clock))
    assert order == ["a", "b"] * 3
    assert times == [[1000, 1000], [1000, 1000]]


def test_a_ratio_is_the_median_of_the_rounds():
    assert ratio([1.0, 2.0, 30.0], [2.0, 2.0, 3.0]) == 1.0


@pytest.mark.parametrize(
    ("row", "reached", "line"),
    [
        (Row("a", "b", 0.9, 1.0), True, "| a | b | 0.90x | at most 1x | yes |  |"),
        (Row("a", "b", 1.1, 1.0), False, "| a | b | 1.10x | at most 1x | **no** |  |"),
        (Row("a", "", 3, 2, unit="s", at_least=True), True, "| a |  | 3.00 s | at least 2 s | yes |  |"),
        (Row("a", "b", 0.5, detail="c"), None, "| a | b | 0.50x |  |  | c |"),
    ],
)
def test_a_line_says_whether_it_was_reached(row, reached, line):
    assert row.is_reached is reached
    assert row.to_markdown() == line


def test_a_page_keeps_all_but_its_table():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert replaced(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(ValueError, match="has no lines"):
        replaced("no marks", "new")
