"""The Space: `python app.py` shows the page, with the models named in BLIP2IDC_MODELS, separated by commas."""

from modeling_blip2idc.space_blip2idc import build, serve, space_models

if __name__ == "__main__":
    serve(build(space_models()))
