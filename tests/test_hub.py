"""The model card is made of the reports' numbers and reads back as the Hub reads it."""

import json

from huggingface_hub import ModelCard

from faceshield_hf.hub import eval_results, results_table, write_model_card


REPORT = {
    "bona_fide": 3,
    "attacks": 7,
    "score": {"auc": 0.987, "hter": 0.051, "apcer_max": 0.5, "bpcer": 0.02, "ece": 0.0251},
    "coarse": {"acc": 0.9, "hter": 0.1},
    "fine": {"acc": 0.81},
    "reasoning": {"acc": 0.88},
    "localization": {
        "acc_iou50": 0.72,
        "median_box_acc_iou50": 0.3,
        "class_mean_acc_iou50": 0.81,
        "class_mean_median_box_acc_iou50": 0.4,
        "ap50": 0.61,
    },
    "consistency": 0.96,
    "intervals": {"score.auc": [0.95, 1.0]},
}


def test_the_table_has_a_column_a_report():
    table = results_table({"validation-AB": REPORT, "test-C": REPORT})
    assert "| AUC, score | 98.7 % | 98.7 % |" in table
    assert "| AP@50 | 61.0 % | 61.0 % |" in table
    assert "| images (bona fide + attacks) | 3 + 7 | 3 + 7 |" in table
    assert "| Acc@IoU 0.5, mean over the types | 81.0 % | 81.0 % |" in table
    assert table.splitlines()[0] == "|  | validation, A and B (seen in training) | test, C (never seen in training) |"
    assert len({line.count("|") for line in table.splitlines()}) == 1


def test_the_table_has_intervals_where_the_report_has_them():
    table = results_table({"test-C": REPORT}, intervals=True)
    assert "| AUC, score | 98.7 % [95.0, 100.0] |" in table
    assert "| AP@50 | 61.0 % |" in table


def test_another_domain_may_be_the_unseen_one(tmp_path):
    write_model_card(tmp_path, {"test-AC": REPORT, "test-B": REPORT}, seed=3, unseen_domain="B")
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| test, A and C (seen in training) | test, B (never seen in training) |" in text
    assert "Domains A and C (" in text
    assert "domain B, with" in text


def test_every_metric_of_every_report_goes_to_the_hub():
    found = {(r.dataset_name.split(", ")[1], r.metric_type): r.metric_value for r in eval_results({"test-C": REPORT})}
    assert found[("test", "auc")] == 0.987
    assert found[("test", "acc_iou50")] == 0.72


def test_a_report_on_other_images_is_not_called_simulated_and_may_lack_parts():
    reports = {"msu-mfsd": {"bona_fide": 2, "attacks": 2, "score": {"auc": 0.8}}}
    (found,) = eval_results(reports)
    assert (found.dataset_name, found.dataset_type, found.metric_value) == ("msu-mfsd", "face-anti-spoofing", 0.8)
    table = results_table(reports)
    assert "| AUC, score | 80.0 % |" in table
    assert "| fine ACC, 12 types |  |" in table


def test_the_card_reads_back_with_its_metadata(tmp_path):
    reports = {"validation-AB": REPORT, "test-AB": REPORT | {"score": {**REPORT["score"], "auc": 0.9}}}
    write_model_card(tmp_path, reports, seed=3)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "image-text-to-text"
    found = [(r.dataset_config, r.metric_value) for r in card.data.eval_results if r.metric_type == "auc"]
    assert found == [("validation-AB", 0.987), ("test-AB", 0.9)]
    assert len(card.data.to_dict()["model-index"][0]["results"]) == 2
    assert "not for access control" in card.text
    assert "(seed 3)" in card.text
    assert "Domains A and B (" in card.text
    assert json.loads((tmp_path / "report.json").read_text())["validation-AB"]["attacks"] == 7
