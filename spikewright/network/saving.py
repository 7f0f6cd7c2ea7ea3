"""Saving a converted network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from spikewright.network.spiking_network import SpikingNetwork


class Saved:
    """Saves a `SpikingNetwork`, by the one import that points back; it is made when called."""

    def save(self, path: str | os.PathLike[str], notes: Mapping[str, Any] | None = None) -> None:
        """Write the network as one file that `spikewright.load` reads anywhere.

        See `spikewright.artefact.save` for arguments and errors.
        """
        from spikewright.artefact import save

        save(cast("SpikingNetwork", self), path, notes)
