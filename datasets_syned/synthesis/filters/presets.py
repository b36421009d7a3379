"""The thresholds of the literature, as [`load_filters`] takes them."""

PRESETS = {
    # dataset_creation/generate_img_dataset.py of https://github.com/timothybrooks/instruct-pix2pix, the defaults of
    # --clip-threshold, --clip-dir-threshold, --clip-img-threshold; metrics/clip_similarity.py: CLIP ViT-L/14. There
    # it then takes the 4 of 100 samples with the best direction, which no filter of single rows does.
    "instruct_pix2pix": {
        "clip_image_text": {"min": 0.2, "model": "openai/clip-vit-large-patch14"},
        "clip_direction": {"min": 0.2, "model": "openai/clip-vit-large-patch14"},
        "image_similarity": {"min": 0.7, "model": "openai/clip-vit-large-patch14"},
    },
    # data_generation/data_generation.py of https://github.com/HaozheZhao/UltraEdit, the defaults of the options
    # (--clip-threshold, --clip-dir-threshold, --clip-img-threshold, --dinov2-sim-threshold); the script beside it for
    # SDXL-Turbo sets .22, .75, .4 for the last three. metrics/clip_similarity.py: CLIP ViT-L/14 and DINOv2 ViT-L/14
    # with registers, the latter on 518 pixels that are not normalised; here as its own image processor does it.
    "ultra_edit": {
        "clip_image_text": {"min": 0.2, "model": "openai/clip-vit-large-patch14"},
        "clip_direction": {"min": 0.2, "model": "openai/clip-vit-large-patch14"},
        "image_similarity": {"min": 0.8, "model": "openai/clip-vit-large-patch14"},
        "dino_similarity": {"min": 0.3, "model": "facebook/dinov2-with-registers-large"},
    },
}
