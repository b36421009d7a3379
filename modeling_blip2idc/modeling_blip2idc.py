"""BLIP-2 and InstructBLIP for image difference captioning: the stock models, made safe for canvases of two images."""

import torch
from transformers import Blip2ForConditionalGeneration, InstructBlipForConditionalGeneration

from .captioner_blip2idc import CanvasCaptionerMixin
from .configuration_blip2idc import Blip2IDCConfig, InstructBlipIDCConfig


class Blip2IDCForConditionalGeneration(CanvasCaptionerMixin, Blip2ForConditionalGeneration):
    r"""
    A `Blip2ForConditionalGeneration` that reads the canvas of [`Blip2IDCProcessor`] and writes what changed.

    It has no weights of its own, so checkpoints of the two classes are interchangeable. What it adds:

    - position embeddings are interpolated whenever the canvas is not `image_size` x `image_size`;
    - inputs that stock BLIP-2 would misread in silence are refused (sizes that are no multiple of the patch, a wrong
      number of image tokens);
    - `generate` honours `generation_config`;
    - [`~Blip2IDCForConditionalGeneration.sequence_confidence`].

    Example:

    ```python
    >>> from modeling_blip2idc import Blip2IDCForConditionalGeneration, Blip2IDCProcessor

    >>> processor = Blip2IDCProcessor.from_pretrained(folder)
    >>> model = Blip2IDCForConditionalGeneration.from_pretrained(folder)
    >>> inputs = processor(images=[("before.png", "after.png")])
    >>> ids = model.generate(**inputs)[:, inputs["input_ids"].shape[1] :]
    >>> processor.post_process_captions(ids)
    ['the small red metal sphere turned blue']
    ```
    """

    config_class = Blip2IDCConfig
    config: Blip2IDCConfig


class InstructBlipIDCForConditionalGeneration(CanvasCaptionerMixin, InstructBlipForConditionalGeneration):
    r"""
    An `InstructBlipForConditionalGeneration` that reads the canvas of [`InstructBlipIDCProcessor`] and writes what
    changed: as [`Blip2IDCForConditionalGeneration`], and the Q-Former reads the instruction, too.

    Without an instruction there is nothing to start from, so `forward` and `generate` need both `input_ids` and
    `qformer_input_ids`; the processor makes them.
    """

    config_class = InstructBlipIDCConfig
    config: InstructBlipIDCConfig

    def get_image_features(self, pixel_values, qformer_input_ids: torch.LongTensor | None = None, **kwargs):
        """
        As [`~CanvasCaptionerMixin.get_image_features`], with the instruction.

        Args:
            pixel_values (`torch.Tensor` of shape `(batch_size, 3, height, width)`):
                The canvas. Height and width are multiples of the patch size.
            qformer_input_ids (`torch.LongTensor` of shape `(batch_size, instruction_length)`):
                The instruction, in tokens of the Q-Former.
            kwargs:
                `qformer_attention_mask`, and as for the stock method.

        Raises:
            `ValueError`: without an instruction, and for a canvas that does not fit.
        """
        if qformer_input_ids is None:
            raise ValueError(_NO_INSTRUCTION.format("qformer_input_ids"))
        return super().get_image_features(pixel_values, qformer_input_ids=qformer_input_ids, **kwargs)

    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.LongTensor | None = None,
        *,
        labels: torch.LongTensor | None = None,
        qformer_input_ids: torch.LongTensor | None = None,
        qformer_attention_mask: torch.LongTensor | None = None,
        **kwargs,
    ):
        """
        As [`~CanvasCaptionerMixin.forward`], with the instruction.

        Args:
            pixel_values, input_ids, attention_mask, labels, kwargs:
                As for [`~CanvasCaptionerMixin.forward`]; `input_ids` are needed.
            qformer_input_ids (`torch.LongTensor` of shape `(batch_size, instruction_length)`):
                The instruction, in tokens of the Q-Former.
            qformer_attention_mask (`torch.LongTensor` of shape `(batch_size, instruction_length)`, *optional*):
                0 on padding.

        Raises:
            `ValueError`: without an instruction, and as for [`~CanvasCaptionerMixin.forward`].
        """
        return super().forward(
            pixel_values,
            input_ids,
            attention_mask,
            labels=labels,
            qformer_input_ids=qformer_input_ids,
            qformer_attention_mask=qformer_attention_mask,
            **kwargs,
        )

    def _bare_prompt(self, pixel_values: torch.Tensor) -> torch.LongTensor:
        raise ValueError(_NO_INSTRUCTION.format("input_ids"))


_NO_INSTRUCTION = (
    "{} is missing: InstructBLIP reads an instruction, once with the language model and once with the Q-Former. Make "
    "the inputs with InstructBlipIDCProcessor."
)

__all__ = ["Blip2IDCForConditionalGeneration", "InstructBlipIDCForConditionalGeneration"]
