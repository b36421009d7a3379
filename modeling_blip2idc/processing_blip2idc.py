"""
Processors of BLIP-2 and InstructBLIP for pairs of images. No other file knows image tokens, the stop token and -100.
"""

from transformers import BatchFeature, Blip2Processor, InstructBlipProcessor
from transformers.processing_utils import ProcessingKwargs, Unpack

from .configuration_blip2idc import Blip2IDCConfig, InstructBlipIDCConfig
from .image_processing_blip2idc import as_pairs, make_canvas

IGNORED = -100  # torch's cross entropy skips this label
# InstructBLIP was trained on questions; the authors' own model, BLIP-2, has none.
DEFAULT_INSTRUCTION = "What changed between the two images?"
# The models do not chat: what the messages say is the prompt. The processor adds image tokens and BOS.
CHAT_TEMPLATE = """\
{%- set prompt = namespace(text='') -%}
{%- for message in messages -%}
{%- if message['content'] is string -%}{%- set prompt.text = prompt.text + ' ' + message['content'] -%}
{%- else -%}{%- for part in message['content'] if part['type'] == 'text' -%}
{%- set prompt.text = prompt.text + ' ' + part['text'] -%}
{%- endfor -%}{%- endif -%}
{%- endfor -%}
{{- prompt.text | trim -}}"""
_LOADING_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")


