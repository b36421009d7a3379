"""The Space: `python app.py` shows the page, with the models named in BLIP2IDC_MODELS, separated by commas."""

import os

from modeling_blip2idc.space_blip2idc import build, serve

if __name__ == "__main__":
    models = os.environ.get("BLIP2IDC_MODELS", "").split(",")
    serve(build(model.strip() for model in models if model.strip()))
