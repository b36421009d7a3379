"""Pairs whose edits, or whose objects, the grammar of `datasets_syned.photos` has no words for."""

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from .pairs_inside import _duck
from .tools import HEIGHT, SIZE, WIDTH, cut_from_plain, ellipse, fill, fit, hue, magick, polygon, put, where

BAT = (
    (190, 302), (200, 280), (215, 255), (220, 232), (260, 222), (270, 135), (272, 110), (390, 5), (415, 20),
    (412, 115), (408, 165), (436, 300), (330, 302),
)  # fmt: skip
BEE = ((0, 128), (60, 115), (105, 118), (150, 114), (158, 175), (130, 243), (0, 243))
MOTORCYCLE = ((60, 120), (300, 85), (345, 130), (440, 190), (430, 225), (60, 210))


def local_face(pictures):
    portrait = fit(pictures.image("astronaut"), 0.0)
    face = ellipse(160, 45, 262, 172, soft=5)
    return portrait, Image.composite(magick(portrait, "-blur", "0x14"), portrait, face)


def local_eyes(pictures):
    cat = fit(pictures.image("chelsea"))
    barred = cat.copy()
    ImageDraw.Draw(barred).rectangle((135, 85, 390, 165), fill=(0, 0, 0))
    return cat, barred


def color_motorcycle(pictures):
    garage = fit(pictures.image("motorcycle_left"))
    red = where(garage, lambda r, g, b: (r > g + 50) & (r > b + 40), polygon(*MOTORCYCLE))
    return garage, hue(garage, red, 125)


def color_eyes(pictures):
    kitten = fit(pictures.image("kitten"))
    masks = (ellipse(207, 161, 229, 183), ellipse(263, 159, 285, 181))
    green = hue(kitten.point([min(255, 3 * value // 2) for value in range(256)] * 3), masks[0], 100, 4)
    green = hue(green, masks[1], 100, 4)
    return kitten, Image.composite(green, kitten, ImageChops.lighter(*masks))


def remove_bat(pictures):
    forest = fit(pictures.image("flying_fox"))
    return forest, fill(forest, polygon(*BAT))


def remove_bee(pictures):
    blossom = fit(pictures.image("bee"))
    return blossom, fill(blossom, polygon(*BEE))


def remove_rocket(pictures):
    pad = fit(pictures.image("rocket"))
    return pad, fill(pad, polygon((226, 85), (262, 85), (270, 315), (220, 315)), 1.5)


def add_volleyball(pictures):
    beach = fit(pictures.image("marylou"))
    return beach, put(beach, cut_from_plain(pictures.image("volleyball")), 80, 255, 70)


def replace_bottle(pictures):
    field = fit(pictures.image("daisy@2x"))
    bottle, ball = (cut_from_plain(pictures.image(name)) for name in ("spray", "volleyball"))
    return put(field, bottle, 420, 190, 150), put(field, ball, 420, 215, 100)


def multiple_grey_duck(pictures):
    river = fit(pictures.image("Chenonceau_background"))
    return river, magick(put(river, _duck(pictures), 140, 265, 85, 60), "-colorspace", "Gray")


def multiple_tools(pictures):
    desert = fit(pictures.image("redPyramid"))
    one = put(desert, cut_from_plain(pictures.image("hammer8")), 110, 285, 45)
    return desert, put(one, cut_from_plain(pictures.image("wrench")), 370, 275, 60)


def perspective_gate(pictures):
    gate = fit(pictures.image("brandenburgGate"))
    corners = f"0,0 0,0 {WIDTH},0 {WIDTH},90 0,{HEIGHT} 0,{HEIGHT} {WIDTH},{HEIGHT} {WIDTH},230"
    return gate, magick(gate, "-virtual-pixel", "black", "-distort", "Perspective", corners)


def distortion_panda(pictures):
    panda = fit(pictures.image("red_panda"))
    return panda, magick(panda, "-swirl", 110)


def frame_swans(pictures):
    lake = fit(pictures.image("swans"))
    small = lake.resize((400, 250), Image.Resampling.LANCZOS)
    return lake, ImageOps.expand(ImageOps.expand(small, 32, (250, 247, 238)), (8, 3), (120, 85, 50)).resize(SIZE)


def style_painting(pictures):
    temple = fit(pictures.image("lincolnMemorial"))
    return temple, magick(temple, "-paint", 5)


def draw_circle(pictures):
    bird = fit(pictures.image("kingfisher"))
    drawn = bird.copy()
    draw = ImageDraw.Draw(drawn)
    draw.ellipse((135, 15, 325, 130), outline=(255, 0, 0), width=6)
    draw.line((455, 25, 335, 60), fill=(255, 0, 0), width=6)
    draw.polygon(((326, 62), (350, 44), (354, 66)), fill=(255, 0, 0))
    return bird, drawn


def sky_sunset(pictures):
    city = fit(pictures.image("eiffelTower"), 0.6)
    sky = where(city, lambda r, g, b: b > r + 25, Image.new("L", SIZE, 255))
    glow = ImageOps.colorize(Image.linear_gradient("L"), (150, 60, 90), (255, 190, 80), (240, 110, 60)).resize(SIZE)
    return city, Image.composite(glow, city, sky.filter(ImageFilter.GaussianBlur(0.6)))


def text_arc(pictures):
    tower = fit(pictures.image("china"))
    label = ("(", "-background", "none", "-fill", "red", "-stroke", "white", "-font")
    label += (pictures.font("LiberationMono-Bold"), "-pointsize", 40, "label:COMING SOON", "-distort", "Arc", 100)
    return tower, magick(tower, *label, ")", "-gravity", "north", "-geometry", "+90+20", "-composite")


def inset_lake(pictures):
    coffee, lake = fit(pictures.image("coffee")), fit(pictures.image("EgeskovSlotSpejling_background"))
    after = coffee.copy()
    after.paste(ImageOps.expand(lake.resize((150, 100), Image.Resampling.LANCZOS), 4, "white"), (310, 10))
    return coffee, after


def halves_swapped(pictures):
    bird = fit(pictures.image("kingfisher"))
    return bird, magick(bird, "-roll", f"+{WIDTH // 2}+0")