class PairProcessorMixin:
    """
    What [`Blip2IDCProcessor`] and [`InstructBlipIDCProcessor`] put before the stock class that each extends. Their
    `_config_class` reads from config.json what a stock processor does not save.
    """

    def _set_options(self, concat_axis, draft, stop_token, prompt, is_encoder_decoder, chat_template):
        if concat_axis not in ("vertical", "horizontal"):
            raise ValueError(f"concat_axis is {concat_axis!r}, it must be 'vertical' or 'horizontal'.")
        self.concat_axis, self.draft, self.stop_token, self.prompt = concat_axis, draft, stop_token, prompt
        no_bos = self.tokenizer.bos_token_id is None
        self.is_encoder_decoder = no_bos if is_encoder_decoder is None else is_encoder_decoder
        self.chat_template = CHAT_TEMPLATE if chat_template is None else chat_template
        self.stop_token_id  # noqa: B018  refuses an unusable stop token here rather than in training

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **kwargs):
        processor = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        loading = {k: v for k, v in kwargs.items() if k in _LOADING_ARGUMENTS}
        try:
            config, _ = cls._config_class.get_config_dict(pretrained_model_name_or_path, **loading)
        except (OSError, ValueError):
            return processor  # there is no model beside it
        saved, _ = cls.get_processor_dict(pretrained_model_name_or_path, **loading)
        saved = {**saved, **kwargs}
        if kwargs.get("is_encoder_decoder") is None:
            processor.is_encoder_decoder = cls._config_class.from_dict(config).is_encoder_decoder
        if saved.get("num_query_tokens") is None:
            processor.num_query_tokens = config.get("num_query_tokens")
        if saved.get("stop_token") is None:
            eos = (config.get("text_config") or {}).get("eos_token_id")
            eos = eos[0] if isinstance(eos, list) else eos
            if eos is not None and eos < len(processor.tokenizer) and cls._stops_at_eos:
                processor.stop_token = processor.tokenizer.decode([eos])
        return processor

    @property
    def image_token_id(self) -> int:
        """Id of the `<image>` token, which the model replaces by the Q-Former's output."""
        return self.tokenizer.convert_tokens_to_ids(str(self.image_token))

    @property
    def stop_token_id(self) -> int:
        """Id of the token that ends a caption."""
        known = self.tokenizer.convert_tokens_to_ids(self.stop_token)
        if known is not None and self.tokenizer.convert_ids_to_tokens(known) == self.stop_token:
            return known
        ids = self._ids(self.stop_token)  # a byte-level tokenizer writes "\n" in another way
        if len(ids) != 1 or self.tokenizer.decode(ids) != self.stop_token:
            raise ValueError(
                f"stop_token {self.stop_token!r} is not one token of the tokenizer (ids {ids}); give one that is, "
                f"such as its EOS token {self.tokenizer.eos_token!r}."
            )
        return ids[0]

    def __call__(
        self,
        images: tuple | dict | list | None = None,
        text: str | list[str | None] | None = None,
        captions: str | list[str] | None = None,
        concat_axis: str | None = None,
        draft: bool | None = None,
        **kwargs: Unpack[ProcessingKwargs],
    ) -> BatchFeature:
        """
        Make the model's inputs: without `captions` those for `generate`, with them those for training.

        A caption is put on one line (line breaks would be stop tokens), and ends with exactly one stop token. With
        `max_length`, which counts all of a row (image tokens, BOS, prompt, caption, stop token), a caption that is too
        long loses its end, never its stop token. T5: image tokens and prompt go to the encoder, captions to the
        labels, whose limit `max_length` then is.

        Args:
            images (`tuple`, `dict` or `list`):
                A pair, `(before, after)`, `[before, after]` or `{"before": ..., "after": ...}`; or a list of pairs.
                An image is anything that `load_image` takes: PIL, path, URL, bytes, numpy, torch; of any size.
            text (`str` or `list[str]`, *optional*, defaults to `self.prompt`):
                The prompt, or one for each pair (`None` in the list stands for `self.prompt`): the start of the
                caption, to be continued, or InstructBLIP's instruction. It is not learned.
            captions (`str` or `list[str]`, *optional*):
                The caption of each pair, to be learned.
            concat_axis (`str`, *optional*), draft (`bool`, *optional*):
                By default those of the processor.
            kwargs:
                `size` (of the canvas), `max_length`, `padding` (defaults to `True`), `padding_side` (of `input_ids`;
                defaults to `"left"` for a decoder-only model without captions, so that each caption follows its
                prompt, else to `"right"`), `return_tensors` (defaults to `"pt"`), and whatever else the image
                processor takes.

        Returns:
            `BatchFeature`: with N pairs

            - **pixel_values** (N, 3, H, W);
            - **input_ids** (N, L): `num_query_tokens` image tokens, BOS (if the tokenizer has one), prompt, and, in
              training, caption and stop token;
            - **attention_mask** (N, L): 0 on padding;
            - **labels** (N, L), with `captions` only: `input_ids` with -100 on image tokens, BOS, prompt and padding.
              T5: (N, T), caption and `</s>`;
            - **qformer_input_ids**, **qformer_attention_mask** (N, I), InstructBLIP only: the prompt in tokens of the
              Q-Former, padded on the right.

        Raises:
            `ValueError`: for anything but pairs; an empty caption, or one with control tokens; another number of
                captions or prompts than of pairs; `num_query_tokens=None`; a `max_length` without room for a caption.
            `TypeError`: for `prompt=`.
            `ImageLoadError`: a `ValueError` that names the pair and the image that cannot be used.
        """
        if "prompt" in kwargs:
            raise TypeError("prompt= is not an argument: text= is the prompt, and captions= is what is to be learned.")
        if self.num_query_tokens is None:
            raise ValueError(
                "The processor's num_query_tokens is None, so that the model would ignore the images. Set it to "
                "model.config.num_query_tokens (32 for the released checkpoints)."
            )
        options = self._merge_kwargs(**kwargs)
        text_options, image_options = options["text_kwargs"], options["images_kwargs"]
        return_tensors = text_options.get("return_tensors", "pt")

        pairs = as_pairs(images)
        prompts = self._prompts(text, len(pairs))
        targets = None if captions is None else self._caption_ids(captions, prompts)
        inputs = self._text_inputs(prompts, targets, text_options)
        defaults = {"size": self.image_processor.size, "resample": self.image_processor.resample}
        given = {name: image_options.pop(name, None) for name in defaults}
        layout = {name: defaults[name] if value is None else value for name, value in given.items()}
        layout["concat_axis"] = self.concat_axis if concat_axis is None else concat_axis
        layout["draft"] = self.draft if draft is None else draft
        canvases = [make_canvas(*pair, **layout, name=name)[0] for name, pair in pairs.items()]
        image_options.update(do_resize=False, return_tensors=return_tensors)  # a canvas has its final size
        pixel_values = self.image_processor(canvases, **image_options)["pixel_values"]
        return BatchFeature({"pixel_values": pixel_values, **inputs}, tensor_type=return_tensors)

    def post_process_captions(self, ids) -> list[str]:
        """
        Generated ids to captions.

        Args:
            ids (`torch.Tensor`, `np.ndarray` or `list` of shape `(N, T)`):
                *New* tokens: for OPT, what `generate` returns without the prompt, `[:, prompt_length:]`. Negative ids
                (the padding of a `Trainer`) count as padding.

        Returns:
            `list[str]`: N captions, cut at the first stop token, without special tokens or outer white space.
        """
        rows = ids.tolist() if hasattr(ids, "tolist") else [list(row) for row in ids]
        stop, captions = self.stop_token_id, []
        for row in rows:
            # a decoder's own start token (T5) comes before the caption and is special
            row = row[: row.index(stop)] if stop in row else row
            captions.append([token for token in row if token >= 0])
        return [text.strip() for text in self.tokenizer.batch_decode(captions, skip_special_tokens=True)]

    def post_process_image_text_to_text(self, generated_outputs, skip_special_tokens=True, **kwargs):
        """As the stock method, without the line break that ends a caption of OPT and is not a special token."""
        texts = super().post_process_image_text_to_text(generated_outputs, skip_special_tokens, **kwargs)
        return [text.rstrip() for text in texts] if isinstance(texts, list) else texts.rstrip()

    def _prompts(self, text, count: int) -> list[str]:
        prompts = list(text) if isinstance(text, (list, tuple)) else [text] * count
        if len(prompts) != count:
            raise ValueError(f"text has {len(prompts)} prompts for {count} pairs; give one string, or one per pair.")
        prompts = [(self.prompt or "") if prompt is None else prompt for prompt in prompts]
        for i, prompt in enumerate(prompts):
            if not isinstance(prompt, str):
                raise ValueError(f"text[{i}] is a {type(prompt).__name__}, a prompt is a string.")
            if self.image_token_id in self._ids(prompt):
                raise ValueError(f"The prompt contains the image token {str(self.image_token)!r}: {prompt!r}")
        # a decoder continues the prompt, and the space after it belongs to the caption's first token
        return prompts if self.is_encoder_decoder else [prompt.rstrip() for prompt in prompts]

    def _caption_ids(self, captions, prompts: list[str]) -> list[list[int]]:
        """Ids of each caption, without stop token."""
        captions = [captions] if isinstance(captions, str) else list(captions)
        if len(captions) != len(prompts):
            raise ValueError(
                f"captions has {len(captions)} captions for {len(prompts)} pairs; give one caption for each pair."
            )
        tokenizer, rows = self.tokenizer, []
        control = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
        control |= {self.stop_token_id, self.image_token_id}
        for i, (caption, prompt) in enumerate(zip(captions, prompts, strict=True)):
            if not isinstance(caption, str):
                raise ValueError(f"captions[{i}] is a {type(caption).__name__}, a caption is a string.")
            caption = " ".join(caption.split())  # on one line: "\n" is a stop token
            if not caption:
                raise ValueError(f"captions[{i}] is empty. To generate a caption, leave captions out.")
            before = "" if self.is_encoder_decoder else prompt
            # after a prompt, the first word has a space before it, which tokenizers treat in different ways
            ids = self._ids(f"{before} {caption}" if before else caption)[len(self._ids(before)) :]
            if found := control.intersection(ids):
                tokens = ", ".join(map(repr, tokenizer.convert_ids_to_tokens(sorted(found))))
                raise ValueError(
                    f"captions[{i}] contains control tokens ({tokens}), which a caption must not: {caption!r}"
                )
            rows.append(ids)
        return rows

    def _text_inputs(self, prompts: list[str], captions: list[list[int]] | None, options: dict) -> dict:
        """`input_ids`, `attention_mask` and, with captions, `labels`."""
        images, bos = [self.image_token_id] * self.num_query_tokens, self.tokenizer.bos_token_id
        if self.is_encoder_decoder:
            prefixes = [images + self.tokenizer(prompt)["input_ids"] for prompt in prompts]  # they end in </s>
        else:
            # a chat template may have written BOS itself
            start = images if bos is None or options.get("add_special_tokens") is False else [*images, bos]
            prefixes = [start + self._ids(prompt) for prompt in prompts]
        if captions is None:
            side = options.get("padding_side", "right" if self.is_encoder_decoder else "left")
            return self._padded(prefixes, {**options, "padding_side": side})
        limit = options.get("max_length")
        if limit is not None and options.get("truncation", True) not in (False, "do_not_truncate"):
            taken = [1 + (0 if self.is_encoder_decoder else len(prefix)) for prefix in prefixes]
            if limit <= max(taken):
                raise ValueError(
                    f"max_length={limit} leaves no room for a caption: image tokens, BOS, prompt and stop token take "
                    f"{max(taken)}."
                )
            captions = [ids[: limit - used] for ids, used in zip(captions, taken, strict=True)]
        targets = [[*ids, self.stop_token_id] for ids in captions]
        if self.is_encoder_decoder:
            inputs, skipped = self._padded(prefixes, {}), [0] * len(targets)
            learned = self._padded(targets, {**options, "padding_side": "right"})  # a decoder starts at the left
        else:
            inputs = learned = self._padded([a + b for a, b in zip(prefixes, targets, strict=True)], options)
            skipped = [len(prefix) for prefix in prefixes]
        inputs["labels"] = []
        for ids, mask, skip in zip(learned["input_ids"], learned["attention_mask"], skipped, strict=True):
            start, end = mask.index(1) + skip, mask.index(1) + sum(mask)
            inputs["labels"].append([IGNORED] * start + ids[start:end] + [IGNORED] * (len(ids) - end))
        return inputs

    def _padded(self, rows: list[list[int]], options: dict) -> dict[str, list[list[int]]]:
        given = {k: options[k] for k in ("padding", "pad_to_multiple_of", "max_length") if k in options}
        if given.get("padding") != "max_length":
            given.pop("max_length", None)
        # rows of one length need no pad token
        given.setdefault("padding", len({len(row) for row in rows}) > 1 or "pad_to_multiple_of" in given)
        side = options.get("padding_side", "right")
        return dict(self.tokenizer.pad({"input_ids": rows}, padding_side=side, return_attention_mask=True, **given))

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []


