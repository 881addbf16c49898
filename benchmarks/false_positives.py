"""What a model finds, unasked, where there is no tumour: multiple sclerosis and healthy synthetic studies.

    python benchmarks/false_positives.py [--model msm-seg-compact] [--healthy 3] [--markdown FILE]

Protocol: no prompt; the whole brain is searched.
"""

import argparse
from pathlib import Path

from oncoprompt import Session, Study
from oncoprompt.methods.interface import Method
from oncoprompt.methods.registry import load_model
from oncoprompt.synthesis.generate import synthesize

DATA = Path(__file__).resolve().parents[1] / ".." / "shared" / "data" / "negative_control"
SEED = 990_000
"""Seeds of the healthy studies; no training run drew its people from them."""


def row(name: str, model: Method, study: Study) -> str:
    result = Session(study, model=model).segment()
    cells = " | ".join(f"{result.volume_ml(region):.2f}" for region in ("WT", "TC", "ET"))
    return f"| {name} | {cells} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="msm-seg-compact")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--healthy", type=int, default=3)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if not options.data.is_dir():
        raise SystemExit(f"The negative controls are missing: {options.data}.")
    model = load_model(options.model)
    lines = [
        f"Model {options.model} ({model.weights_sha256[:12]}). No prompt. Millilitres found where there is no tumour.",
        "",
        "| study | WT | TC | ET |",
        "|---|---|---|---|",
        *(row(f.name, model, Study.read(f)) for f in sorted(options.data.iterdir()) if f.is_dir()),
        *(
            row(f"healthy synthetic study, seed {seed}", model, synthesize(seed, "healthy").study)
            for seed in range(SEED, SEED + options.healthy)
        ),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
