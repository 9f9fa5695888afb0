"""What the trainer read of the dataset: images, batches, buckets."""

from __future__ import annotations

import argparse
import math
from typing import Any

from lr_grid.rehearse.job import Report


def tell_dataset(group: Any, args: argparse.Namespace, report: Report) -> None:
    """Notes how much there is to train on.

    Args:
        group: the trainer's group of datasets.
    """
    images = getattr(group, "num_train_images", None)
    items = getattr(group, "num_train_items", images)
    what = "cached items read" if images is None else "images (repeats counted) read"
    texts = [f"{items} {what}"]
    resolutions = {size for dataset in getattr(group, "datasets", ()) for size in _buckets(dataset)}
    if resolutions:
        first = " ".join("x".join(map(str, size)) for size in sorted(resolutions)[:4])
        more = f", ... ({len(resolutions)})" if len(resolutions) > 4 else ""
        texts.append(f"in {len(resolutions)} bucket{'s' if len(resolutions) > 1 else ''} ({first}{more})")
    batches = len(group)
    accumulation = getattr(args, "gradient_accumulation_steps", 1) or 1
    steps = math.ceil(batches / accumulation)
    texts.append(f"{batches} batches, {steps} steps an epoch; {args.max_train_steps} steps in all")
    report.verify("dataset", ", ".join(texts))
    report.data["dataset"] = {"items": items, "batches": batches, "steps": args.max_train_steps}
    captions = [d for d in getattr(group, "datasets", ()) if getattr(d, "image_data", None)]
    missing = sum(not info.caption for dataset in captions for info in dataset.image_data.values())
    if missing:
        report.note(f"{missing} images have an empty caption")


def _buckets(dataset: Any) -> list[tuple[int, ...]]:
    manager = getattr(dataset, "bucket_manager", None)
    if manager is None:
        manager = getattr(dataset, "batch_manager", None)
        return [tuple(part for part in size if isinstance(part, int)) for size in getattr(manager, "buckets", {})]
    sizes, buckets = getattr(manager, "resos", ()), getattr(manager, "buckets", ())
    return [tuple(size) for size, bucket in zip(sizes, buckets, strict=False) if bucket]
