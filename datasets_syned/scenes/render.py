"""A vectorised ray-caster in numpy: shading, cast shadows, one mirror bounce, occlusion, anti-aliasing.

Every object is intersected only inside the rectangle of the picture that it, or its shadow, can reach. Rays are
structures of arrays, `(x, y, z)` tuples of float32 arrays of one shape; they need not have unit length.
"""

import numpy as np

from .scene import COLORS

SUPERSAMPLING = 2  # rays per pixel and axis
BACKGROUND = 0  # in masks; object i is i + 1
AMBIENT, KEY, FILL = 0.38, 0.72, 0.16
GROUND = np.array([0.60, 0.60, 0.59], np.float32)
SKY = np.array([0.92, 0.94, 0.97], np.float32)
EPSILON = 1e-3


def dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def camera_of(view):
    """Eye point and the axes right, up, forward of a [`View`], each `(3,)` float32."""
    azimuth, elevation = np.deg2rad(view.azimuth), np.deg2rad(view.elevation)
    out = np.array(
        [np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)]
    )  # from the point looked at to the eye
    eye = np.array([*view.look_at, 0.25]) + view.distance * out
    forward = -out
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    return tuple(a.astype(np.float32) for a in (eye, right, up, forward))


def light_of(view):
    """Unit vector towards the key light, `(3,)` float32."""
    azimuth, elevation = np.deg2rad(view.light[0]), np.deg2rad(view.light[1])
    return np.array(
        [np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation)], np.float32
    )


def intersect(obj, origin, direction):
    """Smallest positive `t` at which `origin + t * direction` meets the object, `inf` where it does not."""
    ox, oy, oz = origin[0] - np.float32(obj.x), origin[1] - np.float32(obj.y), origin[2] - np.float32(obj.extent)
    dx, dy, dz = direction
    with np.errstate(divide="ignore", invalid="ignore"):
        if obj.shape == "cube":
            near, far = _slabs(
                _rotate((ox, oy), -obj.angle) + (oz,), _rotate((dx, dy), -obj.angle) + (dz,), obj.extent
            )
        elif obj.shape == "sphere":
            near, far = _quadratic(
                dot(direction, direction), ox * dx + oy * dy + oz * dz, ox * ox + oy * oy + oz * oz - obj.radius**2
            )
        else:
            near, far = _quadratic(dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy - obj.radius**2)
            low, high = _slab(oz, dz, obj.extent)
            near, far = np.maximum(near, low), np.minimum(far, high)
    hit = (near <= far) & (near > EPSILON)
    return np.where(hit, near, np.float32(np.inf))


def _rotate(xy, angle):
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * xy[0] - s * xy[1], s * xy[0] + c * xy[1]


def _slab(o, d, half):
    half = np.float32(half)
    a, b = (-half - o) / d, (half - o) / d
    return np.minimum(a, b), np.maximum(a, b)


def _slabs(origin, direction, half):
    near, far = _slab(origin[0], direction[0], half)
    for o, d in zip(origin[1:], direction[1:], strict=True):
        low, high = _slab(o, d, half)
        near, far = np.maximum(near, low), np.minimum(far, high)
    return near, far


def _quadratic(a, half_b, c):
    root = np.sqrt(half_b * half_b - a * c)  # NaN where the ray misses: every later comparison is false
    return (-half_b - root) / a, (-half_b + root) / a


def normal_at(obj, point):
    """Unit outward normals at points of the object's surface, a tuple of three arrays."""
    x, y, z = point[0] - np.float32(obj.x), point[1] - np.float32(obj.y), point[2] - np.float32(obj.extent)
    if obj.shape == "sphere":
        return x / np.float32(obj.radius), y / np.float32(obj.radius), z / np.float32(obj.radius)
    if obj.shape == "cylinder":
        top = z > np.float32(obj.extent - 2 * EPSILON)
        side = (~top).astype(np.float32) / np.float32(obj.radius)
        return x * side, y * side, top.astype(np.float32)
    x, y = _rotate((x, y), -obj.angle)
    local = np.stack([x, y, z])
    axis = np.abs(local).argmax(0)
    unit = np.where(np.arange(3)[:, None] == axis, np.sign(local), np.float32(0))
    return (*_rotate((unit[0], unit[1]), obj.angle), unit[2])


