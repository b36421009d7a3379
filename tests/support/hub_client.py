"""A process with a client of a Hub on localhost, and what may go wrong on the way."""

import json
import subprocess
import sys

# Makes the call of each line of its input. It does not wait, and says how long it would have waited.
CALLS = """
import json, sys, time
exec(sys.argv[1])
waits = []
time.sleep = waits.append
for line in sys.stdin:
    waits.clear()
    try:
        out = {"done": function(**json.loads(line))}
    except (OSError, ValueError, RuntimeError) as error:
        out = {"error": str(error)}
    print(json.dumps({**out, "waits": waits}), flush=True)
"""
PUBLISH = """
from modeling_blip2idc.hub import push
def function(name="publish", **arguments):
    return getattr(push, name)(**arguments)
"""

PASSING = {
    "500 once": {"status": 500},
    "429 once": {"status": 429, "retry_after": 7},
    "cut in the request": {"cut": "request"},
    "cut before the answer": {"cut": "answer"},
    "cut in the answer": {"cut": "body"},
    "slow": {"pause": 0.02},
}
LASTING = {"500": {"status": 500, "times": 99}, "429": {"status": 429, "retry_after": 7, "times": 99}}
LASTING["cut"] = {"cut": "answer", "times": 99}
FAULTS = {**PASSING, **LASTING}


class Client:
    """A process that makes calls for as long as it is asked to."""

    def __init__(self, hub, home, function):
        command = [sys.executable, "-c", CALLS, function]
        env = hub.env(home, "ann-write", HF_HUB_VERBOSITY="error")
        self.process = subprocess.Popen(command, env=env, cwd=home, stdin=-1, stdout=-1, text=True)

    def __call__(self, **arguments) -> dict:
        print(json.dumps(arguments, default=str), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(30)
