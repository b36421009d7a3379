"""Puts a configuration into a dataset repository of the Hub, where it loads with no code of ours."""

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import datasets
from PIL import Image

from ..audit.audit import audit
from ..audit.findings import Picture
from ..synthesis.card_paragraphs import package_versions, row_paragraphs, run_paragraphs, sheet_paragraphs
from .card import default_config, update_card
from .card_entry import Entry, Example

CARD_ATTEMPTS = 5  # while others write to the repository
SHEET_BYTES = 1 << 20  # of a picture in a card, at most
LOOKED_AT = 50  # first rows of a split, in search of one to show
AGAIN = "The same command continues: what is uploaded is not uploaded again."


class PublishError(RuntimeError):
    """Something was not published."""


def publish(
    config: str,
    repo: str,
    /,
    *,
    private: bool = False,
    token: str | None = None,
    revision: str | None = None,
    max_shard_size: int | str | None = None,
    **options: Any,
) -> str:
    """
    Builds a configuration, uploads it as Parquet files with the images inside, and writes its section of the card.
    Other configurations of the repository stay as they are. Whenever it is interrupted, the same call continues.

    Args:
        config (`str`): name of the configuration.
        repo (`str`): dataset repository on the Hub, made unless it is there; "owner/name", or a name of your own.
        private (`bool`, *optional*, defaults to `False`): make it a private one. Refused where there is a public one.
        token (`str`, *optional*): a token of the Hub that may write; by default the one you are logged in with.
        revision (`str`, *optional*): branch to write to, made unless it is there; by default "main".
        max_shard_size (`int` or `str`, *optional*, defaults to `"500MB"`): of a Parquet file.
        options: arguments of the configuration, such as `data_dir`.

    Returns:
        `str`: address of the repository.

    Raises:
        PublishError: the configuration must not be published, or the Hub does not take it; says why in a sentence.
        ValueError: the configuration cannot be built.

    Example:
        >>> publish("spot_the_diff", "someone/syned", data_dir="std/")
        'https://huggingface.co/datasets/someone/syned'
    """
    from huggingface_hub import HfApi, get_token

    builder = datasets.load_dataset_builder("syned", config, **options)
    withheld = why_withheld(builder.config)
    if withheld and not private:
        raise PublishError(f"config {config!r} is not published, unless into a private repository: {withheld}")
    api = HfApi(token=token, endpoint=datasets.config.HF_ENDPOINT, library_name="blip2idc")
    with _said_plainly(repo, token or get_token()):
        api.whoami()  # before the work is done
    builder.download_and_prepare()
    data = builder.as_dataset()
    entry = describe(builder, data)
    with _said_plainly(repo, token or get_token()):
        # None: an organization may have made up its mind
        repo = api.create_repo(repo, repo_type="dataset", private=private or None, exist_ok=True).repo_id
        if private and not api.dataset_info(repo).private:
            raise PublishError(
                f"{repo} is there and is public, nothing was uploaded: make it private, or choose another"
            )
        default = default_config(_card(api, repo, revision)[1], config)
        how = {"token": token, "revision": revision, "max_shard_size": max_shard_size}
        data.push_to_hub(repo, config, commit_message=f"Upload {config}", **how)
        _push_card(api, repo, revision, entry, default)
    return f"{api.endpoint}/datasets/{repo}"


def why_withheld(config: datasets.BuilderConfig) -> str:
    """Why a configuration must not be published, empty if it may be."""
    withheld = getattr(config, "WITHHELD", {})
    return "; ".join(reason for split, reason in withheld.items() if config.plan.pairs.get(split))


def describe(builder: datasets.DatasetBuilder, data: datasets.DatasetDict) -> Entry:
    """What the card says of a configuration."""
    config, info = builder.config, builder.info
    plan, own = getattr(config, "plan", None), config.name == "folder"
    dropped = {split: dict(reasons) for split, reasons in plan.dropped.items()} if plan else {}
    for split, pairs in plan.pairs.items() if plan else ():
        # what turned out to be broken when the rows were made, perhaps by an earlier process
        if broken := len(pairs) - len(data.get(split, ())):
            dropped.setdefault(split, {})["image broken"] = broken
    synthesis, sheet, told = _synthesis(config, data)
    options = _options(config)
    published = getattr(config, "COUNTS", {}) if not options else {}
    result = audit(data, published=published, dropped=dropped, notes=plan.notes if plan else {}, samples=0)
    title = getattr(config, "TITLE", config.name)
    about = [] if plan else [info.description.partition(". ")[0] + "."]
    if withheld := why_withheld(config):
        about.append(f"Not to be passed on: {withheld}.")
    return Entry(
        name=config.name,
        data=data,
        title="Own pairs" if own else title[0].upper() + title[1:],
        about=" ".join(about),
        license=info.license,
        homepage=info.homepage,
        citation=info.citation,
        sources=() if own or synthesis else getattr(config, "SOURCES", ()),
        options=options,
        dropped=_but(dropped, told),
        notes=_but(plan.notes, told) if plan else {},
        audit=result,
        example=_example(config.name, data),
        synthesis=tuple(synthesis),
        sheet=sheet,
    )


def _synthesis(
    config: datasets.BuilderConfig, data: datasets.DatasetDict
) -> tuple[list[str], dict[str, bytes], dict[str, set[str]]]:
    """Paragraphs on how synthetic pairs were made, the picture in them, and by split the counts that they tell."""
    record = getattr(config, "record", None)
    if record is None:
        return row_paragraphs(data, level=3), {}, {}
    paragraphs, sheet = run_paragraphs(record.run, package_versions(data), level=3), {}
    if content := record.sheet():
        content, kind = _picture(content)
        path = f"assets/{config.name}-contact-sheet.{kind}"
        sheet[path] = content
        paragraphs += sheet_paragraphs(path)
    told = {split: {*record.left_out(split), *record.notes(split)} for split in record.run["splits"]}
    return paragraphs, sheet, told


