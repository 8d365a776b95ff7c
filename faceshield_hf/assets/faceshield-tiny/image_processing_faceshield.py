"""From images to the model's two inputs: `pixel_values` (the RGB image) and `sav_values` (the spoof-aware image).

Each image is brought to RGB by [`to_rgb_image`], resized once, and the spoof-aware image is computed from the resized
bytes, so that the model sees its texture codes exactly as they are. Both are then rescaled and normalised alike. This
module knows nothing of text, tokens or faces; like every image processor of transformers it saves and loads itself.

Example:
    >>> from PIL import Image
    >>> image_processor = FaceShieldImageProcessor(size={"height": 224, "width": 224})
    >>> inputs = image_processor(Image.new("RGB", (640, 480)), return_tensors="pt")
    >>> inputs["pixel_values"].shape, inputs["sav_values"].shape
    (torch.Size([1, 3, 224, 224]), torch.Size([1, 3, 224, 224]))
"""

from typing import Any

import numpy as np
import PIL.Image
import torch
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import (
    IMAGENET_STANDARD_MEAN,
    IMAGENET_STANDARD_STD,
    ChannelDimension,
    PILImageResampling,
)
from transformers.processing_utils import ImagesKwargs
from transformers.utils import TensorType

from .image_input_faceshield import as_array, holds_unit_floats, to_rgb_image
from .savp_faceshield import HOG_FULL_SCALE, HogRender, sav_image


class FaceShieldImageProcessorKwargs(ImagesKwargs, total=False):
    """The arguments of transformers' image processors, and two of our own.

    Attributes:
        do_sav (`bool`, *optional*, defaults to `True`):
            Whether to compute `sav_values`. Off for a model with `use_sav=False`.
        hog_render (`str`, *optional*, defaults to `"blocknorm"`):
            How the third channel of the spoof-aware image is drawn: `"blocknorm"` or `"skimage"`, see `hog_map`.
    """

    do_sav: bool | None
    hog_render: str | None


