"""Images and text in, model inputs out; generated text in, verdicts out.

One `<image>` in the text becomes as many placeholders as the model gives visual tokens for an image: all of them
(views x rows x columns of patches, divided by the folding of neighbours), the queries of a globally aware connector,
or the token budget. The processor knows the image processor, the tokenizer and the answer grammar; it knows no model,
which checks the number of placeholders against its own features.

Example:
    >>> processor = FaceShieldProcessor.from_vision_text_pretrained(siglip_folder, phi3_folder)  # doctest: +SKIP
    >>> content = [{"type": "image", "image": face}, {"type": "text", "text": "Is it real?"}]  # doctest: +SKIP
    >>> inputs = processor.apply_chat_template(
    ...     [{"role": "user", "content": content}], tokenize=True, return_dict=True, return_tensors="pt"
    ... )  # doctest: +SKIP
"""

import os
import re
from collections.abc import Iterator
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer, BatchFeature, PreTrainedConfig
from transformers.image_utils import get_image_size, make_flat_list_of_images, to_numpy_array
from transformers.processing_utils import MultiModalData, ProcessorMixin
from transformers.utils import logging

from .chat_template_faceshield import DEFAULT_CHAT_TEMPLATE, IMAGE_TOKEN, control_tokens
from .composition_faceshield import coarse_answer_ids, compose_tokenizer
from .image_processing_faceshield import FaceShieldImageProcessor
from .prompts_faceshield import PROMPT_TOKENIZER, as_rows, encode_questions, load_prompt_tokenizer
from .tasks_faceshield import Task, Verdict, parse_answer


__all__ = ["DEFAULT_CHAT_TEMPLATE", "IMAGE_TOKEN", "FaceShieldProcessor"]

logger = logging.get_logger(__name__)

# What locates a repository, for the tokenizer that is loaded beside the others.
_HUB_KWARGS = ("cache_dir", "force_download", "local_files_only", "token", "revision")


