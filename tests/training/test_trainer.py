"""What a stage's trainer promises beyond TRL's: its losses, rates, early stops and refusals."""

import json
import sys
import warnings

import pytest
import torch
from transformers import TrainingArguments


trl = pytest.importorskip("trl", reason="needs the train extra")

from stage import run, save_start, weights  # noqa: E402
from tiny import encode, question, tiny_model, tiny_processor  # noqa: E402

from faceshield_hf import FaceShieldForConditionalGeneration  # noqa: E402
from faceshield_hf.training.controls import control_masking  # noqa: E402
from faceshield_hf.training.losses import family_index, lopsided_loss, risk_variance  # noqa: E402
from faceshield_hf.training.precision import avoid_emulation, keep_learning_in_float32  # noqa: E402
from faceshield_hf.training.rows import load_rows  # noqa: E402
from faceshield_hf.training.run import RecipeArguments, check_settings, parse_arguments  # noqa: E402
from faceshield_hf.training.trainer import FaceShieldTrainer, LossArguments  # noqa: E402


KINDS = (RecipeArguments, trl.SFTConfig, trl.ModelConfig)


def trainer(start, monkeypatch, out, losses, questions_per_row=1, **model):
    """A trainer on the records, ready to compute a loss; without masking, so that two forwards agree."""
    options = ["--output_dir", str(out), "--assistant_only_loss", str(questions_per_row > 1)]
    monkeypatch.setattr(sys, "argv", ["sft.py", "--config", str(start / "sft.yaml"), *options])
    _, training_args, _ = parse_arguments(*KINDS)
    return FaceShieldTrainer(
        model=tiny_model(pvtm_mask_prob=0.0, **model),
        args=training_args,
        train_dataset=load_rows(str(start / "records"), questions_per_row=questions_per_row),
        processing_class=tiny_processor(),
        losses=losses,
    )


def token_losses(built, batch):
    """Negative log-likelihoods from the model's own logits, and which tokens are predicted."""
    inputs = {name: value for name, value in batch.items() if name not in ("labels", "judgement_mask", "families")}
    logits = built.model(**inputs).logits[:, :-1].log_softmax(-1)
    labels = batch["labels"][:, 1:]
    picked = logits.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return -picked.masked_fill(labels == -100, 0.0), labels != -100


def test_the_lopsided_loss_with_equal_risks_is_what_the_formulas_say(start, tmp_path, monkeypatch):
    built = trainer(start, monkeypatch, tmp_path, LossArguments(lopsided_alpha=0.6, sare_weight=2.0))
    batch = built.data_collator([built.train_dataset[i] for i in (0, 2)])
    assert batch["families"].tolist() == [family_index("Bonafide"), family_index("Print")]
    losses, answer = token_losses(built, batch)
    rows = lopsided_loss(losses, batch["judgement_mask"][:, 1:], answer, 0.6)
    expected = rows.mean() + 2.0 * risk_variance(rows, batch["families"])
    built.model.train()
    found = built.compute_loss(built.model, dict(batch), num_items_in_batch=torch.tensor(99))
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    assert risk_variance(rows, batch["families"]).item() > 0


def test_the_lopsided_loss_of_joined_questions_is_the_mean_over_answers(start, tmp_path, monkeypatch):
    built = trainer(start, monkeypatch, tmp_path, LossArguments(lopsided_alpha=0.7), questions_per_row=2)
    rows = [built.train_dataset[i] for i in range(2)]
    rows[1] = rows[1] | {"messages": rows[1]["messages"][:2]}  # two answers in the first row, one in the second
    batch = built.data_collator(rows)
    losses, answer = token_losses(built, batch)
    judgement, values = batch["judgement_mask"][:, 1:], []
    for row in range(2):
        places = answer[row].nonzero().flatten()
        for one in torch.tensor_split(places, (places.diff() > 1).nonzero().flatten() + 1):
            judged, rest = one[judgement[row, one]], one[~judgement[row, one]]
            values.append(0.7 * losses[row, judged].mean() + 0.3 * losses[row, rest].mean())
    assert len(values) == 3
    built.model.train()
    found = built.compute_loss(built.model, dict(batch))
    assert found.item() == pytest.approx((sum(values) / 3).item(), rel=1e-4)


def test_the_plain_loss_is_the_mean_over_tokens(start, tmp_path, monkeypatch):
    built = trainer(start, monkeypatch, tmp_path, LossArguments())
    batch = built.data_collator([built.train_dataset[i] for i in (0, 2)])
    losses, answer = token_losses(built, batch)
    found = built.compute_loss(built.model, dict(batch))
    assert found.item() == pytest.approx((losses.sum() / answer.sum()).item(), rel=1e-4)


