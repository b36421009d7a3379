"""
What both processors do: pairs of images and captions to what the model takes, and the model's ids back to captions.

It is the only code that knows image tokens, the stop token and -100.
"""

from transformers import BatchFeature
from transformers.processing_utils import ProcessingKwargs, Unpack

from .image_processing_blip2idc import as_pair, make_canvas
from .padding_blip2idc import pad_rows

IGNORED = -100  # torch's cross entropy skips this label
# what else than the path finds a file on the Hub
_LOADING_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")


class PairProcessorMixin:
    """
    Methods of [`Blip2IDCProcessor`] and [`InstructBlipIDCProcessor`], put before those of the stock class that each
    extends. They set `_config_class`, whose `get_config_dict` reads what a stock processor does not save.
    """

    def _set_options(self, concat_axis: str, draft: bool, stop_token: str, prompt: str | None) -> None:
        if concat_axis not in ("vertical", "horizontal"):
            raise ValueError(f"concat_axis is 'vertical' or 'horizontal', got {concat_axis!r}")
        self.concat_axis = concat_axis
        self.draft = draft
        self.stop_token = stop_token
        self.prompt = prompt
        self.stop_token_id  # noqa: B018  an unusable stop token is refused here rather than in training

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **kwargs):
        processor = super().from_pretrained(pretrained_model_name_or_path, **kwargs)
        loading = {k: v for k, v in kwargs.items() if k in _LOADING_ARGUMENTS}
        saved, _ = cls.get_processor_dict(pretrained_model_name_or_path, **loading)
        saved = {**saved, **kwargs}
        if saved.get("num_query_tokens") is not None and saved.get("stop_token") is not None:
            return processor
        try:  # a folder of the stock model: its config.json knows more than the processor
            config, _ = cls._config_class.get_config_dict(pretrained_model_name_or_path, **loading)
        except OSError:
            return processor  # a processor saved on its own
        if saved.get("num_query_tokens") is None:
            processor.num_query_tokens = config.get("num_query_tokens")
        if saved.get("stop_token") is None:
            processor._learn_stop_token((config.get("text_config") or {}).get("eos_token_id"))
        return processor

    def _learn_stop_token(self, eos_token_id: int | list[int] | None) -> None:
        """Takes the stop token from the language model's configuration, where that is known to be right."""

    @property
    def image_token_id(self) -> int:
        """Id of the `<image>` token, which the model replaces by the Q-Former's output."""
        return self.tokenizer.convert_tokens_to_ids(str(self.image_token))

    @property
    def is_encoder_decoder(self) -> bool:
        """Whether captions are labels of a decoder (T5), rather than the continuation of the prompt (OPT, LLaMA)."""
        return self.tokenizer.bos_token_id is None

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
        text: str | list[str] | None = None,
        prompt: str | None = None,
        concat_axis: str | None = None,
        draft: bool | None = None,
        **kwargs: Unpack[ProcessingKwargs],
    ) -> BatchFeature:
        """
        Make the model's inputs: without `text`, those for `generate`; with it, those for training.

        A caption is written on one line (line breaks would be stop tokens), and ends with exactly one stop token. With
        `max_length`, which counts all of a row (image tokens, BOS, prompt, caption, stop token), a caption that is too
        long loses its end, never its stop token. T5: image tokens and prompt go to the encoder, captions to the
        labels, whose limit `max_length` then is.

        Args:
            images (`tuple`, `dict` or `list` of them):
                A pair, `(before, after)` or `{"before": ..., "after": ...}`; or a list of pairs. An image is anything
                that `load_image` takes: PIL, path, URL, bytes, numpy, torch; of any size.
            text (`str` or `list[str]`, *optional*):
                The caption of each pair.
            prompt (`str`, *optional*, defaults to `self.prompt`):
                Text before the caption, to be continued (InstructBLIP: to be obeyed); it is not learned.
            concat_axis (`str`, *optional*), draft (`bool`, *optional*):
                By default those of the processor.
            kwargs:
                `size` (of the canvas), `max_length`, `padding` (defaults to `True`),
                `padding_side` (defaults to `"right"`), `return_tensors` (defaults to `"pt"`), and whatever else the
                image processor takes.

        Returns:
            `BatchFeature`: with N pairs

            - **pixel_values** (N, 3, H, W);
            - **input_ids** (N, L): `num_query_tokens` image tokens, BOS, prompt, and, in training, caption and stop
              token, padded on the right;
            - **attention_mask** (N, L): 0 on padding;
            - **labels** (N, L), with `text` only: `input_ids` with -100 on image tokens, BOS, prompt and padding. T5:
              (N, T), caption and `</s>`;
            - **qformer_input_ids**, **qformer_attention_mask** (N, I), InstructBLIP only: the prompt in tokens of the
              Q-Former.

        Raises:
            `ValueError`: for anything but pairs; an empty caption, or one with control tokens; another number of
                captions than of pairs; `num_query_tokens=None`; a `max_length` without room for a caption.
            `ImageLoadError`: a `ValueError` that names the pair and the image that cannot be used.
        """
        if images is None:
            raise ValueError("images is missing: give a pair (before, after), or a list of pairs.")
        if self.num_query_tokens is None:
            raise ValueError(
                "The processor's num_query_tokens is None, so that the model would ignore the images. Set it to "
                "model.config.num_query_tokens (32 for the released checkpoints)."
            )
        options = self._merge_kwargs(ProcessingKwargs, **kwargs)
        text_options, image_options = options["text_kwargs"], options["images_kwargs"]
        return_tensors = text_options.get("return_tensors", "pt")

        single = isinstance(images, (tuple, dict))
        pairs = self._pairs(images)
        prompt = (self.prompt if prompt is None else prompt) or ""
        concat_axis = self.concat_axis if concat_axis is None else concat_axis
        draft = self.draft if draft is None else draft
        captions = None if text is None else self._captions(text, len(pairs), prompt)
        inputs = self._text_inputs(captions, prompt, len(pairs), text_options)
        size = image_options.pop("size", None) or self.image_processor.size
        resample = image_options.get("resample") or self.image_processor.resample
        canvases = [
            make_canvas(*pair, size, concat_axis, draft, resample, "" if single else name)[0]
            for name, pair in pairs.items()
        ]
        # The canvas has its final size already.
        image_options.update(do_resize=False, return_tensors=return_tensors)
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

    def _pairs(self, images) -> dict[str, tuple]:
        """The pairs by the name that messages call them."""
        if isinstance(images, (tuple, dict)):
            return {"images": as_pair(images)}
        if not isinstance(images, list):
            raise ValueError(f"images is a {type(images).__name__}; give a pair (before, after), or a list of pairs.")
        if not images:
            raise ValueError("images is an empty list; give at least one pair (before, after).")
        if len(images) == 2 and not any(isinstance(pair, (tuple, list, dict)) for pair in images):
            raise ValueError("images is a list of two images; write a pair as a tuple, (before, after).")
        return {f"images[{i}]": as_pair(pair, f"images[{i}]") for i, pair in enumerate(images)}

    def _captions(self, text, count: int, prompt: str) -> list[list[int]]:
        """Ids of each caption, without stop token."""
        captions = [text] if isinstance(text, str) else list(text)
        if len(captions) != count:
            raise ValueError(f"text has {len(captions)} captions for {count} pairs; give one caption for each pair.")
        tokenizer = self.tokenizer
        control = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
        control |= {self.stop_token_id, self.image_token_id}
        before = prompt.rstrip() if not self.is_encoder_decoder else ""
        taken = len(self._ids(before))
        rows = []
        for i, caption in enumerate(captions):
            if not isinstance(caption, str):
                raise ValueError(f"text[{i}] is a {type(caption).__name__}, a caption is a string.")
            caption = " ".join(caption.split())  # on one line: "\n" is a stop token
            if not caption:
                raise ValueError(f"text[{i}] is empty. To generate a caption, leave text out.")
            # after a prompt, the first word has a space before it, which tokenizers treat in different ways
            ids = self._ids(f"{before} {caption}" if before else caption)[taken:]
            if found := control.intersection(ids):
                tokens = ", ".join(map(repr, tokenizer.convert_ids_to_tokens(sorted(found))))
                raise ValueError(
                    f"text[{i}] contains control tokens ({tokens}), which a caption must not: {caption!r}"
                )
            rows.append(ids)
        return rows

    def _text_inputs(self, captions: list[list[int]] | None, prompt: str, count: int, options: dict) -> dict:
        """`input_ids`, `attention_mask` and, with captions, `labels`."""
        prefix = [self.image_token_id] * self.num_query_tokens
        if self.is_encoder_decoder:
            prefix += self.tokenizer(prompt)["input_ids"]  # ends in </s>
        else:
            prefix += [self.tokenizer.bos_token_id, *self._ids(prompt.rstrip())]
        if prefix.count(self.image_token_id) != self.num_query_tokens:
            raise ValueError(f"The prompt contains the image token {str(self.image_token)!r}: {prompt!r}")
        if captions is None:
            return self._padded({"input_ids": [prefix] * count}, options)
        limit = options.get("max_length")
        if limit is not None and options.get("truncation", True) not in (False, "do_not_truncate"):
            taken = 1 + (0 if self.is_encoder_decoder else len(prefix))
            if limit <= taken:
                raise ValueError(
                    f"max_length={limit} leaves no room for a caption: image tokens, BOS, prompt and stop token take "
                    f"{taken}."
                )
            captions = [ids[: limit - taken] for ids in captions]
        targets = [[*ids, self.stop_token_id] for ids in captions]
        if self.is_encoder_decoder:
            options = {**options, "padding_side": "right"}  # a decoder starts at the left
            return {**self._padded({"input_ids": [prefix] * count}, {}), **self._padded({"labels": targets}, options)}
        rows = {
            "input_ids": [prefix + target for target in targets],
            "labels": [[IGNORED] * len(prefix) + target for target in targets],
        }
        return self._padded(rows, options)

    def _padded(self, columns: dict, options: dict) -> dict:
        return pad_rows(columns, {"input_ids": self.tokenizer.pad_token_id, "labels": IGNORED}, options)

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"] if text else []


__all__ = ["PairProcessorMixin"]
