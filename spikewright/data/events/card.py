"""The card of a data set of simulated recordings: what they are, and how they were made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from spikewright.errors import DataError
from spikewright.files import write_whole

CARD_NAME = "dataset-card.json"
SIMULATED_MARK = "SIMULATED"
"""Stands in the card and in the header of every simulated recording."""

PUBLISHED_EVENTS_PER_RECORDING = 205_071
"""Mean of the 10,000 published recordings, which hold 2,050,719,068 events and last 1.298 s on
average, as a public script of the package `stsc` counts them with jackd/events-tfds."""


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write the card of a data set into its folder."""
    text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(folder / CARD_NAME, text.encode())


def read_card(folder: Path) -> dict[str, Any] | None:
    """Read the card of a data set; None when its folder holds none, as the real one does.

    Raises:
        DataError: if there is a card that is not a JSON object with a true or false `simulated`.
    """
    path = folder / CARD_NAME
    try:
        card = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"'{path}' cannot be read as a dataset card: {error}") from error
    if not isinstance(card, dict) or not isinstance(card.get("simulated"), bool):
        raise DataError(
            f"'{path}' is no dataset card: it needs to be a JSON object in which 'simulated' is "
            "true or false"
        )
    return card
