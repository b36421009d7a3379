"""Fine-tunes a BLIP-2 for image difference captioning, scores it, and leaves it ready to load or publish.

    python train_trainer.py recipes/mini.yaml
    python train_trainer.py recipes/spot_the_diff.yaml --data_dir std/ --seeds 1 2 3 --push_to_hub

A recipe is a YAML file of the arguments below and of those of `Seq2SeqTrainingArguments`; what is given on the command
line wins. `accelerate launch train_trainer.py ...` and `torchrun` train on several devices. The same command continues
a run that was interrupted, and with more `--max_steps` or `--num_train_epochs` it extends one that has finished.
`<output_dir>` then holds `report.json`, `report.md`, `gallery.html`, `predictions.jsonl`, `curves.png` and
`metrics.jsonl`, and `final/` the model or the adapter with its card.
"""

if __name__ == "__main__":  # before the imports below, which take seconds or may be missing
    import sys

    import blip2idc_scripts

    sys.exit(blip2idc_scripts.train())

import copy
import shutil
from functools import partial
from pathlib import Path

import evaluate
from torch import distributed
from transformers import EarlyStoppingCallback, set_seed

from datasets_syned import BlurJPEG, IDCCollator
from datasets_syned.common.image_paths import data_folders, open_images
from datasets_syned.loading.specs import place_spec
from datasets_syned.training import training_data
from datasets_syned.training.compute_metrics import Scorer
from datasets_syned.training.dense_supervision import DenseSupervisionCollator
from datasets_syned.training.grammars import score_captions
from metrics.report import build_report, draw_curves, summarize_seeds, write_predictions, write_report
from modeling_blip2idc.checkpoints_blip2idc import EMBEDDED
from modeling_blip2idc.from_scratch.build import add_auxiliary, build_from_scratch, remove_auxiliary
from modeling_blip2idc.hub.contact_sheet import contact_sheet, first_of_each
from modeling_blip2idc.hub.model_card import write_card
from modeling_blip2idc.hub.push import push
from modeling_blip2idc.hub.saving import name_base, remove_code, save_compact
from modeling_blip2idc.image_processing_blip2idc import make_canvas
from modeling_blip2idc.loading import vocabulary
from modeling_blip2idc.loading.load import check_folder, commit_of, load_idc
from modeling_blip2idc.loading.lora import count_trainable
from modeling_blip2idc.loading.trainable import load_trainable
from modeling_blip2idc.training.abstention import calibrate, judge, sureness_of
from modeling_blip2idc.training.checkpoints import RunLog, last_checkpoint
from modeling_blip2idc.training.dry_run import describe, dry_run
from modeling_blip2idc.training.run_folder import about_run, note, point_to_final, release_run
from modeling_blip2idc.training.trainer import IDCTrainer
from train_arguments import hub_target, preflight, runs

METRIC = Path(__file__).parent / "metrics" / "cider"


def make_model(args, training_args, supervision=None, captions=(), extend=False):
    """The model to be trained and its processor, which knows the words of the captions or is extended by them."""
    if args.scratch is not None:
        of = supervision or training_data.Supervision([{}])
        model, processor = build_from_scratch(of.words, no_change_captions=of.no_change_captions, **args.scratch)
        if extend:
            vocabulary.extend_vocabulary(model, processor, captions)
        vocabulary.check_vocabulary(processor, captions)
        if supervision is not None:
            add_auxiliary(model, *supervision.classes)
    else:
        names = ("revision", "dtype", "attn_implementation", "tuning", "towers", "targets", "rank", "lora_alpha")
        options = {name: getattr(args, name) for name in (*names, "lora_dropout")}
        options["activation_checkpointing"] = training_args.activation_checkpointing
        options |= {"captions": captions, "extend": extend}
        model, processor = load_trainable(args.model, device=training_args.device, **options)
    for name in ("prompt", "draft"):
        if (value := getattr(args, name)) is not None:
            setattr(processor, name, value)
    for name in ("max_new_tokens", "num_beams"):
        if (value := getattr(training_args, name)) is not None:
            setattr(model.generation_config, name, value)
    return model, processor


def canvas(before, after, size, concat_axis):
    """The canvas of a pair, a `PIL.Image`: what `datasets_syned` may not know."""
    return make_canvas(before, after, size, concat_axis)[0]


def image_folders(args):
    """Where image files that rows name may be."""
    return [folder for spec in args.specs for folder in data_folders(place_spec(spec, args.data_dir))]


