"""A simulator of an event camera that looks at images, for data sets of simulated recordings."""

from paper.event_camera.simulated_set import write_simulated_set
from paper.event_camera.simulator import Simulation, simulate

__all__ = ["Simulation", "simulate", "write_simulated_set"]
