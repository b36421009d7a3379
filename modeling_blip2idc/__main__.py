"""`python -m modeling_blip2idc` is `blip2idc`, some seconds slower: Python imports the package, and torch, first."""

import os
import sys

from blip2idc_cli import main

if __name__ == "__main__":
    if "OMP_WAIT_POLICY" not in os.environ:  # torch, which reads it once, is loaded already: begin anew
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.execv(sys.executable, [sys.executable, "-m", "blip2idc_cli", *sys.argv[1:]])
    sys.exit(main())
