"""Mask R-CNN with the FreqFusion neck in plain PyTorch, parameter names and test path of the released detectors.

`operators` is `unfold` (plain PyTorch) or `library` (freqfusion's own, inside PyTorch), as in freqfusion.py. Widths are
free, so that small models can be trained.
"""

import torch
import torch.nn.functional as F
from torch import nn

from reference import unfold
from reference.boxes import batched_nms, delta2bbox, grid_anchors
from reference.freqfusion import FreqFusion
from reference.resnet import ResNet
from reference.roi_align import pyramid_roi_align

STRIDES = (4, 8, 16, 32, 64)
BOX_STDS = (0.1, 0.1, 0.2, 0.2)
TEST = {
    "rpn": {"nms_pre": 1000, "max_per_img": 1000, "iou_threshold": 0.7},
    "rcnn": {"score_thr": 0.05, "iou_threshold": 0.5, "class_agnostic": False, "max_per_img": 100},
}


class Convolution(nn.Module):
    """A convolution one name deeper, where the released state dicts have `.conv`."""

    def __init__(self, *args, **kwargs):
        super().__init__()
        self.conv = nn.Conv2d(*args, **kwargs)

    def forward(self, x):
        return self.conv(x)


class FreqFusionNeck(nn.Module):
    """Stages C2..C5 -> P2..P6. The fifth level is a strided lateral of C5 and takes part in the top-down path."""

    def __init__(self, in_channels, channels, compress_ratio, operators):
        super().__init__()
        laterals = [Convolution(inputs, channels, 1) for inputs in in_channels]
        laterals.append(Convolution(in_channels[-1], channels, 3, stride=2, padding=1))
        self.lateral_convs = nn.ModuleList(laterals)
        self.fpn_convs = nn.ModuleList(Convolution(channels, channels, 3, padding=1) for _ in laterals)
        compressed = 2 * channels // compress_ratio
        self.alignment = nn.ModuleList(
            FreqFusion(channels, channels, compressed, feature_resample=True, operators=operators)
            for _ in in_channels
        )
        for fusion in self.alignment:  # the released state dicts name this one last
            fusion.content_encoder2 = fusion._modules.pop("content_encoder2")

    def forward(self, stages):
        maps = [lateral(x) for lateral, x in zip(self.lateral_convs, [*stages, stages[-1]])]
        for i in range(len(maps) - 1, 0, -1):
            _, high, low = self.alignment[i - 1](maps[i - 1], maps[i])
            maps[i - 1] = high + low
        return [out(x) for out, x in zip(self.fpn_convs, maps)]


class RpnHead(nn.Module):
    def __init__(self, channels, anchors=3):
        super().__init__()
        self.rpn_conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.rpn_cls = nn.Conv2d(channels, anchors, 1)
        self.rpn_reg = nn.Conv2d(channels, 4 * anchors, 1)

    def forward(self, levels):
        shared = [F.relu(self.rpn_conv(x)) for x in levels]
        return [self.rpn_cls(x) for x in shared], [self.rpn_reg(x) for x in shared]


class BoxHead(nn.Module):
    def __init__(self, classes, channels, width, bins=7):
        super().__init__()
        self.fc_cls = nn.Linear(width, classes + 1)
        self.fc_reg = nn.Linear(width, 4 * classes)
        inputs = channels * bins * bins
        self.shared_fcs = nn.ModuleList([nn.Linear(inputs, width), nn.Linear(width, width)])

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.shared_fcs:
            x = F.relu(layer(x))
        return self.fc_cls(x), self.fc_reg(x)


class MaskHead(nn.Module):
    def __init__(self, classes, channels, width, convs=4):
        super().__init__()
        self.convs = nn.ModuleList(
            Convolution(width if i else channels, width, 3, padding=1) for i in range(convs)
        )
        self.upsample = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.conv_logits = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        for layer in self.convs:
            x = F.relu(layer(x))
        return self.conv_logits(F.relu(self.upsample(x)))


class RoiHead(nn.Module):
    def __init__(self, classes, channels, fc_width, mask_width):
        super().__init__()
        self.bbox_head = BoxHead(classes, channels, fc_width)
        self.mask_head = MaskHead(classes, channels, mask_width)


