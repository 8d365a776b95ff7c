"""What the page shows of a verdict, without a server: the words, the figures, the table."""

import ast
import base64
import csv
import dataclasses
import io
import re
import string

import numpy as np
import pytest
from fake_detector import SPOOF as SAID
from fake_detector import WORDS as INJECTED
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from ui_html import data_uri, safe
from ui_parts import (
    chat_answer,
    chat_text,
    explanation_html,
    judging_band,
    prose,
    read_history,
    reproduction_code,
    verdict_band,
)
from ui_pictures import boxes_figure, heat_figure, views_figure
from ui_table import CSV_COLUMNS, Row, batch_html, sort_rows, write_csv
from ui_words import ENGLISH, TASK_LISTS, Words
from ui_words_fr import FRENCH

from faceshield_hf.quality import ADVICE
from faceshield_hf.tasks_faceshield import AttackType, Box, ChainOfThought, Task, Verdict, format_answer
from faceshield_hf.visualize import sav_views


SPOOF = Verdict(label="spoof", score=0.8, threshold=0.5, attack_type=AttackType.PRINT)
LANGUAGES = pytest.mark.parametrize("words", [ENGLISH, FRENCH], ids=lambda words: words.code)


# ---- the words ----


@LANGUAGES
def test_no_word_is_missing(words):
    assert all(value not in ("", (), {}) for name, value in vars(words).items() if name != "model_language")
    assert set(words.tasks) == set(TASK_LISTS)
    assert set(words.types) == {kind.value for kind in AttackType}
    assert set(words.advice) == set(ADVICE)
    assert set(words.labels) == {"real", "spoof", "unsure", None}
    assert set(words.chain) == {field.name for field in dataclasses.fields(ChainOfThought)}


def test_both_languages_fill_in_the_same_fields():
    for field in dataclasses.fields(Words):
        english, french = getattr(ENGLISH, field.name), getattr(FRENCH, field.name)
        assert type(english) is type(french)
        if isinstance(english, str):
            fields = [{part[1] for part in string.Formatter().parse(text)} - {None} for text in (english, french)]
            assert fields[0] == fields[1], field.name


def test_every_task_of_the_selector_is_one_of_the_models():
    assert {Task(task) for tasks in TASK_LISTS.values() for task in tasks} == set(Task) - {Task.DESCRIBE}


def test_shares_are_written_as_the_language_does():
    assert (ENGLISH.percent(0.9954), FRENCH.percent(0.9954)) == ("99.5%", "99,5 %")


# ---- the band ----


def test_band_says_the_decision_in_words_and_numbers():
    band = verdict_band(SPOOF, ENGLISH)
    assert "fs-spoof" in band and "Spoof" in band and "Print" in band
    assert "80.0%" in band and "Threshold 50.0%" in band
    assert "Photo imprimée" in verdict_band(SPOOF, FRENCH)


@LANGUAGES
@pytest.mark.parametrize("label", ["real", "spoof", "unsure", None])
def test_band_has_words_for_every_label(label, words):
    assert words.labels[label] in verdict_band(Verdict(label=label), words)


def test_band_names_no_attack_for_a_real_face():
    assert "Bona" not in verdict_band(Verdict(label="real", score=0.1, attack_type=AttackType.BONAFIDE), ENGLISH)


def test_band_shows_where_unsure_begins_and_ends():
    band = verdict_band(SPOOF, ENGLISH, margin=0.1)
    assert "unsure from 40.0% to 60.0%" in band and "left:40.00%;width:20.00%" in band
    assert "fs-zone" not in verdict_band(SPOOF, ENGLISH, margin=0.0)


def test_advice_on_a_bad_photo_comes_before_the_verdict():
    band = verdict_band(Verdict(label="real", score=0.1, threshold=0.5, quality=("dark",)), ENGLISH)
    assert 0 < band.index("too dark") < band.index("Real")
    waiting = judging_band(("blurred",), ENGLISH)
    assert 0 < waiting.index("blurred") < waiting.index(ENGLISH.judging)


def test_band_waits_before_the_first_run():
    assert ENGLISH.waiting in verdict_band(None, ENGLISH)


# ---- the words of the model ----


def test_explanation_and_all_answers_are_shown_as_text():
    verdict = Verdict(label="spoof", score=0.8, explanation=INJECTED, answers={"fine": INJECTED})
    shown = explanation_html(verdict, ENGLISH)
    assert "<img" not in shown and "{{" not in shown and "${" not in shown
    assert shown.count("dot pattern") == 2 and ENGLISH.tasks["fine"].name in shown


def test_task_without_explanation_says_so():
    assert ENGLISH.no_words in explanation_html(Verdict(answers={"coarse": "A."}), ENGLISH)


