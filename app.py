"""The Space: `python app.py` shows the page, with the models named in BLIP2IDC_MODELS, separated by commas."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # settled when torch is loaded; as `blip2idc serve` does it

from modeling_blip2idc.app.page import build, serve, space_models  # noqa: E402

if __name__ == "__main__":
    serve(build(space_models()))