class Blip2IDCProcessor(PairProcessorMixin, Blip2Processor):
    r"""
    Processor of [`Blip2IDCForConditionalGeneration`]: a `Blip2Processor` for pairs of images.

    The two images become one canvas of `image_processor.size`, which the stock image processor then rescales and
    normalises. A saved processor can be loaded as a plain `Blip2Processor`, and `from_pretrained` takes a plain BLIP-2
    folder or Hub id. It reads `is_encoder_decoder` from the config.json beside the processor, and what a stock
    processor does not save: the number of query tokens and the stop token.

    Args:
        image_processor (`BlipImageProcessor`):
            Its `size` (`height` and `width`, in pixels) is the size of the canvas.
        tokenizer (`PreTrainedTokenizerBase`):
            The language model's.
        num_query_tokens (`int`, *optional*):
            Image tokens per pair, as in the model's config.
        concat_axis (`str`, *optional*, defaults to `"vertical"`):
            `"vertical"`: before above after; `"horizontal"`: before to the left of after.
        draft (`bool`, *optional*, defaults to `False`):
            Decode JPEG files at a reduced scale where that is enough for the canvas: several times faster, and other
            pixels; see [`make_canvas`].
        stop_token (`str`, *optional*):
            The token that ends a caption: `"\n"` for OPT checkpoints, `"</s>"` for T5. By default `"\n"` where the
            tokenizer has it as one token, else its EOS token.
        prompt (`str`, *optional*):
            Text before every caption. By default none, as in the published models.
        is_encoder_decoder (`bool`, *optional*):
            Whether captions are labels of a decoder (T5) rather than the continuation of the prompt (OPT), as in the
            model's config. By default a guess: yes if the tokenizer has no BOS token.
        chat_template (`str`, *optional*):
            By default one that joins the texts of all messages, for `apply_chat_template` and the
            `image-text-to-text` pipeline.

    Raises:
        `ValueError`: if `concat_axis` or `stop_token` is unusable.
    """

    _config_class, _stops_at_eos = Blip2IDCConfig, True

    def __init__(
        self,
        image_processor,
        tokenizer,
        num_query_tokens=None,
        concat_axis="vertical",
        draft=False,
        stop_token=None,
        prompt=None,
        is_encoder_decoder=None,
        chat_template=None,
    ):
        super().__init__(image_processor, tokenizer, num_query_tokens=num_query_tokens)
        stop_token = _guess_stop_token(tokenizer) if stop_token is None else stop_token
        self._set_options(concat_axis, draft, stop_token, prompt, is_encoder_decoder, chat_template)


