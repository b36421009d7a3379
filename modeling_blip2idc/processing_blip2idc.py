"""The processors of BLIP-2 and InstructBLIP for pairs of images. What both do: pair_processing_blip2idc."""

from transformers import Blip2Processor, InstructBlipProcessor

from .configuration_blip2idc import Blip2IDCConfig, InstructBlipIDCConfig
from .pair_processing_blip2idc import PairProcessorMixin

# InstructBLIP was trained on questions; the authors' own model, BLIP-2, has none.
DEFAULT_INSTRUCTION = "What changed between the two images?"


class Blip2IDCProcessor(PairProcessorMixin, Blip2Processor):
    r"""
    Processor of [`Blip2IDCForConditionalGeneration`]: a `Blip2Processor` for pairs of images.

    The two images become one canvas of `image_processor.size`, which the stock image processor then rescales and
    normalises. A saved processor can be loaded as a plain `Blip2Processor`, and `from_pretrained` takes a plain BLIP-2
    folder or Hub id, from whose config.json it learns the number of query tokens and the stop token.

    Args:
        image_processor (`BlipImageProcessor`):
            Its `size` (`height` and `width`, in pixels) is the size of the canvas.
        tokenizer (`PreTrainedTokenizerBase`):
            The language model's. One without a BOS token belongs to an encoder-decoder (T5).
        num_query_tokens (`int`, *optional*):
            Image tokens per pair, as in the model's config.
        concat_axis (`str`, *optional*, defaults to `"vertical"`):
            `"vertical"`: before above after; `"horizontal"`: before to the left of after.
        draft (`bool`, *optional*, defaults to `True`):
            Decode JPEG files at a reduced scale where that is enough for the canvas. Several times faster.
        stop_token (`str`, *optional*):
            The token that ends a caption: `"\n"` for OPT checkpoints, `"</s>"` for T5. By default `"\n"` where the
            tokenizer has it as one token, else its EOS token.
        prompt (`str`, *optional*):
            Text before every caption. By default none, as in the published models.

    Raises:
        `ValueError`: if the canvas has no size, or `concat_axis` or `stop_token` is unusable.
    """

    _config_class = Blip2IDCConfig

    def __init__(
        self,
        image_processor,
        tokenizer,
        num_query_tokens=None,
        concat_axis="vertical",
        draft=True,
        stop_token=None,
        prompt=None,
    ):
        super().__init__(image_processor, tokenizer, num_query_tokens=num_query_tokens)
        self._set_options(
            concat_axis, draft, _guess_stop_token(tokenizer) if stop_token is None else stop_token, prompt
        )

    def _learn_stop_token(self, eos_token_id):
        eos = eos_token_id[0] if isinstance(eos_token_id, list) else eos_token_id
        if eos is not None and eos < len(self.tokenizer):
            self.stop_token = self.tokenizer.decode([eos])


class InstructBlipIDCProcessor(PairProcessorMixin, InstructBlipProcessor):
    r"""
    Processor of [`InstructBlipIDCForConditionalGeneration`]: an `InstructBlipProcessor` for pairs of images.

    As [`Blip2IDCProcessor`], but there always is a prompt: the instruction, which the language model reads and, in
    tokens of its own, the Q-Former (`qformer_input_ids`, `qformer_attention_mask`). A saved processor can be loaded as
    a plain `InstructBlipProcessor`, and `from_pretrained` takes a plain InstructBLIP folder or Hub id.

    Args:
        image_processor (`BlipImageProcessor`):
            Its `size` (`height` and `width`, in pixels) is the size of the canvas.
        tokenizer (`PreTrainedTokenizerBase`):
            The language model's. One without a BOS token belongs to an encoder-decoder (T5).
        qformer_tokenizer (`PreTrainedTokenizerBase`):
            The Q-Former's (BERT).
        num_query_tokens (`int`, *optional*), concat_axis (`str`, *optional*), draft (`bool`, *optional*):
            As for [`Blip2IDCProcessor`].
        stop_token (`str`, *optional*):
            The token that ends a caption, by default the tokenizer's EOS token. (The configs of the Vicuna checkpoints
            have been seen to name another one: github.com/huggingface/transformers/issues/25426.)
        prompt (`str`, *optional*, defaults to `"What changed between the two images?"`):
            The instruction.

    Raises:
        `ValueError`: if the canvas has no size, or `concat_axis` or `stop_token` is unusable.
    """

    _config_class = InstructBlipIDCConfig

    def __init__(
        self,
        image_processor,
        tokenizer,
        qformer_tokenizer,
        num_query_tokens=None,
        concat_axis="vertical",
        draft=True,
        stop_token=None,
        prompt=DEFAULT_INSTRUCTION,
    ):
        super().__init__(image_processor, tokenizer, qformer_tokenizer, num_query_tokens=num_query_tokens)
        self._set_options(concat_axis, draft, tokenizer.eos_token if stop_token is None else stop_token, prompt)

    def _text_inputs(self, captions, prompt, count, options):
        instruction = self.qformer_tokenizer(prompt)["input_ids"]  # the same for every row: nothing to pad
        return {
            **super()._text_inputs(captions, prompt, count, options),
            "qformer_input_ids": [instruction] * count,
            "qformer_attention_mask": [[1] * len(instruction)] * count,
        }


def _guess_stop_token(tokenizer) -> str:
    """A line break ends a caption of the OPT checkpoints; T5's tokenizer has no such token."""
    ids = tokenizer("\n", add_special_tokens=False)["input_ids"]
    if len(ids) == 1 and tokenizer.decode(ids) == "\n":
        return "\n"
    if tokenizer.eos_token is None:
        raise ValueError("The tokenizer has neither a line break nor an EOS token: give stop_token.")
    return tokenizer.eos_token


__all__ = ["DEFAULT_INSTRUCTION", "Blip2IDCProcessor", "InstructBlipIDCProcessor"]
