"""Finished runs of a synthesis with everything in them that a card has to tell, and to keep to itself."""

from pathlib import Path

import pyarrow.parquet as pq
from datasets import Dataset, Features, Image, Value

from datasets_syned.synthesis import Settings, SplitSettings
from datasets_syned.synthesis.editors.procedural import ProceduralEditor
from datasets_syned.synthesis.paraphrasers.protocol import Paraphrases
from datasets_syned.synthesis.run import synthesize
from datasets_syned.synthesis.sources import SceneSource
from tests.support.synthesis_runs import SMALL


class FolderEditor(ProceduralEditor):
    """As an editor of a local folder calls itself."""

    id, revision = "my-editor", "sha256:0123"


class TwoAnswers:
    """Answers to each instruction with one paraphrase that is good, and one that is not."""

    id, revision, versions = "my-chat", "c0ffee", {}
    parameters = {"temperature": 0.7, "system": "Say it\nin `other` words."}

    def load(self):
        pass

    def paraphrase(self, instructions, count, seeds):
        return [Paraphrases([f"{text} now"], [("I cannot", "refusal")], 2) for text in instructions]


def plain_run(out: Path, **settings) -> Path:
    """Scenes alone, in one split, unless the settings say something else; nothing fails."""
    defaults = {"splits": {"train": SplitSettings(SMALL, variants=3, limit=4)}, "editor": "procedural"}
    synthesize(Settings(**{**defaults, **settings}), out)
    return out


def mixed_run(root: Path) -> Path:
    """
    Two splits. Of five images from files of one's own, one is missing and one is broken. Of the scenes, paraphrases.
    Editor and paraphraser are named by the folders that they lie in.
    """
    source, rows = SceneSource(rows=5, width=48, height=32), []
    for row in source.rows():
        path = root / "pictures of mine" / f"{row.index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read(row.index))
        rows.append({"id": row.id, "image": str(path), "instruction": row.instruction})
    features = Features({"id": Value("string"), "image": Image(), "instruction": Value("string")})
    table = Dataset.from_dict({name: [row[name] for row in rows] for name in features}, features=features).data.table
    pq.write_table(table, root / "source.parquet")  # with the paths of the images
    Path(rows[1]["image"]).unlink()
    Path(rows[2]["image"]).write_bytes(b"no image")
    mine = {"path": "parquet", "split": "train", "data_files": str(root / "source.parquet"), "data_dir": str(root)}
    splits = {
        "train": SplitSettings({**mine, "cache_dir": str(root / "cache")}, variants=3),
        "test": SplitSettings({**SMALL, "split": "test"}, variants=1, limit=3, paraphrases=2),
    }
    models = {"editor": str(root / "my-editor"), "paraphraser": str(root / "my-chat")}
    filters = [{"changed_area": "0.001:0.9"}, "near_duplicates"]
    settings = Settings(splits, **models, filters=filters, sources_per_part=1, rows_per_shard=3)
    synthesize(settings, root / "run", editor=FolderEditor(), paraphraser=TwoAnswers())
    return root / "run"
