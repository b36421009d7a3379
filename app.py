"""The Space: `python app.py` shows the page, with the models named in BLIP2IDC_MODELS, separated by commas."""

import os
import sys

from blip2idc_cli import main

if __name__ == "__main__":
    names = filter(None, map(str.strip, os.environ.get("BLIP2IDC_MODELS", "").split(",")))
    sys.exit(main(["serve", *(f"--model={name}" for name in names)]))