class FaceShieldProcessor(ProcessorMixin):
    """An image processor and a tokenizer as one.

    Raw text goes in as `processor(images=..., text="<image> Is the face in the image real or spoof?")`, and every
    `<image>` in it counts. Conversations go through `apply_chat_template`; there images are content items, and words
    that hold `<image>` or a token that steers the turns are refused.

    Args:
        image_processor (`FaceShieldImageProcessor`):
            Makes `pixel_values` and, unless its `do_sav` is off, `sav_values`.
        tokenizer (`PreTrainedTokenizerBase`):
            A tokenizer with an `<image>` token.
        chat_template (`str`, *optional*):
            Jinja template of conversations, such as `DEFAULT_CHAT_TEMPLATE`.
        patch_size (`int`, *optional*, defaults to 14):
            Side of the picture's piece behind one visual token, in pixels: a ViT's patch or the stride of a tower
            that gives a feature map.
        projector_downsample (`int`, *optional*, defaults to 1):
            As in the model's configuration: this many by this many neighbouring tokens are folded into one.
        num_query_tokens (`int`, *optional*):
            For `connector="gac"`: the configuration's `gac_num_queries`. An image then takes that many tokens
            whatever its size.
        vision_token_budget (`int`, *optional*):
            As in the model's configuration: how many tokens of an image reach the language model. Set it on the
            processor and on the model's configuration together.
        prompt_length (`int`, *optional*):
            For `pvtm_prompt_source="text_tower"`: with images every call also gives `prompt_input_ids` of shape
            `(batch, prompt_length)`, each row's question in the vocabulary of the prompt tower.
        prompt_reader (`PreTrainedTokenizerBase`, *optional*):
            The prompt tower's tokenizer, which belongs to `prompt_length`; saved and loaded with the processor.

    Raises:
        ValueError: If a number is below 1 or the tokenizer has no `<image>` token.
    """

    def __init__(
        self,
        image_processor: FaceShieldImageProcessor | None = None,
        tokenizer: Any = None,
        chat_template: str | dict[str, str] | None = None,
        patch_size: int = 14,
        projector_downsample: int = 1,
        num_query_tokens: int | None = None,
        vision_token_budget: int | None = None,
        prompt_length: int | None = None,
        prompt_reader: Any = None,
    ) -> None:
        super().__init__(image_processor, tokenizer, chat_template=chat_template)
        _check_count("patch_size", patch_size)
        _check_count("projector_downsample", projector_downsample)
        _check_count("num_query_tokens", 1 if num_query_tokens is None else num_query_tokens)
        _check_count("vision_token_budget", 1 if vision_token_budget is None else vision_token_budget)
        _check_count("prompt_length", 1 if prompt_length is None else prompt_length)
        if IMAGE_TOKEN not in tokenizer.get_vocab():
            raise ValueError(
                f"the tokenizer has no {IMAGE_TOKEN} token: make the processor with "
                "FaceShieldProcessor.from_vision_text_pretrained, which adds it as the model expects."
            )
        self.patch_size = patch_size
        self.projector_downsample = projector_downsample
        self.num_query_tokens = num_query_tokens
        self.vision_token_budget = vision_token_budget
        self.prompt_length = prompt_length
        # Named otherwise than the argument, or else it would be written into the processor's settings.
        self.prompt_tokenizer = prompt_reader
        self.image_token = IMAGE_TOKEN
        self.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)

    def __call__(self, images: Any = None, text: Any = None, **kwargs: Any) -> BatchFeature:
        """Make the model's inputs.

        Args:
            images (`Any`, *optional*): one image or nested lists of them, as the image processor takes them.
            text (`str` or `list[str]`, *optional*): with one `<image>` for every image.
            **kwargs: as [`ProcessorMixin.__call__`] takes them: `return_tensors`, `padding`, `do_sav`, ...

        Returns:
            `BatchFeature`: `input_ids`, `attention_mask`, `pixel_values`, `sav_values`, and with a `prompt_length` and
            images `prompt_input_ids`.

        Raises:
            ValueError: If images and placeholders do not match, or an image is none.
        """
        inputs = super().__call__(images=images, text=text, **kwargs)
        has_images = "pixel_values" in inputs or "vision_features" in inputs  # as pictures, or as a tower read them
        if self.prompt_length is None or not has_images or "input_ids" not in inputs:
            return inputs
        prompts: dict[str, Any] = dict(self.prompt_inputs(inputs["input_ids"]))
        as_tensors = self._settings(kwargs)["text_kwargs"].get("return_tensors")
        if not as_tensors:
            prompts = {name: ids.tolist() for name, ids in prompts.items()}
        return BatchFeature({**inputs, **prompts}, tensor_type=as_tensors)

    def prompt_inputs(self, input_ids: Any) -> dict[str, torch.Tensor]:
        """Write each row's question for the prompt tower, if the model has one.

        Args:
            input_ids (`torch.Tensor`, `np.ndarray` or `list`): token ids with placeholders, of a row or of a batch.

        Returns:
            `dict[str, torch.Tensor]`: `prompt_input_ids` of shape `(batch, prompt_length)`; empty without a
            `prompt_length`.

        Raises:
            ValueError: If there is no `prompt_reader`.
        """
        if self.prompt_length is None:
            return {}
        if self.prompt_tokenizer is None:
            raise ValueError(
                f"prompt_length is {self.prompt_length}, but there is no prompt_reader: pass the prompt tower's "
                'tokenizer, or make the processor with from_vision_text_pretrained(pvtm_prompt_source="text_tower").'
            )
        template = self.chat_template if isinstance(self.chat_template, str) else None
        ids = encode_questions(
            as_rows(input_ids),
            self.tokenizer,
            template,
            self.image_token_id,
            self.prompt_tokenizer,
            self.prompt_length,
        )
        return {"prompt_input_ids": ids}

    @property
    def model_input_names(self) -> list[str]:
        """Names of all inputs that a call may give."""
        return super().model_input_names + ([] if self.prompt_length is None else ["prompt_input_ids"])

    @classmethod
    def from_vision_text_pretrained(
        cls,
        vision: str,
        text: str,
        *,
        chat_template: str | None = None,
        patch_size: int | None = None,
        vision_feature_layer: int | list[int] = -2,
        projector_downsample: int = 1,
        num_query_tokens: int | None = None,
        vision_token_budget: int | None = None,
        pvtm_prompt_source: str = "language_model",
        **image_kwargs: Any,
    ) -> "FaceShieldProcessor":
        """Make the processor for a model composed of a pretrained vision tower and a pretrained language model.

        Args:
            vision (`str`): folder or Hub name of a vision tower, alone or in a two-tower repository. Its image
                processor gives size and normalisation, or else its configuration's image size and SigLIP's values.
            text (`str`): folder or Hub name of a causal language model with a tokenizer. `<image>` is added to it.
            chat_template (`str`, *optional*): instead of the language model's own turns.
            patch_size (`int`, *optional*): instead of the one that the tower has.
            vision_feature_layer (`int` or `list[int]`, *optional*, defaults to -2): as in the model's configuration;
                the layers of a tower that gives feature maps differ in stride.
            projector_downsample (`int`, *optional*, defaults to 1): as in the class.
            num_query_tokens (`int`, *optional*): as in the class.
            vision_token_budget (`int`, *optional*): as in the class.
            pvtm_prompt_source (`str`, *optional*, defaults to `"language_model"`): as in the model's configuration;
                `"text_tower"` takes the tokenizer of the two-tower repository `vision`.
            **image_kwargs: arguments of `FaceShieldImageProcessor` that stand above the tower's: `size`, `do_sav`, ...

        Returns:
            `FaceShieldProcessor`: the processor.

        Raises:
            ValueError: If the tower's patch size or picture size can't be found: pass `patch_size` or `size`.
        """
        config = AutoConfig.from_pretrained(vision)
        if "vision_config" in config.sub_configs:
            config = config.vision_config
        image_processor = FaceShieldImageProcessor(**{**_image_settings(vision, config), **image_kwargs})
        tokenizer = AutoTokenizer.from_pretrained(text)
        composed = compose_tokenizer(tokenizer, chat_template)
        if patch_size is None:
            patch_size = _patch_size(config, _picture_size(image_processor), vision_feature_layer)
        prompt_reader = prompt_length = None
        if pvtm_prompt_source == "text_tower":
            prompt_reader, prompt_length = load_prompt_tokenizer(vision)
        return cls(
            image_processor=image_processor,
            tokenizer=tokenizer,
            chat_template=composed.chat_template,
            patch_size=patch_size,
            projector_downsample=projector_downsample,
            num_query_tokens=num_query_tokens,
            vision_token_budget=vision_token_budget,
            prompt_length=prompt_length,
            prompt_reader=prompt_reader,
        )

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> "FaceShieldProcessor":
        """Load a processor, and the prompt tower's tokenizer if it has one; see [`ProcessorMixin.from_pretrained`].

        Args:
            pretrained_model_name_or_path (`str` or `os.PathLike`): a folder, or the name of a repository on the Hub.
            **kwargs: as [`ProcessorMixin.from_pretrained`] takes them.

        Returns:
            `FaceShieldProcessor`: the processor.
        """
        processor = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        if processor.prompt_length is not None:
            inner = os.path.join(kwargs.get("subfolder", ""), PROMPT_TOKENIZER)
            hub = {name: kwargs[name] for name in _HUB_KWARGS if name in kwargs}
            processor.prompt_tokenizer = AutoTokenizer.from_pretrained(
                pretrained_model_name_or_path, subfolder=inner, **hub
            )
        return processor

    def to_dict(self) -> dict[str, Any]:
        """Give what `processor_config.json` holds; the prompt tower's tokenizer has files of its own.

        Returns:
            `dict[str, Any]`: the settings.
        """
        settings = super().to_dict()
        if settings.get("prompt_length") is None:  # as checkpoints had it before there were prompt towers
            settings.pop("prompt_length", None)
        return settings

    @property
    def num_image_tokens(self) -> int:
        """Placeholders for one image as the image processor is set; the model must give as many features."""
        return self._count_tokens(*_picture_size(self.image_processor), has_sav=self.image_processor.do_sav)

    @property
    def answer_ids(self) -> dict[str, list[int]]:
        """Token ids of the coarse answers "real" and "spoof" as they follow the generation prompt."""
        template = self.chat_template
        if isinstance(template, dict):
            template = template.get("default")
        if template is None:
            raise ValueError("this processor does not have a chat template, which the coarse answers follow: set one")
        return coarse_answer_ids(self.tokenizer, template)

    def _settings(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """All settings of a call by what they are for."""
        declared: Any = self.valid_processor_kwargs  # transformers means its type, and asks for an instance
        return self._merge_kwargs(declared, **kwargs)

    def apply_chat_template(self, conversation: Any, chat_template: str | None = None, **kwargs: Any) -> Any:
        """Render one conversation or a batch of them, and tokenise it if asked to.

        Args:
            conversation (`list[dict]` or `list[list[dict]]`): messages with `role` and `content`, which is a string or
                a list of `{"type": "image", "image": ...}` and `{"type": "text", "text": ...}`.
            chat_template (`str`, *optional*): instead of the processor's own.
            **kwargs: as [`ProcessorMixin.apply_chat_template`] takes them. With `sanitize_control_tokens=True` nothing
                is refused; control tokens in words are then encoded as plain text.

        Returns:
            `str`, `list[str]` or `BatchFeature`: the text, or with `tokenize=True` and `return_dict=True` the inputs.

        Raises:
            ValueError: If words hold `<image>` or a control token such as `<|end|>`, so that they would be taken for
                an image or for a turn of their own.
        """
        if not kwargs.get("sanitize_control_tokens"):
            forbidden = control_tokens(self.tokenizer)
            for words in _words(conversation):
                held = next((token for token in forbidden if token in words), None)
                if held is not None:
                    raise ValueError(
                        f"a message holds {held!r}, which steers the model and can't be part of its words: take it "
                        'out, give images as {"type": "image", "image": ...}, or pass sanitize_control_tokens=True '
                        "with tokenize=True to encode it as plain text."
                    )
        return super().apply_chat_template(conversation, chat_template, **kwargs)

    def post_process_generation(
        self, text: str, task: Task | str, image_size: tuple[int, int] | None = None
    ) -> Verdict:
        """Read a generated answer.

        Args:
            text (`str`): the decoded answer; special tokens in it are ignored.
            task (`Task` or `str`): the task that was asked.
            image_size (`tuple[int, int]`, *optional*): height and width of the original image in pixels, to leave out
                boxes without a whole pixel in it.

        Returns:
            `Verdict`: what the answer says, boxes as fractions of the image; `label=None` if it can't be read.
        """
        text = re.sub("|".join(map(re.escape, control_tokens(self.tokenizer))), "", text)
        verdict = parse_answer(text, task)
        if image_size is not None:
            corners = [box.to_pixels(image_size[1], image_size[0]) for box in verdict.boxes]
            kept = [x1 < x2 and y1 < y2 for x1, y1, x2, y2 in corners]
            verdict.boxes = tuple(box for box, keep in zip(verdict.boxes, kept, strict=True) if keep)
        return verdict

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs: Any) -> list[str]:
        """Save tokenizer, chat template, `processor_config.json` and the code that loads them without this package."""
        files = super().save_pretrained(save_directory, **kwargs)
        if self.prompt_tokenizer is not None:
            self.prompt_tokenizer.save_pretrained(os.path.join(save_directory, PROMPT_TOKENIZER))
        # Saving sets this on the processor, loading does not: one that was saved must equal one that was loaded.
        self.__dict__.pop("auto_map", None)
        return files

    def prepare_inputs_layout(self, images: Any = None, text: Any = None, **kwargs: Any) -> tuple:
        """Fetch images and put text into a list; an empty batch of images is no images."""
        images, text, *rest = super().prepare_inputs_layout(images=images, text=text, **kwargs)
        if isinstance(images, list | tuple) and not any(_per_sample(images)):
            images = None
        return images, text, *rest

    def validate_inputs(self, images: Any = None, text: Any = None, **kwargs: Any) -> None:
        """Check that every image has its placeholder.

        Raises:
            ValueError: If there are more or fewer images than placeholders, in all or in one text of a batch.
        """
        if isinstance(text, list) and all(isinstance(sample, str) for sample in text):
            placeholders = [sample.count(IMAGE_TOKEN) for sample in text]
            nested = isinstance(images, list | tuple) and all(isinstance(sample, list | tuple) for sample in images)
            flat: Any = [] if images is None else make_flat_list_of_images(images)
            given = _per_sample(images) if nested else [len(flat)]
            if len(given) != len(placeholders):
                placeholders, given = [sum(placeholders)], [sum(given)]
            for index, (expected, got) in enumerate(zip(placeholders, given, strict=True)):
                if expected != got:
                    where = f" in prompt {index}" if len(given) > 1 else ""
                    raise ValueError(
                        f"the number of {IMAGE_TOKEN} tokens in the prompts should be the same as the number of "
                        f"images: got {expected} tokens and {got} images{where}. Write {IMAGE_TOKEN} once for every "
                        "image, or use apply_chat_template with one image item for each."
                    )
        super().validate_inputs(images=images, text=text, **kwargs)

    def replace_image_token(self, image_inputs: BatchFeature, image_idx: int, **kwargs: Any) -> str:
        """The placeholders of one processed image."""
        height, width = get_image_size(to_numpy_array(image_inputs["pixel_values"][image_idx]))
        return IMAGE_TOKEN * self._count_tokens(height, width, has_sav="sav_values" in image_inputs)

    def _get_num_multimodal_tokens(self, image_sizes: Any = None, **kwargs: Any) -> MultiModalData:
        """Number of placeholders for images of given heights and widths, which are all brought to one size."""
        if image_sizes is None:
            return MultiModalData()
        settings = self._settings(kwargs)["images_kwargs"]
        has_sav = settings.get("do_sav", self.image_processor.do_sav)
        count = self._count_tokens(*_picture_size(self.image_processor, settings), has_sav=has_sav)
        return MultiModalData(num_image_tokens=[count] * len(image_sizes), num_image_patches=[1] * len(image_sizes))

    def _count_tokens(self, height: int, width: int, has_sav: bool) -> int:
        fold = self.projector_downsample
        rows, columns = height // self.patch_size, width // self.patch_size
        if self.num_query_tokens is None and (rows % fold or columns % fold or not rows * columns):
            raise ValueError(
                f"a picture of {height} x {width} pixels gives {rows} x {columns} patches of {self.patch_size} "
                f"pixels, which can't be folded {fold} x {fold}: choose another size or projector_downsample."
            )
        whole = self.num_query_tokens or (2 if has_sav else 1) * (rows // fold) * (columns // fold)
        if self.vision_token_budget is not None and self.vision_token_budget > whole:
            raise ValueError(
                f"vision_token_budget is {self.vision_token_budget}, but an image has only {whole} tokens: lower it "
                "or set it to None."
            )
        return self.vision_token_budget or whole


def _check_count(name: str, value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}: it must be a whole number of at least 1.")


def _per_sample(images: list | tuple) -> list[int]:
    """How many images each element of a list holds."""
    return [len(sample) if isinstance(sample, list | tuple) else 1 for sample in images]


def _words(conversation: Any) -> Iterator[str]:
    """All words in messages, however they are nested."""
    if isinstance(conversation, list | tuple):
        for part in conversation:
            yield from _words(part)
    elif isinstance(conversation, dict):
        content = conversation.get("content", conversation.get("text"))
        yield from [content] if isinstance(content, str) else _words(content)


def _picture_size(image_processor: Any, settings: dict[str, Any] | None = None) -> tuple[int, int]:
    """Height and width of the pictures that an image processor makes, with the settings of one call.

    Raises:
        ValueError: If they differ from image to image.
    """
    settings = settings or {}
    name = "crop_size" if settings.get("do_center_crop", image_processor.do_center_crop) else "size"
    size = settings.get(name, {"crop_size": image_processor.crop_size, "size": image_processor.size}[name])
    if isinstance(size, int):
        return size, size
    if not size or not size.get("height"):
        raise ValueError(f"got {name}={size}; expected one size for all images: {{'height': 384, 'width': 384}}.")
    return size["height"], size["width"]


def _image_settings(vision: str, config: PreTrainedConfig) -> dict[str, Any]:
    """Size and normalisation of a vision checkpoint's pictures."""
    try:
        saved, _ = FaceShieldImageProcessor.get_image_processor_dict(vision)
    except OSError:
        logger.warning(f"{vision} has no image processor: using its configuration's image size and SigLIP's values.")
        saved = {}
    names = ("image_mean", "image_std", "resample", "rescale_factor")
    settings: dict[str, Any] = {name: saved[name] for name in names if name in saved}
    size = (saved.get("crop_size") if saved.get("do_center_crop") else None) or saved.get("size")
    size = size or config.to_dict().get("image_size")
    # The whole picture is squeezed into the square that the tower expects: cropping could cut the attack away.
    if isinstance(size, dict):
        size = (size["height"], size["width"]) if "height" in size else size.get("shortest_edge")
    if size is not None:
        height, width = (size, size) if isinstance(size, int) else size
        settings["size"] = {"height": height, "width": width}
    return settings


def _patch_size(config: PreTrainedConfig, picture_size: tuple[int, int], layers: int | list[int]) -> int:
    """Side of a ViT's patch, or the stride of the layers that are read of a tower that gives feature maps.

    Raises:
        ValueError: If there is none, or another for the height than for the width.
    """
    values = config.to_dict()
    if "num_hidden_layers" in values:
        sides = values.get("patch_size")
    else:  # a convolutional tower, whose configuration may call its first layer's stride a patch size
        with torch.device("meta"), torch.no_grad():  # shapes only: no weights, no time
            tower = AutoModel.from_config(config).eval()
            outputs = tower(torch.zeros(1, 3, *picture_size), output_hidden_states=True)
        names = [layers] if isinstance(layers, int) else layers
        features = [outputs.last_hidden_state if name == -1 else outputs.hidden_states[name] for name in names]
        # Joined layers are folded into the coarsest one's cells.
        cells = min(tuple(f.shape[-2:]) if f.dim() == 4 else (0, 0) for f in features)
        sides = [round(side / count) if count else None for side, count in zip(picture_size, cells, strict=True)]
    height, width = (sides, sides) if sides is None or isinstance(sides, int) else sides
    if height is None or height != width:
        raise ValueError(
            f'the vision tower "{config.model_type}" has patches of {height} x {width} pixels; expected square ones, '
            "as SigLIP, CLIP, ViT and DINOv2 have, or a feature map, as of MobileNetV2, ResNet and ConvNext."
        )
    return height


FaceShieldProcessor.register_for_auto_class("AutoProcessor")
