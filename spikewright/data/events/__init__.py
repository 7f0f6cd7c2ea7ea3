"""Event data: recordings of event cameras, read, simulated, and integrated into frames.

    data = open_event_data(folder, Framing(frames=10, size=64))
    batches = DataLoader(data.train, 32, collate_fn=collate_frames)    # [T, B, 2, H, W], [B]

Everything that the simulator makes is labelled: `data.simulated`, `data.name`, `data.description`.
"""

from __future__ import annotations

from spikewright.data.events.aedat import read_aedat, write_aedat
from spikewright.data.events.event_data import EventData, EventDataset, open_event_data
from spikewright.data.events.frames import Framing, SplitBy, collate_frames, integrate
from spikewright.data.events.recordings import Division
from spikewright.data.events.simulated_set import write_simulated_set
from spikewright.data.events.simulator import Simulation, simulate
from spikewright.data.events.stream import Events

__all__ = [
    "Division",
    "EventData",
    "EventDataset",
    "Events",
    "Framing",
    "Simulation",
    "SplitBy",
    "collate_frames",
    "integrate",
    "open_event_data",
    "read_aedat",
    "simulate",
    "write_aedat",
    "write_simulated_set",
]
