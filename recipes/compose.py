# /// script
# dependencies = ["faceshield-hf[train]"]
# ///
"""Make the checkpoint that training starts from: a pretrained vision tower and a pretrained language model.

```bash
python recipes/compose.py --config recipes/faceshield-phi3-siglip/compose.yaml
```

The connector and the mask embedding start at random, from the seed.
"""

from dataclasses import dataclass, field
from typing import Any

import transformers

from faceshield_hf.modeling_faceshield import FaceShieldForConditionalGeneration
from faceshield_hf.processing_faceshield import FaceShieldProcessor
from faceshield_hf.training.run import parse_arguments, read_fields


@dataclass
class ComposeArguments:
    """The parts, and how they are joined."""

    vision: str = field(metadata={"help": "Folder or Hub name of a vision tower (SigLIP, CLIP, ViT, MobileNetV2)."})
    text: str = field(metadata={"help": "Folder or Hub name of a causal language model."})
    output_dir: str = field(metadata={"help": "Folder of the new checkpoint."})
    model_fields: dict[str, Any] | str | None = field(
        default=None, metadata={"help": "Fields of the model's configuration, such as connector or use_sav."}
    )
    seed: int = field(default=0, metadata={"help": "Of the connector's random weights."})


# Fields that the processor must agree on.
_OF_PROCESSOR = {
    "vision_feature_layer": "vision_feature_layer",
    "projector_downsample": "projector_downsample",
    "pvtm_prompt_source": "pvtm_prompt_source",
    "vision_token_budget": "vision_token_budget",
    "gac_num_queries": "num_query_tokens",
    "use_sav": "do_sav",
}


def compose(arguments: ComposeArguments) -> None:
    """Save the model and its processor into one folder."""
    transformers.set_seed(arguments.seed)
    fields = read_fields(arguments.model_fields) or {}
    model = FaceShieldForConditionalGeneration.from_vision_text_pretrained(arguments.vision, arguments.text, **fields)
    of_processor = {_OF_PROCESSOR[name]: value for name, value in fields.items() if name in _OF_PROCESSOR}
    if model.config.connector == "gac":
        of_processor["num_query_tokens"] = model.config.gac_num_queries
    else:
        of_processor.pop("num_query_tokens", None)
    processor = FaceShieldProcessor.from_vision_text_pretrained(arguments.vision, arguments.text, **of_processor)
    model.save_pretrained(arguments.output_dir)
    processor.save_pretrained(arguments.output_dir)


if __name__ == "__main__":
    compose(*parse_arguments(ComposeArguments))
