"""Puts a configuration into a dataset repository of the Hub, where it loads with no code of ours."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
from datasets.utils.py_utils import convert_file_size_to_int

from ..loading.registration import NAME
from .card import Entry, update_card
from .describe import describe, why_withheld

ATTEMPTS = 5  # while others write to the repository
AGAIN = "Once that is mended, the same command continues: what is uploaded is not uploaded again."
NEW_CARD = "---\n{}\n---\n"


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
    license: str | None = None,
    language: str | None = None,
    dry_run: bool = False,
    **options: Any,
) -> str:
    """
    Builds a configuration and uploads it, as Parquet files with the images inside and a section of the card, in one
    commit. The files of a run of `syned synthesize` are uploaded as they are. Other configurations of the repository
    stay as they are. Whenever it is interrupted, the same call continues.

    Args:
        config (`str`): name of the configuration.
        repo (`str`): dataset repository on the Hub, made unless it is there; "owner/name", or a name of your own.
        private (`bool`, *optional*, defaults to `False`): make it a private one. Refused where there is a public one.
        token (`str`, *optional*): a token of the Hub that may write; by default the one you are logged in with.
        revision (`str`, *optional*): branch to write to, made unless it is there; by default "main".
        max_shard_size (`int` or `str`, *optional*, defaults to `"500MB"`): of a Parquet file that is written.
        license (`str`, *optional*): of your data, by the Hub's name such as "cc-by-4.0"; by default the source's.
        language (`str`, *optional*):
            of the captions, as codes with commas between them; by default "en", and unknown for pairs of your own.
        dry_run (`bool`, *optional*, defaults to `False`): build and audit, upload nothing.
        options: arguments of the configuration, such as `data_dir`.

    Returns:
        `str`: address of the repository; of a dry run what would be uploaded, and the card.

    Raises:
        PublishError: the configuration must not be published, or the Hub does not take it; says why in a sentence.
        ValueError: the configuration cannot be built.

    Example:
        >>> publish("spot_the_diff", "someone/syned", data_dir="std/")
        'https://huggingface.co/datasets/someone/syned'
    """
    from huggingface_hub import DatasetCard, HfApi, get_token

    builder = datasets.load_dataset_builder(NAME, config, **options)
    withheld = why_withheld(builder.config)
    if withheld and not private:
        raise PublishError(f"config {config!r} is not published, unless into a private repository: {withheld}")
    api = HfApi(token=token, endpoint=datasets.config.HF_ENDPOINT, library_name="blip2idc")
    with _said_plainly(repo, token or get_token()):
        if not dry_run:
            api.whoami()  # before the work is done
    builder.download_and_prepare()
    data = builder.as_dataset()
    entry = describe(builder, data, license, tuple(language.split(",")) if language else ())
    if dry_run:
        card = DatasetCard(NEW_CARD)
        update_card(card, repo, entry)
        lines = [f"{split}: {len(rows):,} pairs, {rows.data.nbytes / 1e6:,.1f} MB" for split, rows in data.items()]
        return "\n".join(
            [f"To upload to {repo}, as configuration {config}, with the card below:", *lines, "", str(card)]
        )
    with tempfile.TemporaryDirectory(dir=Path(builder.cache_dir).parent, prefix="push-") as folder:
        files = parquet_files(builder.config, data, Path(folder), max_shard_size or datasets.config.MAX_SHARD_SIZE)
        with _said_plainly(repo, token or get_token()):
            # None: an organization may have made up its mind
            repo = api.create_repo(repo, repo_type="dataset", private=private or None, exist_ok=True).repo_id
            if private and not api.dataset_info(repo).private:
                raise PublishError(
                    f"{repo} is there and is public, nothing was uploaded: make it private, or choose another"
                )
            if revision:
                api.create_branch(repo, branch=revision, repo_type="dataset", exist_ok=True)
            _commit(api, repo, revision, entry, files)
    return f"{api.endpoint}/datasets/{repo}"


def parquet_files(
    config: datasets.BuilderConfig, data: datasets.DatasetDict, folder: Path, max_shard_size: int | str
) -> dict[str, Path]:
    """
    Parquet files by their path in the repository: those of a run where they hold the rows, others written.

    Args:
        config (`BuilderConfig`), data (`DatasetDict`): a configuration, built.
        folder (`Path`): where files are written.
        max_shard_size (`int` or `str`): of those.
    """
    files = {}
    for split, rows in data.items():
        there = _of_run(config, split, rows)
        if not there:
            count = min(len(rows), int(rows.data.nbytes / convert_file_size_to_int(max_shard_size)) + 1)
            there = [folder / f"{split}-{index:05d}-of-{count:05d}.parquet" for index in range(count)]
            for index, path in enumerate(there):
                rows.shard(count, index, contiguous=True).to_parquet(path)
        files |= {f"{config.name}/{path.name}": path for path in there}
    return files


def _of_run(config: datasets.BuilderConfig, split: str, rows: datasets.Dataset) -> list[Path]:
    """The files of a run that hold these rows; none if it is not of a run, or rows were left out."""
    if getattr(config, "record", None) is None:
        return []
    there = [path for path in config.plan.parquet if path.name.startswith(f"{split}-")]
    same = all(datasets.Features.from_arrow_schema(pq.read_schema(path)) == rows.features for path in there)
    return there if same and sum(pq.read_metadata(path).num_rows for path in there) == len(rows) else []


def _commit(api: Any, repo: str, revision: str | None, entry: Entry, files: Mapping[str, Path]) -> None:
    """Files, pictures and card in one commit; older files of the configuration go."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, DatasetCard
    from huggingface_hub.errors import HfHubHTTPError, RemoteEntryNotFoundError

    for attempt in range(1, ATTEMPTS + 1):
        head = api.dataset_info(repo, revision=revision).sha
        try:
            # of a commit: for a branch that cannot be reached, an older file in the cache would do
            card = DatasetCard.load(api.hf_hub_download(repo, "README.md", repo_type="dataset", revision=head))
        except RemoteEntryNotFoundError:
            card = DatasetCard(NEW_CARD)
        update_card(card, repo, entry)
        new = {**files, **entry.images, "README.md": str(card).encode()}
        there = api.list_repo_files(repo, repo_type="dataset", revision=head)
        old = [path for path in there if path.startswith(f"{entry.name}/") and path not in new]
        try:
            api.create_commit(
                repo,
                [
                    *(CommitOperationAdd(path, content) for path, content in new.items()),
                    *(CommitOperationDelete(path) for path in old),
                ],
                commit_message=f"Upload {entry.name}",
                repo_type="dataset",
                revision=revision,
                parent_commit=head,
            )
            return
        except HfHubHTTPError as error:
            # 409, 412: somebody else has written meanwhile, perhaps to the card
            if error.response.status_code not in (409, 412) or attempt == ATTEMPTS:
                raise


@contextmanager
def _said_plainly(repo: str, token: str | None) -> Iterator[None]:
    """Turns errors of the Hub and its clients into one sentence, without the token."""
    try:
        yield
    except PublishError:
        raise
    except Exception as error:
        cause = error  # or what it was raised from
        while cause and not type(cause).__module__.startswith(("http", "huggingface_hub")):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        said = " ".join(f"{datasets.config.HF_ENDPOINT}, {repo}: {type(cause).__name__}: {cause}".split())
        raise PublishError(f"{said.replace(token or AGAIN, '<token>')}. {AGAIN}") from error
