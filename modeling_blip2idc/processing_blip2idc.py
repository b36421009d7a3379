"""Processors of BLIP-2 and InstructBLIP for pairs of images: image tokens, the stop token and -100."""

from transformers import BatchFeature, Blip2Processor, InstructBlipProcessor
from transformers.processing_utils import ProcessingKwargs, Unpack

from .checkpoints_blip2idc import HUB_KEYWORDS
from .configuration_blip2idc import Blip2IDCConfig, InstructBlipIDCConfig
from .image_processing_blip2idc import as_pairs, make_canvas

IGNORED = -100  # torch's cross entropy skips this label
# InstructBLIP was trained on questions; the authors' own model, BLIP-2, has none.
DEFAULT_INSTRUCTION = "What changed between the two images?"
# The models do not chat: what the messages say is the prompt. The processor adds image tokens and BOS.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}{%- set content = message['content'] -%}"
    "{%- for part in ([{'type': 'text', 'text': content}] if content is string else content) -%}"
    "{%- if part['type'] == 'text' and part['text'] -%}{{ part['text'] + ' ' }}{%- endif -%}"
    "{%- endfor -%}{%- endfor -%}"
)


class PairProcessorMixin:
    """What [`Blip2IDCProcessor`] and [`InstructBlipIDCProcessor`] have in common."""

    def _set_options(self, concat_axis, draft, stop_token, prompt, is_encoder_decoder, chat_template):
        if stop_token is None:
            line_break = self._ids("\n") if self._knows_line_breaks else []
            single = len(line_break) == 1 and self.tokenizer.decode(line_break) == "\n"  # T5's has no such token
            stop_token = "\n" if single else self.tokenizer.eos_token
        self.concat_axis, self.draft, self.stop_token, self.prompt = concat_axis, draft, stop_token, prompt
        no_bos = self.tokenizer.bos_token_id is None
        self.is_encoder_decoder = no_bos if is_encoder_decoder is None else is_encoder_decoder
        self.chat_template = CHAT_TEMPLATE if chat_template is None else chat_template
        self.stop_token_id  # noqa: B018  refuses an unusable stop token here rather than in training

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **kwargs):
        processor = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        loading = {name: value for name, value in kwargs.items() if name in HUB_KEYWORDS}
        try:
            config = cls._config_class.from_pretrained(pretrained_model_name_or_path, **loading)
        except (OSError, ValueError):
            return processor  # there is no model beside it
        saved = {**cls.get_processor_dict(pretrained_model_name_or_path, **loading)[0], **kwargs}
        if kwargs.get("is_encoder_decoder") is None:
            processor.is_encoder_decoder = config.is_encoder_decoder
        if saved.get("num_query_tokens") is None:
            processor.num_query_tokens = config.num_query_tokens
        if saved.get("stop_token") is None and cls._knows_line_breaks:
            eos = config.text_config.eos_token_id
            eos = eos[0] if isinstance(eos, list) else eos
            if eos is not None and eos < len(processor.tokenizer):
                processor.stop_token = processor.tokenizer.decode([eos])
        return processor

    @property
    def image_token_id(self) -> int:
        """Id of the `<image>` token, which the model replaces by the Q-Former's output."""
        return self.tokenizer.convert_tokens_to_ids(str(self.image_token))

    @property
    def stop_token_id(self) -> int:
        """Id of the token that ends a caption."""
        tokenizer, known = self.tokenizer, self.tokenizer.convert_tokens_to_ids(self.stop_token)
        if known is not None and tokenizer.convert_ids_to_tokens(known) == self.stop_token:
            return known
        ids = self._ids(self.stop_token)  # a byte-level tokenizer writes "\n" in another way
        if len(ids) != 1 or tokenizer.decode(ids) != self.stop_token:
            raise ValueError(
                f"stop_token {self.stop_token!r} is not one token of the tokenizer (ids {ids}); give one that is, "
                f"such as its EOS token {tokenizer.eos_token!r}."
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
        `max_length`, which counts all of a row, a caption that is too long loses its end, never its stop token. Of T5
        it is the limit of the labels.

        Args:
            images (`tuple`, `dict` or `list`):
                A pair, `(before, after)`, `[before, after]` or `{"before": ..., "after": ...}`, of anything that
                `load_image` takes; or a list of pairs.
            text (`str` or `list[str]`, *optional*, defaults to `self.prompt`):
                The prompt, or one for each pair (`None` in the list stands for `self.prompt`): the start of the
                caption, to be continued, or InstructBLIP's instruction. It is not learned.
            captions (`str` or `list[str]`, *optional*):
                The caption of each pair, to be learned.
            concat_axis, draft (*optional*):
                By default those of the processor.
            kwargs:
                `size` (of the canvas), `max_length`, `padding`, `padding_side` (by default left where a decoder
                continues the prompt, else right), `return_tensors` (`"pt"`), and what else the image processor takes.

        Returns:
            `BatchFeature`: **pixel_values** (N, 3, H, W), **input_ids** and **attention_mask** (N, L). A row is
            `num_query_tokens` image tokens, BOS (if the tokenizer has one), prompt, and, in training, caption and stop
            token; of T5, image tokens, prompt and `</s>`. With `captions`, **labels** (N, L): `input_ids` with -100 on
            all but caption and stop token; of T5 (N, T), caption and `</s>`. For InstructBLIP, **qformer_input_ids**
            and **qformer_attention_mask** (N, I): the prompt.

        Raises:
            `ImageLoadError`: a `ValueError` that names the image. `ValueError`: for anything but pairs, and captions
                that are empty or hold control tokens.
        """
        if "prompt" in kwargs:
            raise TypeError("prompt= is not an argument: text= is the prompt, and captions= is what is to be learned.")
        if self.num_query_tokens is None:
            raise ValueError("num_query_tokens is None, so the model would ignore the images: set the model's.")
        options = self._merge_kwargs(self.valid_processor_kwargs, **kwargs)
        text_options, image_options = options["text_kwargs"], options["images_kwargs"]
        return_tensors = text_options.get("return_tensors", "pt")
        pairs = as_pairs(images)
        prompts = self._prompts(text, len(pairs))
        targets = None if captions is None else self._caption_ids(captions, prompts)
        inputs = self._text_inputs(prompts, targets, text_options)
        layout = {name: image_options.pop(name, None) for name in ("size", "resample")}
        layout |= {"concat_axis": concat_axis, "draft": draft}
        for name in [name for name, value in layout.items() if value is None]:
            layout[name] = getattr(self if hasattr(self, name) else self.image_processor, name)
        canvases = [make_canvas(*pair, **layout, name=name)[0] for name, pair in pairs.items()]
        image_options.update(do_resize=False, return_tensors=return_tensors)  # a canvas has its final size
        pixel_values = self.image_processor(canvases, **image_options)["pixel_values"]
        return BatchFeature({"pixel_values": pixel_values, **inputs}, tensor_type=return_tensors)

    def post_process_captions(self, ids) -> list[str]:
        """
        Generated ids to captions, cut at the first stop token, without special tokens or outer white space.

        Args:
            ids (`torch.Tensor`, `np.ndarray` or `list` of shape `(N, T)`):
                *New* tokens: for OPT, what `generate` returns without the prompt, `[:, prompt_length:]`. Negative ids
                (the padding of a `Trainer`) count as padding.
        """
        rows, stop = ids.tolist() if hasattr(ids, "tolist") else ids, self.stop_token_id
        rows = [row[: row.index(stop)] if stop in row else row for row in rows]
        rows = [[token for token in row if token >= 0] for row in rows]
        return [text.strip() for text in self.tokenizer.batch_decode(rows, skip_special_tokens=True)]

    def post_process_image_text_to_text(self, generated_outputs, skip_special_tokens=True, **kwargs):
        """As the stock method, without the line break that ends a caption of OPT."""
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
        return [prompt.rstrip() for prompt in prompts]  # the space after it belongs to the caption's first token

    def _caption_ids(self, captions, prompts: list[str]) -> list[list[int]]:
        captions = [captions] if isinstance(captions, str) else list(captions)
        if len(captions) != len(prompts):
            raise ValueError(f"captions has {len(captions)} captions for {len(prompts)} pairs; give one per pair.")
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
                raise ValueError(f"captions[{i}] contains control tokens ({tokens}): {caption!r}")
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
                raise ValueError(f"max_length={limit} leaves no room for a caption: the rest takes {max(taken)}.")
            captions = [ids[: limit - used] for ids, used in zip(captions, taken, strict=True)]
        targets = [[*ids, self.stop_token_id] for ids in captions]
        if self.is_encoder_decoder:
            inputs, learned = self._padded(prefixes, {}), targets
            options = {**options, "padding_side": "right"}  # a decoder starts at the left
        else:
            inputs = self._padded([a + b for a, b in zip(prefixes, targets, strict=True)], options)
            learned = [[IGNORED] * len(a) + b for a, b in zip(prefixes, targets, strict=True)]
        learned = self._padded(learned, options)
        rows = zip(learned["input_ids"], learned["attention_mask"], strict=True)
        inputs["labels"] = [[token if seen else IGNORED for token, seen in zip(*row, strict=True)] for row in rows]
        return inputs

    def _padded(self, rows: list[list[int]], options: dict) -> dict[str, list[list[int]]]:
        names = ("padding", "pad_to_multiple_of", *(["max_length"] if options.get("padding") == "max_length" else []))
        given = {name: options[name] for name in names if name in options}
        # rows of one length need no pad token
        given.setdefault("padding", len({*map(len, rows)}) > 1 or "pad_to_multiple_of" in given)
        side = options.get("padding_side", "right")
        return dict(self.tokenizer.pad({"input_ids": rows}, padding_side=side, return_attention_mask=True, **given))

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []


class Blip2IDCProcessor(PairProcessorMixin, Blip2Processor):
    r"""
    Processor of [`Blip2IDCForConditionalGeneration`]: a `Blip2Processor` for pairs of images.

    The two images become one canvas of `image_processor.size`. A saved processor loads as a plain `Blip2Processor`,
    too; and `from_pretrained` takes a plain BLIP-2 folder or Hub id, whose config.json says what a stock processor
    does not save.

    Args:
        image_processor (`BlipImageProcessor`), tokenizer (`PreTrainedTokenizerBase`):
            As for `Blip2Processor`.
        num_query_tokens (`int`, *optional*): Image tokens per pair, as in the model's config.
        concat_axis (`str`, *optional*, defaults to `"vertical"`), draft (`bool`, *optional*, defaults to `False`):
            As for [`make_canvas`].
        stop_token (`str`, *optional*):
            The token that ends a caption: `"\n"` for OPT checkpoints, `"</s>"` for T5. By default `"\n"` where the
            tokenizer has it as one token, else its EOS token.
        prompt (`str`, *optional*):
            Text before every caption. By default none, as in the published models.
        is_encoder_decoder (`bool`, *optional*):
            Whether captions are labels of a decoder (T5) rather than the continuation of the prompt (OPT), as in the
            model's config. By default a guess: yes if the tokenizer has no BOS token.
        chat_template (`str`, *optional*): By default the texts of all messages are the prompt.
    """

    _config_class, _knows_line_breaks = Blip2IDCConfig, True

    def __init__(
        self, image_processor, tokenizer, num_query_tokens=None, concat_axis="vertical", draft=False, stop_token=None,
        prompt=None, is_encoder_decoder=None, chat_template=None,
    ):  # fmt: skip
        super().__init__(image_processor, tokenizer, num_query_tokens=num_query_tokens)
        self._set_options(concat_axis, draft, stop_token, prompt, is_encoder_decoder, chat_template)


class InstructBlipIDCProcessor(PairProcessorMixin, InstructBlipProcessor):
    r"""
    Processor of [`InstructBlipIDCForConditionalGeneration`]: an `InstructBlipProcessor` for pairs of images.

    As [`Blip2IDCProcessor`], but the prompt is an instruction, which the Q-Former reads, too.

    Args:
        qformer_tokenizer (`PreTrainedTokenizerBase`):
            The Q-Former's (BERT).
        prompt (`str`, *optional*, defaults to `"What changed between the two images?"`):
            The instruction.
        others:
            As for [`Blip2IDCProcessor`]; by default a caption ends with the EOS token.
    """

    # configs of Vicuna have named another stop token than EOS: github.com/huggingface/transformers/issues/25426
    _config_class, _knows_line_breaks = InstructBlipIDCConfig, False

    def __init__(
        self, image_processor, tokenizer, qformer_tokenizer, num_query_tokens=None, concat_axis="vertical",
        draft=False, stop_token=None, prompt=DEFAULT_INSTRUCTION, is_encoder_decoder=None, chat_template=None,
    ):  # fmt: skip
        super().__init__(image_processor, tokenizer, qformer_tokenizer, num_query_tokens=num_query_tokens)
        self._set_options(concat_axis, draft, stop_token, prompt, is_encoder_decoder, chat_template)

    def _text_inputs(self, prompts, captions, options):
        # the Q-Former counts positions from the left
        instructions = self.qformer_tokenizer(prompts, padding=True, padding_side="right")
        inputs = {f"qformer_{name}": instructions[name] for name in ("input_ids", "attention_mask")}
        return {**super()._text_inputs(prompts, captions, options), **inputs}


__all__ = ["DEFAULT_INSTRUCTION", "Blip2IDCProcessor", "InstructBlipIDCProcessor"]
