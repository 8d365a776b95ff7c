"""The configuration of a FaceShield model: a vision tower, a causal language model and what joins them.

It knows every number that shapes the model and checks that they fit each other. It does not know tokenizers, image
processors or weights: token ids come in as plain integers (the compose methods of the model and the processor find
them).

Example:
    >>> from faceshield_hf import FaceShieldConfig
    >>> config = FaceShieldConfig(vision_token_budget=128)
    >>> config.vision_config.model_type, config.text_config.model_type
    ('siglip_vision_model', 'phi3')
"""

from typing import Any, ClassVar

from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec


CONNECTORS = ("mlp", "gac")
PROMPT_SOURCES = ("language_model", "text_tower")
SCOPES = ("joint", "per_stream")


class FaceShieldConfig(PreTrainedConfig):
    r"""Configuration of [`FaceShieldModel`] and [`FaceShieldForConditionalGeneration`].

    Args:
        vision_config (`dict` or `PreTrainedConfig`, *optional*, defaults to a SigLIP vision tower):
            Any tower that `AutoModel.from_config` builds and that gives patch tokens or a feature map.
        text_config (`dict` or `PreTrainedConfig`, *optional*, defaults to Phi-3):
            Any causal language model that `AutoModel.from_config` builds.
        prompt_tower_config (`dict` or `PreTrainedConfig`, *optional*):
            Text tower (SigLIP's or CLIP's) that reads the question when `pvtm_prompt_source="text_tower"`.
        image_token_id (`int`, *optional*, defaults to 32011):
            Id of the `<image>` placeholder; the first row of Phi-3-mini's embedding that its tokenizer leaves free.
        turn_end_token_id (`int`, *optional*):
            Id of the token that closes a turn. The text between the last `<image>` and the next turn end is the
            question that ranks the visual tokens; without it no question can be told from an answer, and the tokens
            are ranked by their likeness to the image's own mean instead.
        vision_feature_layer (`int`, `list[int]` or `None`, *optional*, defaults to -2):
            Which of the tower's hidden states the MLP connector reads, by their index as in Llava; a list is joined
            on channels. Only -1 differs: it is the tower's `last_hidden_state`, after its final normalisation or, in
            MobileNetV2, its last convolution. Joined feature maps may differ in size: the coarsest one's cells are
            the tokens, and what a finer map has inside a cell goes to its channels. With the globally aware connector,
            which reads all layers, it is `None`, whatever is given.
        use_sav (`bool`, *optional*, defaults to `True`):
            Whether the spoof-aware view (`sav_values`) is encoded beside the RGB view, which doubles the tokens.
        connector (`str`, *optional*, defaults to `"mlp"`):
            `"mlp"` (two layers, as in Llava) or `"gac"` (globally aware connector).
        projector_hidden_act (`str`, *optional*, defaults to `"gelu"`):
            Activation of the connector.
        projector_downsample (`int`, *optional*, defaults to 1):
            Folds this many by this many neighbouring tokens into channels before the MLP; 1 keeps every token.
        projector_grid (`list[int]`, *optional*):
            Rows and columns of one view's tokens after folding. With it the MLP connector adds a learned embedding of
            row, column and view to every token; feature maps of convolutional towers need it, since nothing in them
            tells where they are. `None` adds nothing, as in Llava.
        gac_num_queries (`int`, *optional*, defaults to 96):
            Number of visual tokens that the globally aware connector gives, global queries included.
        gac_depth (`int`, *optional*, defaults to 4):
            Number of blocks of the globally aware connector.
        pvtm_keep_ratio (`float`, *optional*, defaults to 0.1):
            Share of the visual tokens, the most important ones, that masking never touches.
        pvtm_mask_prob (`float`, *optional*, defaults to 0.05):
            Probability with which each other token is masked in training; 0 turns masking off.
        pvtm_prompt_source (`str`, *optional*, defaults to `"language_model"`):
            `"language_model"`: the mean of the question's input embeddings against the tokens after the connector.
            `"text_tower"`: the pooled output of `prompt_tower_config` against the tokens before the connector.
        pvtm_scope (`str`, *optional*, defaults to `"joint"`):
            Whether the kept share is taken from all tokens together or from each view (`"per_stream"`).
        vision_token_budget (`int`, *optional*):
            Number of visual tokens an image that reach the language model, the most important ones; `None` = all.
        score_temperature (`float`, *optional*, defaults to 1.0):
            Divides the log-odds behind `score()`; above 1 it softens them.
        score_threshold (`float`, *optional*, defaults to 0.5):
            p(spoof) from which an image counts as an attack.
        score_margin (`float`, *optional*, defaults to 0.0):
            A score closer to the threshold than this is "unsure".
        real_answer_ids (`list[int]`, *optional*):
            Token ids of the coarse answer for a live face, for `score()`.
        spoof_answer_ids (`list[int]`, *optional*):
            Token ids of the coarse answer for an attack, for `score()`.
        tie_word_embeddings (`bool`, *optional*, defaults to `False`):
            Whether the head shares the input embeddings; taken over from the language model when it ties them.

    Raises:
        ValueError: If a value is out of range or two of them do not fit each other.
    """

    model_type = "faceshield"
    sub_configs_defaults: ClassVar[dict[str, SubConfigSpec]] = {
        "vision_config": SubConfigSpec(
            config_class=AutoConfig,
            model_type="siglip_vision_model",
            # The pooling head would be dead weight: only patch tokens are read.
            init_kwargs={"image_size": 384, "patch_size": 14, "vision_use_head": False},
        ),
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="phi3"),
        "prompt_tower_config": SubConfigSpec(config_class=AutoConfig, model_type="siglip_text_model", optional=True),
    }

    # Dictionaries, configurations or None come in; after __post_init__ they are configurations.
    vision_config: Any = None
    text_config: Any = None
    prompt_tower_config: Any = None
    image_token_id: int = 32011
    turn_end_token_id: int | None = None
    vision_feature_layer: int | list[int] | None = -2
    use_sav: bool = True
    connector: str = "mlp"
    projector_hidden_act: str = "gelu"
    projector_downsample: int = 1
    projector_grid: list[int] | None = None
    gac_num_queries: int = 96
    gac_depth: int = 4
    pvtm_keep_ratio: float = 0.1
    pvtm_mask_prob: float = 0.05
    pvtm_prompt_source: str = "language_model"
    pvtm_scope: str = "joint"
    vision_token_budget: int | None = None
    score_temperature: float = 1.0
    score_threshold: float = 0.5
    score_margin: float = 0.0
    real_answer_ids: list[int] | None = None
    spoof_answer_ids: list[int] | None = None
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        """Builds the sub-configurations and checks that all values fit each other."""
        super().__post_init__(**kwargs)
        if self.connector == "gac":
            self.vision_feature_layer = None
        elif isinstance(self.vision_feature_layer, tuple):
            self.vision_feature_layer = list(self.vision_feature_layer)
        if isinstance(self.projector_grid, tuple):
            self.projector_grid = list(self.projector_grid)
        # A language model saved with tied embeddings says so in its own configuration only.
        self.tie_word_embeddings = self.tie_word_embeddings or bool(self.text_config.tie_word_embeddings)
        self._check_parts()
        self._check_tokens()
        self._check_connector()
        self._check_masking()
        self._check_score()

    @property
    def num_views(self) -> int:
        """`int`: Number of pictures of one image that the tower sees: RGB, and the spoof-aware one if used."""
        return 2 if self.use_sav else 1

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> "FaceShieldConfig":
        """Builds a configuration from a dictionary, refusing one that belongs to another kind of model.

        Args:
            config_dict (`dict[str, Any]`):
                The content of a `config.json`.
            kwargs:
                As [`PreTrainedConfig.from_dict`] takes them.

        Returns:
            [`FaceShieldConfig`]: The configuration.

        Raises:
            ValueError: If `config_dict` names another `model_type`.
        """
        found = config_dict.get("model_type", cls.model_type)
        if found != cls.model_type:
            raise ValueError(
                f'got a configuration of model_type "{found}", expected "{cls.model_type}": '
                "is this folder the checkpoint of another model? Load it with AutoConfig / AutoModel, or compose a "
                "new model from parts with FaceShieldForConditionalGeneration.from_vision_text_pretrained."
            )
        return super().from_dict(config_dict, **kwargs)

    def _check_parts(self) -> None:
        for name in ("vision_config", "text_config"):
            part = getattr(self, name)
            inner = [key for key in ("vision_config", "text_config") if key in part.sub_configs]
            if inner:
                raise ValueError(
                    f'{name} is a "{part.model_type}" model of several parts ({", ".join(inner)}): pass its '
                    f'"{name}" alone, e.g. {name}=config.{name}.'
                )

    def _check_tokens(self) -> None:
        vocab_size = self.text_config.get_text_config().vocab_size
        named = {"image_token_id": self.image_token_id, "turn_end_token_id": self.turn_end_token_id}
        for name, token_id in named.items():
            if token_id is not None and not 0 <= token_id < vocab_size:
                raise ValueError(
                    f"{name} is {token_id}, but the language model has {vocab_size} embedding rows (0 to "
                    f"{vocab_size - 1}): resize its embeddings or take a spare row."
                )
        if self.image_token_id is None or self.image_token_id == self.turn_end_token_id:
            raise ValueError(
                f"image_token_id is {self.image_token_id} and turn_end_token_id is {self.turn_end_token_id}: the "
                "first must be set, and the two must differ."
            )
        for name in ("real_answer_ids", "spoof_answer_ids"):
            ids = getattr(self, name)
            if ids is not None and not (ids and all(0 <= i < vocab_size for i in ids)):
                raise ValueError(f"{name} is {ids}: it must be a list of at least one token id below {vocab_size}.")

    def _check_connector(self) -> None:
        _check_choice("connector", self.connector, CONNECTORS)
        for name in ("projector_downsample", "gac_num_queries", "gac_depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1.")
        if self.projector_grid is not None:
            if len(self.projector_grid) != 2 or min(self.projector_grid) < 1:
                raise ValueError(
                    f"projector_grid is {self.projector_grid}: it must be [rows, columns], each at least 1."
                )
            if self.connector == "gac":
                raise ValueError('projector_grid needs connector="mlp": queries have no place in the image.')
        if self.connector == "mlp" and self.vision_feature_layer in (None, []):
            raise ValueError(f"vision_feature_layer is {self.vision_feature_layer}: name at least one layer, e.g. -2.")
        if self.connector == "gac" and self.projector_downsample != 1:
            raise ValueError(
                f"projector_downsample is {self.projector_downsample}, but the globally aware connector sets the "
                "number of tokens by gac_num_queries: use projector_downsample=1 with it."
            )

    def _check_masking(self) -> None:
        _check_choice("pvtm_prompt_source", self.pvtm_prompt_source, PROMPT_SOURCES)
        _check_choice("pvtm_scope", self.pvtm_scope, SCOPES)
        for name in ("pvtm_keep_ratio", "pvtm_mask_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must lie between 0 and 1.")
        budget, queries = self.vision_token_budget, self.gac_num_queries
        if budget is not None and budget < 1:
            raise ValueError(f"vision_token_budget is {budget}: it must be at least 1, or None for all tokens.")
        if self.connector == "gac":
            if self.pvtm_scope == "per_stream":
                raise ValueError('pvtm_scope="per_stream" needs connector="mlp": queries belong to no single view.')
            if budget is not None and budget > queries:
                raise ValueError(
                    f"vision_token_budget is {budget}, but the connector gives {queries} tokens an image "
                    "(gac_num_queries): lower the budget or set it to None."
                )
        if self.pvtm_prompt_source == "text_tower":
            self._check_prompt_tower()

    def _check_prompt_tower(self) -> None:
        if self.prompt_tower_config is None:
            raise ValueError(
                'pvtm_prompt_source="text_tower" needs prompt_tower_config, e.g. the text_config of the SigLIP '
                'checkpoint that gave the vision tower; or use pvtm_prompt_source="language_model".'
            )
        if self.connector == "gac" or isinstance(self.vision_feature_layer, list):
            raise ValueError(
                f'pvtm_prompt_source="text_tower" compares the question with the tokens of one layer before the '
                f'connector: it needs connector="mlp" and an integer vision_feature_layer, got '
                f'connector="{self.connector}" and vision_feature_layer={self.vision_feature_layer}.'
            )

    def _check_score(self) -> None:
        if not self.score_temperature > 0:
            raise ValueError(f"score_temperature is {self.score_temperature}: it must be above 0.")
        if not 0 <= self.score_threshold <= 1:
            raise ValueError(f"score_threshold is {self.score_threshold}: it must lie between 0 and 1.")
        if not 0 <= self.score_margin <= 1:
            raise ValueError(f"score_margin is {self.score_margin}: it must lie between 0 and 1.")


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f'{name} is "{value}": it must be one of {", ".join(choices)}.')


FaceShieldConfig.register_for_auto_class()