def _project(points, camera, view, aspect):
    """Picture coordinates of points `(n, 3)`: `u` to the right and `v` up, each from -1 to 1 inside the picture."""
    eye, right, up, forward = camera
    rel = points - eye
    depth = np.maximum(rel @ forward, 0.1)
    return (rel @ right) / depth / view.tan_half_width, (rel @ up) / depth / (view.tan_half_width * aspect)


def _window(corners, camera, view, width, height):
    """Rectangle of pixels (slices of rows, columns) that the hull of `corners` `(n, 3)` covers on the picture."""
    u, v = _project(corners, camera, view, height / width)
    columns = np.clip(((u.min() + 1) / 2 * width - 1, (u.max() + 1) / 2 * width + 2), 0, width).astype(int)
    rows = np.clip(((1 - v.max()) / 2 * height - 1, (1 - v.min()) / 2 * height + 2), 0, height).astype(int)
    return slice(*rows), slice(*columns)


def in_frame(objects, view, aspect):
    """Whether every object lies wholly inside a picture of `aspect` = height / width."""
    camera = camera_of(view)
    return all(
        max(np.abs(u).max(), np.abs(v).max()) < 1
        for u, v in (_project(_corners(obj), camera, view, aspect) for obj in objects)
    )


def _corners(obj, scale=1.0):
    r = scale * obj.radius * (1.16 if obj.shape == "cube" else 1.0)  # half the diagonal of the cube's footprint
    signs = np.array([[a, b] for a in (-1, 1) for b in (-1, 1)], np.float32)
    low = np.c_[obj.x + r * signs[:, 0], obj.y + r * signs[:, 1], np.zeros(4)]
    return np.r_[low, low + [0, 0, 2 * obj.extent]].astype(np.float32)


def _albedo(obj):
    return np.array(COLORS[obj.color], np.float32) / 255


def _shadowed(objects, skip, point, light):
    """Whether each point lies in the shadow of an object other than `skip`, bool."""
    dark = np.zeros(point[0].shape, bool)
    for k, other in enumerate(objects):
        if k != skip:
            dark |= np.isfinite(intersect(other, point, light))
    return dark


def _environment(objects, skip, point, ray, light):
    """Colour `(n, 3)` that a mirror ray meets: another object, the ground or the sky."""
    # a studio: bright panels at the left, behind and overhead, dark between them, and a floor that fades with the
    # distance of its reflection: also a flat mirror shows contrast
    panels = 0.15 + np.exp(-9 * (ray[0] + 0.6) ** 2) + 0.75 * np.exp(-8 * (ray[1] - 0.72) ** 2)
    floor = 0.12 + 0.95 * np.exp(1.3 * point[2] / np.minimum(ray[2], -EPSILON))
    color = np.where(ray[2][:, None] < 0, GROUND * floor[:, None], SKY * panels[:, None])
    nearest = np.full(point[0].shape, np.inf, np.float32)
    for k, other in enumerate(objects):
        if k == skip:
            continue
        t = intersect(other, point, ray)
        closer = t < nearest
        if closer.any():
            nearest = np.where(closer, t, nearest)
            at = tuple(p[closer] + t[closer] * r[closer] for p, r in zip(point, ray, strict=True))
            facing = np.clip(dot(normal_at(other, at), light), 0, 1)
            color[closer] = _albedo(other) * (AMBIENT + KEY * facing)[:, None]
    return color


def _shade_object(objects, k, point, direction, light, strength):
    obj = objects[k]
    normal = normal_at(obj, point)
    length = np.sqrt(dot(direction, direction))
    toward = tuple(-d / length for d in direction)  # unit, to the eye
    lit = np.clip(dot(normal, light), 0, 1) * ~_shadowed(objects, k, point, light)
    fill = np.clip(dot(normal, (np.float32(0.75), np.float32(-0.6), np.float32(0.28))), 0, 1)
    sky = np.float32(0.75) + np.float32(0.25) * normal[2]
    diffuse = (AMBIENT * sky + strength * (KEY * lit + FILL * fill))[:, None] * _albedo(obj)
    cosine = dot(normal, toward)
    mirror = tuple(2 * cosine * n - t for n, t in zip(normal, toward, strict=True))
    gloss = np.clip(dot(mirror, light), 0, 1) * (lit > 0)
    if obj.material == "rubber":
        return diffuse + np.float32(0.10 * strength) * (gloss**6)[:, None]
    tint = 0.25 + 0.75 * _albedo(obj) / _albedo(obj).max() * min(1.0, float(_albedo(obj).max()) + 0.25)
    reflected = _environment(objects, k, point, mirror, light) * tint
    return 0.4 * diffuse + 0.6 * reflected + np.float32(0.9 * strength) * (gloss**40)[:, None]