def test_scoring_answers_alone_gives_trls_loss_and_puts_trl_back(start, tmp_path, monkeypatch):
    from trl.trainer import utils

    built = trainer(start, monkeypatch, tmp_path, LossArguments())
    batch = built.data_collator([built.train_dataset[i] for i in (0, 2)])
    before, kernel, scored = utils._use_triton, utils._ChunkedLogProbFunction.apply, []

    def count(hidden, *rest):
        scored.append(len(hidden))
        return kernel(hidden, *rest)

    monkeypatch.setattr(utils._ChunkedLogProbFunction, "apply", count)
    ours = built.compute_loss(built.model, dict(batch))
    assert utils._use_triton is before
    theirs = trl.SFTTrainer.compute_loss(built, built.model, dict(batch))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    predicted = batch["labels"][:, 1:] != -100
    assert scored == [int(predicted.sum()), predicted.numel()]


@pytest.mark.parametrize("kept", [{"lopsided_alpha": 1.2}, {"lopsided_alpha": -0.1}, {"sare_weight": -1.0}])
def test_weights_out_of_range_are_refused(kept):
    with pytest.raises(ValueError, match=next(iter(kept))):
        LossArguments(**kept)


def test_the_connector_learns_at_its_own_rate(start, tmp_path, monkeypatch):
    built = trainer(start, monkeypatch, tmp_path, LossArguments(connector_learning_rate=7e-6))
    optimizer = built.create_optimizer()
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    named = [(name, p) for name, p in built.model.named_parameters() if p.requires_grad]
    assert len(rates) == len(named)
    for name, parameter in named:
        assert rates[id(parameter)] == (7e-6 if "multi_modal_projector" in name else 1e-3), name


def test_accumulated_batches_of_row_losses_are_averaged(start, tmp_path, monkeypatch):
    # Two batches of one row must give the gradient of one batch of two rows.
    def step(out, batch, accumulate):
        more = ["--lopsided_alpha", "0.7", "--max_steps", "1", "--save_strategy", "no", "--optim", "sgd"]
        more += ["--per_device_train_batch_size", batch, "--gradient_accumulation_steps", accumulate]
        more += ["--model_fields", '{"pvtm_mask_prob": 0.0}', "--max_grad_norm", "0", "--warmup_steps", "0"]
        more += ["--learning_rate", "0.1"]
        run(monkeypatch, start, out, *more)
        return weights(out)

    one, two, before = step(tmp_path / "one", "2", "1"), step(tmp_path / "two", "1", "2"), weights(start / "init")
    for name, value in one.items():
        update = (value - before[name]).abs().max()
        assert (value - two[name]).abs().max() <= 0.01 * update, name
    assert (one["lm_head.weight"] - before["lm_head.weight"]).abs().max() > 1e-4


def test_a_loss_that_is_no_number_stops_the_run_and_says_what_to_do(start, tmp_path, monkeypatch):
    broken = FaceShieldForConditionalGeneration.from_pretrained(start / "init")
    with torch.no_grad():
        broken.lm_head.weight[0] = float("nan")
    broken.save_pretrained(tmp_path / "init")
    tiny_processor().save_pretrained(tmp_path / "init")
    more = ["--max_steps", "2", "--model_name_or_path", str(tmp_path / "init")]
    with pytest.raises(
        ValueError, match=r"the loss is nan at step 1: lower learning_rate \(0\.001\).*Nothing was saved"
    ):
        run(monkeypatch, start, tmp_path / "out", *more)


def test_a_language_model_that_would_learn_twice_is_refused(start, tmp_path, monkeypatch):
    more = ["--use_peft", "true", "--train_parts", "language_model"]
    with pytest.raises(ValueError, match="a language model learns in full or through LoRA"):
        run(monkeypatch, start, tmp_path, *more)