def _but(counts: dict[str, dict[str, int]], told: dict[str, set[str]]) -> dict[str, dict[str, int]]:
    """Counts by split without those that are told elsewhere."""
    return {
        split: {what: count for what, count in of_split.items() if what not in told.get(split, ())}
        for split, of_split in counts.items()
    }


def _picture(content: bytes) -> tuple[bytes, str]:
    """A picture that is no larger than a card should load, and the suffix of its file."""
    if len(content) <= SHEET_BYTES:
        return content, "png"
    image = Image.open(io.BytesIO(content)).convert("RGB")
    while True:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85, optimize=True)
        if buffer.tell() <= SHEET_BYTES:
            return buffer.getvalue(), "jpg"
        image.thumbnail((image.width * 4 // 5, image.height * 4 // 5))


def _options(config: datasets.BuilderConfig) -> dict[str, Any]:
    """Arguments that decide what the rows are and differ from their defaults; no places on this machine."""
    base = {field.name for field in fields(datasets.BuilderConfig)} | getattr(config, "PLACES", frozenset())
    base.add("on_error")  # what it left out is told of
    own = {field.name: field.default for field in fields(config) if field.name not in base}
    chosen = {name: getattr(config, name) for name, default in own.items() if getattr(config, name) != default}
    return {name: value for name, value in sorted(chosen.items()) if not re.search(r"[/\\]", str(value))}


def _example(name: str, data: datasets.DatasetDict) -> Example | None:
    """The first pair with a change whose images can be shown."""
    for split, rows in data.items():
        for side in ("before", "after"):
            rows = rows.cast_column(side, datasets.Image(decode=False))
        for row in rows.select(range(min(LOOKED_AT, len(rows)))):
            if row["changed"]:
                small = {side: Picture(row[side]).thumbnail() for side in ("before", "after")}
                if all(small.values()):
                    jpeg = {side: base64.b64decode(image["uri"].partition(",")[2]) for side, image in small.items()}
                    images = {f"assets/{name}-{side}.jpg": content for side, content in jpeg.items()}
                    return Example(split, {key: row[key] for key in ("id", "captions", "category")}, images)
    return None


def _card(api, repo: str, revision: str | None):
    """The commit that a branch is at, and the card there, `None` if there is none."""
    from huggingface_hub import DatasetCard
    from huggingface_hub.errors import RemoteEntryNotFoundError, RevisionNotFoundError

    try:
        head = api.dataset_info(repo, revision=revision).sha
    except RevisionNotFoundError:
        head = api.dataset_info(repo).sha  # where the branch will begin
    try:
        # of a commit: for a branch that cannot be reached, an older file in the cache would do
        path = api.hf_hub_download(repo, "README.md", repo_type="dataset", revision=head)
    except RemoteEntryNotFoundError:
        return head, None
    return head, DatasetCard.load(path)


def _push_card(api, repo: str, revision: str | None, entry: Entry, default: str | None) -> None:
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.errors import HfHubHTTPError

    for attempt in range(1, CARD_ATTEMPTS + 1):
        head, card = _card(api, repo, revision)
        update_card(card, repo, entry, default)
        files = {"README.md": str(card).encode(), **entry.images}
        try:
            api.create_commit(
                repo,
                [CommitOperationAdd(path_in_repo=path, path_or_fileobj=content) for path, content in files.items()],
                commit_message=f"Card of {entry.name}",
                repo_type="dataset",
                revision=revision,
                parent_commit=head,
            )
            return
        except HfHubHTTPError as error:
            # 409, 412: somebody else has written meanwhile, perhaps to the card
            if error.response.status_code not in (409, 412) or attempt == CARD_ATTEMPTS:
                raise


@contextmanager
def _said_plainly(repo: str, token: str | None) -> Iterator[None]:
    """Turns errors of the Hub and its clients into one sentence, without the token."""
    try:
        yield
    except PublishError:
        raise
    except Exception as error:
        text = _sentence(error, repo)
        if text is None:
            raise
        raise PublishError(text.replace(token, "<token>") if token else text) from error


def _sentence(error: BaseException, repo: str) -> str | None:
    """What went wrong with the Hub, `None` if it was something else."""
    from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError, RepositoryNotFoundError

    chain = [error]
    while (following := chain[-1].__cause__ or chain[-1].__context__) is not None and following not in chain:
        chain.append(following)
    hub = datasets.config.HF_ENDPOINT
    for one in chain:
        if isinstance(one, LocalTokenNotFoundError):
            return f"{hub} wants a token: log in with `hf auth login`, set HF_TOKEN, or give one"
        if isinstance(one, HFValidationError):
            return f"{repo!r} is no name of a repository: {' '.join(str(one).split())}"
        response = getattr(one, "response", None)
        if response is not None:
            status, said = response.status_code, " ".join((getattr(one, "server_message", None) or "").split())
            reason = {
                401: "the token is not accepted; make another in your settings there",
                403: "the token may not write there; it needs the role 'write', and the repository must be yours",
                429: f"too many requests; wait a little. {AGAIN}",
            }.get(status, f"it has a problem. {AGAIN}" if status >= 500 else said or type(one).__name__)
            if isinstance(one, RepositoryNotFoundError):
                reason = "there is no such repository, or the token may not see it"
            return f"{hub} refused {repo} with HTTP status {status}: {reason}"
        if type(one).__module__.split(".")[0].startswith("http"):
            return f"the connection to {hub} failed ({type(one).__name__}). {AGAIN}"
    return None