class InstructBlipIDCProcessor(PairProcessorMixin, InstructBlipProcessor):
    r"""
    Processor of [`InstructBlipIDCForConditionalGeneration`]: an `InstructBlipProcessor` for pairs of images.

    As [`Blip2IDCProcessor`], but the prompt is an instruction, which the language model reads and, in tokens of its
    own, the Q-Former (`qformer_input_ids`, `qformer_attention_mask`).

    Args:
        image_processor (`BlipImageProcessor`), tokenizer (`PreTrainedTokenizerBase`):
            As for [`Blip2IDCProcessor`].
        qformer_tokenizer (`PreTrainedTokenizerBase`):
            The Q-Former's (BERT).
        num_query_tokens, concat_axis, draft, is_encoder_decoder, chat_template (*optional*):
            As for [`Blip2IDCProcessor`].
        stop_token (`str`, *optional*):
            The token that ends a caption, by default the tokenizer's EOS token.
        prompt (`str`, *optional*, defaults to `"What changed between the two images?"`):
            The instruction.

    Raises:
        `ValueError`: if `concat_axis` or `stop_token` is unusable.
    """

    # the configs of the Vicuna checkpoints have named another one (github.com/huggingface/transformers/issues/25426)
    _config_class, _stops_at_eos = InstructBlipIDCConfig, False

    def __init__(
        self,
        image_processor,
        tokenizer,
        qformer_tokenizer,
        num_query_tokens=None,
        concat_axis="vertical",
        draft=False,
        stop_token=None,
        prompt=DEFAULT_INSTRUCTION,
        is_encoder_decoder=None,
        chat_template=None,
    ):
        super().__init__(image_processor, tokenizer, qformer_tokenizer, num_query_tokens=num_query_tokens)
        stop_token = tokenizer.eos_token if stop_token is None else stop_token
        self._set_options(concat_axis, draft, stop_token, prompt, is_encoder_decoder, chat_template)

    def _text_inputs(self, prompts, captions, options):
        # the Q-Former counts positions from the left
        instructions = self.qformer_tokenizer(prompts, padding=True, padding_side="right")
        inputs = {f"qformer_{name}": instructions[name] for name in ("input_ids", "attention_mask")}
        return {**super()._text_inputs(prompts, captions, options), **inputs}


def _guess_stop_token(tokenizer) -> str:
    """A line break ends a caption of the OPT checkpoints; T5's tokenizer has no such token."""
    ids = tokenizer("\n", add_special_tokens=False)["input_ids"]
    if len(ids) == 1 and tokenizer.decode(ids) == "\n":
        return "\n"
    if tokenizer.eos_token is None:
        raise ValueError("The tokenizer has neither a line break nor an EOS token: give stop_token.")
    return tokenizer.eos_token


__all__ = ["DEFAULT_INSTRUCTION", "Blip2IDCProcessor", "InstructBlipIDCProcessor"]
