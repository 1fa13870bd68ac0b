#!/usr/bin/env python3
"""The reference harness's own readers on the files of moe-eval --out: nothing of it is needed to build or test.

    pip install lm-eval==0.4.13
    python tests/harness_readers.py OUT

For each OUT/<model>: file-name parsers, result tables, the data frames of its loggers, `datasets`, and its hashes and
means computed anew from the sample lines. Prints what was read; ends with an error at the first thing that is wrong.
"""
import json
import math
import os
import pathlib
import sys

os.environ["HF_DATASETS_OFFLINE"] = "1"
import datasets
from lm_eval import utils
from lm_eval.loggers import trackio_logger
from lm_eval.loggers.wandb_logger import WandbLogger

MEANS = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match")


class TraceKeeper:
    """Stands in for the module trackio."""
    Trace = dict


def as_logged(sample):
    """A sample as the harness's loggers get it: arguments as lists instead of named."""
    arguments = [list(a.values()) for a in sample["arguments"].values()]
    return sample | {"arguments": arguments}


def check_samples(path, results):
    changed = {file: name for name, file in results.get("libmoe_sample_files", {}).items()}
    task = changed.get(path.name, utils.get_file_task_name(path.name))
    samples = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    config, row = results["configs"][task], results["results"][task]
    for s in samples:
        assert s["doc_hash"] == utils.hash_string(json.dumps(s["doc"], indent=2, ensure_ascii=False)), (task, s["doc_id"])
        assert s["prompt_hash"] == utils.hash_string(s["arguments"]["gen_args_0"]["arg_0"])
        assert s["target_hash"] == utils.hash_string(s["target"])
    joined = "".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in samples)
    assert results["task_hashes"][task] == utils.hash_string(joined)
    filters = list(dict.fromkeys(s["filter"] for s in samples))
    assert len(samples) == row["sample_len"] * len(filters) == results["n-samples"][task]["effective"] * len(filters)
    for name in filters:
        of_filter = [s for s in samples if s["filter"] == name]
        assert [s["doc_id"] for s in of_filter] == list(range(len(of_filter)))
        for metric in of_filter[0]["metrics"]:
            if metric in MEANS:
                mean = sum(s[metric] for s in of_filter) / len(of_filter)
                assert math.isclose(mean, row[f"{metric},{name}"], abs_tol=1e-12), (task, metric)
        frame = WandbLogger._generate_dataset(None, [as_logged(s) for s in of_filter], config)
        assert len(frame) == len(of_filter)
        for s in of_filter:
            trace = trackio_logger._sample_to_trace(TraceKeeper, as_logged(s), task, config["output_type"])
            assert trace["messages"][0]["content"] == s["arguments"]["gen_args_0"]["arg_0"]
    table = datasets.load_dataset("json", data_files=str(path), split="train")
    assert len(table) == len(samples)
    return len(samples)


def check_model(folder):
    names = [str(p) for p in folder.rglob("*") if p.is_file()]
    newest = pathlib.Path(utils.get_latest_filename(utils.get_results_filenames(names)))
    results = json.loads(newest.read_text(encoding="utf-8"))
    assert newest.name == f"results_{utils.get_file_datetime(newest.name)}"
    time = utils.get_file_datetime(newest.name).removesuffix(".json")
    assert isinstance(results["date"], float) and results["total_evaluation_time_seconds"]
    print(utils.make_table(results))
    if results["groups"]:
        print(utils.make_table(results, "groups"))
    for key in ("results", "configs", "versions", "n-shot", "higher_is_better", "n-samples", "config"):
        assert results[key], key
    count = 0
    for name in utils.get_sample_results_filenames(names):
        path = pathlib.Path(name)
        if utils.get_file_datetime(path.name) == time:
            count += check_samples(path, results)
    assert count > 0
    print(f"{folder.name}: {count} sample lines read, {len(results['libmoe_checks'])} tasks")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folders = [p for p in pathlib.Path(sys.argv[1]).iterdir() if p.is_dir()]
    if not folders:
        sys.exit(f"{sys.argv[1]} holds no model's folder")
    for folder in sorted(folders):
        check_model(folder)


if __name__ == "__main__":
    main()
