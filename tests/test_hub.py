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
    },
    "consistency": 0.96,
}


def test_the_table_has_a_column_a_report():
    table = results_table({"validation-AB": REPORT, "test-C": REPORT})
    assert "| AUC, score | 0.987 | 0.987 |" in table
    assert "| images (bona fide + attacks) | 3 + 7 | 3 + 7 |" in table
    assert "| Acc@IoU 0.5, mean over the types | 81.0 % | 81.0 % |" in table
    assert "conditions never seen in training" in table.splitlines()[0]


def test_another_domain_may_be_the_unseen_one(tmp_path):
    write_model_card(tmp_path, {"test-AC": REPORT, "test-B": REPORT}, seed=3, unseen_domain="B")
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| test, conditions seen in training | test, conditions never seen in training |" in text
    assert "Domains A and C (" in text
    assert "domain B, with" in text


def test_every_metric_of_every_report_goes_to_the_hub():
    found = {(r.dataset_name.split(", ")[1], r.metric_type): r.metric_value for r in eval_results({"test-C": REPORT})}
    assert found[("test", "auc")] == 0.987
    assert found[("test", "acc_iou50")] == 0.72


def test_the_card_reads_back_with_its_metadata(tmp_path):
    write_model_card(tmp_path, {"validation-AB": REPORT}, seed=3)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "image-text-to-text"
    assert card.data.eval_results[0].metric_value == 0.987
    assert "not for access control" in card.text
    assert "(seed 3)" in card.text
    assert "Domains A and B (" in card.text
    assert json.loads((tmp_path / "report.json").read_text())["validation-AB"]["attacks"] == 7