def test_several_questions_in_a_row_learn_every_answer_and_nothing_else(start, tmp_path, monkeypatch):
    built = trainer(start, monkeypatch, tmp_path, LossArguments(lopsided_alpha=0.7), questions_per_row=2)
    rows, tokenizer = built.train_dataset, tiny_processor().tokenizer
    assert len(rows) == 4
    batch = built.data_collator([rows[0], rows[1]])
    for i in range(2):
        text = tokenizer.decode(batch["labels"][i][batch["labels"][i] != -100])
        assert text == "".join(t["content"] + "<|end|>" for t in rows[i]["messages"] if t["role"] == "assistant")
        judged = tokenizer.decode(batch["labels"][i][batch["judgement_mask"][i]])
        assert judged.count("face in the image is") == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--questions_per_row", "2"], "set `assistant_only_loss: true`"),
        (["--alone_tasks", "coarse"], "no question is joined with another"),
        (["--assistant_only_loss", "true"], "assistant_only_loss needs conversations"),
        (["--max_length", "64"], "max_length is 64, which would cut image tokens"),
        (["--model_fields", "{nonsense"], "model_fields is '{nonsense'"),
        (["--merge_lora", "true"], "merge_lora is set without use_peft"),
        (["--cache_vision_features", "x", "--train_parts", "vision_tower"], "take vision_tower out of train_parts"),
        (["--use_peft", "true", "--vision_tower_from", "x"], "Set merge_lora: true, which saves the whole model"),
        (["--masking_control", "magic"], "masking_control is 'magic'"),
        (["--train_parts", "nose"], r"train_parts names \['nose'\]"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(more, message, start, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=message):
        run(monkeypatch, start, tmp_path, *more)


@pytest.mark.parametrize("option", [["--cache_vision_features", "x"], ["--merge_lora", "true", "--use_peft", "true"]])
@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED"])
def test_what_needs_whole_weights_is_refused_where_they_are_split(option, kind, start, tmp_path, monkeypatch):
    options = ["--config", str(start / "sft.yaml"), "--output_dir", str(tmp_path), *option]
    monkeypatch.setattr(sys, "argv", ["sft.py", *options])
    parsed = parse_arguments(*KINDS)
    monkeypatch.setenv(f"ACCELERATE_USE_{kind}", "true")  # as accelerate's launcher tells its processes
    with pytest.raises(ValueError, match=f"{option[0][2:]} needs whole weights on every process"):
        check_settings(*parsed)


def test_a_checkpoint_of_other_shapes_is_refused(start, tmp_path, monkeypatch):
    save_start(tmp_path / "init")
    told = json.loads((tmp_path / "init" / "config.json").read_text())
    told["text_config"]["hidden_size"] = 96
    (tmp_path / "init" / "config.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match=r"shape|size|fit"):
        run(monkeypatch, start, tmp_path / "out", "--model_name_or_path", str(tmp_path / "init"))


def test_a_missing_checkpoint_is_named(start, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no checkpoint at"):
        run(monkeypatch, start, tmp_path, "--model_name_or_path", str(tmp_path / "nowhere"))


def test_what_learns_stays_in_float32():
    model = tiny_model().to(torch.bfloat16)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("projector" in name)
    keep_learning_in_float32(model)
    for name, parameter in model.named_parameters():
        assert parameter.dtype == (torch.float32 if "projector" in name else torch.bfloat16), name


@pytest.mark.parametrize(
    ("emulated", "weights", "bf16"),
    [(True, None, False), (True, "float32", False), (True, "bfloat16", True), (False, None, True)],
)
def test_bfloat16_is_not_emulated(tmp_path, monkeypatch, emulated, weights, bf16):
    monkeypatch.setattr("faceshield_hf.training.precision.emulates_bfloat16", lambda device: emulated)
    args = TrainingArguments(str(tmp_path), bf16=True, use_cpu=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        avoid_emulation(args, weights)
    assert (args.bf16, args.mixed_precision) == ((True, "bf16") if bf16 else (False, "no"))
    assert ["bfloat16 instructions" in str(warning.message) for warning in told] == ([] if bf16 else [True])


def test_controls_mask_without_the_question(monkeypatch):
    processor = tiny_processor()
    inputs = encode(processor, [question("Real?", 0), question("Is the face in the image real or spoof?", 1)])
    model = tiny_model(pvtm_mask_prob=1.0, pvtm_keep_ratio=0.5).train()
    seen = []
    model.model.pvtm.register_forward_hook(lambda module, args, out: seen.append(args[1].detach()))
    model(**inputs)
    shuffled = tiny_model(pvtm_mask_prob=1.0, pvtm_keep_ratio=0.5).train()
    control_masking(shuffled, "shuffled")
    shuffled.model.pvtm.register_forward_hook(lambda module, args, out: seen.append(args[1].detach()))
    shuffled(**inputs)
    assert not torch.allclose(seen[0], seen[1])
    # Alone in its batch a row has no other's question.
    alone = {name: value[1:] for name, value in inputs.items()}
    shuffled(**alone)
    torch.testing.assert_close(seen[2], seen[0][1:])
    random = tiny_model(pvtm_mask_prob=1.0, pvtm_keep_ratio=0.5).train()
    control_masking(random, "random")
    random.model.pvtm.register_forward_hook(lambda module, args, out: seen.append(args[1].detach()))
    random(**inputs)
    random(**inputs)
    assert not torch.allclose(seen[3], seen[4])


def test_a_control_needs_masking():
    with pytest.raises(ValueError, match="set pvtm_mask_prob above 0"):
        control_masking(tiny_model(pvtm_mask_prob=0.0), "random")
