"""The embedded checkpoint's parts: a small tokenizer, and a small model around a given tower.

A MobileNetV2 tower and a few Phi-3 layers learnt from nothing; the vocabulary is learnt from the project's own
answers, with single digits (coordinates generalise digit by digit) and bytes below (any text can be read). It knows
sizes and wiring, not training.

Example:
    >>> from faceshield_hf.training.tiny import train_tokenizer
    >>> tokenizer = train_tokenizer(["The face in the image is real."] * 9, vocab_size=300)
    >>> tokenizer.decode(tokenizer.encode("[12, 7]"))
    '[12, 7]'
"""

from collections.abc import Iterable, Mapping

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import MobileNetV2Model, Phi3Config, PreTrainedTokenizerFast

from faceshield_hf.configuration_faceshield import FaceShieldConfig
from faceshield_hf.image_processing_faceshield import FaceShieldImageProcessor
from faceshield_hf.modeling_faceshield import FaceShieldForConditionalGeneration
from faceshield_hf.processing_faceshield import DEFAULT_CHAT_TEMPLATE, FaceShieldProcessor


IMAGE_SIZE = 256
OUTPUT_STRIDE = 32
GRID = IMAGE_SIZE // OUTPUT_STRIDE
HIDDEN_SIZE = 192
# The last block of each size of map, at strides 8, 16 and 32: what it is stands in the deep ones, where exactly in the
# fine ones. The 1x1 convolution after the last only widens it to ImageNet's 1280 channels.
FEATURE_LAYERS = [4, 11, 15]
IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]

_PAD, _BOS, _UNK = "<pad>", "<s>", "<unk>"
_TURNS = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
_IMAGE = "<image>"


def train_tokenizer(texts: Iterable[str], vocab_size: int = 2048) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE vocabulary in which every digit stands alone.

    Args:
        texts (`Iterable[str]`): questions and answers.
        vocab_size (`int`, *optional*, defaults to 2048): rows at most; 264 are special tokens and bytes.

    Returns:
        `PreTrainedTokenizerFast`: with `<image>` and Phi-3's turn tokens; encodes and decodes any text without loss.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [_UNK, _BOS, _PAD, *_TURNS, _IMAGE]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=_BOS,
        eos_token=_TURNS[-1],
        pad_token=_PAD,
        unk_token=_UNK,
        additional_special_tokens=[*_TURNS[:-1], _IMAGE],
        model_max_length=1024,
        padding_side="left",
    )


def tiny_image_processor() -> FaceShieldImageProcessor:
    """The tower's pictures: 256 x 256 pixels, ImageNet's mean and deviation, both views."""
    return FaceShieldImageProcessor(
        size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}, image_mean=IMAGENET_MEAN, image_std=IMAGENET_STD
    )


def tiny_processor(tokenizer: PreTrainedTokenizerFast) -> FaceShieldProcessor:
    """The processor that goes with `tiny_model`: 2 x 8 x 8 image tokens."""
    return FaceShieldProcessor(
        image_processor=tiny_image_processor(),
        tokenizer=tokenizer,
        chat_template=DEFAULT_CHAT_TEMPLATE,
        patch_size=OUTPUT_STRIDE,
    )


def tiny_model(
    tower: MobileNetV2Model,
    processor: FaceShieldProcessor,
    connector: Mapping[str, torch.Tensor] | None = None,
    hidden_size: int = HIDDEN_SIZE,
    layers: int = 4,
) -> FaceShieldForConditionalGeneration:
    """A FaceShield model around a tower, its language model drawn at random.

    Args:
        tower (`MobileNetV2Model`): the adapted tower; its weights are copied.
        processor (`FaceShieldProcessor`): gives the token ids.
        connector (`Mapping[str, torch.Tensor]`, *optional*): weights of the connector that was adapted with the tower;
            drawn at random without.
        hidden_size (`int`, *optional*, defaults to 192): width of the language model.
        layers (`int`, *optional*, defaults to 4): depth of the language model.

    Returns:
        `FaceShieldForConditionalGeneration`: in float32.
    """
    tokenizer = processor.tokenizer
    text = Phi3Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=4 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=1024,
        original_max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    answers = processor.answer_ids
    config = FaceShieldConfig(
        vision_config=tower.config,
        text_config=text,
        image_token_id=processor.image_token_id,
        turn_end_token_id=tokenizer.eos_token_id,
        vision_feature_layer=list(FEATURE_LAYERS),
        projector_grid=[GRID, GRID],
        real_answer_ids=answers["real"],
        spoof_answer_ids=answers["spoof"],
    )
    model = FaceShieldForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(tower.state_dict())
    if connector is not None:
        model.model.multi_modal_projector.load_state_dict(connector)
    return model
