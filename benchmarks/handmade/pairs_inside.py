"""Pairs whose edits the grammar of `datasets_syned.photos` has words for."""

from PIL import Image, ImageFilter

from .tools import (
    HEIGHT,
    SIZE,
    WIDTH,
    cut,
    cut_from_plain,
    ellipse,
    fill,
    fit,
    hue,
    magick,
    polygon,
    put,
    where,
    write,
)

SHEEP = ((105, 60), (200, 20), (225, 15), (320, 20), (345, 60), (345, 170), (320, 300), (110, 305))
PENGUIN = (
    (218, 25), (240, 18), (262, 24), (280, 60), (285, 115), (318, 165), (315, 190), (297, 180), (285, 170),
    (282, 225), (270, 290), (280, 306), (245, 308), (235, 285), (190, 292), (170, 295), (172, 270), (160, 215),
    (185, 130), (108, 138), (104, 122), (130, 105), (200, 103), (214, 80),
)  # fmt: skip
HERON = (
    (0, 285), (0, 230), (65, 205), (55, 140), (70, 105), (75, 30), (120, 5), (200, 15), (205, 165), (245, 165),
    (335, 180), (335, 202), (275, 212), (262, 240), (120, 245), (40, 285),
)  # fmt: skip


def _sheep(pictures):
    image = fit(pictures.image("sheep"))
    return cut(image, where(image, lambda r, g, b: g - (r + b) // 2 < 16, polygon(*SHEEP)))


def _penguin(pictures):
    return cut(fit(pictures.image("penguin")), polygon(*PENGUIN))


def _duck(pictures):
    image = fit(pictures.image("duck"), 0.4)
    return cut(image, where(image, lambda r, g, b: r > 75, polygon((50, 0), (400, 0), (400, 285), (50, 285))))


def add_scissors(pictures):
    carpet = fit(pictures.image("cat"))
    return carpet, put(carpet, cut_from_plain(pictures.image("scissors1")), 375, 255, 95)


def add_duck(pictures):
    river = fit(pictures.image("Chenonceau_background"))
    return river, put(river, _duck(pictures), 330, 260, 85, 60)


def remove_heron(pictures):
    flight = fit(pictures.image("heron"))
    return flight, fill(flight, polygon(*HERON))


def replace_penguin(pictures):
    desert = fit(pictures.image("redPyramid"))
    return put(desert, _penguin(pictures), 250, 215, 170), put(desert, _sheep(pictures), 250, 230, 150)


def move_duck(pictures):
    lake = fit(pictures.image("EgeskovSlotSpejling_background"), 1.0)
    duck = _duck(pictures)
    return put(lake, duck, 100, 265, 80, 60), put(lake, duck, 370, 250, 80, 60)


def color_parrot(pictures):
    parrot = fit(pictures.image("scarlet_macaw"))
    body = polygon((90, 0), (260, 0), (450, 180), (450, 300), (230, 300), (100, 60))
    red = where(parrot, lambda r, g, b: (r > g + 45) & (r > b + 35), body)
    return parrot, hue(parrot, red, 220)


def color_flower(pictures):
    flower = fit(pictures.image("flower"))
    bloom = where(flower, lambda r, g, b: (r > 110) & (r > b + 20), Image.new("L", SIZE, 255))
    return flower, hue(flower, bloom, 290, 0.9)


def resize_duck(pictures):
    duck = fit(pictures.image("duck"), 0.4)
    small = duck.resize((270, 180), Image.Resampling.LANCZOS)
    water = Image.new("RGB", SIZE, (6, 7, 8))
    water.paste(small, (110, HEIGHT - 180))
    return duck, Image.composite(water, Image.new("RGB", SIZE, (6, 7, 8)), ellipse(115, 125, 370, 420, soft=12))


def background_sheep(pictures):
    meadow = fit(pictures.image("sheep"))
    mask = where(meadow, lambda r, g, b: g - (r + b) // 2 < 16, polygon(*SHEEP))
    return meadow, Image.composite(meadow, fit(pictures.image("tajMahal")), mask)


def text_sale(pictures):
    garage = fit(pictures.image("motorcycle_left"))
    font = pictures.font("LiberationSans-Bold")
    return garage, write(garage, "SALE", font, 74, "north", "-fill", "yellow", "-stroke", "black", "-strokewidth", 2)


def text_hello(pictures):
    cat = fit(pictures.image("chelsea"))
    return cat, write(cat, "HELLO", pictures.font("LiberationSerif-BoldItalic"), 66, "south", "-fill", "white")


def style_sepia(pictures):
    arena = fit(pictures.image("colosseum"))
    return arena, magick(arena, "-sepia-tone", "80%")


def style_sketch(pictures):
    wall = fit(pictures.image("greatWallofChina"))
    return wall, magick(wall, "-colorspace", "Gray", "-negate", "-edge", 1, "-negate", "-normalize")


def light_night(pictures):
    palace = fit(pictures.image("tajMahal"))
    return palace, magick(palace, "-modulate", "42,55", "-fill", "#102060", "-colorize", "30")


def light_fog(pictures):
    beach = fit(pictures.image("background"))
    veil = Image.linear_gradient("L").resize(SIZE).point([round(200 - 0.25 * value) for value in range(256)])
    soft = beach.filter(ImageFilter.GaussianBlur(1.2))
    return beach, Image.composite(Image.new("RGB", SIZE, (214, 217, 220)), soft, veil)


def crop_cathedral(pictures):
    cathedral = fit(pictures.image("berlinCathedral"))
    return cathedral, magick(cathedral, "-crop", "264x176+120+90", "+repage", "-resize", f"{WIDTH}x{HEIGHT}!")


def mirror_rhinoceros(pictures):
    animal = fit(pictures.image("rhinoceros"))
    return animal, magick(animal, "-flop")


def rotation_tower(pictures):
    tower = fit(pictures.image("eiffelTower"), 0.6)
    return tower, magick(tower, "-virtual-pixel", "mirror", "-distort", "ScaleRotateTranslate", "1.25 17")


def none_kitten(pictures):
    kitten = fit(pictures.image("kitten"))
    return kitten, kitten


def none_crab(pictures):
    crab = fit(pictures.image("crab"))
    return crab, magick(crab, "-modulate", "103,98")
