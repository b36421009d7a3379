"""The training loop of the authors of BLIP2IDC, rebuilt from what it does: the peer of `training.py`.

What it does was read in github.com/gautierevn/BLIP2IDC, `code_release/train_BLIP2IDC.py` (commit 316cc5b) and
`IDC_datasets.py` (39513e1); no code of it is here. It is the path of their Spot-the-Diff, which runs as released: two
files at full size onto one canvas, which is squashed to the model's size by the stock processor, one pair at a time;
captions padded to 30 tokens with the token that also begins and ends them; pads attended to and learned; logits of
every position; eager attention; AdamW with PyTorch's defaults over all parameters; no schedule, no clipping.

Other than there: the loader has as many workers as ours (there 32), rank and batch size are ours, and on a CPU the
weights stay float32. (Half precision runs on a CPU today, no faster, and the loss is NaN from the second step.)
"""

import copy
import random

import torch
from peft import get_peft_model
from PIL import Image
from tokenizers.processors import TemplateProcessing
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from transformers import Blip2ForConditionalGeneration, Blip2Processor

from modeling_blip2idc.loading.lora import lora_config

TEXT_LENGTH = 30
PROMPT = "Describe the differences between the two images:"  # tokenized for each pair, and not used
LEARNING_RATE = 1e-4
RANK = 8  # their argument defaults to 16, their adapters have 8 to 32; alpha is twice that


class StackedPairs(Dataset):
    """
    Pixels and references of a pair, made anew at every visit.

    Args:
        rows (`Sequence[dict]`): with `before`, `after` (a `PIL.Image.Image` or the path of one) and `captions`.
        processor (`Blip2Processor`): the stock one.
        dtype (`torch.dtype`): of the pixels.
    """

    def __init__(self, rows, processor, dtype):
        self.rows, self.processor, self.dtype = rows, processor, dtype

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        row = self.rows[index]
        before, after = (Image.open(row[k]) if isinstance(row[k], str) else row[k] for k in ("before", "after"))
        canvas = Image.new("RGB", (before.width, before.height + after.height))
        canvas.paste(before, (0, 0))
        canvas.paste(after, (0, before.height))
        inputs = self.processor(images=canvas, text=PROMPT, return_tensors="pt")
        return inputs["pixel_values"].squeeze(0).to(self.dtype), row["captions"]


def collate(samples):
    """Samples to `pixel_values` (N, 3, H, W) and N lists of references."""
    return torch.stack([pixels for pixels, _ in samples]), [captions for _, captions in samples]


class AuthorsLoop:
    """
    The loop over the weights of a model of ours, which stays as it is.

    Args:
        model ([`Blip2IDCForConditionalGeneration`]): with OPT.
        processor ([`Blip2IDCProcessor`]): whose canvas size and tokenizer are used.
        rows (`Sequence[dict]`): as for [`StackedPairs`].
        batch_size (`int`), workers (`int`): of the loader.
    """

    def __init__(self, model, processor, rows, batch_size, workers=1):
        self.device = model.device
        with self.device:
            peer = Blip2ForConditionalGeneration._from_config(
                copy.deepcopy(model.config), dtype=model.dtype, attn_implementation="eager"
            )
        peer.load_state_dict(model.state_dict())
        peer = peer.half() if self.device.type == "cuda" else peer.float()
        # as its checkpoint's: </s> before the text, and for padding
        self.tokenizer = copy.deepcopy(processor.tokenizer)
        begin = (self.tokenizer.bos_token, self.tokenizer.bos_token_id)
        self.tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"{begin[0]} $A", special_tokens=[begin]
        )
        self.tokenizer.pad_token = self.tokenizer.eos_token
        self.image_tokens = [model.config.image_token_index] * model.config.num_query_tokens
        stock = Blip2Processor(
            processor.image_processor, copy.deepcopy(self.tokenizer), num_query_tokens=len(self.image_tokens)
        )
        self.loader = DataLoader(
            StackedPairs(rows, stock, peer.dtype), batch_size, shuffle=True, num_workers=workers, collate_fn=collate,
            pin_memory=self.device.type == "cuda", drop_last=True,
        )  # fmt: skip
        lora = lora_config(targets="authors", r=RANK, lora_alpha=2 * RANK, lora_dropout=0.05)
        self.model = get_peft_model(peer, lora).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), LEARNING_RATE)

    def encode(self, captions):
        """One of each row's references as `torch.LongTensor` (N, 30): `</s>`, the caption, and `</s>` to the end."""
        return torch.tensor(
            [
                self.tokenizer.encode(
                    random.choice(references), add_special_tokens=True, max_length=TEXT_LENGTH, padding="max_length",
                    truncation=True,
                )
                for references in captions
            ]
        )  # fmt: skip

    def loss(self, pixel_values, text):
        """
        Mean cross-entropy of each token of `text` (N, 30) but the first, whichever it is; of the pixels (N, 3, H, W).

        In their version of transformers the Q-Former's output is put before the text; today image tokens hold its
        place. No mask is given, and logits are computed everywhere and cut.
        """
        images = torch.tensor(self.image_tokens).expand(len(text), -1)
        ids = torch.cat([images, text], 1).to(self.device)
        logits = self.model(pixel_values=pixel_values.to(self.device), input_ids=ids).logits[:, -text.shape[1] : -1]
        return F.cross_entropy(logits.flatten(0, 1), ids[:, -text.shape[1] + 1 :].flatten())

    def steps(self, count):
        """Takes `count` (`int`) steps, from a new epoch on; yields after each."""
        while count:
            for _, (pixel_values, captions) in zip(range(count), self.loader, strict=False):
                loss = self.loss(pixel_values, self.encode(captions))
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                count -= 1
                yield
