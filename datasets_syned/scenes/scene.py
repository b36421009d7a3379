"""What a scene is: objects on a plane, a camera, a light, and how they are drawn at random.

The world is in the style of CLEVR (Johnson et al., 2017): z points up, the ground is `z = 0`, lengths are in CLEVR's
units (a large object is about 1.5 across), and the camera looks at the origin from the negative y axis, so that a
larger y is further away ("behind").
"""

from dataclasses import dataclass, field, replace

import numpy as np

SHAPES = ("cube", "sphere", "cylinder")
MATERIALS = ("rubber", "metal")
SIZES = {"large": 0.72, "small": 0.43}  # radius of a sphere or a cylinder; a cube has the same footprint on average
COLORS = {  # CLEVR's eight, sRGB
    "gray": (87, 87, 87),
    "red": (173, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 105, 20),
    "brown": (129, 74, 25),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 238, 51),
}
HALF_WIDTH, HALF_DEPTH = 2.7, 2.1  # objects' centres lie in this rectangle around the origin
GAP = 0.3  # free space between two objects' outlines on the ground
MIN_OBJECTS, MAX_OBJECTS = 3, 6


@dataclass(frozen=True)
class SceneObject:
    """One object. `x`, `y` is where its centre stands on the ground; `angle` (radians, about z) matters for cubes."""

    shape: str
    color: str
    material: str
    size: str
    x: float
    y: float
    angle: float

    @property
    def radius(self):
        return SIZES[self.size]

    @property
    def extent(self):
        """Half the height, which is also the height of the centre above the ground."""
        return self.radius * (0.82 if self.shape == "cube" else 1.0)

    @property
    def attributes(self):
        return (self.size, self.color, self.material, self.shape)


@dataclass(frozen=True)
class View:
    """Where the camera and the light are: the distractor of every pair.

    Angles in degrees; `distance` and `look_at` in world units; `light` is (azimuth, elevation, strength).
    """

    azimuth: float = 0.0
    elevation: float = 33.0
    distance: float = 10.0
    look_at: tuple = (0.0, 0.0)
    light: tuple = (-40.0, 52.0, 1.0)
    tan_half_width: float = field(default=0.36, repr=False)


def sample_view(rng, jitter):
    """Draws a view around the standard one; `jitter` scales every deviation, 0 gives the standard view."""
    d = jitter * rng.uniform(-1.0, 1.0, 8)
    standard = View()
    return View(
        azimuth=standard.azimuth + 5.0 * d[0],
        elevation=standard.elevation + 2.5 * d[1],
        distance=standard.distance * (1.0 + 0.04 * d[2]),
        look_at=(0.25 * d[3], 0.25 * d[4]),
        light=(standard.light[0] + 20.0 * d[5], standard.light[1] + 6.0 * d[6], standard.light[2] + 0.15 * d[7]),
    )


def sample_object(rng, **fixed):
    """Draws an object; keyword arguments fix some of its fields."""
    drawn = {
        "shape": SHAPES[rng.integers(len(SHAPES))],
        "color": list(COLORS)[rng.integers(len(COLORS))],
        "material": MATERIALS[rng.integers(len(MATERIALS))],
        "size": list(SIZES)[rng.integers(len(SIZES))],
        "x": float(rng.uniform(-HALF_WIDTH, HALF_WIDTH)),
        "y": float(rng.uniform(-HALF_DEPTH, HALF_DEPTH)),
        "angle": float(rng.uniform(0.0, np.pi / 2)),
    }
    return SceneObject(**{**drawn, **fixed})


def fits(candidate, others):
    """Whether there is free ground between `candidate` and each of `others`."""
    return all(np.hypot(candidate.x - o.x, candidate.y - o.y) > candidate.radius + o.radius + GAP for o in others)


def place(rng, others, tries=60, min_distance_to=None, **fixed):
    """Draws an object that `fits` among `others`, or returns `None` after `tries` draws.

    `min_distance_to` (`(x, y, distance)`, *optional*) keeps the new place away from an old one.
    """
    shape = sample_object(rng, **fixed)
    for _ in range(tries):
        spot = sample_object(rng)
        candidate = replace(shape, x=spot.x, y=spot.y)
        if min_distance_to is not None:
            x, y, distance = min_distance_to
            if np.hypot(candidate.x - x, candidate.y - y) < distance:
                continue
        if fits(candidate, others):
            return candidate
    return None


def sample_objects(rng, count):
    """Draws `count` objects that do not touch; `None` when no place was found for one of them."""
    objects = []
    for _ in range(count):
        candidate = place(rng, objects)
        if candidate is None:
            return None
        objects.append(candidate)
    return objects
