"""Mask R-CNN on ResNet-50 with FreqFusion's neck, from RGB bytes to masks, as mmdetection runs it on one image.

Names are those of the released state dict. `operators` is a module with FreqFusion's operators and those on regions:
`unfold` (plain PyTorch) or `library` (freqfusion's own, inside PyTorch).
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from reference import unfold
from reference.freqfusion import FreqFusion
from reference.segnext import MEAN, STD

STRIDES, WIDTH, CLASSES = (4, 8, 16, 32, 64), 256, 80
RATIOS, ANCHOR_SCALE = (0.5, 1.0, 2.0), 8
BEFORE_NMS, PROPOSALS, PROPOSAL_IOU = 1000, 1000, 0.7
SCORE, IOU, DETECTIONS = 0.05, 0.5, 100
LARGEST_GROWTH = abs(math.log(16 / 1000))


class Bottleneck(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        out = 4 * width
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or channels != out:
            convolution = nn.Conv2d(channels, out, 1, stride, bias=False)
            self.downsample = nn.Sequential(convolution, nn.BatchNorm2d(out))

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = F.relu(self.bn2(self.conv2(out)), inplace=True)
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return F.relu(out, inplace=True)


class ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64)
        channels = 64
        for i, depth in enumerate((3, 4, 6, 3)):
            blocks = []
            for j in range(depth):
                blocks.append(Bottleneck(channels, 64 << i, 2 if i > 0 and j == 0 else 1))
                channels = 256 << i
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.max_pool2d(x, 3, 2, padding=1)
        maps = []
        for i in range(1, 5):
            x = self.get_submodule(f"layer{i}")(x)
            maps.append(x)
        return maps


class ConvModule(nn.Module):
    def __init__(self, channels, out, kernel, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2)

    def forward(self, x):
        return self.conv(x)


class Neck(nn.Module):
    """C2 .. C5 -> P2 .. P6: each level takes in the coarser one by a FreqFusion."""

    def __init__(self, operators):
        super().__init__()
        counts = (256, 512, 1024, 2048)
        laterals = [ConvModule(count, WIDTH, 1) for count in counts]
        self.lateral_convs = nn.ModuleList([*laterals, ConvModule(counts[-1], WIDTH, 3, stride=2)])
        self.fpn_convs = nn.ModuleList(ConvModule(WIDTH, WIDTH, 3) for _ in STRIDES)
        self.alignment = nn.ModuleList(
            FreqFusion(WIDTH, WIDTH, 2 * WIDTH // 8, feature_resample=True, operators=operators) for _ in counts
        )

    def forward(self, maps):
        maps = [*maps, maps[-1]]
        levels = [lateral(x) for lateral, x in zip(self.lateral_convs, maps)]
        for i in range(len(levels) - 1, 0, -1):
            _, sharpened, upsampled = self.alignment[i - 1](levels[i - 1], levels[i])
            levels[i - 1] = sharpened + upsampled
        return [convolution(x) for convolution, x in zip(self.fpn_convs, levels)]


def decode(boxes, deltas, stds, height, width):
    """Moves boxes [N, 4] by [N, 4] and cuts them at the image's edges."""
    deltas = deltas * deltas.new_tensor(stds)
    size = boxes[:, 2:] - boxes[:, :2]
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + deltas[:, :2] * size
    size = size * deltas[:, 2:].clamp(-LARGEST_GROWTH, LARGEST_GROWTH).exp()
    corners = torch.cat([centre - size / 2, centre + size / 2], 1)
    corners[:, 0::2] = corners[:, 0::2].clamp(0, width)
    corners[:, 1::2] = corners[:, 1::2].clamp(0, height)
    return corners


def anchors(stride, rows, columns):
    ratios = torch.tensor(RATIOS).sqrt()
    half = torch.stack([ANCHOR_SCALE * stride / ratios / 2, ANCHOR_SCALE * stride * ratios / 2], 1)
    base = torch.cat([-half, half], 1)
    y, x = torch.meshgrid(torch.arange(rows) * stride, torch.arange(columns) * stride, indexing="ij")
    return (torch.stack([x, y, x, y], -1).view(-1, 1, 4) + base).view(-1, 4)


class RpnHead(nn.Module):
    def __init__(self, operators):
        super().__init__()
        self.operators = operators
        self.rpn_conv = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.rpn_cls = nn.Conv2d(WIDTH, len(RATIOS), 1)
        self.rpn_reg = nn.Conv2d(WIDTH, 4 * len(RATIOS), 1)

    def forward(self, levels, height, width):
        boxes, scores, groups = [], [], []
        for i, x in enumerate(levels):
            x = F.relu(self.rpn_conv(x))
            score = self.rpn_cls(x)[0].permute(1, 2, 0).flatten().sigmoid()
            deltas = self.rpn_reg(x)[0].permute(1, 2, 0).reshape(-1, 4)
            given = anchors(STRIDES[i], *x.shape[-2:])
            if len(score) > BEFORE_NMS:
                score, best = score.sort(descending=True)
                score, best = score[:BEFORE_NMS], best[:BEFORE_NMS]
                deltas, given = deltas[best], given[best]
            boxes.append(decode(given, deltas, (1.0, 1.0, 1.0, 1.0), height, width))
            scores.append(score)
            groups.append(torch.full_like(score, i, dtype=torch.long))
        boxes, scores, groups = torch.cat(boxes), torch.cat(scores), torch.cat(groups)
        real = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
        boxes, scores, groups = boxes[real], scores[real], groups[real]
        return boxes[self.operators.batched_nms(boxes, scores, groups, PROPOSAL_IOU)[:PROPOSALS]]


class BoxHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc_cls, self.fc_reg = nn.Linear(1024, CLASSES + 1), nn.Linear(1024, 4 * CLASSES)
        self.shared_fcs = nn.ModuleList([nn.Linear(WIDTH * 49, 1024), nn.Linear(1024, 1024)])

    def forward(self, regions):
        x = regions.flatten(1)
        for layer in self.shared_fcs:
            x = F.relu(layer(x))
        return self.fc_cls(x), self.fc_reg(x)


class ConvReLU(ConvModule):
    def forward(self, x):
        return F.relu(self.conv(x), inplace=True)


class MaskHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(ConvReLU(WIDTH, WIDTH, 3) for _ in range(4))
        self.upsample = nn.ConvTranspose2d(WIDTH, WIDTH, 2, stride=2)
        self.conv_logits = nn.Conv2d(WIDTH, CLASSES, 1)

    def forward(self, regions, labels):
        for layer in self.convs:
            regions = layer(regions)
        logits = self.conv_logits(F.relu(self.upsample(regions), inplace=True))
        return logits[torch.arange(len(labels)), labels].sigmoid()


class RoiHead(nn.Module):
    def __init__(self, operators):
        super().__init__()
        self.operators = operators
        self.bbox_head, self.mask_head = BoxHead(), MaskHead()

    def extract(self, levels, boxes, size):
        """Each box from the level that suits its size, as [K, C, size, size]."""
        scale = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
        target = (scale / 56 + 1e-6).log2().floor().clamp(0, 3).long()
        rois = torch.cat([torch.zeros(len(boxes), 1), boxes], 1)
        output = levels[0].new_zeros(len(boxes), WIDTH, size, size)
        for i in range(4):
            here = (target == i).nonzero().flatten()
            if len(here) > 0:
                output[here] = self.operators.roi_align(levels[i], rois[here], size, 1 / STRIDES[i])
        return output

    def forward(self, levels, proposals, height, width):
        logits, deltas = self.bbox_head(self.extract(levels, proposals, 7))
        scores = logits.softmax(1)[:, :-1]
        index, labels = (scores > SCORE).nonzero(as_tuple=True)
        chosen = deltas.view(-1, CLASSES, 4)[index, labels]
        boxes = decode(proposals[index], chosen, (0.1, 0.1, 0.2, 0.2), height, width)
        scores = scores[index, labels]
        kept = self.operators.batched_nms(boxes, scores, labels, IOU)[:DETECTIONS]
        boxes, scores, labels = boxes[kept], scores[kept], labels[kept]
        masks = self.mask_head(self.extract(levels, boxes, 14), labels)
        return boxes, scores, labels, self.operators.mask_paste(masks, boxes, height, width)


class MaskRcnn(nn.Module):
    """uint8 [H, W, 3], of the size that the network works at -> boxes, scores, labels and masks [K, H, W]."""

    def __init__(self, operators=unfold):
        super().__init__()
        self.backbone, self.neck = ResNet50(), Neck(operators)
        self.rpn_head, self.roi_head = RpnHead(operators), RoiHead(operators)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def levels(self, image):
        height, width = image.shape[:2]
        x = (image.permute(2, 0, 1).unsqueeze(0).float() - self.mean) / self.std
        x = F.pad(x, (0, -width % 64, 0, -height % 64))
        return self.neck(self.backbone(x))

    def forward(self, image):
        levels = self.levels(image)
        proposals = self.rpn_head(levels, *image.shape[:2])
        return self.roi_head(levels, proposals, *image.shape[:2])


@torch.no_grad()
def give_weights(model, image):
    """Draws weights with which every part has work to do: normed maps, proposals of many sizes, a hundred detections."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the average of what it has seen: one image
    model.backbone.train()
    model.levels(image)
    model.eval()
    rpn, boxes = model.rpn_head, model.roi_head.bbox_head
    for layer in (rpn.rpn_reg, boxes.fc_reg):
        nn.init.normal_(layer.weight, std=0.02)
    levels = model.levels(image)
    rpn.rpn_cls.weight /= rpn.rpn_cls(F.relu(rpn.rpn_conv(levels[0]))).std()
    proposals = rpn(levels, *image.shape[:2])
    logits, _ = boxes(model.roi_head.extract(levels, proposals, 7))
    boxes.fc_cls.weight *= 2 / (logits - logits.mean(0)).std()
    boxes.fc_cls.bias -= boxes.fc_cls(torch.zeros(1, 1024))[0]


def picture(height, width):
    """Blots of many sizes, as uint8 [height, width, 3]."""
    total = torch.zeros(1, 3, height, width)
    for cells in (4, 8, 16, 32, 64, 128):
        blots = torch.rand(1, 3, cells, cells * width // height)
        total += F.interpolate(blots, size=(height, width), mode="bilinear", align_corners=False) - 0.5
    return (128 + 90 * total[0]).clamp(0, 255).byte().permute(1, 2, 0).contiguous()