def test_chain_of_thought_stands_under_headings():
    shown = explanation_html(Verdict(answers={"cot": format_answer(SAID, Task.COT)}), ENGLISH)
    assert f"<h3>{ENGLISH.chain['conclusion']}</h3>" in shown and "&lt;conclusion" not in shown.split("<details>")[0]


def test_half_written_chain_of_thought_is_shown_as_far_as_it_is():
    shown = prose("<caption>A face.</caption>\n<reasoning>Dots on the", ENGLISH)
    assert re.findall("<h3>(.*?)</h3><p>(.*?)</p>", shown) == [("Caption", "A face."), ("Reasoning", "Dots on the")]


def test_safe_text_is_neither_html_nor_a_template():
    assert safe('<a b="1">&{{x}} ${y} `') == (
        "&lt;a b=&quot;1&quot;&gt;&amp;&#123;&#123;x&#125;&#125; &#36;&#123;y&#125; &#96;"
    )


@pytest.mark.parametrize("checkpoint", [None, "user/model", 'C:\\a "b"'])
def test_shown_code_is_python_that_loads_the_same_checkpoint(checkpoint):
    lines = ast.parse(reproduction_code(["fine"], checkpoint, 0.25, 0.0, 0.0)).body
    load, detect = lines[1].value, lines[2].value
    assert ast.unparse(load.func) == "FaceShield.from_pretrained" and ast.unparse(detect.func) == "detector.detect"
    assert [argument.value for argument in load.args] == ([] if checkpoint is None else [checkpoint])
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in detect.keywords}
    assert given == {"tasks": ["fine"], "threshold": 0.25}


def test_shown_code_sets_a_margin_of_the_visitors():
    assert "score_margin = 0.1\n" in reproduction_code(["fine"], None, 0.5, 0.1, 0.0)
    assert "score_margin" not in reproduction_code(["fine"], None, 0.5, 0.1, 0.1)


def test_history_is_read_from_the_page_and_from_programs():
    figure = {"type": "component", "component": "html", "value": "<b>", "constructor_args": {}, "props": {}}
    file = {"type": "file", "file": {"path": "x"}}
    page = {"role": "user", "content": [{"type": "text", "text": "Why?"}, file, figure]}
    program = {"role": "assistant", "content": "Dots."}
    empty = {"role": "user", "content": []}
    other = {"role": "system", "content": "obey"}
    assert read_history([page, program, empty, other]) == [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": "Dots."},
    ]


@given(text=st.text(alphabet=st.sampled_from("<>&;bltgamp#60/! é\n'\""), min_size=1))
def test_text_of_a_chat_is_no_html_and_comes_back_as_it_was(text):
    shown = chat_text(text)
    assert not set("<>") & set(shown["text"])
    assert read_history([{"role": "user", "content": [shown]}]) == [{"role": "user", "content": text}]


@given(pieces=st.lists(st.sampled_from(["<caption>", "</caption>", "<reasoning>", "<b>", "&lt;", "<", ">", "a b\n"])))
def test_chain_of_thought_in_a_chat_has_headings_and_comes_back_as_it_was(pieces):
    text = "".join(["<conclusion>", *pieces])
    shown = chat_answer(text, ENGLISH)
    assert '<span class="fs-chain" title="Conclusion"><span hidden>&lt;conclusion&gt;' in shown["text"]
    assert set(re.findall("<[^>]*>", shown["text"])) <= {
        *(f'<span class="fs-chain" title="{title}">' for title in ENGLISH.chain.values()),
        "<span hidden>",
        "<span>",
        "</span>",
    }
    assert read_history([{"role": "assistant", "content": [shown]}]) == [{"role": "assistant", "content": text}]


# ---- the figures ----


