"""How many people can use the page at once? Requests taken many at a time against gradio's one at a time.

    python benchmarks/space.py [--users 50] [--seconds 60] [--warm_up 100] [--max_batch_size 32]

`blip2idc serve` runs in a process of its own on 127.0.0.1, with the embedded model. Its peer is the same page as
gradio does it by default: one request at a time, the next when the one before is answered. Beside them, to see what
batches alone bring, `--max_batch_size 1`: one pair at a time goes through the model, while the server is at work on
others.

Users upload their own pair of the `scenes` test split once; then each asks for its caption and heat maps (`/caption`,
through the queue as a browser does), waits for the answer, and asks again, without a pause. All of them are in one
other process, on the same cores. A request fails if it is refused, ends in an error, or if its
caption is not that of the pipeline for the user's pair.

Memory: the server's resident set every half second, after the warm-up; the median of the last third of the time
against that of the first. The warm-up is long because glibc keeps what was freed, for each of some sixty threads.

Exits with 1 if a request failed, memory grew by more than 3 %, or the batched server answered less than three times as
many requests as its peer.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil
from datasets import load_dataset
from transformers import pipeline

import datasets_syned  # noqa: F401  registers the data set
import modeling_blip2idc  # noqa: F401  registers the task

FASTER, GROWTH = 3.0, 0.03
QUEUE = 1000
ONE_AT_A_TIME = f"""
import os
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as blip2idc serve does it
from modeling_blip2idc.app.page import build, serve
page = build(max_batch_size=1, queue_size={QUEUE})
for function in page.fns.values():
    function.concurrency_limit = 1  # gradio's default
serve(page, port=0)
"""


@dataclass
class Run:
    """What was seen of one server."""

    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)  # seconds, bytes
    seconds: float = 0.0
    processor: float = 0.0  # seconds of the server

    @property
    def rate(self):
        return len(self.latencies) / self.seconds

    def grown(self):
        """Medians of the first and last third of the time, in bytes."""
        third = self.seconds / 3
        first = [size for at, size in self.memory if at < third]
        last = [size for at, size in self.memory if at >= 2 * third]
        return statistics.median(first), statistics.median(last)


def start(max_batch_size, folder):
    """A server and its address; the peer if `max_batch_size` is `None`."""
    serve = ["-m", "modeling_blip2idc", "serve", "--port", "0", "--queue_size", str(QUEUE)]
    serve += ["--max_batch_size", str(max_batch_size)]
    command = [sys.executable, *(serve if max_batch_size else ["-c", ONE_AT_A_TIME])]
    env = {**os.environ, "GRADIO_TEMP_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
    for line in process.stdout:
        if found := re.search(r"http://\S+", line):
            return process, found[0].rstrip("/")
    raise SystemExit(f"the server ended with {process.wait()}")


async def upload(session, url, images):
    form = aiohttp.FormData()
    for name, content in images.items():
        form.add_field("files", content, filename=name, content_type="image/png")
    async with session.post(f"{url}/gradio_api/upload", data=form) as answer:
        answer.raise_for_status()
        return [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in await answer.json()]


async def ask(session, url, call, data):
    """The answer to one request, or the text of what went wrong."""
    async with session.post(f"{url}/gradio_api/queue/join", json={**call, "data": data}) as answer:
        if answer.status != 200:
            return None, f"status {answer.status}: {await answer.text():.100}"
        event = (await answer.json())["event_id"]
    where = {"session_hash": call["session_hash"]}
    async with session.get(f"{url}/gradio_api/queue/data", params=where) as stream:
        async for line in stream.content:
            if line.startswith(b"data: "):
                message = json.loads(line[6:])
                if message["msg"] == "process_completed" and message["event_id"] == event:
                    output = message["output"]
                    return (output["data"], None) if message["success"] else (None, str(output)[:100])
    return None, "the stream ended without an answer"


async def user(session, url, index, images, caption, run, begin, end):
    files = await upload(session, url, images)
    call = {"fn_index": index, "session_hash": uuid.uuid4().hex}
    while (asked := time.monotonic()) < end:
        try:
            answer, problem = await ask(session, url, call, [*files, None])
        except (aiohttp.ClientError, TimeoutError) as error:
            answer, problem = None, repr(error)
        if problem is None and answer[0]["caption"] != caption:
            problem = f"{answer[0]['caption']!r} instead of {caption!r}"
        if problem is not None:
            run.failures.append(problem)
            await asyncio.sleep(0.1)
        elif begin <= time.monotonic() < end:
            run.latencies.append(time.monotonic() - asked)


async def watch(process, run, begin, end):
    """Notes the server's memory, and its processor time, from the end of the warm-up on."""
    server = psutil.Process(process.pid)
    await asyncio.sleep(max(0.0, begin - time.monotonic()))
    before = sum(server.cpu_times()[:2])
    while (now := time.monotonic()) < end:
        run.memory.append((now - begin, server.memory_info().rss))
        await asyncio.sleep(0.5)
    run.processor = sum(server.cpu_times()[:2]) - before