def make_train_data(args, training_args, parts, processor, config, supervision=None):
    """Rows to train on, and what collates them."""
    if supervision is not None:
        training_args.train_sampling_strategy = "sequential"  # the order is drawn inside
        rows_per_step = training_args.train_batch_size * training_args.gradient_accumulation_steps
        rows = supervision.rows(
            parts,
            partial(canvas, size=dict(processor.image_processor.size), concat_axis=processor.concat_axis),
            (config.vision_config.image_size, config.vision_config.patch_size),
            training_args.max_steps * rows_per_step * training_args.world_size,
            args.curriculum,
            training_args.seed,
            num_proc=args.num_proc,
        )
        return rows, DenseSupervisionCollator(processor)
    options = {"max_length": args.max_length, "folders": image_folders(args)}
    options["augment"] = BlurJPEG() if args.augment else None
    collator = IDCCollator(processor, seed=training_args.seed, **options)
    rows = training_data.concatenate(parts, training_args.seed, args.shuffle_buffer)
    if training_args.train_sampling_strategy == "group_by_length":
        rows = training_data.with_lengths(rows, lambda captions: processor.tokenizer(captions)["input_ids"])
    return rows, collator


def make_trainer(model_args, data_args, training_args, parts, eval_rows):
    """The Trainer of one run."""
    set_seed(training_args.seed)
    training_args = copy.copy(training_args)
    training_args.push_to_hub = False  # the Trainer would publish its checkpoints
    training_args.hub_token = None  # it would be in training_args.bin
    supervision = training_data.Supervision(data_args.train_data) if data_args.dense_supervision else None
    captions = [] if supervision else [*training_data.captions_of(parts), *filter(None, [model_args.prompt])]
    model, processor = make_model(model_args, training_args, supervision, captions, data_args.extend_vocabulary)
    train_rows, collator = make_train_data(data_args, training_args, parts, processor, model.config, supervision)
    callbacks = [RunLog(draw_curves)]
    if training_args.early_stopping_patience is not None:
        callbacks.append(EarlyStoppingCallback(training_args.early_stopping_patience))
    metric = evaluate.load(str(METRIC))
    plain = IDCCollator(processor, max_length=data_args.max_length, folders=image_folders(data_args))
    return IDCTrainer(
        model,
        training_args,
        data_collator=collator,
        eval_collator=plain.for_evaluation(),
        train_dataset=train_rows,
        eval_dataset=eval_rows,
        processing_class=processor,
        compute_metrics=None if eval_rows is None else Scorer(eval_rows, processor.post_process_captions, metric),
        callbacks=callbacks,
        muon_lr=training_args.muon_lr,
        auxiliary_weights=training_args.auxiliary_weights,
    )


def train(model_args, data_args, training_args, parts, eval_rows, test_rows):
    """One run: trains, saves, scores what was saved, writes report and card. Returns the report."""
    commit = commit_of(model_args.model, model_args.revision)
    trainer = make_trainer(model_args, data_args, training_args, parts, eval_rows)
    autocast = {"bf16": "bfloat16", "fp16": "float16"}.get(trainer.accelerator.mixed_precision)
    precision = {"dtype": str(trainer.model.dtype).removeprefix("torch."), "autocast": autocast}
    trainable = {part: n for part, n in count_trainable(trainer.model).items() if n}
    if trainer.is_world_process_zero():
        print("trainable parameters:", ", ".join(f"{part} {n:,}" for part, n in trainable.items()), flush=True)
        scored = {"eval_data": eval_rows, "test_data": test_rows}
        captions = {name: training_data.captions_of([rows]) for name, rows in scored.items() if rows is not None}
        vocabulary.note_unknown(trainer.processing_class, captions)
    trainer.train(resume_from_checkpoint=last_checkpoint(training_args.output_dir))

    folder = Path(training_args.output_dir)
    save(trainer, model_args, folder / "final", commit)
    judged = partial(judge, folder / "final", is_right=is_right, device=training_args.device)
    opened = partial(open_images, folders=image_folders(data_args))
    if data_args.dense_supervision and eval_rows is not None and trainer.is_world_process_zero():
        calibrate(folder / "final", *judged(eval_rows.with_transform(opened)))
    trainer.accelerator.wait_for_everyone()
    report = {"about": about_run(model_args, data_args, training_args, trainer.state, trainable, precision, commit)}
    if data_args.dense_supervision and (knows := training_data.Supervision(data_args.train_data).knows):
        report["about"]["knows"] = knows
    if test_rows is not None:
        scorer = score(trainer, folder / "final", test_rows, precision["dtype"])
        if trainer.is_world_process_zero():
            shown = test_rows.with_transform(opened)
            report = build_report(
                scorer.captions,
                scorer.references,
                ids=list(test_rows["id"]),
                categories=scorer.categories,
                changed=list(test_rows["changed"]) if "changed" in test_rows.column_names else None,
                benchmark=data_args.test_data.get("name"),
                about=report["about"],
                extra=scorer.of_the_grammar() | sureness_of(folder / "final", partial(judged, shown)),
            )
            write_report(folder, report, shown)
            shutil.copyfile(folder / "report.json", folder / "final" / "report.json")
            write_predictions(folder / "predictions.jsonl", report["pairs"])
            contact_sheet(first_of_each(shown, scorer.captions)).save(folder / "final" / "examples.png")
            cider = 100 * report["scores"]["cider"]
            print(f"CIDEr {cider:.1f} on {report['count']:,} test pairs; see {folder / 'report.md'}", flush=True)
    if trainer.is_world_process_zero():
        point_to_final(folder)
        if test_rows is None:
            note(report, folder / "final")
        write_card(folder / "final", report, folder / "curves.png")
    trainer.accelerator.wait_for_everyone()
    trainer.accelerator.free_memory()
    return report


