"""Pictures of filled shapes on textured grounds, with the visible mask of each shape. Seeded: one seed, one picture."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("circle", "square", "triangle", "star", "cross")
SMALLEST, LARGEST = 26, 112  # side of a shape's box, pixels of a 256 x 320 picture
FINE = 4  # shapes are drawn this much larger and averaged down


@dataclass
class Scene:
    image: np.ndarray  # uint8 [H, W, 3], RGB
    masks: np.ndarray  # bool [K, H, W], visible pixels
    boxes: np.ndarray  # float32 [K, 4], x1, y1, x2, y2 around the visible pixels
    labels: np.ndarray  # int64 [K]


def outline(name, rotation):
    """Corners [K, 2] of a shape around (0, 0) whose farthest point is at distance 1."""

    def around(count, radii, start=0.0):
        angle = rotation + start + np.arange(count) * 2 * math.pi / count
        return np.stack([np.sin(angle), -np.cos(angle)], 1) * np.resize(radii, count)[:, None]

    if name == "circle":
        return around(90, [1.0])
    if name == "square":
        return around(4, [1.0], math.pi / 4)
    if name == "triangle":
        return around(3, [1.0])
    if name == "star":
        return around(10, [1.0, 0.42])
    arm = 0.3 / math.hypot(0.3, 1)  # cross: arms of width 0.6 and length 2, shrunk to distance 1
    reach = 1 / math.hypot(0.3, 1)
    corners = [(-arm, -reach), (arm, -reach), (arm, -arm)]
    corners = np.array([(c * x - s * y, s * x + c * y) for c, s in [(1, 0), (0, 1), (-1, 0), (0, -1)] for x, y in corners])
    turn = np.array([[math.cos(rotation), math.sin(rotation)], [-math.sin(rotation), math.cos(rotation)]])
    return corners @ turn


def coverage(corners, height, width):
    """Share of each pixel inside a polygon with corners in pixels: float32 [height, width]."""
    canvas = Image.new("L", (width * FINE, height * FINE))
    ImageDraw.Draw(canvas).polygon([tuple(corner) for corner in corners * FINE], fill=255)
    return np.asarray(canvas.reduce(FINE), np.float32) / 255


def smooth_noise(rng, height, width, cell):
    """Noise between 0 and 1 whose blobs measure about `cell` pixels."""
    coarse = rng.random((max(2, height // cell + 2), max(2, width // cell + 2)), np.float32)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).clip(0, 1)


def ground(rng, height, width):
    """A background: a plain colour, with blobs, stripes, checks or a gradient of a second colour."""
    first = rng.uniform(20, 235, 3)
    second = np.clip(first + rng.uniform(-60, 60, 3), 0, 255)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle, period = rng.uniform(0, math.pi), rng.uniform(6, 40)
    along = x * math.cos(angle) + y * math.sin(angle)
    kind = rng.integers(5)
    if kind == 0:
        blend = np.zeros((height, width), np.float32)
    elif kind == 1:
        blend = smooth_noise(rng, height, width, int(rng.integers(4, 48)))
    elif kind == 2:
        blend = 0.5 + 0.5 * np.sin(along * 2 * math.pi / period)
    elif kind == 3:
        blend = ((x // period + y // period) % 2).astype(np.float32)
    else:
        blend = (along - along.min()) / np.ptp(along)
    return first + (second - first) * blend[..., None], (first + second) / 2


def shape_colour(rng, paint, middle):
    """A colour away from the ground's and from those already used around."""
    for _ in range(50):
        colour = rng.uniform(0, 255, 3)
        if np.abs(colour - middle).sum() > 170 and all(np.abs(colour - other).sum() > 90 for other in paint):
            return colour
    return np.where(middle > 127, 0.0, 255.0)


def draw_scene(seed, height=256, width=320, most=7, fewest=1, grain=6.0, zoom=1.0):
    """A scene of fewest..most shapes; zoom enlarges them with the picture."""
    rng = np.random.default_rng(seed)
    image, middle = ground(rng, height, width)
    masks, labels, paint = [], [], []
    wanted = int(rng.integers(fewest, most + 1))
    for _ in range(20 * wanted):
        if len(masks) == wanted:
            break
        label = int(rng.integers(len(CLASSES)))
        corners = outline(CLASSES[label], rng.uniform(-math.pi, math.pi))
        side = math.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST))) * zoom
        corners *= side / np.ptp(corners, axis=0).max()
        low, high = corners.min(0), corners.max(0)
        if (high - low >= (width - 4, height - 4)).any():
            continue
        # A shape may stick out of the picture by a tenth of its size.
        centre = rng.uniform(-low - 0.1 * side, (width, height) - high + 0.1 * side)
        left, top = np.floor(np.maximum(centre + low, 0)).astype(int)
        right, bottom = np.ceil(np.minimum(centre + high, (width, height))).astype(int)
        alpha = coverage(corners + centre - (left, top), bottom - top, right - left)
        mask = np.zeros((height, width), bool)
        mask[top:bottom, left:right] = alpha >= 0.5
        hidden = [(mask & other).sum() / other.sum() for other in masks]
        overlap = any((mask & other).sum() > 0.15 * mask.sum() for other in masks)
        if overlap or any(share > 0.15 for share in hidden):
            continue
        colour = shape_colour(rng, paint, middle)
        shade = 1 + rng.uniform(0, 0.25) * (smooth_noise(rng, bottom - top, right - left, 24) - 0.5)
        window = image[top:bottom, left:right]
        window += alpha[..., None] * (colour * shade[..., None] - window)
        masks = [other & ~mask for other in masks] + [mask]
        labels.append(label)
        paint.append(colour)
    image = image + rng.normal(0, rng.uniform(0, grain), image.shape)
    image = np.rint(image).clip(0, 255).astype(np.uint8)
    stacked = np.array(masks, bool).reshape(-1, height, width)
    boxes = np.array([mask_box(mask) for mask in stacked], np.float32).reshape(-1, 4)
    return Scene(image, stacked, boxes, np.array(labels, np.int64))


def mask_box(mask):
    """The box around a mask's pixels, far edges included."""
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
