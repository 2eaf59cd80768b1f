"""Pack a dataset into parts that a repository can hold.

    python -m scripts.pack_dataset --directory motif_dataset

writes ``motif_dataset_zipped/motif_dataset_part_00`` and so on, with SHA256SUMS beside them. Packed
are collection.json, the arrays in data and info, and the merged label sets of preference with
their provenance; not packed are answers of a language model, chunks in the making, pictures and
whatever else lies there. The same dataset gives the same bytes. Unpack: scripts.unpack_dataset.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motif.archive.pack import PackConfig, pack
from motif.cli import command, parse_config, run
from motif.pairs_dataset import PairsDataset


def pack_and_report(config: PackConfig) -> None:
    """Pack, then say how much it came to."""
    parts = pack(config)
    sizes = [path.stat().st_size for path in parts]
    pairs = len(PairsDataset(config.directory))
    for path, size in zip(parts, sizes):
        print(f"{path}: {size / (1 << 20):.2f} MiB")
    print(f"{pairs:,} pairs in {sum(sizes):,} bytes, {sum(sizes) / max(pairs, 1):.1f} a pair")
    print(f"next: {command('unpack', '--zipped', config.output, '--check')}")


def main(argv: Sequence[str] | None = None) -> int:
    config = parse_config(PackConfig, argv, __doc__)
    return run(lambda: pack_and_report(config))


if __name__ == "__main__":
    sys.exit(main())