def render(objects, view, width, height):
    """
    A scene's picture `(height, width, 3)` uint8; its mask `(height, width)` uint8, 0 for the ground and `i + 1` for
    `objects[i]`; and `(len(objects), 2)` int, for each object its visible rays and those it would have alone.
    """
    w, h = width * SUPERSAMPLING, height * SUPERSAMPLING
    camera = eye, right, up, forward = camera_of(view)
    light = light_of(view)
    strength = np.float32(view.light[2])
    u = (((np.arange(w, dtype=np.float32) + 0.5) / w * 2 - 1) * view.tan_half_width)[None, :]
    v = ((1 - (np.arange(h, dtype=np.float32) + 0.5) / h * 2) * view.tan_half_width * (height / width))[:, None]
    direction = tuple(forward[i] + u * right[i] + v * up[i] for i in range(3))  # three (h, w)
    origin = tuple(eye)

    depth = -eye[2] / direction[2]  # the camera looks down on the whole picture: every ray meets the ground
    ground = tuple(eye[i] + depth * direction[i] for i in range(2))  # two (h, w)
    owner = np.zeros((h, w), np.uint8)
    rays = np.zeros((len(objects), 2), int)
    windows = [_window(_corners(obj), camera, view, w, h) for obj in objects]
    for k, (obj, window) in enumerate(zip(objects, windows, strict=True)):
        t = intersect(obj, origin, tuple(d[window] for d in direction))
        rays[k, 1] = np.isfinite(t).sum()
        closer = t < depth[window]
        depth[window] = np.where(closer, t, depth[window])
        owner[window] = np.where(closer, np.uint8(k + 1), owner[window])

    # the ground: key light with cast shadows, a pool of light, darker where an object touches it
    key = np.ones((h, w), np.float32)
    contact = np.ones((h, w), np.float32)
    for obj in objects:
        corners = _corners(obj)
        shadow = np.r_[corners, corners - light * (corners[:, 2:] / light[2])]
        shadow[:, 2] = np.minimum(shadow[:, 2], 0)
        window = _window(np.r_[corners, shadow], camera, view, w, h)
        gx, gy = ground[0][window], ground[1][window]
        point = (gx, gy, np.zeros_like(gx))
        key[window] *= ~np.isfinite(intersect(obj, point, light))
        window = _window(_corners(obj, 2.4), camera, view, w, h)
        gx, gy = ground[0][window], ground[1][window]
        away = ((gx - obj.x) ** 2 + (gy - obj.y) ** 2) / np.float32(obj.radius**2)
        contact[window] *= 1 - np.float32(0.45) * np.exp(-np.float32(1.1) * away)
    pool = 1 - np.float32(0.006) * np.minimum(ground[0] ** 2 + (ground[1] - 0.5) ** 2, 70)
    level = (AMBIENT * contact + strength * (KEY * light[2] * 0.95 * key + 0.06)) * pool
    picture = level[..., None] * GROUND * np.float32(1.02)

    for k, window in enumerate(windows):
        mine = owner[window] == k + 1
        rays[k, 0] = mine.sum()
        if not rays[k, 0]:
            continue
        toward = tuple(d[window][mine] for d in direction)
        point = tuple(eye[i] + depth[window][mine] * toward[i] for i in range(3))
        picture[window][mine] = _shade_object(objects, k, point, toward, light, strength)

    picture = np.clip(picture, 0, 1).reshape(height, SUPERSAMPLING, width, SUPERSAMPLING, 3).mean((1, 3))
    center = SUPERSAMPLING // 2
    return (picture * 255 + 0.5).astype(np.uint8), owner[center::SUPERSAMPLING, center::SUPERSAMPLING].copy(), rays