class MaskRcnn(nn.Module):
    """Images [N, 3, H, W] with sides that are multiples of 64, normalised and padded at the bottom and right."""

    def __init__(
        self,
        depth=50,
        classes=80,
        base_channels=64,
        channels=256,
        compress_ratio=8,
        fc_width=1024,
        mask_width=256,
        operators=unfold,
    ):
        super().__init__()
        self.backbone = ResNet(depth, base_channels)
        self.neck = FreqFusionNeck(self.backbone.out_channels, channels, compress_ratio, operators)
        self.rpn_head = RpnHead(channels)
        self.roi_head = RoiHead(classes, channels, fc_width, mask_width)

    def features(self, images):
        return self.neck(self.backbone(images))

    def proposals(self, logits, deltas, size, limits):
        """One image's RPN maps [3, h, w] and [12, h, w] -> boxes [K, 4] and scores [K], best first.

        size: (height, width) of the image without its padding.
        """
        boxes, scores, groups = [], [], []
        for level, (logit, delta, stride) in enumerate(zip(logits, deltas, STRIDES)):
            score = logit.permute(1, 2, 0).reshape(-1).sigmoid()
            anchors = grid_anchors(*logit.shape[1:], stride)
            delta = delta.permute(1, 2, 0).reshape(-1, 4)
            if len(score) > limits["nms_pre"]:
                score, best = score.sort(descending=True, stable=True)
                score, best = score[: limits["nms_pre"]], best[: limits["nms_pre"]]
                anchors, delta = anchors[best], delta[best]
            boxes.append(delta2bbox(anchors, delta, size=size))
            scores.append(score)
            groups.append(torch.full((len(score),), level))
        boxes, scores, groups = torch.cat(boxes), torch.cat(scores), torch.cat(groups)
        real = ((boxes[:, 2:] - boxes[:, :2]) > 0).all(1)
        boxes, scores, groups = boxes[real], scores[real], groups[real]
        kept = batched_nms(boxes, scores, groups, limits["iou_threshold"])[: limits["max_per_img"]]
        return boxes[kept], scores[kept]

    def box_outputs(self, levels, boxes):
        """One image's class logits [K, classes + 1] and deltas [K, 4 * classes] for boxes [K, 4]."""
        return self.roi_head.bbox_head(pyramid_roi_align(levels[:4], boxes, 7))

    def mask_outputs(self, levels, boxes):
        """One image's mask logits [K, classes, 28, 28]."""
        return self.roi_head.mask_head(pyramid_roi_align(levels[:4], boxes, 14))

    @torch.no_grad()
    def detect(self, image, size, scale_factor=None, test=TEST):
        """One image [1, 3, H, W] of size (height, width) before padding -> every stage of the test path, by name.

        scale_factor: float32 [4] of the resize; boxes come divided by it, in the original picture's pixels. The mask
        logits are those of each detection's own class, `paste_boxes` says where they belong.
        """
        stages = self.backbone(image)
        levels = self.neck(stages)
        out = {f"c{i + 2}": x for i, x in enumerate(stages)} | {f"p{i + 2}": x for i, x in enumerate(levels)}
        logits, deltas = self.rpn_head(levels)
        out |= {f"rpn_cls_{i}": x for i, x in enumerate(logits)}
        out |= {f"rpn_reg_{i}": x for i, x in enumerate(deltas)}
        levels = [x[0] for x in levels]
        proposals, proposal_scores = self.proposals(
            [x[0] for x in logits], [x[0] for x in deltas], size, test["rpn"]
        )
        classes, moves = self.box_outputs(levels, proposals)
        boxes = delta2bbox(proposals, moves, BOX_STDS, size)
        if scale_factor is not None:
            boxes = (boxes.view(len(boxes), -1, 4) / scale_factor).view(len(boxes), -1)
        boxes, scores, labels = self.select(boxes, classes.softmax(1), test["rcnn"])
        inner = boxes if scale_factor is None else boxes * scale_factor
        masks = self.mask_outputs(levels, inner)[torch.arange(len(labels)), labels]
        return out | {
            "proposal_boxes": proposals,
            "proposal_scores": proposal_scores,
            "roi_feats": pyramid_roi_align(levels[:4], proposals, 7),
            "cls_score": classes,
            "bbox_pred": moves,
            "det_bboxes": boxes,
            "det_scores": scores,
            "det_labels": labels,
            "mask_logits": masks,
            "paste_boxes": inner if scale_factor is None else inner / scale_factor,
        }

    @staticmethod
    def select(boxes, scores, limits):
        """Boxes [K, 4 * classes] and probabilities [K, classes + 1] -> the boxes, scores and labels that are kept."""
        classes = scores.shape[1] - 1
        boxes, scores = boxes.reshape(-1, 4), scores[:, :-1].reshape(-1)
        labels = torch.arange(classes).repeat(len(boxes) // classes)
        good = (scores > limits["score_thr"]).nonzero()[:, 0]
        boxes, scores, labels = boxes[good], scores[good], labels[good]
        groups = torch.zeros_like(labels) if limits["class_agnostic"] else labels
        kept = batched_nms(boxes, scores, groups, limits["iou_threshold"])[: limits["max_per_img"]]
        return boxes[kept], scores[kept], labels[kept]


def paste_mask(logits, box, height, width):
    """One detection's logits [28, 28] over its box -> boolean [height, width]."""
    x1, y1, x2, y2 = box
    left, top = max(int(x1.floor()) - 1, 0), max(int(y1.floor()) - 1, 0)
    right, bottom = min(int(x2.ceil()) + 1, width), min(int(y2.ceil()) + 1, height)
    out = torch.zeros(height, width, dtype=torch.bool)
    if right <= left or bottom <= top:
        return out
    x = (torch.arange(left, right, dtype=logits.dtype) + 0.5 - x1) / (x2 - x1) * 2 - 1
    y = (torch.arange(top, bottom, dtype=logits.dtype) + 0.5 - y1) / (y2 - y1) * 2 - 1
    grid = torch.stack([x.expand(len(y), -1), y[:, None].expand(-1, len(x))], -1)
    values = F.grid_sample(logits.sigmoid()[None, None], grid[None], align_corners=False)
    out[top:bottom, left:right] = values[0, 0] >= 0.5
    return out
