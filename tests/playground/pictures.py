"""Pictures of drawn digits, letters, pairs of digits and empty pages, made from vector strokes.

Every picture depends only on its name and number, up to the last bits of the JPEG decoder.
"""

import io
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

_SCALE = 4  # drawn larger by this factor, then reduced, which smooths the edges


def arc(x, y, width, height, start, end):
    """Return points on an ellipse about (x, y); degrees, 0 to the right, 90 down."""
    angles = np.radians(np.linspace(start, end, 30))
    return np.stack([x + width / 2 * np.cos(angles), y + height / 2 * np.sin(angles)], 1)


def line(*points):
    return np.array(points, float)


def join(*parts):
    return np.concatenate(parts)


# Strokes in a box of width 1 and height 1, y downward. Each digit has several styles.
DIGITS = {
    0: [
        [arc(0.5, 0.5, 0.66, 1.0, -100, 262)],
        [arc(0.5, 0.5, 0.86, 0.96, -70, 285)],
    ],
    1: [
        [line((0.5, 0), (0.5, 1))],
        [line((0.3, 0.25), (0.52, 0), (0.5, 1))],
        [line((0.62, 0), (0.4, 1))],
    ],
    2: [
        [join(arc(0.5, 0.28, 0.66, 0.56, 190, 390), line((0.15, 1), (0.9, 0.98)))],
        [
            join(
                arc(0.48, 0.3, 0.6, 0.58, 180, 385),
                arc(0.26, 0.88, 0.3, 0.2, -30, -330),
                line((0.55, 0.97), (0.9, 0.9)),
            )
        ],
    ],
    3: [
        [join(arc(0.45, 0.27, 0.6, 0.52, 200, 440), arc(0.45, 0.74, 0.7, 0.52, -80, 160))],
        [join(line((0.15, 0.02), (0.8, 0.02), (0.42, 0.4)), arc(0.42, 0.7, 0.7, 0.6, -90, 150))],
    ],
    4: [
        [line((0.3, 0), (0.15, 0.58), (0.85, 0.56)), line((0.68, 0.2), (0.62, 1))],
        [line((0.66, 1), (0.66, 0), (0.1, 0.66), (0.9, 0.66))],
    ],
    5: [
        [
            join(line((0.25, 0.03), (0.2, 0.45)), arc(0.45, 0.68, 0.7, 0.62, -130, 140)),
            line((0.25, 0.03), (0.82, 0)),
        ],
        [join(line((0.8, 0.02), (0.3, 0.04), (0.24, 0.46)), arc(0.45, 0.7, 0.68, 0.58, -120, 150))],
    ],
    6: [
        [join(arc(0.75, 0.6, 1.1, 1.2, 265, 190), arc(0.48, 0.72, 0.6, 0.54, 170, -190))],
        [join(line((0.6, 0), (0.25, 0.55)), arc(0.5, 0.73, 0.58, 0.52, 200, -160))],
    ],
    7: [
        [line((0.12, 0.05), (0.85, 0.04), (0.4, 1))],
        [line((0.12, 0.05), (0.85, 0.04), (0.4, 1)), line((0.3, 0.5), (0.8, 0.48))],
        [line((0.14, 0.18), (0.16, 0.03), (0.82, 0.03), (0.55, 0.5), (0.45, 1))],
    ],
    8: [
        [arc(0.5, 0.25, 0.52, 0.5, 90, 450), arc(0.5, 0.74, 0.64, 0.5, -90, 270)],
        [
            join(
                arc(0.5, 0.26, 0.54, 0.52, -40, -250),
                arc(0.5, 0.75, 0.6, 0.5, -70, 230),
                line((0.68, 0.12)),
            )
        ],
    ],
    9: [
        [join(arc(0.48, 0.28, 0.6, 0.56, 0, -350), line((0.78, 0.3), (0.7, 1)))],
        [
            join(
                arc(0.5, 0.28, 0.58, 0.54, -20, -360),
                line((0.79, 0.3), (0.76, 0.7)),
                arc(0.5, 0.78, 0.52, 0.42, 0, 130),
            )
        ],
    ],
}

# Letters that do not look like a digit: without B (8), G (6), I (1), L, O (0), Q, S (5), Z (2).
LETTERS = {
    "A": [line((0.05, 1), (0.5, 0), (0.95, 1)), line((0.22, 0.62), (0.78, 0.62))],
    "E": [line((0.85, 0), (0.15, 0), (0.15, 1), (0.85, 1)), line((0.15, 0.5), (0.7, 0.5))],
    "F": [line((0.85, 0), (0.15, 0), (0.15, 1)), line((0.15, 0.48), (0.7, 0.48))],
    "H": [line((0.1, 0), (0.1, 1)), line((0.9, 0), (0.9, 1)), line((0.1, 0.5), (0.9, 0.5))],
    "K": [line((0.15, 0), (0.15, 1)), line((0.85, 0), (0.15, 0.52), (0.9, 1))],
    "M": [line((0.02, 1), (0.12, 0), (0.5, 0.6), (0.88, 0), (0.98, 1))],
    "N": [line((0.1, 1), (0.1, 0), (0.9, 1), (0.9, 0))],
    "P": [line((0.2, 1), (0.2, 0)), arc(0.2, 0.27, 1.2, 0.54, -90, 90)],
    "R": [
        line((0.2, 1), (0.2, 0)),
        arc(0.2, 0.25, 1.2, 0.5, -90, 90),
        line((0.3, 0.5), (0.85, 1)),
    ],
    "T": [line((0.05, 0), (0.95, 0)), line((0.5, 0), (0.5, 1))],
    "U": [join(line((0.12, 0)), arc(0.5, 0.66, 0.76, 0.68, 180, 0), line((0.88, 0)))],
    "V": [line((0.08, 0), (0.5, 1), (0.92, 0))],
    "W": [line((0, 0), (0.25, 1), (0.5, 0.3), (0.75, 1), (1, 0))],
    "X": [line((0.1, 0), (0.9, 1)), line((0.9, 0), (0.1, 1))],
    "Y": [line((0.08, 0), (0.5, 0.5), (0.92, 0)), line((0.5, 0.5), (0.5, 1))],
}

