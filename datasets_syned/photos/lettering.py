"""Text on a picture."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PLACES = {"at the top": 0.0, "in the middle": 0.5, "at the bottom": 1.0}
WORDS = tuple(
    """
    SALE OPEN CLOSED FREE NEW STOP EXIT ENTER HOME HELLO WELCOME THANKS LOVE PEACE HAPPY SUMMER WINTER SPRING
    MUSIC DANCE PARTY LUNCH COFFEE PIZZA BREAD FRESH FRUIT JUICE WATER BEER WINE CAKE MENU HOTEL ROOM BEACH
    OCEAN RIVER FOREST GARDEN FLOWER PARK CITY STREET BRIDGE TRAIN BUS TAXI BIKE SCHOOL BOOK PAPER POST BANK
    MONEY PRICE OFFER TODAY NIGHT MORNING SUNDAY MONDAY FRIDAY APRIL JUNE AUGUST WORLD EARTH SPACE STAR MOON
    LIGHT FIRE GOLD SILVER DREAM HOPE FAITH TRUTH LUCK SMILE PHOTO VIDEO GAME TEAM WINNER FIRST NORTH SOUTH EAST
    WEST DANGER CAUTION PRIVATE PUBLIC NEWS MARKET DOCTOR LIBRARY AIRPORT
    """.split()
)
INKS = ((255, 255, 255), (0, 0, 0), (220, 20, 30), (250, 210, 20), (20, 60, 200), (20, 130, 50))


@cache
def fonts() -> tuple[Path | None, ...]:
    """Font files: those that come with matplotlib, where it is installed, and `None` for the one inside Pillow."""
    package = find_spec("matplotlib")  # importing it takes a second
    if package is None:
        return (None,)
    folder = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf"
    names = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSansMono-Bold")
    return (None, *(folder / f"{name}.ttf" for name in names))


@cache
def _font(number, size):
    path = fonts()[number]
    return ImageFont.load_default(size) if path is None else ImageFont.truetype(path, size)


def draw_word(
    image: Image.Image, word: str, place: str, edge: int, rng: np.random.Generator
) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """
    A copy of an RGB image with a word on it, in a font, a size and an ink that are drawn; sometimes with an outline or
    on a plate. The word keeps `edge` pixels from the edges. Returns also its box: left, top, right, bottom.
    """
    image = image.copy()
    width, height = image.width - 2 * edge, image.height - 2 * edge
    draw = ImageDraw.Draw(image)
    number = int(rng.integers(len(fonts())))
    size = round(height * rng.uniform(0.2, 0.36))
    left, top, right, bottom = draw.textbbox((0, 0), word, font=_font(number, size))
    if right - left > 0.96 * width:
        size = max(6, int(size * 0.96 * width / (right - left)))
        left, top, right, bottom = draw.textbbox((0, 0), word, font=_font(number, size))
    w, h = right - left, bottom - top
    x = edge + int(rng.random() * (width - w))
    y = edge + int((height - h) * np.clip(PLACES[place] + rng.uniform(-0.06, 0.06), 0, 1))
    box = (x, y, x + w, y + h)
    ink = INKS[int(rng.integers(len(INKS)))]
    behind = np.asarray(image.crop(box)).reshape(-1, 3).mean(0)
    if np.abs(behind - ink).sum() < 240:  # would not be read
        ink = (255, 255, 255) if behind.mean() < 128 else (0, 0, 0)
    way = rng.random()
    contrast = (0, 0, 0) if sum(ink) > 380 else (255, 255, 255)
    if way < 0.25:
        pad = max(1, size // 8)
        draw.rectangle((x - pad, y - pad, x + w + pad, y + h + pad), fill=contrast)
    outline = max(1, size // 14) if way > 0.6 else 0
    draw.text((x - left, y - top), word, ink, _font(number, size), stroke_width=outline, stroke_fill=contrast)
    return image, box
