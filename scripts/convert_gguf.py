"""Convert a GGUF file to a folder that vLLM loads: bfloat16 weights, tokenizer, chat template.

python -m scripts.convert_gguf FILE.gguf FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from motif.annotate.convert import convert_gguf
from motif.cli import Parser, command, run


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.add_argument("file", type=Path, help="a GGUF file")
    parser.add_argument("folder", type=Path, help="where to write; must not be there")
    arguments = parser.parse_args(argv)

    def convert() -> int:
        convert_gguf(arguments.file, arguments.folder)
        print(f"written to {arguments.folder}")
        model = {"model": arguments.folder, "dtype": "bfloat16"}
        print("next:", command("annotate", directory="motif_dataset", **model))
        return 0

    return run(convert)


if __name__ == "__main__":
    sys.exit(main())