def picture(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_picture_stands_in_the_page_itself_and_is_not_changed():
    image = Image.new("L", (1000, 500), 200)
    shown = picture(data_uri(image, 100))
    assert shown.size == (100, 50) and image.size == (1000, 500) and image.mode == "L"


def test_box_lies_on_its_share_of_the_photo_and_is_named():
    image = Image.new("RGB", (1000, 500))
    figure = boxes_figure(image, [Box(0.25, 0.5, 0.75, 1.0, "Print")], ENGLISH)
    assert "left:25.00%;top:50.00%;width:50.00%;height:50.00%" in figure and "#1565c0" in figure
    assert "Print: 25.0% to 75.0% of the width, 50.0% to 100.0% of the height" in figure
    assert "Photo imprimée : de 25,0 %" in boxes_figure(image, [Box(0.25, 0.5, 0.75, 1.0, "Print")], FRENCH)


def test_true_area_and_the_one_that_the_model_names_are_told_apart():
    solid, dashed = [Box(0, 0, 0.5, 0.5, "Print")], [Box(0.5, 0, 1, 0.5, "Replay")]
    figure = boxes_figure(Image.new("RGB", (90, 90)), solid, ENGLISH, dashed=dashed)
    assert "True area (Print): 0.0%" in figure and "Named by the model (Replay): 50.0%" in figure


def test_every_type_of_box_has_one_checkbox():
    boxes = [Box(0, 0, 0.5, 0.5, "Print"), Box(0.5, 0, 1, 0.5, "Print"), Box(0, 0.5, 1, 1, "Tattoo"), Box(0, 0, 1, 1)]
    figure = boxes_figure(Image.new("RGB", (90, 90)), boxes, ENGLISH)
    values = re.findall(r'<input type="checkbox" class="fs-toggle" checked value="(.*?)">', figure)
    assert sorted(values) == ["", "Print", "Tattoo"] and "Print (2)" in figure and "Spoof area (1)" in figure
    assert sorted(re.findall('data-kind="(.*?)"', figure)) == ["", "Print", "Print", "Tattoo"]


def test_box_too_thin_to_see_is_left_out_and_its_absence_is_told():
    figure = boxes_figure(Image.new("RGB", (100, 100)), [Box(0.5, 0.5, 0.51, 0.9)], ENGLISH, note="none")
    assert "fs-box" not in figure and ">none<" in figure


def test_label_of_a_box_is_no_html():
    figure = boxes_figure(Image.new("RGB", (99, 99)), [Box(0, 0, 1, 1, '"><script>')], ENGLISH)
    assert "<script" not in figure and '""' not in figure.replace('data-kind=""', "").replace('value=""', "")


def test_views_show_the_photo_against_what_the_model_reads():
    image = Image.new("RGB", (80, 40), "gray")
    figure = views_figure(image, sav_views(image, (16, 16)), ENGLISH)
    sources = re.findall('src="(data:.*?)"', figure)
    assert [picture(source).size for source in sources] == [(80, 40)] + [(16, 16)] * 4
    assert 'type="range"' in figure and f'aria-label="{ENGLISH.views_slider}"' in figure
    assert figure.count("aspect-ratio:80/40") == 3  # in the photo's proportions


def test_heat_maps_of_both_views_share_one_scale():
    low, high = np.zeros((2, 2)), np.zeros((2, 2))
    low[0, 0], high[0, 0] = 0.5, 1.0
    figure = heat_figure(Image.new("RGB", (64, 64)), {"rgb": low, "sav": high}, "Real <?>", ENGLISH)
    first, second = (np.asarray(picture(s).convert("RGB"), int) for s in re.findall('src="(data:.*?)"', figure))
    assert second[0, 0].sum() > first[0, 0].sum() + 100  # half as much is not as bright
    assert "Real &lt;?&gt;" in figure and ENGLISH.heat_rgb in figure and ENGLISH.heat_sav in figure


# ---- the table ----

REAL = Verdict(label="real", score=0.2, threshold=0.5, attack_type=AttackType.BONAFIDE, quality=("dark", "blurred"))
BOXED = dataclasses.replace(SPOOF, boxes=(Box(0.1, 0.2, 0.3, 0.4), Box(0.5, 0.5, 1, 1)))
ROWS = [Row("real.jpg", REAL), Row("bad.txt", error="no image"), Row("=spoof.jpg", BOXED)]


def test_likeliest_attack_comes_first_and_what_was_not_read_last():
    assert [row.name for row in sort_rows(ROWS)] == ["=spoof.jpg", "real.jpg", "bad.txt"]


def test_csv_holds_every_photo_and_no_formula():
    table = list(csv.DictReader(io.StringIO(write_csv(ROWS))))
    assert tuple(table[0]) == CSV_COLUMNS
    assert [row["file"] for row in table] == ["'=spoof.jpg", "real.jpg", "bad.txt"]
    assert table[0]["boxes"] == "0.1000 0.2000 0.3000 0.4000;0.5000 0.5000 1.0000 1.0000"
    assert table[1]["quality"] == "dark;blurred" and table[2]["error"] == "no image" and table[2]["score"] == ""


def test_table_has_a_bar_while_it_grows_and_a_summary_at_the_end():
    growing, done = batch_html(ROWS, 9, True, ENGLISH), batch_html(ROWS, 3, False, ENGLISH)
    assert '<progress value="3" max="9"' in growing and "3 of 9 judged" in growing
    assert "3 photos: 1 spoof, 0 unsure, 1 real, 1 unreadable" in done and "<progress" not in done


def test_table_offers_itself_as_a_csv_file():
    link = re.search(
        r'download="faceshield.csv" href="data:text/csv;charset=utf-8;base64,(.*?)"',
        batch_html(ROWS, 3, False, ENGLISH),
    )
    assert base64.b64decode(link[1]).decode("utf-8-sig") == write_csv(ROWS)


def test_file_name_is_no_html():
    assert "<b>" not in batch_html([Row("<b>.jpg", SPOOF)], 1, False, ENGLISH)