class FaceShieldImageProcessor(PilBackend):
    """Turn images into RGB and spoof-aware (SAV) pixels. Colour is always red, green, blue, in this order.

    The defaults are SigLIP's: 384x384 pixels, bicubic, both inputs mapped from 0..255 to -1..1. Every argument can be
    set for good on construction or for one call.

    Args:
        do_sav (`bool`, *optional*, defaults to `True`):
            Whether to compute `sav_values`. Off for a model with `use_sav=False`.
        hog_render (`str`, *optional*, defaults to `"blocknorm"`):
            How the third channel of the spoof-aware image is drawn: `"blocknorm"` or `"skimage"`, see `hog_map`.
        **kwargs:
            `do_resize`, `size`, `resample`, `do_center_crop`, `crop_size`, `do_rescale`, `rescale_factor`,
            `do_normalize`, `image_mean`, `image_std`, `do_pad`, `pad_size` as in transformers' image processors. With
            `do_rescale=False` values keep the range they came in: 0..1 for an array of floats in 0..1, 0..255 for
            every other image; for both inputs. With `do_rescale=True` either comes out the same.

    Calling it gives a `BatchFeature` with `pixel_values` and, with `do_sav`, `sav_values`, each of shape
    `(images, 3, height, width)`, float32.
    """

    valid_kwargs = FaceShieldImageProcessorKwargs
    model_input_names = ["pixel_values", "sav_values"]  # noqa: RUF012 (as the base class declares it)

    resample = PILImageResampling.BICUBIC
    image_mean = IMAGENET_STANDARD_MEAN
    image_std = IMAGENET_STANDARD_STD
    size = {"height": 384, "width": 384}  # noqa: RUF012
    do_resize = True
    do_rescale = True
    do_normalize = True
    do_convert_rgb = True
    do_sav = True
    hog_render: HogRender = "blocknorm"

    def fetch_images(self, image_url_or_urls: Any) -> Any:
        """Load paths, URLs, base64 strings and bytes, in lists nested as they come; pass pictures and arrays on.

        Args:
            image_url_or_urls (`Any`):
                One image as [`to_rgb_image`] takes it, or lists of them.

        Returns:
            `Any`: The same nesting, of PIL images, arrays and tensors.

        Raises:
            ValueError: If one of them can't be loaded.
        """
        if isinstance(image_url_or_urls, list | tuple):
            return [self.fetch_images(image) for image in image_url_or_urls]
        if isinstance(image_url_or_urls, PIL.Image.Image):
            return image_url_or_urls
        if isinstance(image_url_or_urls, np.ndarray | torch.Tensor):
            if image_url_or_urls.ndim in (3, 4):
                return image_url_or_urls
            # transformers counts axes to tell an image from a batch, and a gray array lacks one: a picture of floats
            # (which may be kept in 0..1, see `process_image`) or bytes needs no axes.
            if holds_unit_floats(image_url_or_urls) and image_url_or_urls.ndim == 2:
                return PIL.Image.fromarray(as_array(image_url_or_urls).astype(np.float32))
        return to_rgb_image(image_url_or_urls)

    def process_image(
        self,
        image: Any,
        do_convert_rgb: bool | None = None,
        input_data_format: str | ChannelDimension | None = None,
        do_rescale: bool | None = None,
        **kwargs: Any,
    ) -> np.ndarray:
        """Bring one image to RGB.

        Args:
            image (`PIL.Image.Image`, `np.ndarray` or `torch.Tensor`):
                The image, see [`to_rgb_image`].
            do_convert_rgb (`bool`, *optional*):
                Has to be true: there is no other way.
            input_data_format (`str` or `ChannelDimension`, *optional*):
                Where an array's channels are, if its shape doesn't tell.
            do_rescale (`bool`, *optional*):
                Whether the values will be rescaled.
            **kwargs:
                The call's other arguments; not used here.

        Returns:
            `np.ndarray` of shape `(3, height, width)`: uint8 in 0..255; or float32 in 0..1, whole multiples of 1/255,
            for an image of floats in 0..1 that isn't to be rescaled.

        Raises:
            ValueError: If it is not an image, see [`to_rgb_image`], or `do_convert_rgb` is false.
        """
        if not do_convert_rgb:
            raise ValueError(f"got do_convert_rgb={do_convert_rgb}, but FaceShield reads RGB only: leave it True")
        rgb = np.moveaxis(np.asarray(to_rgb_image(image, input_data_format)), -1, 0)
        return rgb if do_rescale or not holds_unit_floats(image) else rgb.astype(np.float32) / 255

    def _standardize_kwargs(self, hog_render: str | None = None, **kwargs: Any) -> dict[str, Any]:
        # Runs on construction and on every call, so a typing mistake shows where it is made.
        if hog_render not in HOG_FULL_SCALE:
            raise ValueError(f"got hog_render={hog_render!r}, expected one of {', '.join(map(repr, HOG_FULL_SCALE))}")
        return {"hog_render": hog_render, **super()._standardize_kwargs(**kwargs)}

    def _preprocess(
        self,
        images: list[np.ndarray],
        do_sav: bool,
        hog_render: HogRender,
        return_tensors: str | TensorType | None,
        **kwargs: Any,
    ) -> BatchFeature:
        if not images:
            raise ValueError("got no image, expected at least one: leave images out of a call that has only text")
        # Shape first, on bytes: the picture is resized once, and its texture is read off what the model will see.
        in_unit_range = [image.dtype != np.uint8 for image in images]
        byte_images = [
            np.rint(image * 255).astype(np.uint8) if is_unit else image
            for image, is_unit in zip(images, in_unit_range, strict=True)
        ]
        shaping = kwargs | _VALUES_OFF
        wanted = (3, kwargs["size"].height, kwargs["size"].width) if kwargs["do_resize"] else None
        if all(image.shape == wanted for image in byte_images):
            shaping["do_resize"] = False  # resizing to the same size copies the picture several times, unchanged
        pictures = super()._preprocess(byte_images, return_tensors=None, **shaping)["pixel_values"]
        # All that follows is several times faster on planes than on pixels.
        views = {"pixel_values": [np.ascontiguousarray(picture) for picture in pictures]}
        if do_sav:
            views["sav_values"] = [
                np.moveaxis(sav_image(np.moveaxis(picture, 0, -1), hog_render), -1, 0)
                for picture in views["pixel_values"]
            ]
        # Then values: rescaled, normalised and padded as transformers does it.
        data = {}
        for name, view in views.items():
            numbers = [
                picture.astype(np.float32) / 255 if is_unit else picture
                for picture, is_unit in zip(view, in_unit_range, strict=True)
            ]
            data[name] = self._to_values(numbers, **kwargs)
        return BatchFeature(data=data, tensor_type=return_tensors)

    def _to_values(self, pictures: list[np.ndarray], **kwargs: Any) -> list[np.ndarray]:
        """Rescale, normalise and pad. Bytes are looked up: transformers itself maps all 256 of them, once a call."""
        kwargs = kwargs | _SHAPE_OFF
        if kwargs["do_rescale"] and not kwargs["do_pad"] and all(picture.dtype == np.uint8 for picture in pictures):
            every = np.broadcast_to(np.arange(256, dtype=np.uint8).reshape(16, 16), (3, 16, 16))
            [values] = super()._preprocess([every], return_tensors=None, **kwargs)["pixel_values"]
            table = np.ascontiguousarray(values.reshape(3, 256), dtype=np.float32)
            return [_look_up(table, picture) for picture in pictures]
        return super()._preprocess(pictures, return_tensors=None, **kwargs)["pixel_values"]


def _look_up(table: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Replace the bytes of each channel by their values: `(channels, 256)` floats and `(channels, height, width)`."""
    values = np.empty(picture.shape, np.float32)
    for channel, row in enumerate(table):
        # Every byte is in the table; "clip" only spares numpy a look at that.
        row.take(picture[channel], out=values[channel], mode="clip")
    return values


_VALUES_OFF = {"do_rescale": False, "do_normalize": False, "do_pad": False}
_SHAPE_OFF = {"do_resize": False, "do_center_crop": False}


FaceShieldImageProcessor.register_for_auto_class("AutoImageProcessor")
