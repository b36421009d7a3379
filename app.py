"""The Space: `python app.py` shows the page, with the models named in BLIP2IDC_MODELS, separated by commas."""

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # settled when torch is loaded; as `blip2idc serve` does it

if __name__ == "__main__":
    try:
        from modeling_blip2idc.app.page import build, serve, space_models

        serve(build(space_models()))
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not installed: pip install 'blip2idc[app]'")
