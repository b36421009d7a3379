"""BLIP-2 and InstructBLIP for image difference captioning: the stock models, made safe for canvases of two images."""

import copy

import torch
from transformers import Blip2ForConditionalGeneration, GenerationConfig, InstructBlipForConditionalGeneration
from transformers.utils import ModelOutput

from .checkpoints_blip2idc import CheckpointMixin
from .configuration_blip2idc import Blip2IDCConfig, InstructBlipIDCConfig

# Used only where neither the call nor a generation config limits the length; the stock limit of 20 cuts captions.
DEFAULT_MAX_NEW_TOKENS = 77


class CanvasCaptionerMixin(CheckpointMixin):
    """What [`Blip2IDCForConditionalGeneration`] and [`InstructBlipIDCForConditionalGeneration`] have in common."""

    def get_image_features(self, pixel_values, interpolate_pos_encoding: bool | None = None, **kwargs):
        """Stock `get_image_features`, which interpolates position embeddings where the canvas needs it."""
        flag = self._check_canvas(pixel_values, interpolate_pos_encoding)
        return super().get_image_features(pixel_values, interpolate_pos_encoding=flag, **kwargs)

    def forward(
        self,
        pixel_values: torch.Tensor | None = None,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.LongTensor | None = None,
        *,
        labels: torch.LongTensor | None = None,
        interpolate_pos_encoding: bool | None = None,
        **kwargs,
    ):
        """
        Stock `forward`; without `input_ids` (and `inputs_embeds`) the prompt is the image tokens and BOS.

        The loss is a mean over labels, or, with `num_items_in_batch`, their sum divided by that, for every language
        model: what `Trainer` needs for the same result with and without gradient accumulation.

        Args:
            pixel_values (`torch.Tensor` of shape `(batch_size, 3, height, width)`):
                The canvases, of any size that is a multiple of the patch size.
            input_ids, attention_mask, labels (`torch.LongTensor` of shape `(batch_size, sequence_length)`):
                As the processor makes them.
            interpolate_pos_encoding (`bool`, *optional*):
                By default, whatever the canvas needs.
            kwargs:
                As for the stock `forward`. Those that it does not know reach the language model: of OPT and LLaMA,
                `logits_to_keep=k` computes the last k logits only; the last k `labels` then go with them.

        Raises:
            `ValueError`: if the canvas does not fit, or a row has not exactly `num_query_tokens` image tokens.
        """
        if pixel_values is not None:
            interpolate_pos_encoding = self._check_canvas(pixel_values, interpolate_pos_encoding)
        if input_ids is not None or (pixel_values is not None and kwargs.get("inputs_embeds") is None):
            input_ids = self._prompt(input_ids, pixel_values)
        decoder_only = self.config.use_decoder_only_language_model
        num_items_in_batch = None if decoder_only else kwargs.pop("num_items_in_batch", None)
        kwargs |= {"attention_mask": attention_mask, "interpolate_pos_encoding": bool(interpolate_pos_encoding)}
        output = super().forward(pixel_values=pixel_values, input_ids=input_ids, labels=labels, **kwargs)
        if num_items_in_batch is not None:  # T5 takes the mean over its own batch, whatever it is told
            output.loss = output.loss * (labels != -100).sum() / num_items_in_batch
        return output

    @torch.no_grad()
    def generate(
        self,
        pixel_values: torch.Tensor,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.LongTensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        interpolate_pos_encoding: bool | None = None,
        generation_config: GenerationConfig | None = None,
        **kwargs,
    ) -> torch.LongTensor | ModelOutput:
        """
        Caption each canvas. Unlike the stock method it honours `model.generation_config`.

        Args:
            pixel_values, input_ids, attention_mask, interpolate_pos_encoding:
                As for `forward`; `inputs_embeds` may stand for `input_ids`.
            generation_config ([`GenerationConfig`], *optional*):
                What it leaves open is filled from `model.generation_config`.
            kwargs:
                Any argument of `generate`; they win over both generation configs.

        Returns:
            `torch.LongTensor` of shape `(batch_size * num_return_sequences, length)`, prompt included for decoder-only
            models as in stock BLIP-2; or a `ModelOutput` with `return_dict_in_generate=True`.

        Raises:
            `ValueError`: as for `forward`, and if `labels` are given: the `input_ids` beside them hold the caption.
        """
        if "labels" in kwargs:
            raise ValueError(
                "generate() got labels: these inputs were made for training and hold the caption. Make them with "
                "processor(images=pairs), without captions."
            )
        if input_ids is not None or inputs_embeds is None:
            input_ids = self._prompt(input_ids, pixel_values)
        generation_config, kwargs = self._merge_generation_config(generation_config, kwargs)
        if generation_config.max_new_tokens is None and generation_config.max_length is None:
            room = DEFAULT_MAX_NEW_TOKENS
            if self.config.use_decoder_only_language_model and input_ids is not None:
                room = getattr(self.config.text_config, "max_position_embeddings", 2**31) - input_ids.shape[1]
            generation_config.max_new_tokens = max(1, min(room, DEFAULT_MAX_NEW_TOKENS))
        if (generation_config.pad_token_id or 0) < 0:
            # some Vicuna checkpoints say -1, which has no embedding; what stands behind a stop token is not read
            eos = generation_config.eos_token_id
            generation_config.pad_token_id = eos[0] if isinstance(eos, list) else eos
        # The stock model hands over to the language model, whose own generation config nobody saves or sets.
        output = super().generate(
            pixel_values,
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            interpolate_pos_encoding=self._check_canvas(pixel_values, interpolate_pos_encoding),
            generation_config=generation_config,
            **kwargs,
        )
        if isinstance(output, ModelOutput):
            output.eos_token_id = generation_config.eos_token_id  # an attribute, not an entry: for sequence_confidence
        return output

    def sequence_confidence(
        self, generate_output: ModelOutput, eos_token_id: int | list[int] | None = None
    ) -> torch.Tensor:
        """
        Length-normalised probability of each generated caption, `exp(mean(log p))` over its new tokens, stop token
        included; under the model itself, that is before temperature, top-p and the like.

        Args:
            generate_output (`ModelOutput`):
                Of `generate(..., return_dict_in_generate=True, output_logits=True)`, in any mode of search.
            eos_token_id (`int` or `list[int]`, *optional*):
                What ends a caption; by default what ended those of that call.

        Returns:
            `torch.Tensor` of shape `(batch_size * num_return_sequences,)`: float32 in (0, 1].

        Raises:
            `ValueError`: if the output holds no logits.
            `FloatingPointError`: if the logits are not finite, so that the captions mean nothing.
        """
        logits = getattr(generate_output, "logits", None)
        if not logits:
            raise ValueError("No logits: call generate(..., return_dict_in_generate=True, output_logits=True).")
        beam_indices = getattr(generate_output, "beam_indices", None)  # (N, T), -1 once a beam has ended
        # beams may have been searched for longer than the best ones turned out to be
        steps = len(logits) if beam_indices is None else beam_indices.shape[1]
        tokens = generate_output.sequences[:, -steps:]  # (N, T)
        log_p = []
        for step in range(steps):
            rows = logits[step].float()  # (N or N * num_beams, V)
            if beam_indices is not None:
                rows = rows[beam_indices[:, step].clamp_min(0)]
            chosen = tokens[:, step, None].to(rows.device)
            log_p.append(rows.gather(1, chosen).squeeze(1) - rows.logsumexp(1))
        log_p = torch.stack(log_p, dim=1)  # (N, T)
        if beam_indices is not None:
            counted = beam_indices >= 0
        else:
            for known in (generate_output, self.generation_config, self.language_model.generation_config):
                eos_token_id = getattr(known, "eos_token_id", None) if eos_token_id is None else eos_token_id
            eos = torch.tensor([] if eos_token_id is None else eos_token_id, device=tokens.device).view(-1)
            is_eos = torch.isin(tokens, eos)
            counted = is_eos.cumsum(1) - is_eos.long() == 0  # up to and with the first stop token
        counted = counted.to(log_p.device)
        log_p = log_p.masked_fill(~counted, 0)
        if not log_p.isfinite().all():
            raise FloatingPointError(
                f"The logits of the language model, in {self.language_model.dtype}, are not finite, so that its "
                "captions mean nothing. float16 overflows: load the model with dtype='bfloat16' or 'float32'. In "
                "those, the weights are damaged."
            )
        return (log_p.sum(1) / counted.sum(1).clamp_min(1)).exp()

    def _check_canvas(self, pixel_values: torch.Tensor, interpolate_pos_encoding: bool | None) -> bool:
        """Whether position embeddings must be interpolated; stock BLIP-2 floors and truncates without a word."""
        height, width = pixel_values.shape[-2:]
        size, patch = self.config.vision_config.image_size, self.config.vision_config.patch_size
        if height % patch or width % patch or not height or not width:
            raise ValueError(
                f"pixel_values are {height}x{width} (height x width), not a multiple of the patch size {patch}. Set "
                f"the processor's image_processor.size to one, such as {size}x{size}."
            )
        needed = (height, width) != (size, size)
        if needed and interpolate_pos_encoding is False:
            raise ValueError(
                f"interpolate_pos_encoding=False, but pixel_values are {height}x{width} and the position embeddings "
                f"are for {size}x{size}. Leave interpolate_pos_encoding out."
            )
        return needed

    def _prompt(self, input_ids: torch.LongTensor | None, pixel_values: torch.Tensor) -> torch.LongTensor:
        """
        `input_ids` of shape (N, L), checked: with no image tokens stock BLIP-2 ignores the image, with too few it
        drops features, both silently. Without `input_ids`, what the processor makes of an empty prompt.
        """
        expected, image_token = self.config.num_query_tokens, self.config.image_token_index
        if image_token is None:
            raise ValueError("config.image_token_index is None: set it to the id of the tokenizer's '<image>' token.")
        if input_ids is None:
            text = self.config.text_config
            last = text.bos_token_id if self.config.use_decoder_only_language_model else text.eos_token_id
            ids = [image_token] * expected + ([] if last is None else [last])
            return torch.tensor([ids], device=pixel_values.device).repeat(pixel_values.shape[0], 1)
        if torch.compiler.is_compiling() or torch.jit.is_tracing() or input_ids.device.type == "meta":
            return input_ids
        counts = (input_ids == image_token).sum(1)
        wrong = (counts != expected).nonzero()
        if len(wrong):
            row = int(wrong[0])
            raise ValueError(
                f"Row {row} of input_ids has {int(counts[row])} image tokens (id {image_token}), the model needs "
                f"num_query_tokens={expected}: make the inputs with a processor that has the same num_query_tokens."
            )
        return input_ids

    def _merge_generation_config(self, generation_config, kwargs: dict) -> tuple[GenerationConfig, dict]:
        """Arguments over the given config over the model's own; and arguments that are not generation settings."""
        own = self.generation_config if self.generation_config is not None else GenerationConfig()
        merged = copy.deepcopy(own if generation_config is None else generation_config)
        if generation_config is not None:
            limited = merged.max_new_tokens is not None or merged.max_length is not None
            defaults = own.to_dict()
            for name in ("max_new_tokens", "max_length") if limited else ():
                defaults.pop(name, None)  # one limit at a time, the nearer one
            merged.update(**defaults, defaults_only=True)
        for name, other in (("max_new_tokens", "max_length"), ("max_length", "max_new_tokens")):
            if kwargs.get(name) is not None and kwargs.get(other) is None:
                setattr(merged, other, None)
        return merged, merged.update(**kwargs)