def is_right(captions, rows):
    """Whether each caption names the right kind of change; empty for rows whose captions cannot be read back."""
    rows = rows.with_format(None)
    each = zip(captions, rows["captions"], rows["category"], strict=True)
    read = (score_captions([said], [references], [category]) for said, references, category in each)
    return [scores["category_accuracy"] == 1 for found in read for scores in found.values()]


def save(trainer, args, out, commit):
    """Writes what is published: the model, or the adapter (of that commit of its base), and its processor."""
    if args.scratch is not None:
        if trainer.is_world_process_zero():
            save_compact(remove_auxiliary(trainer.model), trainer.processing_class, out)
    else:
        trainer.save_model(out)
        if trainer.is_world_process_zero():
            (out / "training_args.bin").unlink()  # a pickle, and full of this machine
            remove_code(out)
            name_base(out, check_folder(args.model), commit)
            trainer.model.generation_config.save_pretrained(out)
    trainer.accelerator.wait_for_everyone()


def score(trainer, out, rows, dtype):
    """
    Captions rows with what was written, read back as anybody would, but in the precision of validation: `dtype` for
    the weights (four bits, if it was trained over those), and the Trainer's autocast. Returns the scorer.
    """
    options = {"dtype": dtype}
    if (four_bits := getattr(trainer.model.config, "quantization_config", None)) is not None:
        options |= {"quantization_config": four_bits, "device_map": {"": trainer.args.device}}
    model = load_idc(out, **options)[0]
    trainer.model = trainer.model_wrapped = model if "device_map" in options else model.to(trainer.args.device)
    decode, metric = trainer.processing_class.post_process_captions, evaluate.load(str(METRIC))
    trainer.compute_metrics = Scorer(rows, decode, metric)
    trainer.predict(rows)
    return trainer.compute_metrics


def main(model_args, data_args, training_args):
    """Trains once, or once for each of the seeds. Returns what `report.json` holds."""
    preflight(model_args, data_args, training_args)
    pairs, seconds = training_data.to_render(data_args.specs)
    if pairs and training_args.process_index == 0:
        print(f"rendering {pairs:,} pairs first, which takes about {seconds:.0f} s", flush=True)
    parts, (eval_rows, test_rows) = (
        [spec and training_data.load(place_spec(spec, data_args.data_dir)) for spec in specs]
        for specs in (data_args.train_data, (data_args.eval_data, data_args.test_data))
    )
    if training_args.dry_run:
        result = dry_run(
            lambda args: make_trainer(model_args, data_args, args, parts, eval_rows),
            training_args,
            test_rows if eval_rows is None else eval_rows,
        )
        if training_args.process_index == 0:
            print(describe(result), flush=True)
        return result
    data = parts, eval_rows, test_rows
    try:
        reports = {args.seed: train(model_args, data_args, args, *data) for args in runs(training_args)}
    except vocabulary.UnknownWordsError:
        release_run(training_args.output_dir)  # the same command with extend_vocabulary shall find it free
        raise
    report, folder = next(iter(reports.values())), Path(training_args.output_dir)
    if training_args.process_index == 0:
        if training_args.seeds:
            report = combine(reports, model_args, folder, training_args.greater_is_better)
        if training_args.push_to_hub:
            done = push(folder / "final", *hub_target(training_args), message="Trained model")
            print("published as", done.repo, *done.notes, flush=True)
        if training_args.embed:
            shutil.copytree(folder / "final", EMBEDDED[training_args.embed], dirs_exist_ok=True)
    return report


def combine(reports, args, folder, greater_is_better):
    """The report of several seeds: the best one's by its evaluation split, and how much the seeds differ."""
    choose = max if greater_is_better else min
    best = choose(reports, key=lambda seed: reports[seed]["about"]["evaluation"] or 0.0)
    shutil.copytree(folder / f"seed-{best}" / "final", folder / "final", dirs_exist_ok=True)
    name_base(folder / "final", check_folder(args.model))
    point_to_final(folder)
    report = {**reports[best], "about": {**reports[best]["about"], "model": folder.resolve().name}}
    if "scores" in report:
        report["seeds"] = summarize_seeds(reports)
        write_report(folder, report)
        shutil.copyfile(folder / "report.json", folder / "final" / "report.json")
    else:
        note(report, folder / "final")
    write_card(folder / "final", report, folder / f"seed-{best}" / "curves.png")
    return report


def leave_together():
    """Ends the processes of a run together: one that ends first can take the others' connection with it."""
    if distributed.is_initialized():
        distributed.barrier()
        distributed.destroy_process_group()
