"""Random annotations and detections in COCO's formats, with the cases that evaluations differ in."""

import numpy as np
from pycocotools import mask as masks


def compressed(rle):
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode()}


def uncompressed(mask):
    """Run lengths as a list, column by column, the first of zeros."""
    flat = np.asfortranarray(mask).ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
    bounds = [0, *edges, flat.size]
    return {"size": list(mask.shape), "counts": [int(b - a) for a, b in zip(bounds, bounds[1:])]}


def polygon(rng, height, width):
    if rng.random() < 0.4:
        x, y, size = rng.uniform(0, width * 0.7), rng.uniform(0, height * 0.7), rng.uniform(3, width * 0.5)
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        points = np.stack([x + size * (1 + np.cos(angles)) / 2, y + size * (1 + np.sin(angles)) / 2], 1)
        return points.ravel().round(2).tolist()
    x, y = int(rng.integers(0, width - 2)), int(rng.integers(0, height - 2))
    right, bottom = x + int(rng.integers(1, max(2, width // 2))), y + int(rng.integers(1, max(2, height // 2)))
    return [x, y, right, y, right, bottom, x, bottom]


def shaken(rng, box):
    return [float(value) for value in np.array(box) + rng.uniform(-3, 3, 4)]


class DetectionScene:
    """Images with objects (crowds, odd areas, twins, polygons and both kinds of run lengths) and detections of them."""

    def __init__(self, seed, most_images=12, most_detections=140):
        self.rng = rng = np.random.default_rng(seed)
        self.categories = [int(each) for each in rng.permutation([1, 2, 3, 7, 90])[: rng.integers(1, 5)]]
        self.images, self.annotations, self.results = [], [], []
        large = rng.random() < 0.4
        for image_id in rng.permutation(np.arange(1, 200))[: rng.integers(1, most_images)]:
            low, high = (100, 260) if large else (20, 80)
            height, width = (int(side) for side in rng.integers(low, high, 2))
            self.images.append(dict(id=int(image_id), width=width, height=height, file_name=f"{image_id}.png"))
            objects = 0 if rng.random() < 0.2 else int(rng.integers(1, 12))
            shapes = [shape for _ in range(objects) for shape in self.add_object(int(image_id), height, width)]
            most = most_detections if rng.random() < 0.15 else 15
            for _ in range(0 if rng.random() < 0.15 else int(rng.integers(0, most))):
                self.add_detection(int(image_id), height, width, shapes)
        self.annotations = [self.annotations[i] for i in rng.permutation(len(self.annotations))]
        self.results = [self.results[i] for i in rng.permutation(len(self.results))]

    @property
    def truth(self):
        categories = [dict(id=each, name=f"c{each}") for each in self.categories]
        return dict(info={}, images=self.images, annotations=self.annotations, categories=categories)

    def add_object(self, image_id, height, width):
        rng = self.rng
        polygons = [polygon(rng, height, width) for _ in range(1 + (rng.random() < 0.2))]
        rle = masks.merge(masks.frPyObjects(polygons, height, width))
        crowd = int(rng.random() < 0.15)
        segmentation = polygons
        if crowd or rng.random() < 0.3:
            segmentation = uncompressed(masks.decode(rle)) if rng.random() < 0.6 else compressed(rle)
        annotation = dict(
            id=len(self.annotations) + 1, image_id=image_id, category_id=int(rng.choice(self.categories)),
            bbox=masks.toBbox(rle).tolist(), area=float(masks.area(rle)), iscrowd=crowd, segmentation=segmentation,
        )  # fmt: skip
        if rng.random() < 0.1:
            annotation["area"] = float(rng.choice([0, 1024, 1024.5, 9216, 9216.01, 1e9]))
        if rng.random() < 0.1:
            annotation["ignore"] = 1
        if rng.random() < 0.1:
            annotation["bbox"] = shaken(rng, annotation["bbox"])
        self.annotations.append(annotation)
        if rng.random() < 0.15:
            self.annotations.append(dict(annotation, id=len(self.annotations) + 1))
        return [(rle, annotation)]

    def add_detection(self, image_id, height, width, shapes):
        rng = self.rng
        category = int(rng.choice(self.categories))
        if shapes and rng.random() < 0.8:
            rle, annotation = shapes[rng.integers(len(shapes))]
            category = annotation["category_id"] if rng.random() < 0.85 else category
            moved = np.roll(masks.decode(rle), tuple(rng.integers(-3, 4, 2)), (0, 1))
            rle = masks.encode(np.asfortranarray(moved))
            box = shaken(rng, annotation["bbox"]) if rng.random() < 0.5 else annotation["bbox"]
        else:
            rle = masks.merge(masks.frPyObjects([polygon(rng, height, width)], height, width))
            box = masks.toBbox(rle).tolist()
        score = float(rng.random())
        self.results.append(dict(
            image_id=image_id, category_id=category, score=round(score, 1) if rng.random() < 0.5 else score,
            bbox=box, segmentation=compressed(rle),
        ))  # fmt: skip


class PanopticScene:
    """Segment maps with void, crowds, pixels that are not described and predictions that nearly fit."""

    def __init__(self, seed):
        self.rng = rng = np.random.default_rng(seed)
        ids = rng.permutation([1, 2, 5, 92, 200])
        self.categories = [dict(id=int(each), name=f"c{each}", isthing=int(rng.integers(0, 2))) for each in ids]
        self.pairs = [self.image() for _ in range(int(rng.integers(1, 6)))]

    def layout(self, count, shape):
        rng, labels = self.rng, np.zeros(shape, int)
        for label in range(1, count + 1):
            y, x = (int(rng.integers(0, side)) for side in shape)
            bottom, right = (start + int(rng.integers(1, side + 1)) for start, side in zip((y, x), shape))
            labels[y:bottom, x:right] = label
        return labels

    def image(self):
        rng = self.rng
        shape = tuple(int(side) for side in rng.integers(5, 60, 2))
        truth = self.layout(int(rng.integers(1, 9)), shape)
        if rng.random() < 0.7:
            predicted = np.roll(truth, tuple(rng.integers(-3, 4, 2)), (0, 1))
        else:
            predicted = self.layout(int(rng.integers(1, 9)), shape)
        if rng.random() < 0.4:
            predicted = np.where(self.layout(2, shape) > 0, self.layout(3, shape) + 20, predicted)
        if rng.random() < 0.3:
            truth[rng.random(shape) < 0.1] = 0
        chosen = {}
        return self.segments(truth, chosen, True), self.segments(predicted, chosen, False)

    def segments(self, labels, chosen, true):
        """The map with new ids, and its segments: (ids, segments_info)."""
        rng, ids, infos = self.rng, np.zeros(labels.shape, int), []
        for label in (int(each) for each in np.unique(labels) if each):
            category = int(rng.choice([each["id"] for each in self.categories]))
            if true or rng.random() < 0.85:
                category = chosen.setdefault(label, category)
            segment = int(rng.integers(1, 2**24))
            where = labels == label
            ids[where] = segment
            info = dict(id=segment, category_id=category, area=int(where.sum()))
            if true:
                info["iscrowd"] = int(rng.random() < 0.2)
                if rng.random() < 0.05:
                    info["area"] = max(1, info["area"] - 2)
            infos.append(info)
        if true and infos and rng.random() < 0.1:
            infos = infos[1:]
        return ids, infos