class Blip2IDCForConditionalGeneration(CanvasCaptionerMixin, Blip2ForConditionalGeneration):
    r"""
    A `Blip2ForConditionalGeneration` that reads the canvas of [`Blip2IDCProcessor`] and writes what changed.

    It has no weights of its own, so checkpoints of the two classes are interchangeable. It interpolates position
    embeddings whenever the canvas is not `image_size` x `image_size`, honours `generation_config`, and refuses what
    stock BLIP-2 misreads in silence: sizes that are not a multiple of the patch, a wrong number of image tokens, a
    checkpoint that lacks weights.

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
    As [`Blip2IDCForConditionalGeneration`], for an `InstructBlipForConditionalGeneration`, whose Q-Former reads the
    instruction, too: `forward` and `generate` need both `input_ids` and `qformer_input_ids`, which
    [`InstructBlipIDCProcessor`] makes.
    """

    config_class = InstructBlipIDCConfig
    config: InstructBlipIDCConfig

    def get_image_features(self, pixel_values, qformer_input_ids: torch.LongTensor | None = None, **kwargs):
        if qformer_input_ids is None:
            raise ValueError(_NO_INSTRUCTION.format("qformer_input_ids"))
        return super().get_image_features(pixel_values, qformer_input_ids=qformer_input_ids, **kwargs)

    def _prompt(self, input_ids, pixel_values):
        if input_ids is None:
            raise ValueError(_NO_INSTRUCTION.format("input_ids"))
        return super()._prompt(input_ids, pixel_values)


_NO_INSTRUCTION = (
    "{} is missing: InstructBLIP reads an instruction, once with the language model and once with the Q-Former. Make "
    "the inputs with InstructBlipIDCProcessor."
)

__all__ = ["Blip2IDCForConditionalGeneration", "InstructBlipIDCForConditionalGeneration"]
