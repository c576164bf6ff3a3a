"""What a Mask R-CNN is trained against: anchors and proposals assigned to shapes, sampled, and their losses."""

import torch
import torch.nn.functional as F

from reference.boxes import bbox2delta, box_iou, grid_anchors
from reference.mask_rcnn import BOX_STDS, STRIDES
from reference.roi_align import roi_align

PROPOSALS = {"nms_pre": 150, "max_per_img": 100, "iou_threshold": 0.7}  # while training
RPN_SAMPLES, ROI_SAMPLES, MASK_SAMPLES = 128, 48, 12


def assign(boxes, targets, positive, negative, nearest):
    """Index of each box's target, -1 for ground, -2 for neither. nearest: each target's best box counts as well."""
    if len(targets) == 0:
        return torch.full((len(boxes),), -1)
    overlap = box_iou(boxes, targets)
    best, index = overlap.max(1)
    assigned = torch.where(best >= positive, index, torch.where(best < negative, -1, -2))
    if nearest:
        for target in range(len(targets)):
            most = overlap[:, target].max()
            if most >= 0.3:
                assigned[overlap[:, target] >= most - 1e-4] = target
    return assigned


def sample(assigned, count, positive_share, generator):
    """Indices of at most count * positive_share boxes with a target, and of ground boxes that fill up to count."""

    def some(candidates, limit):
        return candidates[torch.randperm(len(candidates), generator=generator)[:limit]]

    positive = some((assigned >= 0).nonzero()[:, 0], int(count * positive_share))
    return positive, some((assigned == -1).nonzero()[:, 0], count - len(positive))


def rpn_loss(logits, deltas, scenes, generator):
    """Classification and box loss of the RPN's maps over a batch."""
    anchors = torch.cat([grid_anchors(*x.shape[2:], stride) for x, stride in zip(logits, STRIDES)])
    logits = torch.cat([x.permute(0, 2, 3, 1).flatten(1) for x in logits], 1)
    deltas = torch.cat([x.permute(0, 2, 3, 1).reshape(len(x), -1, 4) for x in deltas], 1)
    classification = box = 0
    for logit, delta, scene in zip(logits, deltas, scenes):
        assigned = assign(anchors, scene["boxes"], 0.6, 0.3, nearest=True)
        positive, negative = sample(assigned, RPN_SAMPLES, 0.5, generator)
        chosen = torch.cat([positive, negative])
        wanted = (torch.arange(len(chosen)) < len(positive)).float()
        classification = classification + F.binary_cross_entropy_with_logits(logit[chosen], wanted)
        if len(positive):
            aim = bbox2delta(anchors[positive], scene["boxes"][assigned[positive]])
            box = box + F.smooth_l1_loss(delta[positive], aim, beta=0.1, reduction="sum") / RPN_SAMPLES
    return classification / len(scenes), box / len(scenes)


def roi_losses(model, levels, logits, deltas, scenes, generator):
    """Class, box and mask loss of the second stage over a batch, on proposals of the RPN as it is."""
    size = (levels[0].shape[2] * STRIDES[0], levels[0].shape[3] * STRIDES[0])
    total = {"class": 0, "box": 0, "mask": 0}
    for i, scene in enumerate(scenes):
        maps, targets, labels = [x[i] for x in levels], scene["boxes"], scene["labels"]
        with torch.no_grad():
            found, _ = model.proposals([x[i] for x in logits], [x[i] for x in deltas], size, PROPOSALS)
            found = torch.cat([targets, found])
            assigned = assign(found, targets, 0.5, 0.5, nearest=False)
            positive, negative = sample(assigned, ROI_SAMPLES, 0.4, generator)
        owner = assigned[positive]
        classes, moves = model.box_outputs(maps, found[torch.cat([positive, negative])])
        ground = torch.full((len(negative),), classes.shape[1] - 1)
        kinds = torch.cat([labels[owner], ground])
        total["class"] = total["class"] + F.cross_entropy(classes, kinds)
        if len(positive) == 0:
            continue
        aim = bbox2delta(found[positive], targets[owner], BOX_STDS)
        own = moves[: len(positive)].view(len(positive), -1, 4)[torch.arange(len(positive)), labels[owner]]
        total["box"] = total["box"] + F.smooth_l1_loss(own, aim, beta=0.5, reduction="sum") / ROI_SAMPLES
        chosen, owner = positive[:MASK_SAMPLES], owner[:MASK_SAMPLES]
        masks = model.mask_outputs(maps, found[chosen])[torch.arange(len(chosen)), labels[owner]]
        total["mask"] = total["mask"] + F.binary_cross_entropy_with_logits(
            masks, mask_targets(scene["masks"], owner, found[chosen])
        )
    return {name: value / len(scenes) for name, value in total.items()}


def mask_targets(masks, owner, boxes, bins=28):
    """Shares of the owners' visible pixels in the bins of the boxes, as 0 or 1: [K, bins, bins]."""
    crops = [roi_align(masks[o][None].float(), box[None], bins, 1)[0, 0] for o, box in zip(owner, boxes)]
    return (torch.stack(crops) >= 0.5).float()