async def load(process, url, people, args):
    run = Run(seconds=args.seconds)
    begin = time.monotonic() + args.warm_up
    end = begin + args.seconds
    timeout, connector = aiohttp.ClientTimeout(total=300), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        async with session.get(f"{url}/config") as answer:
            found = {one["api_name"]: one["id"] for one in (await answer.json())["dependencies"]}
        index = found["caption"]
        tasks = [user(session, url, index, images, caption, run, begin, end) for images, caption in people]
        await asyncio.gather(watch(process, run, begin, end), *tasks)
    return run


def measure(max_batch_size, people, args):
    with tempfile.TemporaryDirectory() as folder:
        process, url = start(max_batch_size, folder)
        try:
            return asyncio.run(load(process, url, people, args))
        finally:
            process.terminate()
            process.wait(30)


def pairs_of(count):
    """For each user the files that it sends, and the caption that it must get."""
    rows = load_dataset("syned", "scenes", split="test", train=0, validation=0, test=count)
    said = pipeline("image-difference-captioning")(rows, batch_size=16)
    people = []
    with tempfile.TemporaryDirectory() as folder:
        for row, (best, *_) in zip(rows, said, strict=True):
            images = {}
            for side in ("before", "after"):
                row[side].save(Path(folder, "image.png"))
                images[f"{row['id']}-{side}.png"] = Path(folder, "image.png").read_bytes()
            people.append((images, best["generated_text"]))
    return people


def describe(name, run):
    first, last = run.grown()
    ordered = sorted(run.latencies)
    middle, late = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.95))
    print(
        f"{name}: {len(ordered):,} requests in {run.seconds:.0f} s, {run.rate:.1f} a second; {len(run.failures)} "
        f"failed; median {middle:.2f} s, 95 % within {late:.2f} s; {run.processor:.1f} s of its processor time; "
        f"memory {first / 2**20:.0f} MiB, then {last / 2**20:.0f} MiB ({last / first - 1:+.1%})"
    )
    for problem in run.failures[:5]:
        print(f"  {problem}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--warm_up", type=float, default=100, help="seconds before anything counts")
    parser.add_argument("--max_batch_size", type=int, default=32)
    args = parser.parse_args()
    people = pairs_of(args.users)
    short = argparse.Namespace(**{**vars(args), "warm_up": min(args.warm_up, 20)})
    runs = {}
    for name, size, how in (
        ("one at a time", None, short),
        ("one by one", 1, short),
        (f"up to {args.max_batch_size} together", args.max_batch_size, args),
    ):
        runs[size] = measure(size, people, how)
        describe(name, runs[size])
    many = runs[args.max_batch_size]
    ratio, failures = many.rate / runs[None].rate, sum(len(run.failures) for run in runs.values())
    print(
        f"throughput with {args.users} users: {ratio:.2f}x of one at a time, bar {FASTER:.0f}x; "
        f"{many.rate / runs[1].rate:.2f}x of one by one"
    )
    first, last = many.grown()
    sys.exit(bool(failures or last > (1 + GROWTH) * first or ratio < FASTER))


if __name__ == "__main__":
    main()
