"""Event data: recordings of event cameras, read and integrated into frames.

    data = open_event_data(folder, Framing(frames=10, size=64))
    batches = frame_batches(data.train, 32)        # [T, B, 2, H, W], [B]
    images = data.mean_images()                    # what a network is trained on
    shown = data.in_frames(4)                      # 4 frames whose mean is the same image

Recordings that a simulator made are labelled: `data.simulated`, `data.name`, `data.description`.
"""

from __future__ import annotations

from spikewright.data.events.aedat import read_aedat, write_aedat
from spikewright.data.events.event_data import (
    EventData,
    EventDataset,
    EventImages,
    open_event_data,
)
from spikewright.data.events.frames import (
    Framing,
    SplitBy,
    collate_frames,
    frame_batches,
    integrate,
)
from spikewright.data.events.recordings import Division
from spikewright.data.events.stream import Events

__all__ = [
    "Division",
    "EventData",
    "EventDataset",
    "EventImages",
    "Events",
    "Framing",
    "SplitBy",
    "collate_frames",
    "frame_batches",
    "integrate",
    "open_event_data",
    "read_aedat",
    "write_aedat",
]