_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)

# Pen width as a fraction of the height, tilt in degrees, ink, paper.
LOOKS = {
    "thick": (0.17, 0, _BLACK, _WHITE),
    "thin": (0.035, 4, (90, 90, 95), (250, 250, 248)),
    "tilted": (0.08, 14, (20, 40, 160), _WHITE),
    "colored": (0.1, -5, (170, 30, 60), (250, 225, 140)),
    "uneven light": (0.09, -9, (40, 40, 60), (235, 230, 215)),
}


def draw(strokes, look, generator, height=150, center=(0.5, 0.5), side=280):
    """Return an RGB picture of strokes, with small deviations, as if drawn by hand."""
    pen, tilt, ink, paper = LOOKS[look]
    angle = np.radians(tilt + generator.uniform(-4, 4))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    wide = generator.uniform(0.6, 0.75)
    bend = generator.uniform(-0.025, 0.025, (2, 2))
    phase = generator.uniform(0, 6, 2)
    page = Image.new("RGB", (side * _SCALE, side * _SCALE), paper)
    brush = ImageDraw.Draw(page)
    radius = pen * height * _SCALE / 2
    for stroke in strokes:
        steps = np.linspace(0, len(stroke) - 1, 40 * len(stroke))
        dense = np.stack(
            [np.interp(steps, np.arange(len(stroke)), stroke[:, axis]) for axis in (0, 1)], 1
        )
        dense = dense + np.sin(4 * dense + phase) @ bend
        points = (dense - 0.5) * (wide, 1) @ turn.T * height + np.array(center) * side
        for x, y in points * _SCALE:
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    return page.resize((side, side), Image.Resampling.BOX)


def photograph(picture, generator):
    """Return a picture as a camera takes it: light from one side, blur, noise."""
    width, height = picture.size
    y, x = np.mgrid[:height, :width] / max(picture.size)
    light = 1 - 0.45 * (generator.uniform(0.3, 1) * x + generator.uniform(0.2, 0.8) * y) / 1.4
    blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(1)), float)
    noisy = blurred * light[:, :, None] + generator.normal(0, 4, blurred.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def encode(picture, kind="PNG"):
    """Return the bytes of a file."""
    file = io.BytesIO()
    picture.save(file, kind, **({"quality": 70} if kind == "JPEG" else {}))
    return file.getvalue()


@cache
def digits():
    """Return 50 pictures: (name, bytes, digit). Each digit has each look once."""
    made = []
    for digit, styles in DIGITS.items():
        for place, look in enumerate(LOOKS):
            generator = np.random.default_rng((digit, place))
            strokes = styles[(place + digit) % len(styles)]
            height, center = generator.uniform(110, 180), generator.uniform(0.45, 0.55, 2)
            if look == "colored":  # small and off center
                height, center = 60, generator.uniform(0.3, 0.7, 2)
            picture = draw(strokes, look, generator, height, center)
            if look == "uneven light":
                picture = photograph(picture, generator)
            kind = "JPEG" if look in ("thick", "uneven light") else "PNG"
            made.append((f"{digit}, {look}", encode(picture, kind), digit))
    return made


@cache
def letters():
    """Return 30 pictures of letters: (name, bytes)."""
    made = []
    for place, (letter, strokes) in enumerate(LETTERS.items()):
        for look in ("tilted", "thick") if place % 2 else ("colored", "uneven light"):
            generator = np.random.default_rng((place, 1))
            made.append((f"{letter}, {look}", encode(draw(strokes, look, generator))))
    return made


@cache
def pairs():
    """Return 20 pictures of two digits next to each other: (name, bytes)."""
    made = []
    for number in range(20):
        generator = np.random.default_rng((number, 2))
        first, second = (int(one) for one in generator.integers(0, 10, 2))
        look = list(LOOKS)[number % 5]
        page = Image.new("RGB", (280, 280), LOOKS[look][-1])
        for digit, left in ((first, 0), (second, 140)):
            height = generator.uniform(90, 120)
            one = draw(DIGITS[digit][0], look, generator, height, side=140)
            page.paste(one, (left, 70))
        made.append((f"{first} and {second}, {look}", encode(page)))
    return made


@cache
def empty_pages():
    """Return pages without ink: (name, bytes)."""
    generator = np.random.default_rng(3)
    white, gray = (Image.new("RGB", (280, 280), color) for color in ("white", (128, 128, 128)))
    return [
        ("white", encode(white)),
        ("gray", encode(gray)),
        ("black", encode(Image.new("RGB", (280, 280)))),
        ("transparent", encode(Image.new("RGBA", (280, 280)))),
        ("photograph", encode(photograph(white, generator), "JPEG")),
        ("dark photograph", encode(photograph(gray, generator), "JPEG")),
    ]
